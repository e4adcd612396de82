"""One test for each thing a process may tell its caller (docs/design/semantics.md), and what stands beside it on stderr."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import User, until

from promptreg.testing import Fault, LoopbackServer

BROKEN_REPORTER = """\
import promptreg


class Broken:
    name, suffix = "broken", ".broken"

    def render(self, report):
        raise RuntimeError("a slip of the pen")


@promptreg.hookimpl
def promptreg_reporters():
    return {".broken": Broken}
"""


def test_0_measured_and_everything_holds(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    assert user("run").code == 0


def test_1_a_case_fails_where_no_floor_allows_it(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user.edit(
        "suites/triage.jsonl",
        '"id": "c1", "inputs": {"ticket": "ticket 1 for billing"}',
        '"id": "c1", "inputs": {"ticket": "lost"}',
    )
    said = user("run")
    assert said.code == 1
    assert "c1" in said.out
    assert "2/3" in said.out
    assert user("run", "--json").json["exit_code"] == 1


@pytest.mark.parametrize(("floor", "code"), [(0.6, 0), (0.7, 1)])
def test_1_a_floor_is_broken(user: User, server: LoopbackServer, floor: float, code: int) -> None:
    test_1_a_case_fails_where_no_floor_allows_it(user, server)
    user.write("suites/triage.yaml", user.read("suites/triage.yaml") + f"gate: {{floor: {floor}}}\n")
    assert user("run").code == code


def test_2_something_the_user_can_mend(user: User) -> None:
    assert user("run").code == 2


def test_2_the_file_system_says_no(user: User) -> None:
    assert user("init").code == 0
    user.write("prompts/taken", "a file, not a folder")
    for line in ("new prompt taken/one", f"new prompt {'long' * 100}"):
        said = user(*line.split())
        assert said.code == 2
        assert "hint:" in said.err


def test_3_a_bug_leaves_a_report_and_no_trace_on_the_screen(user: User, server: LoopbackServer, tmp_path: Path) -> None:
    user.triage(server.url)
    user.write("plugins/broken.py", BROKEN_REPORTER)
    user.write("promptreg.yaml", user.read("promptreg.yaml") + "plugins: [plugins/broken.py]\n")
    said = user.process("run", "--report", "r.broken", env={"TMPDIR": str(tmp_path)})
    assert said.code == 3
    assert "Traceback" not in said.err
    (report,) = tmp_path.glob("promptreg-crash-*.txt")
    assert report.name in said.err
    told = report.read_text("utf-8")
    assert "a slip of the pen" in told
    assert f"Python {sys.version.split()[0]}" in told
    assert server.requests == 3
    assert user("run").code == 0, "the answers are kept"
    assert server.requests == 3
    as_json = user.process("run", "--report", "r.broken", "--json", env={"TMPDIR": str(tmp_path)})
    assert as_json.json["exit_code"] == 3


def test_4_answers_are_missing(user: User) -> None:
    with LoopbackServer(faults=lambda number: Fault(kind="status", status=400) if number == 0 else None) as server:
        user.triage(server.url, limits="{concurrency: 1}")
        said = user("run", "--json")
        assert said.code == 4
        (cell,) = said.json["suites"]
        assert (cell["status"], cell["n"], cell["errors"], cell["passed"]) == ("unmeasured", 2, 1, 2)
        assert user("run").code == 0, "the next run asks again"


def test_4_the_budget_is_too_small(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user.write("promptreg.yaml", user.read("promptreg.yaml") + "budget: {calls: 2}\n")
    said = user("run", "--json")
    assert said.code == 4
    assert said.json["reason"] == "budget"
    assert said.json["errors"][0]["hint"]
    assert server.requests == 0


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_130_interrupted_and_what_was_paid_for_is_kept(user: User, sent: signal.Signals) -> None:
    mended = threading.Event()
    with LoopbackServer(faults=lambda number: Fault(kind="hang") if number >= 6 and not mended.is_set() else None) as server:
        user.triage(server.url, cases=20, limits="{concurrency: 2}")
        process = user.start("run", "--record", "answers.jsonl")
        until(lambda: server.requests >= 8, "six are answered and two hang")
        process.send_signal(sent)
        said = user.end(process)
        assert said.code == 130
        assert "6 answers" in said.err
        assert "Traceback" not in said.err
        assert len(user.read("answers.jsonl").splitlines()) == 6
        mended.set()
        second = user("run", "--json").json
        assert (second["calls_made"], second["calls_known"], server.requests) == (14, 6, 8 + 14)


def test_interrupted_under_json_is_one_object(user: User) -> None:
    with LoopbackServer(faults=lambda number: Fault(kind="hang")) as server:
        user.triage(server.url)
        process = user.start("run", "--json")
        until(lambda: server.requests, "a call is out")
        process.send_signal(signal.SIGINT)
        said = user.end(process)
    assert (said.code, said.json["exit_code"]) == (130, 130)


def test_a_reader_that_goes_away_is_no_error(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    process = subprocess.Popen(
        f"'{sys.executable}' -m promptreg plugins; echo $? >&2",
        cwd=user.root,
        shell=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read().split() == ["0"]
    process.wait(timeout=30)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_streams_that_take_nothing(user: User, server: LoopbackServer) -> None:
    """Output that cannot be written is 2, also under --json; words about the work that cannot be written change nothing."""
    user.triage(server.url)
    command = [sys.executable, "-m", "promptreg", "run"]
    with Path("/dev/full").open("w") as full:
        for extra in ([], ["--json"]):
            said = subprocess.run([*command, *extra], cwd=user.root, stdout=full, stderr=subprocess.PIPE, text=True)
            assert said.returncode == 2
            assert said.stderr.startswith("error: No space left on device\n  hint: ")
        assert subprocess.run([*command], cwd=user.root, stdout=subprocess.PIPE, stderr=full).returncode == 0
        assert subprocess.run([*command, "nosuch"], cwd=user.root, stdout=subprocess.PIPE, stderr=full).returncode == 2


def test_a_console_of_another_encoding(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    said = user.process("render", "triage", "-i", "ticket=名前", env={"PYTHONIOENCODING": "latin-1:strict", "PYTHONUTF8": "0"})
    assert (said.code, "\\u540d\\u524d" in said.out) == (0, True)
