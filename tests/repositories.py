"""Real Git repositories for tests."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from promptreg import datasets
from promptreg.registry import Registry, open_registry, open_repository

SETTINGS = "models: {small: {provider: echo}}\ndefaults: {model: small}\n"
PROMPT = "messages: [{role: user, content: '{{ x }}'}]\ninputs: {x: {}}\n"
DATE = 1_700_000_000


def git(folder: Path, *arguments: str, at: int | None = None, stdin: bytes = b"", **env: str) -> str:
    """What git prints. *at* is the date of what it makes, in seconds since the epoch."""
    dates = {} if at is None else {"GIT_AUTHOR_DATE": f"{at} +0000", "GIT_COMMITTER_DATE": f"{at} +0000"}
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, input=stdin, env={**os.environ, **dates, **env}
    )
    return done.stdout.decode(errors="replace").strip()


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def commit(root: Path, files: dict[str, str] | None = None, *options: str) -> str:
    """Commits everything below *root*, with *files* written first; the commit."""
    if not (root / ".git").exists():
        root.mkdir(parents=True, exist_ok=True)
        git(root, "init", "-q", *options)
    write(root, files or {})
    git(root, "add", "-A")
    git(root, "commit", "-qm", "work", "--allow-empty")
    return git(root, "rev-parse", "HEAD")


def tag(root: Path, name: str, at: int = DATE, commit: str = "HEAD", body: str = "made by a test") -> None:
    git(root, "tag", "-a", "-m", body, "--cleanup=verbatim", "--end-of-options", name, commit, at=at)


def opened(start: Path, **env: str) -> Registry:
    return open_registry(start, read_cases=datasets.read, env={**os.environ, **env})


def at_revision(repository: Path, revision: str = "HEAD", folder: str = "") -> Registry:
    return open_repository(repository, revision, read_cases=datasets.read, env=os.environ, folder=folder)


def mktree(root: Path, entries: list[tuple[str, str, str]]) -> str:
    """A tree of (mode, object id, name), as a stranger may have made it: nothing is checked."""
    raw = b"".join(f"{mode} {name}".encode("utf-8", "surrogateescape") + b"\0" + bytes.fromhex(oid) for mode, oid, name in entries)
    return git(root, "hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=raw)


def blob(root: Path, content: bytes) -> str:
    return git(root, "hash-object", "-w", "--stdin", stdin=content)


def commit_tree(root: Path, tree: str) -> str:
    return git(root, "commit-tree", "-m", "work", tree)
