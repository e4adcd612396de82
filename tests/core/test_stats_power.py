"""Oracles: METHODS' tables, scipy's multinomial summed cell by cell, and the sequential rule itself."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multinomial

from promptreg.core.stats.betting import Betting
from promptreg.core.stats.paired import mcnemar_midp, tango_statistic
from promptreg.core.stats.power import cases_needed, exact_power, expected_units, mde


@pytest.mark.parametrize(
    ("discordance", "needed"),
    [(0.05, (1071, 172, 43)), (0.10, (2141, 343, 86)), (0.20, (4282, 686, 172)), (0.45, (9635, 1542, 386))],
)
def test_cases_needed_for_margins_of_2_5_and_10_points(discordance: float, needed: tuple[int, ...]) -> None:
    assert tuple(cases_needed(discordance, margin) for margin in (0.02, 0.05, 0.10)) == needed


@pytest.mark.parametrize(("margin", "n"), [(0.05, 52), (0.10, 25), (0.02, 133), (0.01, 268)])
def test_even_equal_answers_take_some_cases(margin: float, n: int) -> None:
    assert cases_needed(0.0, margin) == n


def test_a_real_drop_takes_more_cases() -> None:
    assert cases_needed(0.1, 0.05, drop=0.02) > 2 * cases_needed(0.1, 0.05)
    assert cases_needed(0.1, 0.05, drop=-0.02) < cases_needed(0.1, 0.05)


@pytest.mark.parametrize(("n", "points"), [(50, 13.1), (100, 9.3), (200, 6.5), (500, 4.1)])
def test_smallest_drop_shown(n: int, points: float) -> None:
    assert mde(n, 0.10) == pytest.approx(points / 100, abs=5e-4)


def test_few_cases_show_nothing() -> None:
    assert mde(0, 0.1) == mde(1, 1.0) == 1


@pytest.mark.parametrize(
    ("n", "discordance", "outcomes"),  # PASS and FAIL in percent at true drops of 0, 2 and 5 points, margin 5 points
    [
        (50, 0.10, ((24, 3), (13, 8), (3, 22))),
        (100, 0.05, ((58, 3), (26, 16), (4, 74))),
        (100, 0.10, ((44, 4), (22, 14), (5, 45))),
        (200, 0.10, ((70, 5), (36, 22), (5, 74))),
        (350, 0.10, ((89, 5), (53, 32), (5, 92))),
        (350, 0.20, ((67, 5), (34, 21), (5, 67))),
        (1000, 0.20, ((97, 3), (68, 32), (5, 95))),
    ],
)
def test_exact_power_of_the_fixed_rule(n: int, discordance: float, outcomes: tuple[tuple[float, float], ...]) -> None:
    for drop, (passes, fails) in zip((0.0, 0.02, 0.05), outcomes, strict=True):
        assert exact_power("PASS", n=n, discordance=discordance, drop=drop, margin=0.05) == pytest.approx(passes / 100, abs=0.0055)
        assert exact_power("FAIL", n=n, discordance=discordance, drop=drop, margin=0.05) == pytest.approx(fails / 100, abs=0.0055)


@settings(max_examples=15)
@given(
    st.integers(1, 40), st.floats(0.01, 1), st.floats(-1, 1), st.sampled_from([0.05, 0.1, 0.3]), st.sampled_from([0.025, 0.05, 0.2])
)
def test_exact_power_is_the_sum_over_all_counts(n: int, discordance: float, tilt: float, margin: float, alpha: float) -> None:
    drop = discordance * tilt
    z = statistics.NormalDist().inv_cdf(1 - alpha)
    trinomial = multinomial(n, [(discordance + drop) / 2, (discordance - drop) / 2, 1 - discordance])
    sums = {"PASS": 0.0, "FAIL": 0.0}
    for broken in range(n + 1):
        for fixed in range(n + 1 - broken):
            chance = trinomial.pmf([broken, fixed, n - broken - fixed])
            if tango_statistic(broken, fixed, n, margin) <= -z:
                sums["PASS"] += chance
            elif mcnemar_midp(broken, fixed) <= alpha:
                sums["FAIL"] += chance
    for verdict, expected in sums.items():
        found = exact_power(verdict, n=n, discordance=discordance, drop=drop, margin=margin, alpha=alpha)  # type: ignore[arg-type]
        assert found == pytest.approx(expected, abs=1e-8)


@given(st.integers(20, 200), st.floats(0.02, 0.5))
@settings(max_examples=25)
def test_both_errors_keep_their_level(n: int, discordance: float) -> None:
    assert exact_power("FAIL", n=n, discordance=discordance, drop=0.0, margin=0.05) <= 0.0505
    if discordance >= 0.05:
        assert exact_power("PASS", n=n, discordance=discordance, drop=0.05, margin=0.05) <= 0.058  # METHODS' worst cell


@pytest.mark.parametrize(
    ("margin", "discordance", "n", "drop", "units"),
    [
        (0.05, 0.05, 294, 0.0, 147),
        (0.05, 0.10, 592, 0.0, 245),
        (0.05, 0.10, 592, 0.05, 237),
        (0.05, 0.10, 592, 0.10, 72),
        (0.05, 0.15, 848, 0.0, 345),
        (0.05, 0.15, 848, 0.05, 343),
        (0.05, 0.20, 1190, 0.0, 451),
        (0.05, 0.20, 1190, 0.05, 462),
        (0.10, 0.10, 160, 0.0, 70),
        (0.10, 0.10, 160, 0.10, 50),
        (0.10, 0.20, 378, 0.0, 127),
    ],
)
def test_expected_consumption(margin: float, discordance: float, n: int, drop: float, units: int) -> None:
    assert expected_units("sequential", n, discordance, drop, margin, 0.05) == pytest.approx(units, rel=0.13)


@pytest.mark.parametrize(("drop", "units"), [(0.0, 250), (0.05, 241), (0.10, 88)])
def test_expected_consumption_with_half_of_alpha(drop: float, units: int) -> None:
    assert expected_units("hybrid", 370, 0.10, drop, 0.05, 0.05) == pytest.approx(units, rel=0.10)


def test_long_runs_are_scaled_and_yet_right() -> None:
    chance, stops = random.Random(71), []
    for _ in range(60):
        made = Betting(margin=0.03, a_fail=0.05, a_pass=0.05, planned=2000, discordance=0.2)
        while not (made.passed or made.failed) and made.consumed < 2000:
            made.update(chance.choices([1.0, -1.0, 0.0], [0.1, 0.1, 0.8])[0])
        stops.append(made.consumed)
    assert expected_units("sequential", 2000, 0.2, 0.0, 0.03, 0.05) == pytest.approx(statistics.fmean(stops), rel=0.2)


def test_fixed_mode_consumes_all_and_batches_a_little_more() -> None:
    assert expected_units("fixed", 300, 0.1, 0.0, 0.05, 0.05) == 300
    assert expected_units("hybrid", 0, 0.1, 0.0, 0.05, 0.05) == 0
    single, batched = (expected_units("sequential", 400, 0.1, 0.0, 0.05, 0.05, batch=batch) for batch in (1, 16))
    assert single + 4 < batched < single + 16
    assert expected_units("sequential", 20, 0.5, 0.0, 0.02, 0.05, batch=64) == 20


def test_the_same_question_has_the_same_answer() -> None:
    assert expected_units("hybrid", 200, 0.1, 0.0, 0.05, 0.05) == expected_units("hybrid", 200, 0.1, 0.0, 0.05, 0.05)
    assert 0 < expected_units("hybrid", 200, 0.0, 0.0, 0.05, 0.05) < 200


def test_impossible_figures_are_refused() -> None:
    for discordance, margin, drop in ((0.1, 0.05, 0.05), (0.1, 0.0, 0.0), (1.2, 0.05, 0.0), (0.1, 1.0, 0.0)):
        with pytest.raises(ValueError, match="no number of cases"):
            cases_needed(discordance, margin, drop=drop)
    with pytest.raises(ValueError, match="cannot have"):
        exact_power("PASS", n=50, discordance=0.05, drop=0.1, margin=0.05)
    with pytest.raises(ValueError, match="cannot have"):
        expected_units("hybrid", 50, 0.05, 0.1, 0.05, 0.05)
