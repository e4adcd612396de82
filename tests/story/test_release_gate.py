"""What a release must show before it is made, what its tag then says, and how anybody counts again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Said, User

from promptreg.core.evidence import Evidence
from promptreg.core.releases import block
from promptreg.documents.evidence import evidence
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
