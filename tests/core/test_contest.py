"""One comparison, folded: METHODS A11 row by row, what is missing, early stops, and the laws of the issue."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreg.core.contest import Contest, Rules
from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.run import FailureKind
from promptreg.core.stats.families import holm
from promptreg.core.suite import Policy
from promptreg.core.verdict import Comparison, Verdict

RIGHT, WRONG = Graded(passed=True, score=1.0, answer="a b c"), Graded(passed=False, score=0.0, answer="a x c", reason="not b")
KEPT, BROKEN, FIXED, NEITHER = "kept", "broken", "fixed", "neither"
ANSWERS = {KEPT: (RIGHT, RIGHT), BROKEN: (RIGHT, WRONG), FIXED: (WRONG, RIGHT), NEITHER: (WRONG, WRONG)}


def gone(kind: FailureKind = "timeout") -> Graded:
    return Graded(passed=None, score=None, failure=kind)


def one(name: str, base: Graded | Sequence[Graded], head: Graded | Sequence[Graded], **more: Any) -> Unit:
    sides = [(side,) if isinstance(side, Graded) else tuple(side) for side in (base, head)]
    return Unit(name, (Pair(case=name, base=sides[0], head=sides[1], **more),))


def unit(at: int, kind: str) -> Unit:
    return one(f"c{at}", *ANSWERS[kind])


def score(value: float) -> Graded:
    return Graded(passed=value >= 0.5, score=value)


def rules(planned: int, *, binary: bool = True, family: int = 1, noise: float | None = None, **policy: Any) -> Rules:
    return Rules(
        kind="base",
        revision="1a2b3c4",
        suite_from="base",
        policy_from="base",
        prompt="ask",
        model="m",
        policy=Policy(**{"mode": "fixed", **policy}),
        planned=planned,
        binary=binary,
        family=family,
        seed="s",
        noise=noise,
    )


def judged(units: Iterable[Unit], *, binary: bool = True, family: int = 1, planned: int | None = None, **policy: Any) -> Comparison:
    """What a run says that stops where the contest is decided."""
    units = list(units)
    contest = Contest(rules(planned or len(units), binary=binary, family=family, **policy))
    for item in units:
        contest.add(item)
        if contest.decided is not None:
            break
    return contest.finish(consumed_all=contest.units == (planned or len(units)))


def cases(*, kept: int = 0, broken: int = 0, fixed: int = 0) -> list[Unit]:
    kinds = [KEPT] * kept + [BROKEN] * broken + [FIXED] * fixed
    random.Random(1).shuffle(kinds)
    return [unit(at, kind) for at, kind in enumerate(kinds)]


# METHODS A11, row by row


@pytest.mark.parametrize(
    ("broken", "verdict", "p"), [(3, Verdict.UNDECIDED, 0.0625), (4, Verdict.FAIL, 0.03125), (5, Verdict.FAIL, 1 / 64)]
)
def test_a_tiny_set_can_fail_from_four_broken_cases_on(broken: int, verdict: Verdict, p: float) -> None:
    found = judged(cases(broken=broken))
    assert (found.verdict, found.p_harm) == (verdict, pytest.approx(p))


def test_a_tiny_set_cannot_pass_and_says_from_where_on_it_could() -> None:
    found = judged(cases(kept=19), margin=0.5)
    assert (found.verdict, found.note, found.needed) == (Verdict.UNDECIDED, "no PASS from fewer than 20 cases", 1)
    assert judged(cases(kept=20), margin=0.5).verdict is Verdict.PASS


@pytest.mark.parametrize(("margin", "first"), [(0.10, 25), (0.05, 52), (0.02, 133), (0.01, 268)])
def test_without_discordant_pairs_a_pass_begins_here(margin: float, first: int) -> None:
    below, at = judged(cases(kept=first - 1), margin=margin), judged(cases(kept=first), margin=margin)
    assert (below.verdict, at.verdict) == (Verdict.UNDECIDED, Verdict.PASS)
    assert (below.p_harm, at.p_harm) == (1.0, 1.0)
    assert at.upper is not None
    assert below.upper is not None
    assert at.upper < margin <= below.upper


def test_all_equal_cases_pass_a_sequential_gate_after_84() -> None:
    found = judged(cases(kept=592), mode="sequential", batch=1)
    assert (found.verdict, found.units, found.limit_kind) == (Verdict.PASS, 84, "e-process")


def test_a_candidate_that_breaks_every_case_is_stopped_after_20() -> None:
    found = judged(cases(broken=592), mode="sequential", batch=1)
    assert (found.verdict, found.units) == (Verdict.FAIL, 20)
    assert found.p_harm <= 0.05
    assert found.lower is not None
    assert found.lower >= 0


def test_ties_of_graded_scores_stay_in_n() -> None:
    found = judged([one(f"c{at}", score(0.7), score(0.7)) for at in range(60)], binary=False, on="score")
    assert (found.verdict, found.limit_kind, found.n) == (Verdict.PASS, "t+bootstrap", 60)
    assert found.upper == pytest.approx(0.038, abs=0.002)


def test_a_real_drop_within_the_margin_passes_with_a_note() -> None:
    found = judged(cases(kept=980, broken=20))
    assert (found.verdict, found.note) == (Verdict.PASS, "a real drop of 2.0 points, inside the margin")
    assert found.drop == pytest.approx(0.02)
    assert found.upper == pytest.approx(0.029, abs=0.001)
    assert found.p_harm < 0.001


def test_too_many_missing_answers_are_no_measurement() -> None:
    found = judged([*cases(kept=97), *(one(f"m{at}", RIGHT, gone()) for at in range(3))])
    assert (found.verdict, found.reason) == (Verdict.UNMEASURED, "missing_answers")
    assert found.note == "3 of 100 cases lack an answer, more than 2% (timeout 3)"


@pytest.mark.parametrize(
    ("kept", "broken", "missing", "verdict", "note"),
    [
        (150, 0, 2, Verdict.PASS, ""),  # 2 broken of 152 would still pass
        (53, 0, 1, Verdict.UNDECIDED, "missing data decides"),  # 0 of 54 pass, 1 of 54 would not
        (147, 3, 2, Verdict.UNDECIDED, "missing data decides"),  # 3 broken do not fail, 5 would
        (147, 4, 1, Verdict.FAIL, ""),  # whatever the missing one is
    ],
)
def test_both_bounds_of_what_is_missing_must_agree(kept: int, broken: int, missing: int, verdict: Verdict, note: str) -> None:
    units = [*cases(kept=kept, broken=broken), *(one(f"m{at}", RIGHT, gone()) for at in range(missing))]
    found = judged(units)
    assert (found.verdict, found.note, found.missing, found.broken) == (verdict, note, missing, broken)


def test_a_refusal_is_an_answer_and_never_missing() -> None:
    refused = Graded(passed=False, score=0.0, refused=True)
    found = judged([*cases(kept=40), *(one(f"r{at}", RIGHT, refused) for at in range(4))])
    assert (found.verdict, found.missing, found.broken) == (Verdict.FAIL, 0, 4)


def test_cases_of_one_cluster_are_one_unit() -> None:
    broken = [Unit("doc", tuple(Pair(case=f"d{at}", base=(RIGHT,), head=(WRONG,)) for at in range(8)))]
    found = judged([*broken, *cases(kept=30)], binary=False)
    assert (found.verdict, found.units, found.n, found.broken) == (Verdict.UNDECIDED, 31, 38, 8)
    assert judged(cases(kept=30, broken=8), binary=False).verdict is Verdict.FAIL


def test_when_both_nulls_fall_at_one_look_pass_wins() -> None:
    units = cases(kept=950, broken=50)
    found = judged(units, margin=0.30, mode="sequential", batch=1000)
    assert (found.verdict, found.units) == (Verdict.PASS, 1000)
    assert found.p_harm <= 0.05
    assert found.upper is not None
    assert found.upper < 0.30
    assert found.note == "a real drop of 5.0 points, inside the margin"


# What is missing


@pytest.mark.parametrize(
    ("kinds", "reason"),
    [
        (["timeout", "provider_down", "provider_down"], "provider_down"),
        (["no_recording"] * 3, "no_recording"),
        (["no_recording", "timeout", "server"], "missing_answers"),
        (["timeout", "budget", "budget"], "budget"),
    ],
)
def test_the_failures_say_why_there_is_no_measurement(kinds: list[FailureKind], reason: str) -> None:
    found = judged([*cases(kept=30), *(one(f"m{at}", RIGHT, gone(kind)) for at, kind in enumerate(kinds))])
    assert (found.verdict, found.reason) == (Verdict.UNMEASURED, reason)


def test_nothing_to_compare_is_no_measurement() -> None:
    found = judged([])
    assert (found.verdict, found.reason, found.limit_kind, found.drop) == (Verdict.UNMEASURED, "coverage", "none", None)


def test_a_missing_answer_holds_its_own_place_in_both_processes() -> None:
    head_missing = judged([*cases(kept=300), one("m", RIGHT, gone())], mode="sequential")
    base_missing = judged([*cases(kept=300), one("m", gone(), WRONG)], mode="sequential")
    assert head_missing.verdict is base_missing.verdict is Verdict.PASS

    def processes(base: Graded, head: Graded) -> tuple[float, float]:
        contest = Contest(rules(64, mode="sequential", max_missing=1.0))
        for item in [*cases(kept=8), one("m", base, head), *cases(kept=7)]:
            contest.add(item)
        found = contest.finish(consumed_all=False)
        return found.e_fail, found.e_pass

    assert processes(RIGHT, gone())[1] == pytest.approx(processes(RIGHT, WRONG)[1])  # safety: as if it had failed
    assert processes(RIGHT, gone())[0] == pytest.approx(processes(RIGHT, RIGHT)[0])  # harm: as if it had passed
    assert processes(gone(), WRONG)[1] == pytest.approx(processes(RIGHT, WRONG)[1])
    assert processes(gone(), WRONG)[0] == pytest.approx(processes(WRONG, WRONG)[0])
    assert processes(gone(), gone())[1] == pytest.approx(processes(RIGHT, WRONG)[1])


def test_a_dead_provider_ends_an_early_run_before_its_last_case() -> None:
    units = [*cases(kept=40), *(one(f"m{at}", RIGHT, gone("provider_down")) for at in range(460))]
    found = judged(units, mode="hybrid")
    assert (found.verdict, found.reason) == (Verdict.UNMEASURED, "provider_down")
    assert found.units == 56  # ten may be missing of 500; looked at every eighth


def test_one_timeout_among_the_first_cases_does_not_end_a_run() -> None:
    units = [one("m", RIGHT, gone()), *cases(kept=400)]
    assert judged(units, mode="sequential").verdict is Verdict.PASS


def test_missing_repeats_enter_by_their_bounds() -> None:
    half = one("m", [RIGHT, gone()], WRONG)
    contest = Contest(rules(60, binary=False, max_missing=0.5))
    for item in [half, *cases(kept=59)]:
        contest.add(item)
    found = contest.finish(consumed_all=True)
    assert (found.missing, found.repeats_base, found.broken) == (1, 2, 0)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < 0.5 / 60 < found.upper


# Early stops


def test_it_is_looked_at_only_at_the_end_of_a_batch() -> None:
    contest, decided = Contest(rules(592, mode="sequential", batch=16)), []
    for item in cases(broken=592):
        contest.add(item)
        decided.append(contest.decided)
        if contest.decided:
            break
    assert decided == [None] * 31 + [Verdict.FAIL]


def test_the_last_look_is_at_the_end_of_the_order() -> None:
    found = judged(cases(kept=90), mode="sequential", batch=64)
    assert (found.verdict, found.units) == (Verdict.PASS, 90)


def test_what_is_decided_stays_decided() -> None:
    contest = Contest(rules(592, mode="sequential"))
    for item in cases(broken=592):
        contest.add(item)
    assert (contest.decided, contest.units) == (Verdict.FAIL, 24)
    assert contest.finish(consumed_all=False).verdict is Verdict.FAIL


def test_a_fixed_gate_is_never_decided_early() -> None:
    contest = Contest(rules(592))
    for item in cases(broken=592):
        contest.add(item)
        assert contest.decided is None
    assert contest.finish(consumed_all=True).verdict is Verdict.FAIL
    assert contest.finish(consumed_all=False).verdict is Verdict.UNDECIDED


def test_a_family_makes_an_early_fail_dearer_and_a_pass_not() -> None:
    alone, among = (judged(cases(broken=592), mode="hybrid", family=family) for family in (1, 12))
    assert alone.verdict is among.verdict is Verdict.FAIL
    assert alone.units < among.units
    assert alone.p_harm <= 0.05
    assert among.p_harm <= 0.05 / 12
    assert judged(cases(kept=592), mode="hybrid").units == judged(cases(kept=592), mode="hybrid", family=12).units


def test_no_early_pass_below_the_least_number_of_cases() -> None:
    assert judged(cases(kept=200), mode="sequential", margin=0.5).units == 24
    assert judged(cases(kept=200), mode="sequential", margin=0.5, min_cases=100).units == 104


def test_hybrid_reads_its_whole_order_with_the_other_half_of_alpha() -> None:
    units = [unit(at, BROKEN if at % 10 == 9 else KEPT) for at in range(60)]
    whole, fixed = judged(units, mode="hybrid"), judged(units)
    assert (whole.units, fixed.units) == (60, 60)
    assert whole.p_fixed == fixed.p_fixed == fixed.p_harm
    assert whole.p_harm == pytest.approx(min(1.0, 2 * min(1 / whole.e_fail, whole.p_fixed)))
    assert whole.verdict is Verdict.FAIL
    stopped = Contest(rules(100, mode="hybrid"))
    for item in units:
        stopped.add(item)
    assert stopped.finish(consumed_all=False).p_fixed == 1.0


def test_a_run_that_stopped_for_no_verdict_says_where() -> None:
    contest = Contest(rules(100, mode="hybrid"))
    for item in cases(kept=30):
        contest.add(item)
    found = contest.finish(consumed_all=False)
    assert (found.verdict, found.note, found.limit_kind) == (Verdict.UNDECIDED, "stopped after 30 of 100", "e-process")


@pytest.mark.parametrize("mode", ["fixed", "sequential", "hybrid"])
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("binary", [True, False])
def test_limits_never_contradict_the_verdict(mode: str, seed: int, binary: bool) -> None:
    chance = random.Random(seed)
    drop = chance.choice([-0.05, 0.0, 0.05, 0.15])
    kinds = [BROKEN if (at := chance.random()) < 0.05 + drop / 2 else FIXED if at < 0.10 else KEPT for _ in range(160)]
    found = judged([unit(at, kind) for at, kind in enumerate(kinds)], mode=mode, binary=binary, margin=0.10)
    assert found.lower is not None
    assert found.upper is not None
    assert found.drop is not None
    assert found.lower <= found.drop + 1e-9
    assert found.upper >= found.drop - 1e-9
    assert (found.upper <= 0.10) == (found.verdict is Verdict.PASS) or found.verdict is Verdict.FAIL
    if found.verdict is Verdict.FAIL:
        assert found.lower > -0.005  # the mid-p test and Tango's limit at 0 differ by a hair


def test_an_improvement_is_said_to_be_one() -> None:
    assert judged(cases(kept=180, fixed=20)).gained
    assert judged(cases(kept=180, fixed=20), binary=False).gained
    assert judged(cases(kept=180, fixed=60), mode="sequential").gained is False  # stopped as soon as it was safe
    assert judged(cases(fixed=60), mode="sequential").gained
    assert not judged(cases(kept=180, fixed=3)).gained
    assert not judged(cases(kept=180, broken=20)).gained


def test_who_says_that_all_was_consumed_does_not_make_an_early_stop_one() -> None:
    contest = Contest(rules(592, mode="hybrid"))
    for item in cases(broken=592):
        contest.add(item)
    found = contest.finish(consumed_all=True)
    assert (found.units, found.p_fixed, found.limit_kind) == (32, 1.0, "e-process")


@pytest.mark.parametrize(("broken", "verdict"), [(17, Verdict.PASS), (18, Verdict.FAIL)])
@pytest.mark.parametrize("mode", ["fixed", "hybrid", "sequential"])
def test_a_golden_set_read_to_its_end_answers_for_certain(broken: int, verdict: Verdict, mode: str) -> None:
    found = judged(cases(kept=350 - broken, broken=broken), target="golden", mode=mode, batch=1000)
    assert (found.verdict, found.units) == (verdict, 350)  # the margin of 350 is 17.5
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower <= broken / 350 <= found.upper
    if verdict is Verdict.FAIL:
        assert found.p_harm <= 0.05


def test_a_golden_set_is_left_as_soon_as_the_rest_can_hardly_matter() -> None:
    sure, open_ended = (judged(cases(kept=350), target=target, mode="sequential") for target in ("golden", "population"))
    assert sure.verdict is open_ended.verdict is Verdict.PASS
    assert sure.units <= open_ended.units
    assert judged(cases(broken=350), target="golden", mode="sequential").units <= 24


def test_a_golden_set_whose_gaps_decide_is_undecided() -> None:
    found = judged([*cases(kept=333, broken=16), one("m", RIGHT, gone())], target="golden", mode="fixed", margin=17 / 350)
    assert (found.verdict, found.note) == (Verdict.UNDECIDED, "missing data decides")


def test_a_twelfth_of_alpha_is_confirmed_by_holm_where_a_look_confirmed_it() -> None:
    for target in ("population", "golden"):
        found = judged(cases(broken=592), mode="hybrid", family=12, target=target, batch=1)
        assert holm([found.p_harm, *[1.0] * 11])[0] <= 0.05


def test_steady_repeats_do_not_make_a_gate_expect_that_nothing_moves() -> None:
    quiet, unknown = (Contest(rules(592, mode="sequential", noise=noise)) for noise in (0.0, 0.05))
    for item in cases(kept=400, broken=20, fixed=20):
        quiet.add(item)
        unknown.add(item)
    assert quiet.finish(consumed_all=False).e_pass == unknown.finish(consumed_all=False).e_pass


# What a reader sees


def test_counts_scores_and_the_cases_that_changed_sides() -> None:
    units = [*cases(kept=70), *(unit(100 + at, BROKEN) for at in range(22)), *(unit(200 + at, FIXED) for at in range(5))]
    found = judged([*units, *(unit(300 + at, NEITHER) for at in range(3))])
    assert (found.n, found.broken, found.fixed, len(found.cases_broken), len(found.cases_fixed)) == (100, 22, 5, 20, 5)
    assert (found.base_score, found.head_score) == (0.92, 0.75)
    assert found.drop == pytest.approx(0.17)
    assert found.discordance == pytest.approx(0.27)
    first = found.cases_broken[0]
    assert (first.case, first.base_answer, first.head_answer, first.reason, first.flaky) == (
        "c100",
        "a b c",
        "a x c",
        "not b",
        False,
    )
    assert [(piece.kind, piece.text) for piece in first.diff] == [("same", "a "), ("gone", "b"), ("new", "x"), ("same", " c")]
    assert found.cases_fixed[0].drop == -1.0


def test_unchanged_cases_are_exact_zeros_and_count_for_the_scores_if_they_are_known() -> None:
    same = [Unit(f"s{at}", (Pair(case=f"s{at}", base=(WRONG,) if at < 20 else (), head=(), same=True),)) for at in range(40)]
    found = judged([*same, *cases(kept=20)])
    assert (found.n, found.unchanged, found.missing, found.broken) == (60, 40, 0, 0)
    assert (found.base_score, found.head_score) == (0.5, 0.5)
    assert found.verdict is Verdict.PASS


def test_a_case_with_repeats_changes_sides_at_half_and_is_flaky_where_base_disagrees_with_itself() -> None:
    repeats = [RIGHT, RIGHT, RIGHT, WRONG, RIGHT]
    found = judged(
        [one("a", repeats, WRONG), one("b", [WRONG, RIGHT, RIGHT], RIGHT), one("c", [WRONG] * 4 + [RIGHT], RIGHT)], binary=False
    )
    assert [(item.case, item.flaky, round(item.drop, 3)) for item in found.cases_broken] == [("a", True, 0.8)]
    assert [(item.case, item.flaky, item.reason) for item in found.cases_fixed] == [("c", True, "not b")]
    assert (found.repeats_base, found.repeats_head) == (5, 1)


def test_a_score_that_halves_is_listed_though_it_changed_no_side() -> None:
    found = judged([one("a", score(1.0), score(0.5)), one("b", score(0.9), score(0.6))], binary=False, on="score")
    assert [item.case for item in found.cases_broken] == ["a"]
    assert found.drop == pytest.approx(0.4)


@pytest.mark.parametrize("value", [5.0, float("nan"), float("inf")])
def test_scores_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        judged([one("a", Graded(passed=True, score=value), score(0.5))], binary=False, on="score")


def test_the_binary_rule_refuses_repeats_and_clusters() -> None:
    with pytest.raises(ValueError, match="binary"):
        judged([one("a", [RIGHT, RIGHT, WRONG], RIGHT)])
    with pytest.raises(ValueError, match="binary"):
        judged([Unit("doc", tuple(Pair(case=f"d{at}", base=(RIGHT,), head=(RIGHT,)) for at in range(2)))])


def test_more_cases_are_needed_where_the_margin_is_narrow() -> None:
    wide, narrow = (judged(cases(kept=56, broken=2, fixed=2), margin=margin) for margin in (0.05, 0.02))
    assert wide.verdict is narrow.verdict is Verdict.UNDECIDED
    assert wide.needed is not None
    assert narrow.needed is not None
    assert 1 <= wide.needed < narrow.needed
    assert judged(cases(kept=200)).needed is None


# Laws

kinds = st.lists(st.sampled_from([KEPT, BROKEN, FIXED, NEITHER]), min_size=1, max_size=120)
mostly_kept = st.builds(
    lambda kept, rest: [KEPT] * kept + rest, st.integers(0, 400), st.lists(st.sampled_from([BROKEN, FIXED, NEITHER]), max_size=25)
).filter(len)
MIRROR = {BROKEN: FIXED, FIXED: BROKEN}


@given(mostly_kept, st.sampled_from([0.02, 0.05, 0.10, 0.25]))
def test_adding_a_broken_case_opens_no_binary_fixed_gate(found: list[str], margin: float) -> None:
    before = judged([unit(at, kind) for at, kind in enumerate(found)], margin=margin, min_cases=min(20, len(found)))
    after = judged([unit(at, kind) for at, kind in enumerate([*found, BROKEN])], margin=margin, min_cases=min(20, len(found)))
    assert not (before.verdict in (Verdict.FAIL, Verdict.UNDECIDED) and after.verdict is Verdict.PASS)


@given(kinds, st.booleans(), st.sampled_from(["fixed", "hybrid", "sequential"]))
@settings(max_examples=60, deadline=None)
def test_swapping_sides_mirrors(found: list[str], binary: bool, mode: str) -> None:
    def whole(names: list[str]) -> Comparison:
        contest = Contest(rules(len(names), binary=binary, mode=mode, batch=10_000))
        for at, kind in enumerate(names):
            contest.add(unit(at, kind))
        return contest.finish(consumed_all=True)

    one_way, other = whole(found), whole([MIRROR.get(kind, kind) for kind in found])
    assert (one_way.broken, one_way.fixed) == (other.fixed, other.broken)
    assert one_way.drop == pytest.approx(-(other.drop or 0.0))
    assert (one_way.base_score, one_way.head_score) == (other.head_score, other.base_score)
    if mode == "fixed":
        assert one_way.gained == (other.p_harm <= 0.05)
        assert one_way.lower == pytest.approx(-(other.upper or 0.0), abs=1e-6)
        assert one_way.upper == pytest.approx(-(other.lower or 0.0), abs=1e-6)


@given(kinds, st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=40, deadline=None)
def test_the_order_of_cases_changes_nothing_in_fixed_mode(found: list[str], binary: bool, chance: random.Random) -> None:
    units = [unit(at, kind) for at, kind in enumerate(found)]
    shuffled = chance.sample(units, len(units))
    one_way, other = judged(units, binary=binary), judged(shuffled, binary=binary)
    facts = (
        "verdict",
        "p_harm",
        "lower",
        "upper",
        "drop",
        "broken",
        "fixed",
        "base_score",
        "head_score",
        "gained",
        "needed",
        "note",
    )
    assert [getattr(one_way, name) for name in facts] == [getattr(other, name) for name in facts]
