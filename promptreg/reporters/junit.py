"""A Report as JUnit XML: one testsuite for each cell, failing cases as failures, missing ones as errors.

Counts in the attributes are those of the elements, as readers expect; the true totals stand in the properties. The first
testcase of each suite is the cell's own verdict, so that a cell in which all is well is seen as one passing test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from xml.etree import ElementTree as Xml

from promptreg.core.excerpt import cut, expected_text, one_line, visible
from promptreg.core.report import Cell, FailedCase, MissingCase, Report
from promptreg.reporters import figures

NAME = 200  # characters of an attribute: dashboards show them in one line


@dataclass(frozen=True, slots=True)
class JUnit:
    """The dialect that Jenkins, GitLab, GitHub actions and pytest share."""

    name: ClassVar[str] = "junit"
    suffix: ClassVar[str] = ".xml"

    def render(self, report: Report) -> str:
        root = Xml.Element("testsuites")
        for cell in report.cells:
            root.append(_suite(cell, report.created))
        for name in ("tests", "failures", "errors", "skipped"):
            root.set(name, str(sum(int(suite.attrib[name]) for suite in root)))
        root.set("name", "promptreg")
        root.set("time", f"{report.duration_s:.3f}")
        Xml.indent(root)
        return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def _suite(cell: Cell, created: str) -> Xml.Element:
    name = ".".join(_name(part) for part in (cell.suite, cell.prompt, cell.model))
    suite = Xml.Element("testsuite", name=name, timestamp=_name(created.removesuffix("Z")), skipped="0")
    suite.append(_properties(cell))
    suite.append(_verdict(cell, name))
    suite.extend(_failed(case, name) for case in cell.failed)
    suite.extend(_missing(missing, name) for missing in cell.missing)
    for attribute, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("errors", "testcase/error")):
        suite.set(attribute, str(len(suite.findall(path))))
    return suite


def _properties(cell: Cell) -> Xml.Element:
    facts: dict[str, float | None] = {
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
    properties = Xml.Element("properties")
    for name, value in facts.items():
        if value is not None:
            Xml.SubElement(properties, "property", name=name, value=f"{value:.10g}")
    return properties


def _verdict(cell: Cell, classname: str) -> Xml.Element:
    said = f"{figures.counted(cell)} passed"
    case = Xml.Element("testcase", classname=classname, name="verdict", time="0")
    if cell.status != "ok":
        tag = "failure" if cell.status == "failed" else "error"
        fault = Xml.SubElement(case, tag, message=_name(cell.reason or said), type=cell.status)
        fault.text = f"{said}; 95 % interval of the pass rate {figures.interval(cell)} %"
    return case


def _failed(case: FailedCase, classname: str) -> Xml.Element:
    element = Xml.Element("testcase", classname=classname, name=_case(case.case, case.slot), time="0")
    if case.where:
        element.set("file", _name(case.where.path))
    reasons = [f"{check.label}: {check.reason or 'failed'}" for check in figures.blamed(case)]
    fault = Xml.SubElement(element, "failure", message=_name("; ".join(reasons) or "failed"), type="check")
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
    Xml.SubElement(element, "error", message=_name(missing.message), type=missing.kind).text = cut(visible(missing.message))
    return element


def _case(case: str, slot: int) -> str:
    return _name(case) + (f" (repeat {slot + 1})" if slot else "")


def _name(text: str) -> str:
    return one_line(text, NAME)
