"""Check: a change against what it changes. The sentence of the house for two revisions:

    revisions ─▶ reach ─▶ sides ─▶ gates ─▶ courses ─▶ measurement ─▶ families ─▶ report

Each step narrows what the next one looks at. Where nothing is left, nobody is called, and the report says why.
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
from promptreg.core.ci import refuse_untrusted
from promptreg.core.families import exit_code, judge, overall, standing
from promptreg.core.names import unversioned
from promptreg.core.plan import Budget, Plan, plan, refuse
from promptreg.core.select import matching
from promptreg.core.verdict import CheckReport, Finding, GateReport, Side, Unaffected, Verdict
from promptreg.errors import UsageError
from promptreg.execute import Executor, Lane
from promptreg.registry import Registry
from promptreg.registry.changes import changed_paths
from promptreg.registry.plumbing import SHALLOW_HINT
from promptreg.store import Store
from promptreg.workflow.check.affected import Reach, concerned, reach
from promptreg.workflow.check.course import Course, lay_out
from promptreg.workflow.check.gates import Concern, Gate, Gates, Stream, unreadable
from promptreg.workflow.check.judges import foresee
from promptreg.workflow.check.judging import family_sizes, gate_report, moved, start, widened
from promptreg.workflow.check.measure import Measurement, Running
from promptreg.workflow.check.request import CheckRequest, Ground
from promptreg.workflow.check.revisions import Revisions, resolve_revisions
from promptreg.workflow.check.sides import Sides, absent, open_sides
from promptreg.workflow.check.uncovered import distrusted, uncovered
from promptreg.workflow.check.witness import Witness
from promptreg.workflow.surroundings import read_surroundings

DAY_S = 86_400.0


@dataclass(slots=True)
class Findings:
    """What was found so far, for the report."""

    gates: tuple[GateReport, ...] = ()
    findings: list[Finding] = field(default_factory=list)
    unaffected: list[Unaffected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    calls_made: int = 0
    calls_known: int = 0
    cost_usd: float | None = None
    blocks: bool = False
    planning: bool = False
    plan: Plan = field(default_factory=Plan)


def check(ground: Ground, request: CheckRequest) -> CheckReport:
    """Judges the change that *request* names. UsageError, BudgetExceeded, Interrupted as `run`; a verdict is no error."""
    started = time.monotonic()
    around = read_surroundings(ground.env)
    if request.trust_head:
        refuse_untrusted(around, "--trust-head")
    if request.accept:
        refuse_untrusted(around, "--accept")
    if request.runs in ("write", "push"):
        refuse_untrusted(around, f"--runs {request.runs}")
    revisions = resolve_revisions(ground.registry, base=request.base, head=request.head, surroundings=around, fetch=request.fetch)
    return check_revisions(ground, request, revisions, started)


def check_revisions(ground: Ground, request: CheckRequest, revisions: Revisions, started: float | None = None) -> CheckReport:
    """`check`, where the revisions are known."""
    started = time.monotonic() if started is None else started
    found = Findings(notes=list(revisions.notes))
    base, head = _registries(ground.registry, revisions)
    changes = changed_paths(ground.registry, revisions.base_commit, revisions.head_commit)
    reached = reach(base, head, changes)
    if reached.anything:
        _judge(ground, request, revisions, reached, (base, head), found)
    else:
        found.unaffected = [Unaffected(suite=name, why="no file of the registry changed") for name in head.suite_names()]
    return _report(ground, revisions, found, time.monotonic() - started)


def plan_check(ground: Ground, request: CheckRequest) -> Plan:
    """The calls that measuring everything would ask for, at most; asks nobody."""
    around = read_surroundings(ground.env)
    revisions = resolve_revisions(ground.registry, base=request.base, head=request.head, surroundings=around, fetch=request.fetch)
    base, head = _registries(ground.registry, revisions)
    changes = changed_paths(ground.registry, revisions.base_commit, revisions.head_commit)
    found = Findings(planning=True)
    reached = reach(base, head, changes)
    if reached.anything:
        _judge(ground, request, revisions, reached, (base, head), found)
    return found.plan


def _registries(registry: Registry, revisions: Revisions) -> tuple[Registry, Registry]:
    try:
        base = registry.at(revisions.base_commit)
    except UsageError as fault:
        raise absent(fault) from fault
    return base, registry if revisions.head_commit is None else registry.at(revisions.head_commit)


def _judge(
    ground: Ground,
    request: CheckRequest,
    revisions: Revisions,
    reached: Reach,
    registries: tuple[Registry, Registry],
    found: Findings,
) -> None:
    base, head = registries
    chosen, others = concerned(base, head, reached)
    if request.suites:
        wanted = set(matching(request.suites, sorted({*chosen, *others}), "suite"))
        chosen, others = tuple(each for each in chosen if each in wanted), tuple(each for each in others if each in wanted)
    found.unaffected = [Unaffected(suite=name, why="neither it nor a prompt that it tests changed") for name in others]
    with open_sides(ground, base, head, reached.paths, trust_head=request.trust_head) as sides:
        found.findings += distrusted(sides)
        _refuse_unread_tags(request, revisions)
        concern = Gates(sides, reached, revisions.base_commit, request).of(chosen)
        witness = Witness(ground, request, sides, revisions)
        with _remembering(ground) as own:
            _measure(Bench(own, request, sides, witness), concern, found)
        found.findings += concern.findings
        if found.planning:
            return
        if not request.suites and not request.prompts:
            found.findings += uncovered(sides, reached, concern, found.notes)
        found.findings = witness.accepted_findings(found.findings)
        witness.leave()


def _refuse_unread_tags(request: CheckRequest, revisions: Revisions) -> None:
    if request.anchor and not revisions.tags_read:
        raise UsageError("the anchor is the last release, and this clone may lack tags", hint=SHALLOW_HINT)


@contextmanager
def _remembering(ground: Ground) -> Iterator[Ground]:
    """*ground*; without a store, with one for as long as this check lasts: base's suite and head's ask for the same answers."""
    if ground.store is not None:
        yield ground
        return
    with (
        tempfile.TemporaryDirectory(prefix="promptreg-") as folder,
        closing(Store.open(Path(folder, "store.sqlite3"), ground.now)) as store,
    ):
        yield replace(ground, store=store)


@dataclass(frozen=True, slots=True)
class Bench:
    """What measuring needs."""

    ground: Ground
    request: CheckRequest
    sides: Sides
    witness: Witness


def _measure(bench: Bench, concern: Concern, found: Findings) -> None:
    """Every gate's courses, consumed and judged."""
    bench.witness.recall(concern.gates)
    courses = _courses(bench.ground, concern)
    gates = _visible(concern, courses, whole=not bench.request.suites and not bench.request.prompts)
    seen = {gate.suite for gate in gates}
    found.unaffected += [
        Unaffected(suite=name, why="nothing that it asks or how it grades changed", gates=count)
        for name, count in sorted(concern.untouched.items())
        if name not in seen
    ]
    if not gates:
        return
    sizes = family_sizes(gates, courses)
    running = [start(gate, course, sizes) for gate in gates for course in courses[gate]]
    with _executor(bench) as executor:
        if found.planning:
            found.plan = plan((wanted for each in running for wanted in each.course.wanted()), executor.known)
            return
        _refuse_dear(bench, executor, running)
        foresee(executor, running)
        _announce(bench.ground, running)
        Measurement(executor, running, bench.witness.saw).run()
        running = _again(executor, running, sizes, bench.witness)
        _spent(bench, executor, found)
    raw = [gate_report(gate, [each for each in running if each.gate is gate]) for gate in gates]
    found.gates = bench.witness.accepted(gates, judge(raw))
    undecided = {(each.suite, each.prompt, each.model) for each in found.gates if each.verdict is Verdict.UNDECIDED}
    open_ = [each for each in running if (each.gate.suite, each.gate.prompt, each.gate.model) in undecided]
    blocks = any(view.policy.undecided == "block" for each in open_ for view in each.views)
    found.blocks = blocks if bench.request.undecided_blocks is None else bench.request.undecided_blocks
    bench.witness.record(gates, found.gates)


def _spent(bench: Bench, executor: Executor, found: Findings) -> None:
    spent = executor.spent
    found.calls_made, found.calls_known = spent.calls_made, spent.calls_known
    found.cost_usd = spent.usd if any(model.spec.price for model in bench.sides.models) else None


def _courses(ground: Ground, concern: Concern) -> dict[Gate, list[Course]]:
    """The courses of each gate. A suite's data are read once for all gates that it judges."""
    groups: dict[tuple[int, str], list[tuple[Gate, Stream]]] = {}
    for gate in concern.gates:
        for stream in gate.streams:
            groups.setdefault((id(stream.judge), stream.suite.name), []).append((gate, stream))
    found: dict[Gate, list[Course]] = {gate: [] for gate in concern.gates}
    for members in groups.values():
        try:
            courses = lay_out([stream for _, stream in members], ground.store, ground.now())
        except UsageError as fault:
            judge, suite = members[0][1].judge, members[0][1].suite
            if judge.origin != "base":
                raise
            concern.findings.append(unreadable(f"the data of the suite '{suite.name}'", fault))
            continue
        for (gate, _), course in zip(members, courses, strict=True):
            found[gate].append(course)
    concern.gates = [gate for gate in concern.gates if found[gate]]
    return found


def _visible(concern: Concern, courses: Mapping[Gate, list[Course]], *, whole: bool) -> list[Gate]:
    """Gates that can see the change: some call differs, or how it is judged does. The others are unaffected.

    A new prompt without a floor is judged by nothing: where the *whole* change is looked at, `uncovered` speaks of it.
    """
    out = []
    for gate in concern.gates:
        name, judged = unversioned(gate.prompt), any(course.judged for course in courses[gate])
        seen = judged and any(course.sees for course in courses[gate])
        concern.tested[name] = concern.tested.get(name, False) or seen
        if whole and not judged:
            continue
        if not seen and not set(gate.changed) & {"data", "metric", "policy", "suite"}:
            concern.untouched[gate.suite] = concern.untouched.get(gate.suite, 0) + 1
        else:
            out.append(gate)
    return out


@contextmanager
def _executor(bench: Bench) -> Iterator[Executor]:
    ground, lanes = bench.ground, {}
    for model in bench.sides.models:
        age = model.spec.max_age_days
        since = None if age is None else ground.now() - age * DAY_S
        lanes[model.identity.digest] = Lane.of(model.spec, model.provider, concurrency=bench.request.concurrency, since=since)
    with Executor(lanes, ground.store, bench.sides.base.settings.budget, ground.progress) as executor:
        yield executor


def _refuse_dear(bench: Bench, executor: Executor, running: Sequence[Running]) -> None:
    budget = bench.sides.base.settings.budget
    if budget != Budget():
        refuse(plan((wanted for each in running for wanted in each.course.wanted()), executor.known), budget)


def _announce(ground: Ground, running: Sequence[Running]) -> None:
    """What to expect, before the first call."""
    for each in running:
        for view in each.views:
            if view.forecast is not None:
                for line in view.forecast.text:
                    ground.announce(f"{each.gate.suite} · {each.gate.prompt} · {each.gate.model}: {line}")


def _again(executor: Executor, running: list[Running], sizes: Mapping[bool, int], witness: Witness) -> list[Running]:
    """Where the model behind one identity moved between base's answers and head's, base is asked again beside head."""
    redo = [each for each in running if moved(each)]
    if not redo:
        return running
    fresh = {id(each): start(each.gate, widened(each.course), sizes) for each in redo}
    Measurement(executor, list(fresh.values()), witness.saw).run()
    return [fresh.get(id(each), each) for each in running]


def _report(ground: Ground, revisions: Revisions, found: Findings, duration_s: float) -> CheckReport:
    verdict = overall(found.gates, found.findings)
    stands = standing(found.gates, found.findings)
    head_commit, dirty = ground.registry.head() if revisions.head_commit is None else (revisions.head_commit, False)
    return CheckReport(
        verdict=verdict,
        exit_code=exit_code(stands, undecided_blocks=found.blocks),
        base=Side(revision=revisions.base_as_written, commit=revisions.base_commit),
        head=Side(revision=revisions.head_as_written, commit=head_commit, dirty=dirty),
        created=datetime.fromtimestamp(ground.now(), UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        version=__version__,
        registry=ground.registry.settings.registry,
        gates=found.gates,
        findings=tuple(found.findings),
        unaffected=tuple(found.unaffected),
        notes=tuple(found.notes),
        duration_s=duration_s,
        calls_made=found.calls_made,
        calls_known=found.calls_known,
        calls_saved=sum(gate.calls_saved for gate in found.gates),
        cost_usd=found.cost_usd,
        accepted=verdict is Verdict.FAIL and stands is not Verdict.FAIL,
    )
