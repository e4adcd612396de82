"""Dates as people read and type them: UTC, to the minute or second."""

from __future__ import annotations

from datetime import UTC, datetime

from promptreg.core.names import shown
from promptreg.errors import UsageError


def date(seconds: float) -> str:
    """`2026-05-01 12:00`, UTC; what no calendar holds, as a number."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"
    except (ValueError, OverflowError, OSError):
        return f"@{seconds:.0f}"


def iso(seconds: float) -> str:
    """`2026-05-01T12:00:00Z`, for machines."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError):
        return f"@{seconds:.0f}"


def parse_date(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 date or time; without a zone it is UTC. UsageError for anything else."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        hint = "for example 2026-05-01, 2026-05-01T12:00 or 2026-05-01T12:00+02:00; without a zone it is UTC"
        raise UsageError(f"{shown(text)} is no date", hint=hint) from None
    try:
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        raise UsageError(f"{shown(text)} lies outside of the calendar", hint="choose a year from 1970 on") from None
