"""Reading the tags and prompts of a large registry: 2,000 prompts, 10,000 tags; ratios against git itself in the same run.

In process: reading all tags, listing every name with its version and labels, resolving every name, showing one prompt at a label.
The floor is what git needs to print the names of the same tags (`git for-each-ref`), which any reading must at least pay. As whole
processes: `list` and `show`. Then 2,000 tags (400 prompts) side by side with a real gto, named by $GTO or found on the PATH, which
must also agree about every version and label.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from measure import PROMPTREG, Figures, once, verdict

PROMPTS, VERSIONS, LABELS = 2000, 3, 2  # (3 + 2) × 2,000 = 10,000 tags
FEWER = 400  # prompts with 2,000 tags, for gto
RUNS, PROCESSES = 9, 3
GTO = os.environ.get("GTO") or shutil.which("gto")
GTO_SHOW = "import time, gto.api\nat = time.perf_counter()\ngto.api.show('.')\nprint(time.perf_counter() - at)"
START = 1_700_000_000
SETTINGS = "models: {small: {provider: echo}}\ndefaults: {model: small}\n"
PROMPT = """\
description: Prompt number {number} of the benchmark.
inputs:
  ticket: {{type: string}}
messages:
  - role: system
    content: |
      {{% include "team{team}/_tone.jinja" %}}
      You sort tickets; this is number {number}, version {version}. {filling}
  - role: user
    content: "{{{{ ticket }}}}"
params: {{temperature: 0, max_tokens: 16}}
"""


def name(number: int) -> str:
    return f"team{number % 40}/prompt-{number}"


def stream(prompts: int) -> Iterator[str]:
    """What `git fast-import` reads: three commits, each with all prompts; then the tags, each with an evidence block."""
    for version in range(VERSIONS):
        yield f"commit refs/heads/main\nmark :{version + 1}\ncommitter A <a@example.com> {START + version} +0000\ndata 4\nwork\n"
        yield data("promptreg.yaml", SETTINGS)
        for team in range(40):
            yield data(f"prompts/team{team}/_tone.jinja", f"Be kind, team {team}.\n")
        for number in range(prompts):
            text = PROMPT.format(number=number, team=number % 40, version=version, filling="Think before you answer. " * 30)
            yield data(f"prompts/{name(number)}.yaml", text)
    for number in range(prompts):
        for version in range(VERSIONS):
            yield tagged(f"{name(number)}@v1.{version}.0", version + 1, number, "pass_rate: 0.93\n" * 20)
        for label in range(LABELS):
            yield tagged(
                f"{name(number)}#{'production' if label else 'staging'}#{label + 1}", label + 1, number, f"version: 1.{label}.0\n"
            )


def data(path: str, text: str) -> str:
    return f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n"


def tagged(tag: str, mark: int, number: int, block: str) -> str:
    body = f"Made by a benchmark.\n\n---\n{block}"
    return f"tag {tag}\nfrom :{mark}\ntagger A <a@example.com> {START + number} +0000\ndata {len(body)}\n{body}\n"


def build(root: Path, prompts: int) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main", str(root)], check=True)
    text = "".join(stream(prompts)).encode()
    subprocess.run(["git", "-C", str(root), "fast-import", "--quiet"], input=text, check=True)
    subprocess.run(["git", "-C", str(root), "pack-refs", "--all"], check=True)
    subprocess.run(["git", "-C", str(root), "reset", "-q", "--hard"], check=True)


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tasks(root: Path, prompts: int = PROMPTS) -> dict[str, Callable[[], object]]:
    from promptreg import datasets
    from promptreg.registry import Registry, open_registry

    def opened() -> Registry:
        return open_registry(root, read_cases=datasets.read, env=os.environ)

    def git(*arguments: str) -> Callable[[], object]:
        return lambda: subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True)

    def listing() -> object:
        with opened() as registry:
            artefacts = registry.state.artefacts
            rows = [(name, artefacts[name].greatest, artefacts[name].labels) for name in registry.prompt_names()]
            assert len(rows) == prompts
            return rows

    def resolving() -> object:
        with opened() as registry:
            return [registry.history.release(name(number), PRODUCTION) for number in range(prompts) if registry.state]

    def one(selector: str) -> Callable[[], object]:
        def show() -> object:
            with opened() as registry:
                return registry.prompt(f"{name(1234)}{selector}")

        return show

    from promptreg.core.refs import Label

    PRODUCTION = Label("production")  # noqa: N806
    return {
        "git for-each-ref (names)": git("for-each-ref", "refs/tags"),
        "git for-each-ref (all fields)": git(
            "for-each-ref", "--format=%(refname)%(object)%(taggerdate:raw)%(contents)", "refs/tags"
        ),
        "git cat-file (one blob)": git("cat-file", "blob", f"HEAD:prompts/{name(1234)}.yaml"),
        "read all tags": lambda: opened().state.names,
        "list with versions and labels": listing,
        "resolve every name@production": resolving,
        "show one": one(""),
        "show one@production": one("@production"),
        "show one@git:HEAD~1": one("@git:HEAD~1"),
    }


def in_process(root: Path) -> bool:
    work = tasks(root)
    taken: dict[str, list[float]] = {task: [] for task in work}
    for run in range(RUNS + 1):
        for task, do in work.items():
            elapsed = seconds(do)
            if run:
                taken[task].append(elapsed)
    figures = {task: statistics.median(values) for task, values in taken.items()}
    for task, figure in figures.items():
        print(f"{task}: median {figure * 1000:.1f} ms (min {min(taken[task]) * 1000:.1f}, max {max(taken[task]) * 1000:.1f})")
    names, fields = figures["git for-each-ref (names)"], figures["git for-each-ref (all fields)"]
    held = [
        verdict("read all tags / git for-each-ref with the same fields", figures["read all tags"] / fields, 4, "x"),
        verdict("list / git for-each-ref of names", figures["list with versions and labels"] / names, 40, "x"),
        verdict("resolve all / git for-each-ref of names", figures["resolve every name@production"] / names, 40, "x"),
        verdict("show one@production / git cat-file", figures["show one@production"] / figures["git cat-file (one blob)"], 30, "x"),
        verdict("list of 10,000 tags", figures["list with versions and labels"], 1, " s"),
    ]
    return all(held)


def whole_processes(root: Path) -> bool:
    """The commands as somebody types them; `list` reads all 2,000 prompts besides the tags."""
    commands = {"--version": ("--version",), "list": ("list",), "show NAME@production": ("show", f"{name(1234)}@production")}
    figures = in_turns({each: (*PROMPTREG, *words) for each, words in commands.items()}, root)
    ratio = figures["show NAME@production"].median / figures["--version"].median
    return verdict("promptreg show NAME@production / promptreg --version", ratio, 5, "x")


def in_turns(commands: dict[str, tuple[str, ...]], root: Path) -> dict[str, Figures]:
    taken: dict[str, list[float]] = {each: [] for each in commands}
    for run in range(PROCESSES + 1):
        for each, command in commands.items():
            elapsed = once(command, root)
            if run:
                taken[each].append(elapsed)
    figures = {each: Figures(tuple(values)) for each, values in taken.items()}
    for each, figure in figures.items():
        print(f"process {each}: {figure}")
    return figures


def beside_gto(root: Path) -> bool:
    """2,000 tags: every name with its greatest version and its labels, by both."""
    if GTO is None:
        print("gto is not installed: not compared (make bench installs it, or name one by $GTO)")
        return True
    assert ours(root) == theirs(root, GTO), "gto sees other versions or labels"
    figures = in_turns({"promptreg list": (*PROMPTREG, "list"), "gto show": (GTO, "show")}, root)
    listing = tasks(root, FEWER)["list with versions and labels"]
    python = str(Path(GTO).parent / "python")
    inner, outer = [], []
    for _ in range(PROCESSES):
        inner.append(seconds(listing))
        done = subprocess.run([python, "-c", GTO_SHOW], cwd=root, capture_output=True, text=True, check=True)
        outer.append(float(done.stdout))
    inside, outside = statistics.median(inner), statistics.median(outer)
    print(f"in process: promptreg {inside * 1000:.1f} ms, gto.api.show {outside * 1000:.1f} ms")
    whole = figures["gto show"].median / figures["promptreg list"].median
    print(f"gto takes {whole:.1f} times as long as a process, {outside / inside:.0f} times as long in process")
    held = [
        verdict("promptreg list / gto show, whole processes", 1 / whole, 1 / 10, "x"),
        verdict("list with versions and labels / gto.api.show, in process", inside / outside, 1 / 50, "x"),
    ]
    return all(held)


def ours(root: Path) -> dict[str, tuple[str, dict[str, str]]]:
    said = subprocess.run([*PROMPTREG, "list", "--json"], cwd=root, capture_output=True, check=True).stdout
    return {
        each["prompt"]: (f"v{each['version']}", {k: f"v{v}" for k, v in each["labels"].items()})
        for each in json.loads(said)["prompts"]
    }


def theirs(root: Path, gto: str) -> dict[str, tuple[str, dict[str, str]]]:
    said = subprocess.run([gto, "show", "--json"], cwd=root, capture_output=True, check=True).stdout
    return {each: (one["version"], {k: v for k, v in one["stage"].items() if v}) for each, one in json.loads(said).items()}


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        large, small = Path(folder) / "large", Path(folder) / "small"
        build(large, PROMPTS)
        build(small, FEWER)
        held = [in_process(large), whole_processes(large), beside_gto(small)]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
