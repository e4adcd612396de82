"""`promptreg check` on a registry of 1,000 prompts with a suite each: nothing affected, and one prompt changed.

Base's answers stand on the runs branch. Figures for the changed prompt: every answer known to the store (no model is asked: this is
the check's own time); an empty store, so that base's answers come from the runs branch; and a partial that twenty prompts include.
All as whole processes, as a CI job types them, in turns with `promptreg --version`, the floor that any command pays.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measure import PROMPTREG, Figures, once, verdict

from promptreg.testing import LoopbackServer, RepositoryBuilder

PROMPTS, TEAMS, CASES, RUNS = 1000, 50, 200, 5
PROMPT = """\
description: Prompt number {number} of the benchmark.
inputs:
  ticket: {{type: string}}
messages:
  - role: system
    content: |
      {{% include "team{team}/_tone.jinja" %}}
      You sort tickets; this is number {number}. {filling}
  - role: user
    content: "{{{{ ticket }}}}"
params: {{temperature: 0, max_tokens: 16}}
"""
SUITE = """\
prompts: [team{team}/prompt-{number}]
models: [big]
dataset: ../cases.jsonl
checks:
  - contains: "{{{{ expected }}}}"
gate: {{margin: 0.10}}
"""


def build(root: Path, url: str) -> RepositoryBuilder:
    built = RepositoryBuilder(root)
    settings = (
        f'registry: a/b\nmodels:\n  big: {{provider: openai, model: big-1, base_url: "{url}", limits: {{concurrency: 32}}}}\n'
    )
    built.write("promptreg.yaml", settings)
    for number in range(PROMPTS):
        team = number % TEAMS
        text = PROMPT.format(number=number, team=team, filling="Think before you answer. " * 30)
        built.write(f"prompts/team{team}/prompt-{number}.yaml", text)
        built.write(f"suites/team{team}/prompt-{number}.yaml", SUITE.format(number=number, team=team))
    for team in range(TEAMS):
        built.write(f"prompts/team{team}/_tone.jinja", f"Be kind, team {team}.\n")
    rows = ({"id": f"c{n}", "inputs": {"ticket": f"ticket {n} for billing"}, "expected": "billing"} for n in range(CASES))
    built.write("suites/cases.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    built.commit("A thousand prompts")
    built.git("checkout", "--quiet", "-b", "change")
    return built


def in_turns(tasks: dict[str, tuple[tuple[str, ...], bool]], root: Path) -> dict[str, Figures]:
    """Seconds of each command; one that is marked starts with an empty store."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for run in range(RUNS + 1):
        for name, (command, empty) in tasks.items():
            if empty:
                shutil.rmtree(root / ".promptreg", ignore_errors=True)
            elapsed = once((*PROMPTREG, *command), root)
            if run:
                taken[name].append(elapsed)
    figures = {name: Figures(tuple(values)) for name, values in taken.items()}
    for name, figure in figures.items():
        print(f"{name}: {figure}")
    return figures


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="promptreg-bench-") as scratch, LoopbackServer() as server:
        root = Path(scratch, "registry")
        built = build(root, server.url)
        floor = {"promptreg --version": (("--version",), False)}
        check = ("check", "--quiet")
        idle = in_turns({**floor, "nothing affected": (check, False)}, root)

        prompt = root / "prompts/team7/prompt-7.yaml"
        prompt.write_text(prompt.read_text().replace("this is number 7", "this is number seven"))
        subprocess.run([*PROMPTREG, "check", "--quiet", "--runs", "write"], cwd=root, check=True, stdout=subprocess.DEVNULL)
        asked = server.requests
        one = in_turns({**floor, "one prompt changed, all known": (check, False)}, root)
        if server.requests != asked:
            raise SystemExit("the check asked for what it knows")
        fresh = in_turns({"one prompt changed, base from the runs branch, head from loopback": (check, True)}, root)

        built.git("checkout", "--quiet", "prompts")
        (root / "prompts/team7/_tone.jinja").write_text("Be very kind.\n")
        subprocess.run([*PROMPTREG, *check], cwd=root, check=True, stdout=subprocess.DEVNULL)
        many = in_turns({"a partial of 20 prompts changed, all known": (check, False)}, root)

        known, twenty = one["one prompt changed, all known"], many["a partial of 20 prompts changed, all known"]
        held = [
            verdict("nothing affected", idle["nothing affected"].median, 0.7, " s"),
            verdict("one prompt changed, all known", known.median, 1.5, " s"),
            verdict("one prompt changed / --version", known.median / one["promptreg --version"].median, 30, "x"),
            verdict("20 prompts changed / one", twenty.median / known.median, 10, "x"),
        ]
        print(f"(one prompt with an empty store: {statistics.median(fresh.popitem()[1].wall):.2f} s, its model included)")
        return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
