"""The words and numbers that every reporter writes in the same way. Knows no markup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from promptreg.core.diff import Piece, focused, word_diff
from promptreg.core.excerpt import LIMIT, expected_text, visible
from promptreg.core.prompt import Content
from promptreg.core.report import Cell, CellStatus, FailedCase, Report
from promptreg.core.run import CheckResult

NONE = "–"  # a number nobody knows
SIGNS: dict[CellStatus, str] = {"failed": "✗", "unmeasured": "?", "ok": "✓"}  # worst first


def headline(report: Report) -> str:
    """How many cells (a prompt on a model over a suite) are in which state."""
    counts = Counter(cell.status for cell in report.cells)
    said = [f"{counts[status]} {status}" for status in SIGNS if counts[status]]
    if len(report.cells) == 1:
        return f"one cell, {report.cells[0].status}"
    if len(said) == 1:
        return f"all {said[0]}"
    return f"{', '.join(said)} of {len(report.cells)} cells" if said else "nothing was run"


def totals(report: Report) -> str:
    """Answers, calls, cost and time of the whole run."""
    answers = sum(cell.n for cell in report.cells)
    missing = sum(cell.errors for cell in report.cells)
    parts = [f"{answers:,} graded"]
    if missing:
        parts.append(f"{missing:,} missing")
    parts += [f"{plural(report.calls_made, 'call')} made", f"{report.calls_known:,} known"]
    parts += [f"{money(report.spent_usd)} spent", duration(report.duration_s)]
    return " · ".join(parts)


def revision(report: Report) -> str:
    """The commit that was run, shortened, and whether files differ from it."""
    if report.commit is None:
        return "no commit"
    return report.commit[:12] + (" with uncommitted changes" if report.dirty else "")


def suites(report: Report) -> Iterator[tuple[str, tuple[Cell, ...]]]:
    """The cells of each suite, in the order of the report."""
    for name in dict.fromkeys(cell.suite for cell in report.cells):
        yield name, tuple(cell for cell in report.cells if cell.suite == name)


def troubled(cells: Iterable[Cell]) -> Iterator[Cell]:
    """Cells with something to look at."""
    return (cell for cell in cells if cell.failed or cell.missing)


def percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"


def interval(cell: Cell) -> str:
    """The 95 % limits in percent."""
    return NONE if cell.lower is None or cell.upper is None else f"{100 * cell.lower:.1f}–{100 * cell.upper:.1f}"


def slices(cell: Cell) -> Iterator[tuple[str, str, str]]:
    """(tag, value, "18/20, 90.0 %, 69.9–97.2") for each slice that the suite asks for."""
    for part in cell.slices:
        limits = f"{100 * part.lower:.1f}–{100 * part.upper:.1f}"
        yield part.by, part.value or NONE, f"{part.passed:,}/{part.n:,}, {percent(part.passed / part.n)}, {limits}"


def counted(cell: Cell) -> str:
    return f"{cell.passed:,}/{cell.n:,}"


def money(usd: float | None) -> str:
    """US dollars; what is less than a hundredth of a cent is not free."""
    if usd is None:
        return NONE
    if usd == 0:
        return "$0"
    return "<$0.0001" if usd < 0.0001 else f"${usd:,.4f}" if usd < 1 else f"${usd:,.2f}"


def seconds(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value * 1000:.0f} ms" if round(value, 3) < 1 else f"{value:.2f} s" if value < 100 else f"{value:,.0f} s"


def duration(value: float) -> str:
    if round(value, 1) < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def tokens(cell: Cell) -> str:
    """Tokens in / out."""
    if cell.input_tokens is None and cell.output_tokens is None:
        return NONE
    return " / ".join(NONE if count is None else f"{count:,}" for count in (cell.input_tokens, cell.output_tokens))


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def missing_kinds(cell: Cell) -> str:
    """Why answers are missing, most frequent first; of the listed ones where not all are listed."""
    kinds = Counter(missing.kind for missing in cell.missing)
    return ", ".join(f"{kind} ×{count}" if count > 1 else kind for kind, count in kinds.most_common())


def content_text(content: Content) -> str:
    """A message's content as text; images by their source."""
    if isinstance(content, str):
        return content
    return "\n".join(part.value if part.type == "text" else f"[image {part.value}]" for part in content)


def answer_diff(case: FailedCase, limit: int = LIMIT) -> tuple[Piece, ...]:
    """Expected against answer, made visible and cut; the answer alone where nothing was expected or the two are equal."""
    expected, answer = visible(expected_text(case.expected, case.answer)), visible(case.answer)
    if not expected or expected == answer:
        return focused((Piece("same", answer or "(an empty answer)"),), limit=limit)
    return focused(word_diff(expected, answer), limit=limit)


def blamed(case: FailedCase) -> tuple[CheckResult, ...]:
    """The required checks that the answer failed."""
    return tuple(check for check in case.checks if check.required and not check.passed)
