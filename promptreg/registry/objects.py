"""Bytes of Git objects: one long-lived `git cat-file`, and listings of trees. No checkout, so no filters, hooks or links run."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tempfile
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from promptreg.errors import UsageError
from promptreg.registry.plumbing import SHALLOW_HINT, Git, is_oid

_AHEAD = 64  # requests written before their answers are read: they and their echo fit into any pipe
_LARGE = 8 << 20  # bytes; larger blobs are streamed by a process of their own

_LEADS_OUT = (b"symlink ", b"dangling ", b"loop ", b"notdir ")  # answers about links, with the link's text on the next line

FILES = ("100644", "100755", "100664")  # the last one stands in trees of old gits
LINK, SUBMODULE, FOLDER = "120000", "160000", "040000"


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a tree."""

    mode: str
    oid: str


class Objects:
    """The objects of one repository. The process starts at the first question and ends with `close`, or with this object.

    Safe in several threads; after a fork the child starts a process of its own.
    """

    def __init__(self, git: Git) -> None:
        self._git = git
        self._lock = threading.Lock()
        self._process: _Process | None = None

    def __enter__(self) -> Objects:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process; a later question starts another."""
        process, self._process = self._process, None
        if process is not None:
            process.close()

    def read(self, oid: str, limit: int) -> bytes | None:
        """The bytes of a blob; None when there are more than *limit*, which are then not read."""
        with self._lock:
            if self._running().size(oid) > limit:
                return None
            return next(self._running().contents((oid,)))

    def read_all(self, oids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of many small blobs, in the order of *oids*."""
        for start in range(0, len(oids), _AHEAD):
            with self._lock:
                yield from list(self._running().contents(oids[start : start + _AHEAD]))

    def find(self, commit: str, paths: Sequence[str]) -> list[str | None]:
        """The object ids of *paths* (from the repository's root) at *commit*, links followed; None where no file is."""
        with self._lock:
            return list(self._running().find([f"{_checked(commit)}:{path}" for path in paths]))

    def open(self, oid: str) -> io.BufferedReader:
        """A stream of a blob; large ones are never whole in memory."""
        content = self.read(oid, _LARGE)
        return io.BufferedReader(_Stream(self._git, oid) if content is None else io.BytesIO(content))

    def tree(self, commit: str, path: str = "", *, deep: bool = True) -> dict[str, Entry]:
        """Path (from the repository's root) to entry: *path* itself and all below it, or everything; only itself if not *deep*."""
        depth = ("-r", "-t") if deep else ()
        answer = self._git.ask("ls-tree", *depth, "-z", "--full-tree", "--", _checked(commit), *([path] if path else []))
        entries: dict[str, Entry] = {}
        for line in answer.output.split(b"\0")[:-1]:
            head, _, raw = line.partition(b"\t")
            mode, _, oid = head.decode("ascii").split(" ")
            path = os.fsdecode(raw)
            if path in entries:
                raise UsageError(f"the tree of {commit[:12]} holds {path!a} twice", hint="it was damaged or forged: git fsck")
            entries[path] = Entry(mode, oid)
        return entries

    def _running(self) -> _Process:
        if self._process is None or self._process.owner != os.getpid():
            self._process = _Process(self._git)
        return self._process


class _Process:
    """`git cat-file --batch-command`, one line asked, one object answered."""

    def __init__(self, git: Git) -> None:
        git.require()
        self.owner = os.getpid()
        self._git = git
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        options = ("--batch-command", "--follow-symlinks")
        self._process = git.start("cat-file", *options, stdin=subprocess.PIPE, stderr=self._complaints)
        self._end = weakref.finalize(self, _end, self._process, os.getpid())

    def size(self, oid: str) -> int:
        """Bytes of the blob *oid*."""
        self._ask(f"info {_checked(oid)}\n")
        return self._size(oid)

    def contents(self, oids: Sequence[str]) -> Iterator[bytes]:
        """All answers must be taken."""
        self._ask("".join(f"contents {_checked(oid)}\n" for oid in oids))
        assert self._process.stdout is not None
        for oid in oids:
            size = self._size(oid)
            content = self._process.stdout.read(size + 1)
            if len(content) != size + 1:
                raise self._broken()
            yield content[:-1]

    def find(self, places: Sequence[str]) -> Iterator[str | None]:
        """The blobs that COMMIT:PATH name; None where none is. All answers must be taken."""
        if odd := [place for place in places if not place.isprintable()]:
            raise UsageError(f"{odd[0]!a} cannot be asked for: it is not printable text")
        for start in range(0, len(places), _AHEAD):
            some = places[start : start + _AHEAD]
            self._ask("".join(f"info {place}\n" for place in some))
            yield from (self._found() for _ in some)

    def _found(self) -> str | None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._broken()
        words = line.decode("utf-8", "replace").split()
        if line.startswith(_LEADS_OUT):  # what the link says follows, and is nobody's business
            self._process.stdout.read(int(words[1]) + 1)
        return words[0] if len(words) == 3 and words[1] == "blob" and is_oid(words[0]) else None

    def close(self) -> None:
        self._end()
        self._complaints.close()

    def _ask(self, lines: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(lines.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._broken() from None

    def _size(self, oid: str) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode("ascii", "replace")
        if line.endswith(" missing\n"):
            hint = SHALLOW_HINT if self._git.is_shallow else "the repository is incomplete: git fsck, or git fetch"
            raise UsageError(f"the object {oid[:12]} is missing", hint=hint)
        words = line.split()
        if len(words) != 3:
            raise self._broken()
        if words[1] != "blob":
            raise UsageError(f"the object {oid[:12]} is a {words[1]}, not a file")
        return int(words[2])

    def _broken(self) -> UsageError:
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace").strip().partition("\n")[0].removeprefix("fatal: ")
        return UsageError(f"git stopped while reading {self._git.folder}{': ' + said if said else ''}", hint="git fsck says more")


def _end(process: subprocess.Popen[bytes], owner: int) -> None:
    """Ends *process*, unless this is a fork of who started it."""
    if os.getpid() != owner:
        return
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    process.terminate()
    process.wait()


class _Stream(io.RawIOBase):
    """The bytes of one blob, from a process of its own; raises OSError if that fails before the end."""

    def __init__(self, git: Git, oid: str) -> None:
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed with the process
        self._process = git.start("cat-file", "blob", _checked(oid), stdin=subprocess.DEVNULL, stderr=self._complaints)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        assert self._process.stdout is not None
        content = self._process.stdout.read(len(buffer))
        buffer[: len(content)] = content
        if not content and self._process.wait() != 0:
            raise OSError("git stopped in the middle of a file")
        return len(content)

    def close(self) -> None:
        if not self.closed:
            _end(self._process, os.getpid())
            self._complaints.close()
        super().close()


def _checked(oid: str) -> str:
    if not is_oid(oid):
        raise UsageError(f"{oid!a} is not an object id")
    return oid
