"""Two answers of each case, right or wrong: is the candidate worse, and by how much at most? Knows counts only.

`broken` cases were right and are wrong now, `fixed` ones the reverse; the drop is (broken - fixed) / n, positive when worse.

mid-p    M. W. Fagerland, S. Lydersen, P. Laake, The McNemar test for binary matched-pairs data: mid-p and asymptotic are better
         than exact conditional, BMC Medical Research Methodology 13 (2013) 91: keeps its level, and has more power than the exact.
score    T. Tango, Equivalence test and confidence interval for the difference in proportions for the paired-sample design,
         Statistics in Medicine 17 (1998) 891-908: keeps its level where Wald's interval passes a lost case in five (n = 30).
"""

from __future__ import annotations

import math
from statistics import NormalDist

_HALVINGS = 60  # of an interval of length 2: beyond what a float can tell apart
_NEGLIGIBLE = 1e-18  # relative to the first term of a tail: below the rounding of the sum


def mcnemar_midp(broken: int, fixed: int) -> float:
    """One-sided mid-p of McNemar's test for harm: P(X > broken) + P(X = broken) / 2 for X ~ Bin(broken + fixed, 1/2).

    1 where nothing is discordant, which is no evidence at all. Raises ValueError on negative counts.
    """
    _check(broken, fixed, broken + fixed)
    if broken + fixed == 0:
        return 1.0
    if broken == fixed:
        return 0.5
    if broken < fixed:  # the mid-p values of both sides add up to 1
        return 1 - mcnemar_midp(fixed, broken)
    n = broken + fixed
    term = math.exp(math.lgamma(n + 1) - math.lgamma(broken + 1) - math.lgamma(fixed + 1) - n * math.log(2))
    total, least = term / 2, term * _NEGLIGIBLE
    for count in range(broken + 1, n + 1):
        term *= (n - count + 1) / count
        total += term
        if term < least:
            break
    return total


def tango_statistic(broken: int, fixed: int, n: int, margin: float) -> float:
    """Tango's score statistic for "the drop is *margin*": below -z shows a smaller drop, above z a greater one.

    The variance is that of the restricted maximum likelihood estimate. Falls as *margin* grows from -1 to 1. 0 where the data fit
    the margin exactly, infinite where they cannot come from it. Raises ValueError on impossible counts and margins.
    """
    _check(broken, fixed, n)
    if not -1 <= margin <= 1:
        raise ValueError(f"a drop of {margin} is not between -1 and 1")
    if margin < 0:  # the mirror image: who is worse changes places
        return -tango_statistic(fixed, broken, n, -margin)
    excess = broken - fixed - n * margin
    variance = n * (2 * _restricted(broken, fixed, n, margin) + margin * (1 - margin)) if n else 0.0
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)


def tango_upper(broken: int, fixed: int, n: int, alpha: float) -> float:
    """Upper limit of the drop at one-sided confidence 1 - alpha: the margin at which the score test just does not reject.

    1 where nothing was counted. Raises ValueError on impossible counts or an *alpha* outside (0, 1).
    """
    _check(broken, fixed, n)
    z = NormalDist().inv_cdf(1 - alpha) if 0 < alpha < 1 else math.nan
    if math.isnan(z):
        raise ValueError(f"an alpha of {alpha} is not between 0 and 1")
    below, above = -1.0, 1.0
    if n == 0 or tango_statistic(broken, fixed, n, above) > -z:
        return above
    for _ in range(_HALVINGS):
        middle = (below + above) / 2
        if tango_statistic(broken, fixed, n, middle) > -z:
            below = middle
        else:
            above = middle
    return above


def tango_lower(broken: int, fixed: int, n: int, alpha: float) -> float:
    """Lower limit of the drop at one-sided confidence 1 - alpha: the mirror image of `tango_upper`."""
    return -tango_upper(fixed, broken, n, alpha)


def _restricted(broken: int, fixed: int, n: int, margin: float) -> float:
    """P(fixed) that makes the counts most likely when the drop is *margin* >= 0: the positive root q of 2n·q² + b·q + c."""
    b = -broken - fixed + (2 * n - broken + fixed) * margin
    c = -fixed * margin * (1 - margin)
    root = math.sqrt(b * b - 8 * n * c)
    if b > 0:  # the same root, without taking the difference of two nearly equal numbers
        return -2 * c / (root + b)
    return (root - b) / (4 * n)


def _check(broken: int, fixed: int, n: int) -> None:
    if broken < 0 or fixed < 0 or broken + fixed > n:
        raise ValueError(f"{broken} broken and {fixed} fixed of {n} cases are no counts")
