"""When the far side fails, and when we are killed: nothing received is lost, nothing is paid twice, and what is missing is named.

Whole processes against an honest local server that fails as it is told.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import User, until

from promptreg.testing import Fault, LoopbackServer, some_faults

FAST = "{concurrency: 8, retries: 8}"
KEY = "zq81-correct-horse-battery-vjqx"  # of a form that no pattern of secrets knows
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


def asked(server: LoopbackServer) -> Counter[str]:
    """How often each ticket was sent."""
    return Counter(request.body["messages"][-1]["content"] for request in list(server.received))


class Switch:
    """A plan of faults that somebody may switch off."""

    def __init__(self, fault: Callable[[int], Fault | None]) -> None:
        self._fault = fault
        self.off = threading.Event()

    def __call__(self, number: int) -> Fault | None:
        return None if self.off.is_set() else self._fault(number)


def test_a_fifth_of_all_requests_fail_and_every_case_is_answered(user: User) -> None:
    with LoopbackServer(faults=some_faults(0.2, seed=3)) as server:
        user.triage(server.url, cases=60, limits=FAST)
        said = user.process("run", "--json")
        assert said.code == 0
        (cell,) = said.json["suites"]
        assert (cell["n"], cell["errors"], cell["passed"]) == (60, 0, 60)
        assert said.json["calls_made"] == 60
        assert server.requests > 60
        assert set(asked(server).values()) <= set(range(1, 6))


def test_one_call_hangs_and_the_others_are_kept(user: User) -> None:
    switch = Switch(lambda number: Fault(kind="hang") if number == 4 else None)
    with LoopbackServer(faults=switch) as server:
        user.triage(server.url, cases=12, limits="{concurrency: 4, timeout_s: 0.3, retries: 0}")
        said = user.process("run", "--report", "r.md", "--json")
        assert said.code == 4
        (cell,) = said.json["suites"]
        (missing,) = cell["missing"]
        assert (cell["n"], cell["passed"], cell["errors"], missing["kind"]) == (11, 11, 1, "timeout")
        assert missing["case"] in user.read("r.md")
        switch.off.set()
        again = user.process("run", "--json").json
        assert (again["exit_code"], again["calls_made"], again["calls_known"]) == (0, 1, 11)
        assert server.requests == 13


def test_a_server_that_dies_in_the_middle(user: User) -> None:
    """Half of the answers are in when it dies; what is missing is named, and paid when it is back."""
    down = threading.Event()
    plan = Switch(lambda number: (down.set() or Fault(kind="drop")) if number >= 10 else None)  # type: ignore[func-returns-value]
    with LoopbackServer(faults=plan) as server:
        user.triage(server.url, cases=24, limits="{concurrency: 2, retries: 1}")
        said = user.process("run", "--json")
        assert said.code == 4
        (cell,) = said.json["suites"]
        assert (cell["n"], cell["errors"], cell["status"]) == (10, 14, "unmeasured")
        assert {miss["kind"] for miss in cell["missing"]} <= {"provider_down", "connection"}
        assert "provider_down" in {miss["kind"] for miss in cell["missing"]}
        assert "14 of 24" in cell["reason"]
        before = server.requests
        plan.off.set()
        again = user.process("run", "--json").json
        assert (again["exit_code"], again["calls_made"], again["calls_known"]) == (0, 14, 10)
        assert server.requests == before + 14


def test_nobody_listens(user: User) -> None:
    server = LoopbackServer()
    server.close()
    user.triage(server.url, cases=3, limits="{retries: 0}")
    said = user("run")
    assert said.code == 4
    for case in ("c0", "c1", "c2"):
        assert case in said.out
    assert "refused" in said.out.lower()
    assert f"127.0.0.1:{server.port}" in said.out


@POSIX
def test_kill_9_in_the_middle_loses_no_answer(user: User) -> None:
    """Answered calls are in the store before the next ones go out; only the two in flight are paid again."""
    plan = Switch(lambda number: Fault(kind="hang") if number >= 9 else None)
    with LoopbackServer(faults=plan) as server:
        user.triage(server.url, cases=30, limits="{concurrency: 2}")
        process = user.start("run")
        until(lambda: server.requests >= 11, "nine are answered and two hang")
        process.kill()
        assert user.end(process).code == -signal.SIGKILL
        assert user("cache", "stats", "--json").json["answers"] == 9
        plan.off.set()
        said = user.process("run", "--json")
        assert said.code == 0
        assert (said.json["calls_known"], said.json["calls_made"]) == (9, 21)
    times = asked(server)
    assert len(times) == 30
    assert sum(times.values()) == 32
    assert sorted(times.values())[-3:] == [1, 2, 2]


@POSIX
def test_killed_again_and_again_it_still_comes_to_its_end(user: User) -> None:
    with LoopbackServer(delay_s=0.02) as server:
        user.triage(server.url, cases=40, limits="{concurrency: 2}")
        kills = 0
        for goal in (6, 14, 22):
            process = user.start("run", "--quiet")
            until(lambda: server.requests >= goal or process.poll() is not None, f"{goal} requests")  # noqa: B023
            process.kill()
            kills += user.end(process).code == -signal.SIGKILL
        assert kills == 3
        said = user.process("run", "--json")
        assert said.code == 0
        assert said.json["suites"][0]["n"] == 40
    assert sum(asked(server).values()) <= 40 + 2 * kills


def test_two_processes_pay_each_call_once(user: User) -> None:
    with LoopbackServer(delay_s=0.02) as server:
        user.triage(server.url, cases=40, limits="{concurrency: 4}")
        both = [user.start("run", "--json") for _ in range(2)]
        said = [user.end(process) for process in both]
    assert [each.code for each in said] == [0, 0]
    assert [each.json["suites"][0]["n"] for each in said] == [40, 40]
    assert sum(each.json["calls_made"] for each in said) == 40
    assert set(asked(server).values()) == {1}


def everything_written(root: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file())


@pytest.mark.parametrize("status", [401, 403])
def test_a_wrong_key_is_said_at_once_and_never_shown(user: User, status: int) -> None:
    body = f'{{"error": {{"message": "Incorrect API key provided: {KEY}. You said {KEY[:6]}***{KEY[-4:]}"}}}}'
    with LoopbackServer(faults=lambda _number: Fault(kind="status", status=status, body=body)) as server:
        user.triage(server.url, cases=40, model="api_key_env: SHOP_KEY", limits="{concurrency: 2}")
        outputs = []
        for extra in (("--json",), ("--report", "r.md", "--report", "r.html", "--report", "r.xml", "--record", "rec.jsonl")):
            said = user.process("run", *extra, env={"SHOP_KEY": KEY})
            assert said.code == 4
            assert "SHOP_KEY" in said.out
            outputs.append(said.out + said.err)
        assert server.requests < 20, "a bad key is not tried forty times over"
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
    seen = "\n".join(outputs).encode() + everything_written(user.root)
    assert KEY.encode() not in seen
    assert KEY[:6].encode() not in seen
    assert KEY[-4:].encode() not in seen


def test_a_good_key_is_nowhere_but_on_the_wire(user: User) -> None:
    with LoopbackServer(lambda request: f"billing, says {KEY}") as server:
        user.triage(server.url, model="api_key_env: SHOP_KEY")
        reports = ("--report", "r.md", "--report", "r.html", "--report", "r.json", "--report", "r.xml", "--record", "rec.jsonl")
        said = user.process("run", *reports, env={"SHOP_KEY": KEY})
        assert said.code == 0
        assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in said.out + said.err
    assert KEY.encode() not in everything_written(user.root)


@pytest.mark.parametrize("value", [None, "", "   "])
def test_a_missing_key_is_missed_before_anybody_is_asked(user: User, server: LoopbackServer, value: str | None) -> None:
    user.triage(server.url, model="api_key_env: SHOP_KEY")
    said = user.process("run", env={} if value is None else {"SHOP_KEY": value})
    assert said.code == 2
    assert "SHOP_KEY" in said.err
    assert "hint:" in said.err
    assert server.requests == 0
    assert user("lint").code == 0, "whoever lints needs no key"
    assert user("run", "--dry-run").code == 0
    assert user("list").code == 0


def test_known_answers_need_no_key(user: User, server: LoopbackServer) -> None:
    user.triage(server.url, model="api_key_env: SHOP_KEY")
    assert user.process("run", env={"SHOP_KEY": KEY}).code == 0
    assert user("run").code == 0
    assert user("run", "--replay").code == 0
    assert server.requests == 3


def test_a_store_that_is_no_store(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    assert user("run").code == 0
    path = user.root / ".promptreg/store.sqlite3"
    for leftover in path.parent.glob("store.sqlite3-*"):
        leftover.unlink()
    path.write_bytes(b"not a database, but long enough to be one" * 100)
    for command in (["run"], ["cache", "stats"]):
        said = user(*command)
        assert said.code == 2
        assert "store.sqlite3" in said.err
        assert "hint:" in said.err
    assert path.read_bytes().startswith(b"not a database"), "never a silent reset"
    assert user("run", "--no-store").code == 0
    assert user("lint").code == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user.root.chmod(0o500)
    try:
        said = user("run")
        assert said.code == 2
        assert "hint:" in said.err
    finally:
        user.root.chmod(0o700)


def test_a_report_that_cannot_be_written_is_said_before_anybody_is_asked(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user.write("taken", "a file, not a folder")
    for option in ("--report", "--record"):
        said = user("run", option, "taken/r.md")
        assert said.code == 2
        assert "taken" in said.err
        assert server.requests == 0


def test_a_run_that_fails_leaves_an_old_recording_as_it_was(user: User, server: LoopbackServer) -> None:
    user.triage(server.url, model="api_key_env: SHOP_KEY")
    user.write("answers.jsonl", "old\n")
    assert user("run", "--record", "answers.jsonl").code == 2
    assert user.read("answers.jsonl") == "old\n"
    assert not list(user.root.glob("answers.jsonl.*"))
    assert user.process("run", "--record", "answers.jsonl", env={"SHOP_KEY": KEY}).code == 0
    assert len(user.read("answers.jsonl").splitlines()) == 3


def test_what_is_no_file_is_never_replaced_by_one(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    pipe = user.root / "pipe.json"
    os.mkfifo(pipe)
    for arguments in (
        ("run", "--record", "pipe.json"),
        ("run", "--report", "pipe.json"),
        ("bundle", "--working", "-o", "pipe.json"),
    ):
        said = user(*arguments)
        assert said.code == 2
        assert "no regular file" in said.err
        assert pipe.is_fifo()
    assert server.requests == 0


def test_a_store_that_is_taken_away_during_a_run_is_said(user: User) -> None:
    def answer(request: Any) -> str:
        shutil.rmtree(user.root / ".promptreg", ignore_errors=True)
        return str(request["messages"][-1]["content"])

    with LoopbackServer(answer) as server:
        user.triage(server.url)
        said = user("run", "--quiet")
    assert said.code == 0
    assert "was taken away while it was in use" in said.err


def test_a_budget_that_counts_nothing_is_said(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    user.write("promptreg.yaml", user.read("promptreg.yaml") + "budget: {usd: 0.5}\n")
    assert "the budget of $0.5 does not count big" in user("run").out
    user.triage(server.url, model="price: {input: 1, output: 1}")
    user.write("promptreg.yaml", user.read("promptreg.yaml") + "budget: {usd: 0.00001}\n")
    said = user("run", "--no-store")
    assert said.code == 4
    assert "the budget allows $0.00001" in said.err


@pytest.mark.parametrize("option", ["--report", "--record"])
def test_a_file_that_grows_too_large_is_named_and_nothing_half_is_left(user: User, server: LoopbackServer, option: str) -> None:
    """The disk fills up while files are written: here, no file may grow beyond 4 kB."""
    user.triage(server.url, cases=40)
    limited = "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
    limited += (
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); from promptreg.cli import invoke; sys.exit(invoke(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", limited, "run", "--no-store", option, "out.html"]
    said = subprocess.run(command, cwd=user.root, capture_output=True, text=True, encoding="utf-8")
    assert said.returncode == 2
    assert "error: out.html cannot be written: File too large\n  hint: " in said.stderr
    assert not list(user.root.glob("out.html*"))
    if option == "--report":
        assert "40/40" in said.stdout
