"""A CheckReport as JUnit XML: a testsuite for each suite, a testcase for each gate, and a suite `findings` for what no gate says.

    FAIL         failure; skipped where somebody accepted it, as the check then succeeds
    UNMEASURED   error; skipped where accepted
    UNDECIDED    skipped, with what it needs; error where it holds the pull request up

Numbers stand in the properties of the testsuite, each named after its gate: readers disagree on properties of testcases.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from xml.etree import ElementTree as Xml

from promptreg.core.excerpt import cut, visible
from promptreg.core.verdict import CaseChange, CheckReport, Finding, GateReport, Verdict
from promptreg.reporters.check import numbers, words
from promptreg.reporters.check.cases import Group, groups
from promptreg.reporters.xml import name_of, testsuite

CASES = 50  # broken cases told in a failure's text


def suites(report: CheckReport) -> Iterator[Xml.Element]:
    """The testsuites of *report*."""
    blocks = words.undecided_blocks(report)
    for suite in dict.fromkeys(gate.suite for gate in report.gates):
        gates = [gate for gate in report.gates if gate.suite == suite]
        facts = {f"{_name(gate)}: {fact}": value for gate in gates for fact, value in _facts(gate).items()}
        yield testsuite(name_of(suite), report.created, facts, [_gate(gate, blocks=blocks) for gate in gates])
    if report.findings:
        yield testsuite(
            "findings",
            report.created,
            {"findings": len(report.findings)},
            [_finding(finding, blocks=blocks) for finding in report.findings],
        )


def _facts(gate: GateReport) -> Mapping[str, float | None]:
    lead = numbers.leading(gate)
    measured: dict[str, float | None] = (
        {}
        if lead is None
        else {
            "base_score": lead.base_score,
            "head_score": lead.head_score,
            "drop": lead.drop,
            "lower": lead.lower,
            "upper": lead.upper,
            "n": lead.n,
            "planned": lead.planned,
            "broken": lead.broken,
            "fixed": lead.fixed,
            "missing": lead.missing,
        }
    )
    settings = {"margin": gate.margin, "alpha": gate.alpha, "mde": gate.mde}
    spent = {"calls_made": gate.calls_made, "calls_saved": gate.calls_saved, "cost_usd": gate.cost_usd}
    return {**measured, **settings, **spent}


def _gate(gate: GateReport, *, blocks: bool) -> Xml.Element:
    element = Xml.Element("testcase", classname=name_of(gate.suite), name=_name(gate), time="0")
    if gate.where:
        element.set("file", name_of(gate.where.path))
    whys = [words.sentence(why) for why in words.whys(gate)]
    told = [*whys, *words.gate_notes(gate), *(line for group in groups(gate) for line in _group(group))]
    _say(element, gate.verdict, gate.accepted, " ".join(whys), told, blocks=blocks)
    return element


def _finding(finding: Finding, *, blocks: bool) -> Xml.Element:
    element = Xml.Element("testcase", classname="findings", name=name_of(finding.prompt or finding.message) or "finding", time="0")
    if finding.where:
        element.set("file", name_of(finding.where.path))
    told = [finding.message, words.remedy(finding), f"at {finding.where}" if finding.where else ""]
    _say(element, finding.verdict, finding.accepted, finding.message, told, blocks=blocks)
    return element


def _say(element: Xml.Element, verdict: Verdict, accepted: str, message: str, told: list[str], *, blocks: bool) -> None:
    """Gives *element* what its verdict asks for."""
    if verdict is Verdict.PASS:
        return
    said = words.said(verdict, accepted=bool(accepted))
    because = f" {accepted}:" if accepted else ""
    tags = {Verdict.FAIL: "failure", Verdict.UNMEASURED: "error", Verdict.UNDECIDED: "error" if blocks else "skipped"}
    tag = "skipped" if accepted else tags[verdict]
    fault = Xml.SubElement(element, tag, message=name_of(f"{said}:{because} {message}"), type=verdict.value)
    fault.text = "\n".join(cut(visible(line)) for line in told if line)


def _group(group: Group) -> Iterator[str]:
    yield f"{group.title}: {group.total:,}"
    for case in group.listed[:CASES]:
        yield from _case(case)
    if rest := group.rest(len(group.listed[:CASES])):
        yield rest


def _case(case: CaseChange) -> Iterator[str]:
    yield f"- {case.case}" + (f" at {case.where}" if case.where else "") + (f": {case.reason}" if case.reason else "")
    if case.base_answer or case.head_answer:
        yield f"  base: {case.base_answer}"
        yield f"  head: {case.head_answer}"


def _name(gate: GateReport) -> str:
    return name_of(f"{gate.prompt} on {gate.model}")
