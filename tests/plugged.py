"""A registry for stories about the pytest plugin, and pytest as a user starts it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from promptreg.testing import RepositoryBuilder

PATIENCE_S = 120.0  # reached only when something hangs

SETTINGS = """\
registry: acme/prompts
models:
  big: {{provider: openai, model: big-1, base_url: "{url}", price: {{input: 1, output: 2}}, limits: {{retries: 0, concurrency: 8}}}}
  small: {{provider: openai, model: small-1, base_url: "{url}", limits: {{retries: 0, concurrency: 8}}}}
defaults: {{model: big}}
"""
TRIAGE = """\
inputs: {ticket: {type: string}}
messages:
  - {role: system, content: '{% include "_tone.jinja" %}'}
  - {role: user, content: "{{ ticket }}"}
params: {temperature: 0, max_tokens: 16}
"""
SUITE = """\
prompts: [triage]
dataset: triage.jsonl
checks:
  - exact: "{{ expected }}"
"""


def answered(request: Any) -> str:
    """A model that sorts tickets: every fifth wrongly, and all that it is told to hurry with."""
    number = int(request["messages"][-1]["content"].split()[-1])
    if number % 5 == 4 or "hurry" in request["messages"][0]["content"]:
        return "other"
    return "billing" if number % 2 else "bug"


def rows(count: int, **more: Any) -> str:
    return "".join(
        json.dumps({"id": f"t{n}", "inputs": {"ticket": f"ticket {n}"}, "expected": "billing" if n % 2 else "bug", **more}) + "\n"
        for n in range(count)
    )


def compiled() -> dict[str, str]:
    """Python compiles promptreg once for all sessions of a test run, also where the environment forbids it to keep the result."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(Path(os.environ["HOME"]) / "pycache")}


@dataclass(frozen=True, slots=True)
class Ran:
    """What a session left: its exit code, what it printed, and what JUnit says of each test."""

    code: int
    out: str
    tests: dict[str, str]  # name → passed, failed, error, xfailed, skipped
    texts: dict[str, str]  # name → what was said of it
    properties: dict[str, dict[str, str]]

    def having(self, outcome: str) -> list[str]:
        return sorted(name for name, found in self.tests.items() if found == outcome)

    @property
    def counts(self) -> dict[str, int]:
        return {outcome: len(self.having(outcome)) for outcome in sorted(set(self.tests.values()))}


class House:
    """A registry with one prompt and one suite, and `pytest(…)` in its folder."""

    def __init__(self, root: Path, url: str, *, cases: int = 10, gate: str = "") -> None:
        self.builder = RepositoryBuilder(root)
        self.root = root
        self.write("pytest.ini", "[pytest]\n").write(".gitignore", "__pycache__/\n.pytest_cache/\n.promptreg/\n*.xml\n")
        self.write("promptreg.yaml", SETTINGS.format(url=url)).write("prompts/triage.yaml", TRIAGE)
        self.write("prompts/_tone.jinja", "Name the queue.\n")
        self.write("suites/triage.yaml", SUITE + gate).write("suites/triage.jsonl", rows(cases))
        self.builder.commit("A registry")

    def write(self, path: str, text: str) -> House:
        self.builder.write(path, text)
        return self

    def start(self, *arguments: str, here: str = "", env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=self.root / here,
            env={**os.environ, **compiled(), **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def pytest(self, *arguments: str, here: str = "", env: dict[str, str] | None = None) -> Ran:
        """A session with `--promptreg` and *arguments*."""
        return self.plain_pytest("--promptreg", *arguments, here=here, env=env)

    def plain_pytest(self, *arguments: str, here: str = "", env: dict[str, str] | None = None) -> Ran:
        written = self.root.parent / "junit.xml"
        written.unlink(missing_ok=True)
        process = self.start(f"--junitxml={written}", *arguments, here=here, env=env)
        try:
            out, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.kill()
        return read(process.returncode, out, written)


def read(code: int, out: str, written: Path) -> Ran:
    tests: dict[str, str] = {}
    texts: dict[str, str] = {}
    properties: dict[str, dict[str, str]] = {}
    for case in ElementTree.parse(written).iter("testcase") if written.exists() else ():
        name = str(case.get("name"))
        found = case.find("failure"), case.find("error"), case.find("skipped")
        said = next((each for each in found if each is not None), None)
        kind = {None: "passed", "failure": "failed", "error": "error", "skipped": "skipped"}[None if said is None else said.tag]
        if said is not None and said.get("type") == "pytest.xfail":
            kind = "xfailed"
        tests[name] = kind
        texts[name] = "" if said is None else f"{said.get('message')}\n{said.text or ''}"
        properties[name] = {str(each.get("name")): str(each.get("value")) for each in case.iter("property")}
    return Ran(code, out, tests, texts, properties)
