"""The hands: threads that call a provider and report. Knows no store, no budget and no task.

Daemon threads rather than concurrent.futures: that pool is joined at exit, so one hung call would keep the process alive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from promptreg.core.protocols import Provider
from promptreg.core.run import Call, Completion, Failure
from promptreg.errors import PromptregError

if TYPE_CHECKING:
    from promptreg.execute.flight import Flight

COMPLAINT_LENGTH = 500  # characters of a stranger's exception that are worth showing


@dataclass(slots=True, eq=False)
class Attempt:
    """One try of one call. A worker writes `result` and `latency_s`, then reports the attempt; nothing else is shared."""

    flight: Flight
    call: Call
    timeout_s: float
    began: float
    deadline: float
    probe: bool
    latency_s: float = 0.0
    result: Completion | Failure | PromptregError | None = field(default=None)


class Crew:
    """The workers of one lane, hired when there is work for one more. A hung one stays busy and so is replaced."""

    def __init__(self, provider: Provider, events: SimpleQueue[Attempt], now: Callable[[], float]) -> None:
        self._provider = provider
        self._events = events
        self._now = now
        self._inbox: SimpleQueue[Attempt | None] = SimpleQueue()
        self._hands = 0
        self.busy = 0

    def give(self, attempt: Attempt) -> None:
        self.busy += 1
        if self.busy > self._hands:
            self._hands += 1
            Thread(
                target=self._work, args=(self._inbox,), name=f"promptreg-{self._provider.name}-{self._hands}", daemon=True
            ).start()
        self._inbox.put(attempt)

    def returned(self) -> None:
        """One reported attempt was taken from the events."""
        self.busy -= 1

    def dismiss(self) -> None:
        """Sends all home; one that hangs goes when it comes back."""
        for _ in range(self._hands):
            self._inbox.put(None)
        self._hands = self.busy = 0
        self._inbox = SimpleQueue()

    def _work(self, inbox: SimpleQueue[Attempt | None]) -> None:
        while (attempt := inbox.get()) is not None:
            began = self._now()
            result = ask(self._provider, attempt.call, attempt.timeout_s)
            attempt.latency_s = self._now() - began
            attempt.result = result
            self._events.put(attempt)


def ask(provider: Provider, call: Call, timeout_s: float) -> Completion | Failure | PromptregError:
    """What the provider says; a PromptregError is the user's to mend, any other exception a Failure of the plugin."""
    try:
        result = provider.complete(call, timeout_s)
    except PromptregError as fault:
        return fault
    except (Exception, SystemExit) as fault:  # noqa: BLE001  a provider may be anybody's code, and its fault is this call's only
        return Failure(kind="plugin", message=f"{provider.name} raised {type(fault).__name__}: {fault}"[:COMPLAINT_LENGTH])
    if isinstance(result, (Completion, Failure)):
        return result
    return Failure(kind="plugin", message=f"{provider.name} returned {type(result).__name__}, not a Completion or Failure")
