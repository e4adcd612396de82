"""Grade: a case as one generator, driven here by lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import Json
from promptreg.core.catalogue import Price
from promptreg.core.check import Check, resolve
from promptreg.core.grade import Job, grade, score_key
from promptreg.core.prompt import Message
from promptreg.core.protocols import Answer, Grading, Metric
from promptreg.core.run import (
    Call,
    Completion,
    Failure,
    ModelIdentity,
    Outcome,
    Recall,
    Received,
    Remember,
    Score,
    Usage,
)
from promptreg.core.suite import Case, CheckSpec
from promptreg.errors import DataError, PromptregError, Unmeasured

MODEL = ModelIdentity(facts={"provider": "fake", "model": "m"})
JUDGE = ModelIdentity(facts={"provider": "fake", "model": "judge"})
YES = Completion(text="yes", usage=Usage(input_tokens=1_000_000, output_tokens=500_000))
DOWN = Failure(kind="timeout", message="no answer in 60 s", retryable=True)


def call(text: str, model: ModelIdentity = MODEL) -> Call:
    return Call(model=model, messages=(Message(role="user", content=text),))


class Plain:
    """What every metric here has."""

    name: ClassVar[str] = "plain"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = ""
    cached: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Fixed(Plain):
    value: Any = 1.0

    def score(self, answer: Answer) -> Score:
        return Score(value=self.value)


@dataclass(frozen=True, kw_only=True)
class Judge(Plain):
    """Asks two questions; its score is the mean of the numbers it is answered."""

    threshold: ClassVar[float] = 0.5
    rubric: Json = "good?"

    def score(self, answer: Answer) -> Grading:
        total = 0.0
        for turn in (1, 2):
            reply = yield call(f"{self.rubric} {turn}: {answer.text}", JUDGE)
            assert isinstance(reply, Completion)
            total += float(reply.text)
        return Score(value=total / 2, reason="judged")


@dataclass(frozen=True, kw_only=True)
class CachedJudge(Judge):
    cached: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Raising(Plain):
    fault: Any

    def score(self, answer: Answer) -> Score:
        raise self.fault


@dataclass(frozen=True, kw_only=True)
class Returning(Plain):
    found: Any

    def score(self, answer: Answer) -> Any:
        return self.found


@dataclass(frozen=True, kw_only=True)
class LateRaising(Plain):
    def score(self, answer: Answer) -> Grading:
        yield call("ready?", JUDGE)
        raise KeyError("late")


def build(_: CheckSpec, metric: type[Metric], options: Mapping[str, Json]) -> Metric:
    made: Any = metric
    return made(**options)


def check(metric: Any = Fixed, /, options: Mapping[str, Any] | None = None, **spec: Any) -> Check:
    return resolve(CheckSpec(metric=metric.__name__.lower(), options=options or {}, **spec), metric, build)


def job(*checks: Check, price: Price | None = None, expected: Json = "yes") -> Job:
    case = Case(id="c1", inputs={"q": "?"}, expected=expected)
    return Job(prompt="p", model="m", case=case, call=call("question"), checks=checks or (check(),), price=price)


def drive(job: Job, answers: Sequence[Received | Score | None]) -> tuple[Outcome, list[Any]]:
    """Runs a task against a list of answers; what came of it and what it asked. All answers must be asked for."""
    task = grade(job)
    asked: list[Any] = []
    left = list(answers)
    try:
        asked.append(next(task))
        while True:
            asked.append(task.send(left.pop(0)))
    except StopIteration as end:
        assert not left
        return end.value, asked


def got(text: str, known: bool = False) -> Received:
    return Received(result=Completion(text=text), known=known)


def test_a_case_asks_its_call_first_and_is_scored() -> None:
    outcome, asked = drive(job(check(), check(name="second")), [Received(result=YES)])
    assert asked == [call("question")]
    assert (outcome.passed, outcome.score, outcome.completion, outcome.failure) == (True, 1.0, YES, None)
    assert [result.label for result in outcome.checks] == ["fixed", "second"]
    assert (outcome.prompt, outcome.model, outcome.case.id, outcome.call) == ("p", "m", "c1", call("question"))
    assert (outcome.calls_made, outcome.calls_known) == (1, 0)


def test_a_failure_is_neither_passed_nor_scored() -> None:
    outcome, _ = drive(job(), [Received(result=DOWN)])
    assert (outcome.failure, outcome.completion, outcome.passed, outcome.score, outcome.checks) == (DOWN, None, None, None, ())
    assert outcome.calls_made == 1


@pytest.mark.parametrize("kind", ["no_recording", "budget", "provider_down"])
def test_a_call_that_nobody_sent_is_not_counted(kind: Any) -> None:
    outcome, _ = drive(job(), [Received(result=Failure(kind=kind, message="-"))])
    assert (outcome.calls_made, outcome.calls_known) == (0, 0)


def test_a_faulty_row_is_found_before_anybody_is_asked() -> None:
    with pytest.raises(PromptregError, match="'c1'"):
        next(grade(job(check(options={"value": "{{ expected.missing }}"}), expected={})))


@pytest.mark.parametrize(
    ("price", "completion", "cost"),
    [
        (Price(input=2.0, output=10.0), YES, 7.0),
        (None, YES, None),
        (Price(input=2.0, output=10.0), Completion(text="no usage"), None),
        (None, Completion(text="recorded", cost_usd=0.25), 0.25),
    ],
)
def test_the_cost_is_the_catalogues(price: Price | None, completion: Completion, cost: float | None) -> None:
    outcome, _ = drive(job(price=price), [Received(result=completion)])
    assert outcome.cost_usd == cost


# ---- weights, required, negation


SPECS = st.lists(st.tuples(st.floats(0, 1), st.floats(0.125, 8), st.booleans(), st.booleans()), min_size=1, max_size=6)


@given(SPECS)
def test_passed_is_all_required_and_score_the_weighted_mean(specs: list[tuple[float, float, bool, bool]]) -> None:
    checks = [
        check(options={"value": value}, weight=weight, required=required, negate=negate)
        for value, weight, required, negate in specs
    ]
    outcome, _ = drive(job(*checks), [Received(result=YES)])
    passing = [(value >= 1 - 1e-9) is not negate for value, _, _, negate in specs]
    values = [1 - value if negate else value for value, _, _, negate in specs]
    assert outcome.passed == all(passed for passed, (_, _, required, _) in zip(passing, specs, strict=True) if required)
    weights = [weight for _, weight, _, _ in specs]
    assert outcome.score == pytest.approx(sum(w * v for w, v in zip(weights, values, strict=True)) / sum(weights))
    assert 0 <= (outcome.score or 0) <= 1 + 1e-12


@given(SPECS, st.randoms(use_true_random=False))
def test_the_order_of_checks_changes_nothing(specs: list[tuple[float, float, bool, bool]], order: Any) -> None:
    checks = [
        check(options={"value": value}, weight=weight, required=required, negate=neg) for value, weight, required, neg in specs
    ]
    shuffled = list(checks)
    order.shuffle(shuffled)
    one, other = (drive(job(*some), [Received(result=YES)])[0] for some in (checks, shuffled))
    assert (one.passed, one.score) == (other.passed, pytest.approx(other.score))


def test_a_check_of_weight_0_can_still_fail_a_case() -> None:
    outcome, _ = drive(job(check(), check(options={"value": 0.0}, weight=0)), [Received(result=YES)])
    assert (outcome.passed, outcome.score) == (False, 1.0)


# ---- metrics that ask


def test_a_judge_is_driven_by_its_answers() -> None:
    outcome, asked = drive(job(check(Judge)), [Received(result=YES, known=True), got("1.0"), got("0.5", known=True)])
    assert [one.messages[0].content for one in asked] == ["question", "good? 1: yes", "good? 2: yes"]
    assert asked[1].model == JUDGE
    (result,) = outcome.checks
    assert (result.raw, result.passed, result.reason) == (0.75, True, "judged")
    assert (outcome.calls_made, outcome.calls_known) == (1, 2)


def test_a_judge_that_cannot_be_asked_leaves_the_case_missing() -> None:
    outcome, _ = drive(job(check(), check(Judge)), [Received(result=YES), got("1.0"), Received(result=DOWN)])
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message) == ("timeout", "check 'judge': no answer in 60 s")
    assert (outcome.passed, outcome.score, outcome.checks, outcome.completion) == (None, None, (), YES)
    assert outcome.calls_made == 3


def test_a_stored_score_spares_the_judge() -> None:
    outcome, asked = drive(job(check(CachedJudge)), [Received(result=YES), Score(value=0.625, reason="stored")])
    assert isinstance(asked[1], Recall)
    assert len(asked) == 2
    assert (outcome.checks[0].raw, outcome.checks[0].reason) == (0.625, "stored")
    assert outcome.calls_made == 1


def test_a_new_score_is_remembered_under_the_key_it_was_asked_for() -> None:
    outcome, asked = drive(job(check(CachedJudge)), [Received(result=YES), None, got("1"), got("0"), None])
    recall, remember = asked[1], asked[-1]
    assert isinstance(remember, Remember)
    assert remember == Remember(recall.key, Score(value=0.5, reason="judged"))
    assert outcome.score == 0.5


def test_a_failed_judge_is_not_remembered() -> None:
    _, asked = drive(job(check(CachedJudge)), [Received(result=YES), None, Received(result=DOWN)])
    assert not [one for one in asked if isinstance(one, Remember)]


# ---- faults


@pytest.mark.parametrize(
    ("faulty", "said"),
    [
        (check(Raising, options={"fault": KeyError("queue")}), "metric 'raising' raised KeyError: 'queue'"),
        (check(Raising, options={"fault": PromptregError("own")}), "raised PromptregError: own"),
        (check(Raising, options={"fault": StopIteration(Score(value=1.0))}), "raised RuntimeError"),
        (check(Fixed, options={"value": float("nan")}), "the value nan, which is not within 0 and 1"),
        (check(Fixed, options={"value": 1.0001}), "the value 1.0001"),
        (check(Fixed, options={"value": -0.1}), "the value -0.1"),
        (check(Fixed, options={"value": "high"}), "the value 'high'"),
        (check(Returning, options={"found": None}), "returned a NoneType, not a Score"),
        (check(Returning, options={"found": 0.5}), "returned a float, not a Score"),
        (check(Returning, options={"found": [call("x")]}), "returned a list, not a Score"),
    ],
)
def test_a_plugins_fault_is_the_plugins(faulty: Check, said: str) -> None:
    outcome, _ = drive(job(check(), faulty), [Received(result=YES)])
    assert outcome.failure is not None
    assert outcome.failure.kind == "plugin"
    assert said in outcome.failure.message
    assert (outcome.passed, outcome.score) == (None, None)


def test_a_plugin_that_fails_after_its_call_is_caught_too() -> None:
    outcome, _ = drive(job(check(LateRaising)), [Received(result=YES), got("go on")])
    assert outcome.failure is not None
    assert "KeyError: 'late'" in outcome.failure.message


def test_a_metric_that_asks_for_something_else_than_a_call() -> None:
    def asks() -> Any:
        yield "what?"

    outcome, _ = drive(job(check(Returning, options={"found": asks()})), [Received(result=YES)])
    assert outcome.failure is not None
    assert "asked for a str, not a Call" in outcome.failure.message


def test_an_unmeasured_fact_leaves_the_case_missing_even_negated() -> None:
    unknown = Unmeasured("latency is not known", reason="missing_answers")
    for negate in (False, True):
        outcome, _ = drive(job(check(Raising, options={"fault": unknown}, negate=negate)), [Received(result=YES)])
        assert outcome.failure is not None
        assert outcome.failure.kind == "unmeasured"
        assert outcome.failure.message.endswith("latency is not known")
        assert outcome.passed is None


def test_the_users_mistake_stops_the_run() -> None:
    with pytest.raises(DataError, match="row"):
        drive(job(check(Raising, options={"fault": DataError("a faulty row")})), [Received(result=YES)])


# ---- identity of a score


@dataclass(frozen=True, kw_only=True)
class Rich(Plain):
    words: tuple[str, ...] = ("a",)
    model: ModelIdentity = JUDGE
    kind: Any = None
    nested: Any = None
    handle: Any = None

    def score(self, answer: Answer) -> Score:
        return Score(value=1.0)


class Kind(Enum):
    ONE = "one"


@dataclass(frozen=True)
class Nested:
    depth: int


def answer(**more: Any) -> Answer:
    case = Case(id="c1", inputs={"q": 1}, expected="yes", tags={"t": "x"})
    return Answer(**{"completion": Completion(text="yes"), "case": case, "messages": (Message(role="user", content="q"),), **more})


CHANGES: list[tuple[str, Callable[[], tuple[Any, Answer]], bool]] = [
    ("words", lambda: (Rich(words=("b",)), answer()), True),
    ("judge", lambda: (Rich(model=MODEL), answer()), True),
    ("enum", lambda: (Rich(kind=Kind.ONE), answer()), True),
    ("enum is not its value", lambda: (Rich(kind="one"), answer()), True),
    ("nested", lambda: (Rich(nested={"a": [Nested(1)]}), answer()), True),
    ("another metric", lambda: (type("Other", (Rich,), {"name": "other"})(), answer()), True),
    ("another version", lambda: (type("Newer", (Rich,), {"version": "2"})(), answer()), True),
    ("text", lambda: (Rich(), answer(completion=Completion(text="no"))), True),
    ("messages", lambda: (Rich(), answer(messages=())), True),
    ("inputs", lambda: (Rich(), answer(case=replace(answer().case, inputs={"q": 2}))), True),
    ("expected", lambda: (Rich(), answer(case=replace(answer().case, expected="no"))), True),
    ("schema", lambda: (Rich(), answer(output_schema={})), True),
    ("id", lambda: (Rich(), answer(case=replace(answer().case, id="c2"))), False),
    ("latency", lambda: (Rich(), answer(completion=Completion(text="yes", latency_s=1.0, observed_at=5.0))), False),
    ("cost", lambda: (Rich(), answer(cost_usd=1.0)), False),
]


@pytest.mark.parametrize(("what", "change", "differs"), CHANGES, ids=[what for what, _, _ in CHANGES])
def test_what_makes_another_score(what: str, change: Callable[[], tuple[Any, Answer]], differs: bool) -> None:
    assert (score_key(*change()) != score_key(Rich(), answer())) is differs
    assert score_key(*change()) == score_key(*change())


def test_score_keys_are_all_different() -> None:
    keys = [score_key(*change()) for _, change, differs in CHANGES if differs]
    assert len(set(keys)) == len(keys)


def test_an_option_without_lasting_form_has_no_identity() -> None:
    with pytest.raises(PromptregError, match="object has no identity"):
        score_key(Rich(handle=object()), answer())


def test_a_judge_slot_moves_the_judges_calls_and_only_theirs() -> None:
    asked_again = replace(job(check(Judge), check(name="plain")), judge_slot=2000)
    outcome, asked = drive(asked_again, [got("x"), got("1"), got("0")])
    assert [each.slot for each in asked] == [0, 2000, 2000]
    assert asked[1].key == drive(job(check(Judge)), [got("x"), got("1"), got("0")])[1][1].key
    assert outcome.score == 0.75


def test_a_judge_slot_is_added_to_the_metrics_own() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Twice(Plain):
        def score(self, answer: Answer) -> Grading:
            for slot in (0, 1):
                yield replace(call("judge", JUDGE), slot=slot)
            return Score(value=1.0)

    _, asked = drive(replace(job(check(Twice)), judge_slot=3000), [got("x"), got("1"), got("1")])
    assert [each.slot for each in asked[1:]] == [3000, 3001]


def test_scores_judged_anew_are_neither_recalled_nor_remembered() -> None:
    first = drive(job(check(CachedJudge)), [got("x"), None, got("1"), got("1"), None])[1]
    assert [type(each) for each in first] == [Call, Recall, Call, Call, Remember]
    again = drive(replace(job(check(CachedJudge)), judge_slot=1), [got("x"), got("0"), got("0")])
    assert [type(each) for each in again[1]] == [Call, Call, Call]
    assert again[0].passed is False
