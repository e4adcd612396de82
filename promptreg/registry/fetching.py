"""Brings what a CI's clone lacks: history that was cut off, the target's branch, tags. Only objects and refs; knows no prompts.

Asks the remote that the clone came from, by the clone's own configuration, with the user's own credentials and without prompts.
"""

from __future__ import annotations

from collections.abc import Sequence

from promptreg.errors import UsageError
from promptreg.registry.plumbing import SHALLOW_HINT, Git
from promptreg.registry.writing import check_remote, fetch_tags

_OPTIONS = ("--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance", "--no-tags", "--quiet")
_SLOW = ("-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60")  # a remote that says nothing for a minute is given up


def fetch_history(git: Git, remote: str, branches: Sequence[str] = ()) -> tuple[str, ...]:
    """Makes a shallow clone whole; brings its own branch, *branches* (as refs/remotes/REMOTE/…, where they exist) and tags.

    Returns the tags that differ here and there, which stay as they are here. UsageError when the remote does not answer.
    """
    check_remote(remote)
    writer = git.writer()
    own, present = _offered(writer, remote, branches)
    specs = [f"+refs/heads/{branch}:refs/remotes/{remote}/{branch}" for branch in dict.fromkeys((*own, *present))]
    deeper = ("--unshallow",) if git.is_shallow else ()
    if deeper or specs:
        answer = writer.run(*_SLOW, "fetch", *_OPTIONS, *deeper, "--", remote, *specs, refuse=False)
        if answer.code:
            raise UsageError(f"{remote} cannot be fetched from: {_reason(answer.complaint)}", hint=SHALLOW_HINT)
    git.forget_shallow()
    head = f"refs/remotes/{remote}/HEAD"
    if own and git.run("symbolic-ref", "--quiet", head).code:
        writer.ask("symbolic-ref", head, f"refs/remotes/{remote}/{own[0]}")  # as `git clone` does, and a CI's checkout does not
    return fetch_tags(git, remote)


def clone_remote(git: Git) -> str | None:
    """The remote that this clone came from: origin, or the only one; None where nobody can say."""
    known = git.run("remote").text.splitlines()
    if "origin" in known:
        return "origin"
    return known[0] if len(known) == 1 else None


def tags_left_out(git: Git, remote: str | None) -> bool:
    """Whether this clone is known to lack tags: it is shallow, or was made with --no-tags."""
    if git.is_shallow:
        return True
    return remote is not None and git.run("config", "--get", f"remote.{remote}.tagOpt").text == "--no-tags"


def _offered(git: Git, remote: str, branches: Sequence[str]) -> tuple[list[str], list[str]]:
    """The remote's own branch (none or one), and which of *branches* it has."""
    wanted = [f"refs/heads/{branch}" for branch in branches]
    answer = git.run(*_SLOW, "ls-remote", "--symref", "--", remote, "HEAD", *wanted, refuse=False)
    if answer.code:
        raise UsageError(f"{remote} does not answer: {_reason(answer.complaint)}", hint="check the network and your rights")
    lines = [line.split("\t") for line in answer.text.splitlines()]
    own = [
        first.removeprefix("ref: refs/heads/") for first, *ref in lines if ref == ["HEAD"] and first.startswith("ref: refs/heads/")
    ]
    there = {ref[0] for _, *ref in lines if ref}
    return own[:1], [branch for branch in branches if f"refs/heads/{branch}" in there]


def _reason(complaint: str) -> str:
    from promptreg.core.sources import without_secrets

    lines = [line.removeprefix("fatal: ") for line in complaint.splitlines() if line and not line.startswith(("warning:", "hint:"))]
    return without_secrets((lines or ["git gave no reason"])[0])[:300]
