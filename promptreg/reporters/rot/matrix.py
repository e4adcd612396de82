"""The matrix of a RotReport as texts: a row for each suite and prompt, a column for each model; and the sentences about a cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from promptreg.core.drift import DriftResult
from promptreg.core.rot import RotCell, RotReport
from promptreg.core.verdict import Verdict
from promptreg.reporters.check.words import SIGNS
from promptreg.reporters.figures import NONE, plural

SHADES = {Verdict.PASS: "ok", Verdict.FAIL: "failed", Verdict.UNDECIDED: "unmeasured", Verdict.UNMEASURED: "dim"}
POINT = 0.01
NAMES = {
    "mismatch": "answers differ",
    "format": "well-formed answers",
    "refusal": "refusals",
    "length": "length",
    "tokens": "tokens",
    "latency": "latency",
    "script": "writing system changed",
    "tools": "tool calls changed",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt of one suite. `cells` follow the report's models; None where the suite does not ask that model."""

    suite: str
    prompt: str
    reference: str
    cells: tuple[RotCell | None, ...]


def rows(report: RotReport) -> list[Row]:
    """The matrix, in the order of the report."""
    found: dict[tuple[str, str, str], dict[str, RotCell]] = {}
    for cell in report.cells:
        found.setdefault((cell.suite, cell.prompt, cell.reference), {})[cell.model] = cell
    return [Row(*name, tuple(cells.get(model) for model in report.models)) for name, cells in found.items()]


def short(cell: RotCell | None) -> str:
    """`✗ 90.6→68.8`: the verdict's sign and the scores in per cent."""
    if cell is None:
        return ""
    found = cell.comparison
    sign = SIGNS[cell.gate.verdict]
    if found is None or found.base_score is None or found.head_score is None:
        return sign
    return f"{sign} {100 * found.base_score:.1f}→{100 * found.head_score:.1f}"


def sentences(cell: RotCell) -> Iterator[str]:
    """What a prompt engineer should know of a cell, most important first. Holds no foreign text."""
    yield from _verdict(cell)
    if cell.format_only and cell.content is not None:
        yield f"the wrapping changed, not the content: unwrapped {_scores(cell.content.base_score, cell.content.head_score)}"
    elif cell.content is not None and _elsewhere(cell):
        yield f"unwrapped {_scores(cell.content.base_score, cell.content.head_score)}"
    if cell.hidden and cell.comparison is not None:
        yield f"better in the mean, and yet {plural(cell.comparison.broken, 'case')} broke"
    yield from (drifted(each) for each in cell.drift if each.alarm)
    yield from _ratios(cell)
    if cell.retires:
        yield f"the model retires on {cell.retires}"


def _verdict(cell: RotCell) -> Iterator[str]:
    found = cell.comparison
    if found is None or found.drop is None:
        yield f"not measured: {(cell.gate.reason or 'no answers').replace('_', ' ')}"
        return
    known = found.lower is not None and found.upper is not None
    limits = f" (drop between {_signed(found.lower)} and {_signed(found.upper)})" if known else ""
    moved = f"{plural(found.broken, 'case')} broken, {found.fixed:,} fixed, of {found.n:,}"
    said = f"a drop of {_points(found.drop)} points" if found.drop > 0 else f"a gain of {_points(-found.drop)} points"
    if found.drop == 0:
        said = "no change in the mean"
    yield f"{_scores(found.base_score, found.head_score)}: {said}{limits}; {moved}"
    if cell.gate.verdict is Verdict.PASS and found.note:
        yield found.note
    if cell.gate.verdict is Verdict.UNDECIDED and cell.gate.needed:
        yield f"about {cell.gate.needed:,} more cases would decide it"


def drifted(result: DriftResult) -> str:
    """One kind of drift in words."""
    name = NAMES[result.kind]
    if result.ratio is not None:
        return f"{name} ×{result.ratio:.2f} (median {_size(result.base)} → {_size(result.head)})"
    if result.base is not None and result.head is not None:
        own = "its own repeats " if result.kind == "mismatch" else ""
        return f"{name}: {own}{100 * result.base:.1f} % → {100 * result.head:.1f} %"
    return f"{name}: {100 * (result.head or 0.0):.1f} %"


def _ratios(cell: RotCell) -> Iterator[str]:
    named = (("cost", cell.cost_ratio), ("latency", cell.latency_ratio), ("tokens", cell.tokens_ratio))
    said = [f"{name} ×{ratio:.2f}" for name, ratio in named if ratio is not None]
    if said:
        yield ", ".join(said)


def broken_cases(cell: RotCell, most: int) -> Sequence[str]:
    """Ids of broken cases. Foreign text."""
    found = cell.comparison
    return [change.case for change in found.cases_broken[:most]] if found is not None else []


def _scores(base: float | None, head: float | None) -> str:
    return f"{_percent(base)} → {_percent(head)}"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"


def _elsewhere(cell: RotCell) -> bool:
    """Whether the content's drop is another one than that of the answers as given, by a point or more."""
    content, given = cell.content, cell.comparison
    return content is not None and given is not None and abs((content.drop or 0.0) - (given.drop or 0.0)) >= POINT


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _signed(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f}".replace("-", "−")


def _size(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}" if value < 10 else f"{value:,.0f}"
