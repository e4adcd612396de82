"""The verdict item: floors over a suite's cells, and gates against a base. Reads reports; judges nothing itself."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from promptreg.core.excerpt import visible
from promptreg.core.plan import Budget, refuse
from promptreg.core.report import Cell, worst
from promptreg.core.verdict import CheckReport, Finding, GateReport, Verdict
from promptreg.errors import ExitCode
from promptreg.execute import Silent
from promptreg.pytest_plugin.house import House
from promptreg.pytest_plugin.measuring import Measuring
from promptreg.reporters.check import masked
from promptreg.reporters.terminal import Terminal
from promptreg.workflow import opening
from promptreg.workflow.reports import secrets_of

WIDTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a verdict item says: at most one of the texts is not empty."""

    failed: str = ""
    missing: str = ""
    undecided: str = ""
    properties: tuple[tuple[str, object], ...] = ()


@dataclass(slots=True)
class _Said:
    failed: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    properties: list[tuple[str, object]] = field(default_factory=list)

    def whole(self) -> Judged:
        return Judged(
            failed="\n".join([*self.failed, *self.missing, *self.undecided] if self.failed else ()),
            missing="" if self.failed else "\n".join([*self.missing, *self.undecided] if self.missing else ()),
            undecided="" if self.failed or self.missing else "\n".join(self.undecided),
            properties=tuple(self.properties),
        )


def judged(measuring: Measuring, suite: str) -> Judged:
    """The verdict on *suite*; waits for all its answers. The first verdict of a session also says what no suite here can say."""
    cells = [tally.cell() for tally in measuring.tallies(suite)]
    said = _Said()
    _cells(said, cells)
    if measuring.house.options.base is not None:
        report = compared(measuring)
        first = min(measuring.verdicts) == suite
        known = set(measuring.house.registry.suite_names())
        _gates(said, measuring.house, report, [gate for gate in report.gates if gate.suite == suite])
        if first:
            _gates(said, measuring.house, report, [gate for gate in report.gates if gate.suite not in known])
            _findings(said, report)
    return said.whole()


def _cells(said: _Said, cells: list[Cell]) -> None:
    said.properties.append(("promptreg.verdict", worst(cells)))
    for cell in cells:
        name = f"{cell.prompt}.{cell.model}"
        if cell.pass_rate is not None:
            said.properties.append((f"promptreg.pass_rate.{name}", round(cell.pass_rate, 6)))
        if cell.cost_usd is not None:
            said.properties.append((f"promptreg.cost_usd.{name}", round(cell.cost_usd, 9)))
    said.failed += [_cell_line(cell) for cell in cells if cell.status == "failed"]
    said.missing += [_cell_line(cell) for cell in cells if cell.status == "unmeasured"]


def _gates(said: _Said, house: House, report: CheckReport, gates: Iterable[GateReport]) -> None:
    blocking = _blocking(house, report)
    for gate in gates:
        said.properties.append((f"promptreg.gate.{gate.prompt}.{gate.model}", str(gate.verdict)))
        text = _gate_text(report, gate)
        if gate.verdict is Verdict.FAIL and not gate.accepted:
            said.failed.append(text)
        elif gate.verdict is Verdict.UNMEASURED or (gate.verdict is Verdict.UNDECIDED and gate.suite in blocking):
            said.missing.append(text)
        elif gate.verdict is Verdict.UNDECIDED:
            said.undecided.append(text)


def _findings(said: _Said, report: CheckReport) -> None:
    """What concerns the change and no single gate."""
    for finding in report.findings:
        if finding.accepted or finding.verdict is Verdict.PASS:
            continue
        text = _finding_text(finding)
        if finding.verdict is Verdict.FAIL:
            said.failed.append(text)
        elif finding.verdict is Verdict.UNMEASURED or report.exit_code is ExitCode.UNMEASURED:
            said.missing.append(text)
        else:
            said.undecided.append(text)


def compared(measuring: Measuring) -> CheckReport:
    """The check of this registry against --promptreg-base; made once, over all suites, so that its families are whole."""
    if measuring.compared is None:
        from promptreg.workflow.check.check import check, plan_check
        from promptreg.workflow.check.request import CheckRequest, Ground

        house = measuring.house
        with tempfile.TemporaryDirectory(prefix="promptreg-") as scratch:
            ground = Ground(
                registry=house.registry,
                store=house.world.store,
                env=os.environ,
                now=time.time,
                progress=Silent(),
                open_plugins=opening.open_plugins,
                weights=partial(opening.find_weights, env=os.environ),
                scratch=Path(scratch),
                announce=lambda _: None,
            )
            request = CheckRequest(base=house.options.base, concurrency=house.options.concurrency)
            if house.options.budget is not None:
                left = max(0.0, house.options.budget - house.ledger.spent.usd)
                refuse(plan_check(ground, request), Budget(usd=left))
            report = check(ground, request)
        measuring.compared = masked(report, _secrets(house))
    return measuring.compared


def _secrets(house: House) -> tuple[str, ...]:
    return secrets_of(house.registry.settings, house.world.env)


def _blocking(house: House, report: CheckReport) -> set[str]:
    """The suites of which too little evidence is an error. The report knows only whether any policy says so, also those of base:
    where no policy of head does, it was one of base's, and nobody knows whose."""
    known = set(house.registry.suite_names())
    undecided = {gate.suite for gate in report.gates if gate.verdict is Verdict.UNDECIDED}
    policies = {name: house.suite(name).suite.policy for name in undecided & known}
    found = {name for name, policy in policies.items() if policy is not None and policy.undecided == "block"}
    some = report.verdict is Verdict.UNDECIDED and report.exit_code is ExitCode.UNMEASURED
    return undecided if some and not found else found


def _cell_line(cell: Cell) -> str:
    return visible(f"{cell.suite} · {cell.prompt} · {cell.model}: {cell.reason}")


def _finding_text(finding: Finding) -> str:
    lines = [f"{finding.verdict}: {finding.message}"]
    if finding.where is not None:
        lines.append(f"  at {finding.where}")
    if finding.hint:
        lines.append(f"  hint: {finding.hint}")
    return visible("\n".join(lines))


def _gate_text(report: CheckReport, gate: GateReport) -> str:
    alone = replace(report, gates=(gate,), findings=(), unaffected=(), notes=(), verdict=gate.verdict)
    return Terminal(colour=False, width=WIDTH).render_check(alone).rstrip()
