"""Verdict: what a gate says of a change, and everything a reporter may show of how it came to say so.

Values only. `core.gate` makes them out of answers, `workflow.check` puts them together, reporters draw them.

    CheckReport ── GateReport ── Comparison   one for each reference (base, anchor) and judging suite or policy
                 │             ├ FloorResult
                 │             ├ GuardResult
                 │             └ SliceResult
                 └ Finding      what no gate can say: an untested prompt, a change that only a trusted context may judge

Rates, scores, drops and limits are fractions; a positive drop is "worse". Limits are one-sided, at 1 - alpha.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

from promptreg.core.canonical import Digest
from promptreg.core.diff import Piece
from promptreg.errors import ExitCode, Reason, Where


class Verdict(StrEnum):
    """PASS: the drop is shown to be smaller than the margin. FAIL: a drop is shown. UNDECIDED: measured, but too little evidence.
    UNMEASURED: there is no measurement, for a `Reason`."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    UNDECIDED = "UNDECIDED"
    UNMEASURED = "UNMEASURED"


SEVERITY = {Verdict.PASS: 0, Verdict.UNDECIDED: 1, Verdict.UNMEASURED: 2, Verdict.FAIL: 3}

Origin: TypeAlias = Literal["base", "head"]
ReferenceKind: TypeAlias = Literal["base", "anchor"]
LimitKind: TypeAlias = Literal["tango", "t+bootstrap", "e-process", "none"]
Mode: TypeAlias = Literal["fixed", "sequential", "hybrid"]
GuardName: TypeAlias = Literal["cost", "tokens", "latency_p95", "refusal", "format", "length"]
Changed: TypeAlias = Literal["template", "partial", "params", "data", "metric", "policy", "model", "suite", "prompt"]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The gravest of *verdicts*; PASS if there is none."""
    return max(verdicts, key=SEVERITY.__getitem__, default=Verdict.PASS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """One case whose answer changed sides, with what a person needs to see why."""

    case: str
    where: Where | None
    base_answer: str  # "" when its text was not kept
    head_answer: str
    expected: str
    reason: str  # of the first failed check, one line
    diff: tuple[Piece, ...] = ()  # words, from base's answer to head's
    drop: float = 1.0  # base's mean score less head's
    flaky: bool = False  # base's own repeats did not agree on it
    quarantined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The candidate against one reference, as one suite and one policy judge it.

    `n` counts cases, `units` clusters. `cases_broken` and `cases_fixed` are the first few of `broken` and `fixed`.
    """

    kind: ReferenceKind
    revision: str  # the commit, or the release (`1.4.0`), that the candidate is held against
    suite_from: Origin
    policy_from: Origin
    prompt: str
    model: str
    verdict: Verdict
    n: int = 0
    units: int = 0
    planned: int = 0  # units there were to consume; fewer in `units`: the run stopped early
    unchanged: int = 0  # cases that enter as exact zeros
    missing: int = 0
    excluded: int = 0  # cases that one side cannot render
    broken: int = 0
    fixed: int = 0
    base_score: float | None = None
    head_score: float | None = None
    drop: float | None = None
    lower: float | None = None
    upper: float | None = None
    limit_kind: LimitKind = "none"
    margin: float = 0.05
    alpha: float = 0.05
    p_harm: float = 1.0
    p_fixed: float = 1.0
    e_fail: float = 1.0  # the greatest value of the process; 1 where none was kept
    e_pass: float = 1.0
    gained: bool = False  # an improvement is shown, at alpha
    discordance: float | None = None
    noise: float | None = None  # the discordance of base's own repeats
    repeats_base: int = 1
    repeats_head: int = 1
    needed: int | None = None  # further cases for a verdict, estimated, when UNDECIDED
    reason: Reason | None = None  # when UNMEASURED
    note: str = ""
    cases_broken: tuple[CaseChange, ...] = ()
    cases_fixed: tuple[CaseChange, ...] = ()
    still: bool = False  # every case asks the same on both sides: it cannot fail

    @property
    def origin(self) -> Origin:
        """Head, where nothing but its author's own suite or policy asks for it."""
        return "head" if "head" in (self.suite_from, self.policy_from) else "base"


@dataclass(frozen=True, slots=True, kw_only=True)
class FloorResult:
    """The candidate's own score against the absolute floor."""

    floor: float
    on: Literal["passed", "score"]
    score: float | None
    lower: float | None
    upper: float | None
    verdict: Verdict
    n: int = 0
    p: float = 1.0  # of "the score is at least the floor"
    alpha: float | None = None  # of the policy that asks for it, which p is held against; None: the gate's
    note: str = ""
    origin: Origin = "base"  # head: asked for by nothing but its author's own suite or policy


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardResult:
    """One guard: base's and head's mean (the 95th percentile for latency), the increase, and whether it is within the limit.

    Costs in US dollars, latency in seconds, length in characters, tokens in tokens; `refusal` and `format` are rates.
    """

    guard: GuardName
    limit: str  # as the user wrote it: `+10%`, `+2pt`
    base: float | None
    head: float | None
    increase: float | None  # relative for `%`, absolute for `pt`
    p: float | None
    verdict: Verdict
    alpha: float | None = None  # as a floor's
    note: str = ""  # "not compared: …"
    origin: Origin = "base"  # as a floor's


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceResult:
    """One slice of a gate's cases: its own drop. `mde` is the smallest drop it could have shown with the planned power."""

    by: str
    value: str
    n: int
    base_score: float
    head_score: float
    drop: float
    p: float  # corrected over all slices
    mde: float | None
    verdict: Verdict
    alpha: float | None = None  # as a floor's
    blocks: bool = False
    origin: Origin = "base"  # as a floor's


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReport:
    """One suite × prompt × model, and what was found of it. `changed` says what brought it into the check."""

    suite: str
    prompt: str
    model: str
    verdict: Verdict
    mode: Mode
    margin: float
    alpha: float
    changed: tuple[Changed, ...] = ()
    reason: Reason | None = None
    note: str = ""
    comparisons: tuple[Comparison, ...] = ()
    floor: FloorResult | None = None
    guards: tuple[GuardResult, ...] = ()
    slices: tuple[SliceResult, ...] = ()
    mde: float | None = None  # the smallest drop that this many cases would show with the planned power
    needed: int | None = None
    expected_calls: int | None = None  # before the first call
    calls_made: int = 0
    calls_saved: int = 0
    cost_usd: float | None = None
    accepted: str = ""  # the reason given by who accepted its FAIL
    new: bool = False  # it exists only in head
    where: Where | None = None  # the prompt's file, for annotations
    quarantined: tuple[CaseChange, ...] = ()  # cases that were measured and do not count


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What concerns the change and no single gate."""

    verdict: Verdict
    message: str
    reason: Reason | None = None
    where: Where | None = None
    hint: str = ""
    prompt: str = ""
    accepted: str = ""
    subject: Digest | None = None  # what exactly somebody would accept: another change of the same kind is another subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Unaffected:
    """A suite that nothing concerns, and why."""

    suite: str
    why: str
    gates: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A revision as the user knows it: `revision` as written, `commit`, and for the working tree `dirty`."""

    revision: str
    commit: str | None
    dirty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReport:
    """One check, whole. `created` is ISO 8601 UTC. `exit_code` follows from `verdict` and the policies' `undecided`."""

    verdict: Verdict
    exit_code: ExitCode
    base: Side
    head: Side
    created: str
    version: str
    registry: str
    gates: tuple[GateReport, ...] = ()
    findings: tuple[Finding, ...] = ()
    unaffected: tuple[Unaffected, ...] = ()
    notes: tuple[str, ...] = ()
    duration_s: float = 0.0
    calls_made: int = 0
    calls_known: int = 0
    calls_saved: int = 0
    cost_usd: float | None = None  # spent in this check
    accepted: bool = False  # a FAIL that somebody accepted

    @property
    def headline(self) -> str:
        """`0 FAIL, k PASS, j UNDECIDED (needs n more cases)`, over gates and findings."""
        return headline(self)


def headline(report: CheckReport) -> str:
    """The one line that says it all."""
    if not report.gates and not report.findings:
        return "nothing affected"
    verdicts = [gate.verdict for gate in report.gates] + [finding.verdict for finding in report.findings]
    fails = sum(verdict is Verdict.FAIL for verdict in verdicts)
    parts = [f"{fails} FAIL", f"{sum(verdict is Verdict.PASS for verdict in verdicts)} PASS"]
    undecided = [gate for gate in report.gates if gate.verdict is Verdict.UNDECIDED]
    count = sum(verdict is Verdict.UNDECIDED for verdict in verdicts)
    if count:
        needed = max((gate.needed or 0 for gate in undecided), default=0)
        parts.append(f"{count} UNDECIDED" + (f" (needs {needed:,} more cases)" if needed else ""))
    unmeasured = sum(verdict is Verdict.UNMEASURED for verdict in verdicts)
    if unmeasured:
        parts.append(f"{unmeasured} UNMEASURED")
    return ", ".join(parts)
