"""Feed: one file or answer that speaks of models, and how its faults are told: with the line on which the entry's name stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from promptreg.core.lifecycle import Fact, Precision, Source
from promptreg.documents.lifecycle import checked_date, checked_name
from promptreg.errors import DocumentError, UsageError, Where

MAX_FEED_BYTES = 32 << 20  # what the HTTP door lets in; litellm's table has 3 MB
MAX_ENTRIES = 50_000  # ten times litellm's table

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Where a feed came from (`path`, a file or an address), on which day, and of which channel its answers are."""

    path: str
    fetched_at: str
    channel: str = "openai"  # of an answer in OpenAI's form, which names no host
    text: bytes = field(default=b"", repr=False)

    def of(self, text: bytes) -> Feed:
        return replace(self, text=text)

    def place(self, name: object) -> Where:
        """The line on which *name* stands first; the file itself where nothing can be found."""
        needle = json.dumps(name, ensure_ascii=False).encode("utf-8", "replace") if isinstance(name, str) else b""
        at = self.text.find(needle) if needle else -1
        return Where(self.path, self.text.count(b"\n", 0, at) + 1 if at >= 0 else 0)

    def fault(self, message: str, name: object = None) -> DocumentError:
        """What is wrong with the entry *name*."""
        of = f"{name[:80]!r}: " if isinstance(name, str) else ""
        return DocumentError(of + message, where=self.place(name), hint="nothing of it was taken; mend it, or leave it out")

    def entries(self, rows: Any) -> Iterable[Any]:
        """*rows*, if it is a list or a mapping of bearable length."""
        if not isinstance(rows, (list, dict)) or len(rows) > MAX_ENTRIES:
            raise self.fault(f"a list of at most {MAX_ENTRIES:,} models is wanted")
        return rows.items() if isinstance(rows, dict) else rows

    def mapping(self, row: Any, name: object = None) -> dict[str, Any]:
        if not isinstance(row, dict):
            raise self.fault("an object is wanted", name)
        return row

    def name(self, row: dict[str, Any], key: str) -> str:
        """The model that *row* is of."""
        return self.checked(checked_name, row.get(key), row.get(key))

    def checked(self, check: Callable[[Any], Value], value: Any, name: object) -> Value:
        """What *check* makes of *value*, its complaint at the entry *name*."""
        try:
            return check(value)
        except UsageError as fault:
            raise self.fault(fault.message, name) from fault

    def date(self, value: Any, name: object) -> str | None:
        """A day or nothing."""
        return None if value is None else self.checked(checked_date, value, name)

    def fact(self, source: Source, model: str, date: str | None, undated: Precision) -> Fact:
        """The usual fact: an exact day, or *undated*."""
        return Fact(
            channel=self.channel,
            model=model,
            source=source,
            edition=self.fetched_at if source == "api" else "",
            fetched_at=self.fetched_at,
            date=date,
            precision=undated if date is None else "exact",
        )
