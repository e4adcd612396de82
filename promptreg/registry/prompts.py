"""Prompt files and partials of one snapshot: names → bytes and values. Knows where they lie, not what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from promptreg import documents
from promptreg.core.names import check_name
from promptreg.core.prompt import Prompt
from promptreg.core.select import matching
from promptreg.errors import DocumentError, UsageError, Where
from promptreg.registry.snapshot import Snapshot

PROMPTS = "prompts/"
VENDOR = "prompts/vendor/"  # what was pulled: its folders are NAME@VERSION, which no prompt's name can be


class Prompts:
    """The prompts of *snapshot*. The list of names is read once; files are read when asked for."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All prompts, sorted. UsageError when a file's name cannot be a prompt's."""
        return names(self._paths, PROMPTS)

    @cached_property
    def partials(self) -> Mapping[str, str]:
        """Include path (below prompts/) to text of every partial."""
        paths = [path for path in self._paths if is_partial(path)]
        return {path.removeprefix(PROMPTS): _text(self._snapshot.read(path), self._snapshot.place(path)) for path in paths}

    def prompt(self, name: str) -> Prompt:
        """The prompt *name*. UsageError with a did-you-mean if there is none, DocumentError if its file is faulty."""
        return documents.prompt(self.source(name), self._snapshot.place(self.path(name)), name, self.partials)

    def path(self, name: str) -> str:
        """Where *name*, which must exist, lies."""
        return known(name, self.names, PROMPTS, "prompt", self._snapshot)

    def source(self, name: str) -> bytes:
        """The bytes of a prompt's file."""
        return self._snapshot.read(self.path(name))

    def partial(self, path: str) -> bytes:
        """The bytes of the partial that is included as *path*."""
        return self._snapshot.read(PROMPTS + path)

    @cached_property
    def _paths(self) -> list[str]:
        return [path for path in self._snapshot.paths(PROMPTS.rstrip("/")) if not is_pulled(path)]


def is_pulled(path: str) -> bool:
    """Whether the file *path* was pulled from a source: it is no prompt or partial of this registry."""
    return path.startswith(VENDOR) and "@" in path


def known(name: str, among: tuple[str, ...], folder: str, noun: str, snapshot: Snapshot) -> str:
    """The path of *name*. UsageError with a did-you-mean when it is not *among* the names that exist."""
    if name not in among:
        check_name(name)
        try:
            matching((name,), among, noun)
        except UsageError as fault:
            place = snapshot.place(folder)
            if place == folder:
                raise
            raise UsageError(fault.message, where=Where(place), hint=fault.hint) from fault
    return f"{folder}{name}.yaml"


def names(paths: list[str], folder: str) -> tuple[str, ...]:
    """Names of the .yaml files among *paths*; all complaints at once."""
    found: list[str] = []
    complaints: list[UsageError] = []
    for path in paths:
        try:
            if path.endswith(".yml"):
                raise UsageError("files here end in .yaml", where=Where(path), hint="rename it to .yaml")
            if path.endswith(".yaml"):
                name = path.removeprefix(folder).removesuffix(".yaml")
                check_name(name, Where(path))
                found.append(name)
        except UsageError as fault:
            complaints.append(fault)
    if complaints:
        first, *rest = complaints
        raise UsageError(first.message, where=first.where, hint=first.hint, more=tuple(rest))
    return tuple(sorted(found))


def is_partial(path: str) -> bool:
    return path.endswith(".jinja") and path.rpartition("/")[2].startswith("_")


def _text(source: bytes, path: str) -> str:
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        before = source[: fault.start].decode(errors="replace")
        where = Where(path, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
        problem = f"byte 0x{source[fault.start]:02x} is not UTF-8"
        raise DocumentError(problem, where=where, hint="save the file as UTF-8") from None
