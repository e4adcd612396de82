"""The cases of a gate that moved: which of them count, and what became of their answers. Knows no markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from promptreg.core.diff import Piece, focused, word_diff
from promptreg.core.excerpt import visible
from promptreg.core.verdict import SEVERITY, CaseChange, Comparison, GateReport
from promptreg.reporters.check.numbers import leading


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of a gate that moved in one way: the `listed` ones of `total`."""

    title: str
    listed: tuple[CaseChange, ...]
    total: int

    @property
    def broke(self) -> bool:
        return self.title != FIXED

    def rest(self, shown: int) -> str:
        """How many are not among the first *shown*, and where they are; "" if none is left."""
        more = self.total - shown
        kept = ": promptreg check --report check.html" if len(self.listed) > shown else ", which this report does not hold"
        return f"and {more:,} more{kept}" if more else ""


BROKEN, FLAKY, QUARANTINED, FIXED = "broken", "broken, but known to be flaky", "quarantined (not counted)", "fixed"


def groups(gate: GateReport) -> Iterator[Group]:
    """The cases that moved, those first that need a reader; none twice, though several comparisons may have it."""
    broken = _merged(comparison.cases_broken for comparison in _gravest(gate))
    fixed = _merged(comparison.cases_fixed for comparison in _gravest(gate))
    quarantined = _merged([gate.quarantined, [case for case in broken if case.quarantined]])
    flaky = tuple(case for case in broken if case.flaky and not case.quarantined)
    real = tuple(case for case in broken if not case.flaky and not case.quarantined)
    lead = leading(gate)
    unlisted = max(0, (lead.broken if lead else 0) - len(flaky) - len(real))
    for group in (
        Group(BROKEN, real, len(real) + unlisted),
        Group(FLAKY, flaky, len(flaky)),
        Group(QUARANTINED, quarantined, len(quarantined)),
        Group(FIXED, fixed, max(len(fixed), lead.fixed if lead else 0)),
    ):
        if group.listed:
            yield group


def _gravest(gate: GateReport) -> list[Comparison]:
    return sorted(gate.comparisons, key=lambda each: -SEVERITY[each.verdict])


def _merged(lists: Iterable[Iterable[CaseChange]]) -> tuple[CaseChange, ...]:
    found: dict[str, CaseChange] = {}
    for cases in lists:
        for case in cases:
            found.setdefault(case.case, case)
    return tuple(found.values())


KEPT_NOT = "(the texts of its answers were not kept)"


def answers(case: CaseChange, limit: int) -> tuple[Piece, ...]:
    """What became of the answer, word for word, hidden characters visible, cut to *limit*."""
    pieces = tuple(Piece(piece.kind, visible(piece.text)) for piece in case.diff)
    if not pieces and (case.base_answer or case.head_answer):
        pieces = word_diff(visible(case.base_answer), visible(case.head_answer))
    return focused(pieces or (Piece("same", KEPT_NOT),), limit=limit)
