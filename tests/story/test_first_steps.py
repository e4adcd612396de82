"""The first hour with promptreg: every command, as somebody new meets it."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from conftest import User

from promptreg.cli import COMMANDS
from promptreg.testing import LoopbackServer

SCRIPTS = Path(sys.executable).parent


@pytest.fixture
def started(user: User) -> User:
    assert user("init").code == 0
    return user


EMPTY = "commit -q --allow-empty -m more"


@pytest.fixture
def committed(started: User) -> User:
    """All of it in Git, which knows two releases and a label; and a report that is to be a comment."""
    started.write("comment.md", "<!-- promptreg check -->\nfine\n")
    first = ("init -q", "add -A", "commit -qm start", "tag -a -m first greeting@v1.0.0", "tag -a -m up greeting#production#1")
    second = (EMPTY, "tag -a -m second greeting@v1.0.1", "tag -a -m up greeting#production#2", EMPTY)
    for line in (*first, *second):
        subprocess.run(["git", *line.split()], cwd=started.root, check=True)
    return started


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_init_writes_a_registry_that_lints_and_runs_at_once(user: User) -> None:
    first = user("init", "shop")
    assert first.code == 0
    assert first.out.splitlines() == [
        f"wrote {Path('shop', name)}"
        for name in ("promptreg.yaml", "prompts/greeting.yaml", "suites/greeting.yaml", "suites/greeting.jsonl")
    ]
    assert "cd shop" in first.err
    linted = user("-C", "shop", "lint")
    assert (linted.code, linted.out) == (0, "")
    ran = user("-C", "shop", "run")
    assert ran.code == 0
    assert "3/3" in ran.out
    again = user("init", "shop")
    assert again.code == 2
    assert "exists already" in again.err


def test_init_in_a_repository_keeps_the_store_out_of_git(started: User) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=started.root, check=True)
    assert started("run", "--quiet").code == 0
    seen = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=started.root, capture_output=True, text=True, check=True
    ).stdout
    assert "store" not in seen
    assert "promptreg.yaml" in seen


def test_list_show_and_render(started: User) -> None:
    listed = started("list")
    assert [line.split() for line in listed.out.splitlines()] == [["prompt", "inputs", "suites"], ["greeting", "name", "greeting"]]
    shown = started("show", "greeting")
    assert "name: string" in shown.out
    assert "{{ name }}" in shown.out
    rendered = started("render", "greeting", "-i", "name=Ada")
    assert rendered.out.split("\n")[:2] == ["user", "Write one friendly sentence that greets Ada by name."]
    of_case = started("render", "greeting", "--suite", "greeting", "--case", "accents", "--json").json
    assert of_case["messages"] == [{"role": "user", "content": "Write one friendly sentence that greets Zoë by name."}]


def test_new_prompt_and_suite_pass_lint_and_run(started: User) -> None:
    assert started("new", "prompt", "support/summary").code == 0
    assert started("new", "suite", "support/summaries", "--prompt", "support/summary").code == 0
    assert started("lint").code == 0
    assert started("run", "support/summaries").code == 0
    again = started("new", "prompt", "support/summary")
    assert again.code == 2
    assert "exists already" in again.err


def test_cases_by_hand_and_from_a_log(started: User) -> None:
    dataset = started.root / "suites/greeting.jsonl"
    added = started("case", "add", "greeting", "-i", "name=Bob", "--expected", "Bob", "--tag", "kind=short", "--id", "bob")
    assert added.out == "added bob\n"
    assert rows(dataset)[-1] == {"id": "bob", "inputs": {"name": "Bob"}, "expected": "Bob", "tags": {"kind": "short"}}
    log = started.write("log.jsonl", '{"inputs": {"name": "Bob"}}\n{"inputs": {"name": "Eve"}, "expected": "Eve"}\n')
    known = started("case", "add", "greeting", "--from", str(log), "--json")
    assert len(known.json["added"]) == len(known.json["known"]) == 1
    assert len(rows(dataset)) == 5
    assert started("run", "--json").json["suites"][0]["n"] == 5


def test_a_case_by_hand_must_fit_the_prompt(started: User) -> None:
    before = started.read("suites/greeting.jsonl")
    said = started("case", "add", "greeting", "-i", "nmae=Bob")
    assert said.code == 2
    assert "did you mean 'name'?" in said.err
    assert started.read("suites/greeting.jsonl") == before


def test_an_answer_becomes_the_expected_one(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user.edit("suites/triage.jsonl", '"expected": "billing"', '"expected": "shipping"')
    assert user("run").code == 1
    asked = server.requests
    accepted = user("case", "accept", "triage", "c1", "--model", "big", "--yes")
    assert accepted.out == "accepted c1\n"
    assert "shipping" in accepted.err
    assert rows(user.root / "suites/triage.jsonl")[1] == {
        "id": "c1",
        "inputs": {"ticket": "ticket 1 for billing"},
        "expected": "ticket 1 for billing",
    }
    cell = user("run", "--json").json["suites"][0]
    assert (cell["passed"], server.requests) == (1, asked)


def test_a_second_run_asks_nobody(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    first = user("run", "--json").json
    assert (first["calls_made"], first["calls_known"], server.requests) == (3, 0, 3)
    second = user("run", "--json").json
    assert (second["calls_made"], second["calls_known"], server.requests) == (0, 3, 3)
    user.edit("suites/triage.yaml", "contains:", "starts_with:")
    assert user("run").code == 1, "a changed check grades again"
    assert server.requests == 3


def test_record_and_replay(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    first = user("run", "--record", "out/answers.jsonl", "--json").json
    assert sorted(row["output"] for row in rows(user.root / "out/answers.jsonl")) == [f"ticket {n} for billing" for n in range(3)]
    for extra in (["--replay", "out/answers.jsonl", "--no-store"], ["--replay"]):
        replayed = user("run", *extra, "--json").json
        assert replayed["calls_made"] == 0
        assert replayed["suites"][0]["passed"] == first["suites"][0]["passed"] == 3
    assert server.requests == 3


def test_a_replay_misses_what_was_never_recorded(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user("run", "--record", "answers.jsonl")
    user.write(
        "suites/triage.jsonl",
        user.read("suites/triage.jsonl") + '{"id": "new", "inputs": {"ticket": "new billing"}, "expected": "billing"}\n',
    )
    for extra in (["--replay", "answers.jsonl"], ["--replay"]):
        said = user("run", *extra, "--json")
        assert said.code == 4
        assert [(miss["case"], miss["kind"]) for miss in said.json["suites"][0]["missing"]] == [("new", "no_recording")]
        shown = user("run", *extra)
        assert "new" in shown.out
    assert server.requests == 3


def test_two_aliases_of_one_model_are_both_recorded(started: User) -> None:
    started.edit("promptreg.yaml", "models:\n", "models:\n  twin: {provider: echo, model: echo}\n")
    started.edit("suites/greeting.yaml", "models: [echo]", "models: [echo, twin]")
    first = started("run", "--record", "answers.jsonl", "--json").json
    replayed = started("run", "--replay", "answers.jsonl", "--json")
    assert replayed.code == 0, replayed.err
    assert [cell["passed"] for cell in replayed.json["suites"]] == [cell["passed"] for cell in first["suites"]] == [3, 3]


def test_a_recording_that_is_not_there(started: User) -> None:
    said = started("run", "--replay", "nowhere.jsonl")
    assert said.code == 2
    assert "nowhere.jsonl" in said.err
    assert "--record" in said.err
    assert "promptreg.yaml" not in said.err, "the catalogue is not to blame"


def test_a_dry_run_asks_nobody(user: User, server: LoopbackServer) -> None:
    user.triage(server.url, model="price: {input: 1, output: 2}")
    shown = user("run", "--dry-run")
    assert shown.code == 0
    assert shown.out.splitlines()[1].split()[:4] == ["big", "3", "0", "3"], "wanted, known, to call"
    plan = user("run", "--dry-run", "--json").json
    assert plan["schema"] == "promptreg/plan/1"
    assert server.requests == 0
    user("run")
    assert "big" in user("run", "--dry-run").out
    assert server.requests == 3


def test_no_store_keeps_nothing(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    for times in (1, 2):
        assert user("run", "--no-store").code == 0
        assert server.requests == 3 * times
    assert not (user.root / ".promptreg").exists()


def test_reports_in_every_format(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user.edit("suites/triage.jsonl", 'for billing"}, "expected": "billing"', 'for <b>billing"}, "expected": "shipping"')
    said = user("run", *(part for ending in ("md", "html", "json", "xml") for part in ("--report", f"out/r.{ending}")))
    assert said.code == 1
    assert said.err.count("wrote out/r.") == 4
    assert "triage" in user.read("out/r.md")
    assert "<b>billing" not in user.read("out/r.html")
    assert json.loads(user.read("out/r.json"))["schema"] == "promptreg/run/1"
    suites = ElementTree.parse(user.root / "out/r.xml").getroot()
    assert len(suites.findall(".//failure")) == 4, "three cases, and the suite whose floor is broken"
    unknown = user("run", "--report", "r.pdf")
    assert unknown.code == 2
    assert ".html" in unknown.err


def test_cache_stats_prune_and_path(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user("run")
    path = user("cache", "path").out.strip()
    assert Path(path).is_file()
    assert user("cache", "stats", "--json").json["answers"] == 3
    shown = user("cache", "stats").out
    assert "None" not in shown
    assert "{" not in shown
    assert user("cache", "prune", "--older-than", "1d").out == "dropped 0 answers\n"
    assert user("cache", "prune", "--older-than", "0h").out == "dropped 3 answers\n"
    user("run")
    assert server.requests == 6, "what was dropped is paid again"
    assert user("cache", "prune", "--older-than", "soon").code == 2


def test_models_and_plugins(started: User) -> None:
    models, weights = started("models", "list").out.split("\n\n")
    assert [line.split()[0] for line in models.splitlines()] == ["alias", "echo", "smollm2"]
    assert "smollm2-135m-instruct  Apache-2.0" in weights
    assert started("models", "show", "echo", "--json").json["facts"] == {"provider": "echo", "model": "echo"}
    unknown = started("models", "show", "ecko")
    assert unknown.code == 2
    assert "did you mean 'echo'?" in unknown.err
    listed = started("plugins", "--json").json["plugins"]
    assert {"kind": "metric", "name": "exact", "origin": "promptreg"} in listed


@pytest.mark.parametrize("kind", ["prompt", "suite", "settings", "case"])
def test_schemas(user: User, kind: str) -> None:
    assert kind in user("schema").out.split()
    assert json.loads(user("schema", kind).out)["type"] == "object"


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_completion_scripts(user: User, shell: str) -> None:
    said = user("completion", shell)
    assert said.code == 0
    assert "_PROMPTREG_COMPLETE" in said.out


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("promptreg li", ["lint", "list"]),
        ("promptreg show gre", ["greeting"]),
        ("promptreg run --model e", ["echo"]),
        ("promptreg run gr", ["greeting"]),
    ],
)
def test_the_shell_completes_commands_and_names(started: User, line: str, offered: list[str]) -> None:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1), "_PROMPTREG_COMPLETE": "bash_complete"}
    said = started.process(env=words)
    assert sorted(each.partition(",")[2] for each in said.out.splitlines() if each.startswith("plain,")) == offered


def test_completion_says_nothing_outside_a_registry(user: User) -> None:
    said = user.process(env={"COMP_WORDS": "promptreg show gr", "COMP_CWORD": "2", "_PROMPTREG_COMPLETE": "bash_complete"})
    assert (said.out.strip(), said.err) == ("", "")


@pytest.mark.skipif(not (SCRIPTS / "git-promptreg").exists(), reason="the console scripts are not installed")
def test_git_finds_promptreg(started: User) -> None:
    path = os.pathsep.join((str(SCRIPTS), os.environ["PATH"]))
    done = subprocess.run(
        ["git", "promptreg", "list"],
        cwd=started.root,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "greeting" in done.stdout


def test_python_dash_m(started: User) -> None:
    assert "greeting" in started.process("list").out
    assert started.process("--version").out.startswith("promptreg")


OBJECTS = [
    ("list", "promptreg/list/1"),
    ("show greeting", "promptreg/show/1"),
    ("render greeting -i name=x", "promptreg/render/1"),
    ("lint", "promptreg/lint/1"),
    ("diff greeting@1.0.0", "promptreg/diff/1"),
    ("log greeting", "promptreg/log/1"),
    ("blame greeting", "promptreg/blame/1"),
    ("at 2030-01-01", "promptreg/at/1"),
    ("doctor", "promptreg/doctor/1"),
    ("run", "promptreg/run/1"),
    ("run --dry-run", "promptreg/plan/1"),
    ("check", "promptreg/check/1"),
    ("check --dry-run", "promptreg/plan/1"),
    ("models list", "promptreg/models/1"),
    ("models show echo", "promptreg/model/1"),
    ("runs list", "promptreg/runs/1"),
    ("runs list --verdicts", "promptreg/runs/1"),
    ("runs prune --keep-days 30 --dry-run", "promptreg/pruning/1"),
    ("run --runs write", "promptreg/run/1"),
    ("baseline show", "promptreg/baseline/1"),
    ("baseline refresh", "promptreg/baseline/1"),
    ("baseline refresh --dry-run", "promptreg/plan/1"),
    ("flaky", "promptreg/flaky/1"),
    ("cache stats", "promptreg/cache/1"),
    ("cache path", "promptreg/cache/1"),
    ("cache prune --older-than 1d", "promptreg/cache/1"),
    ("plugins", "promptreg/plugins/1"),
    ("schema", "promptreg/schema/1"),
    ("schema prompt", "promptreg/schema/1"),
    ("completion bash", "promptreg/completion/1"),
    ("new prompt fresh", "promptreg/new/1"),
    ("new suite fresh --prompt greeting", "promptreg/new/1"),
    ("case add greeting -i name=Q --expected Q", "promptreg/case/1"),
    ("init other", "promptreg/init/1"),
    ("comment comment.md --dry-run --to github --repository acme/shop --pull 1", "promptreg/comment/1"),
    ("release greeting --bump major --dry-run", "promptreg/release/1"),
    ("release --affected", "promptreg/release/1"),
    ("promote greeting@1.0.0 staging", "promptreg/moved/1"),
    ("rollback greeting production", "promptreg/moved/1"),
    ("demote greeting production", "promptreg/moved/1"),
    ("labels", "promptreg/labels/1"),
    ("withdraw greeting@1.0.0 --reason old", "promptreg/withdrawn/1"),
    ("deprecate greeting --reason old", "promptreg/deprecated/1"),
    ("bundle --working -o released.json", "promptreg/bundled/1"),
    ("pull . greeting@1.0.0 --as own", "promptreg/pull/1"),
    ("outdated", "promptreg/outdated/1"),
    ("update", "promptreg/pull/1"),
    ("verify", "promptreg/verify/1"),
]
ERRORS = [
    "list nobody",
    "show nobody",
    "render greeting",
    "pull . greeting",
    "drop own:greeting",
    "diff greeting@1.0.0",
    "log greeting",
    "blame greeting",
    "at yesterday",
    "release greeting",
    "release",
    "promote greeting@1.0.0 production",
    "rollback greeting production",
    "demote greeting production",
    "labels x//y",
    "withdraw greeting@1.0.0 --reason old",
    "deprecate greeting --reason old",
    "lint nobody",
    "run nobody",
    "run --no-such-option",
    "run --concurrency 0",
    "models list extra",
    "models show nobody",
    "models pull nobody",
    "models",
    "runs show nobody",
    "runs list",
    "baseline refresh",
    "baseline show nobody",
    "flaky nobody",
    "flaky --repeats 5",
    "flaky --rejudge 1",
    "runs prune",
    "runs push nowhere",
    "run --runs write",
    "cache prune --older-than soon",
    "schema nobody",
    "completion tcsh",
    "new prompt greeting",
    "new suite x --prompt nobody",
    "case add nobody -i name=Q",
    "case accept greeting nobody -m echo -y",
    "case accept greeting monday -m nobody -y",
    "init .",
    "nobody",
    "-C /no/such/folder list",
]


@pytest.mark.parametrize(("line", "schema"), OBJECTS)
def test_json_is_one_object(committed: User, line: str, schema: str) -> None:
    said = committed(*line.split(), "--json")
    assert said.code == 0
    assert said.json["schema"] == schema


@pytest.mark.parametrize("line", ERRORS)
def test_errors_are_one_object_too(started: User, line: str) -> None:
    said = started(*line.split(), "--json")
    value = said.json
    assert (said.code, value["schema"], value["exit_code"]) == (2, "promptreg/error/1", 2)
    assert all(error["message"] and error["hint"] for error in value["errors"])
    assert "Traceback" not in said.err


def test_every_command_is_met_here() -> None:
    met = {line.split()[0] for line, _ in OBJECTS}
    # What can be dropped was pulled (test_pull.py), rot takes two models (test_rot.py), a canary repeats (test_canaries.py).
    elsewhere = {"drop", "rot", "upgrade", "canary"}
    assert met | elsewhere == set(COMMANDS)


def test_without_a_command_the_help_is_shown(user: User) -> None:
    for arguments in ((), ("new",)):
        said = user(*arguments)
        assert said.code == 2
        assert (said.out + said.err).startswith("Usage: promptreg")


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_fits_and_is_whole(user: User, name: str) -> None:
    said = user(*name.split(), "--help")
    assert said.code == 0
    assert not [line for line in said.out.splitlines() if line.endswith("...") and not line.startswith("Usage")], "a cut sentence"


@pytest.mark.skipif(os.name != "posix", reason="terminals as POSIX has them")
@pytest.mark.parametrize("columns", [40, 100])
def test_on_a_terminal_a_living_line_shows_how_far_it_is_and_goes_away(user: User, columns: int) -> None:
    import pty

    with LoopbackServer(delay_s=0.1) as slow:
        user.triage(slow.url, cases=12, limits="{concurrency: 2}")
        master, terminal = pty.openpty()
        command = [sys.executable, "-m", "promptreg", "run"]
        env = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns)}
        with subprocess.Popen(command, cwd=user.root, env=env, stdin=terminal, stdout=terminal, stderr=terminal) as process:
            os.close(terminal)
            seen = b""
            with contextlib.suppress(OSError):  # Linux's way to say that the terminal was closed
                while chunk := os.read(master, 65536):
                    seen += chunk
        os.close(master)
    assert process.returncode == 0
    shown = seen.decode()
    drawn, _, result = shown.rpartition("\r\x1b[K")
    assert all(len(line) < columns for line in drawn.split("\r\x1b[K"))
    assert "/12" in drawn
    assert "12 graded" in result
    assert "━" not in result
