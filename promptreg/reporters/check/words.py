"""What every format says of a check in the same words. Knows no markup.

Sentences hold words and numbers of our own only, never a text of the repository or of a model: those stand beside them, as
fields of the report, and each format escapes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import assert_never

from promptreg.core.diff import Piece, focused, word_diff
from promptreg.core.excerpt import visible
from promptreg.core.report import CellStatus
from promptreg.core.verdict import (
    SEVERITY,
    CaseChange,
    CheckReport,
    Comparison,
    Finding,
    FloorResult,
    GateReport,
    GuardName,
    GuardResult,
    Side,
    SliceResult,
    Verdict,
)
from promptreg.errors import ExitCode, Reason
from promptreg.reporters.figures import NONE, duration, money, percent, plural, seconds

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


def leading(gate: GateReport) -> Comparison | None:
    """The comparison that stands for the gate: the first of the gravest."""
    return max(gate.comparisons, key=lambda each: SEVERITY[each.verdict], default=None)


# --- numbers ------------------------------------------------------------------------------------------------------------------


def points(share: float | None, *, sign: bool = False) -> str:
    """A difference of fractions in percentage points."""
    return NONE if share is None else _signed(100 * share, sign=sign)


def _signed(value: float, *, sign: bool = False) -> str:
    text = f"{abs(value):.1f}"
    minus = value < 0 and float(text) != 0
    return ("−" if minus else "+" if sign and float(text) != 0 else "") + text


def scores(base: float | None, head: float | None) -> str:
    return f"{percent(base)} → {percent(head)}"


def drop(comparison: Comparison | None) -> str:
    """`6.2 [2.1, 10.3]`: points, with its one-sided limits."""
    if comparison is None or comparison.drop is None:
        return NONE
    if comparison.lower is None and comparison.upper is None:
        return points(comparison.drop)
    return f"{points(comparison.drop)} [{points(comparison.lower)}, {points(comparison.upper)}]"


def counted(comparison: Comparison | None) -> str:
    """`300`, or `120 of 400` where it stopped early; clusters are named."""
    if comparison is None:
        return NONE
    clustered = comparison.units not in (0, comparison.n)
    if not comparison.planned or comparison.planned <= comparison.units:
        return f"{comparison.n:,}" + (f" in {plural(comparison.units, 'cluster')}" if clustered else "")
    done = comparison.units if clustered else comparison.n
    return f"{done:,} of {comparison.planned:,}" + (" clusters" if clustered else "")


def moved(comparison: Comparison | None) -> str:
    return NONE if comparison is None else f"{comparison.broken:,} / {comparison.fixed:,}"


def calls(gate: GateReport) -> str:
    return f"{gate.calls_made:,} / {gate.calls_saved:,}"


def probability(p: float | None) -> str:
    return NONE if p is None else "<0.0001" if p < 0.0001 else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def evidence_value(e: float) -> str:
    return "over a million" if e > 1e6 else f"{e:,.1f}"


# --- why ----------------------------------------------------------------------------------------------------------------------


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


def because(reason: Reason) -> str:
    """What happened and what to do, in one sentence."""
    happened, remedy = REASONS[reason]
    return f"{happened}: {remedy}"


def _comparisons(gate: GateReport) -> Iterator[str]:
    """A sentence for each comparison; those that say the same are said once, and which one is meant where it is not clear."""
    several = len({comparison.kind for comparison in gate.comparisons}) > 1
    for kind in KINDS:
        alike = [comparison for comparison in gate.comparisons if comparison.kind == kind]
        sentences = {_comparison(comparison) for comparison in alike}
        for comparison in alike:
            if told := _comparison(comparison):
                against = f"against the {KINDS[kind]}, " if several else ""
                judged = f"judged by {judges(comparison)}, " if len(sentences) > 1 else ""
                yield against + judged + told


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


# --- details ------------------------------------------------------------------------------------------------------------------

KINDS = {"base": "merge base", "anchor": "last release"}
COMPARED = ("against", "judged by", "verdict", "base → head", "drop [limits]", "broken / fixed", "cases", "p")


def compared(comparison: Comparison) -> tuple[str, ...]:
    """A row of COMPARED; the revision, which is foreign, is not in it."""
    return (
        KINDS[comparison.kind],
        judges(comparison),
        comparison.verdict.value,
        scores(comparison.base_score, comparison.head_score),
        drop(comparison),
        moved(comparison),
        counted(comparison),
        probability(comparison.p_harm),
    )


def judges(comparison: Comparison) -> str:
    """Whose suite and policy it was that judged."""
    if comparison.policy_from == comparison.suite_from:
        return f"{comparison.suite_from}'s suite"
    return f"{comparison.suite_from}'s suite with {comparison.policy_from}'s policy"


def evidence(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """The rest that is known of a comparison: (name, value), for who wants to check the verdict."""
    if comparison.verdict is Verdict.UNMEASURED and comparison.drop is None:
        return
    yield "limits", {"none": "none", "tango": "Tango"}.get(comparison.limit_kind, comparison.limit_kind)
    yield "p of the whole order", probability(comparison.p_fixed)
    if comparison.e_fail != 1 or comparison.e_pass != 1:
        yield "e for FAIL / PASS", f"{evidence_value(comparison.e_fail)} / {evidence_value(comparison.e_pass)}"
    if comparison.discordance is not None:
        yield "discordance", percent(comparison.discordance)
    if comparison.noise is not None:
        yield "base's own discordance", percent(comparison.noise)
    if (comparison.repeats_base, comparison.repeats_head) != (1, 1):
        yield "repeats of base / head", f"{comparison.repeats_base} / {comparison.repeats_head}"
    counts = {"unchanged": comparison.unchanged, "missing": comparison.missing, "left out": comparison.excluded}
    for name, count in counts.items():
        if count:
            yield name, plural(count, "case")
    if comparison.gained:
        yield "improvement", "shown"


def facts(gate: GateReport) -> Iterator[tuple[str, str]]:
    """The gate's own settings and forecasts: (name, value)."""
    yield "changed", ", ".join(gate.changed) or NONE
    yield "mode", gate.mode
    yield "margin", f"{points(gate.margin)} points"
    yield "alpha", percent(gate.alpha)
    if gate.mde is not None:
        yield "smallest drop it can show", f"{points(gate.mde)} points"
    if gate.needed:
        yield "further cases needed", f"about {gate.needed:,}"
    if gate.expected_calls is not None:
        yield "calls expected", f"{gate.expected_calls:,}"
    yield "calls made / saved", calls(gate)
    if gate.cost_usd is not None:
        yield "cost", money(gate.cost_usd)
    if gate.floor:
        floor = gate.floor
        yield "floor", f"{floor.verdict.value}: {percent(floor.score)} against {percent(floor.floor)}"


GUARDED = ("guard", "verdict", "limit", "base → head", "increase", "p")
SLICED = ("tag", "value", "verdict", "cases", "base → head", "drop", "smallest to show", "p", "blocks")


def guarded(guard: GuardResult) -> tuple[str, ...]:
    """A row of GUARDED."""
    values = f"{_measured(guard, guard.base)} → {_measured(guard, guard.head)}"
    return (guard.guard, guard.verdict.value, guard_limit(guard), values, increase(guard), probability(guard.p))


def guard_limit(guard: GuardResult) -> str:
    """As the user wrote it, if it is a limit."""
    return guard.limit if _LIMIT.fullmatch(guard.limit) else NONE


def increase(guard: GuardResult) -> str:
    if guard.increase is None:
        return NONE
    return _signed(100 * guard.increase, sign=True) + (" points" if guard.limit.endswith("pt") else " %")


def _measured(guard: GuardResult, value: float | None) -> str:
    if value is None:
        return NONE
    match guard.guard:
        case "cost":
            return money(value)
        case "latency_p95":
            return seconds(value)
        case "refusal" | "format":
            return percent(value)
        case "tokens" | "length":
            return f"{value:,.1f}"
        case _:
            assert_never(guard.guard)


def sliced(part: SliceResult) -> tuple[str, ...]:
    """A row of SLICED without its first two columns, which are foreign."""
    drop_points, least = points(part.drop), points(part.mde)
    shown = scores(part.base_score, part.head_score)
    return (part.verdict.value, f"{part.n:,}", shown, drop_points, least, probability(part.p), "yes" if part.blocks else "no")


# --- cases --------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of a gate that moved in one way: the `listed` ones of `total`."""

    title: str
    listed: tuple[CaseChange, ...]
    total: int

    @property
    def broke(self) -> bool:
        return self.title != FIXED

    def rest(self, shown: int) -> str:
        """How many are not among the first *shown*, and where they are; "" if none is left."""
        more = self.total - shown
        kept = ": promptreg check --report check.html" if len(self.listed) > shown else ", which this report does not hold"
        return f"and {more:,} more{kept}" if more else ""


BROKEN, FLAKY, QUARANTINED, FIXED = "broken", "broken, but known to be flaky", "quarantined (not counted)", "fixed"


def groups(gate: GateReport) -> Iterator[Group]:
    """The cases that moved, those first that need a reader; none twice, though several comparisons may have it."""
    broken = _merged(comparison.cases_broken for comparison in _gravest(gate))
    fixed = _merged(comparison.cases_fixed for comparison in _gravest(gate))
    quarantined = _merged([gate.quarantined, [case for case in broken if case.quarantined]])
    flaky = tuple(case for case in broken if case.flaky and not case.quarantined)
    real = tuple(case for case in broken if not case.flaky and not case.quarantined)
    lead = leading(gate)
    unlisted = max(0, (lead.broken if lead else 0) - len(flaky) - len(real))
    for group in (
        Group(BROKEN, real, len(real) + unlisted),
        Group(FLAKY, flaky, len(flaky)),
        Group(QUARANTINED, quarantined, len(quarantined)),
        Group(FIXED, fixed, max(len(fixed), lead.fixed if lead else 0)),
    ):
        if group.listed:
            yield group


def _gravest(gate: GateReport) -> list[Comparison]:
    return sorted(gate.comparisons, key=lambda each: -SEVERITY[each.verdict])


def _merged(lists: Iterable[Iterable[CaseChange]]) -> tuple[CaseChange, ...]:
    found: dict[str, CaseChange] = {}
    for cases in lists:
        for case in cases:
            found.setdefault(case.case, case)
    return tuple(found.values())


KEPT_NOT = "(the texts of its answers were not kept)"


def answers(case: CaseChange, limit: int) -> tuple[Piece, ...]:
    """What became of the answer, word for word, hidden characters visible, cut to *limit*."""
    pieces = tuple(Piece(piece.kind, visible(piece.text)) for piece in case.diff)
    if not pieces and (case.base_answer or case.head_answer):
        pieces = word_diff(visible(case.base_answer), visible(case.head_answer))
    return focused(pieces or (Piece("same", KEPT_NOT),), limit=limit)
