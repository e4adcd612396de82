"""A RotReport as GitHub Markdown: the heat map, then one paragraph for each cell that matters. What does not fit is counted."""

from __future__ import annotations

from collections.abc import Iterator

from promptreg.core.rot import RotCell, RotReport
from promptreg.reporters.check.markdown import BADGES, COMMENT, Room
from promptreg.reporters.rot import matrix
from promptreg.reporters.spans import code, html_code
from promptreg.reporters.tables import github

MARKER = "<!-- promptreg rot -->"
SHARE = 0.5  # of the room, at most, for the matrix
CASES = 20
NAME = 100


def render(report: RotReport) -> str:
    room = Room(COMMENT)
    head, foot = list(_head(report)), _foot(report)
    room.take([*head, foot])
    return "\n\n".join([*head, *_map(report, room), *_cells(report, room), foot]) + "\n"


def _head(report: RotReport) -> Iterator[str]:
    yield MARKER
    yield f"## {BADGES[report.verdict]} {report.headline}"
    if report.upgrade is not None:
        move = f"From {code(report.upgrade.old, NAME)} to {code(report.upgrade.new, NAME)}"
        said = matrix.money(report.upgrade).replace("$", "&#36;")
        yield f"{move}: {said}." if said else f"{move}."
    if report.notes:
        yield "\n".join(f"- note: {code(note)}" for note in report.notes)


def _map(report: RotReport, room: Room) -> Iterator[str]:
    headers = ["suite", "prompt", "reference", *(code(model, NAME) for model in report.models)]
    rows = [
        [*(code(name, NAME) for name in (row.suite, row.prompt, row.reference)), *map(_shade, row.cells)]
        for row in matrix.rows(report)
    ]
    lines = [" | ".join(row) for row in rows]
    fitting = len(room.most(lines, SHARE))
    if fitting:
        yield github(headers, rows[:fitting], ["left"] * len(headers))
    if fitting < len(rows):
        yield f"and {len(rows) - fitting:,} more rows: `promptreg rot --report rot.html`"


def _shade(cell: RotCell | None) -> str:
    return "" if cell is None else f"{BADGES[cell.gate.verdict]} {matrix.short(cell)[1:].strip()}"


def _cells(report: RotReport, room: Room) -> Iterator[str]:
    telling = matrix.worst_first(report)
    blocks = ["\n".join(_cell(cell)) for cell in telling]
    fitting = room.most(blocks, 1.0)
    yield from fitting
    if len(fitting) < len(blocks):
        yield f"and {len(blocks) - len(fitting):,} more: `promptreg rot --report rot.html`"


def _cell(cell: RotCell) -> Iterator[str]:
    name = " / ".join(code(part, NAME) for part in (cell.suite, cell.prompt, cell.reference)) + f" → {code(cell.model, NAME)}"
    yield f"- {BADGES[cell.gate.verdict]} {name}: **{cell.action}**"
    yield from (f"  - {sentence}" for sentence in matrix.sentences(cell))
    if cell.retires:
        yield f"  - the model retires on {code(cell.retires, NAME)}"
    if cases := matrix.broken_cases(cell, CASES):
        yield "  - broken: " + ", ".join(code(case, NAME) for case in cases)


def _foot(report: RotReport) -> str:
    made = f"promptreg {html_code(report.version, NAME)} · {html_code(report.created, NAME)} · {html_code(report.registry, NAME)}"
    return f"<sub>{made} · per cent before → after, `!`: look below</sub>"
