"""The one module that starts git: plumbing commands in a scrubbed environment. Knows commits and paths, not prompts.

The contract (docs/design/git.md): the caller's GIT_* variables never reach git (inside a hook GIT_DIR overrides -C), replace
refs are off, no locks, no prompts, no hooks, no file-system monitor, English messages, literal paths, no repository that lies
inside a work tree as plain files; what users typed stands behind --end-of-options and has no line end.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from promptreg.core.names import check_revision
from promptreg.errors import UsageError

OLDEST = (2, 36)  # `cat-file --batch-command`; older ones also trust repositories that other users planted
SHALLOW_HINT = (
    "fetch the whole history and its tags: git fetch --unshallow --tags (actions/checkout: fetch-depth: 0, fetch-tags: true)"
)
# They say whose configuration counts, not which repository; without them safe.directory could not be set for one process.
_KEPT = frozenset(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"))
# Who writes, and how remotes are reached: the user's own, and needed only by what writes or speaks to a remote.
_WRITERS = frozenset(
    (
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
        "GIT_COMMITTER_DATE",
        "GIT_SSH",
        "GIT_SSH_COMMAND",
        "GIT_SSH_VARIANT",
        "GIT_ASKPASS",
    )
)
_SET = {
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_ALLOW_PROTOCOL": "https:ssh:file",
    "LC_ALL": "C",
}
_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never")
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_USAGE = 129  # exit code of a git that does not know an option


@dataclass(frozen=True, slots=True)
class Answer:
    """What a git process said. Code 127: there is no git here."""

    code: int
    output: bytes
    complaint: str = ""

    @property
    def text(self) -> str:
        return self.output.decode("utf-8", "replace").strip()


def toplevel(start: Path) -> Path | None:
    """The working tree that holds *start*: the nearest folder upwards with a `.git`; None outside of Git. Runs no git."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), None)


def is_bare(folder: Path) -> bool:
    """Whether *folder* is itself a repository without a working tree. Runs no git."""
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


class Git:
    """Git in one folder of a working tree; with *bare*, in a repository that has none."""

    def __init__(self, folder: Path, env: Mapping[str, str], *, bare: bool = False, extra: Mapping[str, str] | None = None) -> None:
        """*extra* holds variables that git shall see here and nowhere else."""
        self.folder = folder
        self._given, self._bare = env, bare
        kept = {name: value for name, value in env.items() if not name.startswith("GIT_") or name in _KEPT}
        self._env = {**kept, **_SET, **(extra or {})}
        self._safe = (*_SAFE, "-c", f"safe.bareRepository={'all' if bare else 'explicit'}")

    def writer(self, more: Mapping[str, str] | None = None) -> Git:
        """The same repository for commands that write or speak to remotes: they learn who the user is; *more* is set besides."""
        own = {name: value for name, value in self._given.items() if name in _WRITERS}
        return Git(self.folder, self._given, bare=self._bare, extra={**own, **(more or {})})

    # questions

    def head(self) -> str | None:
        """The commit that HEAD names (40 or 64 hex digits); None before the first commit or without Git."""
        answer = self.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return answer.text if answer.code == 0 else None

    def dirty(self, paths: Sequence[str]) -> bool:
        """Whether any of *paths* (relative to the folder) differs from HEAD or is not tracked. Ignored files do not count."""
        options = ("--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=all")
        answer = self.run("status", *options, "--", *paths)
        return answer.code == 0 and bool(answer.output)

    def tracked(self, paths: Sequence[str]) -> list[str]:
        """The files of the index at *paths* (from the repository's root) and below, whatever their case; none outside of Git."""
        specs = [f":(top,icase,literal){path}" for path in paths]
        answer = self.run("--no-literal-pathspecs", "ls-files", "-z", "--full-name", "--", *specs, refuse=False)
        return [os.fsdecode(path) for path in answer.output.split(b"\0") if path] if answer.code == 0 else []

    def rev_parse(self, revision: str) -> str:
        """The commit that *revision* names. UsageError when it names none."""
        check_revision(revision)
        searched = revision.startswith(":/")  # all that follows is the text to look for
        wanted = revision if searched else f"{revision}^{{commit}}"
        answer = self.ask("rev-parse", "--verify", "--quiet", "--end-of-options", wanted, accept=(0, 1, 128))
        if answer.code != 0 or not is_oid(answer.text):
            hint = (
                SHALLOW_HINT if self.is_shallow else "git log --all --oneline shows commits; git tag and git branch -a show names"
            )
            raise UsageError(f"Git knows no commit '{revision}'{' in this shallow clone' if self.is_shallow else ''}", hint=hint)
        return answer.text

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor of two commits (object ids); None without one. UsageError if a shallow clone hides it."""
        answer = self.ask("merge-base", _oid(one), _oid(other), accept=(0, 1))
        if answer.code == 0:
            return answer.text.partition("\n")[0]
        if self.is_shallow:
            raise UsageError(f"a shallow clone hides what {one[:12]} and {other[:12]} have in common", hint=SHALLOW_HINT)
        return None

    @cached_property
    def is_shallow(self) -> bool:
        """Whether history, and with it tags, was cut off when this repository was cloned."""
        return self.run("rev-parse", "--is-shallow-repository").text == "true"

    def forget_shallow(self) -> None:
        """History was fetched: what was known of its completeness counts no more."""
        self.__dict__.pop("is_shallow", None)

    @cached_property
    def object_format(self) -> str:
        """`sha1` or `sha256`."""
        return self.ask("rev-parse", "--show-object-format").text

    @cached_property
    def version(self) -> tuple[int, ...]:
        """Of git itself, as (2, 39, 5); empty without git."""
        found = re.match(r"git version (\d+(?:\.\d+)*)", self.run("version").text)
        return tuple(int(part) for part in found[1].split(".")) if found else ()

    def require(self) -> None:
        """UsageError unless there is a git, new enough."""
        if not self.version:
            raise UsageError("there is no git here", hint=f"install git {'.'.join(map(str, OLDEST))} or newer")
        if self.version < OLDEST:
            found = ".".join(map(str, self.version))
            raise UsageError(f"git {found} is too old", hint=f"promptreg needs git {'.'.join(map(str, OLDEST))} or newer")

    # processes

    def ask(self, *arguments: str, accept: Sequence[int] = (0,), stdin: bytes = b"") -> Answer:
        """The answer of a command that must succeed: UsageError unless its exit code is one of *accept*."""
        answer = self.run(*arguments, refuse=128 not in accept, stdin=stdin)
        if answer.code not in accept:
            self.require()
            raise UsageError(
                f"git {arguments[0]} failed in {self.folder}: {_first(answer.complaint) or f'exit code {answer.code}'}"
            )
        return answer

    def run(self, *arguments: str, refuse: bool = True, stdin: bytes = b"") -> Answer:
        """The answer of one command. With *refuse*, UsageError when git refuses the repository (its owner, its format)."""
        try:
            done = subprocess.run(self.command(*arguments), env=self._env, input=stdin, capture_output=True, check=False)
        except FileNotFoundError:
            return Answer(127, b"", "there is no git here")
        complaint = done.stderr.decode(errors="replace").strip()
        refused = done.returncode == 128 and (refuse or "dubious ownership" in complaint or "safe.bareRepository" in complaint)
        if refused and "not a git repository" not in complaint:
            raise UsageError(f"git refuses {self.folder}: {_first(complaint)}", hint=_rest(complaint) or "git status says more")
        return Answer(done.returncode, done.stdout, complaint)

    def start(self, *arguments: str, stdin: int, stderr: IO[bytes]) -> subprocess.Popen[bytes]:
        """A process that lives on; its output is a pipe. UsageError without git."""
        try:
            return subprocess.Popen(self.command(*arguments), env=self._env, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr)
        except FileNotFoundError:
            raise UsageError("there is no git here", hint=f"install git {'.'.join(map(str, OLDEST))} or newer") from None

    def command(self, *arguments: str) -> list[str]:
        """The whole command line. Raises ValueError for arguments that no program can receive."""
        return ["git", *self._safe, "-C", os.fspath(self.folder), *arguments]


def is_oid(text: str) -> bool:
    """Whether *text* is a whole object id, of SHA-1 or SHA-256."""
    return _OID.fullmatch(text) is not None


def _oid(text: str) -> str:
    if not is_oid(text):
        raise UsageError(f"{text!a} is not an object id", hint="resolve it first")
    return text


def _first(complaint: str) -> str:
    return complaint.partition("\n")[0].removeprefix("fatal: ")


def _rest(complaint: str) -> str:
    return " ".join(line.strip() for line in complaint.splitlines()[1:] if line.strip())
