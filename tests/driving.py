"""What tests of `execute` share: a scripted provider that can hang, a clock that jumps, tasks, and executors made of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from typing import Any, ClassVar

from promptreg.core.prompt import Message, Parameters
from promptreg.core.protocols import NoOptions
from promptreg.core.run import Call, Completion, Failure, ModelIdentity, Outcome, Received, Task, Usage
from promptreg.core.suite import Case
from promptreg.execute import Clock, Executor, Lane
from promptreg.store import Store

MODEL = ModelIdentity(facts={"provider": "scripted", "model": "m"})
CASE = Case(id="case", inputs={})
WALL = 1_700_000_000.0
HANG = "hang"  # a script's word for: never come back (until the test is over)

BUSY = Failure(kind="server", message="HTTP 503", retryable=True)
LIMITED = Failure(kind="rate_limit", message="HTTP 429", retryable=True)
REFUSED = Failure(kind="request", message="HTTP 400")


def call(text: object = "hello", slot: int = 0, model: ModelIdentity = MODEL) -> Call:
    return Call(model=model, messages=(Message(role="user", content=str(text)),), params=Parameters(max_tokens=10), slot=slot)


def text_of(asked: Call) -> str:
    return asked.messages[0].text


def task(asked: Call) -> Task:
    """The smallest task: one call, and an outcome that holds what came."""
    received = yield asked
    assert isinstance(received, Received)
    return outcome(asked, received)


def outcome(asked: Call, received: Received) -> Outcome:
    result = received.result
    return Outcome(
        prompt="p",
        model="m",
        case=CASE,
        call=asked,
        completion=result if isinstance(result, Completion) else None,
        failure=result if isinstance(result, Failure) else None,
        calls_known=int(received.known),
        calls_made=int(not received.known),
    )


class Scripted:
    """Answers with what *script* returns for a call; HANG hangs. Counts what runs and what hangs."""

    name: ClassVar[str] = "scripted"
    Options: ClassVar[type] = NoOptions

    def __init__(self, script: Callable[[Call], Any] = text_of, *, stored: bool = True, concurrency: int = 4) -> None:
        self.identity: dict[str, Any] = {}
        self.keyed_by: Any = "messages"
        self.stored = stored
        self.concurrency = concurrency
        self._script = script
        self._lock = threading.Lock()
        self._release = threading.Event()
        self.calls: list[str] = []
        self.running = self.most_running = self.hanging = 0

    def complete(self, asked: Call, timeout_s: float) -> Completion | Failure:
        with self._lock:
            self.calls.append(text_of(asked))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        try:
            said = self._script(asked)
            if said == HANG:
                with self._lock:
                    self.hanging += 1
                self._release.wait(60)
                said = "too late"
            return answer(said) if isinstance(said, str) else said
        finally:
            with self._lock:
                self.running -= 1

    def release(self) -> None:
        """Lets go of everything that hangs."""
        with self._lock:
            self.hanging = 0
        self._release.set()

    def close(self) -> None:
        self.release()


def answer(text: str) -> Completion:
    return Completion(text=text, usage=Usage(input_tokens=5, output_tokens=5), reported_model="m-1")


def in_turn(*said: Any) -> Callable[[Call], Any]:
    """A script that says one thing after the other, whatever is asked; the last one for ever."""
    rest = list(reversed(said))
    lock = threading.Lock()

    def script(_: Call) -> Any:
        with lock:
            return rest.pop() if len(rest) > 1 else rest[0]

    return script


class Jumping(Clock):
    """A clock that jumps to the next thing that is due once no worker can report any more."""

    def __init__(self, provider: Scripted) -> None:
        self._provider = provider
        self._now = 1000.0
        self.jumps: list[float] = []
        self.before_jump: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return WALL + self._now - 1000.0

    @property
    def passed(self) -> float:
        return self._now - 1000.0

    def advance(self, seconds: float) -> None:
        self._now += seconds

    def wait(self, events: SimpleQueue[Any], timeout_s: float, running: int) -> Any:
        assert timeout_s != float("inf") or running > self._provider.hanging, "nothing will ever happen"
        while True:
            try:
                return events.get(timeout=0.002 if running else 0.0)
            except Empty:
                if running <= self._provider.hanging:
                    self.before_jump()
                    self.jumps.append(timeout_s)
                    self._now += timeout_s
                    return None


class Bench:
    """An executor with one lane to one scripted provider under a jumping clock."""

    def __init__(self, provider: Scripted, store: Store | None = None, **options: Any) -> None:
        self.provider = provider
        self.clock = Jumping(provider)
        self.store = store
        names = ("concurrency", "requests_per_minute", "tokens_per_minute", "price", "timeout_s", "retries", "since")
        lane = {"concurrency": provider.concurrency, **{name: options.pop(name) for name in names if name in options}}
        options.setdefault("chance", lambda: 1.0)
        self.executor = Executor({MODEL.digest: Lane(provider=provider, **lane)}, store, clock=self.clock, **options)

    def run(self, tasks: Iterable[Task], window: int = 100) -> list[Outcome]:
        return list(self.executor.run(tasks, window))

    def ask(self, *texts: object) -> list[Outcome]:
        return self.run(task(call(text)) for text in texts)


def texts(outcomes: Iterable[Outcome]) -> list[str]:
    """What each outcome holds: the answer's text, or the failure's kind in brackets."""
    out = []
    for each in outcomes:
        if each.completion is not None:
            out.append(each.completion.text)
        else:
            assert each.failure is not None
            out.append(f"<{each.failure.kind}>")
    return out
