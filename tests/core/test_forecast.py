"""What a gate can be expected to say and to cost, against the tables of METHODS and against the contest itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreg.core.forecast import Lengths, forecast, pass_chance
from promptreg.core.suite import Policy


@pytest.mark.parametrize(("cases", "chance"), [(60, 0.18), (100, 0.28), (150, 0.44), (200, 0.57)])
def test_a_hybrid_gate_passes_an_unchanged_prompt_as_often_as_semantics_says(cases: int, chance: float) -> None:
    assert forecast(Policy(), cases).pass_chance == pytest.approx(chance, abs=0.015)


@pytest.mark.parametrize(
    ("cases", "discordance", "chance"), [(50, 0.10, 0.24), (100, 0.05, 0.58), (350, 0.20, 0.67), (1000, 0.20, 0.97)]
)
def test_a_fixed_gate_does_as_in_the_table_of_methods_a2(cases: int, discordance: float, chance: float) -> None:
    assert pass_chance(Policy(mode="fixed"), cases, discordance) == pytest.approx(chance, abs=0.01)


def test_the_chance_of_many_cases_follows_on_from_that_of_fewer() -> None:
    policy = Policy(mode="fixed", margin=0.02)
    assert pass_chance(policy, 2001, 0.10) == pytest.approx(pass_chance(policy, 2000, 0.10), abs=0.01)


def test_a_hopeless_gate_is_warned_of_and_told_what_would_help() -> None:
    found = forecast(Policy(), 60)
    assert found.hopeless
    assert found.text[-1] == (
        "even an unchanged prompt PASSes only 18% of the time with 60 cases and a margin of 5 points: 421 cases would make it 90%, "
        "a margin of 10 points 57%"
    )
    enough = forecast(Policy(), found.needed)
    assert not enough.hopeless
    assert enough.pass_chance == pytest.approx(0.90, abs=0.03)


def test_another_model_moves_more_cases_than_an_edit() -> None:
    edit, model = forecast(Policy(), 350), forecast(Policy(), 350, model_change=True)
    assert (edit.discordance, model.discordance) == (0.10, 0.30)
    assert edit.needed < model.needed
    assert edit.mde < model.mde
    assert forecast(Policy(), 350, noise=0.05, model_change=True).discordance == 0.05


def test_what_is_unchanged_or_known_costs_no_call() -> None:
    found = forecast(Policy(), 400, unchanged=300, known=50)
    assert found.calls == 50
    assert found.discordance == pytest.approx(0.025)
    assert max(found.calls_no_change, found.calls_at_margin, found.calls_at_double) <= 50
    assert forecast(Policy(), 400, unchanged=400).calls_no_change == 0


def test_calls_expected_are_those_of_methods_a5() -> None:
    found = forecast(Policy(mode="sequential", batch=1), 592)
    assert found.calls_no_change == pytest.approx(245, rel=0.12)
    assert found.calls_at_margin == pytest.approx(237, rel=0.12)
    assert found.calls_at_double == pytest.approx(72, rel=0.12)
    assert found.text[1].startswith(f"calls expected: {found.calls_no_change} if nothing changed")
    fixed = forecast(Policy(mode="fixed"), 592)
    assert (fixed.calls_no_change, fixed.calls_at_double) == (592, 592)


def test_a_golden_set_answers_its_own_question() -> None:
    found = forecast(Policy(target="golden"), 100)
    assert (found.pass_chance, found.hopeless) == (1.0, False)


def test_too_few_cases_cannot_pass() -> None:
    assert forecast(Policy(margin=0.30), 19).pass_chance == 0.0
    assert forecast(Policy(margin=0.30), 20).pass_chance > 0.8


def test_a_margin_of_zero_asks_for_an_improvement() -> None:
    found = forecast(Policy(margin=0.0), 400)
    assert (found.pass_chance, found.hopeless, found.needed) == (0.0, True, 0)
    assert found.text[-1] == "with a margin of 0 only a shown improvement is a PASS"


def test_nothing_to_measure_is_no_hopeless_gate() -> None:
    found = forecast(Policy(), 0)
    assert (found.hopeless, found.text, found.calls_no_change) == (False, (), 0)


@pytest.mark.parametrize(("planned", "unchanged", "known"), [(10, 11, 0), (10, 6, 5), (-1, 0, 0), (10, -1, 0)])
def test_impossible_counts_are_refused(planned: int, unchanged: int, known: int) -> None:
    with pytest.raises(ValueError, match="planned"):
        forecast(Policy(), planned, unchanged=unchanged, known=known)


@given(
    st.integers(1, 400),
    st.floats(0, 1),
    st.sampled_from([0.02, 0.05, 0.2, 0.7]),
    st.sampled_from(["fixed", "hybrid", "sequential"]),
)
@settings(max_examples=15, deadline=None)
def test_figures_are_possible_and_more_cases_never_lessen_the_hope(cases: int, noise: float, margin: float, mode: str) -> None:
    policy = replace(Policy(), margin=margin, mode=mode)
    found = forecast(policy, cases, noise=noise)
    assert 0 <= found.pass_chance <= 1
    assert min(found.calls_no_change, found.calls_at_margin, found.calls_at_double) >= 0
    assert max(found.calls_no_change, found.calls_at_margin, found.calls_at_double) <= cases
    assert found.needed >= policy.min_cases
    assert pass_chance(policy, 4 * cases, found.discordance) >= found.pass_chance - 0.02


def test_gates_that_are_alike_share_what_was_simulated() -> None:
    lengths, policy = Lengths(), Policy(mode="sequential")
    shared = {cases: forecast(policy, cases, lengths=lengths) for cases in range(200, 300, 2)}
    assert lengths.simulated < 20
    for cases in (200, 248, 298):
        alone = forecast(policy, cases)
        assert shared[cases].calls_no_change == pytest.approx(alone.calls_no_change, rel=0.25)
        assert shared[cases].calls_at_double == pytest.approx(alone.calls_at_double, rel=0.25)
