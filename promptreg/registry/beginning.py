"""A new repository with a first commit: the one thing here that GitPython does, in a folder that is the user's own.

Everything that reads, and everything that touches a foreign repository, is plumbing (docs/design/git.md). GitPython would sign a
commit of nobody with `user@host`, so who commits is asked of Git's own settings first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from promptreg.errors import UsageError
from promptreg.registry.plumbing import toplevel

BRANCH = "main"


def begin(directory: Path, files: Sequence[Path], message: str, env: Mapping[str, str], now: float) -> str:
    """Makes *directory* a Git repository and commits *files* at *now* (seconds since the epoch); returns the commit.

    Raises UsageError with the remedy.
    """
    refuse_repository(directory)
    from git import Actor, Repo  # 60 ms, and it runs `git version`: only here

    with Repo.init(directory, initial_branch=BRANCH) as repo:
        identity = [_setting(repo, env, role, key) for role in ("AUTHOR", "COMMITTER") for key in ("name", "email")]
        author, committer = Actor(*identity[:2]), Actor(*identity[2:])
        repo.index.add([os.fspath(path.resolve().relative_to(directory.resolve())) for path in files])
        when = datetime.fromtimestamp(now, UTC)
        made = repo.index.commit(message, author=author, committer=committer, author_date=when, commit_date=when)
        return made.hexsha


def refuse_repository(directory: Path) -> None:
    """UsageError when *directory* is in a repository already: its owner decides what is committed there."""
    found = toplevel(directory)
    if found is not None:
        raise UsageError(f"there is a Git repository already, in {found}", hint="leave --git out; then git add and git commit")


def _setting(repo: object, env: Mapping[str, str], role: str, key: str) -> str:
    """`GIT_AUTHOR_NAME` and so on, else `user.name` of Git's settings."""
    given = env.get(f"GIT_{role}_{key.upper()}") or repo.config_reader().get_value("user", key, "")  # type: ignore[attr-defined]
    if not given:
        raise UsageError(f"Git does not know who commits: user.{key} is not set", hint=f'git config --global user.{key} "…"')
    return str(given)
