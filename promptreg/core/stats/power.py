"""How many cases it takes, before the first is asked: planning figures for the gate's tests. Knows no gates and no prices.

`discordance` is the share of cases on which both sides differ, `drop` the true difference, positive when the candidate is worse.

cases, effect   E. Miller, Adding error bars to evals, arXiv 2411.00640 (2024), section 5, for paired differences.
exact           the sum of the trinomial over all counts that give the verdict, no approximation.
units           simulated: the sequential rule has no formula.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate, count
from statistics import NormalDist
from typing import Literal

from promptreg.core.stats.betting import Betting
from promptreg.core.stats.paired import mcnemar_midp, tango_statistic

Mode = Literal["fixed", "sequential", "hybrid"]

_SEED = "expected-units"
_BUDGET = 16_000  # updates of a simulation, about 40 ms; a tenth of a run's length is its standard error at the very most
_LONGEST = 400  # a longer run is simulated as a shorter one with as much greater a margin
_LEAST_RUNS = 24
_STEEPEST = 0.6  # of the discordance: a greater margin would no longer behave as the smaller one it stands for
_UNLIKELY = 1e-12  # counts that are no more probable are left out of a sum


def cases_needed(discordance: float, margin: float, alpha: float = 0.05, power: float = 0.90, drop: float = 0.0) -> int:
    """How many cases show with *power* that a true *drop* is below *margin*; at least as many as equal answers alone would take.

    Raises ValueError unless drop < margin < 1 and drop² <= discordance <= 1: no number of cases shows what is not so.
    """
    if not (drop < margin < 1 and margin > 0 and drop * drop <= discordance <= 1):
        raise ValueError(f"no number of cases shows a drop of {drop} to be below {margin} at a discordance of {discordance}")
    spread = discordance - drop * drop
    least = _z(1 - alpha) ** 2 * (1 - margin) / margin  # Tango's statistic with nothing discordant
    return math.ceil(max(least, (_z(1 - alpha) + _z(power)) ** 2 * spread / (margin - drop) ** 2))


def mde(n: int, discordance: float, alpha: float = 0.05, power: float = 0.90) -> float:
    """The smallest drop that *n* cases show with *power*; 1 where there are none."""
    return min(1.0, (_z(1 - alpha) + _z(power)) * math.sqrt(discordance / n)) if n > 0 else 1.0


def exact_power(
    verdict: Literal["PASS", "FAIL"], *, n: int, discordance: float, drop: float, margin: float, alpha: float = 0.05
) -> float:
    """The probability of *verdict* under the fixed binary rule: PASS by Tango's test at *margin*, else FAIL by mid-p McNemar.

    About 5 ms for a thousand cases. Raises ValueError unless |drop| <= discordance <= 1 and n >= 1.
    """
    if not (abs(drop) <= discordance <= 1 and n >= 1):
        raise ValueError(f"{n} cases cannot have a drop of {drop} at a discordance of {discordance}")
    z = _z(1 - alpha)
    share = (1 + drop / discordance) / 2 if discordance else 0.5
    total = 0.0
    for discordant, chance in _binomial(n, discordance):
        passes = _first(discordant, lambda b, k=discordant: tango_statistic(b, k - b, n, margin) > -z)  # type: ignore[misc]
        lowest, highest = 0, passes
        if verdict == "FAIL":
            fails = _first(discordant, lambda b, k=discordant: mcnemar_midp(b, k - b) <= alpha)  # type: ignore[misc]
            lowest, highest = max(passes, fails), discordant + 1
        total += chance * math.fsum(part for b, part in _binomial(discordant, share) if lowest <= b < highest)
    return min(1.0, total)


def expected_units(
    mode: Mode, n: int, discordance: float, drop: float, margin: float, alpha: float, *, batch: int = 1, quick: bool = False
) -> float:
    """How many of *n* planned units are consumed on average before a verdict or the end, looking after every *batch*.

    Simulated from a fixed seed, to about 5 %, in about 50 ms; *quick*, to about 10 %, in about 20. Runs longer than 400 are
    simulated scaled down: what counts is margin²·n / discordance. Raises ValueError on impossible figures, as `exact_power` does.
    """
    if not (abs(drop) <= discordance <= 1 and n >= 0 and batch >= 1):
        raise ValueError(f"{n} units cannot have a drop of {drop} at a discordance of {discordance}")
    if mode == "fixed" or n == 0:
        return float(n)
    scale = max(1.0, min(n / _LONGEST, (_STEEPEST * discordance / max(margin, abs(drop), 1e-9)) ** 2))
    length = math.ceil(n / scale)
    level = alpha / 2 if mode == "hybrid" else alpha
    margin, drop = min(margin * math.sqrt(scale), 0.99), drop * math.sqrt(scale)
    stops: list[int] = []
    for differences in _runs(length, discordance, drop):
        bettors = Betting(margin=margin, a_fail=level, a_pass=level, planned=length, discordance=discordance)
        stops.append(_stop(bettors, differences))
        if len(stops) >= _LEAST_RUNS and (quick or sum(stops) >= _BUDGET or len(stops) >= _BUDGET // 16):
            break
    looks = [min(length, math.ceil(stop / batch * scale) * batch / scale) for stop in stops]
    return min(float(n), math.fsum(looks) / len(looks) * n / length)


def _runs(n: int, discordance: float, drop: float) -> Iterator[list[float]]:
    """Differences of *n* cases, again and again, the first *k* runs spread evenly over all that can come of them, for any *k*.

    How many are broken and fixed is no chance but a Halton sequence (J. H. Halton, Numerische Mathematik 2 (1960) 84-90), which
    takes most of the noise out of an average; only the order is drawn.
    """
    chance = random.Random(_SEED)  # noqa: S311 - a simulation, no secret
    for run in count(1):
        discordant = _quantile(n, discordance, _radical_inverse(run, 2))
        broken = _quantile(discordant, (1 + drop / discordance) / 2 if discordance else 0.5, _radical_inverse(run, 3))
        differences = [0.0] * n
        for rank, place in enumerate(chance.sample(range(n), discordant)):
            differences[place] = 1.0 if rank < broken else -1.0
        yield differences


def _radical_inverse(index: int, base: int) -> float:
    """The digits of *index* in *base*, mirrored at the point: in (0, 1) for every index from 1 on."""
    value, share = 0.0, 1.0
    while index:
        index, digit = divmod(index, base)
        share /= base
        value += digit * share
    return value


def _quantile(n: int, share: float, probability: float) -> int:
    """The least count that Bin(n, share) does not exceed with *probability*."""
    counts, chances = zip(*sorted(_binomial(n, share)), strict=True)
    reached = bisect_left(list(accumulate(chances)), probability)
    return int(counts[min(reached, len(counts) - 1)])


def _stop(bettors: Betting, differences: list[float]) -> int:
    for consumed, d in enumerate(differences, 1):
        bettors.update(d)
        if bettors.passed or bettors.failed:
            return consumed
    return len(differences)


def _z(probability: float) -> float:
    return NormalDist().inv_cdf(probability)


def _first(top: int, reached: Callable[[int], bool]) -> int:
    """The least of 0 … *top* that has *reached* it, where all after it have, too; *top* + 1 where none has."""
    low, high = 0, top + 1
    while low < high:
        middle = (low + high) // 2
        if reached(middle):
            high = middle
        else:
            low = middle + 1
    return low


def _binomial(n: int, share: float) -> Iterator[tuple[int, float]]:
    """The counts of Bin(n, share) with their probabilities, without those that are next to impossible."""
    if share <= 0 or share >= 1 or n == 0:
        yield (n if share >= 1 else 0), 1.0
        return
    mode = min(n, int((n + 1) * share))
    term = peak = math.exp(
        math.lgamma(n + 1)
        - math.lgamma(mode + 1)
        - math.lgamma(n - mode + 1)
        + mode * math.log(share)
        + (n - mode) * math.log1p(-share)
    )
    yield mode, peak
    for k in range(mode + 1, n + 1):
        term *= (n - k + 1) / k * share / (1 - share)
        if term < _UNLIKELY:
            break
        yield k, term
    term = peak
    for k in range(mode - 1, -1, -1):
        term *= (k + 1) / (n - k) * (1 - share) / share
        if term < _UNLIKELY:
            break
        yield k, term
