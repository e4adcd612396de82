"""Swings: the cases that changed sides between base and head: how many, the first few with what a reader needs, and both scores.

Part of the fold in `contest`. Judges nothing; of all pairs it keeps at most LISTED whole for each direction.
"""

from __future__ import annotations

from collections.abc import Sequence

from promptreg.core.diff import word_diff
from promptreg.core.pair import Graded, On, Pair
from promptreg.core.verdict import CaseChange

LISTED = 20  # of each direction: more than a reader looks through, and few enough to hold with their texts
HALF = 0.5  # of the answers passing: where a case with repeats changes sides; of a score: a change worth a look


class Swings:
    """A fold over the pairs that have answers on both sides, and over the unchanged ones."""

    __slots__ = ("_base", "_broken", "_fixed", "_head", "_on", "_scored", "broken", "fixed")

    def __init__(self, on: On) -> None:
        self._on: On = on
        self.broken = self.fixed = 0
        self._broken: list[tuple[Pair, float]] = []
        self._fixed: list[tuple[Pair, float]] = []
        self._base = self._head = 0.0
        self._scored = 0

    def same(self, pair: Pair) -> None:
        """A case that is alike on both sides: what is known of either counts for both."""
        known = [value for one in (pair.base or pair.head) if (value := one.value(self._on)) is not None]
        if known:
            self.scored(*(sum(known) / len(known),) * 2)

    def scored(self, base: float, head: float) -> None:
        """The mean scores of one case on both sides."""
        self._base += base
        self._head += head
        self._scored += 1

    def moved(self, pair: Pair, drop: float) -> None:
        """A case whose mean differs by *drop*: counted if it changed sides."""
        way = drop if len(pair.base) == 1 == len(pair.head) and self._on == "passed" else self._way(pair, drop)
        if way > 0:
            self.broken += 1
            if self.broken <= LISTED:
                self._broken.append((pair, drop))
        elif way < 0:
            self.fixed += 1
            if self.fixed <= LISTED:
                self._fixed.append((pair, drop))

    def _way(self, pair: Pair, drop: float) -> float:
        before, after = _rate(pair.base), _rate(pair.head)
        if before is not None and after is not None and (before >= HALF) != (after >= HALF):
            return before - after
        return drop if self._on == "score" and abs(drop) >= HALF else 0.0

    @property
    def scores(self) -> tuple[float, float] | tuple[None, None]:
        """The mean scores of base and head, over the cases that have both."""
        return (self._base / self._scored, self._head / self._scored) if self._scored else (None, None)

    def cases_broken(self) -> tuple[CaseChange, ...]:
        return tuple(_change(pair, drop) for pair, drop in self._broken)

    def cases_fixed(self) -> tuple[CaseChange, ...]:
        return tuple(_change(pair, drop) for pair, drop in self._fixed)


def _rate(answers: Sequence[Graded]) -> float | None:
    """The share of *answers* that passed; None where none is known."""
    known = [one.passed for one in answers if one.passed is not None]
    return sum(known) / len(known) if known else None


def _change(pair: Pair, drop: float) -> CaseChange:
    """What a reader needs to see why: an answer of the better side that is right, and one of the worse side that is wrong."""
    base, head = _telling(pair.base, right=drop > 0), _telling(pair.head, right=drop < 0)
    passes = {one.passed for one in pair.base if one.passed is not None}
    return CaseChange(
        case=pair.case,
        where=pair.where,
        base_answer=base.answer,
        head_answer=head.answer,
        expected=pair.expected,
        reason=(head if drop > 0 else base).reason,
        diff=word_diff(base.answer, head.answer) if base.answer or head.answer else (),
        drop=drop,
        flaky=len(passes) > 1,
    )


def _telling(answers: Sequence[Graded], *, right: bool) -> Graded:
    """The first answer that passed (or failed), else the first with a score, else the first."""
    for one in answers:
        if one.passed is right:
            return one
    return next((one for one in answers if one.score is not None), answers[0])
