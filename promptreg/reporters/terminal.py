"""A Report for a terminal: the table of prompts × models, then failing and missing cases, then the verdict as the last line.

Every line that holds foreign text starts with a gutter, so that no model can begin a line with a workflow command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap
from typing import ClassVar

from promptreg.core.diff import Piece
from promptreg.core.excerpt import one_line, visible
from promptreg.core.report import Cell, FailedCase, Report
from promptreg.reporters import figures
from promptreg.reporters.tables import Align, aligned

CELL_CASES = {"failed": 3, "unmeasured": 3, "ok": 1}  # failing cases shown of a cell, and of the run: the HTML report has more
RUN_CASES = 12
MISSING = 3
NAME = 60  # characters
REASON = 400
DIFF = 600
GUTTER = "│ "
MARKS = {"same": ("", ""), "gone": ("[-", "-]"), "new": ("{+", "+}")}  # as `git diff --word-diff` writes them
STYLES = {"ok": "32", "failed": "31", "unmeasured": "33", "gone": "31", "new": "32", "dim": "2", "bold": "1"}
COMMAND = re.compile(r"##(?=\w*\[)")  # `##[error]`, `##vso[…]`, `##teamcity[…]`: read by build agents anywhere in a line

HEADERS = ("", "prompt", "model", "passed", "rate", "95 %", "cost", "p50", "p95", "tokens in / out")
ALIGN: tuple[Align, ...] = ("left", "left", "left", *("right",) * 7)
SPARE = (9, 6, 8, 7, 3, 5)  # columns that a narrow terminal does without, in this order


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """`colour` adds ANSI colours (signs and marks stay); `width` is in columns."""

    name: ClassVar[str] = "terminal"
    suffix: ClassVar[str] = ""

    colour: bool = False
    width: int = 100

    def render(self, report: Report) -> str:
        lines = [*self._table(report), "", *self._cases(report), *self._notes(report), *self._verdict(report)]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def _table(self, report: Report) -> Iterator[str]:
        lines = self._fitting(report)
        yield self._styled(lines[0], "dim")
        rows = iter(lines[1:])
        for suite, cells in figures.suites(report):
            yield self._styled(_plain(suite), "bold")
            for cell in cells:
                line = next(rows)
                sign = figures.SIGNS[cell.status]
                yield self._styled(sign, cell.status) + line.removeprefix(sign)

    def _fitting(self, report: Report) -> list[str]:
        """The table's lines, with as many columns as fit; those in which nothing is known go first, then words, then SPARE."""
        rows = [_row(cell) for _, cells in figures.suites(report) for cell in cells]
        columns = list(range(len(HEADERS)))
        silent = [column for column in SPARE if all(row[column] == figures.NONE for row in rows)]
        for spare in (None, *silent, 0, *(column for column in SPARE if column not in silent)):
            if spare == 0:
                rows = [(row[0][:1], *row[1:]) for row in rows]
            elif spare is not None:
                columns.remove(spare)
            lines = _lines(rows, columns)
            if max(map(len, lines)) <= self.width:
                break
        return lines

    def _cases(self, report: Report) -> Iterator[str]:
        left = RUN_CASES
        cells = sorted(figures.troubled(report.cells), key=lambda cell: list(figures.SIGNS).index(cell.status))
        for cell in cells:
            yield self._styled(figures.SIGNS[cell.status], cell.status) + " " + self._styled(_name(cell), "bold")
            if cell.reason and not cell.errors:
                yield from self._wrapped(one_line(cell.reason, REASON))
            yield from self._missing(cell)
            shown = cell.failed[: min(CELL_CASES[cell.status], left)]
            left -= len(shown)
            for case in shown:
                yield from self._case(case)
            if more := cell.failed_total - len(shown):
                yield f"  and {more:,} more failing: promptreg run --report report.html" if shown else f"  {more:,} failing"
            yield ""

    def _missing(self, cell: Cell) -> Iterator[str]:
        if not cell.errors:
            return
        yield from self._wrapped(f"{one_line(cell.reason, REASON)} ({figures.missing_kinds(cell)})")
        for missing in cell.missing[:MISSING]:
            yield from self._wrapped(f"{_plain(missing.case)}: {one_line(missing.message, REASON)}")

    def _case(self, case: FailedCase) -> Iterator[str]:
        repeat = f" (repeat {case.slot + 1})" if case.slot else ""
        where = self._styled(_plain(str(case.where or "")), "dim")
        yield f"  {_plain(case.case)}{repeat}  {where}"
        for check in figures.blamed(case):
            yield from self._wrapped(f"{_plain(check.label)}: {one_line(check.reason, REASON) or 'failed'}")
        yield from self._drawn(figures.answer_diff(case, DIFF))

    def _wrapped(self, text: str) -> Iterator[str]:
        return self._drawn((Piece("same", text),))

    def _drawn(self, pieces: Sequence[Piece]) -> Iterator[str]:
        """Pieces with their marks, wrapped to the width behind the gutter."""
        text, kinds = "", list[str]()
        for piece in pieces:
            before, after = MARKS[piece.kind]
            marked = before + _tame(piece.text) + after
            text += marked
            kinds += [piece.kind] * len(marked)
        for start, end in _breaks(text, max(20, self.width - 4)):
            runs = groupby(range(start, end), kinds.__getitem__)
            line = "".join(self._styled("".join(text[at] for at in places), kind) for kind, places in runs)
            yield f"  {self._styled(GUTTER, 'dim')}{line}"

    def _notes(self, report: Report) -> Iterator[str]:
        for note in report.notes:
            yield from self._wrapped(f"note: {one_line(note, REASON)}")
        if report.notes:
            yield ""

    def _verdict(self, report: Report) -> Iterator[str]:
        status = report.status
        yield f"{self._styled(f'{figures.SIGNS[status]} {status.upper()}', status)}  {figures.headline(report)}"
        parts = figures.totals(report).replace(" ", "\N{NO-BREAK SPACE}").replace("\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}", " · ")
        for line in wrap(parts, max(20, self.width - 2)):
            yield self._styled("  " + line.replace("\N{NO-BREAK SPACE}", " "), "dim")

    def _styled(self, text: str, style: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.colour and text and style in STYLES else text


def _lines(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> list[str]:
    picked = [[row[column] for column in columns] for row in rows]
    return aligned([HEADERS[column] for column in columns], picked, [ALIGN[column] for column in columns])


def _row(cell: Cell) -> tuple[str, ...]:
    return (
        f"{figures.SIGNS[cell.status]} {cell.status}",
        _plain(cell.prompt),
        _plain(cell.model),
        figures.counted(cell),
        figures.percent(cell.pass_rate),
        figures.interval(cell),
        figures.money(cell.cost_usd),
        figures.seconds(cell.latency_p50_s),
        figures.seconds(cell.latency_p95_s),
        figures.tokens(cell),
    )


def _name(cell: Cell) -> str:
    return " · ".join(map(_plain, (cell.suite, cell.prompt, cell.model)))


def _plain(text: str) -> str:
    """Names and places: one line, never a line's beginning of `::`."""
    tame = _tame(one_line(text, NAME))
    return f"\\{tame}" if tame.startswith("::") else tame


def _tame(text: str) -> str:
    return COMMAND.sub(r"\\x23#", visible(text))


def _breaks(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Where lines of at most *width* characters start and end, broken at spaces where one is near."""
    start = 0
    for line in text.split("\n"):
        end = start + len(line)
        while end - start > width:
            space = text.rfind(" ", start + width // 2, start + width + 1)
            at = start + width if space < 0 else space
            yield start, at
            start = at + (space >= 0)
        yield start, end
        start = end + 1
