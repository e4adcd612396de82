"""The tables and facts by which a verdict can be checked, as rows of text. Knows no markup.

Rows hold words and numbers of our own only; what is foreign (revisions, tags and their values) stands beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from promptreg.core.verdict import Comparison, GateReport, GuardResult, SliceResult, Verdict
from promptreg.reporters.check.numbers import calls, counted, drop, evidence_value, moved, points, probability, scores
from promptreg.reporters.check.words import KINDS, guard_limit, increase, judges
from promptreg.reporters.figures import NONE, money, percent, plural, seconds

COMPARED = ("against", "judged by", "verdict", "base → head", "drop [limits]", "broken / fixed", "cases", "p")


def compared(comparison: Comparison) -> tuple[str, ...]:
    """A row of COMPARED; the revision, which is foreign, is not in it."""
    return (
        KINDS[comparison.kind],
        judges(comparison),
        comparison.verdict.value,
        scores(comparison.base_score, comparison.head_score),
        drop(comparison),
        moved(comparison),
        counted(comparison),
        probability(comparison.p_harm),
    )


def evidence(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """The rest that is known of a comparison: (name, value), for who wants to check the verdict."""
    if comparison.verdict is Verdict.UNMEASURED and comparison.drop is None:
        return
    yield "limits", {"none": "none", "tango": "Tango"}.get(comparison.limit_kind, comparison.limit_kind)
    yield "p of the whole order", probability(comparison.p_fixed)
    if comparison.e_fail != 1 or comparison.e_pass != 1:
        yield "e for FAIL / PASS", f"{evidence_value(comparison.e_fail)} / {evidence_value(comparison.e_pass)}"
    if comparison.discordance is not None:
        yield "discordance", percent(comparison.discordance)
    if comparison.noise is not None:
        yield "base's own discordance", percent(comparison.noise)
    if (comparison.repeats_base, comparison.repeats_head) != (1, 1):
        yield "repeats of base / head", f"{comparison.repeats_base} / {comparison.repeats_head}"
    counts = {"unchanged": comparison.unchanged, "missing": comparison.missing, "left out": comparison.excluded}
    for name, count in counts.items():
        if count:
            yield name, plural(count, "case")
    if comparison.gained:
        yield "improvement", "shown"


def facts(gate: GateReport) -> Iterator[tuple[str, str]]:
    """The gate's own settings and forecasts: (name, value)."""
    yield "changed", ", ".join(gate.changed) or NONE
    yield "mode", gate.mode
    yield "margin", f"{points(gate.margin)} points"
    yield "alpha", percent(gate.alpha)
    if gate.mde is not None:
        yield "smallest drop it can show", f"{points(gate.mde)} points"
    if gate.needed:
        yield "further cases needed", f"about {gate.needed:,}"
    if gate.expected_calls is not None:
        yield "calls expected", f"{gate.expected_calls:,}"
    yield "calls made / saved", calls(gate)
    if gate.cost_usd is not None:
        yield "cost", money(gate.cost_usd)
    if gate.floor:
        floor = gate.floor
        yield "floor", f"{floor.verdict.value}: {percent(floor.score)} against {percent(floor.floor)}"


GUARDED = ("guard", "verdict", "limit", "base → head", "increase", "p")
SLICED = ("tag", "value", "verdict", "cases", "base → head", "drop", "smallest to show", "p", "blocks")


def guarded(guard: GuardResult) -> tuple[str, ...]:
    """A row of GUARDED."""
    values = f"{_measured(guard, guard.base)} → {_measured(guard, guard.head)}"
    return (guard.guard, guard.verdict.value, guard_limit(guard), values, increase(guard), probability(guard.p))


def _measured(guard: GuardResult, value: float | None) -> str:
    if value is None:
        return NONE
    match guard.guard:
        case "cost":
            return money(value)
        case "latency_p95":
            return seconds(value)
        case "refusal" | "format":
            return percent(value)
        case "tokens" | "length":
            return f"{value:,.1f}"
        case _:
            assert_never(guard.guard)


def sliced(part: SliceResult) -> tuple[str, ...]:
    """A row of SLICED without its first two columns, which are foreign."""
    drop_points, least = points(part.drop), points(part.mde)
    shown = scores(part.base_score, part.head_score)
    return (part.verdict.value, f"{part.n:,}", shown, drop_points, least, probability(part.p), "yes" if part.blocks else "no")
