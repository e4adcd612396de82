"""What commands take from the runs branch and leave there: answers, verdicts, acceptances.

    archive = open_archive(world)          None outside of Git
    archive.recall(cells)                  answers that others paid for become known to the store
    recorder = Recorder(archive, "run")    is given every outcome; `write` leaves one record for each cell
    archive.keep(values)                   verdicts and acceptances; archive.verdicts(...), archive.acceptances(...) read them

What a record says is believed only if its path, its header and what was asked for agree; what is odd is told of and passed over.
Whoever may push to the branch may give answers: that is the same right as changing base.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol, TypeAlias, TypeVar

from promptreg import __version__
from promptreg.core.canonical import Digest, Json
from promptreg.core.identity import DatasetFold, behaviour_digest, checks_digest, suite_digest
from promptreg.core.names import unversioned
from promptreg.core.prompt import Prompt
from promptreg.core.records import (
    Acceptance,
    Cell,
    Header,
    Kept,
    Purpose,
    Record,
    Recorded,
    VerdictRecord,
    accepted_folder,
    decode,
    encode,
    verdict_folder,
)
from promptreg.core.run import ModelIdentity, Outcome
from promptreg.core.settings import Runs
from promptreg.core.suite import Suite
from promptreg.errors import DataError, UsageError
from promptreg.registry import Registry
from promptreg.registry.branch import LARGEST, Branch
from promptreg.store import Store

PART_BYTES = 16 << 20  # of one record; hosts refuse files of 100 MB, and memory holds one part of each cell
RunsMode: TypeAlias = Literal["off", "read", "write", "push"]  # what a command does with the branch; each also does the one before
LATE_S = 86_400.0  # by how much clocks may differ: an answer seen later than its record was made is no answer
MOMENT = "%Y-%m-%dT%H:%M:%SZ"
_K = TypeVar("_K", bound=Kept)


class Ground(Protocol):
    """What of a world is needed here."""

    @property
    def registry(self) -> Registry: ...
    @property
    def store(self) -> Store | None: ...
    @property
    def now(self) -> Callable[[], float]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The least of a world: for looking at the branch, where nobody is asked and no code of plugins is wanted."""

    registry: Registry
    now: Callable[[], float]
    store: Store | None = None


def open_archive(
    ground: Ground, *, runs: Runs | None = None, note: Callable[[str], None] = lambda _: None, own: bool = True
) -> Archive | None:
    """The runs branch of the registry; None outside of Git. *runs* are the settings, where not those of the registry itself; *own*
    as `Branch` has it."""
    try:
        git = ground.registry.history.git
    except UsageError:
        return None
    settings = runs or ground.registry.settings.runs
    seen: set[str] = set()

    def once(text: str) -> None:
        if text not in seen:
            seen.add(text)
            note(text)

    return Archive(Branch(git, settings.branch, note=once, own=own), settings, ground, once)


class Archive:
    """The runs branch as values. Nothing in it can make a command fail: what cannot be believed is told to *note*."""

    def __init__(self, branch: Branch, settings: Runs, ground: Ground, note: Callable[[str], None]) -> None:
        self.branch = branch
        self.retention = settings.retention
        self._ground = ground
        self.note = note

    @property
    def moment(self) -> str:
        """Now, as records say it."""
        return datetime.fromtimestamp(self._ground.now(), UTC).strftime(MOMENT)

    # reading

    def records(self, cells: Iterable[Cell]) -> Iterator[Record]:
        """The records of *cells*, oldest first, one at a time."""
        wanted = {cell.folder: cell for cell in cells}
        if not wanted:
            return
        for path, record in self._read(wanted, Record):
            if record.header.cell == wanted.get(path.rpartition("/")[0]):
                yield record
            else:
                self.note(f"{self.branch.name}: {path} is of another cell whose digests begin alike: passed over")

    def recall(self, cells: Iterable[Cell]) -> int:
        """Makes the answers recorded for *cells* known to the store; how many there were. Without a store there is nothing to do.

        Records below full retention hold no answers. An answer that the store has is not put there twice.
        """
        store, found = self._ground.store, 0
        if store is None:
            return 0
        for record in self.records(cells):
            if record.header.retention != "full":
                self.note(f"{self.branch.name}: some records keep no whole answers: these are asked for again")
                continue
            found += self._put(store, record)
        return found

    def _put(self, store: Store, record: Record) -> int:
        latest, found = seconds(record.header.created) + LATE_S, 0
        with store.batch():
            for answer in record.answers:
                completion = answer.completion
                if completion is None or completion.observed_at is None or answer.content is not None:
                    continue
                if completion.observed_at > latest:
                    self.note(f"{self.branch.name}: an answer to {answer.case} was seen after it was recorded: passed over")
                    continue
                try:
                    store.put(answer.call, answer.slot, completion)
                except DataError as fault:
                    self.note(f"{self.branch.name}: an answer to {answer.case}: {fault.message}")
                    continue
                found += 1
        return found

    def verdicts(self, prompt: str, behaviour: Digest) -> tuple[VerdictRecord, ...]:
        """The verdicts on exactly this behaviour of *prompt*, oldest first."""
        found = self._read([verdict_folder(prompt, behaviour)], VerdictRecord)
        return tuple(sorted((one for _, one in found if one.behaviour == behaviour), key=lambda one: one.created))

    def acceptances(self, prompt: str, behaviour: Digest) -> tuple[Acceptance, ...]:
        """The drops that were accepted with exactly this behaviour of *prompt*, oldest first."""
        found = self._read([accepted_folder(prompt, behaviour)], Acceptance)
        return tuple(sorted((one for _, one in found if one.behaviour == behaviour), key=lambda one: one.created))

    def _read(self, folders: Iterable[str], kind: type[_K]) -> Iterator[tuple[str, _K]]:
        for path, content in self.branch.read(self.branch.paths(*folders)):
            try:
                value = decode(path, content)
            except DataError as fault:
                self.note(f"{self.branch.name}: {fault}: passed over")
                continue
            if isinstance(value, kind):
                yield path, value

    # writing

    def keep(self, values: Sequence[Kept]) -> tuple[str, ...]:
        """Leaves *values* on the branch, in one commit; their paths."""
        files = dict(encode(value) for value in values)
        if files:
            self.branch.append(files, _summary(values))
        return tuple(files)

    def is_known(self, record: Record) -> bool:
        """Whether other records say all that *record* says: the same answers, judged the same, of the same data."""
        left = {_said(answer) for answer in record.answers}
        for other in self.records([record.header.cell]):
            if _measured(other.header) == _measured(record.header):
                left -= {_said(answer) for answer in other.answers}
            if not left:
                return True
        return not left


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What outcomes are of, and what they were measured with. *dataset* is the digest of the whole data, where it is known."""

    cell: Cell
    identity: ModelIdentity = field(compare=False)
    params: Mapping[str, Json] = field(compare=False)
    suite: Digest
    checks: Digest
    dataset: Digest | None = None
    seed: str = ""


def subject(suite: Suite, prompt: Prompt, name: str, alias: str, identity: ModelIdentity) -> Subject:
    """The subject of *suite*'s outcomes of *prompt*, called *name*, on the model *alias*. A version is no part of the name."""
    cell = Cell(
        suite=suite.name, prompt=unversioned(name), behaviour=behaviour_digest(prompt), alias=alias, identity=identity.digest
    )
    return Subject(
        cell=cell,
        identity=identity,
        params=prompt.params.as_json(),
        suite=suite_digest(suite),
        checks=checks_digest(suite.checks),
    )


@dataclass(slots=True)
class _Part:
    """The answers of one cell that are not written yet."""

    subject: Subject
    answers: list[Recorded] = field(default_factory=list)
    data: DatasetFold = field(default_factory=DatasetFold)
    cases: set[str] = field(default_factory=set)
    size: int = 0


class Recorder:
    """Collects the outcomes of one command and writes a record for each cell; for a cell of many answers, several."""

    def __init__(self, archive: Archive, purpose: Purpose) -> None:
        self._archive = archive
        self._purpose: Purpose = purpose
        self._parts: dict[Subject, _Part] = {}
        self._written: list[str] = []

    def add(self, of: Subject, outcome: Outcome) -> None:
        """One outcome. What is too much for memory is written at once."""
        part = self._parts.get(of) or self._parts.setdefault(of, _Part(of))
        answer = Recorded.of(outcome, self._archive.retention)
        part.answers.append(answer)
        part.size += len(answer.completion.text) + 500 if answer.completion else 500
        if outcome.case.id not in part.cases:
            part.cases.add(outcome.case.id)
            part.data.add(outcome.case)
        if part.size > PART_BYTES:
            self._write([part])

    def write(self) -> tuple[str, ...]:
        """Leaves on the branch what it does not hold yet; the paths of all records of this command."""
        self._write([part for part in self._parts.values() if part.answers])
        return tuple(self._written)

    def _write(self, parts: Sequence[_Part]) -> None:
        records = []
        for part in parts:
            records += [record for record in self._records(part) if not self._archive.is_known(record)]
            part.answers, part.size = [], 0
        self._written += self._archive.keep(records)

    def _records(self, part: _Part) -> list[Record]:
        """One record, or two halves of one that would be too large a file."""
        whole = Record(header=self._header(part), answers=tuple(part.answers))
        if len(encode(whole)[1]) <= LARGEST or len(part.answers) < 2:
            return [whole]
        half = len(part.answers) // 2
        halves = (part.answers[:half], part.answers[half:])
        return [record for answers in halves for record in self._records(_Part(part.subject, answers, part.data, part.cases))]

    def _header(self, part: _Part) -> Header:
        of = part.subject
        reported = {answer.completion.reported_model for answer in part.answers if answer.completion}
        return Header(
            cell=of.cell,
            facts=of.identity.facts,
            suite_digest=of.suite,
            dataset_digest=of.dataset or part.data.digest(),
            checks_digest=of.checks,
            params=of.params,
            reported_models=tuple(sorted(name for name in reported if name)),
            version=__version__,
            author=self._archive.branch.who,
            created=self._archive.moment,
            seed=of.seed,
            retention=self._archive.retention,
            purpose=self._purpose,
        )


def seconds(moment: str) -> float:
    """Seconds since the epoch of *moment*, as records say it; endless for a date that no calendar has."""
    try:
        return datetime.strptime(moment, MOMENT).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return float("-inf")


def _said(answer: Recorded) -> tuple[object, ...]:
    return (*answer.observation, answer.content, answer.passed, answer.score, answer.failure)


def _measured(header: Header) -> tuple[object, ...]:
    return header.suite_digest, header.dataset_digest, header.checks_digest, header.retention


def _summary(values: Sequence[Kept]) -> str:
    first = values[0]
    told = {Record: "Record", VerdictRecord: "Judge", Acceptance: "Accept"}.get(type(first), "Keep")
    name = first.header.cell.prompt if isinstance(first, Record) else getattr(first, "prompt", "")
    more = f" and {len(values) - 1} more" if len(values) > 1 else ""
    return f"{told} {name}{more}".strip()
