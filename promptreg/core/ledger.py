"""Ledger: the differences of a comparison as the fixed rules want them, with both bounds on what is missing. Judges nothing.

Part of the fold in `contest`. A unit enters with the least and the greatest sum that its differences can have: they differ only
where an answer is missing. Harm is shown on the lesser (missing = the candidate was right), safety on the greater (missing = it was
wrong), so that what is missing can neither block nor pass.

    Counts      binary: cases broken and fixed, four numbers however many cases there are
    Clusters    graded, repeated or clustered: a pair of numbers a unit, equal ones shared
"""

from __future__ import annotations

from statistics import NormalDist
from typing import TypeAlias

from promptreg.core.stats.paired import mcnemar_midp, tango_lower, tango_statistic, tango_upper
from promptreg.core.stats.resampling import lower_limit, sign_flip, upper_limit
from promptreg.core.verdict import LimitKind

SHARED = 4096  # distinct units that are held once: five repeats a side of one case give eleven
_WHOLE = (0.0, 1.0, -1.0)

Cluster: TypeAlias = tuple[float, int]


class Counts:
    """Cases broken and fixed when what is missing counts for the candidate (`least`), and when it counts against it (`most`)."""

    __slots__ = ("least", "most", "n")
    kind: LimitKind = "tango"

    def __init__(self) -> None:
        self.n = 0
        self.least = [0, 0]
        self.most = [0, 0]

    def add(self, low: float, high: float, cases: int) -> None:
        """One case: each bound is -1, 0 or 1. Raises ValueError on anything else."""
        if cases != 1 or low not in _WHOLE or high not in _WHOLE:
            raise ValueError("repeats, clusters and scores are not for the binary rule")
        self.n += 1
        if low:
            self.least[low < 0] += 1
        if high:
            self.most[high < 0] += 1

    def harm(self, *, missing_harms: bool = False) -> float:
        """p of no harm: one-sided mid-p McNemar."""
        broken, fixed = self.most if missing_harms else self.least
        return mcnemar_midp(broken, fixed)

    def gain(self) -> float:
        """p of no gain: the same test with the sides swapped, missing answers counted against the candidate."""
        broken, fixed = self.most
        return mcnemar_midp(fixed, broken)

    def passes(self, margin: float, alpha: float, *, missing_harms: bool = True) -> bool:
        """Whether Tango's test shows a drop smaller than *margin* at *alpha*."""
        broken, fixed = self.most if missing_harms else self.least
        return self.n > 0 and tango_statistic(broken, fixed, self.n, margin) <= NormalDist().inv_cdf(alpha)

    def limits(self, alpha: float) -> tuple[float, float]:
        """The one-sided limits of the drop, each at 1 - *alpha*."""
        (broken, fixed), (most_broken, least_fixed) = self.least, self.most
        return tango_lower(broken, fixed, self.n, alpha), tango_upper(most_broken, least_fixed, self.n, alpha)


class Clusters:
    """Sums and sizes of clusters, in the order they came in; resampling sorts them, so that it changes nothing."""

    __slots__ = ("_gaps", "_held", "_seed", "_shared")
    kind: LimitKind = "t+bootstrap"

    def __init__(self, seed: str) -> None:
        self._held: list[Cluster] = []
        self._gaps: dict[int, float] = {}  # of the few units with missing answers: greatest sum less least
        self._shared: dict[Cluster, Cluster] = {}
        self._seed = seed

    def add(self, low: float, high: float, cases: int) -> None:
        """One cluster of *cases*, whose differences sum to between *low* and *high*."""
        if high != low:
            self._gaps[len(self._held)] = high - low
        cluster = (low, cases)
        if len(self._shared) < SHARED:
            cluster = self._shared.setdefault(cluster, cluster)
        self._held.append(self._shared.get(cluster, cluster))

    def harm(self, *, missing_harms: bool = False) -> float:
        """p of no harm: signs of whole clusters flipped."""
        return sign_flip(self._bound(missing_harms), self._seed)

    def gain(self) -> float:
        """p of no gain: the same test with the sides swapped, missing answers counted against the candidate."""
        return sign_flip([(-total, size) for total, size in self._bound(True)], self._seed)

    def passes(self, margin: float, alpha: float, *, missing_harms: bool = True) -> bool:
        """Whether both upper limits stay below *margin*."""
        return bool(self._held) and upper_limit(self._bound(missing_harms), alpha, self._seed) < margin

    def limits(self, alpha: float) -> tuple[float, float]:
        """The one-sided limits of the drop, each at 1 - *alpha*."""
        return lower_limit(self._bound(False), alpha, self._seed), upper_limit(self._bound(True), alpha, self._seed)

    def _bound(self, most: bool) -> list[Cluster]:
        if not (most and self._gaps):
            return self._held
        return [(total + self._gaps.get(at, 0.0), size) for at, (total, size) in enumerate(self._held)]
