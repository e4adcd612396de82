"""Means of values that may be lopsided, such as prices and lengths, and rates of rare things: above a limit? Knows numbers only.

A cluster is (S, K): the sum of its cases' values and the number of its cases. The mean is the sum of all S over the sum of all K.

t          the cluster-robust standard error with the factor G / (G - 1), Student's t with G - 1 degrees of freedom
skewness   P. Hall, On the removal of skewness by transformation, JRSS B 54 (1992) 221-228: a monotone cubic of t, after
           N. J. Johnson, Modified t tests and confidence intervals for asymmetrical populations, JASA 73 (1978) 536-544. Used only
           where it makes the test more careful (values lopsided to the left): else few cases would decide by their own skewness.
score      Tango's statistic with the skewness of its own null distribution removed by the same cubic, as P. J. Laud, Equal-tailed
           confidence intervals for comparison of rates, Pharmaceutical Statistics 16 (2017) 334-348, does for two samples: where a
           few refusals in a hundred answers are judged, the plain statistic errs in 8 % of cases instead of 5 %.
binomial   C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404-413: exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from promptreg.core.stats.paired import mcnemar_midp, tango_statistic

Cluster: TypeAlias = tuple[float, int]

_ROUNDING = 1e-12  # of squares beside those about zero: rounding, where all clusters have the same mean
_MANY = 2000  # degrees of freedom from which on Student's t is the normal distribution, within 1e-4 of any p worth reading
_FAR = 1e6  # standard errors: no p-value tells them from more, and their cubes are floats
_NEGLIGIBLE = 1e-18  # relative to a tail's greatest term
_CONTINUITY = 0.5  # half a case: without it, whole cases make the score test err in up to 6.5 % of samples
_HALVINGS = 50  # of [0, 1]: 1e-15


def p_above(clusters: Sequence[Cluster], null: float = 0.0) -> float:
    """One-sided p for "the mean is at most *null*". 1 for fewer than two clusters; at least 2 ** -G, what G signs could show."""
    shape = _shape(clusters)
    return 1.0 if shape is None else _p_above(shape, null)


def p_more(more: int, fewer: int, n: int, limit: float) -> float:
    """One-sided p for "the rate rose by at most *limit*": *more* cases of *n* have it on head only, *fewer* on base only."""
    if limit <= 0:
        return mcnemar_midp(more, fewer)
    excess = more - fewer - n * limit
    score = tango_statistic(more, fewer, n, limit) if n else 0.0
    if math.isinf(score):
        return 0.0 if score > 0 else 1.0
    if excess <= 0:
        return _normal_tail(score)
    error = excess / score
    second = error * error / n + limit * limit
    third = n * (limit - 3 * limit * second + 2 * limit**3)
    a, z = third / error**3 / 6, (excess - _CONTINUITY) / error
    return _normal_tail(z - a * z**2 + a * a * z**3 / 3 + a)


def p_fewer(passed: float, n: int, rate: float) -> float:
    """One-sided exact p for "at least *rate* of all pass", when *passed* of *n* did."""
    if n <= 0 or passed >= n or rate <= 0:
        return 1.0
    if rate >= 1:
        return 0.0
    return _binomial_below(math.floor(passed), n, rate)


def limits_of_rate(passed: int, n: int, alpha: float) -> tuple[float, float]:
    """Clopper and Pearson's one-sided limits at 1 - *alpha* each."""

    def upper(count: int) -> float:
        return 1.0 if count >= n else _root(lambda rate: p_fewer(count, n, rate) > alpha)

    return 1.0 - upper(n - passed), upper(passed)


def limits_of_mean(clusters: Sequence[Cluster], alpha: float) -> tuple[float, float]:
    """One-sided limits at 1 - *alpha* each of a mean of values in [0, 1]: the means that `p_above` would not reject, either way."""

    def upper(values: Sequence[Cluster]) -> float:
        shape = _shape([(-s, k) for s, k in values])
        return 1.0 if shape is None else _root(lambda mean: _p_above(shape, -mean) > alpha)

    return 1.0 - upper([(k - s, k) for s, k in clusters]), upper(clusters)


def t_tail(t: float, degrees: int) -> float:
    """P(T > t) for Student's T, exact: Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4."""
    if degrees > _MANY:
        return _normal_tail(t)
    if t < 0:
        return 1 - t_tail(-t, degrees)
    angle = math.atan(t / math.sqrt(degrees))
    cosine = math.cos(angle)
    odd = degrees % 2
    term = total = cosine if odd else 1.0
    for index in range(3 if odd else 2, degrees - 1, 2):
        term *= cosine * cosine * ((index - 1) / index)
        total += term
        if term < _NEGLIGIBLE:
            break
    inside = 2 / math.pi * (angle + math.sin(angle) * (total if degrees > 1 else 0.0)) if odd else math.sin(angle) * total
    return max(0.0, (1 - inside) / 2)


@dataclass(frozen=True, slots=True)
class _Shape:
    """All that the test needs of its clusters: what is the same for every null."""

    groups: int
    mean: float
    error: float  # 0 where all clusters have the same mean
    skewness: float  # of the mean


def _shape(clusters: Sequence[Cluster]) -> _Shape | None:
    """None for fewer than two clusters, of which no mean has an error."""
    groups = len(clusters)
    if groups < 2:
        return None
    scale = max(abs(s) for s, _ in clusters) or 1.0  # cubes of very small and very large sums would not be floats
    sums = [s / scale for s, _ in clusters]
    size = sum(k for _, k in clusters)
    mean = math.fsum(sums) / size
    residuals = [s - mean * k for s, (_, k) in zip(sums, clusters, strict=True)]
    squares = math.fsum(r * r for r in residuals)
    if squares <= _ROUNDING * math.fsum(s * s for s in sums):
        return _Shape(groups, mean * scale, 0.0, 0.0)
    skewness = math.fsum(r**3 for r in residuals) / groups / (squares / groups) ** 1.5
    error = math.sqrt(groups / (groups - 1) * squares) / size
    return _Shape(groups, mean * scale, error * scale, skewness / math.sqrt(groups))


def _p_above(shape: _Shape, null: float) -> float:
    excess = shape.mean - null
    least = 0.5 ** min(shape.groups, 1000)
    if shape.error == 0:
        return least if excess > 0 else 1.0
    t = max(-_FAR, min(_FAR, excess / shape.error))
    return max(least, t_tail(min(t, _hall(t, shape.skewness)), shape.groups - 1))


def _hall(t: float, skewness: float) -> float:
    """*t* with the skewness of the studentised mean removed; grows with t, always."""
    return t + skewness * t * t / 3 + skewness**2 * t**3 / 27 + skewness / 6


def _normal_tail(z: float) -> float:
    return 0.5 * math.erfc(z / math.sqrt(2))


def _binomial_below(count: int, n: int, rate: float) -> float:
    """P(X <= count) for X ~ Bin(n, rate), 0 < rate < 1, summed from its greatest term."""
    if count < 0:
        return 0.0
    if count > n * rate:
        return 1 - _binomial_below(n - count - 1, n, 1 - rate)
    odds = rate / (1 - rate)
    log = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
    term = math.exp(log + count * math.log(rate) + (n - count) * math.log1p(-rate))
    total, least = term, term * _NEGLIGIBLE
    for below in range(count, 0, -1):
        term *= below / ((n - below + 1) * odds)
        total += term
        if term < least:
            break
    return min(1.0, total)


def _root(holds: Callable[[float], bool]) -> float:
    """The greatest number in [0, 1] of which *holds* is true, when it is true below it and false above."""
    below, above = 0.0, 1.0
    if holds(above):
        return above
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        below, above = (middle, above) if holds(middle) else (below, middle)
    return above
