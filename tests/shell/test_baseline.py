"""What a store knows of a baseline: jobs that are answered and graded without asking anybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from promptreg.core.check import Check, resolve
from promptreg.core.grade import Job
from promptreg.core.prompt import Message
from promptreg.core.protocols import Answer, Grading
from promptreg.core.run import BASELINE, Call, Completion, ModelIdentity, Score
from promptreg.core.suite import Case, CheckSpec
from promptreg.store import Store
from promptreg.workflow.baseline import noise, recalled

MODEL = ModelIdentity(facts={"provider": "fake", "model": "m"})
JUDGE = ModelIdentity(facts={"provider": "fake", "model": "judge"})
NOW = 1_000_000.0


class Plain:
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 0.5
    short: ClassVar[str] = ""
    cached: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Says(Plain):
    """The number that the answer is."""

    name: ClassVar[str] = "says"

    def score(self, answer: Answer) -> Score:
        return Score(value=float(answer.text))


@dataclass(frozen=True, kw_only=True)
class Judged(Plain):
    """What a judge says of the answer."""

    name: ClassVar[str] = "judged"
    cached: ClassVar[bool] = True

    def score(self, answer: Answer) -> Grading:
        said = yield call(f"judge {answer.text}", JUDGE)
        return Score(value=float(said.text) if isinstance(said, Completion) else 0.0)


def call(text: str, model: ModelIdentity = MODEL, slot: int = 0) -> Call:
    return Call(model=model, messages=(Message(role="user", content=text),), slot=slot)


def check(metric: Any) -> Check:
    def build(spec: CheckSpec, made: Any, options: Any) -> Any:
        return made(**options)

    return resolve(CheckSpec(metric=metric.name), metric, build)


def jobs(case: str, repeats: int, metric: Any = Says) -> list[Job]:
    found = Case(id=case, inputs={"q": case})
    return [
        Job(prompt="p", model="m", case=found, call=call(case, slot=BASELINE + slot), checks=(check(metric),))
        for slot in range(repeats)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store.open(tmp_path / "store.sqlite3", lambda: NOW)
    yield opened
    opened.close()


def put(store: Store, asked: Call, text: str, at: float = NOW) -> None:
    store.put(asked.key, asked.slot, Completion(text=text, observed_at=at))


def test_what_is_known_is_graded_and_what_is_not_is_missing(store: Store) -> None:
    known, unknown = jobs("a", 2)
    put(store, known.call, "1")
    found, lacking = recalled(known, store), recalled(unknown, store)
    assert (found.passed, found.calls_made, found.calls_known) == (True, 0, 1)
    assert lacking.completion is None
    assert lacking.failure is not None
    assert (lacking.failure.kind, lacking.calls_made) == ("no_recording", 0)


def test_an_answer_that_expired_is_not_known(store: Store) -> None:
    (job,) = jobs("a", 1)
    put(store, job.call, "0", NOW - 10)
    assert recalled(job, store, NOW - 5).completion is None
    put(store, job.call, "1", NOW)
    assert recalled(job, store, NOW - 5).passed is True, "the newer observation of the same slot"
    assert recalled(job, store).passed is False, "the oldest one that is not too old is the one that counts"


def test_a_judge_is_not_asked_but_its_known_word_counts(store: Store) -> None:
    (job,) = jobs("a", 1, Judged)
    put(store, job.call, "x")
    silent = recalled(job, store)
    assert (silent.passed, silent.completion is not None, silent.calls_made) == (None, True, 0)
    put(store, call("judge x", JUDGE), "1", NOW - 10)
    assert recalled(job, store, NOW - 5).passed is True, "the age is that of the model under test"
    store.prune(older_than=NOW - 5)
    assert recalled(job, store).passed is True, "the score is kept by itself"


def test_noise_is_the_discordance_of_what_is_known(store: Store) -> None:
    first, second, third = jobs("a", 3), jobs("b", 3), jobs("c", 1)
    assert noise([first, second, third], store, None, "passed") is None
    for job, text in zip([*first, *second, *third], ["0.6", "0.6", "0.2", "1", "1", "1", "0"], strict=True):
        put(store, job.call, text)
    assert noise([first, second, third], store, None, "passed") == pytest.approx((2 / 3 + 0) / 2)
    assert noise([first, second, third], store, None, "score") == pytest.approx((0.32 / 3 + 0) / 2)


def test_noise_leaves_out_what_a_judge_would_have_to_see(store: Store) -> None:
    judged = jobs("a", 3, Judged)
    for job in judged:
        put(store, job.call, f"x{job.call.slot - BASELINE}")
    assert noise([judged], store, None, "passed") is None
    put(store, call("judge x0", JUDGE), "1")
    put(store, call("judge x2", JUDGE), "0")
    assert noise([judged], store, None, "passed") == 1.0
