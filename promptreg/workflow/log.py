"""The history of one prompt: what its tags say, and the commits after which it renders differently. Streams, newest first."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping

from promptreg import documents
from promptreg.core.canonical import Digest
from promptreg.core.identity import behaviour_digest, included
from promptreg.core.refs import Reference, Revision, parse_reference
from promptreg.core.timeline import Kind, Moment, moments
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.registry.commits import Commit
from promptreg.registry.history import History
from promptreg.registry.snapshot import MAX_BYTES

PROMPTS = "prompts/"
PARTIALS = ("prompts/_*.jinja", "prompts/**/_*.jinja")


def log(registry: Registry, reference: str) -> Iterator[Moment]:
    """All that happened to the prompt that *reference* names, newest first; with a selector, up to the commit that it means.

    A commit is listed when it changed what the prompt renders to, whichever file it touched. UsageError when neither a commit nor a
    tag knows the name.
    """
    asked = parse_reference(reference)
    own(asked)
    history = registry.history
    start = _start(registry, reference)
    told = moments(history.state.artefact(asked.name))
    if asked.selector is not None:
        before = _ancestors(history, start, {moment.commit for moment in told})
        told = [moment for moment in told if moment.commit in before]
    commits = _changes(history, asked.name, start) if start else iter(())
    first = next(commits, None)
    if first is None and not told:
        registry.prompt(asked.name)  # says what it could have been, or
        raise UsageError(f"no commit holds the prompt {asked.name}", hint=f"git add {PROMPTS}{asked.name}.yaml, then git commit")
    if asked.selector is None and registry.snapshot.commit is None:
        yield from _working(registry, asked.name, start)
    versions = {moment.commit: moment.version for moment in told if moment.kind == "release"}
    following = (_versioned(change, versions) for change in _chain(first, commits))
    merged = heapq.merge(told, following, key=lambda moment: moment.time, reverse=True)
    for _, together in itertools.groupby(merged, key=lambda moment: moment.time):
        yield from _arranged(list(together))


def own(asked: Reference) -> None:
    """UsageError for a prompt of a pulled source: what happened to it, the source's repository knows."""
    if asked.source:
        hint = f"in a clone of {asked.source}, with {asked.name}; promptreg diff compares what was pulled"
        raise UsageError(f"the history of {asked.source}:{asked.name} is not in this repository", hint=hint)


class Renderings:
    """What one prompt renders to at any commit, as a digest. Files that are the same are read once."""

    def __init__(self, history: History, name: str) -> None:
        self._history = history
        self._name = name
        self._path = f"{PROMPTS}{name}.yaml"
        self._paths: tuple[str, ...] = ()  # what the last reading included: most likely what the next one does
        self._known: dict[tuple[str, tuple[tuple[str, str | None], ...]], str] = {}

    def at(self, commit: str) -> str:
        """Its behaviour digest; empty where it does not exist; something else that tells files apart where it cannot be read."""
        oid, *others = self._history.find(commit, [self._path, *(PROMPTS + path for path in self._paths)])
        if oid is None:
            return ""
        key = (oid, tuple(zip(self._paths, others, strict=True)))
        if key in self._known:
            return self._known[key]
        partials = Partials(self._history, commit)
        found = self._read(oid, partials)
        self._paths = tuple(sorted(partials.seen))
        self._known[oid, tuple((path, partials.seen[path]) for path in self._paths)] = found
        return found

    def _read(self, oid: str, partials: Partials) -> Digest | str:
        content = self._history.objects.read(oid, MAX_BYTES)
        if content is None:
            return f"broken {oid}"
        try:
            prompt = documents.prompt(content, self._path, self._name, partials)
            included(prompt)
            return behaviour_digest(prompt)
        except UsageError:
            return f"broken {oid} {sorted(partials.seen.items(), key=str)}"


class Partials(Mapping[str, str]):
    """The partials of one commit, each found when it is asked for. `seen` holds the object ids of those that were; None: none."""

    def __init__(self, history: History, commit: str) -> None:
        self._history = history
        self._commit = commit
        self.seen: dict[str, str | None] = {}

    def __getitem__(self, path: str) -> str:
        oid = self._find(path)
        content = None if oid is None else self._history.objects.read(oid, MAX_BYTES)
        if content is None:
            raise KeyError(path)
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as fault:
            raise UsageError(f"{path} is not UTF-8") from fault

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._find(path) is not None

    def __iter__(self) -> Iterator[str]:
        return iter([path for path, oid in self.seen.items() if oid is not None])

    def __len__(self) -> int:
        return sum(oid is not None for oid in self.seen.values())

    def _find(self, path: str) -> str | None:
        if path not in self.seen:
            plain = path.isprintable() and ".." not in path.split("/") and not path.startswith("/")
            self.seen[path] = self._history.find(self._commit, [PROMPTS + path])[0] if plain else None
        return self.seen[path]


def _changes(history: History, name: str, start: str) -> Iterator[Moment]:
    renderings = Renderings(history, name)
    for commit in history.commits(start, [f"{PROMPTS}{name}.yaml"], PARTIALS):
        now = renderings.at(commit.oid)
        before = [renderings.at(parent) for parent in commit.parents] or [""]
        if now not in before:
            cut = not commit.parents and history.git.is_shallow
            yield _moment(commit, "start" if cut else _kind(before[0], now))


def _kind(before: str, now: str) -> Kind:
    if not now:
        return "removed"
    if now.startswith("broken"):
        return "broken"
    return "changed" if before else "added"


def _moment(commit: Commit, kind: Kind) -> Moment:
    return Moment(
        kind=kind,
        time=commit.time,
        who=commit.author,
        email=commit.email,
        commit=commit.oid,
        subject=commit.subject,
    )


def _versioned(change: Moment, versions: Mapping[str, str]) -> Moment:
    from dataclasses import replace

    return replace(change, version=versions.get(change.commit, ""))


def _start(registry: Registry, reference: str) -> str:
    """The commit to walk back from; empty before the first one."""
    asked = parse_reference(reference)
    if asked.selector is None:
        return registry.snapshot.commit or registry.history.git.head() or ""
    if isinstance(asked.selector, Revision):
        return registry.history.git.rev_parse(asked.selector.text)
    return registry.release(reference).commit


def _ancestors(history: History, start: str, among: set[str]) -> set[str]:
    return {commit for commit in among if history.git.merge_base(commit, start) == commit}


def _working(registry: Registry, name: str, head: str) -> Iterator[Moment]:
    """The working copy, if it renders differently from HEAD."""
    committed = Renderings(registry.history, name).at(head) if head else ""
    try:
        now = behaviour_digest(registry.prompt(name)) if name in registry.prompt_names() else ""
    except UsageError:
        now = "broken"
    if now != committed:
        kinds: dict[bool, str] = {True: "removed, not committed", False: "changed, not committed"}
        yield Moment(kind="working", time=0, subject="cannot be read" if now == "broken" else kinds[not now])


def _arranged(together: list[Moment]) -> Iterator[Moment]:
    """Moments of one second: git knows the order of commits, and what a tag says happened after the commit that it points at."""
    commits = [moment for moment in together if not moment.tag]
    known = {moment.commit for moment in commits}
    events = [moment for moment in together if moment.tag]
    yield from (event for event in events if event.commit not in known)
    for commit in commits:
        yield from (event for event in events if event.commit == commit.commit)
        yield commit


def _chain(first: Moment | None, rest: Iterator[Moment]) -> Iterator[Moment]:
    if first is not None:
        yield first
    yield from rest
