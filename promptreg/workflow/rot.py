"""Rot: every prompt of the chosen suites on other models, paired case by case with the reference model.

The machinery is that of a check: a gate for each suite × prompt × model, whose candidate is the prompt on the other model and whose
base is the same prompt on the reference. Every case is measured (mode fixed), and Holm's procedure runs over the cells. Both sides
answer in the same slots: neither was chosen for its answers, as a merged prompt was.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from promptreg import __version__
from promptreg.core import rot as values
from promptreg.core.drift import Drift
from promptreg.core.families import exit_code, judge, standing
from promptreg.core.identity import behaviour_digest
from promptreg.core.names import unversioned
from promptreg.core.pair import Pair, Unit
from promptreg.core.plan import Budget, Plan, plan, refuse
from promptreg.core.records import Cell
from promptreg.core.rot import Content, RotCell, RotReport
from promptreg.core.run import Outcome
from promptreg.core.select import matching
from promptreg.core.suite import Policy, Suite
from promptreg.core.verdict import GateReport, Verdict
from promptreg.errors import UsageError
from promptreg.execute import Executor, Lane
from promptreg.metrics.refusal import Refusal
from promptreg.store import Store
from promptreg.workflow.baseline import since
from promptreg.workflow.check.course import Course, lay_out
from promptreg.workflow.check.gates import Contender, Gate, Reference, Stream
from promptreg.workflow.check.judges import rules
from promptreg.workflow.check.judging import family_sizes, gate_report, start
from promptreg.workflow.check.measure import HEAD, Fold, Measurement, Running
from promptreg.workflow.check.sides import Party
from promptreg.workflow.content import Contents
from promptreg.workflow.preparation import Complaints, Model, build_model
from promptreg.workflow.records import Archive, Recorder, RunsMode, Subject, open_archive, subject
from promptreg.workflow.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class RotRequest:
    """*reference* is the model that the others are held against, by default each suite's first; *models* the others, by default all
    that the suite names; *moves* are pairs of both, and then nothing else is measured. Empty *suites* and *prompts* mean all.

    *naming*: only suites that name the reference. *runs* says what of the runs branch is used, as for a run.
    """

    reference: str = ""
    models: tuple[str, ...] = ()
    moves: tuple[tuple[str, str], ...] = ()
    suites: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    concurrency: int | None = None
    undecided_blocks: bool | None = None
    naming: bool = False
    runs: RunsMode = "off"

    @property
    def aliases(self) -> tuple[str, ...]:
        """Every model that is asked for by name."""
        named = [self.reference, *self.models, *(alias for move in self.moves for alias in move)]
        return tuple(dict.fromkeys(filter(None, named)))

    def pairs(self, suite: Suite) -> Iterator[tuple[str, str]]:
        """The reference and the other model of each cell of *suite*, each pair once."""
        reference = self.reference or suite.models[0]
        if self.naming and reference not in suite.models:
            return
        wanted = self.moves or tuple((reference, alias) for alias in self.models or suite.models)
        yield from dict.fromkeys((old, new) for old, new in wanted if old != new)


def plan_rot(world: World, request: RotRequest) -> Plan:
    """The calls of the matrix and those nobody has made yet; asks nobody."""
    with _cells(world, request) as laid, _executor(world, request, laid) as executor:
        _Branch.of(world, request, laid, [])
        return plan((wanted for course in laid.courses.values() for wanted in course.wanted()), executor.known)


def rot(world: World, request: RotRequest) -> RotReport:
    """The matrix. UsageError for unknown names and where nothing is left to compare; BudgetExceeded before the first call."""
    started = time.monotonic()
    notes: list[str] = []
    with _remembering(world) as own, _cells(own, request) as laid, _executor(own, request, laid) as executor:
        branch = _Branch.of(own, request, laid, notes)
        budget = own.registry.settings.budget
        if budget != Budget():
            refuse(plan((wanted for course in laid.courses.values() for wanted in course.wanted()), executor.known), budget)
        sizes = family_sizes(laid.courses, {gate: [course] for gate, course in laid.courses.items()})
        measured = [_start(gate, course, sizes) for gate, course in laid.courses.items()]
        Measurement(
            executor, [each for each, _ in measured], branch.saw if branch and request.runs in ("write", "push") else None
        ).run()
        spent = executor.spent
        if branch is not None:
            branch.leave(request.runs)
    cells = tuple(_judged(laid, measured))
    report = _report(world, request, cells)
    return replace(
        report,
        notes=tuple(notes),
        calls_made=spent.calls_made,
        calls_known=spent.calls_known,
        cost_usd=spent.usd if any(model.spec.price for model in laid.models.values()) else None,
        duration_s=time.monotonic() - started,
    )


def upgrade(world: World, request: RotRequest, requests_per_month: int | None = None) -> RotReport:
    """The matrix of one move, from `request.reference` to the one of `request.models`, with what it saves."""
    (new,) = request.models
    report = rot(world, replace(request, naming=True))
    return replace(report, upgrade=values.upgrade(report.cells, request.reference, new, requests_per_month))


@contextmanager
def _remembering(world: World) -> Iterator[World]:
    """*world*; without a store, with one for as long as this lasts: the reference is asked once, whoever is held against it."""
    if world.store is not None:
        yield world
        return
    with (
        tempfile.TemporaryDirectory(prefix="promptreg-") as folder,
        closing(Store.open(Path(folder, "store.sqlite3"), world.now)) as store,
    ):
        yield replace(world, store=store)


# the cells --------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Laid:
    """Every cell of the matrix, laid out, and the models that they ask."""

    courses: dict[Gate, Course] = field(default_factory=dict)
    references: dict[Gate, str] = field(default_factory=dict)
    models: dict[str, Model] = field(default_factory=dict)


@contextmanager
def _cells(world: World, request: RotRequest) -> Iterator[Laid]:
    laid = Laid()
    try:
        _lay(world, request, laid)
        yield laid
    finally:
        for course in laid.courses.values():
            course.spool.close()
        for model in laid.models.values():
            model.provider.close()


def _lay(world: World, request: RotRequest, laid: Laid) -> None:
    party = Party("head", world)
    complaints = Complaints()
    wanted = world.registry.prompts_matching(request.prompts) if request.prompts else None
    for alias in request.aliases:
        with complaints:
            _model(world, alias, laid)
    for name in matching(request.suites, world.registry.suite_names(), "suite"):
        with complaints:
            made = list(_streams(party, party.suite(name), wanted, request, laid))
            laid_out = lay_out([stream for _, _, stream in made], None, world.now()) if made else []
            for (gate, reference, _), course in zip(made, laid_out, strict=True):
                course.slots = [tuple(course.head_slots)]
                laid.courses[gate], laid.references[gate] = course, reference
    complaints.raise_all()
    if not laid.courses:
        raise _nothing(request)


def _nothing(request: RotRequest) -> UsageError:
    if request.prompts:
        return UsageError("no chosen suite tests the chosen prompts", hint="promptreg list shows prompts and their suites")
    if request.naming and request.reference not in request.models:
        hint = f"promptreg rot --from {request.reference} --to {' --to '.join(request.models)} asks every suite"
        return UsageError(f"no chosen suite names the model '{request.reference}'", hint=hint)
    return UsageError("there is no other model to compare with", hint="promptreg rot --from OLD --to NEW; or name two in a suite")


def _streams(
    party: Party, suite: Suite, wanted: Sequence[str] | None, request: RotRequest, laid: Laid
) -> Iterator[tuple[Gate, str, Stream]]:
    policy = replace(suite.policy or Policy(), mode="fixed", target="population", floor=None)
    for prompt in suite.prompts:
        if wanted is not None and prompt not in wanted and unversioned(prompt) not in wanted:
            continue
        for reference, alias in request.pairs(suite):
            renderer = party.renderer(prompt)
            base, head = (Contender(renderer=renderer, model=_model(party.world, name, laid)) for name in (reference, alias))
            gate = Gate(suite=suite.name, prompt=prompt, model=alias, new=False, changed=["model"], candidate=renderer.prompt)
            stream = Stream(
                judge=party,
                suite=suite,
                checks=party.checks(suite),
                policies=(("head", policy),),
                head=head,
                references=(Reference(kind="base", revision=reference, contender=base),),
                seed=f"{suite.name}\n{prompt}\n{alias}\n{reference}",
            )
            yield gate, reference, stream


def _model(world: World, alias: str, laid: Laid) -> Model:
    if alias not in laid.models:
        laid.models[alias] = build_model(world, alias, None, lambda spec: spec)
    return laid.models[alias]


@contextmanager
def _executor(world: World, request: RotRequest, laid: Laid) -> Iterator[Executor]:
    lanes = {
        model.identity.digest: Lane.of(model.spec, model.provider, concurrency=request.concurrency, since=since(model, world.now()))
        for model in laid.models.values()
    }
    with Executor(lanes, world.store, world.registry.settings.budget, world.progress) as executor:
        yield executor


# the runs branch --------------------------------------------------------------------------------------------------------------


class _Branch:
    """What the matrix takes from the runs branch and leaves there: each answer once, however many are held against it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._recorder = Recorder(archive, "run")
        self._seen: set[tuple[Cell, str, int]] = set()
        self._subjects: dict[tuple[int, str], Subject] = {}

    @classmethod
    def of(cls, world: World, request: RotRequest, laid: Laid, notes: list[str]) -> _Branch | None:
        """None where the branch is not wanted, or where there is no Git. Its answers become known here."""
        archive = None if request.runs == "off" else open_archive(world, note=notes.append)
        if archive is None:
            if request.runs in ("write", "push"):
                raise UsageError("there is no Git repository here to record in", hint="git init, then commit; or --runs off")
            return None
        if archive.branch.exists:
            archive.recall(dict.fromkeys(cell for gate, course in laid.courses.items() for cell in _recorded(gate, course)))
        return cls(archive)

    def saw(self, running: Running, role: str, outcome: Outcome) -> None:
        of = self._subject(running, role)
        said = (of.cell, outcome.case.id, outcome.call.slot)
        if said not in self._seen:
            self._seen.add(said)
            self._recorder.add(of, outcome)

    def leave(self, mode: RunsMode) -> None:
        if mode in ("write", "push"):
            self._recorder.write()
        if mode == "push":
            self._archive.branch.push()

    def _subject(self, running: Running, role: str) -> Subject:
        key = id(running.course.stream), role
        if key not in self._subjects:
            stream = running.course.stream
            contender = stream.head if role == HEAD else stream.references[int(role)].contender
            assert contender is not None
            model = contender.model
            self._subjects[key] = subject(stream.suite, contender.prompt, running.gate.prompt, model.spec.alias, model.identity)
        return self._subjects[key]


def _recorded(gate: Gate, course: Course) -> Iterator[Cell]:
    """Where the answers of both sides of a gate would be recorded."""
    for contender in (course.stream.head, course.stream.references[0].contender):
        assert contender is not None
        yield Cell(
            suite=gate.suite,
            prompt=unversioned(gate.prompt),
            behaviour=behaviour_digest(contender.prompt),
            alias=contender.model.spec.alias,
            identity=contender.model.identity.digest,
        )


# measuring --------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Totals:
    """Sums of a number that both sides have, over the answers of which both are known."""

    n: int = 0
    base: float = 0.0
    head: float = 0.0

    def add(self, base: float | None, head: float | None) -> None:
        if base is not None and head is not None:
            self.n += 1
            self.base += base
            self.head += head

    @property
    def ratio(self) -> float | None:
        return self.head / self.base if self.base else None

    @property
    def means(self) -> tuple[float | None, float | None]:
        return (self.base / self.n, self.head / self.n) if self.n else (None, None)


@dataclass(slots=True)
class Folds:
    """What a cell learns besides its verdict."""

    drift: Drift
    contents: Contents
    costs: Totals = field(default_factory=Totals)
    tokens: Totals = field(default_factory=Totals)

    def add(self, unit: Unit) -> None:
        self.drift.add(unit)
        self.contents.add(unit)
        for pair in unit.pairs:
            if not pair.same:
                self._count(pair)

    def _count(self, pair: Pair) -> None:
        for base, head in zip(pair.base, pair.head, strict=False):
            self.costs.add(base.cost_usd, head.cost_usd)
            self.tokens.add(base.tokens, head.tokens)


def _start(gate: Gate, course: Course, sizes: Mapping[bool, int]) -> tuple[Running, Folds]:
    running = start(gate, course, sizes)
    ((origin, policy),) = course.stream.policies
    folds = Folds(
        Drift(course.stream.seed, refuses=Refusal().declines), Contents(course, rules(gate, course, 0, origin, policy, 1))
    )
    running.folds = (Fold(folds.contents.saw, folds.add),)
    return running, folds


# the report -------------------------------------------------------------------------------------------------------------------


def _judged(laid: Laid, measured: Sequence[tuple[Running, Folds]]) -> Iterator[RotCell]:
    """The cells: their verdicts corrected over the family, and so are those on their contents."""
    gates = judge([gate_report(each.gate, [each]) for each, _ in measured])
    contents = [folds.contents.finish() for _, folds in measured]
    told = [(gate, content) for gate, content in zip(gates, contents, strict=True) if content is not None]
    alone = judge([replace(gate, comparisons=(content.comparison,), guards=(), slices=(), reason=None) for gate, content in told])
    corrected = iter(replace(content, comparison=gate.comparisons[0]) for (_, content), gate in zip(told, alone, strict=True))
    for (running, folds), gate, content in zip(measured, gates, contents, strict=True):
        found = next(corrected) if content is not None else None
        yield _cell(laid, running, folds, gate, None if gate.verdict is Verdict.UNMEASURED else found)


def _cell(laid: Laid, running: Running, folds: Folds, gate: GateReport, content: Content | None) -> RotCell:
    drift = folds.drift.results()
    reference_cost, cost = folds.costs.means
    return RotCell(
        suite=gate.suite,
        prompt=gate.prompt,
        model=gate.model,
        reference=laid.references[running.gate],
        gate=gate,
        content=content,
        drift=drift,
        latency_ratio=next((each.ratio for each in drift if each.kind == "latency"), None),
        tokens_ratio=folds.tokens.ratio,
        cost_usd=cost,
        reference_cost_usd=reference_cost,
        retires=running.course.stream.head.model.spec.retires,
    )


def _report(world: World, request: RotRequest, cells: tuple[RotCell, ...]) -> RotReport:
    commit, dirty = world.registry.head()
    gates = [cell.gate for cell in cells]
    open_ = {cell.suite for cell in cells if cell.gate.verdict is Verdict.UNDECIDED}
    policies = [world.registry.suite(name).policy for name in sorted(open_)]
    blocks = any(policy is not None and policy.undecided == "block" for policy in policies)
    return RotReport(
        cells=cells,
        models=tuple(dict.fromkeys(cell.model for cell in cells)),
        created=datetime.fromtimestamp(world.now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        version=__version__,
        registry=world.registry.settings.registry,
        commit=commit,
        dirty=dirty,
        exit_code=exit_code(
            standing(gates), undecided_blocks=blocks if request.undecided_blocks is None else request.undecided_blocks
        ),
    )
