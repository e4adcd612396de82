"""The gate of a release: a verdict for exactly the behaviour that is released, and what the tag says of it.

    a release before         the gate of `check`, from that release's commit to HEAD, under `undecided: block`
    behaves as that one      nothing to judge: `unchanged`
    a first release          every suite that tests it is run and must hold its floor

Suites are read at HEAD's commit. Answers that are known, here or on the runs branch, are not asked for again; all that were used
are left on the runs branch, with the verdict, so that `verify` can count again. Knows no tags but those it is handed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from promptreg.core.canonical import Digest, Json, canonical
from promptreg.core.ci import refuse_untrusted
from promptreg.core.evidence import Measurement
from promptreg.core.families import standing
from promptreg.core.identity import behaviour_digest, checks_digest, policy_digest, suite_digest
from promptreg.core.plan import Plan
from promptreg.core.records import VerdictRecord
from promptreg.core.releases import Release
from promptreg.core.report import Cell
from promptreg.core.semver import Version
from promptreg.core.verdict import SEVERITY, CheckReport, Comparison, Finding, GateReport, Verdict
from promptreg.errors import Reason, UsageError
from promptreg.registry import Registry
from promptreg.reporters.check.json import gate_as_json
from promptreg.workflow.check.check import check_revisions, plan_check
from promptreg.workflow.check.request import CheckRequest, Ground
from promptreg.workflow.check.revisions import Revisions
from promptreg.workflow.check.sides import Sides, open_sides
from promptreg.workflow.preparation import Choice
from promptreg.workflow.records import Archive, open_archive
from promptreg.workflow.recount import Change, Recount, Table, data_of, tally, testing
from promptreg.workflow.run import RunRequest, plan_run, run
from promptreg.workflow.shelf import open_shelf
from promptreg.workflow.surroundings import read_surroundings

NO_GATE = "--no-gate REASON releases it all the same, and the tag says why"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What is to be released: the prompt *name* at the commit *head*, after *previous*, which None stands for a first release."""

    name: str
    head: str
    behaviour: Digest
    previous: Release | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a release is not made. *verdict* is FAIL, UNDECIDED or UNMEASURED."""

    verdict: Verdict
    message: str
    hint: str
    reason: Reason | None = None

    def as_json(self) -> dict[str, Json]:
        return {"verdict": self.verdict.value, "reason": self.reason, "message": self.message, "hint": self.hint}


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the gate of a release said: *verdict* and *accepted* as in the evidence; *gates* as `check --json` has them."""

    verdict: str = "none"
    accepted: str = ""
    measured: tuple[Measurement, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    gates: tuple[Mapping[str, Json], ...] = field(default=())


def judge_release(ground: Ground, candidate: Candidate) -> Proof:
    """Judges *candidate*; asks models for what is not known. UsageError in a job of a pull request; BudgetExceeded, Interrupted."""
    refuse_untrusted(read_surroundings(ground.env), "release")
    archive = open_archive(ground, note=ground.announce)
    assert archive is not None  # a release is made in a Git repository
    with _apart(ground) as here:
        if candidate.previous is None:
            return _first(here, candidate, archive)
        return _after(here, candidate, candidate.previous, archive)


def plan_gate(ground: Ground, candidate: Candidate) -> Plan:
    """The calls that judging *candidate* would ask for, at most. Asks nobody."""
    with _apart(ground) as here:
        if candidate.previous is not None:
            asked = _request(candidate.name)
            return plan_check(here, replace(asked, base=candidate.previous.commit, head=candidate.head, runs="read"))
        with _opened(here, candidate.head) as sides:
            suites = testing(sides.head, candidate.name)
            return plan_run(sides.head.world, _run_request(candidate, [suite.name for suite in suites])) if suites else Plan()


@contextmanager
def _apart(ground: Ground) -> Iterator[Ground]:
    """*ground* with a scratch folder of its own: two candidates take the same files out of Git."""
    folder = ground.scratch / f"release-{len(list(ground.scratch.iterdir()))}"
    folder.mkdir()
    yield replace(ground, scratch=folder)


@contextmanager
def _opened(ground: Ground, commit: str) -> Iterator[Sides]:
    """The registry at *commit* with its own code and models. A release is made by who may push: head is trusted."""
    head = ground.registry.at(commit)
    with open_sides(ground, head, head, frozenset(), trust_head=True) as sides:
        yield sides


# against the last release ----------------------------------------------------------------------------------------------------


def _request(name: str) -> CheckRequest:
    return CheckRequest(prompts=(name,), anchor=False, trust_head=True, undecided_blocks=True, runs="write")


def _after(ground: Ground, candidate: Candidate, previous: Release, archive: Archive) -> Proof:
    revisions = Revisions(
        base_commit=previous.commit,
        base_as_written=f"{previous.name}@{previous.version}",
        head_commit=candidate.head,
        head_as_written="HEAD",
        head_parent=candidate.head,
        tags_read=True,
    )
    try:
        report = check_revisions(ground, _request(candidate.name), revisions)
        before = behaviour_digest(ground.registry.at(previous.commit).prompt(candidate.name))
    except UsageError as fault:
        raise type(fault)(fault.message, where=fault.where, hint=fault.hint or NO_GATE, more=fault.more) from fault
    findings = [each for each in report.findings if each.prompt in ("", candidate.name)]
    gates = tuple(gate_as_json(gate) for gate in report.gates)
    unseen = all(each.unchanged >= each.n for gate in report.gates for each in gate.comparisons)
    if before != candidate.behaviour and unseen and not any(gate.verdict is Verdict.UNMEASURED for gate in report.gates):
        return Proof(refusals=(_untested(ground, candidate),), gates=gates)
    if not report.gates and not findings:
        return Proof(verdict="unchanged")
    verdict = standing(report.gates, findings)
    if verdict is not Verdict.PASS:
        return Proof(refusals=_refusals(previous.version, report, findings), gates=gates)
    said = [gate.accepted for gate in report.gates] + [finding.accepted for finding in findings]
    reasons = dict.fromkeys(reason for reason in said if reason)
    measured = _measured(ground, candidate, previous, before, archive, report.gates)
    return Proof(verdict="accepted" if reasons else "PASS", accepted="; ".join(reasons), measured=measured, gates=gates)


def _untested(ground: Ground, candidate: Candidate) -> Refusal:
    """Nothing that any suite asks differs, although the prompt behaves otherwise; or no suite tests it."""
    registry = ground.registry.at(candidate.head)
    suites = [name for name in registry.suite_names() if candidate.name in _tested_by(registry, name)]
    if suites:
        message = f"{candidate.name} changed, and no case of {', '.join(suites)} sees the change"
        hint = f"promptreg case add {suites[0]} adds one that does; {NO_GATE}"
    else:
        message = f"no suite tests {candidate.name}: nobody can say that it is not worse"
        hint = f"promptreg new suite {candidate.name} begins one; {NO_GATE}"
    return Refusal(verdict=Verdict.UNMEASURED, reason="no_suite", message=message, hint=hint)


def _tested_by(registry: Registry, name: str) -> tuple[str, ...]:
    suite = registry.suite(name)
    return registry.prompts_matching(suite.prompts, suite.place("prompts"))


def _refusals(previous: Version, report: CheckReport, findings: Sequence[Finding]) -> tuple[Refusal, ...]:
    found = [_of_gate(each, previous) for each in report.gates if each.verdict is not Verdict.PASS and not each.accepted]
    found += [
        Refusal(verdict=each.verdict, reason=each.reason, message=each.message, hint=each.hint or NO_GATE)
        for each in findings
        if each.verdict is not Verdict.PASS and not each.accepted
    ]
    return tuple(sorted(found, key=lambda each: -SEVERITY[each.verdict]))


def _of_gate(gate: GateReport, previous: Version) -> Refusal:
    """The refusal of a gate that did not pass, with its numbers and the remedy."""
    name = f"{gate.suite} · {gate.model}"
    worst = telling(gate.comparisons)
    numbers = "" if worst is None or worst.drop is None else f": {_numbers(worst)}"
    note = next((f" ({each})" for each in (worst.note if worst else "", gate.note) if each), "")
    match gate.verdict:
        case Verdict.FAIL if worst is not None and worst.verdict is Verdict.FAIL:
            message = f"FAIL: {name} is worse than {previous}{numbers}"
            hint = f"if that is meant: promptreg check --base {worst.revision[:12]} --accept REASON; {NO_GATE}"
        case Verdict.FAIL:
            message, hint = f"FAIL: {name}: {_safeguards(gate)}", f"mend the prompt; {NO_GATE}"
        case Verdict.UNDECIDED:
            more = f"about {gate.needed:,} more cases" if gate.needed else "more cases"
            message = f"UNDECIDED: {name}: too little evidence that it is not worse than {previous}{numbers}{note}"
            hint = f"{more}, or promptreg baseline refresh for a steadier baseline; {NO_GATE}"
        case _:
            message = f"UNMEASURED: {name}: {gate.reason}{note}"
            hint = f"promptreg check --base {worst.revision[:12] if worst else previous} says more; {NO_GATE}"
    return Refusal(verdict=gate.verdict, reason=gate.reason, message=message, hint=hint)


def telling(comparisons: Sequence[Comparison]) -> Comparison | None:
    """The comparison that says most of a gate: the gravest, of those the one whose possible drop is the greatest."""
    return max(
        comparisons, key=lambda each: (SEVERITY[each.verdict], 0.0 if each.upper is None else each.upper, each.n), default=None
    )


def _numbers(found: Comparison) -> str:
    limits = ""
    if found.lower is not None and found.upper is not None:
        limits = f" (limits {100 * found.lower:+.1f} to {100 * found.upper:+.1f})"
    return f"a drop of {100 * (found.drop or 0.0):.1f} points{limits} over {found.n:,} cases, margin {100 * found.margin:g}"


def _safeguards(gate: GateReport) -> str:
    """Which floor, guard or slice failed."""
    floor, failed = gate.floor, Verdict.FAIL
    said = [f"a score of {floor.score or 0:.3g}, below the floor of {floor.floor:g}"] if floor and floor.verdict is failed else []
    said += [f"{each.guard} rose beyond {each.limit}" for each in gate.guards if each.verdict is failed]
    said += [f"{each.by} = {each.value} is worse" for each in gate.slices if each.blocks and each.verdict is failed]
    return "; ".join(said) or "a safeguard failed"


# a first release -------------------------------------------------------------------------------------------------------------


def _first(ground: Ground, candidate: Candidate, archive: Archive) -> Proof:
    with _opened(ground, candidate.head) as sides:
        suites = testing(sides.head, candidate.name)
        if not suites:
            return Proof(refusals=(_untested(ground, candidate),))
        bare = [suite for suite in suites if suite.policy is None or suite.policy.floor is None]
        if bare:
            return Proof(refusals=tuple(_floorless(suite.name) for suite in bare))
        report = run(sides.head.world, _run_request(candidate, [suite.name for suite in suites]))
    refusals = tuple(_of_cell(cell) for cell in report.cells if cell.status != "ok")
    if refusals:
        return Proof(refusals=refusals)
    change = Change(name=candidate.name, head=ground.registry.at(candidate.head), behaviour=candidate.behaviour)
    recount = Recount(change, open_shelf(archive, candidate.name, change.behaviours), {}, ground.now())
    return Proof(verdict="floor", measured=tuple(_alone(table) for table in recount.tables()))


def _run_request(candidate: Candidate, suites: Sequence[str]) -> RunRequest:
    return RunRequest(choice=Choice(suites=tuple(suites), prompts=(candidate.name,)), runs="write")


def _floorless(suite: str) -> Refusal:
    return Refusal(
        verdict=Verdict.UNMEASURED,
        reason="no_suite",
        message=f"a first release is judged by the floors of its suites, and {suite} has none",
        hint=f"gate: {{floor: 0.9}} in suites/{suite}.yaml; {NO_GATE}",
    )


def _of_cell(cell: Cell) -> Refusal:
    failed = cell.status == "failed"
    return Refusal(
        verdict=Verdict.FAIL if failed else Verdict.UNMEASURED,
        reason=None if failed else "missing_answers",
        message=f"{'FAIL' if failed else 'UNMEASURED'}: {cell.suite} · {cell.model}: {cell.reason}",
        hint=f"promptreg run {cell.suite} shows the cases; {NO_GATE}",
    )


# what the tag says -----------------------------------------------------------------------------------------------------------


def _alone(table: Table) -> Measurement:
    return replace(counted(table, [table]), verdict=Verdict.PASS.value, floor=table.policy.floor)


def _measured(
    ground: Ground, candidate: Candidate, previous: Release, before: Digest, archive: Archive, gates: Sequence[GateReport]
) -> tuple[Measurement, ...]:
    """What the runs branch now says of each gate that was judged: the same that `verify` will find there."""
    change = Change(
        name=candidate.name,
        head=ground.registry.at(candidate.head),
        behaviour=candidate.behaviour,
        base=ground.registry.at(previous.commit),
        base_behaviour=before,
    )
    recorded = verdicts_of(archive, candidate.name, candidate.behaviour, previous.commit, candidate.head)
    judged = {cell: _own(gate, recorded.get(cell, ())) for gate in gates for cell in [(gate.suite, gate.model)]}
    models = {alias: verdict.digests["model"] for (_, alias), verdict in judged.items()}
    tables = Recount(change, open_shelf(archive, candidate.name, change.behaviours), models, ground.now()).tables()
    return tuple(
        _compared([table for table in tables if (table.gate.suite, table.gate.model) == cell], verdict, previous.version)
        for cell, verdict in sorted(judged.items(), key=lambda item: item[0])
    )


def _own(gate: GateReport, recorded: Sequence[VerdictRecord]) -> VerdictRecord:
    """The record of this very verdict: others may have left theirs beside it."""
    said = canonical(gate_as_json(gate))
    for each in reversed(recorded):
        if "model" in each.digests and canonical(each.gate) == said:
            return each
    raise UsageError(f"the verdict on {gate.suite} · {gate.model} was not found on the runs branch", hint="release again")


def verdicts_of(
    archive: Archive, name: str, behaviour: Digest, base: str, head: str
) -> dict[tuple[str, str], tuple[VerdictRecord, ...]]:
    """The verdicts on the change from *base* to *head*, oldest first, for each suite and model."""
    found: dict[tuple[str, str], tuple[VerdictRecord, ...]] = {}
    for each in archive.verdicts(name, behaviour):
        if (each.base, each.head) == (base, head):
            cell = each.suite, each.model
            found[cell] = (*found.get(cell, ()), each)
    return found


def _compared(tables: Sequence[Table], verdict: VerdictRecord, previous: Version) -> Measurement:
    """What the suite that judges last, head's, measured; and the comparison that says most."""
    measured = counted(tables[-1], tables)
    said = reference_of(verdict.gate)
    return replace(
        measured,
        verdict=verdict.verdict.value,
        identity=verdict.digests["model"],
        against=previous,
        drop=number(said, "drop"),
        drop_lower=number(said, "lower"),
        drop_upper=number(said, "upper"),
        margin=number(said, "margin"),
        mode=str(verdict.gate.get("mode", "")),
    )


def reference_of(gate: Mapping[str, Json]) -> Mapping[str, Json]:
    """`telling`, of a gate as `check --json` has it; empty where it has no comparison."""
    references = gate.get("references")
    rows = [row for row in references if isinstance(row, Mapping)] if isinstance(references, list) else []
    return max(rows, key=lambda row: (_grave(row), number(row, "upper") or 0.0, number(row, "n") or 0), default={})


def _grave(row: Mapping[str, Json]) -> int:
    said = row.get("verdict")
    return SEVERITY[Verdict(said)] if isinstance(said, str) and said in set(Verdict) else len(SEVERITY)


def number(row: Mapping[str, Json], key: str) -> float | None:
    """The number at *key*; None for anything else."""
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def counted(table: Table, tables: Sequence[Table]) -> Measurement:
    """The candidate's answers as *table*'s suite graded them, with the digests; the records are those that any of *tables* used."""
    found, suite = tally(table), table.suite
    for each in tables:
        each.touch()
    return Measurement(
        suite=suite.name,
        model=table.gate.model,
        suite_digest=suite_digest(suite),
        checks_digest=checks_digest(suite.checks),
        policy_digest=policy_digest(suite.policy, suite.quarantine),
        dataset_digest=data_of(table),
        identity=table.course.stream.head.model.identity.digest,
        on=table.policy.on,
        n=found.n,
        score=found.score,
        lower=found.lower,
        upper=found.upper,
        reported_models=found.reported,
        records=tuple(sorted({name for each in tables for name in each.answers.used})),
    )
