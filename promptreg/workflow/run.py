"""Run: every case of the chosen suites on every model, known answers first, and a report of what held."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TypeAlias

from promptreg import __version__
from promptreg.core.catalogue import ModelSpec
from promptreg.core.grade import Job, grade
from promptreg.core.plan import Budget, Plan, Wanted, plan, refuse
from promptreg.core.report import Cell, Report
from promptreg.core.run import Outcome, Task
from promptreg.core.tally import CellTally, exit_code
from promptreg.errors import UsageError, Where
from promptreg.execute import Executor, Lane, Spent
from promptreg.workflow.preparation import Bench, Choice, Model, prepare
from promptreg.workflow.recording import Recorder, offline
from promptreg.workflow.records import Archive, RunsMode, Subject, open_archive, subject
from promptreg.workflow.records import Recorder as Archivist
from promptreg.workflow.world import World

# Up to so many samples are rendered before the first is paid for, so that a faulty row costs nothing;
# beyond, rendering goes along with the calls and memory stays bounded (3 kB a sample).
RENDERED_FIRST = 10_000
WINDOW_PER_CALL = 4  # samples in flight for each call in flight: enough that no model waits for another's

Sample: TypeAlias = tuple[str, Job]  # suite name, job
CellName: TypeAlias = tuple[str, str, str]  # suite, prompt, model


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What `run` was asked for. With `replay` no model is asked: answers come from `recording`, or from the store.

    `runs` says what of the runs branch is used: its answers (read), and whether ours are left there and pushed.
    """

    choice: Choice = field(default_factory=Choice)
    concurrency: int | None = None
    record: Path | None = None
    replay: bool = False
    recording: Path | None = None
    runs: RunsMode = "off"

    def adapt(self, spec: ModelSpec) -> ModelSpec:
        """A catalogue entry as this run sees it: with a recording, answered from there under its alias."""
        if self.recording is None:
            return spec
        options = {"recording": str(self.recording.absolute())}
        where = Where(str(self.recording))
        return replace(spec, provider="recorded", model=spec.alias, options=options, where=where, marks={}, written={})


def plan_run(world: World, request: RunRequest) -> Plan:
    """The calls of a run and those nobody has made yet, with their price; asks nobody."""
    with _bench(world, request) as bench, _executor(world, bench, request, None) as executor:
        _Branch.of(world, bench, request, [])
        return plan(_wanted(_samples(world, bench)), executor.known)


def run(world: World, request: RunRequest) -> Report:
    """Runs and reports. UsageError: the user can mend it. BudgetExceeded: before the first call. Interrupted: after Ctrl-C."""
    started = time.monotonic()
    notes: list[str] = []
    with ExitStack() as stack:
        bench = stack.enter_context(_bench(world, request))
        recorder = stack.enter_context(Recorder(request.record, bench.aliases())) if request.record else None
        executor = stack.enter_context(_executor(world, bench, request, recorder))
        branch = _Branch.of(world, bench, request, notes)
        cells = _measure(world, bench, executor, branch.saw if branch else None)
        if branch is not None:
            branch.leave(request.runs)
        notes += _notes(world, bench)
        return reported(world, cells, executor.spent, time.monotonic() - started, tuple(notes))


class _Branch:
    """A run's dealings with the runs branch."""

    def __init__(self, archive: Archive, subjects: Mapping[CellName, Subject]) -> None:
        self._archive = archive
        self._subjects = subjects
        self._recorder = Archivist(archive, "run")

    @classmethod
    def of(cls, world: World, bench: Bench, request: RunRequest, notes: list[str]) -> _Branch | None:
        """None where the branch is not wanted, or where there is no Git. Its answers become known here."""
        archive = None if request.runs == "off" else open_archive(world, note=notes.append)
        if archive is None:
            if request.runs in ("write", "push"):
                raise UsageError("there is no Git repository here to record in", hint="git init, then commit; or --runs off")
            return None
        found = cls(archive, dict(subjects(world, bench)))
        if archive.branch.exists and request.recording is None:
            archive.recall(each.cell for each in found._subjects.values())
        return found

    def saw(self, suite: str, outcome: Outcome) -> None:
        self._recorder.add(self._subjects[suite, outcome.prompt, outcome.model], outcome)

    def leave(self, mode: RunsMode) -> None:
        if mode in ("write", "push"):
            self._recorder.write()
        if mode == "push":
            self._archive.branch.push()


def subjects(world: World, bench: Bench) -> Iterator[tuple[CellName, Subject]]:
    """What the outcomes of each cell are of, for whoever keeps records."""
    for prepared in bench.suites:
        written = world.registry.suite(prepared.suite.name)
        suite = replace(written, prompts=world.registry.prompts_matching(written.prompts, written.place("prompts")))
        for one in prepared.prompts:
            for model in prepared.models:
                alias = model.spec.alias
                yield (suite.name, one.name, alias), subject(suite, one.prompt, one.name, alias, model.identity)


@contextmanager
def _bench(world: World, request: RunRequest) -> Iterator[Bench]:
    bench = prepare(world, request.choice, request.adapt)
    try:
        yield bench
    finally:
        bench.close()


def _executor(world: World, bench: Bench, request: RunRequest, recorder: Recorder | None) -> Executor:
    def lane(model: Model) -> Lane:
        provider = offline(model.provider) if request.replay else model.provider
        return Lane.of(model.spec, provider, concurrency=request.concurrency)

    return Executor(
        {model.identity.digest: lane(model) for model in bench.models.values()},
        world.store,
        world.registry.settings.budget,
        world.progress,
        recorder.add if recorder else None,
    )


def _measure(
    world: World, bench: Bench, executor: Executor, witness: Callable[[str, Outcome], None] | None = None
) -> tuple[Cell, ...]:
    """Every cell, measured. *witness* sees each outcome with the name of its suite."""
    samples = _samples(world, bench)
    first = list(islice(samples, RENDERED_FIRST))
    whole = len(first) < RENDERED_FIRST
    budget = world.registry.settings.budget
    if budget != Budget():
        refuse(plan(_wanted(first if whole else _samples(world, bench)), executor.known), budget)
    tallies = {
        (prepared.suite.name, prompt, model): CellTally(prepared.suite, prompt, model)
        for prepared in bench.suites
        for prompt, model in prepared.cells()
    }
    owners: deque[str] = deque()  # the suites of the tasks under way: outcomes come in the order of tasks

    def tasks() -> Iterator[Task]:
        for suite, job in chain(first, samples):
            owners.append(suite)
            yield grade(job)

    window = WINDOW_PER_CALL * sum(lane.concurrency for lane in executor.lanes.values())
    with closing(executor.run(tasks(), window, total=len(first) if whole else None)) as outcomes:
        for outcome in outcomes:
            suite = owners.popleft()
            tallies[suite, outcome.prompt, outcome.model].add(outcome)
            if witness is not None:
                witness(suite, outcome)
    return tuple(tally.cell() for tally in tallies.values())


def _samples(world: World, bench: Bench) -> Iterator[Sample]:
    for prepared in bench.suites:
        for job in prepared.jobs(world.registry.cases(prepared.suite)):
            yield prepared.suite.name, job


def _wanted(samples: Iterable[Sample]) -> Iterator[Wanted]:
    return (Wanted(model=job.model, call=job.call, price=job.price) for _, job in samples)


def _notes(world: World, bench: Bench) -> tuple[str, ...]:
    """What holds the run's budget less than its owner may think: whoever asks over a network is paid, and has a price."""
    usd = world.registry.settings.budget.usd
    unpriced = sorted(
        alias for alias, model in bench.models.items() if model.spec.price is None and "origin" in model.identity.facts
    )
    if usd is None or not unpriced:
        return ()
    return (f"the budget of ${usd:g} does not count {', '.join(unpriced)}: promptreg.yaml gives no `price`",)


def reported(world: World, cells: tuple[Cell, ...], spent: Spent, duration_s: float, notes: tuple[str, ...] = ()) -> Report:
    """*cells* as the report of a run of *world*'s registry."""
    commit, dirty = world.registry.head()
    priced = any(cell.cost_usd is not None for cell in cells) or spent.usd > 0
    return Report(
        cells=cells,
        notes=notes,
        exit_code=int(exit_code(cells)),
        created=datetime.fromtimestamp(world.now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        version=__version__,
        registry=world.registry.settings.registry,
        commit=commit,
        dirty=dirty,
        duration_s=duration_s,
        calls_made=spent.calls_made,
        calls_known=spent.calls_known,
        spent_usd=spent.usd if priced else None,
    )
