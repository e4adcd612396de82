"""Floors: is the candidate good enough by itself? Its answers go in, unit by unit; a FloorResult comes out.

Knows nothing of the base and of other gates. The unit is the cluster; repeats of a case are averaged.

    FAIL        the score is shown to be below the floor        p <= alpha, and so the upper limit is below it
    UNDECIDED   it only looks so
    PASS        it does not look so
    UNMEASURED  more answers failed to arrive than `max_missing` allows, and the rest do not fail by themselves

A case that both revisions ask alike is not asked for a comparison's sake, so that its answer may be unknown. What is unknown is
held against the verdict: FAIL only if it fails with all of it counted as passed, PASS only if it passes with all of it counted as
failed.

Whole order: exact binomial where every unit is one answer that passed or did not, else `stats.skewed` with two pseudo-units, one
passed and one failed. Where the run could stop, the rule of `looks`; cases that were not reached are then not unknown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from promptreg.core.looks import either, level
from promptreg.core.pair import Graded, On, Pair, Unit
from promptreg.core.stats.betting import Increase, Mean
from promptreg.core.stats.skewed import limits_of_mean, limits_of_rate, p_above, p_fewer
from promptreg.core.suite import Policy
from promptreg.core.verdict import FloorResult, Verdict

Bounds = tuple[float, float]


class Floor:
    """A fold over the candidate's answers: `add` every unit in order, then `finish`. Free where the policy has no floor."""

    def __init__(self, policy: Policy, seed: str = "") -> None:
        self._policy, self._seed = policy, seed
        self._low: list[tuple[float, int]] = []  # each unit's sum with unknown answers counted as failed
        self._high: list[tuple[float, int]] = []  # and counted as passed
        self._cases = self._known = self._missing = 0
        self._total = 0.0
        self._whole = True  # every unit is one answer that passed or did not
        self._below = Increase(alpha=policy.alpha)  # bets that the score is below the floor
        self._least, self._most = Mean(), Mean()

    def add(self, unit: Unit) -> None:
        """The next unit of the order, whole."""
        floor = self._policy.floor
        if floor is None or not unit.pairs:
            return
        low = high = 0.0
        for pair in unit.pairs:
            least, most = self._case(pair)
            low, high = low + least, high + most
        size = len(unit.pairs)
        self._low.append((low, size))
        self._high.append((high, size))
        if size > 1 or low not in (0.0, 1.0) or high not in (0.0, 1.0):
            self._whole = False
        if self._policy.mode != "fixed":
            self._below.update(floor - high / size)
            self._least.update(low / size)
            self._most.update(high / size)

    def _case(self, pair: Pair) -> Bounds:
        answers = pair.head or (pair.base if pair.same else ())
        self._cases += 1
        low, high, known = _mean(answers, self._policy.on)
        if known:
            self._known += 1
            self._total += low
        elif not pair.same:
            self._missing += 1
        return low, high

    def finish(self, *, planned_cases: int, stopped_early: bool, alpha: float) -> FloorResult | None:
        """The verdict at *alpha*, before its family is corrected for; None without a floor. The order has *planned_cases* cases."""
        floor = self._policy.floor
        if floor is None:
            return None
        if not stopped_early:
            for _ in range(planned_cases - self._cases):
                self._low.append((0.0, 1))
                self._high.append((1.0, 1))
        p = either(self._policy.mode, max_log=self._below.max_log, p_fixed=None if stopped_early else self._p_fixed(floor))
        lower, upper = self._limits(alpha, stopped_early)
        if upper is not None:  # limits and verdict come of two bets where a run stops: the verdict's holds
            upper = min(upper, floor) if p <= alpha else max(upper, floor)
        verdict, note = self._judge(p, alpha)
        return FloorResult(
            floor=floor,
            on=self._policy.on,
            score=self._total / self._known if self._known else None,
            lower=lower,
            upper=upper,
            verdict=verdict,
            n=self._known,
            p=p,
            alpha=alpha,
            note=note,
        )

    def _judge(self, p: float, alpha: float) -> tuple[Verdict, str]:
        cases = sum(size for _, size in self._low)
        if not cases:
            return Verdict.UNMEASURED, "no case of it was measured"
        assert self._policy.floor is not None
        unknown = cases - self._known
        note = f"{self._known:,} of {cases:,} cases are known; promptreg run measures the rest" if unknown else ""
        if p <= alpha:
            return Verdict.FAIL, note
        if self._missing > self._policy.max_missing * cases:
            return Verdict.UNMEASURED, f"{self._missing:,} of {cases:,} cases lack an answer"
        if math.fsum(total for total, _ in self._low) / cases >= self._policy.floor - _ROUNDING:
            return Verdict.PASS, note
        return Verdict.UNDECIDED, note

    def _p_fixed(self, floor: float) -> float:
        if self._binary():
            return p_fewer(round(math.fsum(total for total, _ in self._high)), len(self._high), floor)
        return p_above([(-total, size) for total, size in _smoothed(self._high)], -floor)

    def _binary(self) -> bool:
        return self._whole and self._policy.on == "passed"

    def _limits(self, alpha: float, stopped_early: bool) -> tuple[float | None, float | None]:
        """What the tests above do not reject; unknown answers widen them."""
        if not self._known:
            return None, None
        each = level(self._policy.mode, alpha)
        lower, upper = 0.0, 1.0
        if self._policy.mode != "fixed" or stopped_early:
            lower, upper = self._least.lower(each), self._most.upper(each)
        if stopped_early:
            return lower, upper
        if self._binary():
            passed = [round(math.fsum(total for total, _ in bound)) for bound in (self._low, self._high)]
            fixed = limits_of_rate(passed[0], len(self._low), each)[0], limits_of_rate(passed[1], len(self._high), each)[1]
        else:
            fixed = limits_of_mean(_smoothed(self._low), each)[0], limits_of_mean(_smoothed(self._high), each)[1]
        return max(lower, fixed[0]), min(upper, fixed[1])


_ROUNDING = 1e-9  # of a mean over many cases: nobody fails by it


def _mean(answers: Sequence[Graded], on: On) -> tuple[float, float, bool]:
    """The least and the greatest mean that *answers* can have, and whether all are known."""
    if not answers:
        return 0.0, 1.0, False
    values = [answer.value(on) for answer in answers]
    known = [value for value in values if value is not None]
    total, size = math.fsum(known), len(values)
    return total / size, (total + (size - len(known))) / size, len(known) == size


def _smoothed(units: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """*units* and two more of their mean size, one wholly passed and one wholly failed: nobody is certain from equal scores."""
    size = max(1, round(sum(k for _, k in units) / len(units))) if units else 1
    return [*units, (float(size), size), (0.0, size)]
