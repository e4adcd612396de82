"""Oracles: the score test's own equation, textbook tables, and coverage by seeded simulation."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t
from statsmodels.stats.proportion import proportion_confint

from promptreg.core.stats import effective_size, pass_interval, quantile, t_quantile, wilson

Unit = tuple[float, int]
units = st.lists(st.integers(1, 8).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("passed", "n", "lower", "upper"),
    [  # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_agrees_with_a_published_table(passed: int, n: int, lower: float, upper: float) -> None:
    assert wilson(passed, n) == pytest.approx((lower, upper), abs=5e-5)


@given(st.integers(1, 2000), st.floats(0, 1), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_wilson_limits_are_where_the_score_test_just_rejects(n: int, share: float, confidence: float) -> None:
    passed = round(share * n)
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    for limit in wilson(passed, n, confidence):
        if 0 < limit < 1:
            assert abs(passed / n - limit) / math.sqrt(limit * (1 - limit) / n) == pytest.approx(z, rel=1e-6)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_holds_the_rate_and_mirrors(n: int, share: float) -> None:
    passed = round(share * n)
    lower, upper = wilson(passed, n)
    assert 0 <= lower <= passed / n <= upper <= 1
    assert wilson(n - passed, n) == pytest.approx((1 - upper, 1 - lower))


@pytest.mark.parametrize(
    ("passed", "n", "confidence"), [(1, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 5, 1.0), (math.nan, 5, 0.95)]
)
def test_wilson_refuses_what_is_no_proportion(passed: float, n: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="not"):
        wilson(passed, n, confidence)


@pytest.mark.parametrize(
    ("probability", "degrees", "expected"),
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.3027),
        (0.975, 3, 3.1824),
        (0.975, 4, 2.7764),
        (0.975, 10, 2.2281),
        (0.95, 7, 1.8946),
        (0.975, 100, 1.9840),
        (0.99, 5, 3.3649),
    ],
)
def test_t_quantiles_of_the_textbook(probability: float, degrees: int, expected: float) -> None:
    assert t_quantile(probability, degrees) == pytest.approx(expected, rel=2e-3)
    assert t_quantile(1 - probability, degrees) == pytest.approx(-expected, rel=2e-3)


@given(st.lists(st.booleans(), min_size=1, max_size=200))
def test_single_answers_are_plain_wilson(answers: list[bool]) -> None:
    assert pass_interval([(int(answer), 1) for answer in answers]) == wilson(sum(answers), len(answers))


@given(units, st.randoms(use_true_random=False))
def test_interval_holds_the_rate_mirrors_and_ignores_order(cases: list[Unit], chance: random.Random) -> None:
    lower, upper = pass_interval(cases)
    rate = sum(passed for passed, _ in cases) / sum(n for _, n in cases)
    assert 0 <= lower <= rate + 1e-12
    assert rate - 1e-12 <= upper <= 1
    shuffled = chance.sample(cases, len(cases))
    assert pass_interval(shuffled) == pytest.approx((lower, upper))
    assert pass_interval([(n - passed, n) for passed, n in cases]) == pytest.approx((1 - upper, 1 - lower), abs=1e-9)


def test_identical_repeats_say_no_more_than_one_answer() -> None:
    once = [(1, 1)] * 30 + [(0, 1)] * 10
    assert effective_size([(5 * passed, 5) for passed, _ in once]) == pytest.approx(40, rel=0.1)
    assert pass_interval([(5 * passed, 5) for passed, _ in once]) == pytest.approx(wilson(30, 40), abs=0.02)


@pytest.mark.parametrize("cases", [[(5, 5)] * 12, [(0, 5)] * 12, [(3, 5)] * 12])
def test_without_variance_the_clusters_are_counted(cases: list[Unit]) -> None:
    assert effective_size(cases) == 12


def test_one_cluster_is_one_unit() -> None:
    lower, upper = pass_interval([(40, 50)])
    assert upper - lower > 0.7


@pytest.mark.parametrize("cases", [[], [(2, 1)], [(0, 0)], [(-1, 3)]])
def test_interval_refuses_what_is_no_unit(cases: list[Unit]) -> None:
    with pytest.raises(ValueError, match="pass rate"):
        pass_interval(cases)


def coverage(rate: float, size: int) -> float:
    """The exact probability that Wilson's interval holds *rate*: a binomial sum, no simulation."""
    held = [passed for passed in range(size + 1) if wilson(passed, size)[0] <= rate <= wilson(passed, size)[1]]
    return math.fsum(math.comb(size, passed) * rate**passed * (1 - rate) ** (size - passed) for passed in held)


@pytest.mark.parametrize("size", [20, 60, 200])
def test_wilson_covers_95_percent(size: int) -> None:
    """On average within a point; at single rates it oscillates with n, but not below 91 % (Brown et al., figure 5)."""
    covered = [coverage(rate / 100, size) for rate in range(5, 96)]
    assert statistics.fmean(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.91


def clustered(chance: random.Random) -> Unit:
    """Five repeats of a case whose own rate varies a lot: Beta(2, 1), mean 2/3; intra-case correlation 1/4."""
    rate = chance.betavariate(2, 1)
    return sum(chance.random() < rate for _ in range(5)), 5


@pytest.mark.parametrize("size", [8, 20, 60])
def test_clustered_coverage_is_the_nominal_95_percent(size: int) -> None:
    """Within four Monte-Carlo standard errors (2.3 points at 1,500 rounds; seeded)."""
    chance = random.Random(20240517)
    rounds = 1500
    held = 0
    for _ in range(rounds):
        lower, upper = pass_interval([clustered(chance) for _ in range(size)])
        held += lower <= 2 / 3 <= upper
    assert abs(held / rounds - 0.95) < 4 * math.sqrt(0.95 * 0.05 / rounds)


def test_pooling_repeats_as_cases_would_not_cover() -> None:
    """The reason for clusters: the naive interval of the same answers is too narrow."""
    chance = random.Random(7)
    held = 0
    for _ in range(500):
        cases = [clustered(chance) for _ in range(60)]
        lower, upper = wilson(sum(passed for passed, _ in cases), 300)
        held += lower <= 2 / 3 <= upper
    assert held / 500 < 0.90


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50), st.integers(1, 99))
def test_quantiles_agree_with_the_standard_library(values: list[float], percent: int) -> None:
    expected = statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
    assert quantile(values, percent / 100) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "q", "expected"), [([3.0], 0.95, 3.0), ([1, 2], 0.5, 1.5), ([5, 1, 3], 0, 1), ([5, 1, 3], 1, 5)]
)
def test_quantiles_at_the_edges(values: list[float], q: float, expected: float) -> None:
    assert quantile(values, q) == expected


def test_no_values_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="quantile"):
        quantile([], 0.5)


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 10, 61, 500])
def test_t_quantiles_agree_with_scipy(degrees: int) -> None:
    for probability in (0.5, 0.8, 0.95, 0.975, 0.99):
        assert t_quantile(probability, degrees) == pytest.approx(t.ppf(probability, degrees), rel=4e-3, abs=1e-9)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_agrees_with_statsmodels(n: int, share: float) -> None:
    passed = round(share * n)
    assert wilson(passed, n) == pytest.approx(proportion_confint(passed, n, method="wilson"), abs=1e-9)
