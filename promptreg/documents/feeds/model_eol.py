"""model-eol/0.1: a publisher's models with `shutdown`, `replacement` and other channels' own dates.

https://github.com/thossullivan/model-eol/blob/main/SPEC.md. A model without a shutdown is a statement there: none was scheduled
when the feed was made. `date_precision: earliest` is a day before which nothing happens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from promptreg.core.lifecycle import Fact, Precision
from promptreg.documents.feeds.feed import Feed
from promptreg.documents.lifecycle import checked_name, checked_notice
from promptreg.errors import UsageError

SPEC = "model-eol/0.1"
CHANNELS: Mapping[str, str] = {"amazon": "aws-bedrock", "azure-ai-foundry": "azure", "vertex-ai": "vertex", "gemini-api": "google"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Edition:
    feed: Feed
    channel: str
    day: str  # of its making
    notice_days: int | None


def recognises(raw: dict[str, Any]) -> bool:
    return str(raw.get("spec")).startswith("model-eol/") and "models" in raw


def facts(raw: dict[str, Any], feed: Feed) -> Iterator[Fact]:
    if raw["spec"] != SPEC:
        raise feed.fault(f"it is {str(raw['spec'])[:40]!r}, and {SPEC} is read here", raw["spec"])
    publisher = feed.name(raw, "publisher")
    policy = feed.mapping(raw.get("policy") or {})
    edition = _Edition(
        feed=feed,
        channel=CHANNELS.get(publisher, publisher),
        day=min(feed.checked(_day, raw.get("generated"), raw.get("generated")), feed.fetched_at),
        notice_days=feed.checked(checked_notice, policy["min_notice_days"], None) if "min_notice_days" in policy else None,
    )
    for row in feed.entries(raw["models"]):
        yield from _model(feed.mapping(row), edition)


def _model(row: dict[str, Any], edition: _Edition) -> Iterator[Fact]:
    feed = edition.feed
    name = feed.name(row, "id")
    replacement = row.get("replacement")
    if replacement is None and row.get("replacement_options"):
        replacement = next(iter(feed.entries(row["replacement_options"])))  # the provider's own order
    own = replace(
        _fact(row, name, edition),
        replacement=None if replacement is None else feed.checked(checked_name, replacement, name),
        notice_days=edition.notice_days,
    )
    yield own
    for alias in feed.entries(row.get("aliases") or []):
        yield replace(own, model=feed.checked(checked_name, alias, name))
    for each in feed.entries(row.get("distributions") or []):
        via = feed.name(feed.mapping(each, name), "via")
        there = replace(_fact(each, name, edition), channel=CHANNELS.get(via, via), replacement=own.replacement)
        if there.date is not None:  # a channel without a date may still have one of its publisher's
            yield there


def _fact(row: dict[str, Any], name: str, edition: _Edition) -> Fact:
    date = edition.feed.date(row.get("shutdown"), name)
    return Fact(
        channel=edition.channel,
        model=name,
        source="model-eol",
        edition=edition.day,
        fetched_at=edition.day,
        date=date,
        precision=_precision(row, name, edition.feed) if date is not None else "silent" if row.get("announced") else "none",
    )


def _precision(row: dict[str, Any], name: str, feed: Feed) -> Precision:
    found = row.get("date_precision", "exact")
    if found == "exact":
        return "exact"
    if found == "earliest":
        return "earliest"
    raise feed.fault(f"date_precision {str(found)[:40]!r} is neither exact nor earliest", name)


def _day(time: Any) -> str:
    try:
        return datetime.fromisoformat(time).date().isoformat()
    except (TypeError, ValueError) as fault:
        raise UsageError(f"'generated' must be a time like 2026-08-18T12:00:00Z, not {str(time)[:40]!r}") from fault
