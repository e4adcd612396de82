"""What every format says of a check in the same words. Knows no markup.

Sentences hold words and numbers of our own only, never a text of the repository or of a model: those stand beside them, as
fields of the report, and each format escapes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import assert_never

from promptreg.core.report import CellStatus
from promptreg.core.verdict import (
    SEVERITY,
    CheckReport,
    Comparison,
    Finding,
    FloorResult,
    GateReport,
    GuardName,
    GuardResult,
    Side,
    Verdict,
)
from promptreg.errors import ExitCode, Reason
from promptreg.reporters.check.numbers import points, signed
from promptreg.reporters.figures import NONE, duration, money, percent, plural

SIGNS = {Verdict.FAIL: "✗", Verdict.UNMEASURED: "?", Verdict.UNDECIDED: "~", Verdict.PASS: "✓"}
LOOKS: dict[Verdict, CellStatus] = {
    Verdict.PASS: "ok",
    Verdict.FAIL: "failed",
    Verdict.UNDECIDED: "unmeasured",
    Verdict.UNMEASURED: "unmeasured",
}
REASONS: dict[Reason, tuple[str, str]] = {  # what happened, what to do
    "provider_down": ("the model could not be reached", "check again when it answers: answers that came are kept"),
    "missing_answers": ("too many answers are missing", "check again: answers that came are kept, and only the missing are called"),
    "model_moved": (
        "the provider answered with more than one model under this name",
        "name a dated model in promptreg.yaml, or check where base can be called again beside head",
    ),
    "budget": ("the calls it needs exceed the budget", "raise budget on the base branch, or let the suite sample fewer cases"),
    "coverage": (
        "too few of its cases can be put to both sides",
        "give a new input a default, or keep the old one, so that base and head can both be asked",
    ),
    "judge_changed": ("the judge that grades its answers changed", "change the judge in a pull request of its own"),
    "no_suite": (
        "no case measures this change",
        "add a case that reaches what changed, or set uncovered: warn in promptreg.yaml on the base branch",
    ),
    "no_recording": ("the recording has no answer to what is asked now", "record it anew with promptreg run --record FILE"),
    "untrusted_change": (
        "it changes what only a trusted context may change",
        "let a maintainer judge it; on your own machine, promptreg check --trust-head does",
    ),
}
GUARDS: dict[GuardName, str] = {
    "cost": "the cost of an answer",
    "tokens": "the number of tokens",
    "latency_p95": "the latency (95th percentile)",
    "refusal": "the rate of refusals",
    "format": "the rate of malformed answers",
    "length": "the length of answers",
}
KINDS = {"base": "merge base", "anchor": "last release"}
_LIMIT = re.compile(r"[+-]?[0-9]{1,6}(\.[0-9]{1,6})?(%|pt)")


def totals(report: CheckReport) -> str:
    """Calls, cost and time of the whole check."""
    parts = [f"{plural(report.calls_made, 'call')} made", f"{report.calls_known:,} known", f"{report.calls_saved:,} saved"]
    return " · ".join([*parts, f"{money(report.cost_usd)} spent", duration(report.duration_s)])


def calm(report: CheckReport) -> str:
    """The line for a check that concerns nothing."""
    suites = plural(len(report.unaffected), "suite")
    looked = f"{suites} looked at; " if report.unaffected else ""
    return f"Nothing to measure: {looked}every call, check and policy is the same on both sides. No model was called."


def revision(side: Side) -> str:
    """The revision as the user wrote it, and its commit. Foreign text."""
    commit = side.commit[:12] if side.commit else ""
    shown = side.revision if side.revision == side.commit else " ".join(filter(None, (side.revision, commit and f"({commit})")))
    return (shown or "no commit") + (" with uncommitted changes" if side.dirty else "")


def said(verdict: Verdict, *, accepted: bool) -> str:
    """The verdict's word; the reason for which it was accepted is foreign and stands beside it."""
    return f"{verdict.value} (accepted)" if accepted and verdict is not Verdict.PASS else verdict.value


def sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def accepted(gate: GateReport) -> bool:
    return bool(gate.accepted) and gate.verdict is not Verdict.PASS


def undecided_blocks(report: CheckReport) -> bool:
    """Whether what is UNDECIDED holds the pull request up."""
    return report.verdict is Verdict.UNDECIDED and report.exit_code is ExitCode.UNMEASURED


def worst_first(report: CheckReport) -> list[GateReport]:
    """Gates by how much they need to be looked at; accepted ones after those that nobody looked at yet."""
    return sorted(report.gates, key=lambda gate: (-SEVERITY[gate.verdict], bool(gate.accepted)))


def whys(gate: GateReport) -> Iterator[str]:
    """One plain sentence for each thing that keeps the gate from PASS."""
    said = dict.fromkeys(_comparisons(gate))
    if gate.reason and not any(comparison.reason == gate.reason for comparison in gate.comparisons):
        said[because(gate.reason)] = None
    if gate.floor and gate.floor.verdict is not Verdict.PASS:
        said[_floor(gate.floor)] = None
    for guard in gate.guards:
        if guard.verdict is not Verdict.PASS:
            said[_guard(guard)] = None
    said[_slices(gate)] = None
    yield from filter(None, said)


def told(gate: GateReport) -> str:
    """All of it in one line, notes last. Those are foreign."""
    notes = "; ".join(gate_notes(gate))
    return " ".join([*map(sentence, whys(gate)), *([f"Noted: {notes}"] if notes else [])])


def because(reason: Reason) -> str:
    """What happened and what to do, in one sentence."""
    happened, remedy = REASONS[reason]
    return f"{happened}: {remedy}"


def _comparisons(gate: GateReport) -> Iterator[str]:
    """A sentence for each comparison; those that say the same are said once, and which one is meant where it is not clear."""
    several = len({comparison.kind for comparison in gate.comparisons}) > 1
    for kind in KINDS:
        alike = [comparison for comparison in gate.comparisons if comparison.kind == kind and _tells(gate, comparison)]
        sentences = {_comparison(comparison) for comparison in alike}
        for comparison in alike:
            if told := _comparison(comparison):
                against = f"against the {KINDS[kind]}, " if several else ""
                judged = f"judged by {judges(comparison)}, " if len(sentences) > 1 else ""
                yield against + judged + told


def _tells(gate: GateReport, comparison: Comparison) -> bool:
    """Whether it is a part of why: what is still open matters to nobody once a drop is shown."""
    return gate.verdict is not Verdict.FAIL or comparison.verdict is not Verdict.UNDECIDED


def _comparison(comparison: Comparison) -> str:
    match comparison.verdict:
        case Verdict.PASS:
            return ""
        case Verdict.FAIL:
            return _fail(comparison)
        case Verdict.UNDECIDED:
            return _undecided(comparison)
        case Verdict.UNMEASURED:
            return because(comparison.reason) if comparison.reason else "nothing could be measured"
        case _:
            assert_never(comparison.verdict)


def _fail(comparison: Comparison) -> str:
    least = f" (at least {points(comparison.lower)})" if comparison.lower is not None and comparison.lower > 0 else ""
    cases = f": {plural(comparison.broken, 'case')} broken, {comparison.fixed:,} fixed" if comparison.broken else ""
    return f"a drop of {points(comparison.drop)} points is shown{least}{cases}"


def _undecided(comparison: Comparison) -> str:
    known = ""
    if comparison.lower is not None and comparison.upper is not None:
        known = f"the drop lies between {points(comparison.lower)} and {points(comparison.upper)} points, "
        known += f"and up to {points(comparison.margin)} may be merged: "
    if comparison.needed:
        return f"{known}it needs about {comparison.needed:,} more cases"
    return f"{known}too little evidence for PASS or FAIL"


def _floor(floor: FloorResult) -> str:
    what = "the pass rate" if floor.on == "passed" else "the score"
    if floor.verdict is Verdict.FAIL:
        most = f" (at most {percent(floor.upper)})" if floor.upper is not None else ""
        return f"{what} of {percent(floor.score)} is below the floor of {percent(floor.floor)}{most}"
    if floor.verdict is Verdict.UNDECIDED:
        return f"{what} of {percent(floor.score)} is below the floor of {percent(floor.floor)}, but may be above it by chance"
    return f"{what} is not known, so that its floor of {percent(floor.floor)} holds for nothing"


def _guard(guard: GuardResult) -> str:
    limit = f" (limit {guard_limit(guard)})"
    rose = f"{GUARDS[guard.guard]} rose by {increase(guard).lstrip('+')}"
    match guard.verdict:
        case Verdict.FAIL:
            return f"{rose}, more than it may{limit}"
        case Verdict.UNDECIDED:
            return f"{rose}, which may be chance{limit}"
        case _:
            return f"{GUARDS[guard.guard]} could not be compared{limit}"


def _slices(gate: GateReport) -> str:
    bad = [part for part in gate.slices if part.blocks and part.verdict is not Verdict.PASS]
    fails = sum(part.verdict is Verdict.FAIL for part in bad)
    if fails:
        return f"{fails:,} of {plural(len(gate.slices), 'slice')} show a drop" if fails > 1 else "one slice shows a drop"
    return f"{plural(len(bad), 'slice')} without a verdict" if bad else ""


def remedy(finding: Finding) -> str:
    """What to do about it: its own hint, which is foreign, or what its reason always asks for."""
    return finding.hint or (REASONS[finding.reason][1] if finding.reason else "")


def gate_notes(gate: GateReport) -> list[str]:
    """All that was noted of a gate, each once. Foreign texts."""
    notes = [gate.note, *(comparison.note for comparison in gate.comparisons), gate.floor.note if gate.floor else ""]
    notes += [f"{guard.guard}: {guard.note}" for guard in gate.guards if guard.note]
    return [note for note in dict.fromkeys(notes) if note]


def judges(comparison: Comparison) -> str:
    """Whose suite and policy it was that judged."""
    if comparison.policy_from == comparison.suite_from:
        return f"{comparison.suite_from}'s suite"
    return f"{comparison.suite_from}'s suite with {comparison.policy_from}'s policy"


def guard_limit(guard: GuardResult) -> str:
    """As the user wrote it, if it is a limit."""
    return guard.limit if _LIMIT.fullmatch(guard.limit) else NONE


def increase(guard: GuardResult) -> str:
    if guard.increase is None:
        return NONE
    return signed(100 * guard.increase, sign=True) + (" points" if guard.limit.endswith("pt") else " %")
