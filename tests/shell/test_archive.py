"""The archive: records, verdicts and acceptances through a real repository and a real store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from repositories import PROMPT, SETTINGS, commit, git, opened, write

from promptreg.core.canonical import Digest, digest_bytes
from promptreg.core.prompt import Message, MessageTemplate, Prompt
from promptreg.core.records import Acceptance, Cell, VerdictRecord
from promptreg.core.run import Call, Completion, Failure, Fingerprint, ModelIdentity, Outcome
from promptreg.core.settings import Runs
from promptreg.core.suite import Case, CheckSpec, Suite
from promptreg.core.verdict import Verdict
from promptreg.registry import Registry
from promptreg.store import Store
from promptreg.workflow import records
from promptreg.workflow.records import Archive, Desk, Recorder, Subject, open_archive, subject

NOW = 1_777_777_777.0
A, B = digest_bytes(b"a"), digest_bytes(b"b")
IDENTITY = ModelIdentity(facts={"provider": "echo", "model": "echo"})
SUITE = Suite(name="s", prompts=("p",), models=("small",), checks=(CheckSpec(metric="exact"),))
PARSED = Prompt(name="p", messages=(MessageTemplate(role="user", content="{{ x }}"),), inputs={"x": {}})
VERDICT = VerdictRecord(
    prompt="p",
    behaviour=A,
    suite="s",
    model="small",
    verdict=Verdict.FAIL,
    base="1" * 40,
    head="2" * 40,
    digests={"suite": B},
    gate={"drop": 0.5},
    version="0",
    author="Ada",
    created="2026-05-01T12:00:00Z",
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    root = write(tmp_path / "registry", {"promptreg.yaml": SETTINGS, "prompts/p.yaml": PROMPT})
    commit(root)
    with opened(root) as found:
        yield found


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store.open(tmp_path / "store.sqlite3", lambda: NOW)
    yield found
    found.close()


def archive(registry: Registry, store: Store | None = None, notes: list[str] | None = None, runs: Runs | None = None) -> Archive:
    desk = Desk(registry=registry, now=lambda: NOW, store=store)
    found = open_archive(desk, runs=runs, note=(notes if notes is not None else []).append)
    assert found is not None
    return found


def of(**changes: object) -> Subject:
    found = subject(SUITE, PARSED, "p@1.0.0", "small", IDENTITY)
    return replace(found, **changes)  # type: ignore[arg-type]


def outcome(number: int, text: str = "yes", at: float = NOW, slot: int = 0) -> Outcome:
    case = Case(id=f"c{number}", inputs={"x": number})
    call = Call(model=IDENTITY, messages=(Message(role="user", content=str(number)),), slot=slot)
    completion = Completion(text=text, observed_at=at, reported_model="echo-1")
    return Outcome(prompt="p", model="small", case=case, call=call, completion=completion, passed=True, score=1.0)


def left(found: Archive, *outcomes: Outcome, subject: Subject | None = None) -> tuple[str, ...]:
    recorder = Recorder(found, "run")
    for each in outcomes:
        recorder.add(subject or of(), each)
    return recorder.write()


def test_answers_come_back_from_the_branch(registry: Registry, store: Store) -> None:
    one = outcome(1)
    (path,) = left(
        archive(registry),
        one,
        outcome(2, slot=1),
        replace(outcome(3), completion=None, failure=Failure(kind="timeout", message="x")),
    )
    found = archive(registry, store)
    assert found.recall([of().cell]) == 2
    assert store.known([Fingerprint(one.call.key, 0)]) == {Fingerprint(one.call.key, 0): one.completion}
    assert found.recall([of().cell]) == 2
    assert store.stats()["answers"] == 2, "the same observation is not kept twice"
    (record,) = found.records([of().cell])
    header = record.header
    assert (header.cell.prompt, header.purpose, header.reported_models) == ("p", "run", ("echo-1",))
    assert (header.created, header.author) == ("2026-05-03T03:09:37Z", "Test Author <author@example.com>")
    assert path.startswith(header.cell.folder)
    assert [answer.failure for answer in record.answers] == [None, None, "timeout"]


def test_only_the_cells_that_are_asked_for_are_read(registry: Registry, store: Store) -> None:
    left(archive(registry), outcome(1))
    found = archive(registry, store)
    others = [
        replace(of().cell, **{name: value})
        for name, value in (("suite", "t"), ("prompt", "q"), ("behaviour", A), ("alias", "x"), ("identity", B))
    ]
    assert found.recall(others) == 0
    assert found.recall([]) == 0
    assert store.stats()["answers"] == 0


def test_without_a_store_nothing_is_recalled(registry: Registry) -> None:
    left(archive(registry), outcome(1))
    assert archive(registry).recall([of().cell]) == 0


def test_outside_of_git_there_is_no_archive(tmp_path: Path) -> None:
    root = write(tmp_path / "plain", {"promptreg.yaml": SETTINGS})
    assert open_archive(Desk(registry=opened(root), now=lambda: NOW)) is None


@pytest.mark.parametrize(
    ("other", "of_what", "written"),
    [
        (outcome(1), {}, 0),
        (outcome(1, at=NOW + 1), {}, 1),
        (outcome(1, slot=1), {}, 1),
        (outcome(2), {}, 1),
        (replace(outcome(1), passed=False), {}, 1),
        (outcome(1), {"suite": A}, 1),
        (outcome(1), {"checks": A}, 1),
        (outcome(1), {"dataset": A}, 1),
    ],
)
def test_only_what_is_new_is_written(registry: Registry, other: Outcome, of_what: dict[str, Digest], written: int) -> None:
    left(archive(registry), outcome(1))
    assert len(left(archive(registry), other, subject=of(**of_what))) == written


def test_answers_that_two_suites_judge_differently_are_two_records(registry: Registry) -> None:
    recorder = Recorder(archive(registry), "check")
    recorder.add(of(), outcome(1))
    recorder.add(of(suite=A), replace(outcome(1), passed=False))
    assert len(recorder.write()) == 2
    assert recorder.write() == recorder.write()
    assert git(registry.root, "rev-list", "--count", "promptreg/runs") == "1", "one commit for both"


def test_a_large_run_is_written_in_parts(registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PART_BYTES", 20_000)
    monkeypatch.setattr(records, "LARGEST", 10_000)
    written = left(archive(registry), *(outcome(number, "x" * 500) for number in range(60)))
    assert len(written) > 3
    assert archive(registry, store).recall([of().cell]) == 60
    assert all(len(content) <= 10_000 for _, content in archive(registry).branch.read(written))


@pytest.mark.parametrize("retention", ["digest", "redacted"])
def test_below_full_retention_there_is_nothing_to_recall(registry: Registry, store: Store, retention: str) -> None:
    notes: list[str] = []
    runs = Runs(retention=retention)  # type: ignore[arg-type]
    left(archive(registry, runs=runs), outcome(1), outcome(2))
    assert archive(registry, store, notes).recall([of().cell]) == 0
    assert len(notes) == 1
    assert "asked for again" in notes[0]


def test_verdicts_and_acceptances_are_found_by_behaviour(registry: Registry) -> None:
    found = archive(registry)
    acceptance = Acceptance(
        prompt="p", behaviour=A, suite="s", model="small", base="", reason="shorter", author="Ada", created=VERDICT.created
    )
    later = replace(VERDICT, verdict=Verdict.PASS, created="2026-05-02T12:00:00Z")
    twin = Digest(A[:30] + ("0" if A[30] != "0" else "1") + A[31:])
    found.keep([later, VERDICT, acceptance, replace(VERDICT, behaviour=twin)])
    assert found.verdicts("p", A) == (VERDICT, later)
    assert found.verdicts("p", twin) == (replace(VERDICT, behaviour=twin),)
    assert found.verdicts("q", A) == found.verdicts("p", B) == ()
    assert found.acceptances("p", A) == (acceptance,)
    assert found.acceptances("p", twin) == ()
    before = git(registry.root, "rev-parse", "promptreg/runs")
    found.keep([VERDICT])
    assert git(registry.root, "rev-parse", "promptreg/runs") == before
    assert found.keep([]) == ()


def test_a_behaviour_that_is_no_digest_finds_nothing_harmful(registry: Registry) -> None:
    found = archive(registry)
    found.keep([VERDICT])
    assert found.verdicts("../p", Digest("../../..")) == ()
    cell = Cell(suite="..", prompt="", behaviour=A, alias="/", identity=B)
    assert list(found.records([cell])) == []


def test_settings_name_the_branch(registry: Registry) -> None:
    left(archive(registry, runs=Runs(branch="other/place")), outcome(1))
    assert git(registry.root, "branch", "--list", "--format=%(refname:short)", "other/*") == "other/place"
    assert not archive(registry).branch.exists
