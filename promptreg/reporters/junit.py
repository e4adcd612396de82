"""A Report as JUnit XML: one testsuite for each cell, failing cases as failures, missing ones as errors.

Counts in the attributes are those of the elements, as readers expect; the true totals stand in the properties. The first
testcase of each suite is the cell's own verdict, so that a cell in which all is well is seen as one passing test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree as Xml

from promptreg.core.excerpt import cut, expected_text, visible
from promptreg.core.report import Cell, FailedCase, MissingCase, Report
from promptreg.core.verdict import CheckReport
from promptreg.reporters import figures
from promptreg.reporters.check.masking import masked
from promptreg.reporters.xml import document, name_of, testsuite


@dataclass(frozen=True, slots=True)
class JUnit:
    """The dialect that Jenkins, GitLab, GitHub actions and pytest share."""

    name: ClassVar[str] = "junit"
    suffix: ClassVar[str] = ".xml"

    def render(self, report: Report) -> str:
        return document([_suite(cell, report.created) for cell in report.cells], report.duration_s)

    def render_check(self, report: CheckReport, secrets: Sequence[str] = ()) -> str:
        from promptreg.reporters.check.junit import suites

        return document(suites(masked(report, secrets)), report.duration_s)


def _suite(cell: Cell, created: str) -> Xml.Element:
    name = ".".join(name_of(part) for part in (cell.suite, cell.prompt, cell.model))
    cases = [_failed(case, name) for case in cell.failed] + [_missing(missing, name) for missing in cell.missing]
    return testsuite(name, created, _facts(cell), [_verdict(cell, name), *cases])


def _facts(cell: Cell) -> dict[str, float | None]:
    return {
        "graded": cell.n,
        "passed": cell.passed,
        "failed": cell.failed_total,
        "missing": cell.errors,
        "pass_rate": cell.pass_rate,
        "pass_rate_lower_95": cell.lower,
        "pass_rate_upper_95": cell.upper,
        "floor": cell.floor,
        "cost_usd": cell.cost_usd,
        "latency_p50_s": cell.latency_p50_s,
        "latency_p95_s": cell.latency_p95_s,
    }


def _verdict(cell: Cell, classname: str) -> Xml.Element:
    said = f"{figures.counted(cell)} passed"
    case = Xml.Element("testcase", classname=classname, name="verdict", time="0")
    if cell.status != "ok":
        tag = "failure" if cell.status == "failed" else "error"
        fault = Xml.SubElement(case, tag, message=name_of(cell.reason or said), type=cell.status)
        fault.text = f"{said}; 95 % interval of the pass rate {figures.interval(cell)} %"
    return case


def _failed(case: FailedCase, classname: str) -> Xml.Element:
    element = Xml.Element("testcase", classname=classname, name=_case(case.case, case.slot), time="0")
    if case.where:
        element.set("file", name_of(case.where.path))
    reasons = [f"{check.label}: {check.reason or 'failed'}" for check in figures.blamed(case)]
    fault = Xml.SubElement(element, "failure", message=name_of("; ".join(reasons) or "failed"), type="check")
    expected = expected_text(case.expected, case.answer)
    parts = [
        *reasons,
        f"at {case.where}" if case.where else "",
        f"expected:\n{expected}" if expected else "",
        f"answer:\n{case.answer}",
    ]
    fault.text = "\n\n".join(cut(visible(part)) for part in parts if part)
    return element


def _missing(missing: MissingCase, classname: str) -> Xml.Element:
    element = Xml.Element("testcase", classname=classname, name=_case(missing.case, missing.slot), time="0")
    Xml.SubElement(element, "error", message=name_of(missing.message), type=missing.kind).text = cut(visible(missing.message))
    return element


def _case(case: str, slot: int) -> str:
    return name_of(case) + (f" (repeat {slot + 1})" if slot else "")
