"""Reproof: what a release's tag claims, held against its commit and against the answers on the runs branch. Asks no model.

    digests        of the prompt at the commit, of the suites, their data, checks and policies
    measurements   n, score and limits, counted again from the records that the tag cites
    verdicts       the contests of the gate, fought again in the same order with the recorded grades; floors held again

What guards and slices said is taken from the verdict's record. Whoever may push to the runs branch may give answers; but a tag
cites its records by digests of their contents, so that nobody can give others later.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from promptreg.core.canonical import Digest
from promptreg.core.evidence import Evidence, Measurement
from promptreg.core.families import judge
from promptreg.core.records import VerdictRecord
from promptreg.core.releases import Release, block
from promptreg.core.verdict import GateReport, Verdict
from promptreg.documents.evidence import evidence
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.reporters.check.json import gate_as_json
from promptreg.workflow.check.judging import family_sizes, gate_report
from promptreg.workflow.gated import counted, number, reference_of, verdicts_of
from promptreg.workflow.records import Archive, seconds
from promptreg.workflow.recount import Change, Recount, Table
from promptreg.workflow.replay import Replay, references
from promptreg.workflow.shelf import Shelf, open_shelf

TOLERANCE = 1e-9  # of sums in another order; what is said in a tag is said in full
VERDICTS = ("PASS", "unchanged", "floor", "accepted", "none")
JUDGING = {"data", "metric", "policy", "suite"}  # what changes a gate though it asks the same
SUITE = ("suite_digest", "checks_digest", "policy_digest", "dataset_digest", "on")
COUNTED = (*SUITE, "identity", "reported_models", "n", "score", "lower", "upper")
SAID = {"drop": "drop", "drop_lower": "lower", "drop_upper": "upper", "margin": "margin"}  # in the tag, and in a verdict's record
FOUGHT = ("n", "units", "broken", "fixed", "drop", "lower", "upper", "p_harm")

Cell: TypeAlias = tuple[str, str]  # suite, model
Claim: TypeAlias = tuple[str, object, object]  # of what, as it was said, as it is found


@dataclass(slots=True)
class Reproof:
    """What was found. *differs*: claims that do not hold; *missing*: what could not be counted again, and why."""

    release: Release
    evidence: Evidence | None = None
    agreed: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"{self.release.name}@{self.release.version}"

    @property
    def result(self) -> Literal["agreed", "differs", "missing"]:
        """In one word; `missing`: it could not be counted again."""
        return "differs" if self.differs else "missing" if self.missing else "agreed"

    def claims(self, claims: Iterable[Claim], words: str = "the tag says {}, it is {}") -> bool:
        """Whether all *claims* hold; those that do not are noted."""
        before = len(self.differs)
        self.differs += [
            f"{what}: {words.format(_shown(said), _shown(found))}" for what, said, found in claims if not _equal(said, found)
        ]
        return len(self.differs) == before


def reprove(registry: Registry, archive: Archive, release: Release) -> Reproof:
    """Holds the tag of *release* against what *registry*'s repository holds. Nothing is raised for a tag that lies."""
    found = Reproof(release)
    try:
        said = evidence(block(release.event.by.body), release.event.by.ref)
    except UsageError as fault:
        found.differs.append(f"the evidence in the tag cannot be read: {fault}")
        return found
    if said is None:
        found.missing.append("the tag holds no evidence that this promptreg knows")
        return found
    found.evidence = said
    if _same_prompt(found, registry, said):
        found.agreed.append("the digests of the prompt are those of its commit")
        _Judge(found, registry, archive, said).judge()
    return found


def _same_prompt(found: Reproof, registry: Registry, said: Evidence) -> bool:
    release = found.release
    try:
        here = registry.at(release.commit).resolve(release.name)
    except UsageError as fault:
        found.differs.append(f"the prompt cannot be read at {release.commit[:12]}: {fault}")
        return False
    claims: list[Claim] = [
        ("name", said.name, release.name),
        ("version", str(said.version), str(release.version)),
        ("behaviour", said.behaviour, here.behaviour),
        ("source", said.source, here.source),
    ]
    return found.claims(claims)


class _Judge:
    """One tag's verdict and measurements."""

    def __init__(self, found: Reproof, registry: Registry, archive: Archive, said: Evidence) -> None:
        self._found, self._registry, self._archive, self._said = found, registry, archive, said

    def judge(self) -> None:
        said, found = self._said, self._found
        twice = len({(each.suite, each.model) for each in said.measured}) != len(said.measured)
        if said.verdict not in VERDICTS or twice:
            found.differs.append("a suite is measured twice" if twice else f"'{said.verdict}' is no verdict of a release")
        elif said.verdict in ("none", "unchanged") and said.measured:
            found.differs.append(f"the verdict is '{said.verdict}', yet the tag says what was measured")
        elif said.verdict == "none":
            found.agreed.append(f"no gate judged it: {said.no_gate or 'it was made before there were gates'}")
        elif said.verdict == "floor":
            self._alone()
        else:
            self._after()

    # a first release

    def _alone(self) -> None:
        if self._said.previous is not None:
            self._found.differs.append(f"a release after {self._said.previous} is judged against it, not by a floor")
            return
        change = Change(name=self._said.name, head=self._registry.at(self._found.release.commit), behaviour=self._said.behaviour)
        shelf = self._shelf(change)
        tables = Recount(change, shelf, self._models(), _newest(shelf)).tables()
        for cell, group in _grouped(tables).items():
            self._hold(cell, group[-1])
        self._measurements(tables, shelf)

    def _hold(self, cell: Cell, table: Table) -> None:
        """The floor, held again."""
        measurement = self._of(cell)
        name, floor = _name(cell), table.policy.floor
        if measurement is None:
            self._found.differs.append(f"{name} tests it, and the tag does not say how that went")
        elif floor is None:
            self._found.differs.append(f"{name} has no floor")
        elif self._found.claims([(f"{name}: floor", measurement.floor, floor)]) and (measurement.score or 0.0) < floor:
            self._found.differs.append(f"{name}: a score of {measurement.score} does not hold the floor of {floor}")

    # after another release

    def _after(self) -> None:
        previous = self._previous()
        if previous is None:
            return
        try:
            before = self._registry.at(previous.commit)
            behaviour = before.resolve(self._said.name).behaviour
        except UsageError as fault:
            self._found.missing.append(f"{previous.version}, which it was judged against, cannot be read: {fault}")
            return
        if self._said.verdict == "unchanged":
            if self._found.claims([("behaviour", behaviour, self._said.behaviour)]):
                self._found.agreed.append(f"it behaves as {previous.version} does")
            return
        head = self._registry.at(self._found.release.commit)
        name = self._said.name
        change = Change(name=name, head=head, behaviour=self._said.behaviour, base=before, base_behaviour=behaviour)
        self._compare(change, previous)

    def _previous(self) -> Release | None:
        wanted = self._said.previous
        if wanted is None:
            self._found.differs.append(f"the verdict is '{self._said.verdict}', and no release before it is named")
            return None
        for release in self._registry.state.artefact(self._said.name).releases.values():
            if release.version == wanted:
                return release
        self._found.missing.append(f"the release {wanted}, which it was judged against, is not here")
        return None

    def _compare(self, change: Change, previous: Release) -> None:
        found = self._found
        shelf = self._shelf(change)
        recorded = verdicts_of(self._archive, change.name, change.behaviour, previous.commit, found.release.commit)
        judged = {cell: self._meant(cell, records) for cell, records in recorded.items()}
        now = _latest([each.created for each in judged.values()]) or _newest(shelf)
        tables = Recount(change, shelf, self._models(), now).tables()
        self._nobody_left_out(tables)
        asked = any(not each.course.all_same(index) for each in tables for index in range(len(each.course.flags)))
        if not asked and (self._said.verdict == "PASS" or self._said.measured) and change.behaviour != change.base_behaviour:
            found.differs.append(f"the verdict is '{self._said.verdict}', and no case sees what changed")
        elif self._said.verdict == "PASS" and not self._said.measured:
            found.differs.append("the verdict is 'PASS', and nothing was measured")
        found.claims(
            (f"{_name((each.suite, each.model))}: against", each.against, previous.version) for each in self._said.measured
        )
        if self._measurements(tables, shelf) and self._claims(judged):
            self._fight(_grouped(tables), judged)

    def _meant(self, cell: Cell, records: Sequence[VerdictRecord]) -> VerdictRecord:
        """The record that the tag speaks of; the last one, where none is as the tag says."""
        measurement = self._of(cell)
        for each in reversed(records):
            if measurement is not None and all(_equal(said, found) for _, said, found in _claims(measurement, each)):
                return each
        return records[-1]

    def _nobody_left_out(self, tables: Sequence[Table]) -> None:
        """A gate that could see the change must have been measured."""
        for cell, group in _grouped(tables).items():
            asks = any(not each.course.all_same(index) for each in group for index in range(len(each.course.flags)))
            if self._of(cell) is None and (asks or set(group[0].gate.changed) & JUDGING):
                self._found.differs.append(f"{_name(cell)} tests it, and the tag does not say how that went")

    def _claims(self, judged: Mapping[Cell, VerdictRecord]) -> bool:
        """Whether the tag says what the verdicts' records say; and, of all of them together, what follows from them."""
        found, fine = self._found, True
        for each in self._said.measured:
            name, record = _name((each.suite, each.model)), judged.get((each.suite, each.model))
            if record is None:
                found.missing.append(f"{name}: the verdict is not on the runs branch")
                fine = False
                continue
            fine = found.claims((f"{name}: {key}", one, other) for key, one, other in _claims(each, record)) and fine
            if record.verdict is not Verdict.PASS and (self._said.verdict != "accepted" or not self._accepted(record)):
                found.differs.append(f"{name}: {record.verdict.value}, and nobody accepted it")
        return fine

    def _accepted(self, record: VerdictRecord) -> bool:
        known = self._archive.acceptances(self._said.name, self._said.behaviour)
        return any((each.suite, each.model) == (record.suite, record.model) for each in known)

    # counting

    def _shelf(self, change: Change) -> Shelf:
        cited = {name for each in self._said.measured for name in each.records}
        return open_shelf(self._archive, change.name, change.behaviours, cited)

    def _models(self) -> dict[str, Digest]:
        return {each.model: each.identity for each in self._said.measured if each.identity}

    def _of(self, cell: Cell) -> Measurement | None:
        return next((each for each in self._said.measured if (each.suite, each.model) == cell), None)

    def _measurements(self, tables: Sequence[Table], shelf: Shelf) -> bool:
        """Every measurement counted again; whether all agree."""
        groups = _grouped(tables)
        fine = [self._measurement(each, groups.get((each.suite, each.model)), shelf) for each in self._said.measured]
        return all(fine)

    def _measurement(self, said: Measurement, group: Sequence[Table] | None, shelf: Shelf) -> bool:
        found, name = self._found, _name((said.suite, said.model))
        if group is None:
            found.differs.append(f"{name} does not test it, and the tag says that it does")
            return False
        if lost := sorted(set(said.records) & set(shelf.lost)):
            found.missing.append(f"{name}: not on the runs branch, or damaged: {', '.join(lost)}")
            return False
        again = counted(group[-1], group)
        if not found.claims((f"{name}: {key}", getattr(said, key), getattr(again, key)) for key in COUNTED):
            return False
        score = "" if again.score is None else f", score {again.score:.4g}"
        found.agreed.append(f"{name}: {again.n:,} answers{score}")
        return True

    # fighting again

    def _fight(self, groups: Mapping[Cell, Sequence[Table]], judged: Mapping[Cell, VerdictRecord]) -> None:
        cells = [(each.suite, each.model) for each in self._said.measured]
        courses = {groups[cell][0].gate: [table.course for table in groups[cell]] for cell in cells}
        sizes = family_sizes(courses, courses)
        raw: dict[Cell, GateReport] = {}
        for cell in cells:
            running = [Replay(table, judged[cell]).run(sizes) for table in groups[cell]]
            if any(one is None for one in running):
                self._found.missing.append(f"{_name(cell)}: the records lack answers that the verdict rests on")
                return
            raw[cell] = gate_report(groups[cell][0].gate, [one for one in running if one is not None])
        for cell, report in zip(raw, judge(list(raw.values())), strict=True):
            self._same_contests(cell, report, judged[cell])

    def _same_contests(self, cell: Cell, report: GateReport, record: VerdictRecord) -> None:
        before, again = references(record.gate), references(gate_as_json(report))
        name, fine = _name(cell), len(before) == len(again)
        if not fine:
            self._found.differs.append(f"{name}: {len(before)} comparisons are recorded, {len(again)} follow from the answers")
            return
        for said, found in zip(before, again, strict=True):
            label = f"{name}, by {said.get('suite_from')}'s suite and {said.get('policy_from')}'s policy: "
            claims: list[Claim] = [(f"{label}verdict", said.get("verdict"), found.get("verdict"))]
            claims += [(label + key, number(said, key), number(found, key)) for key in FOUGHT]
            fine = self._found.claims(claims, "{} is recorded, {} follows from the answers") and fine
        if fine:
            drop = number(reference_of(record.gate), "drop")
            points = "" if drop is None else f", drop {100 * drop:.1f} points"
            self._found.agreed.append(f"{name}: {record.verdict.value}{points}, from the answers")


def _claims(measurement: Measurement, record: VerdictRecord) -> list[Claim]:
    """What the tag says of a verdict, beside what the verdict's record says."""
    said = reference_of(record.gate)
    claims: list[Claim] = [("verdict", measurement.verdict, record.verdict.value)]
    return claims + [(key, getattr(measurement, key), number(said, other)) for key, other in SAID.items()]


def _grouped(tables: Sequence[Table]) -> dict[Cell, list[Table]]:
    groups: dict[Cell, list[Table]] = {}
    for each in tables:
        groups.setdefault((each.gate.suite, each.gate.model), []).append(each)
    return groups


def _newest(shelf: Shelf) -> float:
    return _latest([record.header.created for record in shelf.records.values()])


def _latest(moments: Iterable[str]) -> float:
    """The last of *moments* that a calendar has, in seconds since the epoch; 0 where there is none."""
    return max((each for moment in moments if math.isfinite(each := seconds(moment))), default=0.0)


def _equal(said: object, found: object) -> bool:
    if isinstance(said, float) and isinstance(found, float | int):
        return abs(said - found) <= TOLERANCE
    return said == found


def _shown(value: object) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _name(cell: Cell) -> str:
    return " · ".join(cell)
