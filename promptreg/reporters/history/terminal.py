"""A History for a terminal: for each time line a table, its change points in words, and the way from its first day to its last."""

from __future__ import annotations

from collections.abc import Iterator

from promptreg.core.excerpt import one_line
from promptreg.core.history import History, Timeline
from promptreg.reporters.history import rows
from promptreg.reporters.pen import NAME, Pen, plain
from promptreg.reporters.tables import aligned

_STYLES = {"▼": "failed", "▲": "ok"}


def render(history: History, pen: Pen) -> str:
    lines: list[str] = []
    for line in history.timelines:
        lines += [*_timeline(line, pen), ""]
    lines += [*pen.notes(history.notes), history.headline]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _timeline(line: Timeline, pen: Pen) -> Iterator[str]:
    yield pen.styled(f"{plain(line.suite)} · {plain(line.prompt)} · {plain(line.model)}", "bold")
    texts = [
        ["", f"… {each:,} more", *[""] * (len(rows.HEADERS) - 2)]
        if isinstance(each, int)
        else [plain(cell) for cell in rows.row(each)]
        for each in rows.shown(line)
    ]
    table = aligned(list(rows.HEADERS), texts, ["left", "left", "left", *["right"] * 3, *["left"] * 3])  # type: ignore[list-item]
    yield pen.styled(table[0], "dim")
    for text in table[1:]:
        yield pen.styled(text.rstrip(), _STYLES.get(text[:1], ""))
    for before, point in line.changes:
        assert point.change is not None
        sign = rows.sign(point)
        yield f"{pen.styled(sign, _STYLES[sign])} {rows.days(before, point.measurement)}"
        for sentence in rows.sentences(before, point.measurement, point.change):
            yield from pen.wrapped(one_line(sentence, 6 * NAME))
    if line.overall is not None and line.ends is not None:
        first, last = line.ends
        told = "beyond chance" if line.overall.point else "within chance"
        yield f"in all, {rows.days(first, last)}: {told}"
        yield from pen.wrapped(rows.figures(line.overall))
