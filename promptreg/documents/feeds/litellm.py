"""litellm's model_prices_and_context_window.json: prices per token, and `deprecation_date`, which is the day of the shutdown.

https://github.com/BerriAI/litellm (MIT). A model without that date is not said to be safe: the table does not know.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from promptreg.core.catalogue import Price
from promptreg.core.lifecycle import Fact
from promptreg.documents.feeds.feed import Feed
from promptreg.documents.lifecycle import checked_name, checked_usd

SAMPLE = "sample_spec"  # an entry that explains the others
CHANNELS: Mapping[str, str] = {
    "text-completion-openai": "openai",
    "azure_ai": "azure",
    "azure_text": "azure",
    "bedrock": "aws-bedrock",
    "bedrock_converse": "aws-bedrock",
    "gemini": "google",
}
LOWER_BOUNDS = frozenset({"google", "vertex"})  # Google publishes the earliest possible day only (ai.google.dev, deprecations)
_VERSION = re.compile(r"litellm[-/@](?:v)?(\d+\.\d+(?:\.\d+)?)")


def recognises(raw: dict[str, Any]) -> bool:
    return SAMPLE in raw or any(isinstance(row, dict) and "litellm_provider" in row for row in list(raw.values())[:5])


def facts(raw: dict[str, Any], feed: Feed) -> Iterator[Fact]:
    version = _VERSION.search(feed.path)
    edition = version[1] if version else feed.fetched_at
    for key, row in feed.entries(raw):
        if key == SAMPLE:
            continue
        entry = feed.mapping(row, key)
        provider = entry.get("litellm_provider")
        if provider is None:
            continue
        channel = _channel(feed.checked(checked_name, provider, key))
        name = feed.checked(checked_name, _bare(feed.checked(checked_name, key, key), channel), key)
        found = replace(feed, channel=channel).fact("litellm", name, feed.date(entry.get("deprecation_date"), key), "silent")
        price = _price(entry, key, feed)
        if found.date is None and price is None:
            continue
        if found.date is not None and channel in LOWER_BOUNDS:
            found = replace(found, precision="earliest")
        yield replace(found, edition=edition, price=price)


def _channel(provider: str) -> str:
    return "vertex" if provider.startswith("vertex_ai") else CHANNELS.get(provider, provider)


def _bare(key: str, channel: str) -> str:
    """The model's own name: the table puts the provider, and for Bedrock a region, before it."""
    if channel == "aws-bedrock":
        return key.rpartition("/")[2]
    head, slash, rest = key.partition("/")
    return rest if slash and _channel(head) == channel else key


def _price(entry: dict[str, Any], key: str, feed: Feed) -> Price | None:
    sent, received = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if sent is None or received is None:
        return None
    return Price(input=_per_million(sent, key, feed), output=_per_million(received, key, feed))


def _per_million(usd: Any, key: str, feed: Feed) -> float:
    """Dollars per million tokens; twelve digits, so that 5e-08 becomes 0.05 and not 0.049999999999999996."""
    scaled = usd * 1e6 if isinstance(usd, (int, float)) and not isinstance(usd, bool) else usd
    return float(f"{feed.checked(checked_usd, scaled, key):.12g}")
