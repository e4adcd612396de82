"""What is wrong as SARIF 2.1.0, which GitHub's code scanning and editors show at the line: of a run its failing and missing cases,
of a check its gates and findings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.report import Cell, FailedCase, Report
from promptreg.core.verdict import CheckReport
from promptreg.reporters import figures
from promptreg.reporters.alerts import Result, document
from promptreg.reporters.check.masking import masked

RULES = {
    "failed": "A case fails a required check, where no floor allows for it.",
    "unmeasured": "Answers are missing, so that nothing can be said.",
}


@dataclass(frozen=True, slots=True)
class Sarif:
    """For code scanning: upload it with github/codeql-action/upload-sarif."""

    name: ClassVar[str] = "sarif"
    suffix: ClassVar[str] = ".sarif"

    def render(self, report: Report) -> str:
        results = [result for cell in report.cells if cell.status != "ok" for result in _cell(cell)]
        return document(results, RULES, report.version)

    def render_check(self, report: CheckReport, secrets: Sequence[str] = ()) -> str:
        from promptreg.reporters.check.sarif import RULES, results

        hidden = masked(report, secrets)
        return document(results(hidden), RULES, hidden.version)


def _cell(cell: Cell) -> Iterable[Result]:
    names = (cell.suite, cell.prompt, cell.model)
    who = " / ".join(names)
    if cell.status == "unmeasured":
        yield Result(rule="unmeasured", level="warning", message=f"{who}: {cell.reason}", where=None, names=names)
    for case in cell.failed:
        yield Result(rule="failed", level="error", message=_why(who, case), where=case.where, names=(*names, case.case))


def _why(who: str, case: FailedCase) -> str:
    reasons = [f"{check.label}: {check.reason or 'failed'}" for check in figures.blamed(case)]
    return f"{case.case} fails on {who}: {'; '.join(reasons)}"
