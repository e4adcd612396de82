"""A RotReport as GitHub Markdown: the heat map, then one paragraph for each cell that matters."""

from __future__ import annotations

from collections.abc import Iterator

from promptreg.core.excerpt import one_line
from promptreg.core.rot import RotReport
from promptreg.core.verdict import SEVERITY, Verdict
from promptreg.reporters.check.markdown import BADGES
from promptreg.reporters.rot import matrix
from promptreg.reporters.spans import code
from promptreg.reporters.tables import github

MARKER = "<!-- promptreg rot -->"
CELLS = 100
CASES = 20
NAME = 100


def render(report: RotReport) -> str:
    return "\n\n".join([MARKER, *_blocks(report)]) + "\n"


def _blocks(report: RotReport) -> Iterator[str]:
    yield f"## {BADGES[report.verdict]} {report.headline}"
    headers = ["suite", "prompt", "reference", *(code(one_line(model, NAME)) for model in report.models)]
    rows = [
        [
            *(code(one_line(name, NAME)) for name in (row.suite, row.prompt, row.reference)),
            *("" if cell is None else f"{BADGES[cell.gate.verdict]} {matrix.short(cell)[2:]}" for cell in row.cells),
        ]
        for row in matrix.rows(report)
    ]
    yield github(headers, rows, ["left"] * len(headers))
    telling = [cell for cell in report.cells if cell.gate.verdict is not Verdict.PASS or cell.hidden or cell.drift]
    for cell in sorted(telling, key=lambda cell: -SEVERITY[cell.gate.verdict])[:CELLS]:
        name = " / ".join(code(one_line(part, NAME)) for part in (cell.suite, cell.prompt, cell.model))
        lines = [f"- {BADGES[cell.gate.verdict]} {name}: **{cell.action}**", *(f"  - {each}" for each in matrix.sentences(cell))]
        if cases := matrix.broken_cases(cell, CASES):
            lines.append("  - broken: " + ", ".join(code(one_line(case, NAME)) for case in cases))
        yield "\n".join(lines)
