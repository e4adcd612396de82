"""Time as an argument: the real clock, which tests replace. Knows no call."""

from __future__ import annotations

import time
from queue import Empty, SimpleQueue
from typing import TypeVar

Event = TypeVar("Event")
LONGEST_WAIT_S = 1.0  # on Windows a waiting thread hears Ctrl-C only when it wakes


class Clock:
    """Seconds that only grow (`now`), seconds since the epoch (`wall`), and waiting for what workers report."""

    def now(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()

    def wait(self, events: SimpleQueue[Event], timeout_s: float, running: int) -> Event | None:
        """The next event, or None after *timeout_s*. *running* workers are at work: with none, a test's clock need not wait."""
        del running
        try:
            return events.get(timeout=min(timeout_s, LONGEST_WAIT_S))
        except Empty:
            return None
