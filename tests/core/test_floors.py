"""Floors: FAIL, UNDECIDED and PASS row by row; what is unknown is held against the verdict; how often a good prompt fails."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.floors import Floor
from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.suite import Policy
from promptreg.core.verdict import SEVERITY, FloorResult, Verdict

PASS, FAIL, UNDECIDED, UNMEASURED = Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED, Verdict.UNMEASURED
ALPHA = 0.05
Mode = Literal["fixed", "sequential", "hybrid"]
MISSING = Graded(passed=None, score=None, failure="provider_down")


def answer(value: float) -> Graded:
    return Graded(passed=value >= 0.5, score=value)


def case(*values: float, same: bool = False) -> Pair:
    return Pair(case="c", base=(), head=tuple(answer(value) for value in values), same=same)


UNKNOWN = Pair(case="u", base=(), head=(), same=True)
LOST = Pair(case="l", base=(), head=(MISSING,))


def judged(
    pairs: Iterable[Pair], floor: float | None = 0.8, *, stopped: bool = False, cluster: int = 1, **more: Any
) -> FloorResult:
    facts: dict[str, Any] = {"mode": "fixed", **more}
    planned = facts.pop("planned", None)
    fold, listed = Floor(Policy(floor=floor, **facts), "seed"), list(pairs)
    for start in range(0, len(listed), cluster):
        fold.add(Unit(str(start), listed[start : start + cluster]))
    result = fold.finish(planned_cases=len(listed) if planned is None else planned, stopped_early=stopped, alpha=ALPHA)
    assert result is not None
    return result


def mixed(passed: int, failed: int) -> list[Pair]:
    return [case(1.0)] * passed + [case(0.0)] * failed


@pytest.mark.parametrize(
    ("passed", "failed", "expected"),
    [
        (80, 20, PASS),
        (95, 5, PASS),
        (79, 21, UNDECIDED),
        (73, 27, UNDECIDED),
        (72, 28, FAIL),
        (0, 100, FAIL),
        (0, 1, UNDECIDED),
        (0, 2, FAIL),
    ],
)
def test_a_score_shown_to_be_below_the_floor_fails_and_one_that_only_looks_so_does_not(
    passed: int, failed: int, expected: Verdict
) -> None:
    result = judged(mixed(passed, failed))
    assert (result.verdict, result.n, result.note) == (expected, passed + failed, "")
    assert result.score == pytest.approx(passed / (passed + failed))
    assert result.upper is not None
    assert (result.upper < 0.8) is (expected is FAIL)


def test_a_policy_without_a_floor_has_no_result() -> None:
    fold = Floor(Policy(), "seed")
    fold.add(Unit("u", [case(0.0)]))
    assert fold.finish(planned_cases=1, stopped_early=False, alpha=ALPHA) is None


@pytest.mark.parametrize(("floor", "expected"), [(0.0, PASS), (1.0, FAIL)])
def test_floors_at_the_ends(floor: float, expected: Verdict) -> None:
    assert judged(mixed(30, 1), floor).verdict is expected
    assert judged(mixed(30, 0), floor).verdict is PASS


def test_repeats_are_averaged_and_clusters_are_one_piece_of_evidence() -> None:
    assert judged([case(1.0, 0.0, 1.0, 1.0)] * 30).score == pytest.approx(0.75)
    low = [case(value) for value in [0.0] * 30 + [1.0] * 40]
    assert judged(low).verdict is FAIL
    assert judged(low, cluster=10).verdict is UNDECIDED


def test_the_score_itself_may_have_a_floor() -> None:
    chance = random.Random(1)
    scores = [case(chance.betavariate(6, 4)) for _ in range(60)]
    assert judged(scores, 0.55, on="score").verdict is PASS
    failed = judged(scores, 0.75, on="score")
    assert (failed.verdict, failed.on) == (FAIL, "score")
    assert failed.upper is not None
    assert failed.score is not None
    assert failed.score < failed.upper < 0.75


# -- what is unknown ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("passed", "failed", "unknown", "expected"),
    [
        (85, 5, 10, PASS),  # .85 even if all had failed
        (80, 0, 20, PASS),
        (79, 0, 21, UNDECIDED),
        (0, 28, 72, FAIL),  # .72 of a hundred even if all had passed
        (0, 27, 73, UNDECIDED),
        (0, 0, 100, UNDECIDED),
    ],
)
@pytest.mark.parametrize("shown", [True, False])
def test_what_is_unknown_is_held_against_either_verdict(
    passed: int, failed: int, unknown: int, expected: Verdict, shown: bool
) -> None:
    """*shown*: as an unchanged case without an answer; else as a case that never came."""
    result = judged(mixed(passed, failed) + [UNKNOWN] * (unknown if shown else 0), planned=100)
    assert result.verdict is expected
    assert f"{passed + failed} of 100 cases are known" in result.note
    assert result.n == passed + failed


def test_known_answers_of_an_unchanged_case_count_whichever_side_holds_them() -> None:
    base = Pair(case="b", base=(answer(1.0),), head=(), same=True)
    result = judged([base, case(1.0, same=True)] * 15)
    assert (result.verdict, result.score, result.n) == (PASS, 1.0, 30)


def test_the_answers_of_base_say_nothing_of_a_case_that_changed() -> None:
    assert judged([Pair(case="b", base=(answer(1.0),), head=(MISSING,))] * 30).verdict is UNMEASURED


def test_too_many_missing_answers_are_unmeasured_unless_it_fails_even_so() -> None:
    assert judged([case(1.0)] * 98 + [LOST] * 2).verdict is PASS
    assert judged([case(1.0)] * 97 + [LOST] * 3).verdict is UNMEASURED
    assert judged([case(0.0)] * 97 + [LOST] * 3).verdict is FAIL
    assert judged([]).verdict is UNMEASURED


def test_one_lost_repeat_leaves_its_case_between_its_bounds() -> None:
    half = Pair(case="h", base=(), head=(answer(1.0), MISSING))
    result = judged([case(1.0, 1.0)] * 79 + [half] + [case(0.0, 0.0)] * 20)
    assert result.verdict is UNDECIDED  # .795 at the least, .80 at the most
    assert result.n == 99


# -- stopped early -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sequential", "hybrid"])
def test_cases_that_were_not_reached_are_not_unknown(mode: Mode) -> None:
    good = judged(mixed(30, 0), mode=mode, stopped=True, planned=400)
    assert (good.verdict, good.note) == (PASS, "")
    bad = judged(mixed(0, 30), mode=mode, stopped=True, planned=400)
    assert bad.verdict is FAIL
    assert bad.upper is not None
    assert bad.upper <= 0.8
    unsure = judged(mixed(20, 8), mode=mode, stopped=True, planned=400)
    assert unsure.verdict is UNDECIDED
    assert judged(mixed(20, 0) + [UNKNOWN] * 8, mode=mode, stopped=True, planned=400).verdict is UNDECIDED


@pytest.mark.parametrize("mode", ["fixed", "sequential", "hybrid"])
def test_a_prompt_as_good_as_its_floor_fails_in_five_of_a_hundred_at_most(mode: Mode) -> None:
    """Early modes with the worst stopper there is: after any 20th case at which the floor would fail."""
    times, wrong = 100, 0
    for time in range(times):
        chance = random.Random(f"{mode}/{time}")
        fold = Floor(Policy(floor=0.9, mode=mode), "s")
        for at in range(1, 101):
            fold.add(Unit(str(at), [case(float(chance.random() < 0.9))]))
            if at == 100 or (mode != "fixed" and at % 20 == 0):
                result = fold.finish(planned_cases=100, stopped_early=at < 100, alpha=ALPHA)
                if result is not None and result.verdict is FAIL:
                    wrong += 1
                    break
    assert wrong / times <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / times)


@pytest.mark.parametrize("shape", ["rare successes", "rare collapses", "judge"])
def test_graded_scores_at_the_floor_fail_in_five_of_a_hundred_at_most(shape: str) -> None:
    chance, times = random.Random(shape), 200
    mean = {"rare successes": 0.06, "rare collapses": 0.94, "judge": 0.6}[shape]

    def score() -> float:
        if shape == "judge":
            return chance.choice([0.25, 0.5, 0.75, 0.9])
        rare = chance.random() < 0.06
        return float(rare) if shape == "rare successes" else 1.0 - rare

    wrong = sum(judged([case(score()) for _ in range(60)], mean, on="score").verdict is FAIL for _ in range(times))
    assert wrong / times <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / times)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 20), st.sampled_from([0.5, 0.8, 0.95]))
def test_a_case_more_that_fails_never_helps(passed: int, failed: int, unknown: int, floor: float) -> None:
    if not passed:
        return
    before = judged(mixed(passed, failed) + [UNKNOWN] * unknown, floor)
    after = judged(mixed(passed - 1, failed + 1) + [UNKNOWN] * unknown, floor)
    assert SEVERITY[after.verdict] >= SEVERITY[before.verdict]
    assert after.p <= before.p + 1e-12
