"""A RotReport for a terminal: the heat map, then what is not safe and why, the verdict last."""

from __future__ import annotations

from collections.abc import Iterator

from promptreg.core.rot import RotCell, RotReport
from promptreg.core.verdict import Verdict
from promptreg.reporters.check.words import SIGNS
from promptreg.reporters.figures import NONE
from promptreg.reporters.pen import Pen, plain
from promptreg.reporters.rot import matrix
from promptreg.reporters.tables import aligned

CASES = 8  # broken cases named of one cell
CELLS = 20  # cells told in words


def render(report: RotReport, pen: Pen) -> str:
    lines = [*_map(report, pen), "", *_told(report, pen), *pen.notes(report.notes), *_end(report, pen)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _map(report: RotReport, pen: Pen) -> Iterator[str]:
    """Prompts × models. Colours go on after the columns are aligned, for which every cell is as long as its text."""
    rows = matrix.rows(report)
    headers = ["suite", "prompt", "reference", *map(plain, report.models)]
    named = [[plain(row.suite), plain(row.prompt), plain(row.reference)] for row in rows]
    texts = [[*names, *(matrix.short(cell) or NONE for cell in row.cells)] for names, row in zip(named, rows, strict=True)]
    lines = aligned(headers, texts, ["left"] * len(headers))
    yield pen.styled(lines[0], "dim")
    for line, row in zip(lines[1:], rows, strict=True):
        yield _coloured(line, row, pen)


def _coloured(line: str, row: matrix.Row, pen: Pen) -> str:
    at = 0
    for cell in row.cells:
        text = matrix.short(cell)
        if cell is not None and (start := line.find(text, at)) >= 0:
            styled = pen.styled(text, matrix.SHADES[cell.gate.verdict])
            line = line[:start] + styled + line[start + len(text) :]
            at = start + len(styled)
    return line


def _told(report: RotReport, pen: Pen) -> Iterator[str]:
    order = (Verdict.FAIL, Verdict.UNMEASURED, Verdict.UNDECIDED, Verdict.PASS)
    telling = sorted((cell for cell in report.cells if _matters(cell)), key=lambda cell: order.index(cell.gate.verdict))
    for cell in telling[:CELLS]:
        sign = pen.styled(SIGNS[cell.gate.verdict], matrix.SHADES[cell.gate.verdict])
        yield f"{sign} {pen.styled(f'{plain(cell.suite)} · {plain(cell.prompt)} · {plain(cell.model)}', 'bold')}: {cell.action}"
        for sentence in matrix.sentences(cell):
            yield from pen.wrapped(sentence)
        if cell.gate.verdict is Verdict.FAIL and (cases := matrix.broken_cases(cell, CASES)):
            yield from pen.wrapped("broken: " + ", ".join(map(plain, cases)))
        yield ""
    if len(telling) > CELLS:
        yield f"and {len(telling) - CELLS} more: promptreg rot --report rot.html"
        yield ""


def _matters(cell: RotCell) -> bool:
    return cell.gate.verdict is not Verdict.PASS or cell.hidden or any(each.alarm for each in cell.drift)


def _end(report: RotReport, pen: Pen) -> Iterator[str]:
    verdict = report.verdict
    yield f"{pen.styled(f'{SIGNS[verdict]} {verdict}', matrix.SHADES[verdict])}  {report.headline}"
    spent = NONE if report.cost_usd is None else f"${report.cost_usd:.4f}"
    facts = f"{report.calls_made:,} calls made · {report.calls_known:,} known · {spent} spent · {report.duration_s:.1f} s"
    yield pen.styled(f"  {facts}", "dim")
