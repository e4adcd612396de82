"""A registry: names and references → values, read from a snapshot or from the commit that a reference means.

Knows where files lie, not what they mean. `open_registry` gives the one of a working tree, `open_revision` and `open_repository`
the one that a commit holds.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

from promptreg import documents
from promptreg.core.prompt import Prompt
from promptreg.core.select import Entry, matching, sample, stratum
from promptreg.core.settings import Settings
from promptreg.core.suite import Case, Suite, pair_key
from promptreg.errors import DocumentError, UsageError, Where
from promptreg.registry.plumbing import Git, is_bare, toplevel
from promptreg.registry.prompts import PROMPTS, Prompts, known, names
from promptreg.registry.snapshot import Snapshot, WorkingTree

if TYPE_CHECKING:  # what is about history or other registries is imported when somebody asks for it
    from promptreg.core.refs import Reference
    from promptreg.core.releases import Release, State
    from promptreg.core.resolve import Resolution
    from promptreg.registry.history import History
    from promptreg.registry.pulling.vendored import Vendored

SETTINGS = "promptreg.yaml"
SUITES = "suites/"
PLUGINS = "plugins/"
OWN_FILES = (SETTINGS, PROMPTS, SUITES, PLUGINS)
_PEEK = 1 << 16  # bytes; enough to see whether a YAML file is a list, behind any sensible comment

CaseReader: TypeAlias = Callable[[BinaryIO, str], Iterator[Case]]


def open_registry(start: Path, *, read_cases: CaseReader, env: Mapping[str, str]) -> Registry:
    """The registry that holds *start*: the nearest folder upwards with a promptreg.yaml, within the Git repository if there is one.

    *read_cases* reads a dataset (`datasets.read`); *env* is what git may see of the environment.
    """
    start = start.resolve()
    boundary = toplevel(start)
    for folder in (start, *start.parents):
        if (folder / SETTINGS).is_file():
            where = None if boundary is None else Repository(Git(folder, env), _inside(folder.relative_to(boundary).as_posix()))
            return Registry(folder, WorkingTree(folder, boundary), read_cases, where)
        if folder == boundary:
            break
    hint = "this repository has no working tree: open it at a revision" if is_bare(start) else "promptreg init makes a registry"
    raise UsageError(f"no {SETTINGS} here or above {start}", hint=hint)


def open_revision(registry: Registry, revision: str) -> Registry:
    """*registry* as the commit that *revision* names holds it. UsageError if it names none, or one without a registry."""
    return registry.at(registry.history.git.rev_parse(revision))


def open_repository(
    repository: Path, revision: str, *, read_cases: CaseReader, env: Mapping[str, str], folder: str = ""
) -> Registry:
    """The registry in *folder* of *repository* (bare, or with a working tree, which is not read) at *revision*."""
    path = repository.resolve()
    where = Repository(Git(path, env, bare=is_bare(path)), _inside(folder))
    return Registry(path, where.history.revision(where.git.rev_parse(revision)), read_cases, where)


class Repository:
    """Where in Git a registry lies: what git is asked there, and its history, once somebody wants it."""

    def __init__(self, git: Git, folder: str) -> None:
        self.git = git
        self._folder = folder

    @cached_property
    def history(self) -> History:
        from promptreg.registry.history import History

        return History(self.git, self._folder)

    def close(self) -> None:
        if "history" in self.__dict__:
            self.history.close()


class Registry:
    """Prompts, suites and settings below *root*. The list of names is read once; files are read when asked for.

    Outside of Git there is no history. What was read at commits was read by a git process: `close` ends it.
    """

    def __init__(self, root: Path, snapshot: Snapshot, read_cases: CaseReader, repository: Repository | None) -> None:
        self.root = root
        self.snapshot = snapshot
        self.settings: Settings = documents.settings(snapshot.read(SETTINGS), snapshot.place(SETTINGS))
        self._prompts = Prompts(snapshot)
        self._read_cases = read_cases
        self._repository = repository

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the git process that reads objects; a later question starts another."""
        if self._repository is not None:
            self._repository.close()

    # history

    @property
    def history(self) -> History:
        """The repository's commits and tags. UsageError outside of Git."""
        return self._git_repository().history

    @property
    def state(self) -> State:
        """What the tags say: releases, labels, oddities. Read once; empty outside of Git."""
        from promptreg.core.releases import fold

        return fold(()) if self._repository is None else self._repository.history.state

    def head(self) -> tuple[str | None, bool]:
        """(commit of HEAD or None, whether the registry's own files differ from it). (None, False) outside of Git."""
        if self.snapshot.commit is not None:
            return self.snapshot.commit, False
        if self._repository is None:
            return None, False
        return self._repository.git.head(), self._repository.git.dirty(OWN_FILES)

    def tracked(self, path: Path) -> list[str]:
        """What Git tracks at *path* and below, links followed or not: what a commit of somebody else's could bring."""
        top = toplevel(self.root)
        if top is None or self._repository is None:
            return []
        ways = {Path(os.path.abspath(path)), path.resolve()}
        inside = sorted(way.relative_to(top).as_posix() for way in ways if way.is_relative_to(top))
        return self._repository.git.tracked(inside) if inside else []

    def at(self, commit: str) -> Registry:
        """This registry as *commit* (an object id) holds it. UsageError if there is no registry in it."""
        return Registry(self.root, self.history.revision(commit), self._read_cases, self._repository)

    def under(self, settings: Settings) -> Registry:
        """The same prompts and suites under other *settings*."""
        other = copy(self)
        other.settings = settings
        return other

    def _git_repository(self) -> Repository:
        if self._repository is None:
            raise UsageError(f"{self.root} is not in a Git repository", hint="git init, then commit: versions are Git's")
        return self._repository

    def release(self, reference: str) -> Release:
        """The release that *reference* means. UsageError that says what exists; also for a reference that means no release."""
        from promptreg.core.refs import parse_reference

        asked = parse_reference(reference)
        if asked.source:
            return self.pulled.release(asked)
        _, release = self._located(asked)
        if release is None:
            raise UsageError(f"'{asked}' names no release", hint=f"{asked.name}@latest, @1.4.0 or @LABEL names one")
        return release

    def resolve(self, reference: str) -> Resolution:
        """The prompt that *reference* means, where it was read, and its digests. Raises what `prompt` does, and TemplateError."""
        from promptreg.core.identity import behaviour_digest, included, source_digest
        from promptreg.core.refs import parse_reference
        from promptreg.core.resolve import Resolution

        asked = parse_reference(reference)
        if asked.source:
            return self.pulled.resolve(asked)
        commit, release = self._located(asked)
        files = self._files(commit)
        prompt = files.prompt(asked.name)
        return Resolution(
            reference=asked,
            prompt=prompt,
            source=source_digest(files.source(asked.name), {path: files.partial(path) for path in included(prompt)}),
            behaviour=behaviour_digest(prompt),
            commit=commit,
            release=release,
        )

    def _located(self, asked: Reference) -> tuple[str | None, Release | None]:
        """The commit that *asked* means (None: the registry's own snapshot), and the release, if it names one."""
        from promptreg.core.refs import Revision, Working

        if asked.source:
            raise UsageError(f"'{asked}' was pulled: its releases are its source's", hint="promptreg outdated shows what there is")
        match asked.selector:
            case None | Working():
                return None, None
            case Revision(text):
                return self.history.git.rev_parse(text), None
            case selector:
                release = self.history.release(asked.name, selector)
                return release.commit, release

    def _files(self, commit: str | None) -> Prompts:
        return self._prompts if commit is None else Prompts(self.history.revision(commit))

    # prompts

    def prompt_names(self) -> tuple[str, ...]:
        """All prompts, sorted. UsageError when a file's name cannot be a prompt's."""
        return self._prompts.names

    def prompt(self, reference: str) -> Prompt:
        """The prompt that *reference* (a name, or NAME@SELECTOR) means, read at the commit that it means.

        UsageError with a did-you-mean if there is none, DocumentError if its file is faulty.
        """
        if "@" not in reference and ":" not in reference:
            return self._prompts.prompt(reference)
        from promptreg.core.refs import parse_reference

        asked = parse_reference(reference)
        if asked.source:
            return self.pulled.prompt(asked)
        commit, _ = self._located(asked)
        return self._files(commit).prompt(asked.name)

    @cached_property
    def pulled(self) -> Vendored:
        """The prompts of other registries that the lock of this one holds."""
        from promptreg.registry.pulling.vendored import Vendored

        return Vendored(self.snapshot)

    def prompts_matching(self, patterns: Sequence[str], where: Where | None = None) -> tuple[str, ...]:
        """The prompts that any of *patterns* means: names or globs of own ones, of pulled ones (`acme:*`), or references.

        A reference (`NAME@SELECTOR`) comes back as it is written. All own ones without patterns. UsageError, at *where*, for a
        name or glob that means none; what a reference means, reading it tells.
        """
        references = tuple(pattern for pattern in patterns if "@" in pattern)
        foreign = tuple(pattern for pattern in patterns if ":" in pattern and pattern not in references)
        own = tuple(pattern for pattern in patterns if ":" not in pattern and pattern not in references)
        found = matching(own, self.prompt_names(), "prompt", where) if own or not patterns else ()
        return (*found, *(matching(foreign, self.pulled.names, "prompt", where) if foreign else ()), *dict.fromkeys(references))

    def source(self, name: str) -> bytes:
        """The bytes of the file of the prompt *name*."""
        return self._prompts.source(name)

    @property
    def partials(self) -> Mapping[str, str]:
        """Include path to text of every partial."""
        return self._prompts.partials

    def partial_paths(self) -> tuple[str, ...]:
        """The include paths of all partials, sorted."""
        return tuple(self._prompts.partials)

    # suites

    def suite_names(self) -> tuple[str, ...]:
        """All suites, sorted: the YAML files under suites/ that are not lists (those are datasets)."""
        return self._suite_names

    def suite(self, name: str) -> Suite:
        """The suite *name*; one that names no models gets the registry's default."""
        path = known(name, self.suite_names(), SUITES, "suite", self.snapshot)
        found = documents.suite(self.snapshot.read(path), path, name, self.snapshot.place(path))
        if found.models:
            return found
        default = self.settings.defaults.model
        if default is None:
            hint = f"add 'models:' here, or 'defaults: {{model: …}}' to {SETTINGS}"
            raise DocumentError("the suite names no models, and there is no default", where=found.where, hint=hint)
        return replace(found, models=(default,))

    def cases(self, suite: Suite) -> Iterator[Case]:
        """The cases of *suite* in the order of its data, only those of its sample if it has one. Rows are streamed, never kept.

        DataError at a faulty row, when it is reached; with a sample, all rows are read first.
        """
        if suite.sample is None:
            yield from self._all_cases(suite)
            return
        chosen = sample(self._entries(suite, suite.sample.by), suite.sample.n, suite.sample.seed)
        for position, case in enumerate(self._all_cases(suite)):
            if position in chosen:
                yield case

    @cached_property
    def _suite_names(self) -> tuple[str, ...]:
        paths = self.snapshot.paths(SUITES.rstrip("/"))
        return names([path for path in paths if not path.endswith((".yaml", ".yml")) or not self._is_list(path)], SUITES)

    def _is_list(self, path: str) -> bool:
        with self.snapshot.open(path) as file:
            return documents.is_yaml_list(file.read(_PEEK))

    def _all_cases(self, suite: Suite) -> Iterator[Case]:
        if suite.dataset is None:
            yield from suite.cases
            return
        try:
            file = self.snapshot.open(suite.dataset)
        except UsageError as fault:
            raise UsageError(fault.message, where=suite.place("dataset"), hint=fault.hint) from fault
        with file:
            yield from self._read_cases(file, self.snapshot.place(suite.dataset))

    def _entries(self, suite: Suite, by: str | None) -> Iterator[Entry]:
        found = by is None
        for position, case in enumerate(self._all_cases(suite)):
            group = stratum(case, by)
            found = found or group != ""
            yield Entry(pair_key(case.inputs), group, position)
        if not found:
            hint = "strata are tags.NAME, inputs.NAME, expected, expected.NAME or cluster"
            raise UsageError(f"no case has '{by}'", where=suite.place("sample.by"), hint=hint)


def _inside(folder: str) -> str:
    """*folder* of a repository as a prefix of paths."""
    folder = folder.strip("/")
    return "" if folder in ("", ".") else f"{folder}/"
