"""Guards: the verdict's three tests row by row, what is unknown, and how often they fail at the very limit."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.guards import Guards
from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.suite import Limit, Policy
from promptreg.core.verdict import GuardResult, Verdict

PASS, FAIL, UNDECIDED, UNMEASURED = Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED, Verdict.UNMEASURED
ALPHA = 0.05
Mode = Literal["fixed", "sequential", "hybrid"]
PERCENT10, POINTS2 = Limit(amount=0.10, relative=True), Limit(amount=0.02, relative=False)


def graded(**facts: Any) -> Graded:
    return Graded(passed=True, score=1.0, **facts)


MISSING = Graded(passed=None, score=None, failure="timeout")


def pair(number: int, base: Graded | tuple[Graded, ...], head: Graded | tuple[Graded, ...], *, same: bool = False) -> Pair:
    sides = [side if isinstance(side, tuple) else (side,) for side in (base, head)]
    return Pair(case=str(number), base=sides[0], head=sides[1], same=same)


def judged(
    guard: Mapping[str, Limit],
    pairs: Iterable[Pair],
    *,
    mode: Mode = "fixed",
    stopped: bool = False,
    interleaved: bool = True,
    cluster: int = 1,
) -> tuple[GuardResult, ...]:
    guards = Guards(Policy(guard=guard, mode=mode), "seed")
    listed = list(pairs)
    for start in range(0, len(listed), cluster):
        guards.add(Unit(str(start), listed[start : start + cluster]))
    return guards.finish(stopped_early=stopped, interleaved=interleaved, alpha=ALPHA)


def numbers(name: str, bases: Iterable[float], heads: Iterable[float]) -> list[Pair]:
    field = {"cost": "cost_usd", "latency_p95": "latency_s"}.get(name, name)
    sides = zip(bases, heads, strict=True)
    return [pair(at, graded(**{field: base}), graded(**{field: head})) for at, (base, head) in enumerate(sides)]


def lengths(n: int, factor: float, *, spread: float = 0.5, seed: str = "") -> list[Pair]:
    """Lognormal lengths, base's and head's independent, head's mean *factor* times base's."""
    chance = random.Random(f"{n}/{factor}/{spread}/{seed}")
    return numbers(
        "length",
        [chance.lognormvariate(5, spread) for _ in range(n)],
        [factor * chance.lognormvariate(5, spread) for _ in range(n)],
    )


# -- one guard ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "factor", "expected"),
    [("cost", 1.05, PASS), ("cost", 1.5, FAIL), ("tokens", 0.7, PASS), ("tokens", 1.5, FAIL), ("length", 1.5, FAIL)],
)
def test_a_mean_within_its_limit_passes_and_one_beyond_it_fails(name: str, factor: float, expected: Verdict) -> None:
    chance = random.Random(name)
    bases = [chance.uniform(80, 120) for _ in range(60)]
    (result,) = judged({name: PERCENT10}, numbers(name, bases, [factor * base * chance.uniform(0.9, 1.1) for base in bases]))
    assert (result.guard, result.limit, result.verdict, result.note) == (name, "+10%", expected, "")
    assert result.base == pytest.approx(sum(bases) / 60)
    assert result.increase == pytest.approx(factor - 1, abs=0.03)
    assert result.p is not None
    assert (result.p <= ALPHA) is (expected is FAIL)


def test_an_estimate_beyond_the_limit_without_evidence_is_undecided() -> None:
    (result,) = judged({"length": PERCENT10}, numbers("length", [100, 200, 50, 80], [150, 180, 90, 85]))
    assert result.verdict is UNDECIDED
    assert result.increase == pytest.approx(505 / 430 - 1)


def test_exactly_the_limit_is_within_it() -> None:
    (result,) = judged({"tokens": PERCENT10}, numbers("tokens", [10.0, 30.0, 20.0], [11.0, 33.0, 22.0]))
    assert result.verdict is PASS
    assert result.increase == pytest.approx(0.10)


def refusals(n: int, more: int, fewer: int, both: int = 0) -> list[Pair]:
    sides = [(False, True)] * more + [(True, False)] * fewer + [(True, True)] * both
    sides += [(False, False)] * (n - len(sides))
    return [pair(at, graded(refused=base), graded(refused=head)) for at, (base, head) in enumerate(sides)]


@pytest.mark.parametrize(
    ("n", "more", "fewer", "expected"),
    [(200, 3, 1, PASS), (200, 4, 0, PASS), (200, 6, 0, UNDECIDED), (200, 10, 0, FAIL), (200, 20, 3, FAIL), (20, 2, 0, UNDECIDED)],
)
def test_points_of_refusals_are_counted_in_pairs(n: int, more: int, fewer: int, expected: Verdict) -> None:
    (result,) = judged({"refusal": POINTS2}, refusals(n, more, fewer, both=2))
    assert (result.limit, result.verdict) == ("+2pt", expected)
    assert result.increase == pytest.approx((more - fewer) / n)
    assert result.base == pytest.approx((fewer + 2) / n)


def test_a_relative_limit_of_a_rate_is_of_the_rate_and_few_refusals_show_nothing() -> None:
    assert judged({"refusal": PERCENT10}, refusals(200, 3, 0))[0].verdict is UNDECIDED
    assert judged({"refusal": PERCENT10}, refusals(200, 60, 10, both=40))[0].verdict is FAIL
    (within,) = judged({"refusal": PERCENT10}, refusals(200, 4, 1, both=49))
    assert within.verdict is PASS
    assert within.increase == pytest.approx(0.06)


def test_the_form_of_answers_is_a_rate_of_those_that_break_it() -> None:
    pairs = [pair(at, graded(well_formed=True), graded(well_formed=at % 4 > 0)) for at in range(80)]
    (result,) = judged({"format": POINTS2}, pairs)
    assert (result.verdict, result.base, result.head) == (FAIL, 0.0, 0.25)


def test_repeats_are_averaged_and_a_cluster_is_one_piece_of_evidence() -> None:
    repeated = [pair(at, (graded(length=100), graded(length=120)), (graded(length=170), graded(length=150))) for at in range(12)]
    (result,) = judged({"length": PERCENT10}, repeated)
    assert (result.base, result.head, result.verdict) == (110.0, 160.0, FAIL)
    wild = lengths(60, 1.6, spread=1.0)
    alone, together = judged({"length": PERCENT10}, wild)[0], judged({"length": PERCENT10}, wild, cluster=20)[0]
    assert alone.p is not None
    assert together.p is not None
    assert together.p >= 0.125 > alone.p  # three clusters: three signs


# -- what is the same, and what nobody knows ---------------------------------------------------------------------------------------


def test_unchanged_cases_are_equal_on_both_sides_known_or_not() -> None:
    changed = numbers("cost", [1.0] * 10, [1.5] * 10)
    known = [pair(at, graded(cost_usd=1.0), (), same=True) for at in range(90)]
    unknown = [pair(at, (), (), same=True) for at in range(90)]
    (alone,) = judged({"cost": PERCENT10}, changed)
    (result,) = judged({"cost": PERCENT10}, changed + known)
    (assumed,) = judged({"cost": PERCENT10}, changed + unknown)
    assert alone.verdict is FAIL
    assert result.verdict is assumed.verdict is PASS
    assert result.increase == pytest.approx(0.05)
    assert assumed.increase == pytest.approx(0.05)
    assert assumed.p == pytest.approx(result.p)
    assert "90 unchanged cases" in assumed.note
    assert result.note == ""


def test_unchanged_cases_dilute_points_of_refusals_exactly() -> None:
    unknown = [pair(at, (), (), same=True) for at in range(180)]
    (result,) = judged({"refusal": POINTS2}, refusals(20, 5, 1) + unknown)
    assert result.increase == pytest.approx(4 / 200)
    assert result.verdict is PASS


def test_a_change_that_touches_no_case_passes_every_guard() -> None:
    every: dict[str, Limit] = dict.fromkeys(["cost", "tokens", "refusal", "format", "length"], PERCENT10)
    results = judged(every, [pair(at, (), (), same=True) for at in range(30)])
    assert [result.verdict for result in results] == [PASS] * 5


@pytest.mark.parametrize(
    ("name", "word"), [("cost", "price"), ("tokens", "tokens"), ("format", "schema"), ("length", "length"), ("refusal", "answer")]
)
def test_a_guard_that_cannot_be_measured_is_unmeasured_and_says_why(name: str, word: str) -> None:
    pairs = [pair(at, graded(), MISSING if name == "refusal" else graded()) for at in range(30)]
    (result,) = judged({name: PERCENT10}, pairs)
    assert (result.verdict, result.p, result.increase) == (UNMEASURED, None, None)
    assert word in result.note
    assert judged({name: PERCENT10}, [])[0].verdict is UNMEASURED


def test_a_few_missing_answers_are_left_out_and_more_are_not_forgiven() -> None:
    pairs = numbers("length", [100.0 + at for at in range(100)], [100.0 + at for at in range(100)])
    (few,) = judged({"length": PERCENT10}, [*pairs[2:], *[pair(200 + at, graded(length=100), MISSING) for at in range(2)]])
    (many,) = judged({"length": PERCENT10}, [*pairs[3:], *[pair(200 + at, graded(length=100), MISSING) for at in range(3)]])
    assert (few.verdict, few.note) == (PASS, "2 of 100 cases are not compared")
    assert many.verdict is UNMEASURED


@pytest.mark.parametrize("value", [math.nan, math.inf, -5.0])
def test_a_number_that_is_none_is_unknown(value: float) -> None:
    assert judged({"cost": PERCENT10}, numbers("cost", [1.0] * 20, [value] * 20))[0].verdict is UNMEASURED


def test_what_was_free_and_is_not_has_no_relative_increase_and_does_not_pass() -> None:
    (result,) = judged({"cost": PERCENT10}, numbers("cost", [0.0] * 3, [0.1, 0.2, 0.1]))
    assert (result.increase, result.verdict) == (None, UNDECIDED)
    (free,) = judged({"cost": PERCENT10}, numbers("cost", [0.0] * 30, [0.0] * 30))
    assert (free.increase, free.verdict) == (0.0, PASS)


def test_a_policy_without_guards_has_no_results() -> None:
    assert judged({}, lengths(5, 2.0)) == ()


# -- latency ----------------------------------------------------------------------------------------------------------------------


def times(n: int, factor: float, seed: str = "", spread: float = 0.4) -> list[Pair]:
    """Lognormal seconds whose 95th percentiles are *factor* apart; base's are of *spread*, head's of 0.4."""
    chance, tail = random.Random(f"{seed}/{n}/{factor}"), 1.6449
    return numbers(
        "latency_p95",
        [chance.lognormvariate(-tail * spread, spread) for _ in range(n)],
        [factor * chance.lognormvariate(-tail * 0.4, 0.4) for _ in range(n)],
    )


@pytest.mark.parametrize(("factor", "expected"), [(1.0, PASS), (2.0, FAIL)])
def test_the_slowest_twentieth_is_compared_where_both_sides_were_timed(factor: float, expected: Verdict) -> None:
    (result,) = judged({"latency_p95": PERCENT10}, times(300, factor))
    assert result.verdict is expected
    assert result.increase == pytest.approx(factor - 1, abs=0.25)


@pytest.mark.parametrize(
    ("pairs", "interleaved"), [(times(100, 3.0), False), ([pair(0, graded(latency_s=1.0), graded())], True), ([], True)]
)
def test_latency_that_was_not_measured_in_turns_is_not_compared_and_says_so(pairs: list[Pair], interleaved: bool) -> None:
    (result,) = judged({"latency_p95": PERCENT10}, pairs, interleaved=interleaved)
    assert (result.verdict, result.p, result.base) == (PASS, None, None)
    assert result.note.startswith("not compared: ")


def test_clusters_of_slow_answers_are_one_piece_of_evidence() -> None:
    slow = times(120, 5.0)
    alone, together = judged({"latency_p95": PERCENT10}, slow)[0], judged({"latency_p95": PERCENT10}, slow, cluster=40)[0]
    assert alone.verdict is FAIL
    assert together.verdict is UNDECIDED


# -- errors -----------------------------------------------------------------------------------------------------------------------

TIMES = 300
BOUND = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / TIMES)


@pytest.mark.parametrize(("n", "spread"), [(25, 0.5), (25, 1.2), (100, 0.5), (100, 1.2)])
def test_lengths_at_the_limit_fail_in_five_of_a_hundred_at_most(n: int, spread: float) -> None:
    wrong = sum(
        judged({"length": PERCENT10}, lengths(n, 1.10, spread=spread, seed=str(time)))[0].verdict is FAIL for time in range(TIMES)
    )
    assert wrong / TIMES <= BOUND


def test_lengths_far_beyond_the_limit_are_found() -> None:
    found = sum(judged({"length": PERCENT10}, lengths(100, 1.5, seed=str(time)))[0].verdict is FAIL for time in range(100))
    assert found >= 90


@pytest.mark.parametrize("spread", [0.15, 0.4, 1.2])
def test_slow_answers_at_the_limit_fail_in_five_of_a_hundred_at_most(spread: float) -> None:
    pairs = [times(200, 1.10, str(at), spread) for at in range(TIMES)]
    wrong = sum(judged({"latency_p95": PERCENT10}, each)[0].verdict is FAIL for each in pairs)
    assert wrong / TIMES <= BOUND


@pytest.mark.parametrize("name", ["length", "refusal", "latency_p95"])
def test_a_run_that_stops_whenever_it_looks_worst_fails_no_more_often(name: str) -> None:
    """The worst stopper there is: after any case at which the guard would fail."""
    wrong = 0
    for time in range(TIMES // 2):
        chance = random.Random(f"{name}/{time}")
        guards = Guards(Policy(guard={name: POINTS2 if name == "refusal" else PERCENT10}, mode="sequential"), "s")
        for at in range(80):
            if name == "refusal":
                base, head = graded(refused=chance.random() < 0.05), graded(refused=chance.random() < 0.07)
                one = pair(at, base, head)
            else:
                (one,) = (lengths if name == "length" else times)(1, 1.10, seed=f"{time}/{at}")
            guards.add(Unit(str(at), [one]))
            (result,) = guards.finish(stopped_early=True, interleaved=True, alpha=ALPHA)
            if result.verdict is FAIL:
                wrong += 1
                break
    assert wrong / (TIMES // 2) <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / (TIMES // 2))


def test_a_run_that_stops_early_still_finds_what_doubled_and_says_what_it_tested() -> None:
    (result,) = judged({"length": PERCENT10}, lengths(60, 2.5), mode="hybrid", stopped=True)
    assert result.verdict is FAIL
    assert "typical case" in result.note
    (refused,) = judged({"refusal": POINTS2}, refusals(40, 30, 0), mode="hybrid", stopped=True)
    assert (refused.verdict, refused.note) == (FAIL, "")


def test_a_run_that_could_have_stopped_pays_for_both_tests() -> None:
    pairs = lengths(60, 1.35)
    fixed, whole = judged({"length": PERCENT10}, pairs)[0].p, judged({"length": PERCENT10}, pairs, mode="hybrid")[0].p
    stopped = judged({"length": PERCENT10}, pairs, mode="hybrid", stopped=True)[0].p
    assert fixed is not None
    assert stopped is not None
    assert whole == pytest.approx(min(2 * fixed, stopped))


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300)), min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_units_changes_nothing_in_a_fixed_run(sides: list[tuple[int, int]], chance: random.Random) -> None:
    pairs = numbers("tokens", [base for base, _ in sides], [head for _, head in sides])
    shuffled = pairs[:]
    chance.shuffle(shuffled)
    one, other = judged({"tokens": PERCENT10}, pairs)[0], judged({"tokens": PERCENT10}, shuffled)[0]
    assert one.verdict is other.verdict
    assert one.p == pytest.approx(other.p, rel=1e-6, abs=1e-12)
