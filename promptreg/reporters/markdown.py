"""A Report as GitHub Markdown: the verdict first, then the table, then details folded. Made for job summaries and comments.

Nothing foreign is Markdown: short texts stand in code (which knows no mentions, links or emphasis), long ones in fences longer
than any run of backticks within.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.excerpt import expected_text
from promptreg.core.report import Cell, FailedCase, Report
from promptreg.core.rot import RotReport
from promptreg.core.verdict import CheckReport
from promptreg.reporters import figures
from promptreg.reporters.check.masking import masked
from promptreg.reporters.spans import code, excerpt, fenced, html_code
from promptreg.reporters.tables import Align, github

CELL_CASES = 10  # failing cases told for each cell: GitHub refuses a comment of more than 65,536 characters
RUN_CASES = 20
MISSING = 10
TEXT = 800

BADGES = {"ok": "✅ ok", "failed": "❌ failed", "unmeasured": "⚠️ unmeasured"}
HEADERS = ("", "prompt", "model", "passed", "pass rate", "95 % interval", "cost", "p50", "p95", "tokens in / out")
SLICE_HEADERS = ("tag", "value", "passed, pass rate, 95 % interval")
SLICE_ALIGN: tuple[Align, ...] = ("left", "left", "left")
ALIGN: tuple[Align, ...] = ("left", "left", "left", *("right",) * 7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Markdown:
    """For people who read it on a forge. `compact` makes of a check a job summary, with no case's text, not a comment."""

    name: ClassVar[str] = "markdown"
    suffix: ClassVar[str] = ".md"

    compact: bool = False

    def render(self, report: Report) -> str:
        blocks = [*_head(report), *_tables(report), *_slices(report), *_cases(report), *_foot(report)]
        return "\n\n".join(blocks) + "\n"

    def render_check(self, report: CheckReport, secrets: Sequence[str] = ()) -> str:
        from promptreg.reporters.check.markdown import render

        return render(masked(report, secrets), compact=self.compact)

    def render_rot(self, report: RotReport) -> str:
        from promptreg.reporters.rot.markdown import render

        return render(report)


def _head(report: Report) -> Iterator[str]:
    yield f"## {BADGES[report.status]}: {figures.headline(report)}"
    yield f"{code(report.registry)} at {code(figures.revision(report))} · {figures.totals(report).replace('$', '&#36;')}"
    troubles = [f"- {code(_name(cell))}: {code(cell.reason)}" for cell in report.cells if cell.status != "ok"]
    if troubles:
        yield "\n".join(troubles)


def _tables(report: Report) -> Iterator[str]:
    for suite, cells in figures.suites(report):
        yield f"### {code(suite)}"
        yield github(HEADERS, [_row(cell) for cell in cells], ALIGN)


def _row(cell: Cell) -> tuple[str, ...]:
    return (
        BADGES[cell.status],
        code(cell.prompt),
        code(cell.model),
        figures.counted(cell),
        figures.percent(cell.pass_rate),
        figures.interval(cell),
        figures.money(cell.cost_usd).replace("$", "&#36;").replace("<", "&lt;"),
        figures.seconds(cell.latency_p50_s),
        figures.seconds(cell.latency_p95_s),
        figures.tokens(cell),
    )


def _slices(report: Report) -> Iterator[str]:
    for cell in report.cells:
        if cell.slices:
            yield f"<details><summary>{html_code(_name(cell))}: slices</summary>"
            rows = [(code(by), code(value), figure) for by, value, figure in figures.slices(cell)]
            yield github(SLICE_HEADERS, rows, SLICE_ALIGN)
            yield "</details>"


def _cases(report: Report) -> Iterator[str]:
    left = RUN_CASES
    for cell in figures.troubled(report.cells):
        counts = [f"{cell.failed_total:,} failing"] * bool(cell.failed_total) + [f"{cell.errors:,} missing"] * bool(cell.errors)
        yield f"<details><summary>{html_code(_name(cell))}: {', '.join(counts)}</summary>"
        if cell.missing:
            yield "\n".join(f"- missing {code(each.case)} ({each.kind}): {code(each.message)}" for each in cell.missing[:MISSING])
        shown = cell.failed[: min(CELL_CASES, left)]
        left -= len(shown)
        for case in shown:
            yield from _case(case)
        if more := cell.failed_total - len(shown):
            yield f"and {more:,} more failing: `promptreg run --report report.html`"
        yield "</details>"


def _case(case: FailedCase) -> Iterator[str]:
    repeat = f" (repeat {case.slot + 1})" if case.slot else ""
    yield f"**{code(case.case)}**{repeat}" + (f" at {code(str(case.where))}" if case.where else "")
    if reasons := [f"- {code(check.label)}: {code(check.reason or 'failed', TEXT)}" for check in figures.blamed(case)]:
        yield "\n".join(reasons)
    expected = expected_text(case.expected, case.answer)
    lines = [
        *(f"- {line}" for line in excerpt(expected, TEXT)),
        *(f"+ {line}" for line in excerpt(case.answer or "(an empty answer)", TEXT)),
    ]
    yield fenced(lines)


def _name(cell: Cell) -> str:
    return " / ".join((cell.suite, cell.prompt, cell.model))


def _foot(report: Report) -> Iterator[str]:
    if report.notes:
        yield "\n".join(f"- note: {code(note)}" for note in report.notes)
    made = f"promptreg {html_code(report.version)} · {html_code(report.created)}"
    yield f"<sub>{made} · intervals: two-sided 95 %, Wilson, repeats of a case counted as one</sub>"
