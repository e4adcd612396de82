"""What differs between two revisions of a registry, as paths: told from object ids, before anything is parsed.

Two commits are compared by `diff-tree`, which reads trees only. The working tree is compared byte by byte where a registry's own
files lie, without believing the index (whose flags hide changes) or the lists of ignored files; elsewhere Git's opinion counts. No
text converter or external diff runs, and no filter that `git status` would not run. Knows no file format.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from promptreg.core.lock import LOCK
from promptreg.errors import UsageError
from promptreg.registry.history import History
from promptreg.registry.objects import FILES, LINK, SUBMODULE, Entry
from promptreg.registry.plumbing import is_oid, toplevel
from promptreg.registry.prompts import PROMPTS
from promptreg.registry.registry import OWN_FILES, Registry
from promptreg.registry.snapshot import MAX_BYTES

READ = (*OWN_FILES, LOCK)  # where a registry's own files lie
SIMILAR = 0.5  # of the larger file: Git's own bound (-M) for calling it a rename
RENAMES = 1000  # deleted and added files up to which Git compares contents; beyond, only equal ones are renames
_PAIRS = 2500  # that are compared here, for the working tree: a fraction of a second
_CHUNK = 64  # bytes at most that count as one piece of a file, as Git counts
_CONVERTED = 8 << 20  # bytes of a file up to which line ends are looked at
SHA1_DIGITS = 40
_FOLLOWED = 16  # links that one path may lead through
_TARGET = 4096  # bytes of a link's text; one with more leads nowhere
_BLOCK = 1 << 20
_COMPILED = "__pycache__"  # what Python makes of a plugin; not the author's unless it is committed
_LINKS = re.compile(rb"(?:^|(?<=\0))120000 blob ([0-9a-f]+)\t([^\0]+)")
_OPEN = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Paths from the registry's root.

    `paths`: those whose bytes differ, that were added or deleted, and symbolic links through which such bytes are read (of a link
    to a folder, the link itself). `renamed`: prompt files, from the new path to the old one.
    """

    paths: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict)

    def touches(self, path: str) -> bool:
        """Whether *path*, a file or folder, could hold other bytes than before."""
        return path in self.paths or any(above in self.paths for above in _above(path)) or self._below(path)

    def _below(self, folder: str) -> bool:
        return any(path.startswith(f"{folder}/") for path in self.paths)


def changed_paths(registry: Registry, base_commit: str, head_commit: str | None, *, also: Iterable[str] = ()) -> Changes:
    """What differs between two commits (object ids) of *registry*'s repository; None is the working tree.

    In the working tree, untracked and ignored files count in the registry's own folders and at *also* (files or folders from its
    root); elsewhere what Git tracks does. Line ends that differ only as a checkout on Windows makes them are no change there.
    UsageError outside of Git, and for commits that are not there.
    """
    history = registry.history
    if head_commit is not None:
        return _between(history, base_commit, head_commit)
    return _Tree(registry, base_commit, also).changes()


ABSENT = "000000"  # the mode, on the side that has no such file


class _Raw(NamedTuple):
    """One record of `--raw`."""

    old: Entry
    new: Entry
    status: str
    path: str
    target: str  # of a rename

    @property
    def same(self) -> bool:
        """Whether only the permissions differ."""
        return self.old.oid == self.new.oid and self.old.mode in FILES and self.new.mode in FILES


def _between(history: History, base: str, head: str) -> Changes:
    answer = history.git.ask("diff-tree", "-r", "-z", "--raw", "--no-abbrev", "--no-renames", _commit(base), _commit(head))
    found = [record for record in _records(answer.output) if not record.same]
    paths = {record.path for record in found}
    if paths:
        paths |= _leading_to(paths, _links(history, head))
    prompts = history.folder + PROMPTS
    statuses = {record.status for record in found if record.path.startswith(prompts)}
    renamed = _renames(history, base, head, prompts) if {"A", "D"} <= statuses else {}
    return Changes(paths=frozenset(_inside(paths, history.folder)), renamed=renamed)


def _renames(history: History, base: str, head: str, prompts: str) -> dict[str, str]:
    options = ("-r", "-z", "--raw", "--no-abbrev", f"-M{SIMILAR:.0%}", f"-l{RENAMES}", "--diff-filter=R")
    place = f":(top,literal){prompts}"
    answer = history.git.ask("--no-literal-pathspecs", "diff-tree", *options, _commit(base), _commit(head), "--", place)
    cut = len(history.folder)
    pairs = ((record.target[cut:], record.path[cut:]) for record in _records(answer.output))
    return {new: old for new, old in pairs if _is_prompt(new) and _is_prompt(old)}


def _records(output: bytes) -> Iterator[_Raw]:
    fields = iter(os.fsdecode(part) for part in output.split(b"\0")[:-1])
    for head in fields:
        old_mode, new_mode, old, new, status = head.removeprefix(":").split(" ")
        path = next(fields)
        target = next(fields) if status[0] in "RC" else ""
        yield _Raw(Entry(old_mode, old), Entry(new_mode, new), status[0], path, target)


def _links(history: History, commit: str) -> dict[str, str]:
    """Every symbolic link of *commit*, from the repository's root, to where it leads, unless that is outside of it."""
    listing = history.git.ask("ls-tree", "-r", "-z", "--full-tree", _commit(commit)).output
    found = [(os.fsdecode(path), oid.decode()) for oid, path in _LINKS.findall(listing)]
    texts = ((path, history.objects.read(oid, _TARGET)) for path, oid in found)
    return _targets({path: os.fsdecode(text) for path, text in texts if text})


def _targets(links: Mapping[str, str]) -> dict[str, str]:
    joined = {path: posixpath.normpath(posixpath.join(posixpath.dirname(path), text)) for path, text in links.items()}
    return {path: target for path, target in joined.items() if not target.startswith(("/", "../")) and target != ".."}


def _leading_to(paths: Collection[str], links: Mapping[str, str]) -> set[str]:
    """Those of *links* (path to target) that lead, through others or not, to one of *paths*, to a folder with one, or below one."""
    reached, found = set(paths), set[str]()
    folders = {above for path in reached for above in _above(path)}
    for _ in range(_FOLLOWED):
        more = {link for link, to in links.items() if link not in found and _meets(to, reached, folders)}
        if not more:
            break
        found |= more
        reached |= more
        folders |= {above for path in more for above in _above(path)}
    return found


def _meets(target: str, reached: Collection[str], folders: Collection[str]) -> bool:
    return target == "." or target in reached or target in folders or any(above in reached for above in _above(target))


def _above(path: str) -> Iterator[str]:
    """The folders that *path* lies in."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)


def _inside(paths: Iterable[str], folder: str) -> Iterator[str]:
    return (path.removeprefix(folder) for path in paths if path.startswith(folder))


def _is_prompt(path: str) -> bool:
    return path.startswith(PROMPTS) and path.endswith((".yaml", ".yml"))


def _commit(oid: str) -> str:
    if not is_oid(oid):
        raise UsageError(f"{oid!a} is not an object id", hint="resolve it first")
    return oid


class _Tree:
    """The working tree beside one commit. Paths count from the repository's root here, as Git's do."""

    def __init__(self, registry: Registry, base: str, also: Iterable[str]) -> None:
        self._history, self._base = registry.history, base
        self._folder = self._history.folder
        self._top = toplevel(registry.root) or registry.root
        self._algorithm = "sha1" if len(base) == SHA1_DIGITS else "sha256"
        own = (path.strip("/") for path in (*READ, *also) if ".." not in path.split("/"))
        self._places = sorted({self._folder + path for path in own if path})
        self._reached: dict[str, bool] = {"": True}

    def changes(self) -> Changes:
        elsewhere = self._tracked()
        before = {path: entry for path, entry in elsewhere.items() if entry.mode != ABSENT} | self._committed()
        now = dict.fromkeys(path for place in self._places for path in self._walk(place))
        now |= {path: None for path in elsewhere if os.path.lexists(self._top / path)}
        paths = {path for path, entry in before.items() if self._differs(path, entry)}
        paths |= {path for path in now if path not in before and _COMPILED not in path.split("/")}
        if paths and (links := {path: os.readlink(self._top / path) for path in now if (self._top / path).is_symlink()}):
            paths |= _leading_to(paths, {**_links(self._history, self._base), **_targets(links)}) & now.keys()
        renamed = self._renamed({path: before[path].oid for path in before.keys() - now.keys()}, now.keys() - before.keys())
        return Changes(paths=frozenset(_inside(paths, self._folder)), renamed=renamed)

    def _tracked(self) -> dict[str, Entry]:
        """What base has, if anything, of files that Git holds for changed by its index and their times; a few of them are not."""
        options = ("-z", "--raw", "--no-abbrev", "--no-renames", "--ignore-submodules=all")
        output = self._history.git.ask("diff-index", *options, _commit(self._base)).output
        return {record.path: record.old for record in _records(output)}

    def _committed(self) -> dict[str, Entry]:
        """What base has at the places where the registry's own files lie."""
        command = ("ls-tree", "-r", "-z", "--full-tree", "--", _commit(self._base), *self._places)
        entries: dict[str, Entry] = {}
        for line in self._history.git.ask(*command).output.split(b"\0")[:-1]:
            head, _, path = line.partition(b"\t")
            mode, _, oid = head.decode("ascii").split(" ")
            entries[os.fsdecode(path)] = Entry(mode, oid)
        return {path: entry for path, entry in entries.items() if "/." not in f"/{path.removeprefix(self._folder)}"}

    def _walk(self, place: str) -> Iterator[str]:
        """Every file and link at *place* and below; as the registry does, it passes over names that begin with a dot."""
        top = self._top / place
        if top.is_symlink() or top.is_file():
            yield place
            return
        for here, folders, files in os.walk(top):
            inside = Path(here).relative_to(self._top).as_posix()
            folders[:] = [name for name in folders if not name.startswith(".")]
            links = [name for name in folders if Path(here, name).is_symlink()]
            yield from (f"{inside}/{name}" for name in (*files, *links) if not name.startswith("."))

    def _differs(self, path: str, entry: Entry) -> bool:
        """Whether what lies at *path* now is not what *entry* of base says."""
        try:
            mode = os.lstat(self._top / path).st_mode
            if not self._reachable(posixpath.dirname(path)):
                return True
            if stat.S_ISLNK(mode):
                text = os.fsencode(os.readlink(self._top / path))
                return entry.mode != LINK or self._oid([text], len(text)) != entry.oid
            if stat.S_ISDIR(mode):
                return entry.mode != SUBMODULE  # which the registry refuses to read whatever it holds
            return entry.mode not in FILES or not self._holds(path, entry.oid)
        except OSError:
            return True

    def _reachable(self, folder: str) -> bool:
        """Whether no folder on the way is a link: base's was none."""
        if folder not in self._reached:
            self._reached[folder] = not (self._top / folder).is_symlink() and self._reachable(posixpath.dirname(folder))
        return self._reached[folder]

    def _holds(self, path: str, oid: str) -> bool:
        """Whether the file *path* has the bytes of the blob *oid*, or would without the line ends of Windows."""
        with open(os.open(self._top / path, _OPEN), "rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                return False
            if self._oid(iter(lambda: file.read(_BLOCK), b""), found.st_size) == oid:
                return True
            if found.st_size > _CONVERTED:
                return False
            file.seek(0)
            plain = file.read().replace(b"\r\n", b"\n")
        return len(plain) < found.st_size and self._oid([plain], len(plain)) == oid

    def _oid(self, blocks: Iterable[bytes], size: int) -> str:
        """The id that Git gives to a blob of *size* bytes."""
        state = hashlib.new(self._algorithm, b"blob %d\0" % size, usedforsecurity=False)
        for block in blocks:
            state.update(block)
        return state.hexdigest()

    def _renamed(self, gone: Mapping[str, str], came: Iterable[str]) -> dict[str, str]:
        """Prompt files that came, to those that are *gone* (path to blob), as far as they are alike."""
        left = [path for path in _inside(gone, self._folder) if _is_prompt(path)]
        old = {path: self._history.objects.read(gone[self._folder + path], MAX_BYTES) for path in left}
        new = {path: self._content(self._folder + path) for path in _inside(came, self._folder) if left and _is_prompt(path)}
        return pair_up(
            {path: content for path, content in old.items() if content},
            {path: content for path, content in new.items() if content},
        )

    def _content(self, path: str) -> bytes | None:
        try:
            with open(os.open(self._top / path, _OPEN), "rb") as file:
                content = file.read(MAX_BYTES + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
        except OSError:
            return None
        return content if len(content) <= MAX_BYTES else None


def pair_up(old: Mapping[str, bytes], new: Mapping[str, bytes]) -> dict[str, str]:
    """New path to old path of files that were probably renamed: equal ones first, then the most alike, each of them once.

    Alike as Git counts (diffcore-rename): the bytes of lines that both have, as a share of the larger file; from SIMILAR on.
    """
    if len(old) * len(new) > _PAIRS:
        pairs = [(1.0, one, other) for other in old for one in new if new[one] == old[other]]
    else:
        before, after = ({path: _pieces(content) for path, content in side.items()} for side in (old, new))
        pairs = [(_alike(after[one], before[other]), one, other) for one in new for other in old]
    found: dict[str, str] = {}
    taken: set[str] = set()
    for share, one, other in sorted(pairs, key=lambda pair: (-pair[0], _name(pair[1]) != _name(pair[2]), pair[1], pair[2])):
        if share >= SIMILAR and one not in found and other not in taken:
            found[one] = other
            taken.add(other)
    return found


def _pieces(content: bytes) -> Counter[bytes]:
    lines = content.replace(b"\r\n", b"\n").splitlines(keepends=True)
    return Counter(line[start : start + _CHUNK] for line in lines for start in range(0, len(line), _CHUNK))


def _alike(one: Counter[bytes], other: Counter[bytes]) -> float:
    small, large = sorted((one, other), key=len)
    kept = sum(min(count, large[piece]) * len(piece) for piece, count in small.items())
    return kept / max(sum(len(piece) * count for piece, count in side.items()) for side in (one, other))


def _name(path: str) -> str:
    return path.rpartition("/")[2]
