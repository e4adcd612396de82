"""The commits and tags of the repository that a registry lies in. Knows which commit a reference means, no file format."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from promptreg.core.refs import Exact, TagSelector
from promptreg.core.releases import Release, State, fold
from promptreg.core.resolve import resolve
from promptreg.errors import UsageError
from promptreg.registry.objects import Objects
from promptreg.registry.plumbing import SHALLOW_HINT, Git, is_oid
from promptreg.registry.revision import Revision
from promptreg.registry.tags import read_tags

if TYPE_CHECKING:
    from promptreg.registry.blame import Line
    from promptreg.registry.commits import Commit

_KEPT = 16  # revisions whose listings are kept: a command compares a few


class History:
    """What Git knows of one registry, which lies in *folder* (empty, or ending with `/`) of its repository.

    `close` ends its git process; a later question starts another.
    """

    def __init__(self, git: Git, folder: str = "") -> None:
        self.git = git
        self.objects = Objects(git)
        self.revision = functools.lru_cache(_KEPT)(self._revision)
        self.folder = folder
        self._first: dict[str, State] = {}

    def close(self) -> None:
        self.objects.close()

    def forget(self) -> None:
        """Tags were made or fetched: what was read of them counts no more."""
        self.__dict__.pop("state", None)
        self._first.clear()

    @functools.cached_property
    def state(self) -> State:
        """What all tags say; read once."""
        return fold(read_tags(self.git))

    def oids(self, places: Sequence[tuple[str, str]]) -> list[str]:
        """The object id of what lies at each (commit, path from the registry's folder); empty where nothing does. One process."""
        lines = "".join(f"{commit}:{self.folder}{path}\n" for commit, path in places)
        answer = self.git.ask("cat-file", "--batch-check=%(objectname)", stdin=lines.encode())
        return [line if is_oid(line) else "" for line in answer.output.decode("utf-8", "replace").splitlines()]

    def release(self, name: str, selector: TagSelector) -> Release:
        """The release of *name* that *selector* means. UsageError that says what exists, and in a shallow clone what to fetch.

        A shallow clone lacks tags without saying which: only an exact version can be believed there.
        """
        if not isinstance(selector, Exact) and self.git.is_shallow:
            raise UsageError(f"{name}@{selector} cannot be resolved in a shallow clone: tags may be missing", hint=SHALLOW_HINT)
        try:
            return resolve(self._of(name), name, selector)
        except UsageError as fault:
            if self.git.is_shallow:
                raise UsageError(f"{fault.message} (in this shallow clone)", hint=SHALLOW_HINT) from fault
            raise

    def commits(self, start: str, files: Sequence[str], globs: Sequence[str] = ()) -> Iterator[Commit]:
        """Ancestors of the commit *start* that changed one of *files* or of *globs*, which count from the registry's folder."""
        from promptreg.registry.commits import commits_touching, escaped

        folder = escaped(self.folder)
        return commits_touching(self.git, start, [self.folder + path for path in files], [folder + glob for glob in globs])

    def find(self, commit: str, paths: Sequence[str]) -> list[str | None]:
        """The object ids of *paths*, which count from the registry's folder, at *commit*; None where no file is."""
        return self.objects.find(commit, [self.folder + path for path in paths])

    def blame(self, commit: str, path: str) -> list[Line]:
        """Who last changed each line of *path* (from the registry's folder) as *commit* has it."""
        from promptreg.registry.blame import blame

        here = self.git.run("rev-parse", "--show-prefix").output.decode("utf-8", "surrogateescape").rstrip("\n")
        full = self.folder + path
        return blame(self.git, commit, full.removeprefix(here), self.revision(commit).place(path))

    def _of(self, name: str) -> State:
        """The state as far as *name* goes. The first name's tags are read alone; for a second name, or a did-you-mean, all are."""
        if "state" not in self.__dict__ and not self._first:
            self._first[name] = fold(read_tags(self.git, (name,)))
        own = self._first.get(name)
        return own if own is not None and own.artefact(name).releases else self.state

    def _revision(self, commit: str) -> Revision:
        return Revision(self.objects, commit, self.folder)
