"""Measuring: courses are consumed in their order, all at once, batch by batch, each until its contests are decided.

    courses ─▶ tasks (round robin) ─▶ execute ─▶ outcomes in order ─▶ units ─▶ contests, guards, floors, slices

Results are consumed in the committed order, never in that of their arrival: a refusal is short and comes first.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from promptreg.core.canonical import Json, canonical
from promptreg.core.grade import Job, grade
from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.run import Call, Completion, Fingerprint, Outcome, Task
from promptreg.core.schema import Schema
from promptreg.core.suite import Case
from promptreg.core.verdict import Verdict
from promptreg.execute import Executor
from promptreg.workflow.check.course import EXCLUDED, SAME, Course, strata
from promptreg.workflow.check.gates import Gate
from promptreg.workflow.check.judges import Judged

HEAD = "head"
EXPECTED_SHOWN = 2_000  # characters of an expected answer that a reader gets


@dataclass(frozen=True, slots=True)
class Fold:
    """Something else that looks at a course: *saw* gets each graded answer and its role, *add* each unit against base."""

    saw: Callable[[str, Outcome], None]
    add: Callable[[Unit], None]


@dataclass(slots=True, eq=False)
class Running:
    """A course under way."""

    gate: Gate
    course: Course
    views: list[Judged]
    line: deque[_InFlight] = field(default_factory=deque)
    next: int = 0  # the next unit to ask for
    consumed: int = 0
    stopped: bool = False
    calls_made: int = 0
    calls_known: int = 0
    cost_usd: float | None = None
    interleaved: bool = True
    models: dict[str, set[str]] = field(default_factory=dict)  # role → reported models
    quarantined: list[Pair] = field(default_factory=list)
    folds: tuple[Fold, ...] = ()

    @property
    def over(self) -> bool:
        return self.stopped or (self.next >= len(self.course.units) and not self.line)

    @property
    def early(self) -> bool:
        """Whether it ended before its last unit."""
        return self.consumed < len(self.course.units)


@dataclass(slots=True, eq=False)
class _InFlight:
    """A unit whose answers are on their way."""

    unit: tuple[int, ...]
    key: str
    left: int
    answers: dict[tuple[int, str], list[Graded]] = field(default_factory=dict)
    aside: bool = False


class Measurement:
    """Consumes courses. `graded` outcomes also go to *witness*, once each, for whoever keeps records."""

    def __init__(
        self,
        executor: Executor,
        running: Sequence[Running],
        witness: Callable[[Running, str, Outcome], None] | None = None,
    ) -> None:
        self._executor = executor
        self._running = list(running)
        self._witness = witness
        self._owners: deque[tuple[Running, _InFlight, int, str]] = deque()
        self._schemas: dict[int, Schema] = {}

    def run(self) -> None:
        """Until every course is over. Raises Interrupted, StoreError and what a task raises that is the user's to mend."""
        lanes = self._executor.lanes.values()
        batch = max((view.policy.batch for each in self._running for view in each.views), default=1)
        widest = max((lane.concurrency for lane in lanes), default=1)
        window = max(2 * batch, widest, 2 * len(self._running))
        total = sum(self._jobs_of(each) for each in self._running) if all(self._fixed(each) for each in self._running) else None
        with closing(self._executor.run(self._tasks(), window, total=total)) as outcomes:
            for outcome in outcomes:
                self._arrived(outcome)
        for each in self._running:
            self._drain(each)

    # asking ---------------------------------------------------------------------------------------------------------------

    def _tasks(self) -> Iterator[Task]:
        active = list(self._running)
        for each in active:
            yield from self._aside(each)
        while active:
            for each in active:
                yield from self._batch(each)
            active = [each for each in active if not each.stopped and each.next < len(each.course.units)]

    def _batch(self, running: Running) -> Iterator[Task]:
        size = max((view.policy.batch for view in running.views), default=1)
        for _ in range(size):
            if running.stopped or running.next >= len(running.course.units):
                return
            unit = running.course.units[running.next]
            flight = _InFlight(unit, running.course.keys[running.next], 0)
            running.next += 1
            running.line.append(flight)
            yield from self._unit(running, flight)
            if not flight.left:
                self._drain(running)

    def _aside(self, running: Running) -> Iterator[Task]:
        """Quarantined cases are measured, and do not count."""
        for position in sorted(running.course.quarantined):
            flight = _InFlight((position,), "", 0, aside=True)
            running.line.append(flight)
            yield from self._unit(running, flight)
        self._drain(running)

    def _unit(self, running: Running, flight: _InFlight) -> Iterator[Task]:
        jobs = [found for position in flight.unit for found in self._jobs(running.course, position)]
        flight.left = len(jobs)
        for position, role, job in jobs:
            self._owners.append((running, flight, position, role))
            yield grade(job)

    def _jobs(self, course: Course, position: int) -> Iterator[tuple[int, str, Job]]:
        case = course.spool[position]
        stream = course.stream
        if course.asks_head(position):
            if not course.head_blocked(position):
                for slot in course.head_slots:
                    yield position, HEAD, course.job(stream.head, case, slot, HEAD)
        elif course.head_flags[position] != EXCLUDED:
            for slot in course.head_slots:
                if self._free(course, course.call(stream.head, case, slot)):
                    yield position, HEAD, course.job(stream.head, case, slot, HEAD)
        for index, reference in enumerate(stream.references):
            if reference.contender is not None and course.asks(position, index):
                for slot in course.slots[index]:
                    yield position, str(index), course.job(reference.contender, case, slot, str(index))

    def _free(self, course: Course, call: Call) -> bool:
        """Whether the answer to an unchanged case is known and grading it asks nobody: then scores and floors look at it."""
        if any(check.metric.cached for check in course.stream.checks):
            return False
        known = self._executor.known([call])
        return Fingerprint(call.key, call.slot) in known

    def _fixed(self, running: Running) -> bool:
        return all(view.policy.mode == "fixed" for view in running.views)

    def _jobs_of(self, running: Running) -> int:
        course = running.course
        return sum(1 for unit in course.units for position in unit for _ in self._jobs(course, position))

    # answers --------------------------------------------------------------------------------------------------------------

    def _arrived(self, outcome: Outcome) -> None:
        running, flight, position, role = self._owners.popleft()
        running.calls_made += outcome.calls_made
        running.calls_known += outcome.calls_known
        if outcome.calls_made and outcome.cost_usd is not None:
            running.cost_usd = (running.cost_usd or 0.0) + outcome.cost_usd
        if outcome.completion is not None and outcome.completion.reported_model:
            running.models.setdefault(role, set()).add(outcome.completion.reported_model)
        flight.answers.setdefault((position, role), []).append(self._graded(outcome))
        flight.left -= 1
        if self._witness is not None:
            self._witness(running, role, outcome)
        for fold in running.folds:
            fold.saw(role, outcome)
        if not flight.left:
            self._drain(running)

    def _drain(self, running: Running) -> None:
        """Hands on, in order, the units whose answers are all there."""
        while running.line and not running.line[0].left:
            flight = running.line.popleft()
            if flight.aside:
                running.quarantined.extend(self._pairs(running, flight, 0, ()) if running.course.flags else ())
            elif not running.stopped:
                self._consume(running, flight)

    def _consume(self, running: Running, flight: _InFlight) -> None:
        running.consumed += 1
        course = running.course
        made: dict[tuple[str, ...], list[Unit]] = {}
        for judged in running.views:
            by = judged.policy.slices.by if judged.policy.slices else ()
            if by not in made:
                made[by] = [Unit(flight.key, self._pairs(running, flight, index, by)) for index in range(len(course.flags))]
            units = made[by]
            alone = units[0] if units else Unit(flight.key, self._candidates(running, flight))
            for contest, unit in zip(judged.contests, units, strict=True):
                if contest is not None and unit.pairs:
                    contest.add(unit)
            if judged.guards is not None:
                judged.guards.add(units[0])
            if judged.parts is not None:
                judged.parts.add(units[0])
            if judged.floor is not None:
                judged.floor.add(alone)
        for fold in running.folds:
            fold.add(Unit(flight.key, self._pairs(running, flight, 0, ())))
        running.stopped = bool(course.flags) and not course.stream.whole and _settled(running)

    def _pairs(self, running: Running, flight: _InFlight, index: int, by: Sequence[str]) -> list[Pair]:
        course = running.course
        out = []
        for position in flight.unit:
            flag = course.flags[index][position]
            if flag == EXCLUDED:
                continue
            case = course.spool[position]
            head = self._head(course, flight, position)
            base = head if flag == SAME else tuple(flight.answers.get((position, str(index)), ()))
            out.append(_pair(case, base, head, same=flag == SAME, by=by))
        return out

    def _candidates(self, running: Running, flight: _InFlight) -> list[Pair]:
        course = running.course
        return [
            _pair(course.spool[position], (), self._head(course, flight, position), same=False, by=())
            for position in flight.unit
            if course.head_flags[position] != EXCLUDED
        ]

    def _head(self, course: Course, flight: _InFlight, position: int) -> tuple[Graded, ...]:
        if course.head_blocked(position):
            return (Graded(passed=None, score=None, failure="no_recording"),) * len(course.head_slots)
        return tuple(flight.answers.get((position, HEAD), ()))

    def _graded(self, outcome: Outcome) -> Graded:
        completion = outcome.completion
        failed = next((check for check in outcome.checks if not check.passed), None)
        if completion is None:
            return Graded(passed=None, score=None, failure=outcome.failure.kind if outcome.failure else "garbled")
        used = completion.usage
        counted = used.input_tokens is not None and used.output_tokens is not None
        return Graded(
            passed=outcome.passed,
            score=outcome.score,
            failure=outcome.failure.kind if outcome.failure else None,
            cost_usd=outcome.cost_usd,
            tokens=(used.input_tokens or 0) + (used.output_tokens or 0) if counted else None,
            latency_s=completion.latency_s if outcome.calls_made else None,
            refused=completion.stop.refused,
            well_formed=self._well_formed(outcome),
            length=len(completion.text),
            reported_model=completion.reported_model,
            tools=_tools(completion),
            answer=completion.text,
            reason=failed.reason if failed else "",
            read=_read(outcome),
        )

    def _well_formed(self, outcome: Outcome) -> bool | None:
        """Whether the answer has the form that a `json` check or the prompt's output schema demands; None where none does."""
        forms = [check.passed for check in outcome.checks if check.metric == "json"]
        if forms:
            return all(forms)
        schema = outcome.call.output_schema
        if schema is None or outcome.completion is None:
            return None
        compiled = self._schemas.setdefault(id(schema), Schema(schema))
        try:
            return not compiled.complaints(json.loads(outcome.completion.text))
        except (ValueError, RecursionError):
            return False


def _read(outcome: Outcome) -> str | None:
    """What the checks read off the answer, where any reads something."""
    found = [check.read for check in outcome.checks if check.read is not None]
    return "\n".join(found) if found else None


def _pair(case: Case, base: tuple[Graded, ...], head: tuple[Graded, ...], *, same: bool, by: Sequence[str]) -> Pair:
    return Pair(
        case=case.id,
        base=base,
        head=head,
        same=same,
        where=case.where,
        expected=_expected(case)[:EXPECTED_SHOWN],
        strata=strata(case, by),
    )


def _tools(completion: Completion) -> str:
    """Which tools an answer calls, with the names of their arguments: its shape, not what it says."""
    shapes: list[Json] = [
        {"name": call.name, "arguments": sorted(call.arguments) if isinstance(call.arguments, dict) else None}
        for call in completion.tool_calls
    ]
    return canonical(shapes).decode() if shapes else ""


def _expected(case: Case) -> str:
    if case.expected is None or isinstance(case.expected, str):
        return case.expected or ""
    return canonical(case.expected).decode()


def _settled(running: Running) -> bool:
    """Whether no further answer is needed: a FAIL against base is one of the gate; else every contest must be decided."""
    kinds = [reference.kind for reference in running.course.stream.references]
    decided = [
        (kind, contest.decided)
        for judged in running.views
        for kind, contest in zip(kinds, judged.contests, strict=True)
        if contest is not None
    ]
    if not decided:
        return False
    if any(kind == "base" and verdict is Verdict.FAIL for kind, verdict in decided):
        return True
    return all(verdict is not None for _, verdict in decided)
