"""A registry: names of prompts and suites → values, read from a snapshot. Knows where files lie, not what they mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, TypeAlias

from promptreg import documents
from promptreg.core.prompt import Prompt
from promptreg.core.select import Entry, matching, sample, stratum
from promptreg.core.settings import Settings
from promptreg.core.suite import Case, Suite, pair_key
from promptreg.errors import DocumentError, NoRegistryError, UsageError, Where
from promptreg.registry.plumbing import Git, toplevel
from promptreg.registry.snapshot import Snapshot, WorkingTree

SETTINGS = "promptreg.yaml"
PROMPTS = "prompts/"
SUITES = "suites/"
PLUGINS = "plugins/"
OWN_FILES = (SETTINGS, PROMPTS, SUITES, PLUGINS)
_NAME = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9-/_]*[a-zA-Z0-9])?")
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
            return Registry(folder, WorkingTree(folder, boundary), read_cases, Git(folder, env))
        if folder == boundary:
            break
    raise NoRegistryError(f"no {SETTINGS} here or above {start}", hint="promptreg init makes a registry")


def check_name(name: str, where: Where | None = None) -> None:
    """UsageError unless *name* may name a prompt or suite."""
    if not _NAME.fullmatch(name) or "//" in name:
        hint = "a name has letters, digits, - _ and /, and begins and ends with a letter or digit"
        raise UsageError(f"{name!r} cannot be a name", where=where, hint=hint)


class Registry:
    """Prompts, suites and settings below *root*. The list of names is read once; files are read when asked for."""

    def __init__(self, root: Path, snapshot: Snapshot, read_cases: CaseReader, git: Git) -> None:
        self.root = root
        self.snapshot = snapshot
        self.settings: Settings = documents.settings(snapshot.read(SETTINGS), SETTINGS)
        self._read_cases = read_cases
        self._git = git

    def head(self) -> tuple[str | None, bool]:
        """(commit of HEAD or None, whether the registry's own files differ from it). (None, False) outside of Git."""
        if toplevel(self.root) is None:
            return None, False
        return self._git.head(), self._git.dirty(OWN_FILES)

    def prompt_names(self) -> tuple[str, ...]:
        """All prompts, sorted. UsageError when a file's name cannot be a prompt's."""
        return self._prompt_names

    def prompt(self, name: str) -> Prompt:
        """The prompt *name*. UsageError with a did-you-mean if there is none, DocumentError if its file is faulty."""
        path = self._path(name, self.prompt_names(), PROMPTS, "prompt")
        return documents.prompt(self.snapshot.read(path), path, name, self.partials)

    def suite_names(self) -> tuple[str, ...]:
        """All suites, sorted: the YAML files under suites/ that are not lists (those are datasets)."""
        return self._suite_names

    def suite(self, name: str) -> Suite:
        """The suite *name*; one that names no models gets the registry's default."""
        path = self._path(name, self.suite_names(), SUITES, "suite")
        found = documents.suite(self.snapshot.read(path), path, name)
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

    def partial_paths(self) -> tuple[str, ...]:
        """The include paths of all partials, sorted."""
        return tuple(self.partials)

    @cached_property
    def partials(self) -> Mapping[str, str]:
        """Include path (below prompts/) to text of every partial."""
        paths = [path for path in self._prompt_files if _is_partial(path)]
        return {path.removeprefix(PROMPTS): _text(self.snapshot.read(path), path) for path in paths}

    @cached_property
    def _prompt_files(self) -> list[str]:
        return self.snapshot.paths(PROMPTS.rstrip("/"))

    @cached_property
    def _prompt_names(self) -> tuple[str, ...]:
        return _names(self._prompt_files, PROMPTS)

    @cached_property
    def _suite_names(self) -> tuple[str, ...]:
        paths = self.snapshot.paths(SUITES.rstrip("/"))
        return _names([path for path in paths if not path.endswith((".yaml", ".yml")) or not self._is_list(path)], SUITES)

    def _is_list(self, path: str) -> bool:
        with self.snapshot.open(path) as file:
            return documents.is_yaml_list(file.read(_PEEK))

    def _path(self, name: str, known: tuple[str, ...], folder: str, noun: str) -> str:
        if name not in known:
            check_name(name)
            matching((name,), known, noun)
        return f"{folder}{name}.yaml"

    def _all_cases(self, suite: Suite) -> Iterator[Case]:
        if suite.dataset is None:
            yield from suite.cases
            return
        try:
            file = self.snapshot.open(suite.dataset)
        except UsageError as fault:
            raise UsageError(fault.message, where=suite.place("dataset"), hint=fault.hint) from fault
        with file:
            yield from self._read_cases(file, suite.dataset)

    def _entries(self, suite: Suite, by: str | None) -> Iterator[Entry]:
        found = by is None
        for position, case in enumerate(self._all_cases(suite)):
            group = stratum(case, by)
            found = found or group != ""
            yield Entry(pair_key(case.inputs), group, position)
        if not found:
            hint = "strata are tags.NAME, inputs.NAME, expected, expected.NAME or cluster"
            raise UsageError(f"no case has '{by}'", where=suite.place("sample.by"), hint=hint)


def _is_partial(path: str) -> bool:
    return path.endswith(".jinja") and path.rpartition("/")[2].startswith("_")


def _names(paths: list[str], folder: str) -> tuple[str, ...]:
    """Names of the .yaml files among *paths*; all complaints at once."""
    names: list[str] = []
    complaints: list[UsageError] = []
    for path in paths:
        try:
            if path.endswith(".yml"):
                raise UsageError("files here end in .yaml", where=Where(path), hint="rename it to .yaml")
            if path.endswith(".yaml"):
                name = path.removeprefix(folder).removesuffix(".yaml")
                check_name(name, Where(path))
                names.append(name)
        except UsageError as fault:
            complaints.append(fault)
    if complaints:
        first, *rest = complaints
        raise UsageError(first.message, where=first.where, hint=first.hint, more=tuple(rest))
    return tuple(sorted(names))


def _text(source: bytes, path: str) -> str:
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        before = source[: fault.start].decode(errors="replace")
        where = Where(path, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        problem = f"byte 0x{source[fault.start]:02x} is not UTF-8"
        raise DocumentError(problem, where=where, hint="save the file as UTF-8") from None
