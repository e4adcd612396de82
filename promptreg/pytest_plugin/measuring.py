"""Measuring: what the selected items of one registry want, asked for as one batch, and folded into a report. Knows no items.

    want, want … ─▶ start ─▶ result, result … ─▶ report ─▶ stop

Under xdist every worker wants the same and claims share out the calls; the controller reads the answers back and asks nobody.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TypeAlias

from promptreg.core.grade import Job, grade
from promptreg.core.plan import Budget, Wanted, plan, refuse
from promptreg.core.report import Report
from promptreg.core.run import Call, Completion, Failure, Outcome
from promptreg.core.suite import Policy, Suite
from promptreg.core.tally import CellTally
from promptreg.core.verdict import CheckReport
from promptreg.errors import PromptregError
from promptreg.execute import Spent
from promptreg.pytest_plugin.batch import Batch, Stoppable
from promptreg.pytest_plugin.house import House
from promptreg.workflow.preparation import Bench
from promptreg.workflow.recording import Recorder
from promptreg.workflow.records import open_archive
from promptreg.workflow.run import CellName, reported, subjects

READ_TOGETHER = 512  # answers under way while they are read back from the store

Key: TypeAlias = tuple[str, str, str, int]  # suite, prompt, model, number of the case in the suite's order


@dataclass(slots=True)
class Told:
    """What other processes have said of one registry: their accounts, and why answers are missing."""

    made: int = 0
    known: int = 0
    usd: float = 0.0
    base: str = ""
    compared: str = ""  # the headline of the comparison with the base
    check_report: str = ""  # that comparison, as --promptreg-report wants it


class Measuring:
    """One registry's part of a session."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.compared: CheckReport | None = None
        self.verdicts: set[str] = set()  # the suites whose verdict is wanted
        self.told = Told()
        self._open = ExitStack()
        self._began = time.monotonic()
        self._jobs: dict[Hashable, Sequence[Job]] = {}
        self._cells: dict[Hashable, CellName] = {}
        self._tallies: dict[CellName, CellTally] = {}
        self._notes: list[str] = []
        self._batch: Batch | None = None
        self._recorder: Recorder | None = None
        self._fault: PromptregError | None = None

    def want(self, key: Hashable, jobs: Sequence[Job], cell: CellName | None = None) -> None:
        """*key* will ask for what becomes of *jobs*; *cell* is whose report they belong to."""
        if key not in self._jobs:
            self._jobs[key] = jobs
            if cell is not None:
                self._cells[key] = cell

    def want_verdict(self, suite: str) -> None:
        """*suite* will be judged as a whole. Of the others only a part may be measured, so that no floor is held against it."""
        self.verdicts.add(suite)

    @property
    def started(self) -> bool:
        return self._batch is not None or self._fault is not None

    def start(self, *, record: bool) -> None:
        """All that was wanted goes out, together. What stands against it is told to whoever asks for a result."""
        if self.started or not self._jobs:
            return
        self._open_tallies()
        clock = Stoppable()
        try:
            self._recall()
            on_answer = self._record() if record else None
            executor = self._open.enter_context(self.house.executor(clock=clock, on_answer=on_answer))
            budget = self.house.registry.settings.budget
            if budget != Budget():
                jobs = (job for each in self._jobs.values() for job in each)
                refuse(plan((Wanted(model=job.model, call=job.call, price=job.price) for job in jobs), executor.known), budget)
        except PromptregError as fault:
            self._fault = fault
            return
        self._batch = Batch(executor, clock, self._jobs, self._saw)
        self._batch.start()

    def result(self, key: Hashable) -> Sequence[Outcome]:
        """What became of *key*'s jobs; waits for them alone."""
        if self._fault is not None:
            raise self._fault
        if self._batch is not None and key in self._batch:
            return self._batch.result(key)
        return [self.house.ask(job) for job in self._jobs[key]]

    def tallies(self, suite: str) -> list[CellTally]:
        """The folded outcomes of *suite*'s cells, once the whole batch is there."""
        if self._fault is not None:
            raise self._fault
        if self._batch is not None:
            self._batch.wait()
        return [tally for (name, _, _), tally in self._tallies.items() if name == suite]

    def stop(self) -> None:
        """Nobody wants more; what is in flight gets a moment, and is kept. Raises what keeps a recording from being written."""
        if self._batch is not None and not self._batch.stop():
            return  # a provider that does not come back still holds the store: both end with the process
        self._open.close()
        self._end_recording(self._fault or (self._batch.fault if self._batch else None))

    def close(self) -> None:
        if self._batch is None or self._batch.stop():
            self._open.close()
            self.house.close()

    # what is told at the end

    @property
    def spent(self) -> Spent:
        return self.house.ledger.spent

    def report(self) -> Report | None:
        """What was measured so far, as `run` reports it; None if nothing was."""
        cells = tuple(cell for tally in self._tallies.values() if (cell := tally.cell()).n or cell.errors)
        if not cells:
            return None
        spent, told = self.spent, self.told
        spent = replace(
            spent, calls_made=spent.calls_made + told.made, calls_known=spent.calls_known or told.known, usd=spent.usd + told.usd
        )
        return reported(self.house.world, cells, spent, time.monotonic() - self._began, tuple(self._partly()) + tuple(self._notes))

    def read_back(self, missing: Mapping[Hashable, Mapping[int, Failure]], *, record: bool) -> None:
        """Folds what was wanted out of answers that are known; asks nobody. *missing*: why other processes have none."""
        self._open_tallies()
        on_answer = self._record() if record else None
        asked = [(key, job) for key, jobs in self._jobs.items() for job in jobs]
        with (
            self.house.executor(asks=False, on_answer=on_answer) as executor,
            closing(executor.run((grade(job) for _, job in asked), READ_TOGETHER)) as outcomes,
        ):
            for (key, job), outcome in zip(asked, outcomes, strict=True):
                failure = missing.get(key, {}).get(job.call.slot)
                self._saw(key, replace(outcome, failure=failure) if failure and outcome.passed is None else outcome)
        self._end_recording()

    def _partly(self) -> list[str]:
        """Of which suites only a part ran, so that neither floors nor the base say anything of them."""
        suites = {name: self.house.suite(name).suite for name, _, _ in self._tallies if name not in self.verdicts}
        open_ = [name for name, suite in suites.items() if self.house.options.base is not None or _floor(suite) is not None]
        return [f"not judged, because its verdict was not selected: {', '.join(open_)}"] if open_ else []

    def _open_tallies(self) -> None:
        for cell in self._cells.values():
            if cell not in self._tallies:
                self._tallies[cell] = CellTally(self._as_judged(self.house.suite(cell[0]).suite), cell[1], cell[2])

    def _as_judged(self, suite: Suite) -> Suite:
        """*suite* with what judges it in this session: its floor only where all of it runs; a base, where there is one."""
        policy = suite.policy
        if policy is None and self.house.options.base is not None:
            policy = Policy()
        if policy is not None and suite.name not in self.verdicts:
            policy = replace(policy, floor=None)
        return replace(suite, policy=policy)

    def _saw(self, key: Hashable, outcome: Outcome) -> None:
        cell = self._cells.get(key)
        if cell is not None:
            self._tallies[cell].add(outcome)

    def _record(self) -> Callable[[Call, Completion], None]:
        assert self.house.options.record is not None
        recorder = Recorder(self.house.options.record, self.house.aliases())
        self._recorder = recorder.__enter__()
        return recorder.add

    def _end_recording(self, fault: BaseException | None = None) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            recorder.__exit__(type(fault) if fault else None, fault, None)

    def _recall(self) -> None:
        """Answers that the runs branch holds become known, as for `run`."""
        suites = tuple(self.house.suite(name) for name in dict.fromkeys(cell[0] for cell in self._cells.values()))
        if self.house.options.recording is not None or not suites:
            return
        archive = open_archive(self.house.world, note=self._notes.append)
        if archive is not None and archive.branch.exists:
            found = subjects(self.house.world, Bench(suites=suites, models=self.house.models))
            archive.recall(each.cell for _, each in found)


def _floor(suite: Suite) -> float | None:
    return None if suite.policy is None else suite.policy.floor
