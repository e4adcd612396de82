"""A registry's files at one moment, as bytes by path. The working tree is one kind; a Git revision can be another.

Paths are relative to the registry's root, with `/`. Knows no file format. What is read is foreign: a pull request may hold
symbolic links to secrets, pipes that block, and files without end; all are refused by name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import BinaryIO, Protocol

from promptreg.errors import UsageError, Where

MAX_BYTES = 1 << 20  # of a prompt, partial, suite or settings file
OUTSIDE_HINT = "put the file itself there"
_POINTER = b"version https://git-lfs.github.com/spec/"
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class Snapshot(Protocol):
    """What a registry needs of its files. UsageError for what is missing or refused."""

    @property
    def commit(self) -> str | None: ...

    def paths(self, folder: str = "") -> list[str]: ...

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes: ...

    def open(self, path: str) -> BinaryIO: ...

    def place(self, path: str) -> str: ...

    def has(self, path: str) -> bool: ...


class WorkingTree:
    """The files below *root* as they are now. Nothing outside of *boundary* (the repository, or the root) is ever read."""

    commit = None

    def __init__(self, root: Path, boundary: Path | None = None) -> None:
        self._root = root.resolve()
        self._boundary = (boundary or root).resolve()

    def paths(self, folder: str = "") -> list[str]:
        """Every file in *folder* and below, sorted; names that begin with a dot are passed over. A missing folder is empty."""
        top = self._root / folder
        return sorted(self._walk(top)) if top.is_dir() else []

    def _walk(self, top: Path) -> Iterator[str]:
        self._refuse_linked_folder(top)
        for here, folders, files in os.walk(top):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in folders:
                self._refuse_linked_folder(Path(here, name))
            for name in files:
                if not name.startswith("."):
                    yield self._relative(Path(here, name))

    def _refuse_linked_folder(self, folder: Path) -> None:
        if folder != self._root and folder.is_symlink():
            path = self._relative(folder)
            raise UsageError(f"{path} is a symbolic link to a folder", where=Where(path), hint="put the files themselves there")

    def _relative(self, path: Path) -> str:
        text = path.relative_to(self._root).as_posix()
        printable_path(text)
        return text

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """The bytes of *path*; more than *limit* are refused."""
        with self.open(path) as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise too_large(path, limit)
        return content

    def open(self, path: str) -> BinaryIO:
        """A stream of *path*, which must be a plain file within the boundary."""
        target = self._resolve(path)
        try:
            handle = os.open(target, _FLAGS)
        except OSError as fault:
            raise UsageError(f"cannot be read: {fault.strerror}", where=Where(path)) from fault
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise UsageError("not a plain file", where=Where(path), hint="folders, pipes and devices are not read")
        file = os.fdopen(handle, "rb")
        try:
            refuse_pointer(file.peek(), path)
        except (UsageError, OSError):
            file.close()
            raise
        return file

    def place(self, path: str) -> str:
        """How messages name *path*."""
        return path

    def has(self, path: str) -> bool:
        """Whether something lies at *path*, be it readable or not."""
        return os.path.lexists(self._root / path)

    def _resolve(self, path: str) -> Path:
        checked_path(path)
        try:
            target = (self._root / path).resolve(strict=True)
        except FileNotFoundError:
            raise UsageError(f"there is no file '{path}'{self._guess(path)}", where=Where(path)) from None
        except (OSError, RuntimeError) as fault:  # RuntimeError: a loop of links, before Python 3.13
            raise UsageError(f"cannot be read: {fault}", where=Where(path)) from fault
        inside = target.is_relative_to(self._boundary)
        if not inside or ".git" in target.relative_to(self._boundary).parts:
            raise UsageError("a symbolic link that leads out of the repository", where=Where(path), hint=OUTSIDE_HINT)
        return target

    def _guess(self, path: str) -> str:
        folder, _, name = path.rpartition("/")
        try:
            names = sorted(os.listdir(self._root / folder))
        except OSError:
            return ""
        close = get_close_matches(name, names, n=1, cutoff=0.6)
        return f"; did you mean '{folder + '/' if folder else ''}{close[0]}'?" if close else ""


def checked_path(path: str) -> None:
    """UsageError for a path that is not below the registry's root."""
    if "\0" in path or path.startswith("/") or ".." in path.split("/"):
        raise UsageError(f"the path {path!r} leads out of the registry", hint="give a path below promptreg.yaml")


def printable_path(path: str) -> None:
    """UsageError for a file name that no message could show, or that is not UTF-8."""
    if not path.isprintable():  # also bytes that are no UTF-8
        raise UsageError(f"the file name {path!a} is not printable text", hint="rename the file")


def too_large(path: str, limit: int) -> UsageError:
    """What is said of a file with more than *limit* bytes."""
    hint = "split it, or move data to a dataset"
    return UsageError(f"the file is larger than {limit:,} bytes", where=Where(path), hint=hint)


def refuse_pointer(head: bytes, path: str) -> None:
    """UsageError if a file that begins with *head* is what Git LFS puts in the place of the real one."""
    if head.startswith(_POINTER):
        hint = "fetch the real one (git lfs pull), or keep the file in Git itself"
        raise UsageError("a Git LFS pointer, not the file itself", where=Where(path), hint=hint)
