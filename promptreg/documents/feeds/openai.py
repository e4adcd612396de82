"""OpenAI's answer to GET /v1/models: `shutdown_date` is a day, or null while no shutdown is announced.

https://developers.openai.com/api/docs/deprecations. Other servers answer without that key: their silence says nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promptreg.core.lifecycle import Fact
from promptreg.documents.feeds.feed import Feed


def recognises(raw: dict[str, Any]) -> bool:
    return (raw.get("object") == "list" and "data" in raw) or raw.get("object") == "model"


def facts(raw: dict[str, Any], feed: Feed) -> Iterator[Fact]:
    for row in feed.entries(raw.get("data", [raw])):
        entry = feed.mapping(row)
        name = feed.name(entry, "id")
        if "shutdown_date" in entry:
            yield feed.fact("api", name, feed.date(entry["shutdown_date"], name), "none")
