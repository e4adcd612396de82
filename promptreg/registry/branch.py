"""The runs branch as bytes: files by path, only ever added, by many writers at once. Knows paths and commits, no records.

    refs/heads/<name>             ours: every append is a commit on it
    refs/remotes/origin/<name>    what was seen of the remote's at the last fetch or push

Reading is the union of both. A path never has two contents, so joining two histories is a union too, and whoever is slower joins
again and pushes again. Nothing is ever taken away but by `prune`, which begins a new root with a manifest of what it dropped; a
clone that still has those files drops them when it meets the manifest, instead of bringing them back.

No checkout, no index, no hooks: commits are made by one `git fast-import`, which gives them a name of their own; the branch gets
them by compare-and-swap. What a stranger put into the branch (links, submodules, odd names, huge files) is passed over and told of.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from promptreg.core.names import shown
from promptreg.core.records import Manifest, decode, encode
from promptreg.core.records.places import MANIFESTS, ROOTS, RUNS
from promptreg.core.sources import without_secrets
from promptreg.errors import ConflictError, DataError, UsageError
from promptreg.registry.objects import FILES, Objects
from promptreg.registry.plumbing import Answer, Git, is_oid
from promptreg.registry.writing import check_remote

LARGEST = 64 << 20  # bytes of a file; larger ones are passed over (hosts refuse files of 100 MB)
NOBODY = "promptreg <promptreg@localhost>"  # who records, where git does not know who works here
TRIES = 40  # with the waits below: eight writers need a few, a hundred would wait minutes
_WAIT_S = (0.02, 4.0)  # the shortest and the longest wait before another try; each is drawn by lot up to a doubling bound
_AT_ONCE = 500  # paths on one command line

_BRANCH = re.compile(r"[A-Za-z0-9_][\w.+-]*(?:/[A-Za-z0-9_][\w.+-]*)*", re.ASCII)
_PATH = re.compile(r"(?:[\w%~+-][\w.%~+-]*/){1,8}[\w%~+-][\w.%~+-]*", re.ASCII)
_PREFIX = re.compile(r"[\w%~+-][\w.%~+-]*(?:/[\w%~+-][\w.%~+-]*){0,8}/?", re.ASCII)
_LONGEST = 2000  # characters of a path
_PLAIN = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--recurse-submodules=no", "--quiet")
_PUSH = ("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed")
_BUSY = re.compile(
    r"cannot lock ref|failed to lock|\.lock'?: File exists|reference already exists|failed to update ref|incorrect old"
)

Files = Mapping[str, str]  # path to object id


@dataclass(frozen=True, slots=True)
class _Tip:
    """A commit and what it holds."""

    oid: str
    files: Files


class Branch:
    """The branch *name*, read together with what is known of the one at *remote*; *note* takes what was passed over, and why.
    Not *own*: only the remote's is read, where a stranger's branch of that name may be checked out.

    UsageError for a name that no branch can have.
    """

    def __init__(
        self, git: Git, name: str, *, remote: str = "origin", note: Callable[[str], None] = lambda _: None, own: bool = True
    ) -> None:
        if not _BRANCH.fullmatch(name) or ".." in name or name.endswith((".lock", ".")) or ".lock/" in name or "./" in name:
            raise UsageError(f"{shown(name)} cannot be a branch", hint="runs: {branch: promptreg/runs} in promptreg.yaml")
        self.name = name
        self._git = git
        self._ref = f"refs/heads/{name}"
        self._remote = remote
        self._note = note
        self._own = own

    # reading

    @property
    def exists(self) -> bool:
        """Whether anything was ever recorded here, or fetched."""
        return bool(self._tips())

    def paths(self, *prefixes: str) -> list[str]:
        """The files at each of *prefixes* (files or folders) and below, sorted; all of them without one."""
        return sorted(self._files(prefixes))

    def read(self, paths: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Path and bytes of those of *paths* that exist, in their order; one process for all."""
        wanted = list(paths)
        files = self._files(wanted) if wanted else {}
        with Objects(self._git) as objects:
            for path in wanted:
                content = self._content(objects, path, files[path]) if path in files else None
                if content is not None:
                    yield path, content

    def _content(self, objects: Objects, path: str, oid: str) -> bytes | None:
        try:
            content = objects.read(oid, LARGEST)
        except UsageError as fault:
            self._note(f"{self.name}: {path} cannot be read: {fault.message}")
            return None
        if content is None:
            self._note(f"{self.name}: {path} is larger than {LARGEST >> 20} MiB: passed over")
        return content

    def _files(self, prefixes: Sequence[str]) -> Files:
        """Of ours and the remote's. A path that has two contents is told of; ours counts."""
        found: dict[str, str] = {}
        tips = self._tips()
        for tip in tips:
            self._join(found, self._list(tip, prefixes))
        if len(tips) < 2:  # what one of them dropped is only in the other
            return found
        dropped = self._dropped(found if not prefixes else self._manifests(tips))
        return {path: oid for path, oid in found.items() if path not in dropped} if dropped else found

    def _manifests(self, tips: Iterable[str]) -> Files:
        return {path: oid for tip in tips for path, oid in self._list(tip, (MANIFESTS,)).items()}

    def _join(self, into: dict[str, str], more: Files) -> None:
        for path, oid in more.items():
            if into.setdefault(path, oid) != oid:
                self._note(f"{self.name}: {path} has two contents: the one that was there first counts")

    def _list(self, commit: str, prefixes: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        plain = [prefix.rstrip("/") for prefix in prefixes if _PREFIX.fullmatch(prefix)]  # nothing lies at any other
        for start in range(0, len(plain) or (not prefixes), _AT_ONCE):
            some = plain[start : start + _AT_ONCE]
            answer = self._git.ask("ls-tree", "-r", "-z", "--full-tree", "--", commit, *some)
            for line in answer.output.split(b"\0")[:-1]:
                head, _, raw = line.partition(b"\t")
                mode, _, oid = head.decode("ascii").split(" ")
                path = os.fsdecode(raw)
                if mode not in FILES or not is_sound(path):
                    if "/" not in path:
                        continue  # a README that somebody put there
                    self._note(f"{self.name}: {shown(path)} is no plain file with a plain name: passed over")
                elif found.setdefault(path, oid) != oid:
                    self._note(f"{self.name}: {shown(path)} is there twice: the tree was damaged or forged")
        return found

    def _tips(self) -> list[str]:
        refs = (*([self._ref] if self._own else []), self._tracking(self._remote))
        return list(dict.fromkeys(oid for ref in refs if (oid := self._at(ref))))

    def _at(self, ref: str) -> str:
        """The commit that *ref* names; empty without one."""
        answer = self._git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}", refuse=False)
        return answer.text if answer.code == 0 and is_oid(answer.text) else ""

    def _dropped(self, files: Files) -> frozenset[str]:
        """What the manifests among *files* say was dropped. Only records of runs can be."""
        manifests = {path: oid for path, oid in files.items() if path.startswith(f"{MANIFESTS}/")}
        if not manifests:
            return frozenset()
        dropped: set[str] = set()
        with Objects(self._git) as objects:
            for path, oid in manifests.items():
                content = self._content(objects, path, oid)
                try:
                    manifest = decode(path, content) if content is not None else None
                except DataError as fault:
                    self._note(f"{self.name}: {fault}")
                    continue
                if isinstance(manifest, Manifest):
                    dropped.update(path for path in manifest.dropped if droppable(path))
        return frozenset(dropped)

    # writing

    @property
    def who(self) -> str:
        """`Name <address>` of who works here, as git knows it; `NOBODY` where it does not."""
        return self._identity().rpartition("> ")[0] + ">"

    def append(self, files: Mapping[str, bytes], message: str) -> str:
        """One commit more, with *files*; what is there already stays as it is. Returns the branch's commit, new or not.

        UsageError for a path that nobody could read back, and for a branch that holds other things than records.
        """
        for path, content in files.items():
            if not is_sound(path) or len(content) > LARGEST:
                raise UsageError(f"{shown(path)} cannot be kept on {self.name}", hint="plain names, at most 64 MiB")
        for attempt in range(TRIES):
            here = self._at(self._ref)
            self._refuse_foreign(here)
            start = self._newest(here)
            known = self._list(start, list(files)) if start and files else {}
            new = {path: content for path, content in files.items() if path not in known}
            made = self._commit(new, [start] if start else [], message) if new else start
            if made == here or self._move(here, made):
                return made
            _wait(attempt)
        raise ConflictError(f"the branch {self.name} kept moving", hint="nothing was recorded; try again")

    def _newest(self, here: str) -> str:
        """What to begin at: the remote's, where ours adds nothing to it."""
        there = self._at(self._tracking(self._remote))
        return there if there and (not here or self._is_ancestor(here, there)) else here

    def _commit(self, changes: Mapping[str, bytes | str], parents: Sequence[str], message: str) -> str:
        """A commit on the first of *parents* (none: a root), which no branch names yet. A change is bytes, or an object id."""
        name = f"refs/promptreg/new/{os.getpid()}-{random.getrandbits(64):016x}"
        text = message.encode("utf-8", "replace")
        parts = [f"commit {name}\ncommitter {self._identity()}\ndata {len(text)}\n".encode(), text, b"\n"]
        parts += [f"{'merge' if place else 'from'} {parent}\n".encode() for place, parent in enumerate(parents)]
        for path, change in changes.items():
            if isinstance(change, str):
                parts.append(f"M 100644 {change} {path}\n".encode())
            else:
                parts += [f"M 100644 inline {path}\ndata {len(change)}\n".encode(), change, b"\n"]
        parts.append(b"done\n")
        writer = self._git.writer()
        answer = writer.run("fast-import", "--quiet", "--done", "--date-format=raw", refuse=False, stdin=b"".join(parts))
        made = self._at(name)
        writer.run("update-ref", "-d", name, refuse=False)
        if answer.code or not made:
            raise UsageError(
                f"nothing could be recorded on {self.name}: {_why(answer)}", hint="make room, or mend the permissions of .git"
            )
        return made

    def _identity(self) -> str:
        """Who commits and when, as git writes it."""
        answer = self._git.writer().run("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT", refuse=False)
        if answer.code == 0 and re.fullmatch(r"[^<>\n\0]*<[^<>\n\0]*> \d+ [+-]\d{4}", answer.text):
            return answer.text
        return f"{NOBODY} {int(time.time())} +0000"

    def _move(self, old: str, new: str) -> bool:
        """Whether the branch went from *old* (empty: none) to *new*; it did not if somebody else moved it meanwhile."""
        nothing = "0" * len(new)
        answer = self._git.writer().run("update-ref", "-m", "promptreg", self._ref, new, old or nothing, refuse=False)
        if answer.code == 0:
            return True
        if self._at(self._ref) == old and not _BUSY.search(answer.complaint):
            raise UsageError(
                f"the branch {self.name} cannot be written: {_why(answer)}", hint="runs: {branch: …} names another one"
            )
        return False

    def _refuse_foreign(self, here: str) -> None:
        """A branch of somebody's work must never be written to, whatever the settings say."""
        hint = "runs: {branch: promptreg/runs} in promptreg.yaml names one that is for records alone"
        if self._git.run("symbolic-ref", "--quiet", "HEAD").text == self._ref:
            raise UsageError(f"the branch {self.name} is checked out: it cannot hold records", hint=hint)
        if here:
            names = self._git.ask("ls-tree", "-z", "--name-only", "--full-tree", "--", here).output.split(b"\0")[:-1]
            if names and not {os.fsdecode(name) for name in names} & set(ROOTS):
                raise UsageError(f"the branch {self.name} holds other things than records", hint=hint)

    # remotes

    def fetch(self, remote: str = "") -> int:
        """Brings what *remote* (origin unless said) has; the number of files that were not known here."""
        remote = check_remote(remote or self._remote)
        before = self._files(())
        there = self._seen(remote)
        if there and remote != self._remote:  # else reading is a union anyway
            self._absorb(there)
        return len(self._files(()).keys() - before.keys())

    def push(self, remote: str = "") -> int:
        """Joins ours with what *remote* has and sends the union, again while others are faster.

        Returns the number of files that were new there. UsageError when the remote cannot be reached or refuses.
        """
        remote = check_remote(remote or self._remote)
        for attempt in range(TRIES):
            there = self._seen(remote)
            here = self._at(self._ref)
            self._refuse_foreign(here)
            if not here:
                return 0
            union = self._union(there, here)
            if union.oid == there or self._send(remote, union.oid, there):
                self._move(here, union.oid)  # or somebody appended here meanwhile: the next push joins that
                return len(union.files.keys() - (self._list(there, ()).keys() if there else set()))
            _wait(attempt)
        raise ConflictError(
            f"others kept pushing to {self.name} at {without_secrets(remote)}", hint="what is recorded here is kept: try again"
        )

    def _absorb(self, there: str) -> None:
        for attempt in range(TRIES):
            here = self._at(self._ref)
            union = self._union(here, there)
            if union.oid == here or self._move(here, union.oid):
                return
            _wait(attempt)

    def _seen(self, remote: str) -> str:
        """The commit of the branch at *remote*, brought here; empty where it has none."""
        ref = self._tracking(remote)
        answer = Answer(1, b"")
        for attempt in range(TRIES):
            answer = self._git.writer().run("fetch", *_PLAIN, "--", remote, f"+{self._ref}:{ref}", refuse=False)
            if answer.code == 0:
                return self._at(ref)
            if "couldn't find remote ref" in answer.complaint:
                self._git.writer().run("update-ref", "-d", ref, refuse=False)
                return ""
            if not _BUSY.search(answer.complaint):
                break
            _wait(attempt)  # another process fetches into this very clone
        raise UsageError(
            f"{self.name} cannot be fetched from {without_secrets(remote)}: {_why(answer)}",
            hint="check the remote, the network and your rights: git ls-remote",
        )

    def _tracking(self, remote: str) -> str:
        """Where what *remote* has is kept: beside its other branches, or, for a mere address, apart."""
        if _BRANCH.fullmatch(remote) and self._git.run("config", "--get", f"remote.{remote}.url").code == 0:
            return f"refs/remotes/{remote}/{self.name}"
        return f"refs/promptreg/remotes/{hashlib.sha256(remote.encode()).hexdigest()[:16]}/{self.name}"

    def _union(self, first: str, second: str) -> _Tip:
        """A commit that holds the files of both, less what a manifest of either dropped; one of the two where that is enough.

        Its parents are those of the two that hold nothing dropped: else the objects would come back with them.
        """
        if not first or first == second or self._is_ancestor(first, second):
            return _Tip(second, self._list(second, ()))
        if self._is_ancestor(second, first):
            return _Tip(first, self._list(first, ()))
        files: dict[str, str] = {}
        tips = [_Tip(oid, self._list(oid, ())) for oid in (first, second)]
        for tip in tips:
            self._join(files, tip.files)
        dropped = self._dropped(files)
        files = {path: oid for path, oid in files.items() if path not in dropped}
        parents = [tip for tip in tips if not dropped & tip.files.keys()]
        if len(parents) == 1 and parents[0].files.keys() == files.keys():
            return parents[0]
        known = parents[0].files if parents else {}
        new: dict[str, bytes | str] = {path: oid for path, oid in files.items() if path not in known}
        return _Tip(self._commit(new, [tip.oid for tip in parents], "Join records"), files)

    def _is_ancestor(self, one: str, other: str) -> bool:
        return self._git.ask("merge-base", "--is-ancestor", one, other, accept=(0, 1)).code == 0

    def _send(self, remote: str, oid: str, there: str) -> bool:
        """Whether *remote* took *oid* in place of *there*; it did not if somebody else was faster."""
        lease = f"--force-with-lease={self._ref}:{there}"
        answer = self._git.writer().run("push", *_PUSH, lease, "--", remote, f"{oid}:{self._ref}", refuse=False)
        if answer.code == 0:
            self._git.writer().run("update-ref", self._tracking(remote), oid, refuse=False)
            return True
        if "stale info" in answer.text or _BUSY.search(answer.text + answer.complaint) or self._seen(remote) != there:
            return False
        refused = re.findall(r"^!\t\S+\t(.*)$", answer.text, re.MULTILINE)
        raise UsageError(
            f"{without_secrets(remote)} did not take {self.name}: {refused[0] if refused else _why(answer)}",
            hint="what is recorded here is kept; in CI the job needs the right to write contents",
        )

    # pruning

    def prune(self, keep: Callable[[str], bool], *, created: str, reason: str = "") -> tuple[str, ...]:
        """Begins a new root without the records that *keep* does not want, with a manifest that names them. Returns their paths.

        *created* is now, ISO 8601. `push` then takes it to the remote; others drop the same files when they meet the manifest.
        """
        for attempt in range(TRIES):
            here = self._at(self._ref)
            self._refuse_foreign(here)
            files = self._files(())
            dropped = tuple(sorted(path for path in files if droppable(path) and not keep(path)))
            gone = frozenset(dropped)
            if not dropped:
                return ()
            path, content = encode(Manifest(dropped=dropped, author=self.who, created=created, reason=reason))
            kept: dict[str, bytes | str] = {each: oid for each, oid in files.items() if each not in gone}
            made = self._commit({**kept, path: content}, [], f"Prune {len(dropped)} records")
            if self._move(here, made):
                return dropped
            _wait(attempt)
        raise ConflictError(f"the branch {self.name} kept moving", hint="nothing was pruned; try again")


def is_sound(path: str) -> bool:
    """Whether *path* is plain enough to be kept: letters, digits and `_ - + ~ . %`, no part beginning with a dot."""
    return len(path) <= _LONGEST and _PATH.fullmatch(path) is not None


def droppable(path: str) -> bool:
    """Whether *path* may ever be pruned: answers may, verdicts, acceptances and manifests never."""
    return path.startswith(f"{RUNS}/") and is_sound(path)


def _wait(attempt: int) -> None:
    """So that two who met do not meet again."""
    least, most = _WAIT_S
    time.sleep(random.uniform(least / 2, min(most, least * 2**attempt)))  # noqa: S311


def _why(answer: Answer) -> str:
    """The line of what git said that tells why."""
    lines = [line.strip() for line in answer.complaint.splitlines() if line.strip() and not line.startswith(("warning:", "hint:"))]
    telling = [line for line in lines if line.startswith(("fatal: ", "error: ", "remote: "))]
    return without_secrets(
        (telling or lines or ["git did not say why"])[0].partition(": ")[2] or (lines or ["git did not say why"])[0]
    )[:300]
