"""Slices: what of a cell each tag's cases did."""

from __future__ import annotations

from promptreg.core.canonical import Json
from promptreg.core.prompt import Message
from promptreg.core.run import Call, Completion, ModelIdentity, Outcome
from promptreg.core.slices import LISTED, REST
from promptreg.core.stats import wilson
from promptreg.core.suite import Case, CheckSpec, Policy, Slices, Suite
from promptreg.core.tally import CellTally

CALL = Call(model=ModelIdentity(facts={"model": "m"}), messages=(Message(role="user", content="?"),))
SUITE = Suite(
    name="s",
    prompts=("p",),
    models=("m",),
    checks=(CheckSpec(metric="exact"),),
    policy=Policy(slices=Slices(by=("tags.queue",))),
)


def outcome(number: int, tags: dict[str, str], passed: bool) -> Outcome:
    inputs: dict[str, Json] = {"n": number}
    case = Case(id=str(number), inputs=inputs, tags=tags)
    return Outcome(prompt="p", model="m", case=case, call=CALL, completion=Completion(text=""), passed=passed, score=float(passed))


def test_every_value_of_the_tag_has_its_rate_and_interval() -> None:
    tally = CellTally(SUITE, "p", "m")
    for number in range(30):
        tally.add(outcome(number, {"queue": "bug" if number % 3 else "billing"}, passed=number % 2 == 0))
    billing, bug = tally.cell().slices
    assert (billing.value, billing.n, billing.passed) == ("billing", 10, 5)
    assert (bug.value, bug.n, bug.passed) == ("bug", 20, 10)
    assert (bug.lower, bug.upper) == wilson(10, 20)


def test_a_suite_without_slices_has_none_and_an_untagged_case_is_a_slice_of_its_own() -> None:
    plain = CellTally(Suite(name="s", prompts=("p",), models=("m",), checks=()), "p", "m")
    plain.add(outcome(1, {"queue": "bug"}, passed=True))
    assert plain.cell().slices == ()
    tally = CellTally(SUITE, "p", "m")
    tally.add(outcome(1, {}, passed=True))
    assert [(part.value, part.n) for part in tally.cell().slices] == [("", 1)]


def test_a_tag_that_is_an_id_stays_bounded() -> None:
    tally = CellTally(SUITE, "p", "m")
    for number in range(3 * LISTED):
        tally.add(outcome(number, {"queue": f"q{number}"}, passed=True))
    parts = {part.value: part.n for part in tally.cell().slices}
    assert len(parts) == LISTED + 1
    assert parts[REST] == 2 * LISTED
