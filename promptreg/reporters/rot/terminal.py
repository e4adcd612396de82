"""A RotReport for a terminal: the heat map, then what is not safe and why, the verdict last; an upgrade: prompts by what to do."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from promptreg.core.rot import ACTIONS, RotCell, RotReport
from promptreg.core.verdict import Verdict
from promptreg.reporters import figures
from promptreg.reporters.check.words import LOOKS, SIGNS
from promptreg.reporters.pen import Pen, plain
from promptreg.reporters.rot import matrix
from promptreg.reporters.tables import aligned

CASES = 8  # broken cases named of one cell
CELLS = 20  # cells told in words
NAMES = ("suite", "prompt", "reference")


def render(report: RotReport, pen: Pen) -> str:
    body = [*_map(report, pen), "", *_told(report, pen)] if report.upgrade is None else _sorted(report, pen)
    lines = [*body, *pen.notes(report.notes), *_end(report, pen)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _map(report: RotReport, pen: Pen) -> Iterator[str]:
    """Prompts × models; models that do not fit beside each other stand below."""
    rows = matrix.rows(report)
    columns = list(range(len(report.models)))
    while columns:
        taken = len(columns)
        while taken > 1 and max(map(len, _table(report, rows, columns[:taken]))) > pen.width:
            taken -= 1
        shown, columns = columns[:taken], columns[taken:]
        kept = [row for row in rows if any(row.cells[at] is not None for at in shown)]
        lines = _table(report, kept, shown)
        yield pen.styled(lines[0], "dim")
        for line, row in zip(lines[1:], kept, strict=True):
            yield _coloured(line, [row.cells[at] for at in shown], pen)
        if columns:
            yield ""


def _table(report: RotReport, rows: list[matrix.Row], columns: list[int]) -> list[str]:
    headers = [*NAMES, *(plain(report.models[at]) for at in columns)]
    named = ((plain(row.suite), plain(row.prompt), plain(row.reference)) for row in rows)
    texts = [[*names, *(matrix.short(row.cells[at]) for at in columns)] for names, row in zip(named, rows, strict=True)]
    return aligned(headers, texts, ["left"] * len(headers))


def _coloured(line: str, cells: list[RotCell | None], pen: Pen) -> str:
    """*line* with its cells coloured, from the right: what stands before them is foreign, and could read like one."""
    for cell in reversed(cells):
        if cell is not None:
            text = matrix.short(cell)
            before, _, after = line.rpartition(text)
            line = before + pen.styled(text, LOOKS[cell.gate.verdict]) + after
    return line


def _told(report: RotReport, pen: Pen) -> Iterator[str]:
    telling = matrix.worst_first(report)
    for cell in telling[:CELLS]:
        yield from _cell(cell, pen, f"{plain(cell.suite)} · {plain(cell.prompt)} · {plain(cell.reference)} → {plain(cell.model)}")
        yield ""
    if len(telling) > CELLS:
        yield f"and {len(telling) - CELLS:,} more: promptreg rot --report rot.html"
        yield ""


def _sorted(report: RotReport, pen: Pen) -> Iterator[str]:
    """The decision view: prompts by what to do with them."""
    for action in ACTIONS.values():
        cells = [cell for cell in report.cells if cell.action == action]
        if cells:
            yield f"{matrix.ACTIONS[action]}: {figures.plural(len(cells), 'prompt')}"
            for cell in cells[:CELLS]:
                yield from _cell(cell, pen, f"{plain(cell.prompt)} ({plain(cell.suite)})")
            if len(cells) > CELLS:
                yield f"and {len(cells) - CELLS:,} more: promptreg upgrade --report upgrade.html"
            yield ""


def _cell(cell: RotCell, pen: Pen, name: str) -> Iterator[str]:
    sign = pen.styled(SIGNS[cell.gate.verdict], LOOKS[cell.gate.verdict])
    yield f"{sign} {pen.styled(name, 'bold')}: {cell.action}"
    for sentence in matrix.sentences(cell):
        yield from pen.wrapped(sentence)
    if cell.retires:
        yield from pen.wrapped(f"the model retires on {plain(cell.retires)}")
    if cell.gate.verdict is not Verdict.PASS and (cases := matrix.broken_cases(cell, CASES)):
        yield from pen.wrapped("broken: " + ", ".join(map(plain, cases)))


def _end(report: RotReport, pen: Pen) -> Iterator[str]:
    verdict = report.verdict
    if report.upgrade is not None and (said := matrix.money(report.upgrade)):
        yield from wrap(f"{said[0].upper()}{said[1:]}.", pen.width)
    yield f"{pen.styled(f'{SIGNS[verdict]} {verdict}', LOOKS[verdict])}  {report.headline}"
    spent = f"{figures.money(report.cost_usd)} spent"
    facts = f"{figures.plural(report.calls_made, 'call')} made · {report.calls_known:,} known · {spent}"
    yield pen.styled(f"  {facts} · {figures.duration(report.duration_s)}", "dim")
