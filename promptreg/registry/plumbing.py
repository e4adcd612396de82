"""The one module that runs git: plumbing commands in a scrubbed environment. Knows commits and paths, not prompts.

The contract (docs/design/dependencies.md, Git access): the caller's GIT_* variables never reach git (inside a hook GIT_DIR
overrides -C), replace refs are off, no locks, no prompts, no hooks, no file-system monitor, English messages, literal paths.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from promptreg.errors import UsageError

# They say whose configuration counts, not which repository; without them safe.directory could not be set for one process.
_KEPT = frozenset(("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM"))
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


def toplevel(start: Path) -> Path | None:
    """The working tree that holds *start*: the nearest folder upwards with a `.git`; None outside of Git. Runs no git."""
    start = start.resolve()
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), None)


class Git:
    """Git in one folder of a working tree."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = {name: value for name, value in env.items() if not name.startswith("GIT_") or name in _KEPT} | _SET

    def head(self) -> str | None:
        """The commit that HEAD names (40 or 64 hex digits); None before the first commit or without Git."""
        code, out = self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return out.decode("ascii").strip() if code == 0 else None

    def dirty(self, paths: Sequence[str]) -> bool:
        """Whether any of *paths* (relative to the folder) differs from HEAD or is not tracked. Ignored files do not count."""
        options = ("--porcelain", "-z", "--no-renames", "--untracked-files=normal", "--ignore-submodules=all")
        code, out = self._run("status", *options, "--", *paths)
        return code == 0 and bool(out)

    def _run(self, *arguments: str) -> tuple[int, bytes]:
        """(exit code, output). Code 127 when there is no git here. UsageError when git refuses the repository."""
        try:
            done = subprocess.run(
                ["git", *_SAFE, "-C", str(self._folder), *arguments],
                env=self._env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            return 127, b""
        complaint = done.stderr.decode(errors="replace").strip()
        if done.returncode == 128 and "not a git repository" not in complaint:
            first, _, rest = complaint.partition("\n")
            remedy = " ".join(line.strip() for line in rest.splitlines() if line.strip())
            raise UsageError(f"git refuses {self._folder}: {first.removeprefix('fatal: ')}", hint=remedy or "git status says more")
        return done.returncode, done.stdout
