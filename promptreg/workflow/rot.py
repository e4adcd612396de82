"""Rot: every prompt of the chosen suites on other models, paired case by case with the reference model.

The machinery is that of a check: a gate for each suite × prompt × model, whose candidate is the prompt on the other model and whose
base is the same prompt on the reference. Every case is measured (mode fixed), and Holm's procedure runs over the cells.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from promptreg import __version__
from promptreg.core.contest import Contest
from promptreg.core.drift import Drift
from promptreg.core.families import exit_code, judge, standing
from promptreg.core.pair import Graded, Unit
from promptreg.core.plan import Budget, Plan, plan, refuse
from promptreg.core.protocols import Answer
from promptreg.core.rot import RotCell, RotReport
from promptreg.core.run import Outcome, Score
from promptreg.core.select import matching
from promptreg.core.suite import Policy
from promptreg.core.unwrapped import unwrapped
from promptreg.core.verdict import GateReport, Verdict
from promptreg.errors import UsageError
from promptreg.execute import Executor, Lane
from promptreg.metrics.refusal import Refusal
from promptreg.workflow.baseline import since
from promptreg.workflow.check.course import Course, lay_out
from promptreg.workflow.check.gates import Contender, Gate, Reference, Stream
from promptreg.workflow.check.judges import rules
from promptreg.workflow.check.judging import family_sizes, gate_report, start
from promptreg.workflow.check.measure import HEAD, Fold, Measurement, Running
from promptreg.workflow.check.sides import Party
from promptreg.workflow.preparation import Complaints, Model, build_model
from promptreg.workflow.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class RotRequest:
    """*reference* is the model that the others are held against, by default each suite's first; *models* the others, by default all
    that the suite names. Empty *suites* and *prompts* mean all."""

    reference: str = ""
    models: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    concurrency: int | None = None
    undecided_blocks: bool | None = None
    naming: bool = False  # only suites that name the reference


def plan_rot(world: World, request: RotRequest) -> Plan:
    """The calls of the matrix and those nobody has made yet; asks nobody."""
    with _cells(world, request) as laid, _executor(world, request, laid) as executor:
        return plan((wanted for course in laid.courses.values() for wanted in course.wanted()), executor.known)


def rot(world: World, request: RotRequest) -> RotReport:
    """The matrix. UsageError for unknown names and where nothing is left to compare; BudgetExceeded before the first call."""
    started = time.monotonic()
    with _cells(world, request) as laid, _executor(world, request, laid) as executor:
        budget = world.registry.settings.budget
        if budget != Budget():
            refuse(plan((wanted for course in laid.courses.values() for wanted in course.wanted()), executor.known), budget)
        sizes = family_sizes(laid.courses, {gate: [course] for gate, course in laid.courses.items()})
        running = [_start(gate, course, sizes) for gate, course in laid.courses.items()]
        Measurement(executor, [each for each, _ in running]).run()
        spent = executor.spent
    gates = judge([gate_report(each.gate, [each]) for each, _ in running])
    cells = tuple(_cell(laid, each, folds, gate) for (each, folds), gate in zip(running, gates, strict=True))
    return _report(world, request, laid, cells, (spent.calls_made, spent.calls_known, spent.usd, time.monotonic() - started))


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
        for model in laid.models.values():
            model.provider.close()


def _lay(world: World, request: RotRequest, laid: Laid) -> None:
    party = Party("head", world)
    complaints = Complaints()
    for name in matching(request.suites, world.registry.suite_names(), "suite"):
        with complaints:
            if request.naming and request.reference not in party.suite(name).models:
                continue
            made = list(_streams(party, name, request, laid))
            laid_out = lay_out([stream for _, _, stream in made], world.store, world.now()) if made else []
            for (gate, reference, _), course in zip(made, laid_out, strict=True):
                course.slots = [tuple(course.head_slots)]  # neither side won anything: both are asked alike
                course.noise = [None]
                laid.courses[gate], laid.references[gate] = course, reference
    complaints.raise_all()
    if not laid.courses:
        raise UsageError(
            "there is no other model to compare with", hint="promptreg rot --from OLD --to NEW; or name two models in a suite"
        )


def _streams(party: Party, name: str, request: RotRequest, laid: Laid) -> Iterator[tuple[Gate, str, Stream]]:
    suite = party.suite(name)
    reference = request.reference or suite.models[0]
    others = [alias for alias in (request.models or suite.models) if alias != reference]
    prompts = [prompt for prompt in suite.prompts if not request.prompts or prompt in request.prompts]
    base = _model(party.world, reference, laid)
    policy = replace(suite.policy or Policy(), mode="fixed", target="population", floor=None)
    for prompt in prompts:
        renderer = party.renderer(prompt)
        for alias in others:
            gate = Gate(suite=name, prompt=prompt, model=alias, new=False, changed=["model"], candidate=renderer.prompt)
            against = Reference(kind="base", revision=reference, contender=Contender(renderer=renderer, model=base))
            yield (
                gate,
                reference,
                Stream(
                    judge=party,
                    suite=suite,
                    checks=party.checks(suite),
                    policies=(("head", policy),),
                    head=Contender(renderer=renderer, model=_model(party.world, alias, laid)),
                    references=(against,),
                    seed=f"{name}\n{prompt}\n{alias}\n{reference}",
                ),
            )


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


# measuring --------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Folds:
    """What a cell learns besides its verdict."""

    drift: Drift
    content: Content
    costs: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    latencies: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))
    tokens: tuple[list[float], list[float]] = field(default_factory=lambda: ([], []))

    def add(self, unit: Unit) -> None:
        self.drift.add(unit)
        self.content.add(unit)
        for pair in unit.pairs:
            for side, answers in enumerate((pair.base, pair.head)):
                for answer in answers:
                    _keep(self.costs[side], answer.cost_usd)
                    _keep(self.latencies[side], answer.latency_s)
                    _keep(self.tokens[side], answer.tokens)


class Content:
    """The same contest over unwrapped answers. Where a check asks a model, or nothing was wrapped, nothing is told apart."""

    def __init__(self, course: Course, contest: Contest) -> None:
        self._checks = course.stream.checks
        self.contest = contest
        self.possible = not any(check.metric.cached for check in self._checks)
        self.wrapped = 0
        self._values: dict[tuple[str, str, int], Graded] = {}

    def saw(self, role: str, outcome: Outcome) -> None:
        """One graded answer, before its unit is handed on."""
        if self.possible and outcome.completion is not None and outcome.failure is None:
            self._values[outcome.case.id, role, outcome.call.slot] = self._graded(outcome)

    def add(self, unit: Unit) -> None:
        if not self.possible:
            return
        pairs = []
        for pair in unit.pairs:
            base = tuple(self._values.pop((pair.case, "0", slot), each) for slot, each in enumerate(pair.base))
            head = tuple(self._values.pop((pair.case, HEAD, slot), each) for slot, each in enumerate(pair.head))
            pairs.append(replace(pair, base=base, head=head))
        self.contest.add(Unit(unit.key, pairs))

    def _graded(self, outcome: Outcome) -> Graded:
        """The answer graded unwrapped: each check by its own way to look at content, or on the text without its wrapping."""
        assert outcome.completion is not None
        plain = unwrapped(outcome.completion.text)
        passed, values, weights, told = True, 0.0, 0.0, plain != outcome.completion.text
        answer = Answer(
            completion=replace(outcome.completion, text=plain),
            case=outcome.case,
            messages=outcome.call.messages,
            cost_usd=outcome.cost_usd,
            output_schema=outcome.call.output_schema,
        )
        for check in self._checks:
            metric = check.for_case(outcome.case)
            other = getattr(metric, "unwrapped", None)
            told = told or other is not None
            found = (other() if other is not None else metric).score(answer)
            assert isinstance(found, Score)
            result = check.result(found)
            passed = passed and (result.passed or not result.required)
            values += result.weight * result.value
            weights += result.weight
        self.wrapped += told
        return Graded(passed=passed, score=values / weights if weights else None, answer=plain, length=len(plain))


def _start(gate: Gate, course: Course, sizes: Mapping[bool, int]) -> tuple[Running, Folds]:
    running = start(gate, course, sizes)
    ((origin, policy),) = course.stream.policies
    contest = Contest(rules(gate, course, 0, origin, policy, sizes[False]))
    folds = Folds(Drift(course.stream.seed, refuses=_refuses), Content(course, contest))
    running.folds = (Fold(folds.content.saw, folds.add),)
    return running, folds


def _refuses(text: str) -> bool:
    return Refusal().declines(text)


def _keep(into: list[float], value: float | None) -> None:
    if value is not None:
        into.append(float(value))


# the report -------------------------------------------------------------------------------------------------------------------


def _cell(laid: Laid, running: Running, folds: Folds, gate: GateReport) -> RotCell:
    course = running.course
    content = folds.content.contest.finish(consumed_all=True) if folds.content.possible and folds.content.wrapped else None
    return RotCell(
        suite=gate.suite,
        prompt=gate.prompt,
        model=gate.model,
        reference=laid.references[running.gate],
        gate=gate,
        content=content,
        drift=folds.drift.results(),
        cost_ratio=_ratio(folds.costs),
        latency_ratio=_ratio(folds.latencies),
        tokens_ratio=_ratio(folds.tokens),
        cost_usd=_mean(folds.costs[1]),
        reference_cost_usd=_mean(folds.costs[0]),
        retires=course.stream.head.model.spec.retires,
    )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _ratio(sides: tuple[Sequence[float], Sequence[float]]) -> float | None:
    base, head = _mean(sides[0]), _mean(sides[1])
    return head / base if base and head is not None else None


def _report(
    world: World, request: RotRequest, laid: Laid, cells: tuple[RotCell, ...], spent: tuple[int, int, float, float]
) -> RotReport:
    commit, dirty = world.registry.head()
    gates = [cell.gate for cell in cells]
    open_ = {cell.suite for cell in cells if cell.gate.verdict is Verdict.UNDECIDED}
    policies = [world.registry.suite(name).policy for name in sorted(open_)]
    blocks = any(policy is not None and policy.undecided == "block" for policy in policies)
    priced = any(model.spec.price for model in laid.models.values())
    made, known, usd, duration_s = spent
    return RotReport(
        cells=cells,
        reference=request.reference,
        models=tuple(dict.fromkeys(cell.model for cell in cells)),
        created=datetime.fromtimestamp(world.now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        version=__version__,
        registry=world.registry.settings.registry,
        commit=commit,
        dirty=dirty,
        duration_s=duration_s,
        calls_made=made,
        calls_known=known,
        cost_usd=usd if priced else None,
        exit_code=exit_code(
            standing(gates), undecided_blocks=blocks if request.undecided_blocks is None else request.undecided_blocks
        ),
    )
