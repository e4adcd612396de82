"""Parts: how each slice of a gate's cases fared, compared by itself. Units go in; SliceResults come out, corrected over the gate.

Knows nothing of other gates: where slices block, `families` corrects over the whole change, and p is the slice's own until then.

    FAIL        a drop is shown, and it is not shown to be inside the margin
    UNDECIDED   the drop looks greater than the margin
    PASS        neither

Below about forty cases a slice shows catastrophes only: `mde` says so. Of a tag's values the first 50 are told apart, the rest are
one slice; a slice of which no answer is known is left out. Where the run could stop, the rule of `looks`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from promptreg.core.ledger import Clusters, Counts
from promptreg.core.looks import either, level
from promptreg.core.pair import Graded, On, Pair, Unit
from promptreg.core.slices import LISTED, REST
from promptreg.core.stats.betting import DISCORDANCE, Betting
from promptreg.core.stats.families import benjamini_hochberg, holm
from promptreg.core.stats.power import mde
from promptreg.core.suite import Policy
from promptreg.core.verdict import SliceResult, Verdict

FALSE_DISCOVERIES = 0.10  # q of `correction: bh`: of the slices it reports, one in ten may be chance (METHODS A9)
_PRIOR_CASES = 20  # what the usual discordance weighs beside what was seen, for `mde`


class _Part:
    """One slice: the differences of its units, and the scores that are known."""

    __slots__ = ("base", "clusters", "counts", "drops", "head", "known", "measured", "n", "process", "worst")

    def __init__(self, policy: Policy, planned: int, seed: str) -> None:
        self.n = self.known = self.measured = 0
        self.base = self.head = self.drops = self.worst = 0.0
        self.counts: Counts | None = Counts() if policy.on == "passed" else None
        self.clusters = Clusters(seed)
        self.process: Betting | None = None
        if policy.mode != "fixed":
            self.process = Betting(
                margin=policy.margin, a_fail=policy.alpha / 2, a_pass=policy.alpha / 2, planned=planned, discordance=DISCORDANCE
            )

    def add(self, differences: Sequence[_Difference], *, plain: bool) -> None:
        """The slice's cases of one unit; *plain*: the unit is one case with one answer on each side."""
        low, high = math.fsum(each.low for each in differences), math.fsum(each.high for each in differences)
        self.n += len(differences)
        self.worst += high
        for each in differences:
            if each.low == each.high:
                self.measured += 1
                self.drops += each.low
            if each.base is not None and each.head is not None:
                self.known += 1
                self.base += each.base
                self.head += each.head
        self.clusters.add(low, high, len(differences))
        if not plain:
            self.counts = None
        elif self.counts is not None:
            self.counts.add(low, high, 1)
        if self.process is not None:
            self.process.update(low / len(differences), high / len(differences))


@dataclass(frozen=True, slots=True)
class _Difference:
    """One case: the least and the greatest drop it can have, and its mean score on both sides where known."""

    low: float
    high: float
    base: float | None
    head: float | None


class Parts:
    """A fold over a gate's units: `add` every unit in order, then `finish`. Free where the policy has no slices.

    *planned* units make the order; fewer were added: the run stopped early.
    """

    def __init__(self, policy: Policy, planned: int, seed: str = "") -> None:
        self._policy, self._planned, self._seed = policy, planned, seed
        self._by = policy.slices.by if policy.slices else ()
        self._parts: dict[str, dict[str, _Part]] = {by: {} for by in self._by}
        self._units = 0
        self._cases, self._squares = 0, 0.0

    def add(self, unit: Unit) -> None:
        """The next unit of the order, whole. Raises ValueError where a pair has not one stratum for each way of slicing."""
        self._units += 1
        if not self._by:
            return
        found = [(pair, _difference(pair, self._policy.on)) for pair in unit.pairs]
        self._cases += len(found)
        self._squares += math.fsum(each.low * each.low for _, each in found if each.low == each.high)
        plain = len(found) == 1 and (found[0][0].same or len(found[0][0].base) == 1 == len(found[0][0].head))
        for place, by in enumerate(self._by):
            grouped: dict[str, list[_Difference]] = {}
            for pair, difference in found:
                if len(pair.strata) != len(self._by):
                    raise ValueError(f"{pair.case!r} has {len(pair.strata)} strata for {len(self._by)} ways of slicing")
                grouped.setdefault(self._value(by, pair.strata[place], grouped), []).append(difference)
            for value, differences in grouped.items():
                self._part(by, value).add(differences, plain=plain)

    def _value(self, by: str, value: str, coming: dict[str, list[_Difference]]) -> str:
        known = self._parts[by]
        if value in known or value in coming or len(known.keys() | coming.keys()) < LISTED:
            return value
        return REST

    def _part(self, by: str, value: str) -> _Part:
        parts = self._parts[by]
        if value not in parts:
            parts[value] = _Part(self._policy, self._planned, f"{self._seed}/{by}={value}")
        return parts[value]

    def finish(self, *, alpha: float, power: float) -> tuple[SliceResult, ...]:
        """One result for each slice, by tag and value. p is corrected over the gate, or the slice's own where slices block."""
        slices = self._policy.slices
        if slices is None:
            return ()
        found = [(by, value, part) for by in self._by for value, part in sorted(self._parts[by].items()) if part.known]
        own = [self._p(part) for _, _, part in found]
        blocks = slices.mode == "block"
        discoveries = slices.correction == "bh" and not blocks
        corrected = own if blocks else benjamini_hochberg(own) if discoveries else holm(own)
        threshold = FALSE_DISCOVERIES if discoveries else alpha
        share = level(self._policy.mode, threshold) / max(1, len(found))
        discordance = (_PRIOR_CASES * DISCORDANCE + self._squares) / (_PRIOR_CASES + self._cases)
        return tuple(
            SliceResult(
                by=by,
                value=value,
                n=part.n,
                base_score=part.base / part.known,
                head_score=part.head / part.known,
                drop=part.drops / max(1, part.measured),
                p=p,
                mde=mde(part.n, discordance, share, power),
                verdict=self._verdict(part, p <= threshold, alpha),
                alpha=alpha,
                blocks=blocks,
            )
            for (by, value, part), p in zip(found, corrected, strict=True)
        )

    @property
    def _stopped(self) -> bool:
        return self._units < self._planned

    def _p(self, part: _Part) -> float:
        """The slice's own p-value of "there is no drop"; a missing answer counts as right on head and as wrong on base."""
        fixed = None if self._stopped else (part.counts or part.clusters).harm()
        return either(self._policy.mode, max_log=part.process.max_log_fail if part.process else 0.0, p_fixed=fixed)

    def _verdict(self, part: _Part, rejected: bool, alpha: float) -> Verdict:
        if rejected:
            return Verdict.PASS if self._inside(part, alpha) else Verdict.FAIL
        return Verdict.UNDECIDED if part.worst / part.n > self._policy.margin else Verdict.PASS

    def _inside(self, part: _Part, alpha: float) -> bool:
        """Whether the drop is shown to be smaller than the margin: a gate passes then, and so does its slice."""
        if part.n < self._policy.min_cases:
            return False
        each = level(self._policy.mode, alpha)
        if part.process is not None and part.process.max_log_pass >= -math.log(each):
            return True
        return not self._stopped and (part.counts or part.clusters).passes(self._policy.margin, each)


def _difference(pair: Pair, on: On) -> _Difference:
    if pair.same:
        known = _known(pair.head or pair.base, on)
        score = math.fsum(known) / len(known) if known else None
        return _Difference(0.0, 0.0, score, score)
    (base_low, base_high), (head_low, head_high) = _bounds(pair.base, on), _bounds(pair.head, on)
    base = base_low if base_low == base_high else None
    head = head_low if head_low == head_high else None
    return _Difference(base_low - head_high, base_high - head_low, base, head)


def _known(answers: Sequence[Graded], on: On) -> list[float]:
    return [value for answer in answers if (value := answer.value(on)) is not None]


def _bounds(answers: Sequence[Graded], on: On) -> tuple[float, float]:
    """The least and the greatest mean that *answers* can have: what is missing is somewhere between 0 and 1."""
    if not answers:
        return 0.0, 1.0
    known = _known(answers, on)
    total, size = math.fsum(known), len(answers)
    return total / size, (total + (size - len(known))) / size
