"""The shelf: the records of one prompt's answers, as many of the runs branch as are wanted, and which of several answers counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from promptreg.core.canonical import Digest
from promptreg.core.catalogue import ModelSpec
from promptreg.core.identity import checks_digest, suite_digest
from promptreg.core.records import Record, Recorded, decode, place
from promptreg.core.records.places import RUNS, short
from promptreg.core.run import BASELINE, CallKey, ModelIdentity
from promptreg.core.suite import Suite
from promptreg.errors import DataError
from promptreg.workflow.check.judging import FRESH
from promptreg.workflow.records import Archive, seconds
from promptreg.workflow.runs import identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Records of one prompt's answers, by their ids. *lost* are ids that were asked for and are not there, or damaged."""

    records: Mapping[str, Record]
    lost: tuple[str, ...] = ()

    def identity(self, alias: str, spec: ModelSpec, behaviour: Digest, *, baseline: bool) -> ModelIdentity | None:
        """Who answered as *alias*: the newest record that fits says it. None where no record does."""
        fits = [
            record.header
            for record in self.records.values()
            if record.header.cell.alias == alias
            and record.header.cell.behaviour == behaviour
            and (record.header.facts.get("provider"), record.header.facts.get("model")) == (spec.provider, spec.model)
            and any((answer.slot >= BASELINE) is baseline for answer in record.answers)
        ]
        newest = max(fits, key=lambda header: header.created, default=None)
        return None if newest is None else ModelIdentity(facts=newest.facts)

    def of(self, suite: Suite, since: float) -> Answers:
        """The answers that were graded as *suite* grades, of those observed *since* then (seconds since the epoch)."""
        wanted = suite_digest(suite), checks_digest(suite.checks)
        found = Answers()
        for name, record in self.records.items():
            header = record.header
            if header.cell.suite == suite.name and (header.suite_digest, header.checks_digest) == wanted:
                found.add(name, record, since)
        return found


def open_shelf(archive: Archive, prompt: str, behaviours: Collection[Digest], only: Collection[str] | None = None) -> Shelf:
    """The records of *prompt* as it behaved in *behaviours*; with *only*, those of these ids."""
    shorts = {short(each, 12) for each in behaviours}
    paths = [
        path
        for path in archive.branch.paths(RUNS)
        if (found := place(path)) and found.prompt == prompt and found.behaviour12 in shorts
    ]
    if only is not None:
        paths = [path for path in paths if identifier(path) in only]
    records: dict[str, Record] = {}
    for path, content in archive.branch.read(paths):
        try:
            value = decode(path, content)
        except DataError as fault:
            archive.note(f"{archive.branch.name}: {fault}: passed over")
            continue
        if isinstance(value, Record) and value.header.cell.behaviour in behaviours:
            records[identifier(path)] = value
    return Shelf(records=records, lost=tuple(sorted(set(only or ()) - set(records))))


@dataclass(slots=True)
class Answers:
    """Graded answers by what was asked. Of several in one slot the oldest counts, as in a check; as it was graded last."""

    _held: dict[tuple[CallKey, int, str], tuple[tuple[bool, float, float], str, Recorded]] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def add(self, name: str, record: Record, since: float) -> None:
        """Takes in the answers of *record*, whose id is *name*."""
        created = seconds(record.header.created)
        for answer in record.answers:
            completion = answer.completion
            observed = completion.observed_at if completion is not None and completion.observed_at is not None else float("inf")
            if observed < since:
                continue
            rank = (completion is None, observed, -created)
            key = (answer.call, answer.slot, answer.case)
            if key not in self._held or rank < self._held[key][0]:
                self._held[key] = (rank, name, answer)

    def get(self, call: CallKey, slot: int, case: str) -> Recorded | None:
        found = self._held.get((call, slot, case))
        if found is None:
            return None
        self.used.add(found[1])
        return found[2]

    @property
    def calls(self) -> frozenset[CallKey]:
        """All that was asked."""
        return frozenset(call for call, _, _ in self._held)

    def slots(self) -> list[int]:
        """The baseline slots that hold anything: those that were asked anew, if the model behind a name had moved."""
        found = sorted({slot for _, slot, _ in self._held if slot >= BASELINE})
        return [slot for slot in found if slot >= BASELINE + FRESH] or found
