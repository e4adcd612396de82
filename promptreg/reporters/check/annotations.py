"""A CheckReport as workflow commands, by which GitHub Actions shows a sentence at the prompt's own lines.

    ::error file=prompts/support/triage.yaml,line=3,title=FAIL%3A triage::A drop of 6.2 points is shown (at least 2.1).

A command is one line: what could end it, or its properties, is percent-encoded, `%` first. Written to a step's stdout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from promptreg.core.excerpt import one_line
from promptreg.core.verdict import CheckReport, Finding, GateReport, Verdict
from promptreg.errors import Where
from promptreg.reporters.check import words
from promptreg.reporters.check.masking import masked

MOST = 10  # of errors, and of warnings: GitHub shows no more of one step
TITLE = 120  # characters
TEXT = 1_000
PATH = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """One sentence at one place."""

    error: bool
    title: str
    text: str
    where: Where | None


def annotate(report: CheckReport, *, folder: str = "", secrets: Sequence[str] = ()) -> str:
    """The commands, one a line; "" if there is nothing to say. *folder* is where the registry stands in the repository."""
    found = list(_annotations(masked(report, secrets)))
    kinds = [[each for each in found if each.error], [each for each in found if not each.error]]
    return "".join(_command(each, folder) + "\n" for kind in kinds for each in kind[:MOST])


def _annotations(report: CheckReport) -> Iterator[Annotation]:
    for gate in words.worst_first(report):
        if gate.verdict is not Verdict.PASS:
            yield _gate(gate)
    for finding in report.findings:
        if finding.verdict is not Verdict.PASS:
            yield _finding(finding)


def _gate(gate: GateReport) -> Annotation:
    said = words.said(gate.verdict, accepted=bool(gate.accepted))
    return Annotation(
        error=gate.verdict is Verdict.FAIL and not gate.accepted,
        title=f"{said}: {gate.suite} / {gate.prompt} / {gate.model}",
        text=_accepted(gate.accepted) + (words.told(gate) or said),
        where=gate.where,
    )


def _finding(finding: Finding) -> Annotation:
    said = words.said(finding.verdict, accepted=bool(finding.accepted))
    remedy = words.remedy(finding)
    return Annotation(
        error=finding.verdict is Verdict.FAIL and not finding.accepted,
        title=f"{said}: {finding.prompt}" if finding.prompt else said,
        text=_accepted(finding.accepted) + finding.message + (f" (to do: {remedy})" if remedy else ""),
        where=finding.where,
    )


def _accepted(reason: str) -> str:
    return f"Accepted: {reason}. " if reason else ""


def _command(annotation: Annotation, folder: str) -> str:
    where = annotation.where
    properties = {"title": one_line(annotation.title, TITLE)}
    if where and where.path:
        path = f"{folder.strip('/')}/{where.path}".lstrip("/")
        place = {"file": one_line(path, PATH)} | ({"line": str(where.line)} if where.line else {})
        place |= {"col": str(where.column)} if where.line and where.column else {}
        properties = place | properties
    kind = "error" if annotation.error else "warning"
    told = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{kind} {told}::{_message(one_line(annotation.text, TEXT))}"


def _message(text: str) -> str:
    """As GitHub's own toolkit writes a command's data; `##[` too, which other runners read anywhere in a line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A").replace("##", "%23%23")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
