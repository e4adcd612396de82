"""Kills, interrupts and rivals, with real processes: no received answer is lost, only calls in flight are paid for again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import FrameType

import pytest
from driving import MODEL, Scripted, call, task, text_of
from hypothesis import example, given, settings
from hypothesis import strategies as st

from promptreg.core.run import Call
from promptreg.errors import Interrupted
from promptreg.execute import Executor, Lane
from promptreg.store import Store

# Makes the calls 0 … COUNT-1. Each provider call is one line "begin n", and one "end n" before its answer is returned, written with
# a single os.write, so that several processes may share the log.
SCRIPT = """
    import os, sys, time
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from driving import MODEL, Scripted, call, task, text_of, texts
    from promptreg.errors import PromptregError
    from promptreg.execute import Executor, Lane
    from promptreg.store import Store

    store, log = Path(sys.argv[2]), os.open(sys.argv[3], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    count, delay, concurrency = int(sys.argv[4]), float(sys.argv[5]), int(sys.argv[6])

    def script(asked):
        os.write(log, f"begin {text_of(asked)}\\n".encode())
        if delay < 0:
            return "hang"
        time.sleep(delay)
        os.write(log, f"end {text_of(asked)}\\n".encode())
        return text_of(asked)

    provider = Scripted(script, concurrency=concurrency)
    lane = Lane(provider=provider, concurrency=concurrency, timeout_s=0.2 if delay < 0 else 60, retries=0)
    with Executor({MODEL.digest: lane}, Store.open(store, time.time)) as executor:
        print("ready", flush=True)
        try:
            found = texts(executor.run((task(call(number)) for number in range(count)), 4 * concurrency))
        except PromptregError as fault:
            print(fault.message)
            sys.exit(int(fault.exit_code))
    print(found.count("<timeout>") if delay < 0 else found == [str(number) for number in range(count)], flush=True)
"""
TESTS = str(Path(__file__).parent.parent)


class World:
    """A store, a log of provider calls, and processes that use them."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "store"
        self.log = folder / "log"
        self.log.touch()

    def start(self, count: int, delay: float, concurrency: int) -> subprocess.Popen[str]:
        arguments = [TESTS, self.store, self.log, count, delay, concurrency]
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT), *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def lines(self, word: str) -> Counter[str]:
        return Counter(line.split()[1] for line in self.log.read_text().splitlines() if line.startswith(word))

    def await_answers(self, number: int) -> None:
        end = time.monotonic() + 30
        while self.lines("end").total() < number:
            assert time.monotonic() < end
            time.sleep(0.005)

    def stored(self) -> int:
        store = Store.open(self.store, time.time)
        try:
            return int(str(store.stats()["answers"]))
        finally:
            store.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def finished(process: subprocess.Popen[str], code: int = 0) -> str:
    said, _ = process.communicate(timeout=60)
    assert process.returncode == code, said
    return said


def test_after_a_kill_only_calls_in_flight_are_paid_again(world: World) -> None:
    process = world.start(60, 0.02, 4)
    world.await_answers(20)
    process.kill()
    process.communicate()
    began = time.monotonic()
    assert "True" in finished(world.start(60, 0.0, 4))
    assert time.monotonic() - began < 20, "the claims of a dead process were waited for"
    begun = world.lines("begin")
    assert set(begun) == {str(number) for number in range(60)}
    again = [number for number, times in begun.items() if times > 1]
    assert len(again) <= 4
    assert max(begun.values()) <= 2
    assert world.stored() == 60


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_keeps_every_answer(world: World) -> None:
    process = world.start(10_000, 0.01, 4)
    world.await_answers(20)
    process.send_signal(signal.SIGINT)
    said = finished(process, 130)
    assert "interrupted" in said
    assert world.stored() == world.lines("end").total() == world.lines("begin").total()


def test_two_processes_make_each_call_once(world: World) -> None:
    rivals = [world.start(80, 0.005, 4) for _ in range(2)]
    assert all("True" in finished(process) for process in rivals)
    assert world.lines("begin") == Counter(str(number) for number in range(80))
    assert world.stored() == 80


def test_a_survivor_takes_over_from_a_killed_rival(world: World) -> None:
    victim = world.start(40, 0.02, 8)
    survivor = world.start(40, 0.02, 4)
    world.await_answers(8)
    victim.kill()
    victim.communicate()
    assert "True" in finished(survivor)
    assert world.stored() == 40


def test_a_hung_provider_does_not_keep_the_process(world: World) -> None:
    assert "3" in finished(world.start(3, -1, 2))


class Interrupter:
    """Raises KeyboardInterrupt in this thread before one line of execute or the store is run: the hardest Ctrl-C there is."""

    WATCHED = (f"{os.sep}promptreg{os.sep}execute{os.sep}", f"{os.sep}promptreg{os.sep}store.py")

    def __init__(self, at: int) -> None:
        self._left = at

    def __call__(self, frame: FrameType, event: str, argument: object) -> Interrupter | None:
        if not any(part in frame.f_code.co_filename for part in self.WATCHED):
            return None
        if event == "line" and self._left >= 0:
            self._left -= 1
            if self._left < 0:
                raise KeyboardInterrupt
        return self

    def __enter__(self) -> None:
        self._before = sys.gettrace()
        sys.settrace(self)

    def __exit__(self, *fault: object) -> None:
        sys.settrace(self._before)


@settings(max_examples=40, deadline=None)
@example(at=0)
@given(at=st.integers(0, 10_000))
def test_an_interrupt_before_any_line_loses_no_answer(tmp_path_factory: pytest.TempPathFactory, at: int) -> None:
    ended = []

    def script(asked: Call) -> str:
        ended.append(text_of(asked))
        return text_of(asked)

    folder = tmp_path_factory.mktemp("interrupted")
    store = Store.open(folder / "s", time.time)
    executor = Executor({MODEL.digest: Lane(provider=Scripted(script), concurrency=3)}, store)
    with suppress(Interrupted, KeyboardInterrupt), Interrupter(at):
        list(executor.run(task(call(number)) for number in range(30)))
    store.close()
    again = Store.open(folder / "s", time.time)
    assert again.stats()["answers"] == len(ended)
    assert again.owners() == frozenset()
    again.close()
