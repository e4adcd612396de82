"""A Report for a terminal: the table of prompts × models, then failing and missing cases, then the verdict as the last line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import ClassVar

from promptreg.core.excerpt import one_line
from promptreg.core.report import Cell, FailedCase, Report
from promptreg.core.rot import RotReport
from promptreg.core.verdict import CheckReport
from promptreg.reporters import figures
from promptreg.reporters.check.masking import masked
from promptreg.reporters.pen import DIFF, REASON, Columns, Pen, plain

CELL_CASES = {"failed": 3, "unmeasured": 3, "ok": 1}  # failing cases shown of a cell, and of the run: the HTML report has more
RUN_CASES = 12
MISSING = 3

COLUMNS = Columns(
    headers=("", "prompt", "model", "passed", "rate", "95 %", "cost", "p50", "p95", "tokens in / out"),
    align=("left", "left", "left", *("right",) * 7),
    spare=(9, 6, 8, 7, 3, 5),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminal:
    """`colour` adds ANSI colours (signs and marks stay); `width` is in columns. `explain` says of a check what changed where."""

    name: ClassVar[str] = "terminal"
    suffix: ClassVar[str] = ""

    colour: bool = False
    width: int = 100
    explain: bool = False

    def render(self, report: Report) -> str:
        lines = [*self._table(report), "", *self._cases(report), *self._pen.notes(report.notes), *self._verdict(report)]
        return "\n".join(line.rstrip() for line in lines) + "\n"

    def render_check(self, report: CheckReport, secrets: Sequence[str] = ()) -> str:
        from promptreg.reporters.check.terminal import render

        return render(masked(report, secrets), self._pen, explain=self.explain)

    @property
    def _pen(self) -> Pen:
        return Pen(colour=self.colour, width=self.width)

    def table(self, report: Report) -> str:
        """The table alone."""
        return "\n".join(line.rstrip() for line in self._table(report))

    def _table(self, report: Report) -> Iterator[str]:
        lines = self._fitting(report)
        yield self._pen.styled(lines[0], "dim")
        rows = iter(lines[1:])
        for suite, cells in figures.suites(report):
            yield self._pen.styled(plain(suite), "bold")
            for cell in cells:
                line = next(rows)
                sign = figures.SIGNS[cell.status]
                yield self._pen.styled(sign, cell.status) + line.removeprefix(sign)

    def _fitting(self, report: Report) -> list[str]:
        rows = [_row(cell) for _, cells in figures.suites(report) for cell in cells]
        return COLUMNS.fitting(rows, self.width)

    def _cases(self, report: Report) -> Iterator[str]:
        left = RUN_CASES
        cells = sorted(figures.troubled(report.cells), key=lambda cell: list(figures.SIGNS).index(cell.status))
        for cell in cells:
            yield self._pen.styled(figures.SIGNS[cell.status], cell.status) + " " + self._pen.styled(_name(cell), "bold")
            if cell.reason and not cell.errors:
                yield from self._pen.wrapped(one_line(cell.reason, REASON))
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
        yield from self._pen.wrapped(f"{one_line(cell.reason, REASON)} ({figures.missing_kinds(cell)})")
        for missing in cell.missing[:MISSING]:
            yield from self._pen.wrapped(f"{plain(missing.case)}: {one_line(missing.message, REASON)}")

    def _case(self, case: FailedCase) -> Iterator[str]:
        repeat = f" (repeat {case.slot + 1})" if case.slot else ""
        where = self._pen.styled(plain(str(case.where or "")), "dim")
        yield f"  {plain(case.case)}{repeat}  {where}"
        for check in figures.blamed(case):
            yield from self._pen.wrapped(f"{plain(check.label)}: {one_line(check.reason, REASON) or 'failed'}")
        yield from self._pen.drawn(figures.answer_diff(case, DIFF))

    def _verdict(self, report: Report) -> Iterator[str]:
        status = report.status
        yield f"{self._pen.styled(f'{figures.SIGNS[status]} {status.upper()}', status)}  {figures.headline(report)}"
        parts = figures.totals(report).replace(" ", "\N{NO-BREAK SPACE}").replace("\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}", " · ")
        for line in wrap(parts, max(20, self.width - 2)):
            yield self._pen.styled("  " + line.replace("\N{NO-BREAK SPACE}", " "), "dim")

    def render_rot(self, report: RotReport) -> str:
        from promptreg.reporters.rot.terminal import render

        return render(report, Pen(colour=self.colour, width=self.width))


def _row(cell: Cell) -> tuple[str, ...]:
    return (
        f"{figures.SIGNS[cell.status]} {cell.status}",
        plain(cell.prompt),
        plain(cell.model),
        figures.counted(cell),
        figures.percent(cell.pass_rate),
        figures.interval(cell),
        figures.money(cell.cost_usd),
        figures.seconds(cell.latency_p50_s),
        figures.seconds(cell.latency_p95_s),
        figures.tokens(cell),
    )


def _name(cell: Cell) -> str:
    return " · ".join(map(plain, (cell.suite, cell.prompt, cell.model)))
