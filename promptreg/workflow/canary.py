"""Canary: asks every model a few old questions again and says whether the one behind its name has changed, without golden answers.

Tonight's answers go to sample slots of their own, one for each day: asking twice on one day costs nothing and changes nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime

from promptreg.core.canary import ALPHA, Heard, Night, Sign
from promptreg.core.grade import Job, grade
from promptreg.core.plan import Budget, Plan, Wanted, plan, refuse
from promptreg.core.run import BASELINE, Call, Completion, Fingerprint, Task
from promptreg.core.schema import Schema
from promptreg.core.select import Entry, sample
from promptreg.core.suite import Case, pair_key
from promptreg.errors import ExitCode
from promptreg.execute import Executor, Spent
from promptreg.metrics.refusal import Refusal
from promptreg.workflow.baseline import Table, baseline_slots, executor_of, open_table, since
from promptreg.workflow.preparation import Choice, Model, PreparedSuite
from promptreg.workflow.world import World

CANARY = 2 * BASELINE  # and the day's number: above whatever a baseline fills
DAY_S = 86_400.0
CASES = 60  # of a suite, asked each night: METHODS E2


@dataclass(frozen=True, slots=True, kw_only=True)
class CanaryRequest:
    """*cases* of each suite are asked, the same ones every night."""

    choice: Choice = field(default_factory=Choice)
    cases: int = CASES
    alpha: float = ALPHA
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """One suite × prompt × model tonight. `moved`: the names reported before and tonight, where they differ."""

    suite: str
    prompt: str
    model: str
    cases: int
    differing: int
    repeats: int  # stored answers that the poorest case has
    missing: int
    signs: tuple[Sign, ...]
    before: tuple[str, ...] = ()
    tonight: tuple[str, ...] = ()

    @property
    def moved(self) -> bool:
        return bool(self.before and self.tonight and set(self.tonight) - set(self.before))

    @property
    def alarm(self) -> bool:
        return any(sign.alarm for sign in self.signs)

    @property
    def judged(self) -> bool:
        """Whether anything could alarm: without repeats drift is only reported."""
        return bool(self.signs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """One night."""

    watches: tuple[Watch, ...]
    day: str
    alpha: float
    notes: tuple[str, ...] = ()
    spent: Spent = field(default_factory=Spent)
    duration_s: float = 0.0

    @property
    def exit_code(self) -> ExitCode:
        """1 for an alarm; 4 where answers are missing or nothing could be judged; a new reported name alone is no alarm."""
        if any(each.alarm for each in self.watches):
            return ExitCode.REGRESSION
        lacking = any(each.missing for each in self.watches) or not any(each.judged for each in self.watches)
        return ExitCode.UNMEASURED if lacking else ExitCode.OK


def plan_canary(world: World, request: CanaryRequest) -> Plan:
    """The calls that tonight would make; asks nobody."""
    with open_table(world, request.choice) as table, executor_of(table, request.concurrency) as executor:
        return plan(_wanted(table, request), executor.known)


def canary(world: World, request: CanaryRequest) -> Canary:
    """Asks, compares, and says what changed. UsageError, BudgetExceeded and Interrupted as `run`."""
    started = time.monotonic()
    with open_table(world, request.choice) as table, executor_of(table, request.concurrency) as executor:
        if world.registry.settings.budget != Budget():
            refuse(plan(_wanted(table, request), executor.known), world.registry.settings.budget)
        watches = tuple(_watches(table, request, executor))
        notes, spent = tuple(table.notes), executor.spent
    day = datetime.fromtimestamp(world.now(), UTC).date().isoformat()
    return Canary(watches=watches, day=day, alpha=request.alpha, notes=notes, spent=spent, duration_s=time.monotonic() - started)


def _wanted(table: Table, request: CanaryRequest) -> Iterator[Wanted]:
    for prepared in table.bench.suites:
        for job in _jobs(table, prepared, _chosen(table, prepared, request.cases)):
            yield Wanted(model=job.model, call=job.call, price=job.price)


def _watches(table: Table, request: CanaryRequest, executor: Executor) -> Iterator[Watch]:
    for prepared in table.bench.suites:
        jobs = list(_jobs(table, prepared, _chosen(table, prepared, request.cases)))
        cells: dict[tuple[str, str], _Cell] = {}
        for job, answer in zip(jobs, _answers(executor, jobs), strict=True):
            model = table.bench.models[job.model]
            cell = cells.setdefault((job.prompt, job.model), _Cell(Night(alpha=request.alpha)))
            cell.add(job, answer, _stored(table, model, job.call))
        for (prompt, model_name), cell in cells.items():
            yield cell.watch(prepared.suite.name, prompt, model_name)


@dataclass(slots=True)
class _Cell:
    night: Night
    repeats: int | None = None
    missing: int = 0
    before: set[str] = field(default_factory=set)
    tonight: set[str] = field(default_factory=set)

    def add(self, job: Job, answer: Completion | None, stored: Sequence[Completion]) -> None:
        self.repeats = len(stored) if self.repeats is None else min(self.repeats, len(stored))
        self.before |= {each.reported_model for each in stored if each.reported_model}
        if answer is None:
            self.missing += 1
            return
        if answer.reported_model:
            self.tonight.add(answer.reported_model)
        self.night.add([_heard(each, job) for each in stored], _heard(answer, job))

    def watch(self, suite: str, prompt: str, model: str) -> Watch:
        return Watch(
            suite=suite,
            prompt=prompt,
            model=model,
            cases=self.night.cases,
            differing=self.night.differing,
            repeats=self.repeats or 0,
            missing=self.missing,
            signs=self.night.signs(),
            before=tuple(sorted(self.before)),
            tonight=tuple(sorted(self.tonight)),
        )


def _chosen(table: Table, prepared: PreparedSuite, most: int) -> list[Case]:
    """The same *most* cases every night: the lowest by the hash of their inputs."""
    cases = table.world.registry.cases(prepared.suite)
    kept = sample((Entry(pair_key(case.inputs), "", position) for position, case in enumerate(cases)), most, "canary")
    return [case for position, case in enumerate(table.world.registry.cases(prepared.suite)) if position in kept]


def _jobs(table: Table, prepared: PreparedSuite, cases: Iterable[Case]) -> Iterator[Job]:
    slot = CANARY + int(table.world.now() // DAY_S)

    def tonight(model: Model, call: Call) -> Iterable[int]:  # noqa: ARG001
        return (slot,) if model.provider.stored else ()

    return prepared.jobs(cases, tonight)


def _answers(executor: Executor, jobs: Sequence[Job]) -> Iterator[Completion | None]:
    """Tonight's answers, in order; None for what is missing. Nobody grades them."""
    from dataclasses import replace

    def tasks() -> Iterator[Task]:
        return (grade(replace(job, checks=(), metrics=())) for job in jobs)

    with closing(executor.run(tasks(), total=len(jobs))) as outcomes:
        for outcome in outcomes:
            yield outcome.completion


def _stored(table: Table, model: Model, call: Call) -> list[Completion]:
    """The baseline's answers to the same question."""
    oldest = since(model, table.world.now())
    names = [Fingerprint(call.key, slot) for slot in baseline_slots(table.store, call, oldest)]
    found = table.store.known(names, since=oldest)
    return [found[name] for name in names if name in found]


def _heard(completion: Completion, job: Job) -> Heard:
    text = completion.text
    return Heard(
        text=text, refused=completion.stop.refused or Refusal().declines(text), well_formed=_formed(text, job.call.output_schema)
    )


def _formed(text: str, schema: object) -> bool | None:
    if not isinstance(schema, dict):
        return None
    try:
        return not Schema(schema).complaints(json.loads(text))
    except (ValueError, RecursionError):
        return False
