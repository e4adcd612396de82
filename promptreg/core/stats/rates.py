"""Numbers in, numbers out: how sure a pass rate is, and what a typical latency is. Knows no cases, models or verdicts.

Wilson       E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927) 209-212.
             Chosen over Wald and Clopper-Pearson after Brown, Cai, DasGupta, Interval estimation for a binomial
             proportion, Statistical Science 16 (2001) 101-133: near its nominal coverage from small n on.
Clusters     the ratio estimator's linearised variance with the G/(G-1) factor (W. G. Cochran, Sampling Techniques,
             3rd ed., 1977, section 9A), turned into an effective sample size, as E. L. Korn and B. I. Graubard,
             Confidence intervals for proportions with small expected number of positive counts estimated from
             survey data, Survey Methodology 24 (1998) 193-201, and put into Wilson's interval.
Quantiles    type 7 of R. J. Hyndman and Y. Fan, Sample quantiles in statistical packages, American Statistician 50
             (1996) 361-365: linear, the default of R and numpy.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import NormalDist
from typing import TypeAlias

CONFIDENCE = 0.95  # two-sided, as reports state it

Interval: TypeAlias = tuple[float, float]


def wilson(passed: float, n: float, confidence: float = CONFIDENCE) -> Interval:
    """Wilson's two-sided interval for a proportion, as fractions in [0, 1].

    *n* may be an effective sample size, so neither number need be whole. Raises ValueError unless 0 <= passed <= n and n > 0.
    """
    if not (n > 0 and 0 <= passed <= n):
        raise ValueError(f"{passed} of {n} is not a proportion")
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = passed / n
    centre = rate + z * z / (2 * n)
    spread = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    lower = 0.0 if passed == 0 else max(0.0, (centre - spread) / scale)
    upper = 1.0 if passed == n else min(1.0, (centre + spread) / scale)
    return lower, upper


def pass_interval(units: Sequence[tuple[float, int]], confidence: float = CONFIDENCE) -> Interval:
    """The two-sided interval of a pass rate whose unit is the cluster: *units* are (answers passed, answers) of each.

    Repeats of a case are one unit, not so many independent cases. One answer in every unit: plain Wilson. Else Wilson on
    the effective sample size. Raises ValueError without units or where a unit is no proportion.
    """
    if not units or any(not 0 <= passed <= n or n < 1 for passed, n in units):
        raise ValueError("a pass rate needs units of at least one answer, none with more passed than given")
    passed, n = math.fsum(unit[0] for unit in units), sum(unit[1] for unit in units)
    if len(units) == n and all(unit[0] in (0, 1) for unit in units):
        return wilson(passed, n, confidence)
    size = effective_size(units, confidence)
    return wilson(min(size, passed / n * size), size, confidence)


def effective_size(units: Sequence[tuple[float, int]], confidence: float = CONFIDENCE) -> float:
    """How many independent answers *units* are worth: between a fraction of one and their number of answers.

    Binomial over cluster-robust variance (G clusters of K_g answers, S_g of them passed: se = sqrt(G/(G-1) · Σ(S_g - p·K_g)²) / n),
    times (z/t)² with G-1 degrees of freedom, because few clusters say little about their own variance. Without observed variance it
    is the number of clusters.
    """
    clusters = len(units)
    n = sum(unit[1] for unit in units)
    rate = math.fsum(unit[0] for unit in units) / n
    squares = math.fsum((passed - rate * size) ** 2 for passed, size in units)
    if clusters == 1 or squares <= n * n * 1e-24:  # 1e-24: rounding noise of equal units, far below one answer of any run
        return float(clusters)
    variance = clusters / (clusters - 1) * squares / (n * n)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    return min(float(n), rate * (1 - rate) / variance * (z / t_quantile((1 + confidence) / 2, clusters - 1)) ** 2)


def t_quantile(probability: float, degrees: int) -> float:
    """Student's t quantile; exact for 1 and 2 degrees of freedom, within 0.4 % from 3 on for probabilities up to .99.

    Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5. Raises ValueError outside 0 < probability < 1, degrees >= 1.
    """
    if not (0 < probability < 1 and degrees >= 1):
        raise ValueError(f"no t quantile for probability {probability} and {degrees} degrees of freedom")
    if degrees == 1:
        return math.tan(math.pi * (probability - 0.5))
    if degrees == 2:
        return (2 * probability - 1) / math.sqrt(2 * probability * (1 - probability))
    x = NormalDist().inv_cdf(probability)
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + math.fsum(term / degrees**power for power, term in enumerate(terms, 1))


def quantile(values: Iterable[float], q: float) -> float:
    """The *q* quantile of *values*, in their unit: type 7, linear. Raises ValueError when there are none."""
    ordered = sorted(values)
    if not ordered or not 0 <= q <= 1:
        raise ValueError(f"no {q} quantile of {len(ordered)} values")
    position = q * (len(ordered) - 1)
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (position - below) * (ordered[above] - ordered[below])
