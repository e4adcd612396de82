"""A CheckReport as values for check.html.jinja: what is drawn where, and what it says aloud. Jinja escapes every text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

from promptreg.core.diff import Piece
from promptreg.core.verdict import CaseChange, CheckReport, Comparison, GateReport, Verdict, headline
from promptreg.reporters.check import details, numbers, words
from promptreg.reporters.check.cases import answers, groups

TEXT = 4_000  # characters of an answer
HALF = 100  # SVG units on either side of no difference
INSET = 6  # room for a dot at either end
STEP = 0.05  # the axis reaches a multiple of five points


def values(report: CheckReport) -> dict[str, Any]:
    """All that the template draws."""
    reach = _reach(report)
    return {
        "report": report,
        "gates": words.worst_first(report),
        "headline": headline(report),
        "said": words.said(report.verdict, accepted=report.accepted),
        "words": words,
        "numbers": numbers,
        "details": details,
        "groups": groups,
        "unfolded": next((gate for gate in words.worst_first(report) if gate.verdict is not Verdict.PASS), None),
        "plot": lambda gate: plot(gate, reach),
        "answers": _answers,
        "compared": lambda gate: [details.compared(comparison) for comparison in gate.comparisons],
        "guarded": lambda gate: [details.guarded(guard) for guard in gate.guards],
        "sliced": lambda gate: [(part.by, part.value, *details.sliced(part)) for part in gate.slices],
        "reach": numbers.points(reach),
        "middle": INSET + HALF,
        "width": 2 * (INSET + HALF),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Where the drop, its limits and the margin stand, in SVG units, gains to the left; and what they say aloud."""

    dot: float
    lower: float
    upper: float
    margin: float
    label: str


def plot(gate: GateReport, reach: float) -> Plot | None:
    """None where no drop is known. What lies beyond *reach* is drawn at the edge."""
    lead = numbers.leading(gate)
    if lead is None or lead.drop is None:
        return None
    lower = lead.drop if lead.lower is None else lead.lower
    upper = lead.drop if lead.upper is None else lead.upper
    label = f"drop {numbers.points(lead.drop)} points, limits {numbers.points(lead.lower)} and {numbers.points(lead.upper)}"
    return Plot(
        dot=_at(lead.drop, reach),
        lower=_at(lower, reach),
        upper=_at(upper, reach),
        margin=_at(lead.margin, reach),
        label=f"{label}, margin {numbers.points(lead.margin)}",
    )


def _reach(report: CheckReport) -> float:
    """How far the axis goes to either side: as far as the farthest limit, so that all gates are drawn to one scale."""
    ends = [end for gate in report.gates if (lead := numbers.leading(gate)) for end in _ends(lead)]
    return min(1.0, STEP * max(1, ceil(max(ends, default=0) / STEP - 1e-9)))


def _ends(comparison: Comparison) -> Iterator[float]:
    yield comparison.margin
    yield from (abs(end) for end in (comparison.drop, comparison.lower, comparison.upper) if end is not None)


def _at(drop: float, reach: float) -> float:
    return round(INSET + HALF + HALF * max(-1.0, min(1.0, drop / reach)), 2)


def _answers(case: CaseChange) -> tuple[Piece, ...]:
    return answers(case, TEXT)
