"""What of a CheckReport is worth an alert: each gate and finding that does not PASS, at the prompt's own lines."""

from __future__ import annotations

from collections.abc import Iterator

from promptreg.core.verdict import CheckReport, Finding, GateReport, Verdict
from promptreg.errors import Reason
from promptreg.reporters.alerts import Level, Result
from promptreg.reporters.check import words

RULES = {
    "regression": "The change makes answers worse, beyond doubt.",
    "undecided": "The evidence neither shows nor rules out that the change makes answers worse.",
    "unmeasured": "Nothing could be measured.",
    "untested": "No case measures what changed.",
    "untrusted": "What changed may only be judged in a trusted context.",
}
LEVELS: dict[Verdict, Level] = {
    Verdict.FAIL: "error",
    Verdict.UNMEASURED: "warning",
    Verdict.UNDECIDED: "warning",
    Verdict.PASS: "note",
}
RULED = {Verdict.FAIL: "regression", Verdict.UNDECIDED: "undecided", Verdict.UNMEASURED: "unmeasured", Verdict.PASS: "undecided"}
REASONED: dict[Reason, str] = {"no_suite": "untested", "untrusted_change": "untrusted"}


def results(report: CheckReport) -> Iterator[Result]:
    for gate in report.gates:
        if gate.verdict is not Verdict.PASS:
            yield _gate(gate)
    for finding in report.findings:
        if finding.verdict is not Verdict.PASS:
            yield _finding(finding)


def _gate(gate: GateReport) -> Result:
    names = (gate.suite, gate.prompt, gate.model)
    return Result(
        rule=_rule(gate.verdict, gate.reason),
        level=LEVELS[gate.verdict],
        message=f"{gate.verdict.value}: {' / '.join(names)}. {words.told(gate)}".strip(),
        where=gate.where,
        names=names,
        accepted=gate.accepted,
    )


def _finding(finding: Finding) -> Result:
    remedy = words.remedy(finding)
    return Result(
        rule=_rule(finding.verdict, finding.reason),
        level=LEVELS[finding.verdict],
        message=f"{finding.verdict.value}: {finding.message}" + (f" (to do: {remedy})" if remedy else ""),
        where=finding.where,
        names=(finding.prompt, finding.reason or "", finding.where.path if finding.where else "", finding.message),
        accepted=finding.accepted,
    )


def _rule(verdict: Verdict, reason: Reason | None) -> str:
    return REASONED.get(reason, RULED[verdict]) if reason and verdict is Verdict.UNMEASURED else RULED[verdict]
