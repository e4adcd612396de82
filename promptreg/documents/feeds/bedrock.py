"""Amazon Bedrock's ListFoundationModels and GetFoundationModel: `modelLifecycle.endOfLifeTime` of each model.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_FoundationModelLifecycle.html. The API wants signed requests, so its
answer comes as a file: `aws bedrock list-foundation-models > bedrock.json`. An active model without that time has none yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from promptreg.core.lifecycle import Fact
from promptreg.documents.feeds.feed import Feed
from promptreg.errors import UsageError

CHANNEL = "aws-bedrock"


def recognises(raw: dict[str, Any]) -> bool:
    return "modelSummaries" in raw or "modelDetails" in raw


def facts(raw: dict[str, Any], feed: Feed) -> Iterator[Fact]:
    feed = replace(feed, channel=CHANNEL)
    for row in feed.entries(raw["modelSummaries"] if "modelSummaries" in raw else [raw["modelDetails"]]):
        entry = feed.mapping(row)
        name = feed.name(entry, "modelId")
        life = entry.get("modelLifecycle")
        if life is None:
            continue
        end = feed.mapping(life, name).get("endOfLifeTime")
        day = None if end is None else feed.date(feed.checked(_day, end, name), name)
        yield feed.fact("api", name, day, "none")


def _day(time: Any) -> str:
    """The day, in UTC, of a time as AWS writes it: ISO 8601, or seconds since the epoch."""
    try:
        if isinstance(time, (int, float)) and not isinstance(time, bool):
            return datetime.fromtimestamp(time, UTC).date().isoformat()
        found = datetime.fromisoformat(time)
        return (found.astimezone(UTC) if found.tzinfo else found).date().isoformat()
    except (TypeError, ValueError, OverflowError, OSError) as fault:
        raise UsageError(f"{str(time)[:60]!r} is no time like 2027-01-14T00:00:00Z") from fault
