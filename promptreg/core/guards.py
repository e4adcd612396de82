"""Guards: what else may get worse, and by how much at most: price, tokens, latency, refusals, form, length.

Units go in, GuardResults come out. Knows nothing of passing and of other gates. Every guard is a paired test of "the increase is
within its limit":

    FAIL        that is rejected                  p <= alpha
    UNDECIDED   only the estimate exceeds the limit
    PASS        neither; latency also where it was not compared, and `note` says so
    UNMEASURED  what it guards is not known of more cases than `max_missing` allows (a model without a price, say)

A relative limit r (`+10%`) asks whether the mean of x = head - (1 + r) · base is above 0, an absolute one a (`+2pt`) whether that
of x = head - base - a is. Repeats are averaged, the cluster is the unit. A case that both revisions ask alike is equal on both
sides; where nobody knows how much it is, it is taken to be what base's known ones are on average. docs/design/guards.md says which
test is used where, and why.
"""

from __future__ import annotations

import math
from array import array
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias, get_args

from promptreg.core.looks import either
from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.stats.betting import Increase
from promptreg.core.stats.paired import mcnemar_midp
from promptreg.core.stats.rates import quantile
from promptreg.core.stats.resampling import sign_flip
from promptreg.core.stats.skewed import p_above, p_more
from promptreg.core.suite import Limit, Policy
from promptreg.core.verdict import GuardName, GuardResult, Verdict

TAIL = 0.95  # the percentile of `latency_p95`
_WARM = 20  # timed pairs before a running 95th percentile is one at all
_ROUNDING = 1e-9  # of an increase, relative to its limit: nobody is undecided by it

Sides: TypeAlias = tuple[float | None, float | None]


def _refused(answer: Graded) -> float | None:
    return None if answer.failure is not None else float(answer.refused)


def _malformed(answer: Graded) -> float | None:
    return None if answer.well_formed is None or answer.failure is not None else float(not answer.well_formed)


def _number(value: float | None) -> float | None:
    """A quantity that can be added up: an answer that says it took infinitely many tokens has said nothing."""
    return float(value) if value is not None and math.isfinite(value) and value >= 0 else None


@dataclass(frozen=True, slots=True)
class _Quantity:
    """What a guard looks at: its value in one answer, whether it is a rate, and why it may be unknown."""

    of: Callable[[Graded], float | None]
    rate: bool
    unknown: str


QUANTITIES: Mapping[GuardName, _Quantity] = {
    "cost": _Quantity(lambda answer: _number(answer.cost_usd), False, "the cost of {}: does the model have a price?"),
    "tokens": _Quantity(lambda answer: _number(answer.tokens), False, "the tokens of {}: the provider did not report them"),
    "latency_p95": _Quantity(lambda answer: _number(answer.latency_s), False, "the latency of {}"),
    "refusal": _Quantity(_refused, True, "an answer to {}"),
    "format": _Quantity(_malformed, True, "the form of {}: does an output schema or a check demand one?"),
    "length": _Quantity(lambda answer: _number(answer.length), False, "the length of {}"),
}


class Guards:
    """A fold over a gate's units: `add` every unit in order, then `finish`. Free where the policy has no guard."""

    def __init__(self, policy: Policy, seed: str = "") -> None:
        self._guards: list[_Means | _Tail] = [
            _Tail(policy, policy.guard[name], seed) if name == "latency_p95" else _Means(policy, name, policy.guard[name])
            for name in get_args(GuardName)
            if name in policy.guard
        ]

    def add(self, unit: Unit) -> None:
        """The next unit of the order, whole."""
        if unit.pairs:
            for guard in self._guards:
                guard.add(unit)

    def finish(self, *, stopped_early: bool, interleaved: bool, alpha: float) -> tuple[GuardResult, ...]:
        """One result for each guard at *alpha*, before its family is corrected for. *interleaved*: both sides were asked in this
        check, in turns, so that their latencies can be compared."""
        found = tuple(
            guard.finish(stopped_early=stopped_early, interleaved=interleaved, alpha=alpha)
            if isinstance(guard, _Tail)
            else guard.finish(stopped_early=stopped_early, alpha=alpha)
            for guard in self._guards
        )
        return tuple(replace(each, alpha=alpha) for each in found)


def _sides(pair: Pair, of: Callable[[Graded], float | None]) -> Sides:
    """The mean over the answers of each side; a case that is the same on both has one mean."""
    if pair.same:
        value = _mean(pair.head, of)
        value = _mean(pair.base, of) if value is None else value
        return value, value
    return _mean(pair.base, of), _mean(pair.head, of)


def _mean(answers: Sequence[Graded], of: Callable[[Graded], float | None]) -> float | None:
    known = [value for answer in answers if (value := of(answer)) is not None]
    return math.fsum(known) / len(known) if known else None


class _Means:
    """One guard of a mean: for each cluster the sums of both sides, and how many cases they are of."""

    def __init__(self, policy: Policy, name: GuardName, limit: Limit) -> None:
        self._policy, self._name, self._limit = policy, name, limit
        self._quantity = QUANTITIES[name]
        self._base, self._head = array("d"), array("d")
        self._known, self._assumed = array("L"), array("L")  # cases in the sums, and same cases of which nothing is known
        self._cases = self._missing = 0
        self._more, self._fewer, self._whole = 0, 0, self._quantity.rate
        self._bets = Increase(alpha=policy.alpha)

    def add(self, unit: Unit) -> None:
        base = head = 0.0
        known = assumed = 0
        bets = []
        for pair in unit.pairs:
            self._cases += 1
            before, after = _sides(pair, self._quantity.of)
            if before is not None and after is not None:
                base, head, known = base + before, head + after, known + 1
                bets.append(self._bounded(before, after))
            elif pair.same:
                assumed += 1
                bets.append(self._bounded(None, None))
            else:
                self._missing += 1
        if not bets:
            return
        for column, value in ((self._base, base), (self._head, head)):
            column.append(value)
        self._known.append(known)
        self._assumed.append(assumed)
        self._count(base, head, known + assumed)
        if self._policy.mode != "fixed":
            self._bets.update(math.fsum(bets) / len(bets))

    def _count(self, base: float, head: float, cases: int) -> None:
        """Keeps the counts of one-answer cases, as long as there is nothing else."""
        if cases != 1 or base not in (0.0, 1.0) or head not in (0.0, 1.0):
            self._whole = False
        elif head > base:
            self._more += 1
        elif head < base:
            self._fewer += 1

    def _bounded(self, base: float | None, head: float | None) -> float:
        """x of one case, scaled into [-1, 1] by what is known beforehand; None: equal on both sides, and unknown."""
        amount, factor = self._limit.amount, 1 + self._limit.amount
        if not self._limit.relative:
            return ((head or 0.0) - (base or 0.0) - amount) / (1 + amount)
        if self._quantity.rate:
            return 0.0 if base is None or head is None else (head - factor * base) / factor
        if base is None or head is None:
            return (1 - factor) / (1 + factor)
        return (head - factor * base) / (head + factor * base) if head or base else 0.0

    def finish(self, *, stopped_early: bool, alpha: float) -> GuardResult:
        if self._missing > self._policy.max_missing * self._cases or not self._cases:
            of = f"{self._missing:,} of {self._cases:,} cases" if self._cases else "any case"
            return self._result(Verdict.UNMEASURED, None, f"not compared: nobody knows {self._quantity.unknown.format(of)}")
        fixed = None if stopped_early else self._p_fixed()
        p = either(self._policy.mode, max_log=self._bets.max_log, p_fixed=fixed)
        verdict = Verdict.FAIL if p <= alpha else Verdict.UNDECIDED if self._exceeds() else Verdict.PASS
        return self._result(verdict, p, self._note(stopped_early))

    def _note(self, stopped_early: bool) -> str:
        notes = []
        if self._missing:
            notes.append(f"{self._missing:,} of {self._cases:,} cases are not compared")
        if stopped_early and self._limit.relative and not self._quantity.rate:
            notes.append("the run stopped early: tested is the ratio in the typical case, not of the means")
        if sum(self._assumed) and self._limit.relative:
            notes.append(f"{sum(self._assumed):,} unchanged cases of unknown {self._name} are taken as average")
        return "; ".join(notes)

    def _p_fixed(self) -> float:
        if self._whole and not self._limit.relative:
            return p_more(self._more, self._fewer, len(self._known), self._limit.amount)
        clusters = self._excesses()
        if not clusters:
            return 1.0
        if self._quantity.rate:  # bounded: equal rates look certain, so that two more units come in, one at each bound
            size = max(1, round(sum(k for _, k in clusters) / len(clusters)))
            bound = size * (1 + self._limit.amount)
            return p_above([*clusters, (bound, size), (-bound, size)])
        least = min(clusters)  # unbounded: the greatest saving is drawn once more, for those that were not drawn at all
        return p_above([*clusters, least] if least[0] < 0 else clusters)

    def _excesses(self) -> list[tuple[float, int]]:
        """For each cluster the sum of its x, and its number of cases."""
        usual, amount = self._usual(), self._limit.amount
        factor = 1 + amount if self._limit.relative else 1.0
        flat = 0.0 if self._limit.relative else amount
        rows = zip(self._base, self._head, self._known, self._assumed, strict=True)
        return [
            (head + assumed * usual - factor * (base + assumed * usual) - flat * (known + assumed), known + assumed)
            for base, head, known, assumed in rows
        ]

    def _usual(self) -> float:
        """Base's mean over the cases of which it is known."""
        known = sum(self._known)
        return math.fsum(self._base) / known if known else 0.0

    def _means(self) -> tuple[float, float] | None:
        known, assumed, usual = sum(self._known), sum(self._assumed), self._usual()
        if not known:
            return None
        return usual, (math.fsum(self._head) + assumed * usual) / (known + assumed)

    def _exceeds(self) -> bool:
        means = self._means()
        if means is None:
            return False
        base, head = means
        most = base * (1 + self._limit.amount) if self._limit.relative else base + self._limit.amount
        return head > most + _ROUNDING * max(abs(most), abs(head))

    def _result(self, verdict: Verdict, p: float | None, note: str) -> GuardResult:
        means = self._means() if p is not None else None
        base, head = means if means is not None else (None, None)
        return GuardResult(
            guard=self._name,
            limit=_written(self._limit),
            base=base,
            head=head,
            increase=_increase(self._limit, base, head),
            p=p,
            verdict=verdict,
            note=note,
        )


class _Tail:
    """The guard of the 95th percentile: for each cluster the times of the pairs that were timed on both sides."""

    def __init__(self, policy: Policy, limit: Limit, seed: str) -> None:
        self._policy, self._limit, self._seed = policy, limit, seed
        self._factor = 1 + limit.amount
        self._base, self._head, self._cluster = array("d"), array("d"), array("L")
        self._units = self._untimed = 0
        self._past: list[float] = []  # both sides' times so far, head's over the factor, sorted
        self._bets = Increase(alpha=policy.alpha)

    def add(self, unit: Unit) -> None:
        bets: list[float] = []
        timed: list[float] = []
        for pair in unit.pairs:
            base, head = (None, None) if pair.same else _sides(pair, QUANTITIES["latency_p95"].of)
            if base is None or head is None:
                self._untimed += not pair.same
                continue
            self._base.append(base)
            self._head.append(head)
            self._cluster.append(self._units)
            timed += [base, head / self._factor]
            if len(self._past) >= 2 * _WARM:
                bets.append(self._swing(base, head, self._past[math.ceil(TAIL * len(self._past)) - 1]))
        if bets and self._policy.mode != "fixed":
            self._bets.update(math.fsum(bets) / len(bets))
        if self._policy.mode != "fixed":
            for time in timed:
                insort(self._past, time)
        self._units += bool(timed)

    def _swing(self, base: float, head: float, bound: float) -> float:
        """1 where only head is slower than *bound*, -1 where only base is, else 0."""
        return float(head / self._factor > bound) - float(base > bound)

    def finish(self, *, stopped_early: bool, interleaved: bool, alpha: float) -> GuardResult:
        if not interleaved:
            return self._result(Verdict.PASS, None, "not compared: base's answers are older than this check")
        if not self._base:
            return self._result(Verdict.PASS, None, "not compared: no case was timed on both sides in this check")
        p = either(self._policy.mode, max_log=self._bets.max_log, p_fixed=None if stopped_early else self._p_fixed())
        base, head = quantile(self._base, TAIL), quantile(self._head, TAIL)
        exceeds = head > base * self._factor * (1 + _ROUNDING)
        verdict = Verdict.FAIL if p <= alpha else Verdict.UNDECIDED if exceeds else Verdict.PASS
        note = f"{self._untimed:,} cases were not timed on both sides" if self._untimed else ""
        return self._result(verdict, p, note)

    def _p_fixed(self) -> float:
        """Who is more often beyond the 95th percentile of base, and beyond that of head? The lesser evidence of the two counts:
        one count alone, or one of both sides together, errs where one side is much more spread out than the other."""
        scaled = [head / self._factor for head in self._head]
        return max(self._p_beyond(quantile(times, TAIL)) for times in (self._base, scaled))

    def _p_beyond(self, bound: float) -> float:
        """Mid-p of McNemar's test; for clusters of several cases, signs of whole clusters flipped."""
        sums, sizes = [0.0] * self._units, [0] * self._units
        for cluster, base, head in zip(self._cluster, self._base, self._head, strict=True):
            sums[cluster] += self._swing(base, head, bound)
            sizes[cluster] += 1
        if max(sizes) == 1:
            return mcnemar_midp(sum(total > 0 for total in sums), sum(total < 0 for total in sums))
        return sign_flip(list(zip(sums, sizes, strict=True)), f"{self._seed}/latency_p95")

    def _result(self, verdict: Verdict, p: float | None, note: str) -> GuardResult:
        base = quantile(self._base, TAIL) if p is not None else None
        head = quantile(self._head, TAIL) if p is not None else None
        return GuardResult(
            guard="latency_p95",
            limit=_written(self._limit),
            base=base,
            head=head,
            increase=_increase(self._limit, base, head),
            p=p,
            verdict=verdict,
            note=note,
        )


def _written(limit: Limit) -> str:
    """The limit as a suite writes it."""
    return f"+{round(100 * limit.amount, 9):g}{'%' if limit.relative else 'pt'}"


def _increase(limit: Limit, base: float | None, head: float | None) -> float | None:
    """Relative for a relative limit, None where that has no meaning."""
    if base is None or head is None:
        return None
    if not limit.relative:
        return head - base
    return head / base - 1 if base > 0 else (0.0 if head == base else None)
