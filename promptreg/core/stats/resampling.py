"""Graded answers, repeats and clusters: is the candidate worse, and by how much at most? Knows sums and sizes of clusters only.

A cluster is (S, K): the sum of its cases' differences, each in [-1, 1] and positive when worse, and the number of its cases. The
drop is the sum of all S over the sum of all K. Who comes first plays no part: everything is sorted before chance is asked.

permutation   E. J. G. Pitman, JRSS Supplement 4 (1937) 119-130; a cluster keeps its sign as a whole. (1 + hits) / (draws + 1) by
              B. Phipson and G. K. Smyth, Statistical Applications in Genetics and Molecular Biology 9 (2010) 39.
error         clustered, as E. Miller, Adding error bars to evals, arXiv 2411.00640 (2024), with the factor G / (G - 1).
t limit       with two pseudo-clusters, one wholly worse and one wholly better, after A. Agresti and B. A. Coull, American
              Statistician 52 (1998) 119-126, and D. G. Bonett and R. M. Price, J. Educ. Behav. Stat. 37 (2012) 479-488. They are
              as large as the mean cluster, so that few large clusters do not pass for many cases.
bootstrap     studentised, over clusters: B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), chapter 12.

The limit is the greater of the two, because each alone passes rare collapses too often: the t limit where there are many
clusters, the bootstrap where there are few.
"""

from __future__ import annotations

import math
import random
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from operator import getitem, mul
from typing import TypeAlias

from promptreg.core.stats.rates import t_quantile

Cluster: TypeAlias = tuple[float, int]

DRAWS = 4000  # the p-value's own standard error at .05 is .0034 then
_DENOMINATOR = 1000  # sums of means over repeats and of scores with few levels are fractions with a smaller one
_UNIT = 2.0**-40  # the lattice of sums that are no such fractions: its rounding adds up to less than 1e-9 over a thousand clusters
_EXACT_STEPS = 200_000  # of an exact convolution, about 30 ms: beyond it, drawing is as fast
_ROUNDING = 1e-9  # how much two equal sums of differences may differ, by the order in which they were added
_EIGHT = 8  # signs drawn at once: one byte is an index into the 256 sums of eight clusters
_FEW = 4  # clusters for each distinct one, from which on counting how often each was drawn is faster than drawing them

_Moments: TypeAlias = tuple[float, float, float, float, float]  # clusters' sums of S, K, S², S·K, K²


def sign_flip(clusters: Sequence[Cluster], seed: str, draws: int = DRAWS) -> float:
    """One-sided p for "there is no drop": how often random signs make the sum of differences as great as it is.

    Exact where counting all signs is cheap (few clusters, or few distinct values), else from *draws* signs out of *seed*.
    1 where no difference is seen. Raises ValueError on what are no clusters.
    """
    _check(clusters)
    sums = sorted((s for s, _ in clusters if s), key=lambda s: (abs(s), s))
    if not sums:
        return 1.0
    exact = _convolved(sums)
    return exact if exact is not None else _drawn(sums, seed, draws)


def upper_limit(clusters: Sequence[Cluster], alpha: float, seed: str, draws: int = DRAWS) -> float:
    """Upper limit of the drop at one-sided confidence 1 - alpha, at most 1: the greater of the t limit and of the bootstrap's.

    Raises ValueError on what are no clusters and on an *alpha* outside (0, 1/2].
    """
    _check(clusters)
    if not 0 < alpha <= 0.5:
        raise ValueError(f"an alpha of {alpha} is not above 0 and at most 1/2")
    if not clusters:
        return 1.0
    return min(1.0, max(_t_limit(clusters, alpha), _bootstrap_limit(clusters, alpha, seed, draws)))


def lower_limit(clusters: Sequence[Cluster], alpha: float, seed: str, draws: int = DRAWS) -> float:
    """Lower limit of the drop at one-sided confidence 1 - alpha, at least -1: the mirror image of `upper_limit`."""
    return -upper_limit([(-s, k) for s, k in clusters], alpha, seed, draws)


def _check(clusters: Sequence[Cluster]) -> None:
    if not all(k >= 1 and abs(s) <= k * (1 + _ROUNDING) for s, k in clusters):
        raise ValueError("a cluster has at least one case, and no difference outside [-1, 1]")


# -- permutation ------------------------------------------------------------------------------------------------------------------


def _convolved(sums: Sequence[float]) -> float | None:
    """The exact p over all signs of *sums*, or None where that would take too long.

    Clusters that differ alike are one binomial; what they can add up to are whole multiples of one unit, so that few sums are many.
    """
    units, slack = _in_units([abs(s) for s in sums])
    goal = sum(unit if s > 0 else -unit for unit, s in zip(units, sums, strict=True))
    reachable, steps = {0: 1.0}, 0
    for unit, times in sorted(Counter(units).items()):
        steps += len(reachable) * (times + 1)
        if steps > _EXACT_STEPS:
            return None
        ways = [(unit * (2 * up - times), math.comb(times, up) / 2**times) for up in range(times + 1)]
        following: dict[int, float] = {}
        for total, chance in reachable.items():
            for change, share in ways:
                following[total + change] = following.get(total + change, 0.0) + chance * share
        reachable = following
    return min(1.0, math.fsum(chance for total, chance in reachable.items() if total >= goal - slack))


def _in_units(sizes: Sequence[float]) -> tuple[list[int], int]:
    """*sizes* as whole multiples of one unit, and by how many units two equal sums may then differ."""
    fractions = {size: Fraction(size).limit_denominator(_DENOMINATOR) for size in set(sizes)}
    whole = math.lcm(*(fraction.denominator for fraction in fractions.values()))
    if whole < 1 / _UNIT and all(abs(float(fraction) - size) < _UNIT for size, fraction in fractions.items()):
        return [int(fractions[size] * whole) for size in sizes], 0
    return [round(size / _UNIT) for size in sizes], len(sizes)


def _drawn(sums: Sequence[float], seed: str, draws: int) -> float:
    chance = random.Random(f"sign-flip/{seed}")  # noqa: S311 - a permutation test, no secret
    tables = [_signed_sums(sums[start : start + _EIGHT]) for start in range(0, len(sums), _EIGHT)]
    goal = math.fsum(sums) - _ROUNDING
    hits = sum(sum(map(getitem, tables, chance.randbytes(len(tables)))) >= goal for _ in range(draws))
    return (1 + hits) / (draws + 1)


def _signed_sums(sums: Sequence[float]) -> list[float]:
    """For every byte, the sum of up to eight *sums* with its bits as their signs."""
    table: list[float] = [0.0]
    for s in sums:
        table = [total + s for total in table] + [total - s for total in table]
    return table * ((1 << _EIGHT) // len(table))


# -- limits -----------------------------------------------------------------------------------------------------------------------


def _mean_and_error(groups: int, moments: _Moments) -> tuple[float, float]:
    """The mean over cases, and its cluster-robust standard error."""
    s, k, ss, sk, kk = moments
    mean = s / k
    squares = ss - 2 * mean * sk + mean * mean * kk
    if groups < 2 or squares <= ss * 1e-12:  # 1e-12: rounding, where all clusters have the same mean
        return mean, 0.0
    return mean, math.sqrt(groups / (groups - 1) * squares) / k


def _moments(clusters: Sequence[Cluster]) -> _Moments:
    return (
        math.fsum(s for s, _ in clusters),
        float(sum(k for _, k in clusters)),
        math.fsum(s * s for s, _ in clusters),
        math.fsum(s * k for s, k in clusters),
        float(sum(k * k for _, k in clusters)),
    )


def _t_limit(clusters: Sequence[Cluster], alpha: float) -> float:
    s, k, ss, sk, kk = _moments(clusters)
    size = k / len(clusters)
    square = 2 * size * size
    mean, error = _mean_and_error(len(clusters) + 2, (s, k + 2 * size, ss + square, sk, kk + square))
    return mean + t_quantile(1 - alpha, len(clusters) + 1) * error


def _bootstrap_limit(clusters: Sequence[Cluster], alpha: float, seed: str, draws: int) -> float:
    mean, error = _mean_and_error(len(clusters), _moments(clusters))
    if error == 0:
        return mean
    deviations = []
    for moments in _resampled(clusters, seed, draws):
        mean_drawn, error_drawn = _mean_and_error(len(clusters), moments)
        if error_drawn > 0:  # else it drew one value only, which has no standard error: the t limit answers for so few
            deviations.append((mean_drawn - mean) / error_drawn)
    if not deviations:
        return mean
    deviations.sort()
    return mean - deviations[max(0, math.floor(alpha * (len(deviations) + 1)) - 1)] * error


def _resampled(clusters: Sequence[Cluster], seed: str, draws: int) -> Iterator[_Moments]:
    """*draws* times as many clusters with replacement: their moments."""
    chance = random.Random(f"bootstrap/{seed}")  # noqa: S311 - a bootstrap, no secret
    distinct = sorted(Counter((float(s), k) for s, k in clusters).items(), key=lambda item: (-item[1], item[0]))
    rows = [(s, k, s * s, s * k, k * k) for (s, k), _ in distinct]
    if len(distinct) * _FEW <= len(clusters):
        columns = [[float(value) for value in column] for column in zip(*rows, strict=True)]
        multinomial = _multinomial(len(clusters), [times for _, times in distinct], chance)
        for _ in range(draws):
            counts = multinomial()
            s, k, ss, sk, kk = (sum(map(mul, counts, column)) for column in columns)
            yield s, k, ss, sk, kk
        return
    population = [row for row, (_, times) in zip(rows, distinct, strict=True) for _ in range(times)]
    for _ in range(draws):
        s, k, ss, sk, kk = map(sum, zip(*chance.choices(population, k=len(population)), strict=True))
        yield s, k, ss, sk, kk


def _multinomial(n: int, weights: Sequence[int], chance: random.Random) -> Callable[[], list[float]]:
    """Draws how often each of *weights* comes up in *n*: binomial after binomial, each by inverting its table."""
    total = sum(weights)
    left: list[float] = []
    for weight in weights:
        left.append(weight / total)
        total -= weight
    tables: dict[tuple[int, int], tuple[int, list[float]]] = {}

    def draw() -> list[float]:
        counts: list[float] = []
        rest = n
        for place, share in enumerate(left):
            if not rest:
                counts.append(0.0)
                continue
            table = tables.get((place, rest))
            if table is None:
                table = tables[place, rest] = _binomial_table(rest, share)
            first, cumulative = table
            count = min(first + bisect_left(cumulative, chance.random()), first + len(cumulative) - 1)
            counts.append(float(count))
            rest -= count
        return counts

    return draw


def _binomial_table(n: int, share: float) -> tuple[int, list[float]]:
    """Bin(n, share) as its first likely count and the cumulative probabilities from there on."""
    if share >= 1:
        return n, [1.0]
    mode = int((n + 1) * share)
    odds = share / (1 - share)
    down, up = [], [1.0]
    term = 1.0
    for count in range(mode, 0, -1):
        term *= count / ((n - count + 1) * odds)
        if term < 1e-18:  # relative to the mode: never drawn in any number of draws
            break
        down.append(term)
    term = 1.0
    for count in range(mode + 1, n + 1):
        term *= (n - count + 1) / count * odds
        if term < 1e-18:
            break
        up.append(term)
    weights = down[::-1] + up
    whole, running, cumulative = math.fsum(weights), 0.0, []
    for weight in weights:
        running += weight / whole
        cumulative.append(running)
    return mode - len(down), cumulative
