"""The verdict over many gates: the truth tables row by row, the family-wise error by simulation, and laws."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.families import REPAIRED, exit_code, judge, overall, repaired, standing
from promptreg.core.verdict import SEVERITY, Comparison, Finding, FloorResult, GateReport, GuardResult, SliceResult, Verdict
from promptreg.errors import ExitCode

PASS, FAIL, UNDECIDED, UNMEASURED = Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED, Verdict.UNMEASURED
ALPHA = 0.05


def comparison(verdict: Verdict, p: float = 1.0, **more: Any) -> Comparison:
    facts: dict[str, Any] = {"kind": "base", "suite_from": "base", "policy_from": "base", **more}
    return Comparison(revision="r", prompt="p", model="m", verdict=verdict, p_harm=p, **facts)


def gate(*comparisons: Comparison, **more: Any) -> GateReport:
    facts: dict[str, Any] = {"verdict": PASS, "alpha": ALPHA, **more}
    return GateReport(suite="s", prompt="p", model="m", mode="fixed", margin=0.05, comparisons=comparisons, **facts)


def floor(verdict: Verdict, p: float = 1.0) -> FloorResult:
    return FloorResult(floor=0.8, on="passed", score=0.7, lower=None, upper=None, verdict=verdict, p=p)


def guard(verdict: Verdict, p: float | None = 1.0) -> GuardResult:
    return GuardResult(guard="cost", limit="+10%", base=1.0, head=1.2, increase=0.2, p=p, verdict=verdict)


def part(verdict: Verdict, p: float = 1.0, blocks: bool = True) -> SliceResult:
    facts: dict[str, Any] = {"base_score": 0.9, "head_score": 0.8, "drop": 0.1, "mde": None}
    return SliceResult(by="tags.queue", value="bug", n=40, p=p, verdict=verdict, blocks=blocks, **facts)


def verdicts(gates: Sequence[GateReport]) -> list[Verdict]:
    return [each.verdict for each in judge(gates)]


# -- one gate: SEMANTICS 3 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([PASS], PASS),
        ([PASS, PASS], PASS),
        ([FAIL], FAIL),
        ([PASS, FAIL], FAIL),
        ([UNMEASURED, FAIL], FAIL),
        ([UNDECIDED, FAIL], FAIL),
        ([PASS, UNDECIDED], UNDECIDED),
        ([PASS, UNMEASURED], UNMEASURED),
        ([UNDECIDED, UNMEASURED], UNMEASURED),
        ([PASS, UNDECIDED, UNMEASURED], UNMEASURED),
    ],
)
def test_a_gate_fails_if_any_comparison_does_and_passes_if_all_do(parts: list[Verdict], expected: Verdict) -> None:
    evidence = {FAIL: 1e-6, UNDECIDED: 0.4}
    assert verdicts([gate(*(comparison(each, evidence.get(each, 1.0)) for each in parts))]) == [expected]


@pytest.mark.parametrize("verdict", [FAIL, UNDECIDED, PASS])
@pytest.mark.parametrize("safeguard", ["floor", "guards", "slices"])
def test_a_safeguard_counts_like_a_comparison(safeguard: str, verdict: Verdict) -> None:
    p = {FAIL: 1e-6, UNDECIDED: 0.3, PASS: 0.9}[verdict]
    made: Any = {"floor": floor(verdict, p), "guards": (guard(verdict, p),), "slices": (part(verdict, p),)}[safeguard]
    assert verdicts([gate(comparison(PASS), **{safeguard: made})]) == [verdict]


def test_a_slice_that_only_informs_neither_fails_a_gate_nor_dilutes_the_others() -> None:
    informing = tuple(part(FAIL, 1e-9, blocks=False) for _ in range(40))
    (judged,) = judge([gate(comparison(PASS), floor=floor(FAIL, 0.04), slices=informing)])
    assert judged.floor is not None
    assert judged.floor.verdict is FAIL
    assert judged.slices == informing
    assert verdicts([gate(comparison(PASS), slices=informing)]) == [PASS]


def test_a_guard_that_was_not_measured_makes_its_gate_unmeasured_with_a_reason() -> None:
    (judged,) = judge([gate(comparison(PASS), guards=(guard(UNMEASURED, None),))])
    assert (judged.verdict, judged.reason) == (UNMEASURED, "missing_answers")


def test_the_reason_of_what_is_unmeasured_is_that_of_its_comparison_and_goes_when_a_failure_is_graver() -> None:
    lost = comparison(UNMEASURED, reason="model_moved")
    assert judge([gate(comparison(PASS), lost)])[0].reason == "model_moved"
    failed = judge([gate(comparison(FAIL, 0.001), lost)])[0]
    assert (failed.verdict, failed.reason) == (FAIL, None)


def test_a_reason_given_beforehand_outlasts_a_pass() -> None:
    (judged,) = judge([gate(comparison(PASS), reason="untrusted_change", verdict=UNMEASURED)])
    assert (judged.verdict, judged.reason) == (UNMEASURED, "untrusted_change")


def test_a_gate_of_which_nothing_was_measured_does_not_pass() -> None:
    (judged,) = judge([gate()])
    assert (judged.verdict, judged.reason) == (UNMEASURED, "no_suite")


# -- many gates: Holm --------------------------------------------------------------------------------------------------------------


def test_a_fail_that_holm_does_not_confirm_is_undecided() -> None:
    judged = judge([gate(comparison(FAIL, 0.03)), gate(comparison(UNDECIDED, 0.5))])
    assert [each.verdict for each in judged] == [UNDECIDED, UNDECIDED]
    assert judged[0].comparisons[0].verdict is UNDECIDED


def test_a_pass_stays_in_the_family_with_p_one() -> None:
    assert verdicts([gate(comparison(FAIL, 0.03))]) == [FAIL]
    assert verdicts([gate(comparison(FAIL, 0.03)), gate(comparison(PASS, 1e-9))]) == [UNDECIDED, PASS]
    assert verdicts([gate(comparison(FAIL, 0.03)), gate(comparison(UNMEASURED, 1e-9))]) == [UNDECIDED, UNMEASURED]


def test_holm_steps_down_over_all_comparisons() -> None:
    p_values = [0.01, 0.02, 0.04, 0.2]  # 4 · .01, 3 · .02 > .05: it stops at the second
    assert verdicts([gate(comparison(FAIL if p <= ALPHA else UNDECIDED, p)) for p in p_values]) == [
        FAIL,
        UNDECIDED,
        UNDECIDED,
        UNDECIDED,
    ]
    assert verdicts([gate(comparison(FAIL, p)) for p in [0.012, 0.016, 0.02, 0.05]]) == [FAIL] * 4


def test_what_holm_rejects_after_others_fails_although_its_own_share_was_not_enough() -> None:
    stopped = comparison(UNDECIDED, 0.04)  # a sequential process that reached 25, not the 40 that two gates ask for
    assert verdicts([gate(comparison(FAIL, 0.001)), gate(stopped)]) == [FAIL, FAIL]
    assert verdicts([gate(comparison(UNDECIDED, 0.1)), gate(stopped)]) == [UNDECIDED, UNDECIDED]


@pytest.mark.parametrize(("p", "expected"), [(0.004, FAIL), (0.006, UNDECIDED)])
def test_every_gate_is_held_against_its_own_alpha(p: float, expected: Verdict) -> None:
    strict = gate(comparison(FAIL, p, alpha=0.01), alpha=0.01)
    lax = gate(comparison(UNDECIDED, 0.3, alpha=0.2), alpha=0.2)
    assert verdicts([strict, lax]) == [expected, UNDECIDED]


def test_a_safeguard_is_held_against_the_alpha_of_its_own_policy() -> None:
    """An author who sets another alpha in his own policy loosens nothing of base's."""
    asked = replace(guard(FAIL, 0.01), alpha=ALPHA)
    assert verdicts([gate(comparison(PASS), guards=(asked,), alpha=1e-9)]) == [FAIL]
    assert verdicts([gate(comparison(PASS), guards=(replace(asked, alpha=0.001),), alpha=0.4)]) == [UNDECIDED]
    held = (replace(floor(FAIL, 0.01), alpha=ALPHA), (replace(part(FAIL, 0.02), alpha=ALPHA),))
    (judged,) = judge([gate(comparison(PASS), floor=held[0], slices=held[1], alpha=1e-9)])
    assert [judged.floor and judged.floor.verdict, judged.slices[0].verdict] == [FAIL, FAIL]


def test_exactly_alpha_rejects() -> None:
    for alpha in (0.05, 0.01, 0.1, 0.3):
        assert verdicts([gate(comparison(FAIL, alpha, alpha=alpha))]) == [FAIL]


def test_fifty_trivial_new_gates_change_no_verdict_of_a_base_gate() -> None:
    trivial = gate(comparison(PASS, 1.0), new=True, floor=floor(PASS), guards=(guard(PASS),) * 6, slices=(part(PASS),) * 50)
    base = [gate(comparison(FAIL, 0.03)), gate(comparison(PASS), floor=floor(FAIL, 0.03))]
    alone, diluted = judge(base), judge([*base, *[trivial] * 50])
    assert diluted[:2] == alone
    assert [each.verdict for each in alone] == [UNDECIDED, FAIL]
    assert verdicts([gate(comparison(FAIL, 0.04)), *[trivial] * 50])[0] is FAIL
    assert overall(diluted) is FAIL


def test_floors_guards_and_slices_that_block_are_one_family_apart_from_the_comparisons() -> None:
    gates = [gate(comparison(FAIL, 0.04), floor=floor(FAIL, 0.04)), gate(guards=(guard(PASS, 0.9),))]
    judged = judge(gates)
    assert judged[0].comparisons[0].verdict is FAIL
    assert judged[0].floor is not None
    assert judged[0].floor.verdict is UNDECIDED  # two safeguards: .025 each


def test_a_blocking_slice_shows_its_corrected_p() -> None:
    (judged,) = judge([gate(comparison(PASS), slices=(part(FAIL, 0.01), part(UNDECIDED, 0.2), part(PASS, 0.6)))])
    assert [each.p for each in judged.slices] == pytest.approx([0.03, 0.4, 1.0])
    assert [each.verdict for each in judged.slices] == [FAIL, UNDECIDED, PASS]


# -- the anchor --------------------------------------------------------------------------------------------------------------------

GAIN = comparison(PASS, gained=True)


@pytest.mark.parametrize("verdict", [FAIL, UNDECIDED])
def test_a_repair_may_be_merged_though_it_is_below_the_last_release(verdict: Verdict) -> None:
    anchor = comparison(verdict, 1e-6, kind="anchor")
    (judged,) = judge([gate(GAIN, anchor)])
    assert judged.verdict is PASS
    assert REPAIRED in judged.note
    assert judged.comparisons[1].verdict is verdict  # shown for what it is
    assert REPAIRED in judged.comparisons[1].note


@pytest.mark.parametrize(
    "others",
    [
        [],
        [comparison(PASS)],
        [comparison(UNDECIDED, 0.4, gained=True)],
        [GAIN, comparison(FAIL, 1e-6, suite_from="head")],
        [GAIN, comparison(UNDECIDED, 0.5, policy_from="head")],
        [comparison(PASS), comparison(PASS, gained=True, suite_from="head")],  # a gain by the author's own cases
    ],
    ids=["no base", "no gain", "base undecided", "head's suite fails", "head's policy undecided", "gain by head's suite only"],
)
def test_nothing_else_excuses_an_anchor(others: list[Comparison]) -> None:
    anchor = comparison(FAIL, 1e-6, kind="anchor")
    (judged,) = judge([gate(*others, anchor)])
    assert judged.verdict is FAIL
    assert REPAIRED not in judged.note


def test_an_anchor_that_could_not_be_measured_is_not_excused_and_a_base_comparison_never_is() -> None:
    lost = comparison(UNMEASURED, kind="anchor", reason="provider_down")
    assert verdicts([gate(GAIN, lost)]) == [UNMEASURED]
    assert not repaired(comparison(FAIL, 1e-6), gate(GAIN))


# -- the whole -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gates", "findings", "expected"),
    [
        ([], [], PASS),
        ([PASS], [], PASS),
        ([PASS, UNDECIDED], [], UNDECIDED),
        ([UNDECIDED, UNMEASURED], [], UNMEASURED),
        ([UNMEASURED, FAIL], [], FAIL),
        ([PASS], [UNMEASURED], UNMEASURED),
        ([UNDECIDED], [FAIL], FAIL),
    ],
)
def test_the_whole_is_fail_else_unmeasured_else_undecided(gates: list[Verdict], findings: list[Verdict], expected: Verdict) -> None:
    assert overall([gate(verdict=each) for each in gates], [Finding(verdict=each, message="m") for each in findings]) is expected


def test_what_was_accepted_stays_fail_and_costs_no_exit_code() -> None:
    (failed,) = judge([gate(comparison(FAIL, 1e-6), accepted="the old answers were wrong")])
    deleted = Finding(verdict=UNMEASURED, message="prompt deleted", accepted="nobody uses it")
    assert failed.verdict is FAIL
    assert overall([failed], [deleted]) is FAIL
    assert standing([failed], [deleted]) is PASS
    assert standing([failed, gate(verdict=UNDECIDED)], [deleted]) is UNDECIDED


@pytest.mark.parametrize("reason", ["", "  "])
def test_accepting_needs_a_reason(reason: str) -> None:
    assert standing([gate(verdict=FAIL, accepted=reason)]) is FAIL


@pytest.mark.parametrize(
    ("verdict", "blocks", "expected"),
    [
        (PASS, False, ExitCode.OK),
        (PASS, True, ExitCode.OK),
        (FAIL, False, ExitCode.REGRESSION),
        (FAIL, True, ExitCode.REGRESSION),
        (UNDECIDED, False, ExitCode.OK),
        (UNDECIDED, True, ExitCode.UNMEASURED),
        (UNMEASURED, False, ExitCode.UNMEASURED),
        (UNMEASURED, True, ExitCode.UNMEASURED),
    ],
)
def test_exit_codes(verdict: Verdict, blocks: bool, expected: ExitCode) -> None:
    assert exit_code(verdict, undecided_blocks=blocks) is expected


# -- errors and laws -------------------------------------------------------------------------------------------------------------


def test_twelve_gates_with_nothing_changed_are_blocked_five_times_in_a_hundred() -> None:
    chance, times, blocked = random.Random(4), 2000, 0
    for _ in range(times):
        gates = [gate(comparison(FAIL if (p := chance.random()) <= ALPHA else UNDECIDED, p)) for _ in range(12)]
        blocked += overall(judge(gates)) is FAIL
    rate, error = blocked / times, math.sqrt(0.05 * 0.95 / times)
    assert 0.03 < rate <= ALPHA + 3 * error


def test_alphas_of_their_own_keep_the_error_below_their_mean() -> None:
    chance, times, blocked = random.Random(5), 2000, 0
    alphas = [0.01, 0.02, 0.05, 0.08, 0.10, 0.04]
    for _ in range(times):
        gates = [gate(comparison(UNDECIDED, chance.random(), alpha=alpha), alpha=alpha) for alpha in alphas]
        blocked += overall(judge(gates)) is FAIL
    assert blocked / times <= ALPHA + 3 * math.sqrt(0.05 * 0.95 / times)


p_values = st.sampled_from([1e-6, 0.001, 0.004, 0.01, 0.02, 0.04, 0.05, 0.2, 0.6])
outcomes = st.one_of(p_values.map(lambda p: (FAIL if p <= ALPHA else UNDECIDED, p)), st.just((PASS, 0.7)))
gates_of = st.lists(
    st.builds(
        lambda found, floored, guarded, new: gate(
            *(comparison(*each) for each in found), floor=floored and floor(*floored), guards=guarded, new=new
        ),
        st.lists(outcomes, min_size=1, max_size=3),
        st.none() | outcomes,
        st.lists(outcomes.map(lambda each: guard(*each)), max_size=2).map(tuple),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(gates_of, st.randoms(use_true_random=False))
def test_the_order_of_gates_changes_nothing(gates: list[GateReport], chance: random.Random) -> None:
    order = list(range(len(gates)))
    chance.shuffle(order)
    judged, shuffled = judge(gates), judge([gates[index] for index in order])
    assert [judged[index] for index in order] == list(shuffled)


@given(gates_of, st.data())
def test_making_one_gate_worse_never_makes_any_better(gates: list[GateReport], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(gates) - 1))
    victim = gates[number]
    index = data.draw(st.integers(0, len(victim.comparisons) - 1))
    old = victim.comparisons[index]
    p = data.draw(p_values.filter(lambda p: old.verdict is PASS or p <= old.p_harm))
    worse = replace(old, p_harm=p, verdict=FAIL if p <= ALPHA else UNDECIDED)
    changed = [*gates]
    changed[number] = replace(victim, comparisons=(*victim.comparisons[:index], worse, *victim.comparisons[index + 1 :]))
    before, after = judge(gates), judge(changed)
    assert all(SEVERITY[new.verdict] >= SEVERITY[was.verdict] for was, new in zip(before, after, strict=True))
    assert SEVERITY[overall(after)] >= SEVERITY[overall(before)]


@given(gates_of)
def test_judging_leaves_nothing_that_its_parts_do_not_say(gates: list[GateReport]) -> None:
    for judged in judge(gates):
        found = [each.verdict for each in judged.comparisons] + [each.verdict for each in judged.guards]
        found += [judged.floor.verdict] if judged.floor else []
        assert judged.verdict is max(found, key=SEVERITY.__getitem__)


def test_an_anchor_that_gets_worse_makes_nothing_better() -> None:
    def with_anchor(verdict: Verdict, p: float) -> Verdict:
        return verdicts([gate(GAIN, comparison(verdict, p, kind="anchor"))])[0]

    ladder = [with_anchor(PASS, 1.0), with_anchor(UNDECIDED, 0.3), with_anchor(FAIL, 1e-6)]
    assert [SEVERITY[each] for each in ladder] == sorted(SEVERITY[each] for each in ladder)
