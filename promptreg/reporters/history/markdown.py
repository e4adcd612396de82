"""A History as GitHub Markdown, also as a part of an issue: a heading, then a table and the change points of each time line."""

from __future__ import annotations

from collections.abc import Iterator

from promptreg.core.excerpt import one_line
from promptreg.core.history import History, Timeline
from promptreg.reporters.history import rows
from promptreg.reporters.spans import code
from promptreg.reporters.tables import github

NAME = 100


def render(history: History) -> str:
    return "\n\n".join(_blocks(history)) + "\n"


def _blocks(history: History) -> Iterator[str]:
    since = f" since {history.since[:10]}" if history.since else ""
    yield f"## History{since}: {history.headline}"
    for line in history.timelines:
        yield f"### {' / '.join(code(one_line(name, NAME)) for name in (line.suite, line.prompt, line.model))}"
        yield github(list(rows.HEADERS), list(_rows(line)), ["left", "left", "left", *["right"] * 3, *["left"] * 3])  # type: ignore[list-item]
        yield from _told(line)
    if history.notes:
        yield "\n".join(f"- {code(one_line(note, 4 * NAME))}" for note in history.notes)


def _rows(line: Timeline) -> Iterator[list[str]]:
    for each in rows.shown(line):
        if isinstance(each, int):
            yield ["", f"… {each:,} more", *[""] * (len(rows.HEADERS) - 2)]
            continue
        cells = rows.row(each)
        yield [*cells[:6], *(code(one_line(cell, NAME)) for cell in cells[6:])]


def _told(line: Timeline) -> Iterator[str]:
    for before, point in line.changes:
        assert point.change is not None
        figures, *moved = rows.sentences(before, point.measurement, point.change)
        head = f"- {rows.sign(point)} **{rows.days(before, point.measurement)}**: {figures}"
        yield "\n".join([head, *(f"  - {code(one_line(sentence, 4 * NAME), 4 * NAME)}" for sentence in moved)])
    if line.overall is not None and line.ends is not None:
        told = "beyond chance" if line.overall.point else "within chance"
        yield f"In all, {rows.days(*line.ends)}: {rows.figures(line.overall)}; {told}."
