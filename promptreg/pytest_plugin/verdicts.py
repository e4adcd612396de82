"""The verdict item: floors over a suite's cells, and gates against a base. Reads reports; judges nothing itself."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from promptreg.core.verdict import CheckReport, GateReport, Verdict
from promptreg.pytest_plugin.house import House
from promptreg.reporters.terminal import Terminal
from promptreg.workflow import opening

if TYPE_CHECKING:
    from promptreg.core.report import Cell

WIDTH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What a verdict item says: at most one of the texts is not empty."""

    failed: str = ""
    missing: str = ""
    undecided: str = ""
    properties: tuple[tuple[str, object], ...] = ()


def judged(house: House, suite: str) -> Judged:
    """The verdict on *suite*; waits for all its answers."""
    cells = [tally.cell() for tally in house.tally(suite)]
    properties = [("promptreg.verdict", worst_of(cells))]
    failed = [_cell_line(cell) for cell in cells if cell.status == "failed"]
    missing = [_cell_line(cell) for cell in cells if cell.status == "unmeasured"]
    undecided: list[str] = []
    if house.options.base is not None:
        report = compared(house)
        gates = [gate for gate in report.gates if gate.suite == suite]
        properties += [(f"promptreg.gate.{gate.prompt}.{gate.model}", str(gate.verdict)) for gate in gates]
        failed += [_gate_text(report, gate) for gate in gates if gate.verdict is Verdict.FAIL and not gate.accepted]
        missing += [_gate_text(report, gate) for gate in gates if gate.verdict is Verdict.UNMEASURED]
        missing += [
            finding.message for finding in report.findings if finding.verdict is Verdict.UNMEASURED and not finding.accepted
        ]
        open_ = [_gate_text(report, gate) for gate in gates if gate.verdict is Verdict.UNDECIDED]
        if open_ and _blocks(house, suite):
            missing += open_
        else:
            undecided = open_
    return Judged(
        failed="\n".join(failed),
        missing="" if failed else "\n".join(missing),
        undecided="" if failed or missing else "\n".join(undecided),
        properties=tuple(properties),
    )


def compared(house: House) -> CheckReport:
    """The check of this registry against --promptreg-base; made once, over all suites, so that its families are whole."""
    if house.compared is None:
        from promptreg.workflow.check.check import check
        from promptreg.workflow.check.request import CheckRequest, Ground

        with tempfile.TemporaryDirectory(prefix="promptreg-") as scratch:
            ground = Ground(
                registry=house.registry,
                store=house.world.store,
                env=os.environ,
                now=time.time,
                progress=house.world.progress,
                open_plugins=opening.open_plugins,
                weights=partial(opening.find_weights, env=os.environ),
                scratch=Path(scratch),
                announce=lambda _: None,
            )
            house.compared = check(ground, CheckRequest(base=house.options.base, concurrency=house.options.concurrency))
    return house.compared


def worst_of(cells: list[Cell]) -> str:
    statuses = {cell.status for cell in cells}
    return next((status for status in ("failed", "unmeasured", "ok") if status in statuses), "unmeasured")


def _blocks(house: House, suite: str) -> bool:
    policy = house.suite(suite).suite.policy
    return policy is not None and policy.undecided == "block"


def _cell_line(cell: Cell) -> str:
    return f"{cell.suite} · {cell.prompt} · {cell.model}: {cell.reason}"


def _gate_text(report: CheckReport, gate: GateReport) -> str:
    from dataclasses import replace

    alone = replace(report, gates=(gate,), findings=(), unaffected=(), notes=(), verdict=gate.verdict)
    return Terminal(colour=False, width=WIDTH).render_check(alone).rstrip()
