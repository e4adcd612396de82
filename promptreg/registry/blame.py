"""Who last changed each line of a file at a commit. Reads what is committed only: no filter or converter of the repository runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promptreg.errors import UsageError, Where
from promptreg.registry.plumbing import Git, is_oid


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The commit that a line came with. `boundary`: history ends there, so the line may be older."""

    commit: str
    author: str
    email: str
    time: int
    subject: str
    boundary: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file, counted from 1, without its end."""

    number: int
    text: str
    origin: Origin


def blame(git: Git, commit: str, path: str, shown: str) -> list[Line]:
    """The lines of *path* (from git's folder) at *commit*, an object id; messages name the file as *shown*.

    Lists of commits to ignore take no part: who changed a line is not a matter of settings.
    """
    if not is_oid(commit):
        raise UsageError(f"{commit!a} is not an object id", hint="resolve it first")
    options: tuple[str, ...] = ("--porcelain", "--no-textconv", "--no-progress", "--encoding=UTF-8", "--ignore-revs-file=")
    options += () if git.is_shallow else ("--root",)  # a first commit is a boundary only where history was cut off
    answer = git.run("blame", *options, commit, "--", path, refuse=False)
    if answer.code != 0:
        said = answer.complaint.partition("\n")[0].removeprefix("fatal: ")
        raise UsageError(f"git blame failed: {said}", where=Where(shown), hint="git log -- FILE shows where it comes from")
    return list(_lines(answer.output.decode("utf-8", "replace")))


def _lines(porcelain: str) -> Iterator[Line]:
    """A commit's facts stand at its first line only."""
    known: dict[str, Origin] = {}
    commit, number = "", 0
    facts: dict[str, str] = {}
    for row in porcelain.split("\n"):
        if row.startswith("\t"):
            if commit not in known:
                known[commit] = _origin(commit, facts)
            yield Line(number, row[1:].removesuffix("\r"), known[commit])
            commit, facts = "", {}
        elif not commit and row:
            commit, _, rest = row.partition(" ")
            number = int(rest.split()[1])
        else:
            key, _, value = row.partition(" ")
            facts[key] = value


def _origin(commit: str, facts: dict[str, str]) -> Origin:
    time = facts.get("author-time", "0")
    return Origin(
        commit=commit,
        author=facts.get("author", ""),
        email=facts.get("author-mail", "").strip("<>"),
        time=int(time) if time.isdigit() else 0,
        subject=facts.get("summary", ""),
        boundary="boundary" in facts,
    )
