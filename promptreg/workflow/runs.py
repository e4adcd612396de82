"""The runs branch for people: what is recorded, one record whole, and dropping what nobody needs.

Fetching and pushing are the branch's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from promptreg.core.names import did_you_mean, shown, unversioned
from promptreg.core.records import Acceptance, Header, Kept, Place, Record, VerdictRecord, decode, place
from promptreg.core.records.places import ACCEPTED, RUNS, VERDICTS, short
from promptreg.core.releases import block
from promptreg.documents.evidence import evidence
from promptreg.errors import DataError, UsageError
from promptreg.registry import Registry
from promptreg.registry.branch import droppable
from promptreg.workflow.events import Act, prepared
from promptreg.workflow.records import Archive, Ground, open_archive, seconds

DAY_S = 86_400.0
SHORTEST = 4  # hex digits of an id that somebody types


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records: names, empty for all; *limit* 0: no limit."""

    suite: str = ""
    prompt: str = ""
    model: str = ""
    limit: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """One record in a list: `n` answers or failures, of which `measured` have a verdict and `passed` passed."""

    path: str
    header: Header
    n: int
    measured: int
    passed: int

    @property
    def id(self) -> str:
        return identifier(self.path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What pruning keeps: records younger than *days*, and the newest *per_cell* of each cell; None: this rule keeps nothing."""

    days: float | None = None
    per_cell: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What was dropped, or would be; `cited` counts records that would have gone if no release cited them."""

    dropped: tuple[str, ...] = ()
    kept: int = 0
    cited: int = 0


def archive_of(ground: Ground, note: Callable[[str], None]) -> Archive:
    """The runs branch. UsageError outside of Git."""
    found = open_archive(ground, note=note)
    if found is None:
        raise UsageError("there is no Git repository here, so there is no runs branch", hint="git init, then commit")
    return found


def identifier(path: str) -> str:
    """The id in the name of a record's file."""
    return path.rpartition("/")[2].partition(".")[0].rpartition("-")[2]


# reading ---------------------------------------------------------------------------------------------------------------------


def recordings(archive: Archive, wanted: Wanted) -> tuple[list[Recording], int]:
    """The newest records that are *wanted*, newest first, and how many there are in all. What is damaged is passed over."""
    places = [found for path in archive.branch.paths(RUNS) if (found := place(path)) and _is_wanted(found, wanted)]
    places.sort(key=lambda found: (found.moment, found.path), reverse=True)
    out: list[Recording] = []
    for found in places:
        if wanted.limit and len(out) >= wanted.limit:
            break
        record = _decoded(archive, found.path)
        if isinstance(record, Record):
            out.append(_recording(found.path, record))
    return out, len(places)


def judgements(archive: Archive, wanted: Wanted) -> list[tuple[str, VerdictRecord | Acceptance]]:
    """Path and value of the verdicts and acceptances that are *wanted*, newest first."""
    found: list[tuple[str, VerdictRecord | Acceptance]] = []
    for path, content in archive.branch.read(archive.branch.paths(VERDICTS, ACCEPTED)):
        value = _value(archive, path, content)
        if isinstance(value, VerdictRecord | Acceptance) and _fits(wanted, value.suite, value.prompt, value.model):
            found.append((path, value))
    found.sort(key=lambda one: (one[1].created, one[0]), reverse=True)
    return found[: wanted.limit or None]


def one(archive: Archive, name: str) -> tuple[str, Kept]:
    """The path and the value of what *name* means: a path, an id, or the beginning of one. UsageError for none or several."""
    paths = archive.branch.paths(RUNS, VERDICTS, ACCEPTED)
    found = [path for path in paths if name in (path, identifier(path))]
    if not found and len(name) >= SHORTEST:
        found = [path for path in paths if identifier(path).startswith(name)]
    if len(found) != 1:
        raise _not_one(archive, name, found, paths)
    for path, content in archive.branch.read(found):
        return path, decode(path, content)
    raise UsageError(f"{found[0]} cannot be read", hint="git fsck says more")


def _not_one(archive: Archive, name: str, found: Sequence[str], paths: Sequence[str]) -> UsageError:
    if found:
        return UsageError(f"{shown(name)} begins {len(found)} ids", hint=f"for example {found[0]}")
    if not paths:
        hint = "promptreg run --runs write leaves a record there; promptreg runs fetch brings those of others"
        return UsageError(f"nothing is recorded on {archive.branch.name}", hint=hint)
    meant = did_you_mean(name, map(identifier, paths))
    return UsageError(f"no record {shown(name)}{meant}", hint="promptreg runs list shows the ids; --verdicts those of verdicts")


def _recording(path: str, record: Record) -> Recording:
    judged = [answer.passed for answer in record.answers if answer.passed is not None]
    return Recording(path=path, header=record.header, n=len(record.answers), measured=len(judged), passed=sum(judged))


def _decoded(archive: Archive, path: str) -> Kept | None:
    return next((_value(archive, path, content) for path, content in archive.branch.read([path])), None)


def _value(archive: Archive, path: str, content: bytes) -> Kept | None:
    try:
        return decode(path, content)
    except DataError as fault:
        archive.note(f"{archive.branch.name}: {fault}: passed over")
        return None


def _is_wanted(found: Place, wanted: Wanted) -> bool:
    return _fits(wanted, found.suite, found.prompt, found.model.rpartition("-")[0])


def _fits(wanted: Wanted, suite: str, prompt: str, model: str) -> bool:
    asked = (wanted.suite, unversioned(wanted.prompt), wanted.model)
    return all(not name or name == value for name, value in zip(asked, (suite, prompt, model), strict=True))


# pruning ---------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Cited:
    """What releases stand on: (prompt, behaviour12) pairs; and prompts of which nobody can tell, so that all of theirs is kept."""

    behaviours: set[tuple[str, str]] = field(default_factory=set)
    prompts: set[str] = field(default_factory=set)

    def covers(self, found: Place) -> bool:
        return found.prompt in self.prompts or (found.prompt, found.behaviour12) in self.behaviours


def prune(ground: Ground, archive: Archive, keeping: Keeping, *, dry_run: bool = False) -> Pruned:
    """Drops records that *keeping* does not keep, or says which. Verdicts, acceptances and what a release cites always stay.

    Where there is an `origin`, its tags and its records are fetched first: its releases count too. UsageError in a shallow clone.
    """
    if keeping.days is None and keeping.per_cell is None:
        raise UsageError("nothing says what to keep", hint="--keep-days 90, --keep-per-cell 5, or both")
    git = ground.registry.history.git
    remote = "origin" if "origin" in git.run("remote").text.splitlines() else ""
    prepared(ground.registry, Act(remote=remote))
    if remote:
        archive.branch.fetch(remote)
    cited = _cited(ground.registry)
    places = [found for path in archive.branch.paths(RUNS) if droppable(path) and (found := place(path))]
    old = _old(places, keeping, ground.now())
    going = {found.path for found in old if not cited.covers(found)}
    kept = len(places) - len(going)
    dropped = tuple(sorted(going))
    if going and not dry_run:
        dropped = archive.branch.prune(lambda path: path not in going, created=archive.moment, reason=keeping.reason)
    return Pruned(dropped=dropped, kept=kept, cited=len(old) - len(going))


def _old(places: Iterable[Place], keeping: Keeping, now: float) -> list[Place]:
    """What no rule of *keeping* keeps."""
    cells: dict[str, list[Place]] = defaultdict(list)
    for found in places:
        cells[found.folder].append(found)
    out = []
    for members in cells.values():
        members.sort(key=lambda found: (found.moment, found.path), reverse=True)
        out += [
            found
            for rank, found in enumerate(members)
            if not (keeping.per_cell is not None and rank < keeping.per_cell)
            and not (keeping.days is not None and now - _age(found) < keeping.days * DAY_S)
        ]
    return out


def _age(found: Place) -> float:
    """When it was made. A date that no calendar has is endlessly long ago."""
    at = found.moment
    return seconds(f"{at[:4]}-{at[4:6]}-{at[6:8]}T{at[9:11]}:{at[11:13]}:{at[13:15]}Z")


def _cited(registry: Registry) -> _Cited:
    cited = _Cited()
    for name in registry.state.names:
        for release in registry.state.artefact(name).releases.values():
            try:
                found = evidence(block(release.event.by.body), release.event.by.ref)
            except UsageError:
                cited.prompts.add(name)
                continue
            if found is not None:
                cited.behaviours.add((name, short(found.behaviour, 12)))
            elif "promptreg/evidence/" in release.event.by.body:  # of a later promptreg: nobody can tell what it cites
                cited.prompts.add(name)
    return cited
