"""Oracles: METHODS' measured figures, formulas maximised numerically, the promise itself by seeded simulation, and laws."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from promptreg.core.stats.betting import Betting, Golden, Increase, Mean, optimal_stake

differences = st.lists(st.sampled_from([-1.0, 0.0, 0.0, 0.0, 1.0]) | st.floats(-1, 1), max_size=60)


def bettors(planned: int = 300, *, margin: float = 0.05, alpha: float = 0.05, kind: type[Betting] = Betting) -> Betting:
    return kind(margin=margin, a_fail=alpha, a_pass=alpha, planned=planned)


def fed(made: Betting, ds: Sequence[float]) -> Betting:
    for d in ds:
        made.update(d)
    return made


def drawn(chance: random.Random, n: int, discordance: float, drop: float) -> list[float]:
    return chance.choices([1.0, -1.0, 0.0], [(discordance + drop) / 2, (discordance - drop) / 2, 1 - discordance], k=n)


def test_equal_answers_pass_after_84() -> None:
    made = fed(bettors(350), [0.0] * 83)
    assert not made.passed
    assert fed(made, [0.0]).passed
    assert not made.failed


def test_broken_answers_fail_after_20() -> None:
    made = fed(bettors(350), [1.0] * 19)
    assert not made.failed
    assert fed(made, [1.0]).failed
    assert not made.passed


@pytest.mark.parametrize(
    ("drop", "passes", "fails", "consumed"), [(0.0, 0.91, 0.042, 245), (0.05, 0.043, 0.90, 237), (0.10, 0, 1, 72)]
)
def test_operating_characteristics_are_those_measured_independently(
    drop: float, passes: float, fails: float, consumed: int
) -> None:
    """Margin 5 points, discordance .10, 592 cases planned: METHODS A5, simulated there with other code."""
    chance, runs, passed, failed, units = random.Random(21), 250, 0, 0, 0
    for _ in range(runs):
        made = bettors(592)
        for d in drawn(chance, 592, 0.10, drop):
            made.update(d)
            if made.passed or made.failed:
                break
        passed, failed, units = passed + made.passed, failed + (made.failed and not made.passed), units + made.consumed
    assert (passed / runs, failed / runs) == pytest.approx((passes, fails), abs=0.06)
    assert units / runs == pytest.approx(consumed, rel=0.10)


@pytest.mark.parametrize("discordance", [0.05, 0.3])
@pytest.mark.parametrize("kind", ["fail", "pass"])
def test_ville_a_true_null_is_rejected_no_more_often_than_alpha(kind: str, discordance: float) -> None:
    chance, runs, alpha, crossed = random.Random(f"{kind}{discordance}"), 500, 0.05, 0
    for _ in range(runs):
        made = fed(bettors(150), drawn(chance, 200, discordance, 0.0 if kind == "fail" else 0.05))  # and on beyond the plan
        crossed += made.failed if kind == "fail" else made.passed
    assert crossed / runs <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / runs)


@settings(max_examples=60)
@given(differences, st.integers(1, 80), st.sampled_from([0.0, 0.02, 0.05, 0.3]))
def test_each_bet_is_fair_at_the_edge_of_its_null_and_never_ruinous(ds: list[float], planned: int, margin: float) -> None:
    """What would be held after d = -1, 0 and 1, mixed to a mean of 0 (of the margin), averages to what is held now."""
    held = []
    for last in (-1.0, 0.0, 1.0):
        made = fed(bettors(planned, margin=margin), [*ds, last])
        held.append((math.exp(made.log_fail), math.exp(made.log_pass)))
    before = fed(bettors(planned, margin=margin), ds)
    (fail_better, pass_better), (fail_same, pass_same), (fail_worse, pass_worse) = held
    assert fail_better / 2 + fail_worse / 2 == pytest.approx(math.exp(before.log_fail)) == pytest.approx(fail_same)
    mixed = (1 - margin) / 2 * pass_better + (1 + margin) / 2 * pass_worse
    assert mixed == pytest.approx(math.exp(before.log_pass)) == pytest.approx(pass_same * (1 - margin) + pass_worse * margin)
    assert fail_better >= 0.0999 * math.exp(before.log_fail)
    assert pass_worse >= 0.0999 * math.exp(before.log_pass)


@given(st.floats(0.005, 0.5), st.floats(0.01, 0.99))
def test_the_optimal_stake_maximises_growth(margin: float, spread: float) -> None:
    def shrinkage(stake: float) -> float:
        outcomes = ((1 - spread, margin), (spread / 2, margin - 1), (spread / 2, margin + 1))
        return -sum(share * math.log1p(stake * gain) for share, gain in outcomes)

    top = 1 / (1 - margin)
    oracle = minimize_scalar(shrinkage, bounds=(0, top * (1 - 1e-9)), method="bounded", options={"xatol": 1e-9})
    stake = optimal_stake(margin, spread)
    assert 0 < stake < top
    assert shrinkage(stake) <= oracle.fun + 1e-9


def test_the_optimal_stake_of_no_margin_is_none() -> None:
    assert optimal_stake(0.0, 0.1) == 0


@settings(max_examples=30)
@given(differences, differences)
def test_a_worse_answer_never_helps_at_its_own_place(ds: list[float], after: list[float]) -> None:
    """Not of whole runs (later stakes change), but of the update in question."""
    for worse, better in ((1.0, 0.0), (0.0, -1.0), (0.5, 0.25)):
        low, high = fed(bettors(), [*ds, better]), fed(bettors(), [*ds, worse])
        assert high.log_pass <= low.log_pass
        assert high.log_fail >= low.log_fail


def test_a_missing_answer_counts_against_both_conclusions() -> None:
    made, known = bettors(), bettors()
    made.update(-1.0, 1.0)
    known.update(0.0)
    assert made.log_pass < known.log_pass
    assert made.log_fail < known.log_fail
    lost = fed(bettors(), [])
    for _ in range(200):
        lost.update(-1.0, 1.0)
    assert lost.passed is lost.failed is False
    assert (lost.lower(0.05), lost.upper(0.05)) == pytest.approx((-1, 1), abs=0.1)


def test_looking_back_and_looking_now() -> None:
    made = fed(bettors(350), [0.0] * 84 + [1.0] * 8)
    assert (made.passed, made.pass_now) == (True, False)
    assert made.max_log_pass > made.log_pass
    made = fed(bettors(350), [1.0] * 20 + [-1.0] * 12)
    assert (made.failed, made.fail_now) == (True, False)
    assert made.consumed == 32


# -- limits -----------------------------------------------------------------------------------------------------------------------


@settings(max_examples=25)
@given(differences)
def test_swapping_sides_mirrors_the_limits(ds: list[float]) -> None:
    for kind in (Betting, Golden):
        made, mirrored = fed(bettors(60, kind=kind), ds), fed(bettors(60, kind=kind), [-d for d in ds])
        assert made.upper(0.05) == -mirrored.lower(0.05)
        assert made.lower(0.05) <= made.upper(0.05)


def test_nothing_seen_limits_nothing() -> None:
    assert (bettors().lower(0.05), bettors().upper(0.05)) == (-1, 1)


@pytest.mark.parametrize("drop", [0.0, 0.05, 0.08])
def test_limits_say_what_the_bettors_say(drop: float) -> None:
    chance = random.Random(f"{drop}")
    verdicts = set()
    for _ in range(15):
        made = fed(bettors(200, margin=0.08), drawn(chance, 150, 0.1, drop))
        assert made.passed is (made.upper(0.05) <= 0.08)
        assert made.failed is (made.lower(0.05) >= 0)
        verdicts.add((made.passed, made.failed))
    assert len(verdicts) > 1


def test_limits_cover_at_any_stopping_time() -> None:
    chance, runs, missed = random.Random(31), 100, 0
    for _ in range(runs):
        made = bettors(200)
        for d in drawn(chance, 200, 0.2, 0.04):
            made.update(d)
            if made.passed or made.failed:  # the worst moment to look
                break
        missed += made.upper(0.05) < 0.04
    assert missed / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


# -- the golden set ---------------------------------------------------------------------------------------------------------------


def test_the_golden_set_answers_as_all_of_it_would_and_with_half_of_it() -> None:
    chance, runs, agreed, consumed = random.Random(41), 240, 0, 0
    for run in range(runs):
        ds = drawn(chance, 200, 0.10, (0.0, 0.02, 0.10)[run % 3])
        made = bettors(200, kind=Golden)
        for d in ds:
            made.update(d)
            if made.passed or made.failed:
                break
        assert made.passed is not made.failed
        agreed += made.failed is (sum(ds) >= 10)
        consumed += made.consumed
    assert agreed / runs >= 0.97
    assert consumed / runs <= 0.65 * 200


@settings(max_examples=25)
@given(st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=20, max_size=20))
def test_the_whole_golden_set_always_decides(ds: list[float]) -> None:
    made = fed(bettors(20, kind=Golden, alpha=1e-9), ds)  # too careful for bets: arithmetic alone
    assert made.passed is (sum(ds) < 1)
    assert made.failed is (sum(ds) >= 1)
    assert made.lower(1e-9) <= sum(ds) / 20 <= made.upper(1e-9)
    assert made.upper(1e-9) - made.lower(1e-9) <= 0.0051
    assert made.failed is (made.lower(1e-9) >= 0.05)


def test_a_golden_set_stops_when_what_remains_cannot_change_the_answer() -> None:
    made = fed(bettors(100, kind=Golden, alpha=1e-99, margin=0.5), [-1.0] * 26)
    assert made.passed  # 74 left, and 76 more would have to be broken
    assert not fed(bettors(100, kind=Golden, alpha=1e-99, margin=0.5), [-1.0] * 25).passed


def test_a_golden_set_has_no_more_than_all_of_it() -> None:
    with pytest.raises(ValueError, match="golden"):
        fed(bettors(3, kind=Golden), [0.0] * 4)


# -- means ------------------------------------------------------------------------------------------------------------------------


def mean_of(values: Sequence[float]) -> Mean:
    made = Mean()
    for x in values:
        made.update(x)
    return made


def test_a_mean_below_its_floor_is_shown() -> None:
    chance = random.Random(51)
    values = [float(chance.random() < 0.7) for _ in range(200)]
    made = mean_of(values)
    assert made.below(0.9, 0.05)
    assert not made.below(0.7, 0.05)
    assert made.lower(0.05) < sum(values) / 200 < made.upper(0.05) < made.lower(0.05) + 0.25


def test_a_mean_at_its_floor_is_seldom_called_below_it() -> None:
    chance, runs = random.Random(52), 400
    wrong = sum(mean_of([float(chance.random() < 0.8) for _ in range(100)]).below(0.8, 0.05) for _ in range(runs))
    assert wrong / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), max_size=40))
def test_limits_of_a_mean_mirror_and_hold_it(values: list[float]) -> None:
    made, mirrored = mean_of(values), mean_of([1 - x for x in values])
    assert made.lower(0.05) == pytest.approx(1 - mirrored.upper(0.05), abs=0.0026)  # one step of the grid: 1 - (1 - x) is not x
    assert 0 <= made.lower(0.05) <= made.upper(0.05) <= 1
    assert made.below(made.upper(0.05), 0.05) or made.upper(0.05) == 1


def test_nothing_seen_says_nothing_of_a_mean() -> None:
    assert (Mean().lower(0.05), Mean().upper(0.05), Mean().below(1.0, 0.05)) == (0, 1, False)


# -- increases --------------------------------------------------------------------------------------------------------------------


def increase(values: Sequence[float], planned: int = 0) -> Increase:
    made = Increase(planned=planned)
    for x in values:
        made.update(x)
    return made


@pytest.mark.parametrize("planned", [0, 150])
def test_an_increase_is_shown(planned: int) -> None:
    chance = random.Random(61)
    assert increase([chance.uniform(-0.3, 0.5) for _ in range(150)], planned).rejects(0.05)
    assert increase([0.03] * 150, planned).rejects(0.05)  # small, and always there
    assert not increase([chance.uniform(-0.5, 0.3) for _ in range(150)], planned).rejects(0.05)


@pytest.mark.parametrize("planned", [0, 150])
def test_no_increase_is_seldom_called_one(planned: int) -> None:
    chance, runs = random.Random(62), 400
    for draw in (
        lambda: chance.uniform(-0.1, 0.1),
        lambda: chance.choice([0.9, -0.1, -0.1, -0.1, -0.1, -0.1, -0.1, -0.1, -0.1, -0.1]),
    ):
        wrong = sum(increase([draw() for _ in range(150)], planned).rejects(0.05) for _ in range(runs))
        assert wrong / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)


# -- refusals ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [1.01, -1.01, math.nan, math.inf])
def test_values_that_are_no_differences_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="between"):
        bettors().update(value)
    with pytest.raises(ValueError, match="between"):
        bettors().update(0.0, value)
    with pytest.raises(ValueError, match="between"):
        Increase().update(value)
    with pytest.raises(ValueError, match="between"):
        Mean().update(value)


@pytest.mark.parametrize(
    "wrong",
    [
        {"margin": 1.0},
        {"margin": -0.1},
        {"planned": -1},
        {"discordance": 1.5},
        {"a_fail": 0.0},
        {"a_pass": 1.0},
        {"margin": math.nan},
    ],
)
def test_impossible_bets_are_refused(wrong: dict[str, float]) -> None:
    figures = {"margin": 0.05, "a_fail": 0.05, "a_pass": 0.05, "planned": 100, "discordance": 0.1} | wrong
    with pytest.raises(ValueError, match=r"no bets|alpha"):
        Betting(**figures)  # type: ignore[arg-type]


def test_an_impossible_alpha_is_refused() -> None:
    for ask in (bettors().upper, bettors().lower, Mean().upper, Mean().lower, Increase().rejects):
        with pytest.raises(ValueError, match="alpha"):
            ask(0.0)
