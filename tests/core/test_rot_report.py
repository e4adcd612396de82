"""What a matrix says of its cells, and what a move saves."""

from __future__ import annotations

from dataclasses import replace

import pytest
import rotted

from promptreg.core.rot import upgrade
from promptreg.core.verdict import Verdict


def test_a_verdict_is_an_action() -> None:
    cells = (rotted.safe(), rotted.worse(), rotted.undecided(), rotted.unmeasured())
    assert [cell.action for cell in cells] == ["safe", "needs work", "undecided", "not measured"]


def test_the_gravest_cell_is_the_verdict() -> None:
    assert rotted.report(rotted.safe()).verdict is Verdict.PASS
    assert rotted.report(rotted.safe(), rotted.undecided()).verdict is Verdict.UNDECIDED
    assert rotted.report(rotted.undecided(), rotted.unmeasured()).verdict is Verdict.UNMEASURED
    assert rotted.report(rotted.unmeasured(), rotted.worse()).verdict is Verdict.FAIL


def test_the_headline_counts_actions_and_what_is_missing() -> None:
    assert rotted.report(rotted.safe(), rotted.undecided()).headline == "1 safe, 1 undecided (up to 240 more cases)"
    assert replace(rotted.report(), cells=()).headline == "nothing measured"


def test_format_only_needs_all_three_findings() -> None:
    cell = rotted.rewrapped()
    assert cell.format_only
    assert cell.content is not None
    broken = replace(cell.content.comparison, verdict=Verdict.FAIL)
    assert not replace(cell, content=replace(cell.content, comparison=broken)).format_only, "the content dropped too"
    assert not replace(cell, content=replace(cell.content, p=0.2)).format_only, "nothing shows that it is the wrapping"
    assert not replace(cell, content=None).format_only
    assert not replace(rotted.safe(), content=cell.content).format_only, "there is no drop to explain"


@pytest.mark.parametrize(("drop", "broken", "hidden"), [(-0.1, 6, True), (-0.1, 5, False), (0.0, 60, False), (0.1, 60, False)])
def test_a_mean_that_rose_hides_many_broken_cases(drop: float, broken: int, hidden: bool) -> None:
    """Of 300 cases, from six on."""
    cell = rotted.hidden()
    assert cell.comparison is not None
    changed = replace(cell.comparison, drop=drop, broken=broken)
    assert replace(cell, gate=replace(cell.gate, comparisons=(changed,))).hidden is hidden


def test_ratios_are_known_where_both_sides_are() -> None:
    assert rotted.worse().cost_ratio == pytest.approx(0.4)
    assert replace(rotted.worse(), reference_cost_usd=0.0).cost_ratio is None
    assert replace(rotted.worse(), cost_usd=None).cost_ratio is None
    assert replace(rotted.worse(), cost_usd=0.0).cost_ratio == 0.0


def test_a_move_saves_by_prompt_however_many_suites_measure_it() -> None:
    one = rotted.worse()
    cells = (one, replace(one, suite="more"), replace(rotted.safe(), prompt="faq"))
    found = upgrade(cells, "big-3", "big-4", 1_000)
    assert (found.prompts, found.priced, found.safe) == (2, 2, 1)
    assert found.saves_usd == pytest.approx(500 * 0.0006 + 500 * 0.0009)
    assert found.safe_saves_usd == pytest.approx(500 * 0.0009)


def test_a_prompt_is_safe_where_every_suite_says_so() -> None:
    cells = (rotted.safe(), replace(rotted.worse(), prompt=rotted.safe().prompt, suite="more"))
    assert upgrade(cells, "big-3", "big-4", 1_000).safe == 0


def test_what_nobody_knows_is_not_nought() -> None:
    assert upgrade((rotted.safe(),), "a", "b").saves_usd is None
    assert upgrade((), "a", "b", 10).saves_usd is None
    unpriced = replace(rotted.safe(), cost_usd=None)
    found = upgrade((unpriced, replace(rotted.worse(), prompt="other")), "a", "b", 10)
    assert (found.prompts, found.priced, found.safe, found.safe_saves_usd) == (2, 1, 1, None)
    assert found.saves_usd == pytest.approx(5 * 0.0006)


def test_a_dearer_model_costs() -> None:
    dear = replace(rotted.safe(), cost_usd=0.003)
    assert upgrade((dear,), "a", "b", 1_000).saves_usd == pytest.approx(-2.0)
