"""JUnit's frame, which the reports of runs and of checks share: testsuites whose counts are those of their elements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from xml.etree import ElementTree as Xml

from promptreg.core.excerpt import one_line

NAME = 200  # characters of an attribute: dashboards show them in one line
COUNTS = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error", "skipped": "testcase/skipped"}


def document(suites: Iterable[Xml.Element], duration_s: float) -> str:
    """The whole file."""
    root = Xml.Element("testsuites")
    root.extend(suites)
    for name in COUNTS:
        root.set(name, str(sum(int(suite.attrib[name]) for suite in root)))
    root.set("name", "promptreg")
    root.set("time", f"{duration_s:.3f}")
    Xml.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + Xml.tostring(root, encoding="unicode") + "\n"


def testsuite(name: str, created: str, facts: Mapping[str, float | None], cases: Iterable[Xml.Element]) -> Xml.Element:
    """One testsuite; facts that nobody knows are left out."""
    suite = Xml.Element("testsuite", name=name, timestamp=name_of(created.removesuffix("Z")))
    properties = Xml.SubElement(suite, "properties")
    for fact, value in facts.items():
        if value is not None:
            Xml.SubElement(properties, "property", name=fact, value=f"{value:.10g}")
    suite.extend(cases)
    for attribute, path in COUNTS.items():
        suite.set(attribute, str(len(suite.findall(path))))
    return suite


def name_of(text: str) -> str:
    """Foreign text as an attribute."""
    return one_line(text, NAME)
