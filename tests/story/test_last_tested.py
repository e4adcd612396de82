"""`promptreg list` and `show`: when prompts were last tested, how fresh that is, and what makes it stale."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from conftest import User

from promptreg.core.identity import behaviour_digest, checks_digest
from promptreg.core.records import Record, VerdictRecord, decode, encode
from promptreg.core.verdict import Verdict
from promptreg.registry import Registry
from promptreg.testing import LoopbackServer, RepositoryBuilder
from promptreg.workflow import opening
from promptreg.workflow.records import MOMENT, Desk, open_archive

DAY_S = 86_400


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture
def measured(user: User, server: LoopbackServer) -> User:
    user.triage(server.url)
    user.write("prompts/other.yaml", "messages: [{role: user, content: Hello.}]\n")
    RepositoryBuilder(user.root).commit("A registry")
    assert user("run", "--runs", "write", "--quiet").code == 0
    return user


def listed(user: User, prompt: str = "triage") -> dict[str, Any]:
    said = user("list", "--json")
    assert said.code == 0, said.err
    return next(dict(each) for each in said.json["prompts"] if each["prompt"] == prompt)


def shown(user: User) -> dict[str, Any]:
    (cell,) = user("show", "triage", "--json").json["tested"]
    return dict(cell)


def moved(user: User, days: float) -> None:
    """The one record of *user*'s is now of *days* ago, as are its answers."""
    with registry(user) as found:
        archive = open_archive(Desk(registry=found, now=time.time))
        assert archive is not None
        ((path, content),) = archive.branch.read(archive.branch.paths("runs"))
        record = decode(path, content)
        assert isinstance(record, Record)
        at = time.time() - days * DAY_S
        header = replace(record.header, created=time.strftime(MOMENT, time.gmtime(at)))
        answers = [replace(each, completion=replace(each.completion, observed_at=at)) for each in record.answers if each.completion]
        record = Record(header=header, answers=tuple(answers))
        RepositoryBuilder(user.root).git("update-ref", "-d", "refs/heads/promptreg/runs")
        archive.branch.append(dict([encode(record)]), "moved")


def registry(user: User) -> Registry:
    return opening.open_registry(user.root, {})


def judge(user: User, verdict: Verdict) -> None:
    with registry(user) as found:
        archive = open_archive(Desk(registry=found, now=time.time))
        assert archive is not None
        archive.keep(
            [
                VerdictRecord(
                    prompt="triage",
                    behaviour=behaviour_digest(found.prompt("triage")),
                    suite="triage",
                    model="big",
                    verdict=verdict,
                    base="",
                    head="",
                    digests={"checks": checks_digest(found.suite("triage").checks)},
                    gate={},
                    version="0",
                    author="Ada",
                    created=archive.moment,
                )
            ]
        )


def test_what_was_measured_now_is_fresh_and_what_never_was_says_nothing(measured: User) -> None:
    found = listed(measured)
    assert (found["freshness"], found["last_tested"][:2]) == ("fresh", "20")
    assert 0 <= found["rot_risk"] < 0.001
    assert listed(measured, "other")["last_tested"] is None
    assert "fresh" in measured("list").out
    assert "tested by triage on big: 20" in measured("show", "triage").out
    assert "tested by" not in measured("show", "other").out


def test_without_records_lists_are_as_they_were(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    assert listed(user)["freshness"] is None
    assert "rot risk" not in user("list").out


@pytest.mark.parametrize(("days", "word"), [(14, "fresh"), (16, "ageing"), (44, "ageing"), (46, "stale")])
def test_a_moving_name_ages_twice_as_fast(measured: User, days: float, word: str) -> None:
    moved(measured, days)
    assert listed(measured)["freshness"] == word
    assert listed(measured)["rot_risk"] > 0.01


@pytest.mark.parametrize(("days", "word"), [(29, "fresh"), (31, "ageing"), (91, "stale")])
def test_a_dated_model_ages_slowly(user: User, server: LoopbackServer, days: float, word: str) -> None:
    user.triage(server.url)
    user.edit("promptreg.yaml", "model: big-1,", "model: big-2026-01-14,")
    RepositoryBuilder(user.root).commit("A registry")
    user("run", "--runs", "write", "--quiet")
    moved(user, days)
    assert listed(user)["freshness"] == word


def test_any_digest_that_changed_makes_it_stale(measured: User) -> None:
    measured.edit("suites/triage.yaml", "contains", "exact")
    assert (shown(measured)["freshness"], shown(measured)["reason"]) == ("stale", "the checks changed since")
    measured.edit("suites/triage.yaml", "exact", "contains")
    measured.edit("promptreg.yaml", "model: big-1,", "model: big-2,")
    assert shown(measured)["reason"] == "the alias means another model now"
    measured.edit("promptreg.yaml", "model: big-2,", "model: big-1,")
    assert shown(measured)["freshness"] == "fresh"
    measured.edit("prompts/triage.yaml", "Name the queue.", "Name a queue.")
    assert listed(measured)["last_tested"] is None, "nobody tested this"


def test_a_model_that_was_never_asked_is_stale(measured: User) -> None:
    measured.edit("suites/triage.yaml", "models: [big]", "models: [big, small]")
    text = measured.read("promptreg.yaml")
    measured.write("promptreg.yaml", text + "  small: {provider: echo, model: echo}\n")
    found = listed(measured)
    assert (found["freshness"], found["last_tested"][:2]) == ("stale", "20")
    assert "on small: never (stale)" in measured("show", "triage").out


def test_a_fail_is_stale_until_something_passes(measured: User) -> None:
    judge(measured, Verdict.FAIL)
    assert shown(measured)["reason"] == "its last verdict is FAIL"
    time.sleep(1.1)  # verdicts have a second's resolution
    judge(measured, Verdict.PASS)
    assert shown(measured)["freshness"] == "fresh"


def test_what_somebody_damaged_counts_for_nothing(measured: User) -> None:
    git = RepositoryBuilder(measured.root).git
    path = git("ls-tree", "-r", "--name-only", "promptreg/runs").strip()
    content = git("show", f"promptreg/runs:{path}").replace("big-1", "big-9")
    RepositoryBuilder(measured.root).git("update-ref", "-d", "refs/heads/promptreg/runs")
    with registry(measured) as found:
        archive = open_archive(Desk(registry=found, now=time.time))
        assert archive is not None
        archive.branch.append({path: content.encode()}, "forged")
    assert listed(measured)["freshness"] == "stale"
    assert listed(measured)["last_tested"] is None
