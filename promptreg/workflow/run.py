"""Run: every case of the chosen suites on every model, known answers first, and a report of what held."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

from promptreg import __version__
from promptreg.core.catalogue import ModelSpec
from promptreg.core.grade import Job, grade
from promptreg.core.plan import Plan, plan, refuse
from promptreg.core.protocols import Provider
from promptreg.core.report import Cell, Report
from promptreg.core.run import Call, Outcome, Task
from promptreg.core.tally import CellTally, exit_code
from promptreg.execute import Budget, Executor, Lane, Spent
from promptreg.workflow.preparation import Bench, Choice, prepare
from promptreg.workflow.recording import Offline, Recorder
from promptreg.workflow.world import World

# Up to so many samples are rendered before the first is paid for, so that a faulty row costs nothing;
# beyond, rendering goes along with the calls and memory stays bounded (3 kB a sample).
RENDERED_FIRST = 10_000
WINDOW_PER_CALL = 4  # samples in flight for each call in flight: enough that no model waits for another's

Sample: TypeAlias = tuple[str, Job]  # suite name, job


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What `run` was asked for. With `replay` no model is asked: answers come from `recording`, or from the store."""

    choice: Choice = field(default_factory=Choice)
    concurrency: int | None = None
    record: Path | None = None
    replay: bool = False
    recording: Path | None = None

    def adapt(self, spec: ModelSpec) -> ModelSpec:
        """A catalogue entry as this run sees it: with a recording, answered from there under its alias."""
        if self.recording is None:
            return spec
        return replace(spec, provider="recorded", model=spec.alias, options={"recording": str(self.recording.absolute())})


def plan_run(world: World, request: RunRequest) -> Plan:
    """The calls of a run and those nobody has made yet, with their price; asks nobody."""
    bench = prepare(world, request.choice, request.adapt)
    try:
        return _plan(world, bench, _samples(world, bench))
    finally:
        bench.close()


def run(world: World, request: RunRequest) -> Report:
    """Runs and reports. Raises UsageError for what the user can fix, BudgetExceeded before the first call, Interrupted after Ctrl-C."""
    bench = prepare(world, request.choice, request.adapt)
    recorder = Recorder(request.record, bench) if request.record else None
    started = time.monotonic()
    try:
        with Executor(_lanes(bench, request), world.store, **_conditions(world, recorder)) as executor:
            cells = _measure(world, bench, executor)
            if recorder:
                recorder.finish()
            return _report(world, cells, executor.spent, time.monotonic() - started)
    finally:
        if recorder:
            recorder.close()
        bench.close()
