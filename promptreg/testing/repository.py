"""Builds real Git repositories for tests: same author, same dates, same commits wherever and whenever it runs."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

_START = 1_767_225_600  # 2026-01-01T00:00:00Z; each commit and tag comes a minute after the one before
_CONFIG = {
    "user.name": "Ada Example",
    "user.email": "ada@example.org",
    "commit.gpgsign": "false",
    "tag.gpgsign": "false",
    "init.defaultBranch": "main",
    "core.autocrlf": "false",
    "core.hooksPath": os.devnull,
}


class RepositoryBuilder:
    """`RepositoryBuilder(folder).write("prompts/a.yaml", text).commit("first")`"""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._minutes = 0
        root.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main")

    def write(self, path: str, content: str | bytes) -> RepositoryBuilder:
        """Writes one file, with its folders."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        return self

    def delete(self, path: str) -> RepositoryBuilder:
        (self.root / path).unlink()
        return self

    def commit(self, message: str = "change") -> str:
        """Commits everything; returns the commit's id."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def tag(self, name: str, body: str = "tag") -> str:
        """An annotated tag on HEAD; returns the tag object's id."""
        self.git("tag", "--annotate", "--message", body, "--", name)
        return self.git("rev-parse", f"refs/tags/{name}")

    def git(self, *arguments: str) -> str:
        """Runs Git here, untouched by the user's settings; returns what it printed. Raises CalledProcessError."""
        self._minutes += 1
        config = [part for key, value in _CONFIG.items() for part in ("-c", f"{key}={value}")]
        done = subprocess.run(
            ["git", *config, *arguments], cwd=self.root, env=self._environment(), check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def _environment(self) -> Mapping[str, str]:
        moment = f"{_START + 60 * self._minutes} +0000"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        fixed = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "LC_ALL": "C"}
        return {**kept, **fixed, "GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}


def small_registry(root: Path) -> RepositoryBuilder:
    """A registry with one prompt, one suite and the model `echo`, committed. Its cases pass: echo repeats the ticket."""
    built = RepositoryBuilder(root)
    built.write(
        "promptreg.yaml", "registry: example/prompts\nmodels:\n  echo: {provider: echo, model: echo}\ndefaults: {model: echo}\n"
    )
    built.write("prompts/triage.yaml", _PROMPT)
    built.write("suites/triage.yaml", _SUITE)
    built.write("suites/triage.jsonl", _CASES)
    built.commit("A small registry")
    return built


_PROMPT = """\
description: Sorts a support ticket into one queue.
inputs:
  ticket: {type: string}
messages:
  - role: system
    content: "You sort tickets into one of: billing, bug."
  - role: user
    content: "{{ ticket }}"
params: {temperature: 0, max_tokens: 16}
"""
_SUITE = """\
description: Triage must stay right.
prompts: [triage]
models: [echo]
dataset: triage.jsonl
checks:
  - contains: "{{ expected }}"
"""
_CASES = """\
{"id": "invoice", "inputs": {"ticket": "billing: my invoice is wrong"}, "expected": "billing"}
{"id": "crash", "inputs": {"ticket": "bug: the app crashes"}, "expected": "bug"}
"""
