"""What no report may show: the values of secrets, wherever in a report they stand. Done on the report itself, before any format
cuts, wraps or escapes it, so that no half of a secret is left over.

Knows a secret by its value only. What short values would be masked by is a report full of holes, so they are left alone.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeVar, get_args
from urllib.parse import quote, quote_plus

from promptreg.core.diff import Piece, word_diff
from promptreg.core.drift import Kind
from promptreg.core.verdict import CaseChange, Changed, GuardName, LimitKind, Mode, Origin, ReferenceKind
from promptreg.errors import Reason

SHORTEST = 8  # characters: GitHub asks as much of what it masks
MASK = "***"
CLOSED = frozenset(
    word for words in (Changed, GuardName, Kind, LimitKind, Mode, Origin, ReferenceKind, Reason) for word in get_args(words)
)  # words of our own that programs read
T = TypeVar("T")


def masked(value: T, secrets: Sequence[str]) -> T:
    """*value* (a report, or any part of one) with `***` for each of *secrets*, also as JSON, URLs and base64 spell it."""
    spelt = {spelling for secret in secrets for spelling in _spellings(secret)}
    if not spelt:
        return value
    pattern = re.compile("|".join(map(re.escape, sorted(spelt, key=len, reverse=True))))
    return _masked(value, pattern)  # type: ignore[no-any-return]


def _spellings(secret: str) -> Iterator[str]:
    """The secret whole, each line of it (keys in PEM have many), and both as they stand in other texts."""
    for part in {secret, secret.strip(), *(line.strip() for line in secret.splitlines())}:
        if len(part) >= SHORTEST:
            data = part.encode("utf-8", "surrogatepass")
            yield from (part, json.dumps(part)[1:-1], json.dumps(part, ensure_ascii=False)[1:-1])
            yield from (quote(data, safe=""), quote(data), quote_plus(data))
            yield from (base64.b64encode(data).decode().rstrip("="), base64.urlsafe_b64encode(data).decode().rstrip("="))


def _masked(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return value if isinstance(value, Enum) or value in CLOSED else pattern.sub(MASK, value)
    if isinstance(value, tuple):
        return tuple(_masked(item, pattern) for item in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    whole = {field.name: getattr(value, field.name) for field in fields(value)}
    changed = {name: _masked(item, pattern) for name, item in whole.items()}
    if isinstance(value, CaseChange):
        changed["diff"] = _whole(value.diff, pattern) or changed["diff"]
    return replace(value, **changed)


def _whole(diff: tuple[Piece, ...], pattern: re.Pattern[str]) -> tuple[Piece, ...]:
    """The diff of the masked texts where a secret stood in one, for the pieces may have torn it apart; else nothing."""
    before, after = ("".join(piece.text for piece in diff if piece.kind in ("same", kind)) for kind in ("gone", "new"))
    if not pattern.search(before) and not pattern.search(after):
        return ()
    return word_diff(pattern.sub(MASK, before), pattern.sub(MASK, after))
