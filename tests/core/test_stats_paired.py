"""Oracles: scipy and statsmodels, METHODS' edge cases, the score test's own equation, and laws."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar

from promptreg.core.stats.paired import mcnemar_midp, tango_lower, tango_statistic, tango_upper

Z95 = statistics.NormalDist().inv_cdf(0.95)
counts = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 400)).map(lambda c: (c[0], c[1], sum(c)))
some = counts.filter(lambda c: c[2] > 0)
alphas = st.sampled_from([0.01, 0.025, 0.05, 0.1])


@given(st.integers(0, 800), st.integers(0, 800))
def test_midp_agrees_with_scipy(broken: int, fixed: int) -> None:
    n = broken + fixed
    expected = binom.sf(broken, n, 0.5) + binom.pmf(broken, n, 0.5) / 2 if n else 1.0
    assert mcnemar_midp(broken, fixed) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(st.integers(1, 60), st.integers(0, 60))
def test_midp_is_the_exact_test_less_half_of_what_was_seen(more: int, fixed: int) -> None:
    broken = fixed + more  # then the exact two-sided p is twice the one-sided
    table = [[5, fixed], [broken, 5]]
    exact = mcnemar(table, exact=True).pvalue / 2
    assert mcnemar_midp(broken, fixed) == pytest.approx(exact - binom.pmf(broken, broken + fixed, 0.5) / 2, rel=1e-9)


@pytest.mark.parametrize(("broken", "fixed", "fails"), [(4, 0, True), (3, 0, False), (0, 0, False), (9, 3, True), (8, 3, False)])
def test_a_drop_is_shown_from_four_broken_and_none_fixed(broken: int, fixed: int, fails: bool) -> None:
    assert (mcnemar_midp(broken, fixed) <= 0.05) is fails


def test_midp_of_many() -> None:
    assert mcnemar_midp(50_500, 50_000) == pytest.approx(
        binom.sf(50_500, 100_500, 0.5) + binom.pmf(50_500, 100_500, 0.5) / 2, rel=1e-7
    )


@given(st.integers(0, 300), st.integers(0, 300))
def test_midp_of_both_sides_adds_up_to_one(broken: int, fixed: int) -> None:
    if broken + fixed:
        assert mcnemar_midp(broken, fixed) + mcnemar_midp(fixed, broken) == pytest.approx(1)


@pytest.mark.parametrize(("margin", "n"), [(0.05, 52), (0.10, 25), (0.02, 133), (0.01, 268)])
def test_cases_that_nothing_changed_pass_from_here_on(margin: float, n: int) -> None:
    assert tango_statistic(0, 0, n, margin) <= -Z95 < tango_statistic(0, 0, n - 1, margin)
    assert tango_upper(0, 0, n, 0.05) == pytest.approx(Z95**2 / (n + Z95**2))


def test_a_real_drop_within_the_margin_passes() -> None:
    assert tango_upper(20, 0, 1000, 0.05) == pytest.approx(0.0287, abs=5e-5)
    assert tango_lower(20, 0, 1000, 0.05) > 0


def test_published_example() -> None:
    """Airway hyper-responsiveness of 21 children, in Fagerland, Lydersen, Laake, Statistics in Medicine 33 (2014) 2850-2875."""
    assert (tango_lower(1, 7, 21, 0.025), tango_upper(1, 7, 21, 0.025)) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert 2 * mcnemar_midp(7, 1) == pytest.approx(0.039, abs=5e-4)


@given(some, st.floats(0.001, 0.999))
def test_the_restricted_estimate_maximises_the_likelihood(c: tuple[int, int, int], margin: float) -> None:
    broken, fixed, n = c
    statistic = tango_statistic(broken, fixed, n, margin)

    def likelihood(q: float) -> float:
        chances = (q + margin, q, 1 - 2 * q - margin)
        return sum(
            k * math.log(p) if p > 0 else -math.inf for k, p in zip((broken, fixed, n - broken - fixed), chances, strict=True) if k
        )

    excess = broken - fixed - n * margin
    if abs(excess) > 1e-6 and math.isfinite(statistic):
        q = ((excess / statistic) ** 2 / n - margin * (1 - margin)) / 2
        best = likelihood(min(max(q, 0), (1 - margin) / 2))
        grid = [(1 - margin) / 2 * step / 200 for step in range(201)]
        assert best >= max(map(likelihood, grid)) - 1e-6


@given(some, st.lists(st.floats(-1, 1), min_size=2, max_size=6))
def test_the_statistic_falls_as_the_margin_grows(c: tuple[int, int, int], margins: list[float]) -> None:
    values = [tango_statistic(*c, margin) for margin in sorted(margins)]
    assert all(after <= before + 1e-9 for before, after in itertools.pairwise(values))


@given(counts, alphas)
def test_swapping_sides_mirrors_the_limits(c: tuple[int, int, int], alpha: float) -> None:
    broken, fixed, n = c
    assert tango_upper(broken, fixed, n, alpha) == -tango_lower(fixed, broken, n, alpha)


@given(some, alphas)
def test_the_limits_hold_the_estimate_and_solve_the_equation(c: tuple[int, int, int], alpha: float) -> None:
    broken, fixed, n = c
    lower, upper = tango_lower(*c, alpha), tango_upper(*c, alpha)
    assert -1 <= lower <= (broken - fixed) / n <= upper <= 1
    if upper < 1 - 1e-9:
        assert tango_statistic(*c, upper) == pytest.approx(-statistics.NormalDist().inv_cdf(1 - alpha), abs=1e-6)


@given(some, st.floats(-0.5, 0.5), alphas)
def test_the_limit_and_the_test_say_the_same(c: tuple[int, int, int], margin: float, alpha: float) -> None:
    upper = tango_upper(*c, alpha)
    if abs(upper - margin) > 1e-9:
        assert (upper < margin) is (tango_statistic(*c, margin) <= -statistics.NormalDist().inv_cdf(1 - alpha))


@given(counts.filter(lambda c: c[2] >= 20), st.sampled_from([0.01, 0.02, 0.05, 0.1, 0.2]), alphas)
def test_one_more_broken_case_never_opens_a_gate(c: tuple[int, int, int], margin: float, alpha: float) -> None:
    broken, fixed, n = c
    z = statistics.NormalDist().inv_cdf(1 - alpha)
    worse = [(broken + 1, fixed, n + 1)]
    worse += [(broken + 1, fixed, n)] if broken + fixed < n else []
    worse += [(broken + 1, fixed - 1, n), (broken, fixed - 1, n)] if fixed else []
    if tango_statistic(broken, fixed, n, margin) > -z:
        assert all(tango_statistic(*w, margin) > -z for w in worse)
    p = mcnemar_midp(broken, fixed)
    discordant = [w for w in worse if w[0] + w[1]]  # without any there is no test: p is 1 by definition
    assert all(mcnemar_midp(*w[:2]) <= p + 1e-12 for w in discordant)


@pytest.mark.parametrize(
    ("broken", "fixed", "n", "margin", "expected"),
    [(0, 0, 0, 0.05, 0.0), (0, 0, 10, 0.0, 0.0), (10, 0, 10, 1.0, 0.0), (9, 0, 10, 1.0, -math.inf), (0, 9, 10, -1.0, math.inf)],
)
def test_what_has_no_variance(broken: int, fixed: int, n: int, margin: float, expected: float) -> None:
    assert tango_statistic(broken, fixed, n, margin) == expected


def test_nothing_counted_limits_nothing() -> None:
    assert (tango_lower(0, 0, 0, 0.05), tango_upper(0, 0, 0, 0.05)) == (-1, 1)
    assert tango_upper(30, 0, 30, 0.05) == 1


@pytest.mark.parametrize(("broken", "fixed", "n"), [(-1, 0, 5), (0, -1, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(broken: int, fixed: int, n: int) -> None:
    with pytest.raises(ValueError, match="no counts"):
        tango_statistic(broken, fixed, n, 0.05)
    with pytest.raises(ValueError, match="no counts"):
        tango_upper(broken, fixed, n, 0.05)


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        tango_upper(1, 1, 10, alpha)


@pytest.mark.parametrize("margin", [1.5, -1.5, math.nan])
def test_an_impossible_margin_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="drop"):
        tango_statistic(1, 1, 10, margin)
