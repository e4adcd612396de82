"""Asks a forge's API: one request and its reply, with patience for rate limits and bad moments. Knows neither GitHub nor GitLab.

Reading is asked for again until it succeeds. Writing is not, where nobody knows whether it happened: then `Unsure` is raised, and
whoever writes looks first. Keys go nowhere but into headers; what the far side says is shown without them, on one line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import PublisherContext
from promptreg.core.run import Failure
from promptreg.errors import UsageError
from promptreg.http import Address, Endpoint, Http, Reply, complaint, endpoint
from promptreg.http.replies import retry_after_s

ATTEMPTS = 5
LONGEST_WAIT_S = 120.0  # a job that waits longer costs more than its comment is worth
TIMEOUT_S = 30.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A reply: status, headers (names in any case), JSON (None when it was none), and the far side's own words about an error."""

    status: int
    headers: Mapping[str, str]
    value: Json
    said: str = ""


class Unsure(UsageError):
    """A write of which nobody knows whether it happened."""


class Forge:
    """One API. *key_header* is (name, prefix) of the header that carries the key in the variable that *address* names."""

    def __init__(self, context: PublisherContext, address: Address, key_header: tuple[str, str], own: Mapping[str, str]) -> None:
        self._sleep = context.sleep
        self._http = Http(1, context.env)
        self._endpoint: Endpoint = endpoint(address, context.env, key_header, own)
        if self._endpoint.unready is not None:
            raise self._endpoint.unready
        self.origin = self._endpoint.origin

    def ask(self, method: str, path: str, body: Json = None, *, writes: bool = False) -> Answer:
        """The answer, if its status is below 500. UsageError when none is to be had; Unsure when that leaves a write in doubt."""
        data = None if body is None else json.dumps(body).encode()
        reason = ""
        for attempt in range(ATTEMPTS):
            reply = self._endpoint.request(self._http, method, self.origin + path, data, TIMEOUT_S)
            if isinstance(reply, Reply) and not _limited(reply) and reply.status < 500:
                return self._answer(reply)
            reason = self._why(reply)
            limited = isinstance(reply, Reply) and _limited(reply)
            if writes and not limited and not (isinstance(reply, Failure) and not reply.retryable):
                raise Unsure(f"{self.origin} did not answer: {reason}", hint="doing it again may work")
            wait = _wait_s(reply, attempt)
            if wait > LONGEST_WAIT_S or (isinstance(reply, Failure) and not reply.retryable):
                break
            if attempt + 1 < ATTEMPTS:
                self._sleep(wait)
        raise UsageError(f"{self.origin} did not answer: {reason}", hint="run the job again later, or check the network")

    def surely(self, action: Callable[[], T]) -> T:
        """*action*, which looks before it writes, again when a write was in doubt."""
        for attempt in range(ATTEMPTS - 1):
            try:
                return action()
            except Unsure:
                self._sleep(2.0**attempt)
        return action()

    def close(self) -> None:
        self._http.close()

    def masked(self, text: str) -> str:
        return self._endpoint.masked(text)

    def _answer(self, reply: Reply) -> Answer:
        try:
            value: Json = json.loads(reply.body) if reply.body else None
        except (ValueError, RecursionError):
            value = None
        said = self.masked(complaint(reply.body)[0]) if reply.status >= 400 else ""
        return Answer(status=reply.status, headers=reply.headers, value=value, said=said)

    def _why(self, reply: Reply | Failure) -> str:
        if isinstance(reply, Failure):
            return self.masked(reply.message)
        said = self.masked(complaint(reply.body)[0])
        wait = _asked_wait_s(reply)
        asks = f" (it asks to wait {wait / 60:,.0f} minutes)" if wait is not None and wait > LONGEST_WAIT_S else ""
        return f"status {reply.status}{': ' if said else ''}{said}{asks}"


def _limited(reply: Reply) -> bool:
    """Whether it refused only because too much was asked (GitHub says so with 403, too): then nothing was done."""
    if reply.status == 429:
        return True
    if reply.status != 403:
        return False
    asked = reply.headers.get("retry-after") is not None or reply.headers.get("x-ratelimit-remaining") == "0"
    return asked or "rate limit" in complaint(reply.body)[0].lower()


def _wait_s(reply: Reply | Failure, attempt: int) -> float:
    asked = _asked_wait_s(reply) if isinstance(reply, Reply) else reply.retry_after_s
    return 2.0**attempt if asked is None else asked


def _asked_wait_s(reply: Reply) -> float | None:
    """Seconds, as Retry-After says, or until x-ratelimit-reset (seconds since the epoch) by the reply's own clock."""
    asked = retry_after_s(reply.headers)
    reset = reply.headers.get("x-ratelimit-reset", "")
    if asked is not None or not (reset.isascii() and reset.isdigit()) or reply.headers.get("x-ratelimit-remaining") != "0":
        return asked
    from email.utils import parsedate_to_datetime

    try:
        return max(0.0, int(reset) - parsedate_to_datetime(reply.headers.get("date", "")).timestamp())
    except (ValueError, OverflowError):
        return None
