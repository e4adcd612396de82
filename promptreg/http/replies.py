"""What a reply other than 200 means: which kind of Failure, whether asking again may help, and how long to wait."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from promptreg.core.run import Failure

COMPLAINT_LIMIT = 300  # characters of a server's own words that a message repeats
_ERROR_LIMIT = 1024 * 1024  # bytes of an error's body that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, whatever its status. `headers` are case-insensitive; `elapsed_s` counts from send to the last byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float


def failure(reply: Reply, origin: str, key_env: str | None, masked: Callable[[str], str]) -> Failure:
    """What a reply other than 200 means, in one line that holds no key."""
    text, code = complaint(reply.body)
    said = f": {masked(text)}" if text else ""
    wait = retry_after_s(reply.headers)
    status = reply.status
    if status == 429:
        return Failure(
            kind="rate_limit",
            message=f"429 too many requests{said}{_asks_to(wait)}",
            retryable=code not in _SPENT,
            retry_after_s=wait,
        )
    if status in (401, 403):
        named = f"the key in {key_env}" if key_env else "a call without a key (no api_key_env is set)"
        return Failure(kind="auth", message=f"{status}: {origin} does not accept {named}{said}")
    if status == 408:
        return Failure(kind="timeout", message=f"408 the server gave up waiting{said}", retryable=True, retry_after_s=wait)
    if status >= 500:
        return Failure(kind="server", message=f"{status} from {origin}{said}", retryable=True, retry_after_s=wait)
    if 300 <= status < 400:
        aim = masked(reply.headers.get("location", "nowhere"))
        return Failure(
            kind="request", message=f"{status}: {origin} redirects to {aim}; keys are not carried along, so set base_url"
        )
    if status == 404 and not said:
        said = ": it has no such address, or no such model; base_url often ends in /v1"
    return Failure(kind="request", message=f"{status} from {origin}{said}")


def _asks_to(wait_s: float | None) -> str:
    """A wait that is long enough to end a run, for whoever reads why."""
    return f" (it asks to wait {wait_s / 60:,.0f} minutes)" if wait_s is not None and wait_s >= 120 else ""


_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "credit_balance_too_low"})


def complaint(body: bytes) -> tuple[str, str]:
    """A server's own words about an error, and its code or type: `{"error": {"message", "code", "type"}}` and its relatives."""
    try:
        raw = json.loads(body[:_ERROR_LIMIT])
    except (ValueError, RecursionError):
        text = body[: 4 * COMPLAINT_LIMIT].decode("utf-8", "replace")
        return ("" if text.lstrip().startswith("<") else text), ""
    error = raw.get("error", raw) if isinstance(raw, dict) else raw
    if not isinstance(error, dict):
        return str(error)[: 4 * COMPLAINT_LIMIT], ""
    text = next((error[key] for key in ("message", "detail", "error", "msg") if error.get(key)), "")
    code = next((error[key] for key in ("code", "type") if isinstance(error.get(key), str)), "")
    return (text if isinstance(text, str) else json.dumps(text))[: 4 * COMPLAINT_LIMIT], code


def retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait as `retry-after-ms` or `Retry-After` ask, in seconds or as an HTTP date (RFC 9110, 10.2.3).

    A date is measured from *now* (seconds since the epoch), by default from the reply's own Date, which no skewed clock disturbs.
    """
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _seconds(value)
    if seconds is not None or value is None:
        return seconds
    until = _http_date(value)
    if until is None:
        return None
    start = now if now is not None else _http_date(headers.get("date", "")) or time.time()
    return max(0.0, until - start)


def _seconds(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return max(0.0, number) if math.isfinite(number) else None


def _http_date(value: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None


def one_line(text: str) -> str:
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * COMPLAINT_LIMIT]).split())
    return line if len(line) <= COMPLAINT_LIMIT else line[: COMPLAINT_LIMIT - 1] + "…"
