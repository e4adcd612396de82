"""models.lock.json: what sources said of this registry's models, as canonical JSON, one fact to a line, under a digest of its own.

The snapshot that ships with promptreg has the same form. Whatever `write_models_lock` would not have written is refused, with its
line: a date that somebody turned by hand would silence a warning. Knows no disk and no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Literal, get_args

from promptreg.core.canonical import Json, canonical, digest
from promptreg.core.catalogue import Price
from promptreg.core.lifecycle import Fact, Precision, Source, day_number
from promptreg.core.names import shown
from promptreg.documents.json import decode_json
from promptreg.errors import DocumentError, UsageError, Where

MODELS_LOCK = "models.lock.json"
SCHEMA = "promptreg/models-lock/1"  # `promptreg/models/1` is what `models list --json` prints
MAX_LOCK_BYTES = 4 << 20  # some twenty thousand facts
LONGEST = 256  # characters of a model's name: the longest that a source publishes has 120
MAX_USD = 1e6  # per million tokens; more is a slip of the unit
MAX_NOTICE_DAYS = 3650
_AGAIN = "delete the file and run: promptreg models refresh"
_KEYS = frozenset(field.name for field in fields(Fact)) - {"shipped"}
_LOCKED = tuple(source for source in get_args(Source) if source != "registry")


def write_models_lock(facts: Iterable[Fact]) -> bytes:
    """The text of models.lock.json; `read_models_lock` is its inverse. The order of *facts* does not count, doubles go."""
    unique = {canonical(entry): entry for entry in map(_entry, facts)}
    rows = [unique[line] for line in sorted(unique, key=lambda line: (_order(unique[line]), line))]
    head = f'"digest": "{digest(SCHEMA, list(rows))}",\n"facts": ['
    body = ",\n".join(canonical(row).decode() for row in rows)
    return f'{{\n"schema": "{SCHEMA}",\n{head}{chr(10) if rows else ""}{body}{chr(10) if rows else ""}]\n}}\n'.encode()


def _order(entry: Mapping[str, Any]) -> tuple[str, str, str]:
    return entry["model"], entry["channel"], entry["source"]


def _entry(fact: Fact) -> dict[str, Json]:
    """What differs from the defaults, so that a line is not longer than what it says."""
    price = None if fact.price is None else {"input": fact.price.input, "output": fact.price.output}
    entry: dict[str, Json] = {name: getattr(fact, name) for name in sorted(_KEYS - {"price"})} | {"price": price}
    return {name: value for name, value in entry.items() if value is not None}


def read_models_lock(content: bytes, path: str = MODELS_LOCK) -> tuple[Fact, ...]:
    """The facts of *content*. DocumentError, with the line, for all that `write_models_lock` would not have written."""
    if len(content) > MAX_LOCK_BYTES:
        raise DocumentError(f"it is larger than {MAX_LOCK_BYTES:,} bytes", where=Where(path), hint=_AGAIN)
    text = content.replace(b"\r\n", b"\n")  # Windows' line ends come from Git, not from a hand
    raw = _decoded(text, path)
    facts = [_fact(row, Where(path, line)) for line, row in enumerate(raw["facts"], 5)]
    if raw["digest"] != digest(SCHEMA, raw["facts"]):
        raise DocumentError("it was changed after it was written: its digest does not fit", where=Where(path, 3), hint=_AGAIN)
    if write_models_lock(facts) != text:
        raise DocumentError("it is not written as promptreg writes it", where=Where(path), hint=_AGAIN)
    return tuple(facts)


def _decoded(text: bytes, path: str) -> Mapping[str, Any]:
    try:
        raw = decode_json(text)
    except ValueError as fault:
        raise DocumentError(f"it is not JSON: {str(fault)[:200]}", where=Where(path, broken_line(text)), hint=_AGAIN) from fault
    if not isinstance(raw, dict) or raw.keys() != {"schema", "digest", "facts"} or not isinstance(raw["facts"], list):
        if isinstance(raw, dict) and isinstance(raw.get("schema"), str) and raw["schema"] != SCHEMA:
            raise _unknown(raw["schema"], path)
        raise DocumentError("it is no list of facts about models", where=Where(path), hint=_AGAIN)
    if raw["schema"] != SCHEMA:
        raise _unknown(raw["schema"], path)
    return raw


def _unknown(schema: object, path: str) -> DocumentError:
    hint = f"{SCHEMA} is read here; a newer promptreg may have written it"
    return DocumentError(f"its schema is {shown(str(schema)[:99])}", where=Where(path, 2), hint=hint)


def broken_line(text: bytes) -> int:
    """The line at which *text* stops being JSON; markers of a merge are the usual reason."""
    import json

    try:
        json.loads(text)
    except json.JSONDecodeError as fault:
        return fault.lineno
    except (ValueError, RecursionError):
        pass
    return 0


def _fact(row: Any, where: Where) -> Fact:
    if not isinstance(row, dict) or not row.keys() <= _KEYS:
        raise DocumentError("a fact is an object with known keys only", where=where, hint=_AGAIN)
    try:
        return Fact(
            channel=checked_name(row.get("channel")),
            model=checked_name(row.get("model")),
            source=_one_of(row.get("source"), _LOCKED),
            edition=_edition(row.get("edition")),
            fetched_at=checked_date(row.get("fetched_at")),
            precision=_precision(row.get("precision"), row.get("date")),
            date=None if "date" not in row else checked_date(row["date"]),
            replacement=None if "replacement" not in row else checked_name(row["replacement"]),
            price=None if "price" not in row else _price(row["price"]),
            notice_days=None if "notice_days" not in row else checked_notice(row["notice_days"]),
        )
    except UsageError as fault:
        raise DocumentError(fault.message, where=where, hint=_AGAIN) from fault


# what every source must keep to -----------------------------------------------------------------------------------------------


def checked_name(value: Any) -> str:
    """The name of a model or of a channel, as it came. UsageError for what no name looks like."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST or not value.isprintable() or value != value.strip():
        raise UsageError(f"{shown(str(value)[:99])} is not the name of a model")
    return value


def checked_date(value: Any) -> str:
    """The day *value*. UsageError for anything else."""
    if not isinstance(value, str):
        raise UsageError(f"{shown(str(value)[:99])} is not a date like 2027-01-14")
    day_number(value)
    return value


def checked_usd(value: Any) -> float:
    """US dollars per million tokens. UsageError for what is no amount."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= MAX_USD:
        raise UsageError(f"{shown(str(value)[:99])} is no price in US dollars per million tokens")
    return float(value)


def checked_notice(value: Any) -> int:
    """Days of notice that a provider promises."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_NOTICE_DAYS:
        raise UsageError(f"{shown(str(value)[:99])} is no number of days")
    return value


def _edition(value: Any) -> str:
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        raise UsageError("'edition' must be a short text")
    return value


def _one_of(value: Any, allowed: tuple[Any, ...]) -> Any:
    if value not in allowed:
        raise UsageError(f"{shown(str(value)[:99])} must be one of {', '.join(allowed)}")
    return value


def _precision(value: Any, date: Any) -> Precision:
    found: Precision = _one_of(value, get_args(Precision))
    dated: tuple[Literal["exact"], Literal["earliest"]] = ("exact", "earliest")
    if (found in dated) != (date is not None):
        raise UsageError(f"precision '{found}' does not fit {'a' if date is not None else 'no'} date")
    return found


def _price(value: Any) -> Price:
    if not isinstance(value, dict) or value.keys() != {"input", "output"}:
        raise UsageError("a price has 'input' and 'output'")
    return Price(input=checked_usd(value["input"]), output=checked_usd(value["output"]))
