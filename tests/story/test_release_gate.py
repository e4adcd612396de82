"""What a release must show before it is made, what its tag then says, and how anybody counts again."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Said, User

from promptreg.core.evidence import Evidence
from promptreg.core.records import VerdictRecord, encode
from promptreg.core.releases import block
from promptreg.core.verdict import Verdict
from promptreg.documents.evidence import evidence
from promptreg.registry.branch import Branch
from promptreg.registry.plumbing import Git
from promptreg.testing import LoopbackServer, RepositoryBuilder

CASES = 80
SETTINGS = """\
registry: acme/prompts
models:
  big: {{provider: openai, model: big-1, base_url: "{url}"}}
defaults: {{model: big}}
"""
TRIAGE = """\
inputs: {ticket: {type: string}}
messages:
  - {role: system, content: "Be TONE. Name the queue."}
  - {role: user, content: "{{ ticket }}"}
params: {temperature: 0, max_tokens: 16}
"""
SUITE = """\
prompts: [triage]
models: [big]
dataset: triage.jsonl
checks:
  - exact: "{{ expected }}"
gate: {margin: 0.10, floor: 0.75}
"""


def answered(request: Any) -> str:
    """A model that sorts tickets; in a hurry it gets every third one wrong, else every eighth, and none when careful."""
    system, text = (message["content"] for message in request["messages"])
    number = int(text.split()[-1])
    right = "billing" if number % 2 else "bug"
    wrong = ("hurried" in system and number % 3 == 0) or ("careful" not in system and number % 8 == 0)
    return "other" if wrong else right


def rows(count: int = CASES) -> str:
    pairs = ((f"ticket {number}", "billing" if number % 2 else "bug") for number in range(count))
    return "".join(json.dumps({"inputs": {"ticket": ticket}, "expected": queue}) + "\n" for ticket, queue in pairs)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(answered) as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, server: LoopbackServer) -> RepositoryBuilder:
    built = RepositoryBuilder(tmp_path / "house")
    built.write("promptreg.yaml", SETTINGS.format(url=server.url)).write("suites/triage.yaml", SUITE)
    built.write("suites/triage.jsonl", rows()).write(".gitignore", ".promptreg/\n")
    return tone(built, "brief")


@pytest.fixture
def maker(user: User, house: RepositoryBuilder) -> User:
    """Somebody who has released 1.0.0 on its floor."""
    user.root = house.root
    said = user("release", "triage")
    assert said.code == 0, said.err
    return user


def tone(house: RepositoryBuilder, word: str) -> RepositoryBuilder:
    house.write("prompts/triage.yaml", TRIAGE.replace("TONE", word)).commit(f"Be {word}")
    return house


def release(user: User, *options: str) -> Said:
    return user("release", "triage", "--json", *options)


def said_in(house: RepositoryBuilder, version: str) -> Evidence:
    tag = f"triage@v{version}"
    found = evidence(block(house.git("for-each-ref", "--format=%(contents)", f"refs/tags/{tag}") + "\n"), tag)
    assert found is not None
    return found


def tags(house: RepositoryBuilder) -> list[str]:
    return house.git("tag").split()


# the gate --------------------------------------------------------------------------------------------------------------------


def test_a_first_release_holds_its_floor(maker: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    found = said_in(house, "1.0.0")
    assert (found.verdict, found.no_gate) == ("floor", "")
    (measured,) = found.measured
    assert (measured.suite, measured.model, measured.n, measured.score) == ("triage", "big", CASES, 0.875)
    assert measured.lower is not None
    assert measured.upper is not None
    assert measured.lower < 0.875 < measured.upper
    assert (measured.floor, measured.against, measured.drop) == (0.75, None, None)
    assert measured.reported_models
    assert measured.records
    assert server.requests == CASES


@pytest.mark.parametrize(
    ("gate", "code", "complaint"),
    [
        ("gate: {floor: 0.95}", 1, "below the floor of 95 %"),
        ("gate: {}", 4, "triage has none"),
        ("", 4, "triage has none"),
    ],
)
def test_a_first_release_without_its_floor_is_refused(
    user: User, house: RepositoryBuilder, gate: str, code: int, complaint: str
) -> None:
    house.write("suites/triage.yaml", SUITE.partition("gate:")[0] + gate).commit()
    user.root = house.root
    said = release(user)
    assert said.code == code, said.err
    assert complaint in said.json["refused"][0]["message"]
    assert "--no-gate" in said.err
    assert tags(house) == []


def test_a_release_that_no_suite_tests_is_refused(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.delete("suites/triage.yaml").delete("suites/triage.jsonl").commit()
    user.root = house.root
    said = release(user)
    assert said.code == 4
    (refused,) = said.json["refused"]
    assert (refused["verdict"], refused["reason"]) == ("UNMEASURED", "no_suite")
    assert "promptreg new suite triage" in refused["hint"]
    assert tags(house) == []
    assert release(user, "--no-gate", "there is no suite yet").code == 0
    assert said_in(house, "1.0.0").no_gate == "there is no suite yet"
    assert server.requests == 0


def test_a_drop_is_not_released(maker: User, house: RepositoryBuilder) -> None:
    tone(house, "hurried")
    said = release(maker)
    assert said.code == 1, said.err
    (refused,) = said.json["refused"]
    assert refused["verdict"] == "FAIL"
    assert "triage · big is worse than 1.0.0: a drop of" in refused["message"]
    assert "margin 10" in refused["message"]
    assert "--accept REASON" in refused["hint"]
    assert tags(house) == ["triage@v1.0.0"]


def test_too_little_evidence_is_not_released(maker: User, house: RepositoryBuilder) -> None:
    house.write("suites/triage.jsonl", rows(15)).commit()
    tone(house, "careful")
    said = release(maker)
    assert said.code == 4, said.err
    assert {each["verdict"] for each in said.json["refused"]} == {"UNDECIDED"}
    assert "more cases" in said.err
    assert tags(house) == ["triage@v1.0.0"]


def test_what_is_no_worse_is_released_and_asked_once(maker: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    tone(house, "careful")
    before = server.requests
    dry = release(maker, "--dry-run")
    assert server.requests == before
    assert dry.json["releases"][0]["plan"]["missing"] >= CASES
    said = release(maker, "-m", "Careful now")
    assert said.code == 0, said.err
    found = said_in(house, "1.0.1")
    assert (found.verdict, str(found.previous)) == ("PASS", "1.0.0")
    (measured,) = found.measured
    assert str(measured.against) == "1.0.0"
    assert (measured.verdict, measured.score, measured.margin) == ("PASS", 1.0, 0.10)
    assert measured.drop is not None
    assert measured.drop < 0
    assert measured.drop_upper is not None
    assert measured.drop_upper < 0.10
    assert said.json["releases"][0]["verdict"] == "PASS"


def test_what_behaves_the_same_needs_no_gate(maker: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("notes.txt", "x").commit()
    before = server.requests
    assert release(maker, "--bump", "patch").code == 0
    found = said_in(house, "1.0.1")
    assert (found.verdict, found.measured) == ("unchanged", ())
    assert server.requests == before


def test_a_change_that_no_case_sees_is_refused(maker: User, house: RepositoryBuilder) -> None:
    house.write(
        "prompts/triage.yaml",
        TRIAGE.replace("TONE", "brief").replace("{{ ticket }}", "{{ ticket }}{% if ticket == 'x' %}!{% endif %}"),
    )
    house.commit()
    said = release(maker)
    assert said.code == 4, said.err
    assert "no case of triage sees the change" in said.json["refused"][0]["message"]


def test_a_gate_that_sees_something_else_does_not_speak_for_the_change(maker: User, house: RepositoryBuilder) -> None:
    """The policy changed, so that there is a gate; what changed in the prompt no case reaches."""
    house.write("suites/triage.yaml", SUITE.replace("0.10", "0.15"))
    house.write(
        "prompts/triage.yaml",
        TRIAGE.replace("TONE", "brief").replace("{{ ticket }}", "{{ ticket }}{% if ticket == 'x' %}!{% endif %}"),
    )
    house.commit()
    said = release(maker)
    assert said.code == 4, said.err
    assert "no case of triage sees the change" in said.json["refused"][0]["message"]


def test_all_or_none_are_released(maker: User, house: RepositoryBuilder) -> None:
    house.write("prompts/other.yaml", TRIAGE.replace("TONE", "brief"))
    tone(house, "careful")
    said = maker("release", "--affected", "--json")
    assert said.code == 4
    assert [each["message"] for each in said.json["refused"]] == ["no suite tests other: nobody can say that it is not worse"]
    assert {each["prompt"]: each["verdict"] for each in said.json["releases"]} == {"other": "none", "triage": "PASS"}
    assert tags(house) == ["triage@v1.0.0"]
    house.write("suites/triage.yaml", SUITE.replace("[triage]", "[triage, other]")).commit()
    said = maker("release", "--affected", "--json")
    assert said.code == 0, said.err
    assert {each["prompt"]: each["verdict"] for each in said.json["releases"]} == {"other": "floor", "triage": "PASS"}
    assert verify(maker).code == 0
    assert maker("verify", "other@latest").code == 0


def test_an_accepted_drop_is_released_with_its_reason(maker: User, house: RepositoryBuilder) -> None:
    base = house.git("rev-parse", "HEAD")
    tone(house, "hurried")
    assert maker("check", "--base", base, "--accept", "speed matters more").code == 0
    said = release(maker)
    assert said.code == 0, said.err
    found = said_in(house, "1.0.1")
    assert found.verdict == "accepted"
    assert "speed matters more" in found.accepted
    assert found.measured[0].verdict == "FAIL"


def test_suites_are_heads_and_a_pull_requests_own_job_releases_nothing(
    maker: User, house: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tone(house, "careful")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    assert release(maker).code == 2
    assert tags(house) == ["triage@v1.0.0"]


# counting again --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def careful(maker: User, house: RepositoryBuilder) -> User:
    """1.0.1 is better than 1.0.0, and was released so."""
    tone(house, "careful")
    said = release(maker)
    assert said.code == 0, said.err
    return maker


def verify(user: User, version: str = "1.0.1") -> Said:
    return user("verify", f"triage@{version}", "--json")


def forge(house: RepositoryBuilder, old: str, new: str, version: str = "1.0.1") -> None:
    """The tag made by hand, saying *new* where it said *old*."""
    text = house.git("for-each-ref", "--format=%(contents)", f"refs/tags/triage@v{version}")
    assert old in text
    house.git(
        "tag",
        "--annotate",
        "--force",
        "--cleanup=verbatim",
        "--message",
        text.replace(old, new),
        f"triage@v{version}",
        f"triage@v{version}^{{}}",
    )


def test_releases_are_verified_without_a_model(careful: User, server: LoopbackServer) -> None:
    before = server.requests
    for version, verdict in (("1.0.0", "floor"), ("1.0.1", "PASS")):
        said = verify(careful, version)
        assert said.code == 0, said.err
        assert (said.json["result"], said.json["verdict"]) == ("agreed", verdict)
        assert any("answers, score" in each for each in said.json["agreed"])
    assert any("PASS, drop" in each for each in said.json["agreed"])
    assert server.requests == before


@pytest.mark.parametrize(
    ("gate", "more"),
    [
        ("gate: {margin: 0.10, mode: fixed}", ""),
        ("gate: {margin: 0.20, mode: sequential}", ""),
        ("gate: {margin: 0.10, target: golden}", ""),
        ("gate: {margin: 0.10, on: score}", ""),
        ("gate: {margin: 0.10, floor: 0.5, guard: {length: +50%}}", ""),
        ("gate: {margin: 0.10}", "repeats: 2\n"),
        ("gate: {margin: 0.10}", 'quarantine: [{case: odd, owner: "@ada", until: 2099-01-01}]\n'),
    ],
)
def test_every_way_to_judge_is_fought_again(user: User, house: RepositoryBuilder, gate: str, more: str) -> None:
    house.write("suites/triage.yaml", SUITE.partition("gate:")[0] + more + gate + "\n")
    odd = {"id": "odd", "inputs": {"ticket": "ticket 8"}, "expected": "nothing", "cluster": "of two"}
    house.write("suites/triage.jsonl", rows(200) + json.dumps(odd) + "\n").commit()
    user.root = house.root
    assert release(user, "--no-gate", "the first").code == 0
    tone(house, "careful")
    made = release(user)
    assert made.code == 0, made.err
    said = verify(user)
    assert said.code == 0, said.err
    assert any("PASS, drop" in each for each in said.json["agreed"])


RECORDED = """\
registry: acme/prompts
models:
  big: {provider: recorded, model: old, recording: NAME.jsonl}
  was: {provider: recorded, model: old, recording: old.jsonl}
defaults: {model: big}
runs: {retention: digest}
"""


def test_another_model_from_a_recording_by_case_is_counted_again(user: User, house: RepositoryBuilder) -> None:
    """Grades are counted, so that records without the answers' texts will do."""
    data = [{**json.loads(row), "id": f"c{number}"} for number, row in enumerate(rows().splitlines())]
    house.write("suites/triage.jsonl", "".join(json.dumps(row) + "\n" for row in data))
    for name, wrong in (("old", 8), ("new", 16)):
        answers = (
            {"model": "old", "case": row["id"], "output": row["expected"] if number % wrong else "other"}
            for number, row in enumerate(data)
        )
        house.write(f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in answers))
    house.write("suites/triage.yaml", SUITE.replace("margin:", "mode: fixed, margin:"))
    house.write("promptreg.yaml", RECORDED.replace("NAME", "old")).commit()
    user.root = house.root
    first = release(user)
    assert first.code == 0, first.err
    assert verify(user, "1.0.0").code == 0
    house.write("promptreg.yaml", RECORDED.replace("NAME", "new")).commit()
    second = release(user, "--bump", "patch")
    assert second.code == 0, second.err
    assert said_in(house, "1.0.1").measured[0].drop == pytest.approx(-0.0625)
    said = verify(user)
    assert said.code == 0, said.err
    assert any("PASS, drop" in each for each in said.json["agreed"])


def test_a_suite_that_changed_with_the_prompt_judges_twice_and_is_fought_twice(maker: User, house: RepositoryBuilder) -> None:
    house.write("suites/triage.yaml", SUITE.replace("exact:", "contains:").replace("0.10", "0.15"))
    house.write("suites/more.yaml", SUITE.replace("floor: 0.75", "floor: 0.5"))
    tone(house, "careful")
    made = release(maker)
    assert made.code == 0, made.err
    found = said_in(house, "1.0.1")
    assert [each.suite for each in found.measured] == ["more", "triage"]
    said = verify(maker)
    assert said.code == 0, said.err
    assert sum("PASS, drop" in each for each in said.json["agreed"]) == 2


def test_accepted_and_unchanged_releases_are_verified_too(maker: User, house: RepositoryBuilder) -> None:
    base = house.git("rev-parse", "HEAD")
    tone(house, "hurried")
    assert maker("check", "--base", base, "--accept", "speed matters more").code == 0
    assert release(maker).code == 0
    said = verify(maker)
    assert (said.code, said.json["verdict"]) == (0, "accepted"), said.err
    house.write("notes.txt", "x").commit()
    assert release(maker, "--bump", "patch").code == 0
    assert verify(maker, "1.0.2").json["agreed"][-1] == "it behaves as 1.0.1 does"
    forge(house, 'accepted: "speed', 'accepted: "SPEED')
    assert verify(maker).code == 0, "the words of a reason are people's"
    forge(house, "verdict: accepted", "verdict: PASS")
    said = verify(maker)
    assert said.code == 2
    assert "FAIL, and nobody accepted it" in said.json["differs"][0]


LIES = (
    ('"score": 1.0', '"score": 0.5', "score: the tag says 0.5, it is 1.0"),
    ('"n": ', '"n": 1', "n: the tag says 1"),
    ('"drop": -', '"drop": ', "drop: the tag says 0."),
    ('"margin": 0.1', '"margin": 0.01', "margin: the tag says 0.01, it is 0.1"),
    ("verdict: PASS", "verdict: fine", "'fine' is no verdict"),
    ("verdict: PASS", "verdict: floor", "is judged against it"),
    ("verdict: PASS", "verdict: unchanged", "yet the tag says what was measured"),
    ("verdict: PASS", "verdict: none", "yet the tag says what was measured"),
    ('"suite": "triage"', '"suite": "other"', "other · big does not test it"),
    ("previous: 1.0.0", "", "no release before it is named"),
    ("name: triage", "name: other", "name: the tag says other"),
    ('"against": "1.0.0"', '"against": "0.9.0"', "against: the tag says 0.9.0"),
    ("behaviour: sha256:", "behaviour: sha256:0000", "cannot be read"),
    ('"score": 1.0', '"score": .nan', "cannot be read"),
    ('"score": 1.0', '"score": 7', "cannot be read"),
    ('"records": [', '"records": ["../../x", ', "cannot be read"),
)


def test_a_tag_that_lies_is_told_of(careful: User, house: RepositoryBuilder) -> None:
    honest = house.git("rev-parse", "refs/tags/triage@v1.0.1")
    for old, new, complaint in LIES:
        forge(house, old, new)
        said = verify(careful)
        assert (said.code, said.json["result"]) == (2, "differs"), (new, said.out)
        assert any(complaint in each for each in said.json["differs"]), (new, said.json["differs"])
        house.git("update-ref", "refs/tags/triage@v1.0.1", honest)
    assert verify(careful).code == 0


def test_a_tag_that_keeps_silent_about_a_suite_is_told_of(careful: User, house: RepositoryBuilder) -> None:
    text = house.git("for-each-ref", "--format=%(contents)", "refs/tags/triage@v1.0.1")
    (line,) = [each for each in text.splitlines() if each.startswith("measured:")]
    forge(house, line, "measured: []")
    said = verify(careful)
    assert said.code == 2
    assert "triage · big tests it, and the tag does not say how that went" in said.json["differs"]


def test_without_the_records_nobody_can_count_again(careful: User, house: RepositoryBuilder, tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    house.git("clone", "--quiet", "--single-branch", str(house.root), str(clone))
    elsewhere = User(clone, careful._capsys)
    said = verify(elsewhere)
    assert (said.code, said.json["result"]) == (4, "missing"), said.err
    (cited,) = {each.records for each in said_in(house, "1.0.1").measured}
    assert any(cited[0] in each for each in said.json["missing"])
    assert "promptreg runs fetch" in said.err
    assert elsewhere("runs", "fetch").code == 0
    assert verify(elsewhere).code == 0


def test_a_record_that_was_altered_is_no_record(careful: User, house: RepositoryBuilder) -> None:
    house.git("worktree", "add", "--quiet", "../branch", "promptreg/runs")
    branch = house.root.parent / "branch"
    for path in branch.rglob("*.jsonl"):
        path.write_text(path.read_text().replace('"passed":true', '"passed":false', 1))
    house.git("-C", str(branch), "commit", "--quiet", "--all", "--message", "Better so")
    said = verify(careful)
    assert said.code == 4, said.out
    assert "damaged" in said.json["missing"][0]


def test_other_verdicts_beside_it_change_nothing(careful: User, house: RepositoryBuilder) -> None:
    """Anybody who may push to the runs branch may leave a verdict there, also one that makes no sense."""
    commits = [house.git("rev-parse", f"triage@v{version}^{{}}") for version in ("1.0.0", "1.0.1")]
    common = {"prompt": "triage", "suite": "triage", "model": "big", "base": commits[0], "head": commits[1]}
    odd = VerdictRecord(
        **common,
        behaviour=said_in(house, "1.0.1").behaviour,
        verdict=Verdict.FAIL,
        digests={},
        gate={"references": [{"verdict": [], "units": "many"}, 7], "new": "yes", "mode": []},
        version="0",
        author="M <m@example.org>",
        created="9999-99-99T99:99:99Z",
    )
    Branch(Git(house.root, os.environ), "promptreg/runs").append(dict([encode(odd)]), "odd")
    assert verify(careful).code == 0
    forge(house, '"verdict": "PASS"', '"verdict": "FAIL"')
    said = verify(careful)
    assert said.code == 2, said.out + said.err


def test_later_answers_change_nothing(careful: User, house: RepositoryBuilder, tmp_path: Path, server: LoopbackServer) -> None:
    """What others measure of the same prompt afterwards lies beside what the release cites."""
    clone = tmp_path / "clone"
    house.git("clone", "--quiet", str(house.root), str(clone))
    elsewhere = User(clone, careful._capsys)
    before = server.requests
    assert elsewhere("run", "--runs", "write", "--repeats", "2", "--json").code == 0
    assert server.requests > before
    house.git("fetch", "--quiet", str(clone), "promptreg/runs:refs/remotes/origin/promptreg/runs")
    assert verify(careful).code == 0


def test_what_a_release_cites_is_never_pruned(careful: User) -> None:
    pruned = careful("runs", "prune", "--keep-days", "0", "--json")
    assert pruned.code == 0, pruned.err
    for version in ("1.0.0", "1.0.1"):
        assert verify(careful, version).code == 0


def test_records_are_pushed_before_the_tags_that_cite_them(maker: User, house: RepositoryBuilder, tmp_path: Path) -> None:
    hub = tmp_path / "hub.git"
    house.git("init", "--quiet", "--bare", str(hub))
    house.git("remote", "add", "origin", str(hub))
    tone(house, "careful")
    house.git("push", "--quiet", "origin", "HEAD", "--tags")
    said = release(maker, "--push")
    assert said.code == 0, said.err
    clone = tmp_path / "clone"
    house.git("clone", "--quiet", str(hub), str(clone))
    assert verify(User(clone, maker._capsys)).code == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("verify", "nothing.json"), "'nothing.json' is no file"),
        (("verify", "triage@9.9.9"), "9.9.9"),
        (("verify", "triage@working"), "names no release"),
        (("verify", "triage@1.0.0", "--offline"), "for pulled prompts"),
        (("verify", "triage@1.0.0", "--signers", "promptreg.yaml"), "git verify-tag"),
    ],
)
def test_mistaken_words(maker: User, words: tuple[str, ...], complaint: str) -> None:
    said = maker(*words)
    assert said.code == 2
    assert complaint in said.err


def test_a_tag_by_hand_holds_no_evidence(maker: User, house: RepositoryBuilder) -> None:
    tone(house, "careful")
    house.tag("triage@v1.1.0")
    said = verify(maker, "1.1.0")
    assert (said.code, said.json["result"]) == (4, "missing")
