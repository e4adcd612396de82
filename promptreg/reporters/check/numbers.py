"""The numbers of a check as every format writes them: points, scores, counts, probabilities. Knows no markup."""

from __future__ import annotations

from promptreg.core.verdict import SEVERITY, Comparison, GateReport
from promptreg.reporters.figures import NONE, percent, plural


def leading(gate: GateReport) -> Comparison | None:
    """The comparison that stands for the gate: the first of the gravest."""
    return max(gate.comparisons, key=lambda each: SEVERITY[each.verdict], default=None)


def points(share: float | None, *, sign: bool = False) -> str:
    """A difference of fractions in percentage points."""
    return NONE if share is None else signed(100 * share, sign=sign)


def signed(value: float, *, sign: bool = False) -> str:
    text = f"{abs(value):.1f}"
    minus = value < 0 and float(text) != 0
    return ("−" if minus else "+" if sign and float(text) != 0 else "") + text


def scores(base: float | None, head: float | None) -> str:
    return f"{percent(base)} → {percent(head)}"


def drop(comparison: Comparison | None) -> str:
    """`6.2 [2.1, 10.3]`: points, with its one-sided limits."""
    if comparison is None or comparison.drop is None:
        return NONE
    if comparison.lower is None and comparison.upper is None:
        return points(comparison.drop)
    return f"{points(comparison.drop)} [{points(comparison.lower)}, {points(comparison.upper)}]"


def counted(comparison: Comparison | None) -> str:
    """`300`, or `120 of 400` where it stopped early; clusters are named."""
    if comparison is None:
        return NONE
    clustered = comparison.units not in (0, comparison.n)
    if not comparison.planned or comparison.planned <= comparison.units:
        return f"{comparison.n:,}" + (f" in {plural(comparison.units, 'cluster')}" if clustered else "")
    done = comparison.units if clustered else comparison.n
    return f"{done:,} of {comparison.planned:,}" + (" clusters" if clustered else "")


def moved(comparison: Comparison | None) -> str:
    return NONE if comparison is None else f"{comparison.broken:,} / {comparison.fixed:,}"


def calls(gate: GateReport) -> str:
    return f"{gate.calls_made:,} / {gate.calls_saved:,}"


def probability(p: float | None) -> str:
    return NONE if p is None else "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def evidence_value(e: float) -> str:
    return "over a million" if e > 1e6 else f"{e:,.1f}"
