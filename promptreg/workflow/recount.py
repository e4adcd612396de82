"""Recount: what the answers on the runs branch say of a prompt, without asking a model and without running anybody's metric.

    tables = Recount(change, shelf, …).tables()    the gates of the change, laid out anew, with the answers on the shelf
    tally(table)                                   how many the candidate's are, and their mean

Suites, cases, prompts and policies are read from Git and rendered by the engine of `check` itself; an answer counts for a case only
if it was given to exactly what that case asks. Grades are taken from the records: whoever wants to grade anew runs the suite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from promptreg.core.canonical import Digest, Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.check import Check
from promptreg.core.identity import dataset_digest
from promptreg.core.pair import Graded, On
from promptreg.core.protocols import NoOptions
from promptreg.core.records import Recorded
from promptreg.core.run import Call, Completion, Failure, ModelIdentity
from promptreg.core.stats import pass_interval
from promptreg.core.suite import Case, Policy, Suite
from promptreg.errors import DataError
from promptreg.execute.progress import Silent
from promptreg.plugins import Plugins
from promptreg.registry import Registry
from promptreg.registry.changes import changed_paths
from promptreg.workflow.check.affected import concerned, reach
from promptreg.workflow.check.course import EXCLUDED, Course, lay_out
from promptreg.workflow.check.gates import Contender, Gate, Gates, Stream
from promptreg.workflow.check.request import CheckRequest
from promptreg.workflow.check.sides import Party, Sides
from promptreg.workflow.preparation import Model
from promptreg.workflow.shelf import Answers, Shelf
from promptreg.workflow.world import World

KeyedBy = Literal["messages", "case"]
DAY_S = 86_400.0


# the gates -------------------------------------------------------------------------------------------------------------------


class Nobody:
    """Stands where a provider stood, and is not asked."""

    name: ClassVar[str] = "nobody"
    Options: ClassVar[type] = NoOptions

    def __init__(self, keyed_by: KeyedBy) -> None:
        self.identity: Mapping[str, Json] = {}
        self.keyed_by: KeyedBy = keyed_by
        self.stored = True
        self.concurrency = 1

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:  # noqa: ARG002  a provider's shape
        return Failure(kind="no_recording", message="nobody is asked in a recount")

    def close(self) -> None: ...


class Reader(Party):
    """A party whose checks are not wanted: grades come from the records."""

    def checks(self, suite: Suite) -> tuple[Check, ...]:  # noqa: ARG002  as its parent's
        return ()


@dataclass(slots=True, eq=False)
class Shelved(Sides):
    """Sides whose models are those that the records name."""

    find: Callable[[Party, str, ModelSpec], ModelIdentity] | None = None
    keyed_by: KeyedBy = "messages"

    def model(self, party: Party, alias: str) -> Model | None:
        spec = party.settings.models.get(alias)
        if spec is None or self.find is None:
            return None
        keyed_by: KeyedBy = self.keyed_by if spec.provider == "recorded" else "messages"
        return Model(spec=spec, provider=Nobody(keyed_by), identity=self.find(party, alias, spec))


@dataclass(slots=True, eq=False)
class Table:
    """One stream of a gate, laid out, with its answers."""

    gate: Gate
    course: Course
    answers: Answers

    @property
    def suite(self) -> Suite:
        return self.course.stream.suite

    @property
    def policy(self) -> Policy:
        return self.course.stream.policies[-1][1]

    def head(self, position: int) -> list[Recorded]:
        return self._given(self.course.stream.head, position, self._head_slots(self.course.spool[position]))

    def base(self, position: int, index: int, slots: Sequence[int]) -> list[Recorded]:
        contender = self.course.stream.references[index].contender
        return [] if contender is None else self._given(contender, position, slots)

    def touch(self) -> None:
        """Looks at every answer of both sides, so that `answers.used` names all records that hold one."""
        slots = self.answers.slots()
        for position in range(self.course.cases):
            if self.course.head_flags[position] != EXCLUDED:
                self.head(position)
            for index, flags in enumerate(self.course.flags):
                if flags[position] != EXCLUDED:
                    self.base(position, index, slots)

    def _head_slots(self, case: Case) -> range:
        return range(max(self.suite.repeats, case.require.of if case.require and not self.course.flags else 1))

    def _given(self, contender: Contender, position: int, slots: Sequence[int]) -> list[Recorded]:
        case = self.course.spool[position]
        key = self.course.call(contender, case, 0).key
        return [found for slot in slots if (found := self.answers.get(key, slot, case.id)) is not None]

    def fits(self) -> bool:
        """Whether the answers, if there are any, were given to what the cases ask."""
        given = self.answers.calls
        stream = self.course.stream
        sides = [stream.head, *(each.contender for each in stream.references if each.contender)]
        asked = (
            self.course.call(side, self.course.spool[position], 0).key
            for position in range(self.course.cases)
            if self.course.head_flags[position] != EXCLUDED
            for side in sides
        )
        return not given or any(key in given for key in asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """The candidate's answers by themselves: how many were graded, the mean and its 95 % limits, and who says to have answered."""

    n: int
    missing: int
    score: float | None
    lower: float | None
    upper: float | None
    reported: tuple[str, ...]


def tally(table: Table) -> Tally:
    """The candidate's answers, counted. Where nothing is compared, a case with `require` is judged as a whole, as `run` does."""
    on: On = table.policy.on
    units: list[tuple[float, int]] = []
    reported: set[str] = set()
    missing = 0
    for unit in table.course.units:
        values: list[float] = []
        for position in unit:
            given = table.head(position)
            reported |= {one.completion.reported_model for one in given if one.completion and one.completion.reported_model}
            mine = _values(given, table.course.spool[position], on, votes=not table.course.flags)
            missing += len(table._head_slots(table.course.spool[position])) - len(mine)
            values += mine
        if values:
            units.append((sum(values), len(values)))
    n = sum(size for _, size in units)
    if not n:
        return Tally(n=0, missing=missing, score=None, lower=None, upper=None, reported=())
    lower, upper = pass_interval(units)
    score = min(1.0, sum(total for total, _ in units) / n)
    return Tally(n=n, missing=missing, score=score, lower=lower, upper=upper, reported=tuple(sorted(reported)))


def _values(given: Sequence[Recorded], case: Case, on: On, *, votes: bool) -> list[float]:
    graded = [(one.slot, value) for one in given if (value := graded_of(one).value(on)) is not None]
    if case.require is None or not votes or on == "score":
        return [value for _, value in graded]
    won = sum(value for slot, value in graded if slot < case.require.of) >= case.require.k
    return [float(won)] * len(graded)


def graded_of(answer: Recorded) -> Graded:
    """*answer* as a gate looks at it."""
    completion = answer.completion
    return Graded(
        passed=None if completion is None else answer.passed,
        score=None if completion is None else answer.score,
        failure=answer.failure,
        cost_usd=answer.cost_usd,
        refused=completion is not None and completion.stop.refused,
        reported_model=completion.reported_model if completion else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A prompt at one commit against itself at another. *base* None: alone."""

    name: str
    head: Registry
    behaviour: Digest
    base: Registry | None = None
    base_behaviour: Digest | None = None

    @property
    def behaviours(self) -> frozenset[Digest]:
        return frozenset(each for each in (self.behaviour, self.base_behaviour) if each is not None)


class Recount:
    """The gates of a change with their recorded answers. *models*: alias → who answered for head; *now* in seconds."""

    def __init__(self, change: Change, shelf: Shelf, models: Mapping[str, Digest], now: float) -> None:
        self._change, self._shelf, self._models, self._now = change, shelf, models, now

    def tables(self) -> list[Table]:
        """Every stream of every gate that tests the prompt and that the change could concern; alone, of all suites of head."""
        found = self._laid_out("messages")
        if all(table.fits() for table in found):
            return found
        return self._laid_out("case")

    def _laid_out(self, keyed_by: KeyedBy) -> list[Table]:
        sides = self._sides(keyed_by)
        gates = self._alone(sides) if self._change.base is None else self._compared(sides)
        return [self._table(gate, stream) for gate in gates for stream in gate.streams]

    def _table(self, gate: Gate, stream: Stream) -> Table:
        (course,) = lay_out([stream], None, self._now)
        age = stream.head.model.spec.max_age_days
        since = float("-inf") if age is None else self._now - age * DAY_S
        return Table(gate, course, self._shelf.of(stream.suite, since))

    def _compared(self, sides: Sides) -> Iterator[Gate]:
        base, head = sides.base.registry, sides.head.registry
        commits = str(base.snapshot.commit), str(head.snapshot.commit)
        reached = reach(base, head, changed_paths(head, *commits))
        if not reached.anything:
            return
        chosen, _ = concerned(base, head, reached)
        request = CheckRequest(prompts=(self._change.name,), anchor=False)
        yield from Gates(sides, reached, commits[0], request).of(chosen).gates

    def _alone(self, sides: Sides) -> Iterator[Gate]:
        for suite in testing(sides.head, self._change.name):
            for alias in suite.models:
                model = sides.model(sides.head, alias)
                if model is None:
                    continue
                renderer = sides.head.renderer(self._change.name)
                gate = Gate(suite=suite.name, prompt=self._change.name, model=alias, new=True, candidate=renderer.prompt)
                gate.streams.append(
                    Stream(
                        judge=sides.head,
                        suite=replace(suite, quarantine=()),  # a run counts what is set aside for gates
                        checks=(),
                        policies=(("head", suite.policy or Policy()),),
                        head=Contender(renderer=renderer, model=model),
                        references=(),
                        seed="",
                    )
                )
                yield gate

    def _sides(self, keyed_by: KeyedBy) -> Sides:
        base = self._change.base or self._change.head
        world = World(
            registry=base,
            plugins=Plugins(()),
            store=None,
            env={},
            now=lambda: self._now,
            weights=_no_weights,
            progress=Silent(),
        )
        return Shelved(
            base=Reader("base", world),
            head=Reader("head", replace(world, registry=self._change.head)),
            plugins=world.plugins,
            distrusted=(),
            find=self._identity,
            keyed_by=keyed_by,
        )

    def _identity(self, party: Party, alias: str, spec: ModelSpec) -> ModelIdentity:
        """Who answered: by the tag or verdict for head; for base the same, unless its catalogue says otherwise."""
        head = self._change.head.settings.models.get(alias)
        same = head is not None and (head.provider, head.model, head.options) == (spec.provider, spec.model, spec.options)
        known = self._models.get(alias)
        if (party.origin == "head" or same) and known is not None:
            for record in self._shelf.records.values():
                if record.header.cell.identity == known:
                    return ModelIdentity(facts=record.header.facts)
        behaviour = self._change.behaviour if party.origin == "head" else self._change.base_behaviour
        assert behaviour is not None
        found = self._shelf.identity(alias, spec, behaviour, baseline=party.origin == "base")
        return found or ModelIdentity(facts={"provider": spec.provider, "model": spec.model, **spec.options})


def testing(party: Party, prompt: str) -> list[Suite]:
    """The suites of *party* that test *prompt* as it stands, sorted by name."""
    suites = (party.suite(name) for name in party.registry.suite_names())
    return [suite for suite in suites if prompt in suite.prompts]


def data_of(table: Table) -> Digest:
    """The digest of all the data that *table*'s suite judges by."""
    return dataset_digest(table.course.stream.judge.registry.cases(table.suite))


def _no_weights(name: str) -> Any:
    raise DataError(f"nobody is asked in a recount: {name}")
