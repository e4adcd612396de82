"""Lopsided means and rare rates: published values, exact enumeration of the test's level, and laws."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.stats.paired import mcnemar_midp
from promptreg.core.stats.skewed import limits_of_mean, limits_of_rate, p_above, p_fewer, p_more, t_tail

ALPHA = 0.05


@pytest.mark.parametrize(
    ("t", "degrees", "tail"),
    [  # Abramowitz and Stegun, table 26.10
        (6.314, 1, 0.05),
        (31.821, 1, 0.01),
        (2.920, 2, 0.05),
        (2.353, 3, 0.05),
        (4.541, 3, 0.01),
        (2.015, 5, 0.05),
        (1.812, 10, 0.05),
        (2.764, 10, 0.01),
        (1.697, 30, 0.05),
        (1.658, 120, 0.05),
        (1.645, 10_000, 0.05),
    ],
)
def test_the_t_tail_agrees_with_a_published_table(t: float, degrees: int, tail: float) -> None:
    assert t_tail(t, degrees) == pytest.approx(tail, rel=2e-3)
    assert t_tail(-t, degrees) == pytest.approx(1 - tail, rel=1e-3)


@given(st.floats(-30, 30), st.floats(0, 5), st.integers(1, 3000))
def test_the_t_tail_is_a_probability_that_falls(t: float, more: float, degrees: int) -> None:
    assert 0 <= t_tail(t + more, degrees) <= t_tail(t, degrees) + 1e-14 <= 1 + 1e-12


def test_an_exact_rate_is_the_sum_of_its_binomial() -> None:
    def direct(count: int, n: int, rate: float) -> float:
        return math.fsum(math.comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(count + 1))

    for count, n, rate in [(0, 20, 0.2), (17, 20, 0.8), (47, 50, 0.98), (3, 60, 0.01), (59, 60, 0.9)]:
        assert p_fewer(count, n, rate) == pytest.approx(direct(count, n, rate), rel=1e-10)
    assert p_fewer(5, 5, 0.5) == 1.0
    assert p_fewer(4, 5, 1.0) == 0.0
    assert p_fewer(0, 0, 0.5) == 1.0


def test_clopper_and_pearson_as_published() -> None:
    # Newcombe, Statistics in Medicine 17 (1998) 857-872, table I, method 5; two-sided .95 is one-sided .975
    for passed, n, lower, upper in [
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ]:
        assert limits_of_rate(passed, n, 0.025) == pytest.approx((lower, upper), abs=6e-5)


@given(st.integers(1, 400), st.data())
def test_a_rate_is_rejected_exactly_where_its_limit_is_below(n: int, data: st.DataObject) -> None:
    passed = data.draw(st.integers(0, n))
    lower, upper = limits_of_rate(passed, n, ALPHA)
    assert lower <= passed / n <= upper
    if upper < 1:
        assert p_fewer(passed, n, min(1.0, upper + 1e-6)) <= ALPHA < p_fewer(passed, n, upper - 1e-6)


def level(n: int, limit: float, fixed: float) -> float:
    """The exact probability that `p_more` rejects at the boundary, over the whole trinomial; *fixed* is the rate of `fewer`."""
    total, more = 0.0, fixed + limit
    for fewer in range(n + 1):
        rest = n - fewer
        if fewer and not fixed:
            break
        weight = math.comb(n, fewer) * fixed**fewer * (1 - fixed) ** rest
        if weight < 1e-9:
            continue
        least, greatest = 0, rest + 1
        while least < greatest:
            middle = (least + greatest) // 2
            least, greatest = (least, middle) if p_more(middle, fewer, n, limit) <= ALPHA else (middle + 1, greatest)
        if least <= rest:
            total += weight * (1 - p_fewer(least - 1, rest, more / (1 - fixed)) if least else 1.0)
    return total


@pytest.mark.parametrize("limit", [0.01, 0.02, 0.05, 0.10])
@pytest.mark.parametrize("n", [20, 50, 100, 200])
def test_more_refusals_than_allowed_are_claimed_wrongly_in_five_of_a_hundred_at_most(n: int, limit: float) -> None:
    assert max(level(n, limit, fixed) for fixed in (0.0, 0.002, 0.02, 0.10)) <= ALPHA


def test_more_refusals_than_allowed_are_found() -> None:
    assert p_more(12, 1, 200, 0.02) < 0.03
    assert p_more(200, 0, 200, 0.02) < 1e-12
    assert p_more(3, 1, 200, 0.02) > 0.3
    assert p_more(9, 2, 50, 0.0) == mcnemar_midp(9, 2)
    assert p_more(0, 0, 0, 0.02) > ALPHA


@given(st.integers(1, 200), st.sampled_from([0.0, 0.01, 0.02, 0.1]), st.data())
def test_one_more_refusal_is_never_less_evidence(n: int, limit: float, data: st.DataObject) -> None:
    fewer = data.draw(st.integers(0, n - 1))
    more = data.draw(st.integers(0, n - fewer - 1))
    assert 0 <= p_more(more + 1, fewer, n, limit) <= p_more(more, fewer, n, limit) + 1e-12 <= 1 + 1e-9


# -- means -----------------------------------------------------------------------------------------------------------------------


def test_a_mean_of_symmetric_values_is_plain_student() -> None:
    values = [2.0, -1.0, 4.0, 1.0, 3.0, 0.0]  # symmetric about 1.5; t = 1.5 / (1.8708 / √6)
    assert p_above([(value, 1) for value in values]) == pytest.approx(t_tail(1.5 / (math.sqrt(3.5) / math.sqrt(6)), 5), rel=1e-9)


def test_equal_values_are_worth_their_signs_and_no_more() -> None:
    assert p_above([(0.5, 1)] * 3) == 0.125
    assert p_above([(0.5, 1)] * 10) == 0.5**10
    assert p_above([(0.0, 1)] * 10) == p_above([(-0.5, 1)] * 10) == 1.0
    assert p_above([(5.0, 1)]) == p_above([]) == 1.0


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 4)), min_size=2, max_size=30), st.floats(0.001, 1000))
def test_the_unit_of_measurement_and_the_order_change_nothing(clusters: list[tuple[float, int]], unit: float) -> None:
    p = p_above(clusters)
    assert 0 < p <= 1
    assert p_above(clusters[::-1]) == pytest.approx(p, rel=1e-6, abs=1e-9)
    assert p_above([(s * unit, k) for s, k in clusters]) == pytest.approx(p, rel=1e-5, abs=1e-9)


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=30), st.floats(0, 3))
def test_adding_the_same_to_all_is_never_less_evidence(values: list[float], more: float) -> None:
    before, after = (p_above([(value + shift, 1) for value in values]) for shift in (0.0, more))
    assert after <= before + 1e-9


@pytest.mark.parametrize("spread", [0.5, 1.0, 1.5])
@pytest.mark.parametrize("n", [20, 100])
def test_lognormal_values_at_the_boundary_are_claimed_above_in_five_of_a_hundred(n: int, spread: float) -> None:
    chance, times = random.Random(f"{n}/{spread}"), 800
    wrong = sum(
        p_above([(chance.lognormvariate(0, spread) - chance.lognormvariate(0, spread), 1) for _ in range(n)]) <= ALPHA
        for _ in range(times)
    )
    assert wrong / times <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / times)


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 3)), min_size=3, max_size=20))
def test_limits_of_a_mean_hold_it_and_mirror(units: list[tuple[float, int]]) -> None:
    clusters = [(share * k, k) for share, k in units]
    mean = math.fsum(s for s, _ in clusters) / sum(k for _, k in clusters)
    lower, upper = limits_of_mean(clusters, ALPHA)
    assert lower - 1e-9 <= mean <= upper + 1e-9
    assert limits_of_mean([(k - s, k) for s, k in clusters], ALPHA) == pytest.approx((1 - upper, 1 - lower), abs=1e-6)
