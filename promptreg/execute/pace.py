"""How fast and how long to try: buckets, adaptive concurrency, breaker, backoff. Arithmetic on a `now` in seconds; no clock."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from promptreg.core.run import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long `execute` goes on. Times in seconds."""

    backoff_s: float = 0.5  # the first retry comes within this time, each further one within twice the time before
    backoff_limit_s: float = 30.0
    retry_after_limit_s: float = 120.0  # a provider that asks for a longer wait is not waited for
    rate_limit_tries: int = 12  # a 429 is the provider's load, not the call's fault: it has a count of its own
    failures_in_a_row: int = 10  # then calls are held back, while single probes go out after each of the pauses
    pauses_s: tuple[float, ...] = (1.0, 2.0, 4.0)  # then the provider is down and its calls fail at once
    down_s: float = 30.0  # after which one call may try again
    refused_keys: int = 3  # answers 401 or 403 in a row that show the key to be bad
    deadline_grace_s: float = 1.0  # a provider has this long beyond its timeout before it counts as hung
    lease_s: float = 30.0  # another process takes a call over when nobody has renewed the claim for so long
    grace_s: float = 3.0  # after Ctrl-C, for the calls in flight


def backoff_s(tries: int, patience: Patience, chance: Callable[[], float]) -> float:
    """Exponential backoff with full jitter (Brooker, "Exponential Backoff and Jitter", AWS 2015); *tries* counts from 1."""
    return chance() * min(patience.backoff_limit_s, patience.backoff_s * 2.0 ** min(tries - 1, 30))


class Bucket:
    """A token bucket that holds one second's worth, so that no minute sees much more than its allowance.

    A cost above the capacity waits for a full bucket and leaves a debt.
    """

    def __init__(self, per_minute: float, now: float) -> None:
        self._rate = per_minute / 60
        self._capacity = max(1.0, self._rate)
        self._level = self._capacity
        self._at = now

    def wait_s(self, cost: float, now: float) -> float:
        """Seconds until *cost* may be taken."""
        self._refill(now)
        return max(0.0, (min(cost, self._capacity) - self._level) / self._rate)

    def take(self, cost: float, now: float) -> None:
        """Takes *cost*; a negative one gives back what was estimated too high."""
        self._refill(now)
        self._level = min(self._capacity, self._level - cost)

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now


class Throttle:
    """Concurrency that halves when the provider says "too many" and creeps up by one for each round of successes (AIMD)."""

    def __init__(self, ceiling: int) -> None:
        self._ceiling = float(ceiling)
        self._limit = float(ceiling)
        self._halved_at = -math.inf

    @property
    def limit(self) -> int:
        return int(self._limit)

    def succeeded(self) -> None:
        if self._limit < self._ceiling:
            self._limit = min(self._ceiling, self._limit + 1 / self._limit)

    def refused(self, began: float, now: float) -> bool:
        """Halves, and says so; a call that *began* before the last halving belongs to the same burst and changes nothing."""
        if began < self._halved_at:
            return False
        self._limit = max(1.0, self._limit / 2)
        self._halved_at = now
        return True


class Breaker:
    """Stops asking a provider that no longer answers.

    closed ── failures in a row ──▶ holding: calls wait; after each pause one probe goes out
    holding ── a probe succeeds ──▶ closed;  ── all probes fail ──▶ down: calls fail at once, a probe now and then
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._row = 0
        self._refused = 0
        self._step: int | None = None  # None: closed; else how many probes have failed
        self._resume = 0.0
        self._probing = False
        self.down: Failure | None = None

    def wait_s(self, now: float) -> float:
        """Seconds until a call may go out; infinite while a probe is out."""
        if self._step is None:
            return 0.0
        return math.inf if self._probing else max(0.0, self._resume - now)

    def send(self) -> bool:
        """A call goes out; whether it is a probe."""
        self._probing = self._step is not None
        return self._probing

    def alive(self) -> None:
        """The provider answered, if only to complain about the request."""
        self._row = self._refused = 0
        self._step = self.down = None
        self._probing = False

    def forget_probe(self) -> None:
        """Nobody waits for the probe that is out."""
        self._probing = False

    def failed(self, failure: Failure, *, probe: bool, now: float) -> None:
        """A try came back without an answer. What was sent before the calls were held back says nothing new."""
        if probe:
            self._probing = False
            self._step = (self._step or 0) + 1
        elif self._step is not None:
            return
        else:
            self._row += 1
            self._refused += failure.kind == "auth"
            if self._refused >= self._patience.refused_keys:
                self._step = len(self._patience.pauses_s)  # no pause mends a key
            elif self._row >= self._patience.failures_in_a_row:
                self._step = 0
        if self._step is not None:
            self._pause(self._step, failure, now)

    def _pause(self, step: int, failure: Failure, now: float) -> None:
        pauses = self._patience.pauses_s
        if step < len(pauses):
            self._resume = now + pauses[step]
        elif failure.kind == "auth":
            self._fall(failure, now)
        else:
            self._fall(Failure(kind="provider_down", message=f"the provider is down; its last word: {failure.message}"), now)

    def _fall(self, failure: Failure, now: float) -> None:
        self.down = failure
        self._resume = now + self._patience.down_s
