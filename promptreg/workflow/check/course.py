"""The course of a stream: its cases in the order in which they will be consumed, and for each what is asked of which side.

Renders every case at every revision once, calls nobody. Memory holds a key and a few flags for each case; the cases themselves
lie in a spool, in memory while they are few and in a temporary file beyond.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import IO, Any

from promptreg.core.canonical import Digest, digest_bytes
from promptreg.core.grade import Job
from promptreg.core.plan import Wanted
from promptreg.core.run import BASELINE, Call, CallKey
from promptreg.core.select import Entry, order, stratum
from promptreg.core.suite import Case, pair_key
from promptreg.documents import decode_json, encode_json
from promptreg.errors import UsageError, Where
from promptreg.store import Store
from promptreg.workflow.baseline import noise, since
from promptreg.workflow.check.gates import Contender, Stream
from promptreg.workflow.preparation import asking

NOISE_CASES = 200  # whose repeats are looked at before the run: it only tunes the stakes
KEPT = 20_000  # cases held in memory: about 1 kB each
DIFFERS, SAME, EXCLUDED, BLOCKED = range(4)


class Spool:
    """Cases by position."""

    def __init__(self) -> None:
        self._cases: list[Case] = []
        self._file: IO[bytes] | None = None
        self._offsets: list[int] = []

    def add(self, case: Case) -> None:
        if len(self._cases) < KEPT:
            self._cases.append(case)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="promptreg-")  # noqa: SIM115  closed with the spool
        self._offsets.append(self._file.tell())
        self._file.write(encode_json(_as_json(case)) + b"\n")

    def __getitem__(self, position: int) -> Case:
        if position < len(self._cases):
            return self._cases[position]
        assert self._file is not None
        self._file.seek(self._offsets[position - len(self._cases)])
        return _case(decode_json(self._file.readline()))

    def __len__(self) -> int:
        return len(self._cases) + len(self._offsets)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


@dataclass(slots=True, eq=False)
class Course:
    """One stream, laid out. `units` are clusters of positions, in order; `flags[i][position]` is about the reference *i*.

    `slots[i]` are the baseline slots that the reference *i* is asked for; `lost[i]` counts cases that can be asked of it and no
    longer of head.
    """

    stream: Stream
    spool: Spool
    units: list[tuple[int, ...]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)  # of the units
    flags: list[bytearray] = field(default_factory=list)
    head_flags: bytearray = field(default_factory=bytearray)
    slots: list[tuple[int, ...]] = field(default_factory=list)
    quarantined: frozenset[int] = frozenset()
    excluded_cases: list[list[str]] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    noise: list[float | None] = field(default_factory=list)  # how much each reference differs from itself, where repeats tell

    @property
    def cases(self) -> int:
        return len(self.head_flags)

    def unchanged(self, reference: int) -> int:
        return self.flags[reference].count(SAME)

    def excluded(self, reference: int) -> int:
        return self.flags[reference].count(EXCLUDED)

    def still(self, reference: int) -> bool:
        """Whether nothing is asked otherwise than before."""
        return not any(self.flags[reference].count(flag) for flag in (DIFFERS, BLOCKED))

    @property
    def judged(self) -> bool:
        """Whether anything can be said of the candidate: there is something to hold it against, or a floor."""
        return bool(self.stream.references) or any(policy.floor is not None for _, policy in self.stream.policies)

    @property
    def sees(self) -> bool:
        """Whether some case that counts tells head from base. Without a base every case does."""
        against = [index for index, each in enumerate(self.stream.references) if each.kind == "base"]
        return not against or any(self.lost[index] or self._told(self.flags[index]) for index in against)

    def _told(self, flags: bytearray) -> bool:
        return any(flag in (DIFFERS, BLOCKED) and position not in self.quarantined for position, flag in enumerate(flags))

    def all_same(self, reference: int) -> bool:
        flags = self.flags[reference]
        return bool(flags) and flags.count(SAME) == len(flags)

    def asks(self, position: int, reference: int) -> bool:
        return self.flags[reference][position] in (DIFFERS, BLOCKED)

    def asks_head(self, position: int) -> bool:
        """Whether the candidate's answer to this case is needed: some reference differs on it, or there is none to differ."""
        if self.head_flags[position] == EXCLUDED:
            return False
        return self.stream.whole or not self.flags or any(flags[position] in (DIFFERS, BLOCKED) for flags in self.flags)

    def head_blocked(self, position: int) -> bool:
        return self.head_flags[position] == BLOCKED

    def call(self, contender: Contender, case: Case, slot: int) -> Call:
        return _call(contender, case, slot)

    def job(self, contender: Contender, case: Case, slot: int, role: str) -> Job:
        return Job(
            prompt=role,
            model=contender.model.spec.alias,
            case=case,
            call=_call(contender, case, slot),
            checks=self.stream.checks,
            price=contender.model.spec.price,
        )

    @property
    def head_slots(self) -> range:
        return range(self.stream.suite.repeats)

    def wanted(self, units: int | None = None) -> Iterator[Wanted]:
        """Every call that consuming the whole course, or its first *units*, would ask for."""
        for unit in self.units[:units]:
            for position in unit:
                case = self.spool[position]
                yield from self._wanted(position, case)

    def _wanted(self, position: int, case: Case) -> Iterator[Wanted]:
        head = self.stream.head
        if self.asks_head(position) and not self.head_blocked(position):
            for slot in self.head_slots:
                yield Wanted(model=head.model.spec.alias, call=_call(head, case, slot), price=head.model.spec.price)
        for index, reference in enumerate(self.stream.references):
            if reference.contender is not None and self.flags[index][position] == DIFFERS:
                spec = reference.contender.model.spec
                for slot in self.slots[index]:
                    yield Wanted(model=spec.alias, call=_call(reference.contender, case, slot), price=spec.price)


def lay_out(streams: Sequence[Stream], store: Store | None, now: float) -> list[Course]:
    """The courses of *streams*, which share one judging suite: its cases are read once, each prompt renders each once."""
    spool = Spool()
    courses = [Course(stream=stream, spool=spool) for stream in streams]
    for course in courses:
        course.flags = [bytearray() for _ in course.stream.references]
        course.excluded_cases = [[] for _ in course.stream.references]
        course.lost = [0] * len(course.stream.references)
    suite, registry = streams[0].suite, streams[0].judge.registry
    clusters: list[str] = []
    set_aside = suite.quarantined(datetime.fromtimestamp(now, UTC).date().isoformat())
    quarantined = set()
    for position, case in enumerate(registry.cases(suite)):
        spool.add(case)
        clusters.append(f"cluster {case.cluster}" if case.cluster is not None else str(pair_key(case.inputs)))
        if case.id in set_aside:
            quarantined.add(position)
        rendered: dict[int, Any] = {}
        for course in courses:
            _flag(course, case, rendered, counts=position not in quarantined)
    if not clusters:
        raise UsageError("the suite has no cases", where=suite.where, hint="add cases: an empty suite measures nothing")
    for course in courses:
        course.quarantined = frozenset(quarantined)
        _order(course, clusters)
        course.slots = [_slots(course, index, store, now) for index in range(len(course.flags))]
        course.noise = [_noise(course, index, store, now) for index in range(len(course.flags))]
    return courses


def _flag(course: Course, case: Case, rendered: dict[int, Any], *, counts: bool) -> None:
    head = _key(course.stream.head, case, rendered)
    state = EXCLUDED if head is None else DIFFERS
    for index, reference in enumerate(course.stream.references):
        flags = course.flags[index]
        own = None if reference.contender is None else _key(reference.contender, case, rendered)
        if head is None or own is None:
            flags.append(EXCLUDED)
            course.lost[index] += own is not None and counts
            if len(course.excluded_cases[index]) < 20:
                course.excluded_cases[index].append(case.id)
        elif own.key == head.key:
            flags.append(SAME)
        elif _blind(course.stream.head.model.provider, own, head):
            flags.append(EXCLUDED if index else BLOCKED)  # recorded were base's answers, and an anchor has none
            state = state if index else BLOCKED
        else:
            flags.append(DIFFERS)
    course.head_flags.append(state)


def _key(contender: Contender, case: Case, rendered: dict[int, Any]) -> Call | None:
    """The first call of *contender* to *case*; None where it cannot be rendered."""
    name = id(contender.renderer)
    if name not in rendered:
        try:
            rendered[name] = contender.renderer.messages(case.inputs, case.where)
        except UsageError:
            rendered[name] = None
    if rendered[name] is None:
        return None
    return asking(contender.prompt, contender.model, rendered[name], case.id)


def _call(contender: Contender, case: Case, slot: int) -> Call:
    return asking(contender.prompt, contender.model, contender.renderer.messages(case.inputs, case.where), case.id, slot)


def _blind(provider: object, base: Call, head: Call) -> bool:
    """Whether *provider* answers by something else than what changed: then it would give base's answer to head's question."""
    matches = getattr(provider, "matches", None)
    if matches is None:
        return False
    parts = ("messages", "params", "tools", "output_schema")
    return any(part not in matches and getattr(base, part) != getattr(head, part) for part in parts)


def _order(course: Course, clusters: Sequence[str]) -> None:
    """Clusters, whole, by SHA-256(seed ‖ key)."""
    members: dict[str, list[int]] = {}
    for position, cluster in enumerate(clusters):
        if position not in course.quarantined:
            members.setdefault(cluster, []).append(position)
    names = list(members)
    entries = (Entry(_digest(name), "", place) for place, name in enumerate(names))
    for place in order(entries, course.stream.seed):
        course.units.append(tuple(members[names[place]]))
        course.keys.append(names[place])


def _digest(name: str) -> Digest:
    return digest_bytes(name.encode("utf-8", "surrogatepass"))


def _slots(course: Course, index: int, store: Store | None, now: float) -> tuple[int, ...]:
    """Baseline slots that are known for every case that differs; the first one where there are none."""
    contender = course.stream.references[index].contender
    first = (BASELINE,)
    if contender is None:
        return ()
    if not contender.model.provider.stored:
        return tuple(BASELINE + slot for slot in course.head_slots)
    if store is None:
        return first
    fewest: int | None = None
    for position, flag in enumerate(course.flags[index]):
        if flag != DIFFERS or position in course.quarantined:
            continue
        known = _known(store, _call(contender, course.spool[position], BASELINE).key, since(contender.model, now))
        fewest = known if fewest is None else min(fewest, known)
        if not fewest:
            return first
    return tuple(range(BASELINE, BASELINE + (fewest or 1)))


def _known(store: Store, key: CallKey, oldest: float | None) -> int:
    """How many baseline slots from the first on hold an answer that still counts."""
    held = {slot for slot in store.slots(key, since=oldest) if slot >= BASELINE}
    count = 0
    while BASELINE + count in held:
        count += 1
    return count


def _noise(course: Course, index: int, store: Store | None, now: float) -> float | None:
    """The discordance that two readings of an unchanged prompt would show, by base's known repeats; None without. Asks nobody.

    That of one answer against one, scaled to the means of as many repeats as each side has.
    """
    slots, contender = course.slots[index], course.stream.references[index].contender
    if len(slots) < 2 or store is None or contender is None:
        return None
    first = islice((at for unit in course.units for at in unit if course.flags[index][at] == DIFFERS), NOISE_CASES)
    cases = ([course.job(contender, course.spool[at], slot, "noise") for slot in slots] for at in first)
    found = noise(cases, store, since(contender.model, now), course.stream.policies[0][1].on)
    return None if found is None else found * (1 / len(slots) + 1 / len(course.head_slots)) / 2


def strata(case: Case, by: Sequence[str]) -> tuple[str, ...]:
    return tuple(stratum(case, name) for name in by)


def _as_json(case: Case) -> dict[str, Any]:
    where = case.where
    return {
        "id": case.id,
        "inputs": dict(case.inputs),
        "expected": case.expected,
        "tags": dict(case.tags),
        "cluster": case.cluster,
        "where": None if where is None else [where.path, where.line, where.column, where.key],
    }


def _case(raw: Mapping[str, Any]) -> Case:
    where = raw["where"]
    return Case(
        id=raw["id"],
        inputs=raw["inputs"],
        expected=raw["expected"],
        tags=raw["tags"],
        cluster=raw["cluster"],
        where=None if where is None else Where(*where),
    )
