"""One model's way through `execute`: what it may be asked for, and the traffic on it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from promptreg.core.catalogue import ModelSpec, Price
from promptreg.core.plan import Tokens
from promptreg.core.protocols import Provider
from promptreg.core.run import Completion, Failure
from promptreg.execute.flight import Flight
from promptreg.execute.pace import Breaker, Bucket, Patience, Throttle, backoff_s
from promptreg.execute.workers import Attempt, Crew

TIMEOUT_S = 120.0  # for a model that sets none: long answers of large models take a minute
RETRIES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """How one model is called. `since`: answers observed before it (seconds since the epoch) do not count as known.

    A provider with `stored = False` costs nothing: its answers bypass store, claims and budget, and count as known; and one
    that also says `concurrency = 1` is asked where it stands, without a worker.
    """

    provider: Provider
    concurrency: int = 1
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    price: Price | None = None
    timeout_s: float = TIMEOUT_S
    retries: int = RETRIES
    since: float | None = None

    @classmethod
    def of(cls, spec: ModelSpec, provider: Provider, *, concurrency: int | None = None, since: float | None = None) -> Lane:
        """The lane of a catalogue entry; *concurrency* (the command line's) beats the entry's, which beats the provider's."""
        limits = spec.limits
        return cls(
            provider=provider,
            concurrency=concurrency or limits.concurrency or provider.concurrency,
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
            price=spec.price,
            timeout_s=TIMEOUT_S if limits.timeout_s is None else limits.timeout_s,
            retries=RETRIES if limits.retries is None else limits.retries,
            since=since,
        )

    @property
    def inline(self) -> bool:
        return not self.provider.stored and self.provider.concurrency == 1


class Traffic:
    """What moves on a lane: flights ready to go, attempts running, and the pace. Touched by the driving thread only."""

    def __init__(self, lane: Lane, patience: Patience, now: float) -> None:
        self.lane = lane
        self.stored = lane.provider.stored
        self.inline = lane.inline
        self.counts_tokens = lane.price is not None or lane.tokens_per_minute is not None
        self.ready: deque[Flight] = deque()
        self.running: dict[Attempt, None] = {}  # in the order they began
        self.crew: Crew | None = None
        self._patience = patience
        self.throttle = Throttle(max(1, lane.concurrency))
        self.breaker = Breaker(patience)
        self.paused_until = -math.inf
        self._requests = None if lane.requests_per_minute is None else Bucket(lane.requests_per_minute, now)
        self._tokens = None if lane.tokens_per_minute is None else Bucket(lane.tokens_per_minute, now)

    @property
    def room(self) -> int:
        """How many more attempts may run at once."""
        return max(0, self.throttle.limit - len(self.running))

    def wait_s(self, tokens: Tokens, now: float) -> float:
        """Seconds until an attempt of that size may begin, room apart."""
        wait = max(self.paused_until - now, self.breaker.wait_s(now), 0.0)
        if self._requests is not None:
            wait = max(wait, self._requests.wait_s(1, now))
        if self._tokens is not None:
            wait = max(wait, self._tokens.wait_s(tokens.input + tokens.output, now))
        return wait

    def take(self, tokens: Tokens, now: float) -> None:
        """An attempt of that size begins."""
        if self._requests is not None:
            self._requests.take(1, now)
        if self._tokens is not None:
            self._tokens.take(tokens.input + tokens.output, now)

    def landed(self, attempt: Attempt) -> None:
        """The attempt is no longer waited for."""
        attempt.flight.attempt = None
        self.running.pop(attempt, None)

    def succeeded(self, tokens: Tokens, completion: Completion, now: float) -> None:
        """Learns from an answer, and books the tokens really used instead of the estimate."""
        self.throttle.succeeded()
        self.breaker.alive()
        used = completion.usage
        if self._tokens is not None and used.input_tokens is not None and used.output_tokens is not None:
            self._tokens.take(used.input_tokens + used.output_tokens - tokens.input - tokens.output, now)

    def failed(self, attempt: Attempt, failure: Failure, now: float) -> None:
        """Learns from a failed try: slower after "too many", pausing when asked to, holding back when nothing works."""
        counts = failure.retryable or failure.kind == "auth"
        if failure.kind == "rate_limit" and failure.retryable:
            counts = self.throttle.refused(attempt.began, now) or attempt.probe  # a burst of refusals says one thing once
        if counts:
            self.breaker.failed(failure, probe=attempt.probe, now=now)
        elif not failure.retryable:
            self.breaker.alive()
        asked_s = failure.retry_after_s or 0.0
        if 0 < asked_s <= self._patience.retry_after_limit_s:
            self.paused_until = max(self.paused_until, now + asked_s)

    def delay_s(self, flight: Flight, failure: Failure, chance: Callable[[], float]) -> float | None:
        """Counts a failed try; seconds until the next one, or None if there is none."""
        patience, asked_s = self._patience, failure.retry_after_s or 0.0
        if failure.kind == "rate_limit":
            flight.refusals += 1
            tries, allowed = flight.refusals, min(1, self.lane.retries) * patience.rate_limit_tries
        else:
            flight.tries += 1
            tries, allowed = flight.tries, self.lane.retries
        if not failure.retryable or tries > allowed or asked_s > patience.retry_after_limit_s:
            return None
        return max(asked_s, backoff_s(tries, patience, chance))

    def clear(self) -> None:
        """A run ends: nothing is waited for, and the workers go home. What was learned about the pace stays."""
        self.running.clear()
        self.ready.clear()
        self.breaker.forget_probe()
        if self.crew is not None:
            self.crew.dismiss()
            self.crew = None
