"""What the tags of a repository say: releases, withdrawals, labels and their history. A fold over events that nobody changes.

The order in which tags are read does not matter. A withdrawal holds whenever it was tagged. Label events follow one another by
their counter, and where two clones used one counter, by time (then by the tag's name). As GTO has it, a label is taken away from
a version, and stands again at the version that had it before, if that one never lost it. A tag that is odd is told of in `warnings`
and never keeps the others from being read. Knows neither Git nor files: a tag comes as a `TagObject`.
"""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from promptreg.core.refs import Tag, TagKind, parse_reference, parse_tag
from promptreg.core.semver import Version
from promptreg.errors import UsageError


@dataclass(frozen=True, slots=True)
class TagObject:
    """A tag as Git holds it. `commit` is empty when it points at none; `time` is seconds since the epoch, None when unknown."""

    ref: str  # its name below refs/tags/
    oid: str
    commit: str
    annotated: bool = True
    tagger: str = ""
    email: str = ""
    time: int | None = None
    body: str = ""  # the whole message, without its signature
    signed: bool = False
    fault: str = ""  # why Git cannot read it


@dataclass(frozen=True, slots=True)
class Event:
    """A tag that says something happened."""

    tag: Tag
    by: TagObject

    @property
    def time(self) -> int:
        return self.by.time or 0

    @property
    def rank(self) -> tuple[int, int, str]:
        """What decides between events of one kind: the counter, then the time, then the tag's own name."""
        return self.tag.counter or 0, self.time, self.by.ref


@dataclass(frozen=True, slots=True)
class Oddity:
    """A tag that was passed over, or that says less than it should, and why."""

    ref: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A version of a name: the commit that holds it, and the event that made it."""

    name: str
    version: Version
    commit: str
    event: Event
    withdrawn: Event | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A label was given to a version, or taken away from it. `version` is None when `problem` says why none is known."""

    label: str
    version: Version | None
    event: Event
    problem: str = ""

    @property
    def removed(self) -> bool:
        return self.event.tag.kind is TagKind.UNLABEL


@dataclass(frozen=True, slots=True, kw_only=True)
class Deprecation:
    """A name is going; `replacement` is the reference to use instead, or empty."""

    reason: str
    replacement: str
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """All that the tags say of one name: releases by version, ascending; each label's moves from the first to the last, sorted.

    `labels` holds the move that put each label where it is now.
    """

    name: str
    releases: Mapping[Version, Release] = field(default_factory=dict)
    moves: Mapping[str, Sequence[Move]] = field(default_factory=dict)
    labels: Mapping[str, Move] = field(default_factory=dict)
    deprecation: Deprecation | None = None
    next_counter: int = 1

    @property
    def live(self) -> tuple[Release, ...]:
        """Releases that are not withdrawn, by version."""
        return tuple(release for release in self.releases.values() if release.withdrawn is None)

    @property
    def latest(self) -> Release | None:
        """The newest live release by date, prereleases passed over."""
        return max(_final(self.live), key=lambda release: (release.event.time, release.version), default=None)

    @property
    def greatest(self) -> Release | None:
        """The greatest live release by version, prereleases passed over."""
        return max(_final(self.live), key=lambda release: release.version, default=None)


@dataclass(frozen=True)
class State:
    """What all tags together say. Artefacts are folded when somebody asks for them."""

    tags: tuple[TagObject, ...]

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Every name that has an event, sorted."""
        return tuple(sorted(self._sorted[0]))

    @functools.cached_property
    def artefacts(self) -> Mapping[str, Artefact]:
        """Every artefact by name, sorted."""
        return {name: self.artefact(name) for name in self.names}

    def artefact(self, name: str) -> Artefact:
        """The artefact *name*; one without releases if no tag knows it."""
        return self._artefact(name)[0]

    @functools.cached_property
    def warnings(self) -> tuple[Oddity, ...]:
        """What is odd about the tags, sorted by tag."""
        found = [*self._sorted[1], *(warning for name in self.names for warning in self._artefact(name)[1])]
        return tuple(sorted(found, key=lambda warning: (warning.ref, warning.message)))

    def at(self, time: float) -> State:
        """The state as it was at *time* (seconds since the epoch), by the clocks of those who tagged."""
        return State(tuple(tag for tag in self.tags if tag.time is not None and tag.time <= time))

    @functools.cached_property
    def _sorted(self) -> tuple[dict[str, list[Event]], list[Oddity]]:
        return _sort(self.tags)

    @functools.cached_property
    def _folded(self) -> dict[str, tuple[Artefact, list[Oddity]]]:
        return {}

    def _artefact(self, name: str) -> tuple[Artefact, list[Oddity]]:
        if name not in self._folded:
            self._folded[name] = _fold(name, self._sorted[0].get(name, ()))
        return self._folded[name]


def fold(tags: Iterable[TagObject]) -> State:
    """The state that *tags* tell, in whatever order they come."""
    return State(tuple(tags))


def block(body: str) -> str:
    """The machine's part of a tag's message: what follows the last line that is `---`; empty when there is none."""
    _, mark, after = ("\n" + body.replace("\r\n", "\n")).rpartition("\n---\n")
    return after if mark else ""


def prose(body: str) -> str:
    """What a tag's message says to people: all before its block."""
    before, mark, after = ("\n" + body.replace("\r\n", "\n")).rpartition("\n---\n")
    return (before if mark else after).strip()


def entry(body: str, key: str) -> str:
    """The value of `key: value` in the block of a tag's message, without quotes; empty when there is none."""
    found = re.search(rf"^{re.escape(key)}:[ \t]*(.*)$", block(body), re.MULTILINE)
    return found[1].strip().strip("'\"") if found else ""


def holders(history: Iterable[Move]) -> dict[Version, Move]:
    """The versions that have a label after all of its *history*, the one that it stands at last."""
    found: dict[Version, Move] = {}
    for move in history:
        if move.version is not None:
            found.pop(move.version, None)
            if not move.removed:
                found[move.version] = move
    return found


def before(artefact: Artefact, label: str) -> Release | None:
    """The release that *label* stood at before the one it stands at: withdrawn ones are passed over, undone rollbacks stay so."""
    now = artefact.labels[label].version
    path: list[Version] = []
    for move in artefact.moves[label]:
        if move.version is None:
            continue
        if move.removed:
            path = [version for version in path if version != move.version]
        elif entry(move.event.by.body, "event") == "rollback" and move.version in path:
            del path[len(path) - path[::-1].index(move.version) :]
        elif path[-1:] != [move.version]:
            path.append(move.version)
    while now in path and path.pop() != now:
        pass
    found = (artefact.releases[version] for version in reversed(path) if version != now)
    return next((release for release in found if release.withdrawn is None), None)


def _final(releases: Iterable[Release]) -> list[Release]:
    return [release for release in releases if not release.version.prerelease]


# folding ---------------------------------------------------------------------------------------------------------------------


def _sort(tags: Iterable[TagObject]) -> tuple[dict[str, list[Event]], list[Oddity]]:
    """Events by name, each in the order of time; and the tags that are none."""
    events: dict[str, list[Event]] = defaultdict(list)
    warnings: list[Oddity] = []
    for tag in tags:
        try:
            parsed = parse_tag(tag.ref)
        except UsageError as fault:
            warnings.append(Oddity(tag.ref, fault.message, fault.hint or ""))
            continue
        if parsed is None:
            continue
        if odd := _oddity(tag):
            warnings.append(Oddity(tag.ref, *odd))
        else:
            events[parsed.name].append(Event(parsed, tag))
    for known in events.values():
        known.sort(key=lambda event: (event.time, event.by.ref))
    return dict(events), warnings


def _oddity(tag: TagObject) -> tuple[str, str] | None:
    if tag.fault:
        return f"the tag '{tag.ref}' cannot be read: {tag.fault}", "fetch it again, or delete it: git fsck says more"
    if not tag.annotated:
        return f"the tag '{tag.ref}' is lightweight: nobody signs for it, and it has no date", "git tag -a makes annotated tags"
    if not tag.commit:
        return f"the tag '{tag.ref}' points at no commit", "tag the commit itself"
    if tag.time is None:
        return f"the tag '{tag.ref}' has no tagger or no date", "git tag -a writes both"
    return None


def _fold(name: str, events: Sequence[Event]) -> tuple[Artefact, list[Oddity]]:
    of: dict[TagKind, list[Event]] = defaultdict(list)
    for event in events:
        of[event.tag.kind].append(event)
    warnings: list[Oddity] = []
    releases = _releases(name, of[TagKind.RELEASE], of[TagKind.WITHDRAW], warnings)
    moves = _moves(releases, [*of[TagKind.LABEL], *of[TagKind.UNLABEL]], warnings)
    counters = [event.tag.counter or 0 for event in events]
    going = max(of[TagKind.DEPRECATE], key=lambda event: event.rank, default=None)
    deprecation = None if going is None else _deprecation(going)
    artefact = Artefact(
        name=name,
        releases=releases,
        moves=moves,
        labels={label: now for label, history in moves.items() if (now := _standing(history))},
        deprecation=deprecation,
        next_counter=max(counters, default=0) + 1,
    )
    return artefact, warnings


def _releases(name: str, made: Sequence[Event], withdrawn: Sequence[Event], warnings: list[Oddity]) -> dict[Version, Release]:
    tombs: dict[Version, Event] = {}
    for event in withdrawn:
        assert event.tag.version is not None
        tombs.setdefault(event.tag.version, event)
    releases: dict[Version, Release] = {}
    for event in sorted(made, key=lambda event: event.rank):
        version = event.tag.version
        assert version is not None
        if version in releases:
            warnings.append(Oddity(event.by.ref, f"{name} {version} was released before: only the first tag counts"))
            continue
        tomb = tombs.pop(version, None)
        releases[version] = Release(name=name, version=version, commit=event.by.commit, event=event, withdrawn=tomb)
    for event in tombs.values():
        warnings.append(Oddity(event.by.ref, f"{name} {event.tag.version} is withdrawn, but no tag released it"))
    return {version: releases[version] for version in sorted(releases)}


def _moves(releases: Mapping[Version, Release], events: Sequence[Event], warnings: list[Oddity]) -> dict[str, tuple[Move, ...]]:
    at: dict[str, list[Release]] = defaultdict(list)
    for release in releases.values():
        at[release.commit].append(release)
    moves: dict[str, list[Move]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.rank):
        move = _move(event, at[event.by.commit])
        moves[move.label].append(move)
        if move.problem:
            warnings.append(Oddity(event.by.ref, f"the tag '{event.by.ref}' {move.problem}"))
    return {label: tuple(moves[label]) for label in sorted(moves)}


def _standing(history: Sequence[Move]) -> Move | None:
    """The move that counts after all of *history*; None when every version has lost the label."""
    if history and history[-1].problem:
        return history[-1]
    return next(reversed(holders(history).values()), None)


def _move(event: Event, here: Sequence[Release]) -> Move:
    """*here* are the releases of the commit that the event points at, by version."""
    label = event.tag.label
    said = entry(event.by.body, "version").removeprefix("v")
    if said:
        found = next((release for release in here if str(release.version) == said), None)
        if found is None:
            problem = f"says version {said[:60]!a}, which is not released at the commit it points at"
            return Move(label=label, version=None, event=event, problem=problem)
        return Move(label=label, version=found.version, event=event)
    then = [release for release in here if release.event.time <= event.time] or list(here)
    live = [release for release in then if release.withdrawn is None] or then
    if not live:
        return Move(label=label, version=None, event=event, problem="points at a commit that is no release of this name")
    return Move(label=label, version=live[-1].version, event=event)


def _deprecation(event: Event) -> Deprecation:
    body = event.by.body
    replacement = entry(body, "replacement")
    try:
        parse_reference(replacement)
    except UsageError:
        replacement = ""
    return Deprecation(reason=prose(body), replacement=replacement, event=event)
