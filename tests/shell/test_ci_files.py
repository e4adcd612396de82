"""The action and the ready workflows: they read as what they are, interpolate nothing into a shell, and their steps really run."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from promptreg.cli import COMMANDS
from promptreg.core.comment import ISSUE_MARKER, MARKER
from promptreg.testing import LoopbackServer, RepositoryBuilder, small_registry

ROOT = Path(__file__).parent.parent.parent
READY = sorted((ROOT / "docs" / "ci").glob("github-*.yml"))
OWN = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ACTION = ROOT / "action.yml"
GITLAB = ROOT / "docs" / "ci" / "gitlab-ci.yml"
SCRIPT = ROOT / "docs" / "ci" / "check.sh"
BIN = Path(sys.executable).parent
SECONDS = 120


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text("utf-8"))


def steps(path: Path) -> list[dict[str, Any]]:
    read = load(path)
    jobs = [read["runs"]] if "runs" in read else read["jobs"].values()
    return [step for job in jobs for step in job["steps"]]


FILES = [ACTION, *READY, *OWN]
NAMES = [str(path.relative_to(ROOT)) for path in FILES]
SHELL = [(name, step) for name, path in zip(NAMES, FILES, strict=True) for step in steps(path) if "run" in step]


# what they say ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_workflow_has_what_one_needs_and_no_more_rights_than_it_says(name: str) -> None:
    read = load(ROOT / name)
    assert read["name"]
    assert True in read or "on" in read  # YAML 1.1 reads `on` as true
    assert read["permissions"] in ({}, {"contents": "read"})
    for job in read["jobs"].values():
        assert job["runs-on"]
        assert set(job.get("permissions", {})) <= {
            "contents",
            "pull-requests",
            "actions",
            "statuses",
            "issues",
            "pages",
            "id-token",
        }
        assert job.get("permissions", {}).get("contents") != "write" or "nightly" in name


@pytest.mark.parametrize("name", NAMES)
def test_steps_use_only_what_github_itself_publishes_or_this_action(name: str) -> None:
    for step in steps(ROOT / name):
        assert ("uses" in step) != ("run" in step)
        assert re.fullmatch(r"actions/[\w-]+@v\d+|OWNER/promptreg@v0|\./", step.get("uses", "./"))


@pytest.mark.parametrize(("name", "step"), SHELL)
def test_no_shell_holds_an_expression(name: str, step: Mapping[str, Any]) -> None:
    """`${{ }}` in a script is pasted into it before a shell reads it: a branch named `$(curl …)` would run."""
    assert "${{" not in step["run"]


@pytest.mark.parametrize(("name", "step"), SHELL)
def test_every_shell_step_is_a_script_that_bash_reads(name: str, step: Mapping[str, Any]) -> None:
    done = subprocess.run(["bash", "-n"], input=step["run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def commands(text: str) -> Iterator[str]:
    """The commands of promptreg that a script calls."""
    yield from re.findall(r'(?:^|[\s;/])promptreg"? +([a-z]+)', re.sub(r"(?m)^\s*#.*$|echo .*$", "", text), re.MULTILINE)


def test_every_command_that_is_called_exists() -> None:
    texts = [step["run"] for _, step in SHELL] + [*load(GITLAB)["promptreg"]["script"], SCRIPT.read_text("utf-8")]
    called = {command for text in texts for command in commands(text)}
    assert {"check", "comment", "models", "runs"} <= called
    assert called <= {*COMMANDS, "baseline"}  # `baseline` is still to come


def test_keys_and_the_right_to_write_never_meet_in_one_job() -> None:
    """Whoever has the keys of a fork's check may not comment, and who comments on forks has no keys and checks nothing out."""
    check, tell = load(ROOT / "docs/ci/github-fork-check.yml")["jobs"].values()
    assert check["permissions"] == {"contents": "read"}
    assert "environment" in check
    assert "environment" not in tell
    for job in (tell, load(ROOT / "docs/ci/github-fork-comment.yml")["jobs"]["comment"]):
        assert not [step for step in job["steps"] if "checkout" in step.get("uses", "")]
        assert "contents" not in job["permissions"]


def test_whoever_tells_what_rotted_has_no_keys_and_checks_nothing_out() -> None:
    measure, *others = load(ROOT / "docs/ci/github-nightly-rot.yml")["jobs"].values()
    assert measure["permissions"] == {"contents": "write"}
    for job in others:
        assert not [step for step in job["steps"] if "checkout" in step.get("uses", "")]
        assert "contents" not in job["permissions"]


def test_a_forks_commit_is_never_checked_out() -> None:
    text = (ROOT / "docs/ci/github-fork-check.yml").read_text("utf-8")
    (checkout,) = (step for step in steps(ROOT / "docs/ci/github-fork-check.yml") if "checkout" in step.get("uses", ""))
    assert checkout["with"]["ref"] == "${{ inputs.target }}"
    assert not re.search(r"git (checkout|switch|merge|worktree|reset)", text)


def test_the_check_never_sees_the_token_of_the_comment() -> None:
    token = [step["name"] for step in steps(ACTION) if "GITHUB_TOKEN" in step.get("env", {})]
    assert token == ["Comment"]


def test_inputs_and_outputs_of_the_action_are_told_and_used() -> None:
    read, text = load(ACTION), ACTION.read_text("utf-8")
    assert read["runs"]["using"] == "composite"
    for name, each in read["inputs"].items():
        assert each["description"]
        assert f"inputs.{name}" in text
    assert all(step["shell"] == "bash" for step in steps(ACTION) if "run" in step)
    page = (ROOT / "docs" / "ci.md").read_text("utf-8")
    assert not [name for name in (*read["inputs"], *read["outputs"]) if f"`{name}`" not in page]


def test_ours_follows_the_workflow_that_users_get() -> None:
    for name in ("check", "fork-comment"):
        own = load(ROOT / ".github" / "workflows" / ("promptreg.yml" if name == "check" else f"promptreg-{name}.yml"))
        given = load(ROOT / "docs" / "ci" / f"github-{name}.yml")
        assert (own["name"], own[True]) == (given["name"], given[True])


def test_gitlab_judges_merge_requests_with_the_whole_history() -> None:
    job = load(GITLAB)["promptreg"]
    assert job["variables"]["GIT_DEPTH"] == "0"
    assert job["rules"] == [{"if": '$CI_PIPELINE_SOURCE == "merge_request_event"'}]
    script = "\n".join(job["script"])
    assert subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False).returncode == 0


# what they do ----------------------------------------------------------------------------------------------------------------


class Runner:
    """A job of a CI: a clone with a change, the runner's folders and files, and a step's shell as GitHub starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        origin = small_registry(folder / "origin")
        origin.git("clone", "-q", str(origin.root), str(folder / "clone"))
        self.clone = RepositoryBuilder(folder / "clone")
        self.temp = folder / "temp"
        self.temp.mkdir()
        self.output, self.summary = folder / "output", folder / "summary"
        self.output.touch()
        self.summary.touch()

    def change(self, path: str, old: str, new: str) -> None:
        text = (self.clone.root / path).read_text("utf-8")
        assert old in text
        self.clone.git("checkout", "-q", "-B", "better")
        self.clone.write(path, text.replace(old, new)).commit("change")

    def run(self, script: str, env: Mapping[str, str], *, shell: str = "bash") -> subprocess.CompletedProcess[str]:
        given = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_OUTPUT": str(self.output),
            "GITHUB_STEP_SUMMARY": str(self.summary),
            **env,
        }
        command = [shell, "--noprofile", "--norc", "-eo", "pipefail", "-c", script] if shell == "bash" else [shell, "-c", script]
        return subprocess.run(
            command, cwd=self.clone.root, env={**os.environ, **given}, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def step(self, name: str, **env: str) -> subprocess.CompletedProcess[str]:
        (step,) = (each for each in steps(ACTION) if each.get("name") == name)
        assert set(env) == set(step["env"]), "a step gets exactly what the action hands it"
        return self.run(step["run"], env)

    def check(self, **more: str) -> subprocess.CompletedProcess[str]:
        return self.step("promptreg check", **{"BIN": str(BIN), "ARGS": "", "RUNS": "off", "FETCH": "false"} | more)

    @property
    def outputs(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in self.output.read_text("utf-8").splitlines())

    @property
    def reports(self) -> Path:
        return Path(self.outputs["reports"])


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def test_the_check_step_leaves_reports_a_summary_and_an_exit_code(runner: Runner) -> None:
    runner.change("prompts/triage.yaml", "description: Sorts", "description: Neatly sorts")
    done = runner.check()
    assert done.returncode == 0, done.stderr
    assert runner.outputs["exit-code"] == "0"
    assert (runner.reports / "comment.md").read_text("utf-8").startswith(f"{MARKER}\n")
    assert json.loads((runner.reports / "check.json").read_text("utf-8"))["schema"] == "promptreg/check/1"
    assert {path.name for path in runner.reports.iterdir()} >= {"promptreg.xml", "promptreg.sarif"}
    assert runner.summary.read_text("utf-8")


def test_without_a_report_the_comment_says_so_and_the_exit_code_is_kept(runner: Runner) -> None:
    done = runner.check(ARGS="--base nowhere")
    assert done.returncode == 0  # the last step fails, after the comment
    assert runner.outputs["exit-code"] == "2"
    assert (runner.reports / "comment.md").read_text("utf-8").startswith(f"{MARKER}\n## ⚠️ promptreg check reached no verdict")
    verdict = runner.step("Verdict", CODE=runner.outputs["exit-code"])
    assert verdict.returncode == 2


def test_what_is_printed_commands_no_runner(runner: Runner) -> None:
    runner.change("prompts/triage.yaml", "description: Sorts", "description: Neatly sorts")
    lines = runner.check().stdout.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    assert re.fullmatch(r"[0-9a-f]{32}", token)
    assert lines[-1] == f"::{token}::"


def test_arguments_are_words_and_never_run(runner: Runner) -> None:
    runner.change("prompts/triage.yaml", "description: Sorts", "description: Neatly sorts")
    for arguments in (
        "--base 'origin/main' --json",
        '--base "$(touch owned)"',
        "--base `touch owned`; touch owned",
        "--base 'unclosed",
    ):
        runner.check(ARGS=arguments)
    assert not list(runner.folder.rglob("owned"))
    assert runner.check(ARGS="--base 'unclosed").returncode != 0
    assert runner.check(ARGS="--base origin/main --json").stdout.splitlines()[1] == "{"


def test_nothing_of_the_change_is_imported_by_the_tools_around_it(runner: Runner) -> None:
    runner.change("prompts/triage.yaml", "description: Sorts", "description: Neatly sorts")
    for name in ("shlex", "secrets", "os", "promptreg", "venv", "pip"):
        runner.clone.write(f"{name}.py", "raise SystemExit('owned')\n")
    runner.clone.commit("trap")
    assert runner.check(ARGS="--base origin/main").returncode == 0
    assert runner.outputs["exit-code"] == "0"


def test_the_comment_step_warns_and_changes_no_verdict(runner: Runner) -> None:
    report = runner.temp / "reports" / "comment.md"
    report.parent.mkdir()
    report.write_text(f"{MARKER}\nfine\n")
    done = runner.step("Comment", BIN=str(BIN), REPORTS=str(report.parent), GITHUB_TOKEN="")
    assert done.returncode == 0
    assert "::warning title=promptreg::" in done.stdout
    assert "--repository" in done.stderr  # nobody says where, outside of a CI


def nightly(runner: Runner, *, rotten: bool) -> dict[str, str]:
    """What the nightly step says where `new` repeats what it is told, as `old` does, or is *rotten*."""
    (step,) = (each for each in steps(ROOT / "docs/ci/github-nightly-rot.yml") if each.get("name") == "Measure")

    def answer(request: Any) -> dict[str, Any]:
        bad = rotten and request["model"] == "new"
        said = {"role": "assistant", "content": "no idea" if bad else request["messages"][-1]["content"]}
        return {"model": request["model"], "choices": [{"index": 0, "message": said, "finish_reason": "stop"}]}

    with LoopbackServer(answer) as server:
        models = "".join(f"  {name}: {{provider: openai, model: {name}, base_url: '{server.url}'}}\n" for name in ("old", "new"))
        cases = "".join(f"  - {{id: c{n}, inputs: {{ticket: billing {n}}}, expected: billing}}\n" for n in range(60))
        runner.clone.write("promptreg.yaml", f"registry: acme/prompts\nmodels:\n{models}defaults: {{model: old}}\n")
        runner.clone.write(
            "suites/triage.yaml",
            "prompts: [triage]\nmodels: [old, new]\nchecks: [{contains: '{{ expected }}'}]\ngate: {margin: 0.1}\ncases:\n" + cases,
        )
        runner.clone.commit("two models")
        done = runner.run(step["run"], {})
    assert done.returncode == 0, done.stderr
    return runner.outputs


def test_the_nightly_step_measures_and_writes_the_issue(runner: Runner) -> None:
    assert nightly(runner, rotten=False) == {"verdict": "fine", "worst": "0"}
    reports = runner.temp / "reports"
    assert {path.name for path in reports.iterdir()} == {"canary.txt", "history.md", "index.html", "issue.md", "rot.md"}
    issue = (reports / "issue.md").read_text("utf-8")
    assert issue.startswith(f"{ISSUE_MARKER}\n")
    assert "\n## Canary\n" in issue
    assert "## History" in issue


def test_the_nightly_step_knows_what_rotted(runner: Runner) -> None:
    assert nightly(runner, rotten=True) == {"verdict": "rotten", "worst": "1"}


PIP = """#!/bin/sh
echo "$@" >> "$LOG"
case "$2 $3" in "-m venv") mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; cp "$0" "$4/bin/promptreg" ;; esac
"""


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({}, "-I -m pip install --quiet --disable-pip-version-check /the/action"),
        ({"EXTRAS": "local,text"}, "-I -m pip install --quiet --disable-pip-version-check /the/action[local,text]"),
        (
            {"VERSION": "0.4.0", "EXTRAS": "text"},
            "-I -m pip install --quiet --disable-pip-version-check git-promptreg[text]==0.4.0",
        ),
        ({"MODELS": "one two"}, "models pull one\nmodels pull two"),
        ({"VERSION": "0.4; touch owned"}, None),
        ({"VERSION": "--index-url=x"}, None),
        ({"EXTRAS": "x]; touch owned"}, None),
    ],
)
def test_the_install_step_asks_pip_for_what_it_was_told(runner: Runner, given: dict[str, str], asked: str | None) -> None:
    """pip itself and the network are left out: `python3` writes down what it is asked for."""
    tools = runner.folder / "tools"
    tools.mkdir()
    (tools / "python3").write_text(PIP)
    (tools / "python3").chmod(0o755)
    env = {"VERSION": "", "EXTRAS": "", "MODELS": "", "OURS": "/the/action"} | given
    (step,) = (each for each in steps(ACTION) if each.get("name") == "Install promptreg")
    assert set(env) == set(step["env"])
    log = runner.folder / "log"
    done = runner.run(step["run"], env | {"PATH": f"{tools}:{os.environ['PATH']}", "LOG": str(log)})
    if asked is None:
        assert done.returncode == 2
        assert not log.exists()
        return
    assert done.returncode == 0, done.stderr
    assert asked in log.read_text("utf-8")
    assert runner.outputs["bin"] == str(runner.temp / "promptreg-venv" / "bin")


def test_a_forks_commit_is_fetched_only_if_it_is_the_one_that_was_looked_at(runner: Runner) -> None:
    (step,) = (each for each in steps(ROOT / "docs/ci/github-fork-check.yml") if "as data" in each.get("name", ""))
    origin = RepositoryBuilder(runner.folder / "origin")
    commit = origin.write("prompts/x.txt", "of the fork").commit()
    origin.git("update-ref", "refs/pull/7/head", commit)
    origin.git("update-ref", "refs/heads/main", commit + "~1")
    good = runner.run(step["run"], {"PULL": "7", "COMMIT": commit})
    assert good.returncode == 0, good.stderr
    assert runner.clone.git("rev-parse", "refs/promptreg/head") == commit
    for pull, asked in (("7", "0" * 40), ("7", "$(touch owned)"), ("7;touch owned", commit), ("-7", commit), ("8", commit)):
        assert runner.run(step["run"], {"PULL": pull, "COMMIT": asked}).returncode != 0, (pull, asked)
    assert not list(runner.folder.rglob("owned"))
    assert not (runner.clone.root / "prompts" / "x.txt").exists()


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_plain_script_judges_a_change_anywhere(runner: Runner, shell: str) -> None:
    runner.change("prompts/triage.yaml", "description: Sorts", "description: Neatly sorts")
    env = {"PROMPTREG_EVENT": "pull_request", "PROMPTREG_TARGET_BRANCH": "main", "PROMPTREG_RUNS": "off"}
    done = runner.run(f'{shell} "{SCRIPT}" --explain', env, shell=shell)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("promptreg: fine\n")
    assert (runner.clone.root / "promptreg-reports" / "comment.md").is_file()


def test_the_plain_script_keeps_the_exit_code(runner: Runner) -> None:
    done = runner.run(f'sh "{SCRIPT}" --base nowhere', {"CI": "1"}, shell="sh")
    assert done.returncode == 2
    assert "something must be mended" in done.stdout
