"""A CheckReport for a terminal: the verdict first, then the table of gates, then why, with the cases that moved.

The last line says the verdict again: in a long log it is what a reader sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from promptreg.core.excerpt import one_line
from promptreg.core.verdict import CaseChange, CheckReport, Finding, GateReport, Verdict, headline
from promptreg.errors import Where
from promptreg.reporters import figures
from promptreg.reporters.check import numbers, words
from promptreg.reporters.check.cases import Group, answers, groups
from promptreg.reporters.pen import DIFF, REASON, Columns, Pen, plain

GROUP_CASES = 3  # cases shown of a gate's group, and of the whole check: the HTML report has more
CHECK_CASES = 12

COLUMNS = Columns(
    headers=("", "suite", "prompt", "model", "base → head", "drop [limits]", "margin", "broken/fixed", "cases", "calls/saved"),
    align=("left", "left", "left", "left", *("right",) * 6),
    spare=(9, 6, 8, 1, 7, 3),
)


def render(report: CheckReport, pen: Pen, *, explain: bool = False) -> str:
    """The text that `promptreg check` prints; to *explain* is to say of every suite what changed, or that nothing did."""
    return "\n".join(line.rstrip() for line in _lines(report, pen, explain=explain)) + "\n"


def _lines(report: CheckReport, pen: Pen, *, explain: bool) -> Iterator[str]:
    yield from _verdict(report, pen)
    if not report.gates and not report.findings:
        yield from _indented(words.calm(report), pen)
    yield ""
    if report.gates:
        yield from _table(report, pen)
        yield ""
    left = CHECK_CASES
    for gate in words.worst_first(report):
        lines, shown = _gate(gate, pen, left)
        left -= shown
        yield from lines
    for finding in report.findings:
        yield from _finding(finding, pen)
    if explain:
        yield from _changes(report, pen)
    yield from _unaffected(report, pen, explain=explain)
    yield from pen.notes(report.notes)
    yield from _facts(report, pen)
    if report.gates or report.findings:
        yield from _verdict(report, pen)


def _verdict(report: CheckReport, pen: Pen) -> Iterator[str]:
    said = f"{words.SIGNS[report.verdict]} {words.said(report.verdict, accepted=report.accepted)}"
    yield f"{pen.styled(said, words.LOOKS[report.verdict])}  {headline(report)}"


def _facts(report: CheckReport, pen: Pen) -> Iterator[str]:
    yield pen.styled(
        f"  {plain(report.registry)}: {plain(words.revision(report.base))} → {plain(words.revision(report.head))}", "dim"
    )
    for line in _wrapped(words.totals(report), pen):
        yield pen.styled(line, "dim")


def _indented(text: str, pen: Pen) -> list[str]:
    """Words of our own, which need no gutter."""
    return ["  " + line for line in wrap(text, max(20, pen.width - 2))]


def _wrapped(parts: str, pen: Pen) -> list[str]:
    """`a · b · c`, broken between its parts only."""
    held = parts.replace(" ", "\N{NO-BREAK SPACE}").replace("\N{NO-BREAK SPACE}·\N{NO-BREAK SPACE}", " · ")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in _indented(held, pen)]


def _table(report: CheckReport, pen: Pen) -> Iterator[str]:
    gates = words.worst_first(report)
    lines = COLUMNS.fitting([_row(gate) for gate in gates], pen.width)
    yield pen.styled(lines[0], "dim")
    for gate, line in zip(gates, lines[1:], strict=True):
        sign = words.SIGNS[gate.verdict]
        yield pen.styled(sign, words.LOOKS[gate.verdict]) + line.removeprefix(sign)


def _row(gate: GateReport) -> tuple[str, ...]:
    lead = numbers.leading(gate)
    return (
        f"{words.SIGNS[gate.verdict]} {words.said(gate.verdict, accepted=words.accepted(gate))}",
        plain(gate.suite),
        plain(gate.prompt),
        plain(gate.model),
        numbers.scores(lead.base_score, lead.head_score) if lead else figures.NONE,
        numbers.drop(lead),
        numbers.points(gate.margin),
        numbers.moved(lead),
        numbers.counted(lead),
        numbers.calls(gate),
    )


def _gate(gate: GateReport, pen: Pen, left: int) -> tuple[list[str], int]:
    """The lines on a gate and how many cases they show; none for one that PASSes and has nothing to add."""
    lines: list[str] = []
    shown = 0
    if gate.verdict is not Verdict.PASS:
        lines += _why(gate, pen)
        for group in groups(gate):
            cases = group.listed[: min(GROUP_CASES if group.broke else 0, left - shown)]
            lines += _group(group, cases, pen)
            shown += len(cases)
    elif gate.note:
        lines += pen.wrapped(one_line(gate.note, REASON))
    if lines:
        name = " · ".join(map(plain, (gate.suite, gate.prompt, gate.model)))
        lines = [f"{pen.styled(words.SIGNS[gate.verdict], words.LOOKS[gate.verdict])} {pen.styled(name, 'bold')}", *lines, ""]
    return lines, shown


def _why(gate: GateReport, pen: Pen) -> Iterator[str]:
    for sentence in words.whys(gate):
        yield from _indented(words.sentence(sentence), pen)
    if words.accepted(gate):
        yield from pen.wrapped(f"accepted: {one_line(gate.accepted, REASON)}")
    for note in words.gate_notes(gate):
        yield from pen.wrapped(one_line(note, REASON))


def _group(group: Group, cases: tuple[CaseChange, ...], pen: Pen) -> Iterator[str]:
    yield pen.styled(f"  {group.title}: {group.total:,}", "dim")
    for case in cases:
        yield f"  {plain(case.case)}  {pen.styled(_place(case.where), 'dim')}"
        if case.reason:
            yield from pen.wrapped(one_line(case.reason, REASON))
        yield from pen.drawn(answers(case, DIFF))
    if cases and (rest := group.rest(len(cases))):
        yield from _indented(rest, pen)


def _place(where: Where | None) -> str:
    """A path may be cut, its line number never: without it nobody finds the case."""
    if where is None:
        return ""
    path = plain(where.path)
    rest = str(Where("", where.line, where.column)) + (f", key '{plain(where.key)}'" if where.key else "")
    return path + rest


def _finding(finding: Finding, pen: Pen) -> Iterator[str]:
    said = f"{words.SIGNS[finding.verdict]} {words.said(finding.verdict, accepted=bool(finding.accepted))}"
    yield f"{pen.styled(said, words.LOOKS[finding.verdict])}  {_place(finding.where) or plain(finding.prompt)}"
    yield from pen.wrapped(one_line(finding.message, REASON))
    if finding.accepted:
        yield from pen.wrapped(f"accepted: {one_line(finding.accepted, REASON)}")
    elif remedy := words.remedy(finding):
        yield from pen.wrapped(f"hint: {one_line(remedy, REASON)}")
    yield ""


def _changes(report: CheckReport, pen: Pen) -> Iterator[str]:
    for gate in report.gates:
        changed = ", ".join(gate.changed) or "nothing that is known"
        yield from pen.wrapped(f"changed: {one_line(' / '.join((gate.suite, gate.prompt, gate.model)), REASON)}: {changed}")
    if report.gates:
        yield ""


def _unaffected(report: CheckReport, pen: Pen, *, explain: bool) -> Iterator[str]:
    shown = report.unaffected if explain else ()
    for each in shown:
        yield from pen.wrapped(f"unaffected: {one_line(each.suite, REASON)}: {one_line(each.why, REASON)}")
    if left := len(report.unaffected) - len(shown):
        yield from _indented(f"{figures.plural(left, 'suite')} unaffected: promptreg check --explain says why", pen)
    if report.unaffected:
        yield ""
