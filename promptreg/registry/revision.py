"""A registry's files at one commit: the other kind of `Snapshot`. Reads objects, never a checkout; refuses what the tree of a
stranger may hold: links that lead out of the repository, submodules, names that are no text. Knows no file format.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from difflib import get_close_matches
from typing import BinaryIO

from promptreg.errors import UsageError, Where
from promptreg.registry.objects import FILES, FOLDER, LINK, SUBMODULE, Entry, Objects
from promptreg.registry.snapshot import MAX_BYTES, OUTSIDE_HINT, checked_path, printable_path, refuse_pointer, too_large

_LINKS = 16  # that one path may lead through
_TARGET = 4096  # bytes of a link's text


class Revision:
    """The files of *commit* (an object id) below *folder* (empty, or ending with `/`). Trees are listed once, when needed.

    As in a working tree, a link to a file within the repository is read; one to a folder is refused where it would be listed.
    """

    def __init__(self, objects: Objects, commit: str, folder: str = "") -> None:
        self.commit = commit
        self._objects = objects
        self._folder = folder
        self._listings: dict[str, dict[str, Entry]] = {}

    def paths(self, folder: str = "") -> list[str]:
        """Every file in *folder* and below, sorted; names that begin with a dot are passed over. A missing folder is empty."""
        listing = self._listing(folder.partition("/")[0])
        start = f"{folder}/" if folder else ""
        self._refuse_unlistable(folder, listing.get(folder))
        found = [path for path in listing if path.startswith(start) and not _hidden(path.removeprefix(start))]
        for path in found:
            self._refuse_unlistable(path, listing[path])
        return sorted(path for path in found if listing[path].mode != FOLDER)

    def read(self, path: str, limit: int = MAX_BYTES) -> bytes:
        """The bytes of *path*; more than *limit* are refused."""
        content = self._objects.read(self.blob(path), limit)
        if content is None:
            raise too_large(path, limit)
        refuse_pointer(content, self.place(path))
        return content

    def open(self, path: str) -> BinaryIO:
        """A stream of *path*, which must be a plain file within the repository."""
        file = self._objects.open(self.blob(path))
        refuse_pointer(file.peek(), self.place(path))
        return file

    def place(self, path: str) -> str:
        """How messages name *path*: as Git does, with its commit."""
        return f"{self.commit[:10]}:{self._folder}{path}"

    def has(self, path: str) -> bool:
        """Whether something lies at *path*, be it readable or not."""
        return self._entry(self._folder + path) is not None

    def blob(self, path: str) -> str:
        """The object id of the file *path*, links followed: equal ids are equal bytes."""
        checked_path(path)
        entry = self._follow(path)
        if entry is None:
            message = f"there is no file '{path}' at {self.commit[:10]}{self._guess(path)}"
            raise UsageError(message, where=Where(self.place(path)))
        if entry.mode not in FILES:
            raise UsageError("not a plain file", where=Where(self.place(path)), hint="folders and submodules are not read")
        return entry.oid

    def blobs(self, folder: str = "") -> dict[str, str]:
        """Path to object id of every file that `paths(folder)` lists."""
        return {path: self.blob(path) for path in self.paths(folder)}

    def _listing(self, first: str) -> dict[str, Entry]:
        """Path (from the registry's folder) to entry of *first*, which lies in that folder, and all below; of everything for ''."""
        if first not in self._listings:
            found = self._objects.tree(self.commit, self._folder + first)
            self._listings[first] = {path.removeprefix(self._folder): entry for path, entry in found.items()}
        return self._listings[first]

    def _entry(self, full: str) -> Entry | None:
        """The entry of *full*, a path from the repository's root."""
        if not full.startswith(self._folder):
            return self._objects.tree(self.commit, full, deep=False).get(full)
        own = full.removeprefix(self._folder)
        return self._listing(own.partition("/")[0]).get(own)

    def _refuse_unlistable(self, path: str, entry: Entry | None) -> None:
        printable_path(path)
        if entry is None or entry.mode in FILES:
            return
        where = Where(self.place(path))
        if entry.mode == SUBMODULE:
            raise UsageError(f"{path} is a submodule", where=where, hint="submodules are not read: put the files themselves there")
        if entry.mode == LINK and self._leads_to_folder(path):
            raise UsageError(f"{path} is a symbolic link to a folder", where=where, hint="put the files themselves there")

    def _leads_to_folder(self, path: str) -> bool:
        try:
            entry = self._follow(path)
        except UsageError:
            return False  # reading it says why
        return entry is not None and entry.mode == FOLDER

    def _follow(self, path: str) -> Entry | None:
        """What *path* leads to, through any links. UsageError when they leave the repository, or do not end."""
        full = posixpath.normpath(self._folder + path)
        for _ in range(_LINKS):
            link = next((prefix for prefix in self._prefixes(full) if self._is_link(prefix)), None)
            if link is None:
                return self._entry(full)
            full = self._target(link, full.removeprefix(link), path)
        raise UsageError("a loop of symbolic links", where=Where(self.place(path)), hint="put the file itself there")

    def _prefixes(self, full: str) -> Iterator[str]:
        """The folders that *full* lies in, and itself; the registry's own folder is known to be one."""
        start = self._folder if full.startswith(self._folder) else ""
        parts = full.removeprefix(start).split("/")
        return (start + "/".join(parts[:count]) for count in range(1, len(parts) + 1))

    def _is_link(self, full: str) -> bool:
        entry = self._entry(full)
        return entry is not None and entry.mode == LINK

    def _target(self, link: str, rest: str, path: str) -> str:
        """Where *link* with *rest* behind it leads, from the repository's root."""
        entry = self._entry(link)
        assert entry is not None
        content = self._objects.read(entry.oid, _TARGET) or b""
        text = content.decode("utf-8", "replace")
        full = posixpath.normpath(posixpath.join(posixpath.dirname(link), text) + rest)
        outside = not text.isprintable() or text.startswith("/") or full.startswith("../") or full in ("..", ".")
        if not text or outside or ".git" in full.split("/"):
            raise UsageError("a symbolic link that leads out of the repository", where=Where(self.place(path)), hint=OUTSIDE_HINT)
        return full

    def _guess(self, path: str) -> str:
        folder, slash, name = path.rpartition("/")
        near = [other for other in self._listing(path.partition("/")[0]) if other.rpartition("/")[0] == folder] if slash else []
        close = get_close_matches(name, [other.rpartition("/")[2] for other in near], n=1, cutoff=0.6)
        return f"; did you mean '{folder + slash}{close[0]}'?" if close else ""


def _hidden(path: str) -> bool:
    return path.startswith(".") or "/." in path
