"""A CheckReport as GitHub Markdown: the pull request's comment, and in compact form the job's summary.

    verdict, table of gates, why and what to do      always, as many gates as there is room for
    <details> for each gate                          evidence, guards, slices, cases with word diffs: cases go first where room ends
    unaffected suites, notes, versions               folded

Nothing foreign is Markdown (see `reporters.spans`). What does not fit is left out whole, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptreg.core.comment import MARKER
from promptreg.core.diff import Piece
from promptreg.core.excerpt import one_line
from promptreg.core.verdict import CaseChange, CheckReport, Comparison, Finding, GateReport, Verdict, headline
from promptreg.reporters.check import details, numbers, words
from promptreg.reporters.check.cases import BROKEN, Group, answers, groups
from promptreg.reporters.check.masking import masked
from promptreg.reporters.figures import NONE, plural
from promptreg.reporters.spans import code, fenced, html_code
from promptreg.reporters.tables import Align, github

# Bytes, of which there are never fewer than characters. GitHub takes 65,536 characters of a comment, 1 MiB of a summary. Whoever
# publishes the comment may write its code anew (core.comment.harmless), which makes it longer.
COMMENT = 56_000
SUMMARY = 1_000_000
EVIDENCE = 0.5  # of what is then left, at most, for tables of evidence: the rest is for cases
MORE = 100  # for a title, and a line that counts what is left out
SHARE = 0.4  # of the room, at most, for the table and again for the reasons, so that hostile names crowd out nothing else
NAME = 100  # characters
NOTE = 300
TEXT = 800
GROUP_CASES = 20
FIRST = 5  # broken cases named before any folding
LISTED = 50  # unaffected suites, notes, findings
BADGES = {Verdict.PASS: "✅", Verdict.FAIL: "❌", Verdict.UNDECIDED: "🟡", Verdict.UNMEASURED: "⚠️"}

HEADERS = ("", "suite", "prompt", "model", "base → head", "drop [limits]", "margin", "broken / fixed", "cases", "calls / saved")
ALIGN: tuple[Align, ...] = ("left", "left", "left", "left", *("right",) * 6)
COMPARED_ALIGN: tuple[Align, ...] = ("left", "left", "left", "left", *("right",) * 5)


class Room:
    """How much may still be written, in bytes."""

    def __init__(self, limit: int) -> None:
        self.left = limit

    def take(self, blocks: Sequence[str]) -> bool:
        """Whether *blocks* fit; if so, their room is taken."""
        needed = sum(len(block.encode()) + 2 for block in blocks)  # an empty line between
        if needed > self.left:
            return False
        self.left -= needed
        return True

    def most(self, blocks: Sequence[str], share: float) -> list[str]:
        """The first of *blocks* that together need at most *share* of what is left, once a line is kept for "and n more"."""
        self.left -= MORE
        part = Room(int(self.left * share))
        fitting = next((at for at, block in enumerate(blocks) if not part.take([block])), len(blocks))
        self.take(blocks[:fitting])
        return list(blocks[:fitting])


def summary(report: CheckReport, secrets: Sequence[str] = ()) -> str:
    """The job's summary."""
    return render(masked(report, secrets), compact=True)


def render(report: CheckReport, *, compact: bool = False) -> str:
    """The comment, or the summary if *compact*. *report* is masked already."""
    room = Room(SUMMARY if compact else COMMENT)
    head, foot = list(_head(report, compact=compact)), _foot(report)
    room.take([*head, foot, NONE])
    blocks = [*head, *_table(report, room), *_reasons(report, room), *_findings(report, room), *_calm(report, room)]
    blocks += _details(report, room, compact=compact)
    blocks += _folded(report, room)
    return "\n\n".join([*blocks, foot]) + "\n"


def _head(report: CheckReport, *, compact: bool) -> Iterator[str]:
    said = words.said(report.verdict, accepted=report.accepted)
    heading = f"## {BADGES[report.verdict]} {said}: {headline(report)}"
    yield heading if compact else f"{MARKER}\n{heading}"
    base, head = (code(words.revision(side), NAME) for side in (report.base, report.head))
    yield f"{code(report.registry, NAME)}: {base} → {head} · {_safe(words.totals(report))}"


def _calm(report: CheckReport, room: Room) -> list[str]:
    line = words.calm(report)
    return [line] if not report.gates and not report.findings and room.take([line]) else []


def _table(report: CheckReport, room: Room) -> list[str]:
    gates = words.worst_first(report)
    allowed = int(room.left * SHARE)
    shown = len(gates)
    while shown:
        table = github(HEADERS, [_row(gate) for gate in gates[:shown]], ALIGN)
        more = [f"and {plural(len(gates) - shown, 'more gate')}"] if shown < len(gates) else []
        if len(table.encode()) <= allowed and room.take([table, *more]):
            return [table, *more]
        shown //= 2
    return []


def _row(gate: GateReport) -> tuple[str, ...]:
    lead = numbers.leading(gate)
    return (
        f"{BADGES[gate.verdict]} {words.said(gate.verdict, accepted=words.accepted(gate))}",
        code(gate.suite, NAME),
        code(gate.prompt, NAME),
        code(gate.model, NAME),
        numbers.scores(lead.base_score, lead.head_score) if lead else NONE,
        f"**{numbers.drop(lead)}**" if gate.verdict is Verdict.FAIL else numbers.drop(lead),
        numbers.points(gate.margin),
        numbers.moved(lead),
        numbers.counted(lead),
        numbers.calls(gate),
    )


def _reasons(report: CheckReport, room: Room) -> list[str]:
    """Why, for each gate that does not PASS, as one list."""
    gates = [gate for gate in words.worst_first(report) if gate.verdict is not Verdict.PASS]
    shown = room.most([_reason(gate) for gate in gates], SHARE)
    more = [f"- and {plural(len(gates) - len(shown), 'more gate')} without PASS"] if len(shown) < len(gates) else []
    return ["\n".join([*shown, *more])] if gates else []


def _reason(gate: GateReport) -> str:
    said = words.said(gate.verdict, accepted=words.accepted(gate))
    because = f": {code(gate.accepted, NOTE)}" if words.accepted(gate) else ""
    lines = [f"- {BADGES[gate.verdict]} {code(_name(gate), NOTE)} **{said}**{because}"]
    lines += [f"  - {_safe(words.sentence(why))}" for why in words.whys(gate)]
    lines += [f"  - {group.title}: {_names(group, FIRST)}" for group in groups(gate) if group.title == BROKEN]
    lines += [f"  - {code(note, NOTE)}" for note in words.gate_notes(gate)[:3]]
    return "\n".join(lines)


def _findings(report: CheckReport, room: Room) -> list[str]:
    if not report.findings:
        return []
    shown = room.most([_finding(finding) for finding in report.findings], SHARE)
    more = len(report.findings) - len(shown)
    return ["**Beside the gates**", "\n".join([*shown, *([f"- and {plural(more, 'more finding')}"] if more else [])])]


def _finding(finding: Finding) -> str:
    said = words.said(finding.verdict, accepted=bool(finding.accepted))
    place = code(str(finding.where or finding.prompt), NOTE)
    lines = [f"- {BADGES[finding.verdict]} {place} **{said}**: {code(finding.message, NOTE)}"]
    if finding.accepted:
        lines.append(f"  - accepted: {code(finding.accepted, NOTE)}")
    elif remedy := words.remedy(finding):
        lines.append(f"  - to do: {code(remedy, NOTE)}")
    return "\n".join(lines)


# --- details of a gate ----------------------------------------------------------------------------------------------------------


def _details(report: CheckReport, room: Room, *, compact: bool) -> list[str]:
    """A folded part for each gate. First what every gate is judged by, as far as it fits; then cases, worst gates first."""
    gates = words.worst_first(report)
    bodies: list[tuple[GateReport, list[str]]] = []
    evidence = Room(int(room.left * EVIDENCE))
    for gate in gates:
        body = [f"<details><summary>{BADGES[gate.verdict]} {html_code(_name(gate), NOTE)}</summary>", *_body(gate), "</details>"]
        if not evidence.take(body) or not room.take(body):
            break
        bodies.append((gate, body))
    blocks = []
    for gate, body in bodies:
        blocks += [*body[:-1], *_cases(gate, room, compact=compact), body[-1]]
    if left := len(gates) - len(bodies):
        blocks += _fitting(room, [f"and the details of {plural(left, 'more gate')}: `promptreg check --report check.html`"])
    return blocks


def _body(gate: GateReport) -> Iterator[str]:
    yield " · ".join(f"{name}: {_safe(value)}" for name, value in details.facts(gate))
    if gate.comparisons:
        rows = [_compared(comparison) for comparison in gate.comparisons]
        yield github((details.COMPARED[0], "revision", *details.COMPARED[1:]), rows, COMPARED_ALIGN)
    for comparison in gate.comparisons:
        if told := " · ".join(f"{name}: {_safe(value)}" for name, value in details.evidence(comparison)):
            yield f"{words.KINDS[comparison.kind]}, {words.judges(comparison)}: {told}"
    if gate.guards:
        guards = [tuple(map(_safe, details.guarded(guard))) for guard in gate.guards]
        yield github(details.GUARDED, guards, ("left", "left", "right", "right", "right", "right"))
    if gate.slices:
        slices = [(code(part.by, NAME), code(part.value, NAME), *map(_safe, details.sliced(part))) for part in gate.slices[:LISTED]]
        yield github(details.SLICED, slices, ("left", "left", "left", *("right",) * 5, "left"))


def _compared(comparison: Comparison) -> tuple[str, ...]:
    against, *rest = details.compared(comparison)
    return (against, code(_short(comparison.revision), NAME), *map(_safe, rest))


def _cases(gate: GateReport, room: Room, *, compact: bool) -> Iterator[str]:
    for group in groups(gate):
        title = f"**{group.title}: {plural(group.total, 'case')}**"
        if compact:
            yield from _fitting(room, [f"{title}: {_names(group, GROUP_CASES)}"])
            continue
        yield from _group(group, title, room)


def _names(group: Group, most: int) -> str:
    names = [code(case.case, NAME) for case in group.listed[:most]]
    more = group.total - len(names)
    return ", ".join(names) + (f" and {more:,} more" if more else "")


def _group(group: Group, title: str, room: Room) -> Iterator[str]:
    """The title, and as many whole cases as there is room for; then how many more there are."""
    if not room.take([title, group.rest(-1)]):
        return
    yield title
    shown = 0
    for case in group.listed[:GROUP_CASES]:
        blocks = list(_case(case))
        if not room.take(blocks):
            break
        shown += 1
        yield from blocks
    if rest := group.rest(shown):
        yield rest


def _case(case: CaseChange) -> Iterator[str]:
    yield f"{code(case.case, NAME)}" + (f" at {code(str(case.where), NAME)}" if case.where else "")
    told = [f"- {code(case.reason, NOTE)}"] if case.reason else []
    if case.expected:
        told.append(f"- expected {code(case.expected, NOTE)}")
    if told:
        yield "\n".join(told)
    yield fenced(_drawn(answers(case, TEXT)))


def _drawn(pieces: tuple[Piece, ...]) -> list[str]:
    """Pieces as the lines of a diff: base's answer (-) and head's (+), with the words that differ marked within."""
    if all(piece.kind == "same" for piece in pieces):
        return [f"  {line}" for line in "".join(piece.text for piece in pieces).split("\n")]
    marks = {"gone": "[-{}-]", "new": "{{+{}+}}", "same": "{}"}
    mixed = any(piece.kind == "same" and piece.text.strip() for piece in pieces)
    lines = []
    for sign, kind in (("-", "gone"), ("+", "new")):
        mine = [piece for piece in pieces if piece.kind in ("same", kind)]
        text = "".join(marks[piece.kind].format(piece.text) if mixed else piece.text for piece in mine)
        lines += [f"{sign} {line}" for line in (text or "(an empty answer)").split("\n")]
    return lines


# --- the end ------------------------------------------------------------------------------------------------------------------


def _folded(report: CheckReport, room: Room) -> Iterator[str]:
    if report.unaffected:
        count = plural(len(report.unaffected), "suite")
        lines = [f"- {code(each.suite, NAME)}: {code(each.why, NOTE)}" for each in report.unaffected]
        yield from _fitting(room, list(_listed(f"{count} unaffected", lines, room)))
    if report.notes:
        lines = [f"- {code(note, NOTE)}" for note in report.notes]
        yield from _fitting(room, list(_listed(plural(len(report.notes), "note"), lines, room)))


def _listed(title: str, lines: Sequence[str], room: Room) -> Iterator[str]:
    """A folded list of whole lines."""
    shown = Room(room.left - 2 * MORE).most(lines[:LISTED], 1)
    more = [f"- and {len(lines) - len(shown):,} more"] if len(shown) < len(lines) else []
    yield f"<details><summary>{title}</summary>"
    yield "\n".join([*shown, *more])
    yield "</details>"


def _fitting(room: Room, blocks: list[str]) -> list[str]:
    return blocks if room.take(blocks) else []


def _foot(report: CheckReport) -> str:
    made = f"promptreg {html_code(report.version, NAME)} · {html_code(report.created, NAME)}"
    return f"<sub>{made} · drops in points, positive is worse; limits one-sided, at 1 − alpha</sub>"


def _name(gate: GateReport) -> str:
    return " / ".join(one_line(name, NAME) for name in (gate.suite, gate.prompt, gate.model))


def _short(revision: str) -> str:
    return revision[:12] if len(revision) in (40, 64) else revision


def _safe(text: str) -> str:
    """Words of our own, of which a forge reads dollars as mathematics and a < as the beginning of a tag."""
    return text.replace("$", "&#36;").replace("<", "&lt;")
