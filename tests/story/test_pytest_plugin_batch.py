"""The pytest plugin's one batch: calls go out together and once, nothing received is lost, and one process tells."""

from __future__ import annotations

import json
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import until
from plugged import PATIENCE_S, SUITE, House, answered, rows

from promptreg.testing import LoopbackServer

FLOOR = "gate: {floor: 0.5}\n"


class Gathering:
    """An answer that waits until *together* requests are there at once."""

    def __init__(self, together: int) -> None:
        self._barrier = threading.Barrier(together, timeout=PATIENCE_S / 4)

    def __call__(self, request: Any) -> str:
        self._barrier.wait()
        return answered(request)


class Held:
    """Answers the first *free* tickets, and holds all others back until it is told to let go."""

    def __init__(self, free: int) -> None:
        self._free = free
        self.let_go = threading.Event()

    def __call__(self, request: Any) -> str:
        if int(request["messages"][-1]["content"].split()[-1]) >= self._free:
            self.let_go.wait(PATIENCE_S)
        return answered(request)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(answered) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, server: LoopbackServer) -> House:
    return House(tmp_path / "house", server.url, gate=FLOOR)


def asked(server: LoopbackServer) -> Counter[str]:
    return Counter(json.dumps(request.body, sort_keys=True) for request in server.received)


# --- together, and once -------------------------------------------------------------------------------------------------------


def test_calls_go_out_together(tmp_path: Path) -> None:
    """Eight at a time, as the model's limits allow: a server that waits for eight gets them, though items run one by one."""
    with LoopbackServer(Gathering(8)) as server:
        ran = House(tmp_path / "house", server.url, cases=16, gate=FLOOR).pytest("suites")
        assert (ran.code, ran.counts) == (0, {"passed": 14, "xfailed": 3}), ran.out
        assert server.requests == 16


def test_suites_and_functions_are_one_batch(tmp_path: Path) -> None:
    with LoopbackServer(Gathering(8)) as server:
        house = House(tmp_path / "house", server.url, cases=3, gate=FLOOR)
        house.write("suites/more.yaml", SUITE.replace("triage.jsonl", "more.jsonl"))
        house.write("suites/more.jsonl", rows(3).replace("ticket ", "ticket 1"))
        house.write("few.jsonl", rows(2))
        house.write(
            "test_it.py",
            "import pytest\n\n@pytest.mark.promptreg(prompt='triage', dataset='few.jsonl', models=['small'])\n"
            "def test_it(answer):\n    assert answer in ('bug', 'billing')\n",
        )
        ran = house.pytest()
        assert (ran.code, "9 passed" in ran.out) == (0, True), ran.out


def test_concurrency_is_an_option(tmp_path: Path) -> None:
    with LoopbackServer(Gathering(12)) as server:
        ran = House(tmp_path / "house", server.url, cases=12, gate=FLOOR).pytest("suites", "--promptreg-concurrency", "12")
        assert ran.having("error") == []


def test_known_answers_are_not_asked_for_again(house: House, server: LoopbackServer) -> None:
    assert house.pytest("suites").code == 0
    ran = house.pytest("suites")
    assert server.requests == 10
    assert "0 calls made, 10 known" in ran.out


def test_only_what_is_selected_is_asked(house: House, server: LoopbackServer) -> None:
    house.pytest("suites", "-k", "t1 or t2")
    assert server.requests == 2


@pytest.mark.parametrize("dist", ["load", "loadgroup", "worksteal"])
def test_workers_of_xdist_make_every_call_once(tmp_path: Path, server: LoopbackServer, dist: str) -> None:
    house = House(tmp_path / "house", server.url, cases=30, gate=FLOOR)
    ran = house.pytest("suites", "-n", "2", "--dist", dist)
    assert (ran.code, ran.counts) == (0, {"passed": 25, "xfailed": 6}), ran.out
    assert server.requests == 30
    assert set(asked(server).values()) == {1}
    assert ran.out.count("24/30") == 1, "one table, in the controller"
    assert "30 calls made" in ran.out


def test_xdist_tells_the_same_as_one_process(tmp_path: Path, server: LoopbackServer) -> None:
    tables = []
    for name, more in (("one", ()), ("two", ("-n", "2"))):
        house = House(tmp_path / name, server.url, cases=12, gate=FLOOR)
        ran = house.pytest("suites", "--promptreg-report", "out.json", "--promptreg-record", "all.jsonl", *more)
        report = json.loads((house.root / "out.json").read_text())
        recorded = sorted(json.loads(line)["output"] for line in (house.root / "all.jsonl").read_text().splitlines())
        (cell,) = report["suites"]
        tables.append((ran.counts, {name: cell[name] for name in ("n", "passed", "status", "floor")}, recorded))
    assert tables[0] == tables[1]
    assert len(tables[0][2]) == 12


def test_xdist_tells_why_answers_are_missing(house: House, server: LoopbackServer) -> None:
    server.close()
    ran = house.pytest("suites", "-n", "2", "--promptreg-report", "out.json")
    assert set(ran.tests.values()) == {"error"}
    (cell,) = json.loads((house.root / "out.json").read_text())["suites"]
    assert {case["kind"] for case in cell["missing"]} <= {"connection", "provider_down"}
    assert cell["errors"] == 10


# --- nothing is lost ----------------------------------------------------------------------------------------------------------


def test_x_stops_and_keeps_what_has_come(tmp_path: Path) -> None:
    held = Held(5)
    with LoopbackServer(held) as server:
        house = House(tmp_path / "house", server.url, cases=40)
        ran = house.pytest("suites", "-x")  # t4 fails while the answers to t5 … are still to come
        assert (ran.code, ran.having("failed")) == (1, ["triage[big-t4]"])
        assert server.requests < 40
        assert "4/5" in ran.out
        held.let_go.set()
        server.received.clear()
        assert house.pytest("suites", "-k", "t0 or t1 or t2 or t3 or t4", "--promptreg-replay").tests["triage[big-t0]"] == "passed"
        house.pytest("suites")
        assert not [text for text in asked(server) if any(f'"ticket {n}"' in text for n in range(5))]


def test_ctrl_c_loses_nothing(tmp_path: Path) -> None:
    held = Held(20)
    with LoopbackServer(held) as server:
        house = House(tmp_path / "house", server.url, cases=60, gate=FLOOR)
        process = house.start("--promptreg", "suites", "-v", "--promptreg-record", "answers.jsonl")
        assert process.stdout is not None
        assert any("::triage[big-t19]" in line for line in iter(process.stdout.readline, ""))
        until(lambda: server.requests == 28, "eight more calls are under way")
        process.send_signal(signal.SIGINT)
        out = process.communicate(timeout=PATIENCE_S)[0]
        assert process.returncode == 2
        assert "KeyboardInterrupt" in out
        assert "16/20" in out
        assert len((house.root / "answers.jsonl").read_text().splitlines()) == 20
        held.let_go.set()
        server.received.clear()
        assert house.pytest("suites").counts == {"passed": 49, "xfailed": 12}
        assert not [text for text in asked(server) if any(f'"ticket {n}"' in text for n in range(20))]


# --- budget -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_a_budget_refuses_before_the_first_call(house: House, server: LoopbackServer, more: tuple[str, ...]) -> None:
    house.write("test_plain.py", "def test_plain():\n    pass\n")
    ran = house.pytest("--promptreg-budget", "0.000001", *more)
    assert ran.code == 1
    assert server.requests == 0
    assert len(ran.having("error")) == 11
    assert "the run may cost $" in ran.texts["triage[big-t0]"]
    assert "the budget allows $0.000001" in ran.texts["verdict"]
    assert "Traceback" not in ran.out
    assert ran.tests["test_plain"] == "passed"


def test_the_registry_has_a_budget(house: House, server: LoopbackServer) -> None:
    settings = (house.root / "promptreg.yaml").read_text()
    house.write("promptreg.yaml", settings + "budget: {calls: 9}\n")
    assert "the run needs 10 calls, the budget allows 9" in house.pytest("suites").texts["verdict"]
    assert server.requests == 0
    house.write("promptreg.yaml", settings + "budget: {calls: 10}\n")
    assert house.pytest("suites").code == 0


def test_calls_of_tests_share_the_budget(house: House, server: LoopbackServer) -> None:
    house.write("promptreg.yaml", (house.root / "promptreg.yaml").read_text() + "budget: {calls: 3}\n")
    house.write(
        "test_it.py",
        "import pytest\n\n@pytest.mark.parametrize('n', range(5))\ndef test_it(complete, n):\n"
        "    complete('triage', ticket=f'ticket {n}')\n",
    )
    ran = house.plain_pytest()
    assert ran.counts == {"failed": 2, "passed": 3}
    assert server.requests == 3
    assert "the budget of 3 calls is used up" in ran.texts["test_it[4]"]


def test_a_base_is_held_to_the_budget_too(tmp_path: Path, server: LoopbackServer) -> None:
    house = House(tmp_path / "house", server.url, cases=10, gate="gate: {margin: 0.10, anchor: none}\n")
    house.builder.git("checkout", "--quiet", "-b", "change")
    house.write("prompts/_tone.jinja", "Name the right queue.\n")
    ran = house.pytest("suites", "--promptreg-base", "main", "--promptreg-budget", "0.0005")
    assert server.requests == 10
    assert ran.tests["verdict"] == "error"
    assert "the run may cost" in ran.texts["verdict"]


# --- reports ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ending", "mark"), [("md", "triage"), ("html", "<html"), ("json", "promptreg/"), ("xml", "<testsuite")])
def test_a_report_is_written(house: House, ending: str, mark: str) -> None:
    path = house.root / "reports" / f"out.{ending}"
    assert house.pytest("suites", "--promptreg-report", str(path)).code == 0
    assert mark in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_a_report_of_a_comparison(tmp_path: Path, server: LoopbackServer, more: tuple[str, ...]) -> None:
    house = House(tmp_path / "house", server.url, cases=40, gate="gate: {margin: 0.10, anchor: none}\n")
    house.builder.git("checkout", "--quiet", "-b", "change")
    house.write("prompts/_tone.jinja", "Name the queue, and hurry.\n")
    house.pytest("suites", "--promptreg-base", "main", "--promptreg-report", "out.json", *more)
    report = json.loads((house.root / "out.json").read_text())
    assert (report["schema"].split("/")[1], report["verdict"], len(report["gates"])) == ("check", "FAIL", 1)


def test_no_run_stands_in_for_a_comparison(house: House) -> None:
    ran = house.pytest("suites", "--promptreg-base", "nowhere", "--promptreg-report", "out.json")
    assert ran.code == 1
    assert "nothing was compared" in ran.out
    assert not (house.root / "out.json").exists()


def test_reports_that_cannot_be_written_are_refused_before_anything_is_paid(house: House, server: LoopbackServer) -> None:
    ran = house.pytest("suites", "--promptreg-report", "out.docx")
    assert ran.code == 2
    assert "no report format for" in ran.out
    assert house.pytest("suites", "--promptreg-report", "suites").code == 4
    assert house.pytest("suites", "--promptreg-recording", "nowhere.jsonl").code == 4
    assert house.pytest("suites", "--promptreg-repeats", "0").code == 4
    assert house.pytest("suites", "--promptreg-budget", "nan").code == 4
    assert server.requests == 0


def test_a_report_of_nothing_says_so(house: House) -> None:
    house.write("test_plain.py", "def test_plain():\n    pass\n")
    ran = house.pytest("test_plain.py", "--promptreg-report", "out.md")
    assert ran.code == 4
    assert "nothing was measured" in ran.out


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_junit_has_scores_costs_and_verdicts(house: House, more: tuple[str, ...]) -> None:
    ran = house.pytest("suites", "-o", "junit_family=xunit2", *more)
    case = ran.properties["triage[big-t4]"]
    assert (case["promptreg.suite"], case["promptreg.prompt"], case["promptreg.model"]) == ("triage", "triage", "big")
    assert case["promptreg.score"] == "0.0"
    assert float(case["promptreg.cost_usd"]) > 0
    verdict = ran.properties["verdict"]
    assert (verdict["promptreg.verdict"], verdict["promptreg.pass_rate.triage.big"]) == ("ok", "0.8")
    assert float(verdict["promptreg.cost_usd.triage.big"]) > 0


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_what_was_recorded_can_be_replayed(house: House, server: LoopbackServer, more: tuple[str, ...]) -> None:
    first = house.pytest("suites", "--promptreg-record", "answers.jsonl", *more)
    server.close()
    (house.root / ".promptreg" / "store.sqlite3").unlink()
    again = house.pytest("suites", "--promptreg-recording", "answers.jsonl", *more)
    assert again.code == 0, again.out
    assert again.tests == first.tests
    without = house.pytest("suites", "--promptreg-replay", *more)
    assert set(without.tests.values()) == {"error"}
    assert "a replay asks nobody" in without.texts["triage[big-t0]"]


def test_a_recording_that_was_not_to_be_keeps_the_old_one(house: House) -> None:
    house.write("answers.jsonl", "old\n")
    house.pytest("suites", "--promptreg-record", "answers.jsonl", "--promptreg-budget", "0")
    assert (house.root / "answers.jsonl").read_text() == "old\n"


def test_answers_of_the_runs_branch_are_known(house: House, server: LoopbackServer, user: Any) -> None:
    user.root = house.root
    assert user("run", "--runs", "write").code == 0
    (house.root / ".promptreg" / "store.sqlite3").unlink()
    assert house.pytest("suites").code == 0
    assert server.requests == 10
