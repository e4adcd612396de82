"""Baseline: several answers to every case of what is merged, so that no single lucky one becomes what others are judged by.

    refresh    asks for the repeats that are lacking, grades them, leaves them on the runs branch
    baselines  what is known of them already; asks nobody
    recalled   one job, answered and graded by what a store knows
    noise      how much base differs from itself, for a gate to plan with

A baseline's repeats have slots of their own, from core.run.BASELINE on. A slot that holds an answer which a check would read is
never asked again: nothing can be repeated until it passes. An answer older than its model's `max_age` is not read by anybody any
more, so that its slot is empty again; the old answer stays where it is, and the new one is another observation under the same slot.
A refresh with an age of its own, below the model's, cannot replace what a check still reads: it fills further slots instead.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, cast

from promptreg.core.ci import refuse_untrusted
from promptreg.core.flaky import ENOUGH, Baseline, BaselineTally, discordance
from promptreg.core.grade import Job, grade
from promptreg.core.pair import On
from promptreg.core.plan import Budget, Plan, Wanted, plan, refuse
from promptreg.core.run import BASELINE, Call, CallKey, Failure, Fingerprint, Outcome, Recall, Received, Score, Task
from promptreg.core.suite import Case
from promptreg.errors import ExitCode, UsageError
from promptreg.execute import Executor, Lane, Spent
from promptreg.store import Store
from promptreg.workflow.preparation import Bench, Choice, Model, PreparedSuite, Slots, prepare
from promptreg.workflow.records import Archive, Recorder, Subject, open_archive
from promptreg.workflow.run import WINDOW_PER_CALL, CellName, subjects
from promptreg.workflow.surroundings import read_surroundings
from promptreg.workflow.world import World

DAY_S = 86_400.0
LIMIT = BASELINE + 500_000  # slots from here on are what a check asked anew beside head (workflow/check/judging.py): no baseline
Observation: TypeAlias = tuple[CallKey, int, float | None]  # what names one answer in a store: call, slot, when it was seen
UNKNOWN = Failure(kind="no_recording", message="no answer is known, and nobody is asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshRequest:
    """How many repeats every case is to have, and how old they may be at most (None: as old as its model's `max_age` says)."""

    choice: Choice = field(default_factory=Choice)
    repeats: int = ENOUGH
    max_age_days: float | None = None
    push: bool = False
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Baselines:
    """What is known. Of a refresh also what it cost; `records` are paths on the runs branch."""

    baselines: tuple[Baseline, ...]
    commit: str | None
    notes: tuple[str, ...] = ()
    spent: Spent = field(default_factory=Spent)
    records: tuple[str, ...] = ()
    duration_s: float = 0.0

    @property
    def missing(self) -> int:
        return sum(each.missing for each in self.baselines)

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.UNMEASURED if self.missing else ExitCode.OK


def refuse_unfit(world: World, command: str) -> None:
    """UsageError where the answers to what lies here may be nobody's baseline: *command* would make them one."""
    refuse_untrusted(read_surroundings(world.env), command)
    commit, dirty = world.registry.head()
    if commit is None:
        raise UsageError("a baseline belongs to a commit, and there is none here", hint="git init, then commit the registry")
    if dirty:
        raise UsageError(
            "a baseline belongs to a commit, and the registry's own files are not as HEAD has them",
            hint="commit them, or put them aside (git stash); `promptreg run --repeats` measures what is not committed",
        )


def plan_refresh(world: World, request: RefreshRequest) -> Plan:
    """The calls that `refresh` would make. Refused where `refresh` would be; asks nobody."""
    refuse_unfit(world, "baseline refresh")
    with open_table(world, request.choice) as table, executor_of(table, request.concurrency) as executor:
        return plan(table.wanted(table.slots(request)), executor.known)


def refresh(world: World, request: RefreshRequest, command: str = "baseline refresh") -> Baselines:
    """Fills the baseline's empty slots and says what it then is. UsageError, BudgetExceeded and Interrupted as `run`."""
    started = time.monotonic()
    refuse_unfit(world, command)
    with open_table(world, request.choice) as table, executor_of(table, request.concurrency) as executor:
        slots = table.slots(request)
        planned = plan(table.wanted(slots), executor.known)
        if world.registry.settings.budget != Budget():
            refuse(planned, world.registry.settings.budget)
        recorder = Recorder(table.archive, "baseline") if table.archive else None
        recorded = _recorded(table)
        tallies = table.tallies()
        for suite, outcome in _outcomes(executor, table.jobs(slots, tallies), sum(line.wanted for line in planned.lines)):
            key = suite, outcome.prompt, outcome.model
            tallies[key].add(outcome)
            if recorder is not None and _is_news(outcome, recorded):
                recorder.add(table.subjects[key], outcome)
        written = recorder.write() if recorder is not None else ()
        if request.push and table.archive is not None:
            table.archive.branch.push()
        found = table.said(tallies)
        notes = (*table.notes, *_remarks(found))
        spent, duration_s = executor.spent, time.monotonic() - started
    commit, _ = world.registry.head()
    return Baselines(baselines=found, commit=commit, notes=notes, spent=spent, records=written, duration_s=duration_s)


def baselines(world: World, choice: Choice) -> Baselines:
    """The repeats that the store and the runs branch hold, graded by what is known."""
    with open_table(world, choice) as table:
        tallies = table.tallies()
        for suite, model, job in table.jobs(table.known, tallies):
            tallies[suite, job.prompt, job.model].add(recalled(job, table.store, since(model, world.now())))
        found = table.said(tallies)
        commit, _ = world.registry.head()
        return Baselines(baselines=found, commit=commit, notes=(*table.notes, *_remarks(found)))


def recalled(job: Job, store: Store, since: float | None = None) -> Outcome:
    """*job*, answered and graded by what *store* knows; what it does not know is missing. *since* is for the job's own answer."""
    task = grade(job)
    answer: Received | Score | None = None
    try:
        while True:
            request = task.send(answer)
            if isinstance(request, Call):
                name = request.fingerprint
                known = store.known([name], since=since if request is job.call else None).get(name)
                answer = Received(result=UNKNOWN if known is None else known, known=known is not None)
            elif isinstance(request, Recall):
                answer = store.score(request.key)
            else:
                store.put_score(request.key, request.score)
                answer = None
    except StopIteration as end:
        return cast(Outcome, end.value)


def noise(cases: Iterable[Iterable[Job]], store: Store, since: float | None, on: On) -> float | None:
    """How much base differs from itself: the discordance of each case's repeats, by what *store* knows; asks nobody.

    None where no case has two that are judged. An answer whose judge would have to be asked does not take part.
    """
    return discordance(_values(repeats, store, since, on) for repeats in cases)


def _values(repeats: Iterable[Job], store: Store, since: float | None, on: On) -> list[float]:
    found = (recalled(job, store, since) for job in repeats)
    values = (outcome.score if on == "score" else outcome.passed for outcome in found)
    return [float(value) for value in values if value is not None]


def since(model: Model, now: float) -> float | None:
    """Answers of *model* from before that (seconds since the epoch) are not known any more; None: they do not age."""
    age = model.spec.max_age_days
    return None if age is None else now - age * DAY_S


def baseline_slots(store: Store, key: Call, since: float | None) -> list[int]:
    """The baseline's slots of a call that hold an answer, ascending."""
    return [slot for slot in store.slots(key.key, since=since) if BASELINE <= slot < LIMIT]


# what is asked for -----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Table:
    """A bench, the store, and the runs branch with what its records are of. Answers of the branch are in the store."""

    world: World
    bench: Bench
    store: Store
    archive: Archive | None
    subjects: Mapping[CellName, Subject]
    notes: list[str]

    def known(self, model: Model, call: Call) -> Iterable[int]:
        """The slots that hold an answer."""
        if not model.provider.stored:
            return ()
        return baseline_slots(self.store, call, since(model, self.world.now()))

    def slots(self, request: RefreshRequest) -> Slots:
        """What *request* wants: the slots that hold an answer, and those that are to be filled."""
        now, age = self.world.now(), request.max_age_days

        def wanted(model: Model, call: Call) -> Iterable[int]:
            if not model.provider.stored:
                return ()
            oldest = since(model, now)
            held = baseline_slots(self.store, call, oldest)
            stale = set() if age is None else self._stale(call, held, oldest, now - age * DAY_S)
            return sorted({*held, *_filled(request.repeats, stale)})

        return wanted

    def _stale(self, call: Call, held: Iterable[int], since: float | None, limit: float) -> set[int]:
        """Those of *held* whose answer a check still reads, but which was seen before *limit*."""
        found = self.store.known([Fingerprint(call.key, slot) for slot in held], since=since)
        return {name.slot for name, answer in found.items() if answer.observed_at is not None and answer.observed_at < limit}

    def wanted(self, slots: Slots) -> Iterator[Wanted]:
        return (Wanted(model=job.model, call=job.call, price=job.price) for _, _, job in self.jobs(slots))

    def jobs(self, slots: Slots, tallies: Mapping[CellName, BaselineTally] | None = None) -> Iterator[tuple[str, Model, Job]]:
        """The jobs of all suites, with suite and model. *tallies* hear of every case, also of those without a job."""
        for prepared in self.bench.suites:
            cases = self.world.registry.cases(prepared.suite)
            heard = cases if tallies is None else _heard(cases, prepared, tallies)
            for job in prepared.jobs(heard, slots):
                yield prepared.suite.name, self.bench.models[job.model], job

    def tallies(self) -> dict[CellName, BaselineTally]:
        return {
            (prepared.suite.name, prompt, model): BaselineTally(prepared.suite.name, prompt, model)
            for prepared in self.bench.suites
            for prompt, model in prepared.cells()
        }

    def said(self, tallies: Mapping[CellName, BaselineTally]) -> tuple[Baseline, ...]:
        """The baselines of models whose answers are kept."""
        kept = {alias for alias, model in self.bench.models.items() if model.provider.stored}
        return tuple(tally.baseline() for (_, _, model), tally in tallies.items() if model in kept)


def _filled(repeats: int, stale: set[int]) -> Iterator[int]:
    """So many slots from the first on, those not counted that are too old and cannot be replaced."""
    slot = BASELINE
    while repeats > 0 and slot < LIMIT:
        if slot not in stale:
            repeats -= 1
            yield slot
        slot += 1


def _heard(cases: Iterable[Case], prepared: PreparedSuite, tallies: Mapping[CellName, BaselineTally]) -> Iterator[Case]:
    told = [tallies[prepared.suite.name, prompt, model] for prompt, model in prepared.cells()]
    for case in cases:
        for tally in told:
            tally.untouched(case.id, case.where)
        yield case


@contextmanager
def open_table(world: World, choice: Choice) -> Iterator[Table]:
    """What *choice* names, with the answers that the runs branch holds made known to the store."""
    if world.store is None:
        raise UsageError("a baseline is kept in the store, and there is none", hint="leave out --no-store")
    notes: list[str] = []
    bench = prepare(world, choice)
    try:
        archive = open_archive(world, note=notes.append)
        found = dict(subjects(world, bench))
        if archive is not None and archive.branch.exists:
            archive.recall({subject.cell: None for subject in found.values()})
        notes += [
            f"answers of {alias} are not kept, so that it has no baseline: a check asks it for both sides"
            for alias, model in bench.models.items()
            if not model.provider.stored
        ]
        yield Table(world, bench, world.store, archive, found, notes)
    finally:
        bench.close()


def executor_of(table: Table, concurrency: int | None) -> Executor:
    """Makes the calls of all models on the table, under the registry's budget."""
    world, now = table.world, table.world.now()
    lanes = {
        model.identity.digest: Lane.of(model.spec, model.provider, concurrency=concurrency, since=since(model, now))
        for model in table.bench.models.values()
    }
    return Executor(lanes, world.store, world.registry.settings.budget, world.progress)


def _outcomes(executor: Executor, jobs: Iterable[tuple[str, Model, Job]], total: int) -> Iterator[tuple[str, Outcome]]:
    """What came of *jobs*, in their order, with the names of their suites."""
    owners: deque[str] = deque()

    def tasks() -> Iterator[Task]:
        for suite, _, job in jobs:
            owners.append(suite)
            yield grade(job)

    window = WINDOW_PER_CALL * max(1, sum(lane.concurrency for lane in executor.lanes.values()))
    with closing(executor.run(tasks(), window, total=total)) as outcomes:
        for outcome in outcomes:
            yield owners.popleft(), outcome


def _recorded(table: Table) -> set[Observation]:
    """The baseline's answers that the runs branch holds: they are not written there twice."""
    if table.archive is None or not table.archive.branch.exists:
        return set()
    records = table.archive.records({subject.cell: None for subject in table.subjects.values()})
    return {answer.observation for record in records for answer in record.answers if answer.slot >= BASELINE}


def _is_news(outcome: Outcome, recorded: set[Observation]) -> bool:
    answer = outcome.completion
    return answer is not None and (outcome.call.key, outcome.call.slot, answer.observed_at) not in recorded


def _remarks(found: Iterable[Baseline]) -> Iterator[str]:
    for each in found:
        place = f"{each.suite} · {each.prompt} · {each.model}"
        if each.identical:
            yield f"{place}: all {each.least} repeats of every case say the same: more of them tell nothing new"
        if len(each.reported_models) > 1:
            yield f"{place}: answers of several models: {', '.join(each.reported_models)}; a check asks base again beside head"
