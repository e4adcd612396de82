"""Slices: each its own comparison, corrected over the gate; bounds on what is missing; families of slices with nothing changed."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.parts import Parts
from promptreg.core.slices import LISTED, REST
from promptreg.core.stats.families import benjamini_hochberg, holm
from promptreg.core.stats.paired import mcnemar_midp
from promptreg.core.stats.resampling import sign_flip
from promptreg.core.suite import Policy, Slices
from promptreg.core.verdict import SliceResult, Verdict

PASS, FAIL, UNDECIDED = Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED
ALPHA = 0.05
LOST = Graded(passed=None, score=None, failure="timeout")


def answer(value: float) -> Graded:
    return Graded(passed=value >= 0.5, score=value)


def pair(value: str, base: float | Sequence[float], head: float | Sequence[float], *, other: str | None = None) -> Pair:
    sides = [tuple(map(answer, [side] if isinstance(side, (int, float)) else side)) for side in (base, head)]
    return Pair(case="c", base=sides[0], head=sides[1], strata=(value,) if other is None else (value, other))


def slice_of(value: str, broken: int, fixed: int, both: int) -> list[Pair]:
    return [pair(value, 1, 0)] * broken + [pair(value, 0, 1)] * fixed + [pair(value, 1, 1)] * both


def judged(pairs: Sequence[Pair], *, cluster: int = 1, planned: int | None = None, **more: Any) -> tuple[SliceResult, ...]:
    names = {"by": ("tags.queue",), "correction": "holm", "mode": "inform", **more.pop("slices", {})}
    policy = Policy(slices=Slices(**names), **{"mode": "fixed", **more})
    units = [Unit(str(at), pairs[at : at + cluster]) for at in range(0, len(pairs), cluster)]
    parts = Parts(policy, len(units) if planned is None else planned, "seed")
    for unit in units:
        parts.add(unit)
    return parts.finish(alpha=ALPHA, power=0.90)


def test_each_value_of_a_tag_is_compared_by_itself_and_corrected_over_all() -> None:
    pairs = slice_of("bug", 9, 0, 31) + slice_of("billing", 2, 3, 55) + slice_of("", 4, 0, 16)
    results = judged(pairs)
    assert [(each.value, each.n, each.verdict) for each in results] == [
        ("", 20, UNDECIDED),
        ("billing", 60, PASS),
        ("bug", 40, FAIL),
    ]
    own = [mcnemar_midp(4, 0), mcnemar_midp(2, 3), mcnemar_midp(9, 0)]
    assert [each.p for each in results] == pytest.approx(holm(own))
    assert results[2].drop == pytest.approx(9 / 40)
    assert [results[2].base_score, results[2].head_score] == pytest.approx([1.0, 31 / 40])


def test_false_discoveries_are_held_at_a_tenth_where_slices_only_inform() -> None:
    pairs = [each for at in range(6) for each in slice_of(f"q{at}", 5 if at < 2 else 0, 0, 20)]
    results = judged(pairs, slices={"correction": "bh"})
    own = [mcnemar_midp(5, 0)] * 2 + [1.0] * 4
    assert [each.p for each in results] == pytest.approx(benjamini_hochberg(own))
    assert [each.verdict for each in results] == [FAIL] * 2 + [PASS] * 4
    assert [each.verdict for each in judged(pairs)][:2] == [UNDECIDED] * 2


def test_slices_that_block_keep_their_own_p_for_the_family_of_the_whole_change() -> None:
    pairs = slice_of("bug", 5, 0, 30) + slice_of("billing", 0, 0, 30)
    for correction in ("holm", "bh"):
        results = judged(pairs, slices={"mode": "block", "correction": correction})
        assert all(each.blocks for each in results)
        assert [each.p for each in results] == pytest.approx([1.0, mcnemar_midp(5, 0)])


def test_a_shown_drop_inside_the_margin_passes_as_it_does_for_a_gate() -> None:
    (result,) = judged(slice_of("bug", 20, 0, 1980))
    assert result.p <= ALPHA
    assert result.verdict is PASS
    (small,) = judged(slice_of("bug", 5, 0, 5))
    assert small.verdict is FAIL


def test_graded_answers_repeats_and_clusters_are_judged_by_signs() -> None:
    graded = [pair("bug", 0.9, 0.9 - 0.02 * at) for at in range(30)]
    (result,) = judged(graded, on="score")
    assert result.p == pytest.approx(sign_flip([(0.02 * at, 1) for at in range(30)], "seed/tags.queue=bug"), abs=0.01)
    assert result.verdict is FAIL
    repeated = [pair("bug", [1, 1, 1, 0, 1], 1)] * 20 + [pair("bug", [1, 1, 1, 1, 1], 0)] * 6
    (averaged,) = judged(repeated)
    assert averaged.drop == pytest.approx((6 - 20 * 0.2) / 26)
    assert averaged.base_score == pytest.approx((20 * 0.8 + 6) / 26)
    broken = slice_of("bug", 8, 0, 0)
    assert judged(broken)[0].verdict is FAIL
    assert judged(broken, cluster=4)[0].p == 0.25  # two clusters: two signs


def test_a_cluster_across_two_slices_is_one_unit_in_each() -> None:
    mixed = [each for _ in range(10) for each in (pair("a", 1, 0), pair("b", 1, 1))]
    first, second = judged(mixed, cluster=2)
    assert (first.n, first.drop, first.verdict) == (10, 1.0, FAIL)
    assert (second.n, second.drop, second.verdict) == (10, 0.0, PASS)


def test_two_ways_of_slicing_are_one_family() -> None:
    pairs = [pair("bug" if at % 2 else "billing", 1, float(at % 5 > 0), other=f"lang{at % 3}") for at in range(60)]
    results = judged(pairs, slices={"by": ("tags.queue", "tags.language")})
    assert [(each.by, each.value) for each in results] == [
        ("tags.queue", "billing"),
        ("tags.queue", "bug"),
        *[("tags.language", f"lang{at}") for at in range(3)],
    ]
    assert sum(each.n for each in results) == 120


def test_a_pair_without_its_strata_is_our_own_mistake() -> None:
    with pytest.raises(ValueError, match="strata"):
        judged([Pair(case="c", base=(answer(1),), head=(answer(1),))])


def test_a_tag_that_is_an_id_stays_bounded() -> None:
    results = judged([pair(f"q{at:03}", 1, 1) for at in range(3 * LISTED)])
    assert len(results) == LISTED + 1
    assert {each.value: each.n for each in results}[REST] == 2 * LISTED
    together = judged([pair(f"q{at:03}", 1, 1) for at in range(3 * LISTED)], cluster=3 * LISTED)
    assert {each.value: each.n for each in together}[REST] == 2 * LISTED


def test_unchanged_cases_are_exact_zeros_with_the_score_that_is_known() -> None:
    known = Pair(case="k", base=(), head=(answer(0.0),), same=True, strata=("bug",))
    unknown = Pair(case="u", base=(), head=(), same=True, strata=("bug",))
    untouched = Pair(case="u", base=(), head=(), same=True, strata=("other",))
    results = judged([*slice_of("bug", 5, 0, 5), *[known] * 10, *[unknown] * 20, *[untouched] * 9])
    assert [each.value for each in results] == ["bug"]  # of the other one nothing is known, and nothing was asked
    assert results[0].n == 40
    assert results[0].drop == pytest.approx(5 / 40)
    assert [results[0].base_score, results[0].head_score] == pytest.approx([10 / 20, 5 / 20])
    assert results[0].p == pytest.approx(mcnemar_midp(5, 0))


def test_a_missing_answer_is_no_evidence_of_harm_and_none_of_safety() -> None:
    lost = Pair(case="l", base=(answer(1.0),), head=(LOST,), strata=("bug",))
    (result,) = judged([*slice_of("bug", 0, 0, 18), *[lost] * 2])
    assert (result.p, result.drop, result.verdict) == (1.0, 0.0, UNDECIDED)  # two of twenty might be broken
    gone = Pair(case="l", base=(LOST,), head=(answer(0.0),), strata=("bug",))
    assert judged([gone] * 20 + slice_of("bug", 0, 0, 10))[0].p == 1.0


def test_the_smallest_drop_that_could_be_shown_shrinks_with_cases_and_grows_with_slices() -> None:
    few, many = judged(slice_of("a", 1, 1, 18))[0], judged(slice_of("a", 10, 10, 180))[0]
    crowded = judged(slice_of("a", 10, 10, 180) + slice_of("b", 1, 1, 18))[0]
    assert few.mde is not None
    assert many.mde is not None
    assert crowded.mde is not None
    assert few.mde > crowded.mde > many.mde
    assert many.mde == pytest.approx((1.6449 + 1.2816) * math.sqrt(0.1 / 200), rel=1e-3)


@pytest.mark.parametrize("mode", ["sequential", "hybrid"])
def test_a_run_that_stops_early_is_judged_by_what_holds_at_any_time(mode: Literal["sequential", "hybrid"]) -> None:
    pairs = slice_of("bug", 12, 0, 0)
    stopped, whole, fixed = judged(pairs, mode=mode, planned=400)[0], judged(pairs, mode=mode)[0], judged(pairs)[0]
    assert fixed.p < whole.p <= 2 * fixed.p
    assert whole.p < stopped.p
    assert judged(slice_of("bug", 40, 0, 0), mode=mode, planned=400)[0].verdict is FAIL
    assert judged(slice_of("bug", 1, 1, 30), mode=mode, planned=400)[0].verdict is PASS


def test_a_policy_without_slices_has_none() -> None:
    parts = Parts(Policy(), 1, "seed")
    parts.add(Unit("u", [pair("bug", 1, 0)]))
    assert parts.finish(alpha=ALPHA, power=0.9) == ()


@pytest.mark.parametrize("correction", ["holm", "bh"])
def test_slices_of_a_gate_with_nothing_changed_seldom_fail(correction: str) -> None:
    chance, times, wrong = random.Random(correction), 300, 0
    for _ in range(times):
        pairs = [
            pair(f"q{at % 8}", *((1, 1) if (die := chance.random()) > 0.2 else (1, 0) if die > 0.1 else (0, 1)))
            for at in range(240)
        ]
        wrong += any(each.verdict is FAIL for each in judged(pairs, slices={"correction": correction}))
    bound = ALPHA if correction == "holm" else 0.10
    assert wrong / times <= bound + 3 * math.sqrt(bound * (1 - bound) / times)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.booleans()), min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_units_changes_nothing_in_a_fixed_run(cases: list[tuple[str, bool, bool]], chance: random.Random) -> None:
    pairs = [pair(value, float(base), float(head)) for value, base, head in cases]
    shuffled = pairs[:]
    chance.shuffle(shuffled)
    assert judged(pairs) == judged(shuffled)
