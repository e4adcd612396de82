"""A source's objects, in a bare repository of our own: one `git fetch` brings tags and trees, another the few files wanted.

Only objects come: no checkout, no hooks, no configuration, no submodules. What is read here never goes to the network by itself
(git would fetch what a partial clone lacks). Servers without filters or depth give more than is needed, and that is all.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

from promptreg.core.refs import Exact, TagSelector
from promptreg.core.releases import State, fold
from promptreg.core.sources import is_local, without_secrets
from promptreg.errors import PullError
from promptreg.registry.objects import Objects
from promptreg.registry.plumbing import Answer, Git, is_bare, is_oid
from promptreg.registry.pulling.exclusive import alone
from promptreg.registry.tags import read_tags

_TAGS = "refs/tags/"
_FETCH = ("--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--recurse-submodules=no", "--quiet")
# From the least to the most that a server may have to be asked for.
_DEPTHS: tuple[tuple[str, ...], ...] = (("--depth=1", "--filter=blob:none"), ("--depth=1",), ())
_LIMITED = re.compile(r"filter|shallow|depth|dumb http", re.IGNORECASE)  # what a server that cannot do as asked complains of
_SLOW = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60")
_NETWORK = {"GIT_ALLOW_PROTOCOL": "https:ssh:file"}
_FOLDERS = {"GIT_ALLOW_PROTOCOL": "file"}  # a folder's own configuration must lead nowhere else
_NOWHERE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1"}
_AT_ONCE = 500  # refs on one command line


class Cache:
    """What is known of the source *url*, below *folder*. *base* is what a relative path counts from."""

    def __init__(self, folder: Path, url: str, base: Path, env: Mapping[str, str]) -> None:
        self.url = url
        self._address = _address(url, base)
        self._env = env
        self.path = folder / f"{hashlib.sha256(self._address.encode()).hexdigest()[:32]}.git"

    @cached_property
    def git(self) -> Git:
        """For reading what is here; it never fetches."""
        return Git(self.path, self._env, bare=True, extra=_NOWHERE)

    @cached_property
    def objects(self) -> Objects:
        return Objects(self.git)

    def close(self) -> None:
        if "objects" in self.__dict__:
            self.objects.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """While held, no other process fetches into it."""
        with alone(self.path.with_suffix(".lock")):
            yield

    @property
    def warm(self) -> bool:
        """Whether anything was ever fetched."""
        return is_bare(self.path)

    def state(self, names: Sequence[str]) -> State:
        """What the tags that were fetched last say of *names*."""
        return fold(read_tags(self.git, tuple(names))) if self.warm and names else fold(())

    # fetching

    def fetch(self, wanted: Mapping[str, Sequence[TagSelector]]) -> None:
        """Brings what decides on *wanted* (name to selectors): tags, their commits and trees. PullError if the source refuses."""
        self._make()
        self._unlock()
        specs = list(dict.fromkeys(f"+{_TAGS}{pattern}:{_TAGS}{pattern}" for pattern in _patterns(wanted)))
        for start in range(0, len(specs), _AT_ONCE):
            self._fetch(["--prune"], ["origin", *specs[start : start + _AT_ONCE]])

    def bring(self, oids: Iterable[str]) -> None:
        """Brings the files *oids* that are not here. PullError when the source does not give them."""
        missing = sorted({oid for oid in oids if is_oid(oid)} - self._present())
        if not missing:
            return
        self._unlock()
        options = ("-c", "fetch.negotiationAlgorithm=noop", "fetch", *_FETCH, *_DEPTHS[0], "--stdin", "origin")
        answer = self._remote.run(*_SLOW, *options, refuse=False, stdin="".join(f"{oid}\n" for oid in missing).encode())
        if answer.code == 0 and not set(missing) - self._present():
            return
        refs = [f"+{ref}:{ref}" for ref in self.git.ask("for-each-ref", "--format=%(refname)", _TAGS).text.splitlines()]
        for start in range(0, len(refs), _AT_ONCE):  # a server that gives no single objects gives all of each commit
            self._fetch(["--refetch"], ["origin", *refs[start : start + _AT_ONCE]], _DEPTHS[1:])
        if set(missing) - self._present():
            raise self._refused(answer)

    def _fetch(self, options: list[str], what: list[str], depths: Sequence[tuple[str, ...]] = _DEPTHS) -> None:
        answer = Answer(1, b"")
        for depth in depths:
            if not depth:
                self._make_whole()
            answer = self._remote.run(*_SLOW, "fetch", *_FETCH, *options, *depth, "--", *what, refuse=False)
            if answer.code == 0:
                return
            if not _LIMITED.search(answer.complaint):
                break
        raise self._refused(answer)

    def _make_whole(self) -> None:
        """Forgets that objects may be missing. A server that hands out plain files would make git fetch each missing one by a git
        that does the same, without an end; so it is asked with --depth, which it refuses, or after this."""
        for key in ("promisor", "partialclonefilter"):
            self._remote.run("config", "--unset-all", f"remote.origin.{key}", refuse=False)

    @cached_property
    def _remote(self) -> Git:
        local = is_local(self.url)
        return Git(self.path, self._env, bare=True).writer(_FOLDERS if local else _NETWORK)

    def _present(self) -> set[str]:
        """Every object that is here; asking for one by one could make git fetch."""
        listed = self.git.ask("cat-file", "--batch-all-objects", "--batch-check=%(objectname)", "--unordered")
        return set(listed.text.split())

    def _make(self) -> None:
        """An empty repository in the source's object format, there at once and whole."""
        if self.warm:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.path.parent, prefix=".new-") as scratch:
            new = Path(scratch) / "git"
            new.mkdir()
            git = Git(new, self._env, bare=True).writer(_FOLDERS if is_local(self.url) else _NETWORK)
            git.require()
            git.ask("init", "--quiet", "--bare", "--template=", f"--object-format={self._format(Path(scratch))}", ".")
            for key, value in (("remote.origin.url", self._address), ("gc.auto", "0"), ("maintenance.auto", "false")):
                git.ask("config", key, value)
            if self.path.exists():
                shutil.rmtree(self.path)
            os.rename(new, self.path)

    def _format(self, scratch: Path) -> str:
        """`sha1` or `sha256`, by the length of the object ids that the source shows. PullError when it cannot be reached."""
        git = Git(scratch, self._env).writer(
            {**(_FOLDERS if is_local(self.url) else _NETWORK), "GIT_CEILING_DIRECTORIES": str(scratch.parent)}
        )
        answer = git.run(*_SLOW, "ls-remote", "--", self._address, "HEAD", refuse=False)
        if answer.code != 0:
            raise self._refused(answer)
        return "sha256" if len(answer.text.partition("\t")[0]) == 64 else "sha1"

    def _unlock(self) -> None:
        """Removes the locks of a git that was killed; nobody else can be at work here, see `alone`."""
        for lock in (*self.path.glob("*.lock"), *(self.path / "refs").rglob("*.lock")):
            lock.unlink(missing_ok=True)

    def _refused(self, answer: Answer) -> PullError:
        lines = [line for line in answer.complaint.splitlines() if line and not line.startswith(("warning:", "hint:"))]
        said = without_secrets((lines or ["git gave no reason"])[0].removeprefix("fatal: "))
        return PullError(
            f"{self.url} cannot be fetched from: {said[:300]}",
            hint="check the address, the network and your rights: git ls-remote URL",
        )


def _address(url: str, base: Path) -> str:
    """What git is told: *url*, or the whole path of a folder. PullError when that is none."""
    if not is_local(url):
        return url
    path = Path(os.path.normpath(base / url.removeprefix("file://")))
    if path.exists() and not path.is_dir():
        raise PullError(f"{url} is not a folder", hint="give the path of a repository")
    return f"file://{path}"


def _patterns(wanted: Mapping[str, Sequence[TagSelector]]) -> Iterator[str]:
    """Which tags are needed: an exact version's alone, else all of the name."""
    for name, selectors in wanted.items():
        if all(isinstance(each, Exact) for each in selectors):
            for each in selectors:
                assert isinstance(each, Exact)
                yield f"{name}@v{each.version}*"
        else:
            yield from (f"{name}@*", f"{name}#*")
