"""Commits that touched some paths, as git lists them, newest first. Knows no prompts and no tags."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from promptreg.errors import UsageError
from promptreg.registry.plumbing import Git, is_oid

SUBJECT = 200  # characters of a subject that are kept
_FIELDS = "%H%x00%P%x00%an%x00%ae%x00%ct%x00%s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """Who changed something when: `time` is seconds since the epoch, of the commit (not of its first writing)."""

    oid: str
    parents: tuple[str, ...]
    author: str
    email: str
    time: int
    subject: str


def commits_touching(git: Git, start: str, files: Sequence[str], globs: Sequence[str] = ()) -> Iterator[Commit]:
    """Ancestors of *start* (an object id), itself too, that changed one of *files* or a path that matches one of *globs*.

    Paths count from the repository's root. Commits are read as they come: who stops early ends git. As git does by default, side
    branches whose change did not survive are passed over.
    """
    if not is_oid(start):
        raise UsageError(f"{start!a} is not an object id", hint="resolve it first")
    paths = [*(f":(top,literal){path}" for path in files), *(f":(top,glob){path}" for path in globs)]
    options = ("--no-literal-pathspecs", "rev-list", f"--format={_FIELDS}", "--encoding=UTF-8")
    with tempfile.TemporaryFile() as complaints:
        process = git.start(*options, start, "--", *paths, stdin=subprocess.DEVNULL, stderr=complaints)
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if not line.startswith(b"commit "):
                    yield _commit(line)
            code = process.wait()
        finally:
            process.stdout.close()
            process.terminate()
            process.wait()
        if code != 0:
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip().partition("\n")[0].removeprefix("fatal: ")
            raise UsageError(f"git rev-list failed in {git.folder}: {said or f'exit code {code}'}", hint="git fsck says more")


def escaped(path: str) -> str:
    """*path* as a part of a glob that means nothing but itself."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", path)


def _commit(line: bytes) -> Commit:
    oid, parents, author, email, time, subject = line.decode("utf-8", "backslashreplace").rstrip("\n").split("\0", 5)
    return Commit(
        oid=oid,
        parents=tuple(parents.split()),
        author=author,
        email=email,
        time=int(time) if time.isascii() and time.isdigit() else 0,
        subject=subject[:SUBJECT],
    )
