"""Somebody at a shell: types a command line in a folder, in this process or in one of its own, and reads what it says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from promptreg.cli import invoke
from promptreg.testing import LoopbackServer, RepositoryBuilder

PATIENCE_S = 30.0  # a deadline for what should take a moment; reached only when something is broken

PROMPT = """\
inputs:
  ticket: {type: string}
messages:
  - {role: system, content: Name the queue.}
  - {role: user, content: "{{ ticket }}"}
params: {temperature: 0, max_tokens: 16}
"""
SUITE = """\
prompts: [triage]
models: [big]
dataset: triage.jsonl
checks:
  - contains: "{{ expected }}"
"""

HOUSE = "registry: acme/house\nmodels: {echo: {provider: echo, model: echo}}\ndefaults: {model: echo}\n"
TICKET = """\
inputs: {ticket: {type: string}}
messages:
  - {role: system, content: '{% include "support/_tone.jinja" %}'}
  - {role: user, content: "{{ ticket }}"}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind: its exit code and its two streams."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on stdout; nothing may stand before or after it, and `schema` comes first."""
        value = json.loads(self.out)
        assert next(iter(value)) == "schema"
        return value


class User:
    """`user("run", "--json")` types a command in *root*; `user.process(…)` and `user.start(…)` do it in a process of its own."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root = root
        self._capsys = capsys
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str) -> Said:
        self._capsys.readouterr()
        here = Path.cwd()
        os.chdir(self.root)
        try:
            code = invoke(list(arguments))
        finally:
            os.chdir(here)
        return Said(code, *self._capsys.readouterr())

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "promptreg", *arguments],
            cwd=self.root,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self._started.append(process)
        return process

    def process(self, *arguments: str, env: Mapping[str, str] | None = None) -> Said:
        return self.end(self.start(*arguments, env=env))

    @staticmethod
    def end(process: subprocess.Popen[str]) -> Said:
        out, err = process.communicate(timeout=PATIENCE_S)
        return Said(process.returncode, out, err)

    def write(self, path: str, text: str | bytes) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode() if isinstance(text, str) else text)
        return target

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        text = self.read(path)
        assert old in text, f"{path} has no {old!r}"
        self.write(path, text.replace(old, new))

    def triage(self, url: str, *, cases: int = 3, model: str = "", limits: str = "{concurrency: 4}") -> User:
        """A registry whose only model, `big`, is served at *url*; all its cases pass when the model repeats the ticket."""
        entry = f'provider: openai, model: big-1, base_url: "{url}", limits: {limits}'
        self.write("promptreg.yaml", f"registry: acme/prompts\nmodels:\n  big: {{{entry}{', ' + model if model else ''}}}\n")
        self.write("prompts/triage.yaml", PROMPT)
        self.write("suites/triage.yaml", SUITE)
        rows = ({"id": f"c{n}", "inputs": {"ticket": f"ticket {n} for billing"}, "expected": "billing"} for n in range(cases))
        self.write("suites/triage.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
        return self

    def leave(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def user(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[User]:
    root = tmp_path / "registry"
    root.mkdir()
    somebody = User(root, capsys)
    yield somebody
    somebody.leave()


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    """A model that repeats what it is told, and counts how often."""
    with LoopbackServer() as running:
        yield running


@pytest.fixture
def acme(tmp_path: Path) -> RepositoryBuilder:
    """A registry with support/triage 1.0.0 and 1.1.0 (production: 1.0.0) and greet 1.0.0, and a partial that nobody includes."""
    built = RepositoryBuilder(tmp_path / "acme")
    built.write("promptreg.yaml", "registry: acme/prompts\n").write("prompts/support/triage.yaml", TICKET)
    built.write("prompts/support/_tone.jinja", "Be kind.\n").write("prompts/_unused.jinja", "Nobody.\n")
    built.write("prompts/greet.yaml", "messages: [{role: user, content: Hello.}]\n").write("big.bin", os.urandom(300_000))
    built.commit()
    built.tag("support/triage@v1.0.0")
    built.tag("support/triage#production#1")
    built.tag("greet@v1.0.0")
    built.write("prompts/support/_tone.jinja", "Be brief.\n").commit()
    built.tag("support/triage@v1.1.0")
    return built


@pytest.fixture
def consumer(user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> User:
    """A registry of one's own, with a cache of its own."""
    monkeypatch.setenv("PROMPTREG_CACHE", str(tmp_path / "cache"))
    user.write("promptreg.yaml", HOUSE)
    user.write("prompts/own.yaml", "inputs: {ticket: {}}\nmessages: [{role: user, content: '{{ ticket }}'}]\n")
    return user


def until(ready: Callable[[], object], what: str) -> None:
    """Waits for *ready*, which something else brings about; fails after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not ready():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.005)
