"""The witness: what a check takes from the runs branch and leaves there. Answers, verdicts, and drops that somebody accepted."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from promptreg.core.run import Outcome
from promptreg.core.verdict import Finding, GateReport
from promptreg.workflow.check.gates import Gate
from promptreg.workflow.check.measure import Running
from promptreg.workflow.check.request import CheckRequest, Ground
from promptreg.workflow.check.revisions import Revisions
from promptreg.workflow.check.sides import Sides


class Witness:
    """One check's dealings with the runs branch, as `--runs` says."""

    def __init__(self, ground: Ground, request: CheckRequest, sides: Sides) -> None:
        self._ground, self._request, self._sides = ground, request, sides

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        return None

    def recall(self, gates: Sequence[Gate]) -> None:
        """Answers that the runs branch holds become known."""

    def saw(self, running: Running, role: str, outcome: Outcome) -> None:
        """One graded answer."""

    def accepted(self, gates: tuple[GateReport, ...]) -> tuple[GateReport, ...]:
        """*gates* with the reasons given by who accepted their FAILs."""
        return gates

    def accepted_findings(self, findings: list[Finding]) -> list[Finding]:
        return findings

    def record(self, gates: tuple[GateReport, ...], revisions: Revisions) -> None:
        """Leaves answers and verdicts on the runs branch, if that is asked for."""
