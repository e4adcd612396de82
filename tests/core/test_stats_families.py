"""Oracle: statsmodels."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from promptreg.core.stats.families import benjamini_hochberg, holm

p_values = st.lists(st.floats(0, 1), min_size=1, max_size=40)


@settings(max_examples=12)  # each of statsmodels' Holms collects the garbage of the whole process
@given(p_values)
def test_holm_agrees_with_statsmodels(values: list[float]) -> None:
    assert holm(values) == pytest.approx(tuple(multipletests(values, method="holm")[1]))


@given(p_values)
def test_benjamini_hochberg_agrees_with_statsmodels(values: list[float]) -> None:
    assert benjamini_hochberg(values) == pytest.approx(tuple(multipletests(values, method="fdr_bh")[1]))


@given(p_values, st.randoms())
def test_order_plays_no_part(values: list[float], chance: object) -> None:
    order = sorted(range(len(values)), key=lambda _: chance.random())  # type: ignore[attr-defined]
    for adjust in (holm, benjamini_hochberg):
        assert adjust([values[i] for i in order]) == tuple(adjust(values)[i] for i in order)


@given(p_values)
def test_holm_is_never_less_careful(values: list[float]) -> None:
    assert all(p <= b + 1e-12 <= h + 2e-12 for p, b, h in zip(values, benjamini_hochberg(values), holm(values), strict=True))


def test_no_tests_at_all() -> None:
    assert holm([]) == benjamini_hochberg([]) == ()


@pytest.mark.parametrize("value", [-0.1, 1.1, math.nan])
def test_what_is_no_p_value_is_refused(value: float) -> None:
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match="p-value"):
            adjust([0.5, value])
