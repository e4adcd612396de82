"""JSON Schemas that need no engine: a type, a list of texts, lengths, and lists of such. Most inputs of prompts are declared so.

Only a shortcut to "it fits": what does not fit surely is left to the engine, which also says why. It spares production the
engine's 30 ms at the first rendering.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_TYPES = frozenset(("string", "integer", "number", "boolean", "null", "array", "object"))
_ANNOTATIONS = frozenset(("title", "description"))  # must be text; say nothing about a value
_LENGTHS = frozenset(("minLength", "maxLength", "minItems", "maxItems"))


def is_simple(schema: Any) -> bool:
    """Whether *schema* is valid and has no key but these: type, enum (of texts), lengths, items, title, description, default."""
    return isinstance(schema, Mapping) and all(_is_simple_key(key, value) for key, value in schema.items())


def _is_simple_key(key: str, value: Any) -> bool:
    if key == "type":
        return isinstance(value, str) and value in _TYPES
    if key == "enum":
        return isinstance(value, list) and len(value) > 0 and all(isinstance(item, str) for item in value)
    if key in _LENGTHS:
        return type(value) is int and 0 <= value < 2**53
    if key == "items":
        return is_simple(value)
    return key == "default" or (key in _ANNOTATIONS and isinstance(value, str))


def fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether *value* surely fits a simple *schema*; False may also mean that it takes the engine to tell."""
    kind = _kind(value)
    wanted = schema.get("type", kind)
    if kind == "" or (wanted != kind and (wanted, kind) != ("number", "integer")):
        return False
    if "enum" in schema and (kind != "string" or value not in schema["enum"]):
        return False
    if kind == "string":
        return _is_within(schema, len(value), "minLength", "maxLength")
    if kind == "array":
        items = schema.get("items", {})
        return _is_within(schema, len(value), "minItems", "maxItems") and all(fits(items, item) for item in value)
    return True


def _is_within(schema: Mapping[str, Any], size: int, least: str, most: str) -> bool:
    return bool(schema.get(least, 0) <= size <= schema.get(most, size))


def _kind(value: Any) -> str:
    """The JSON type of *value*; empty where the engine should look: huge numbers, text that is no text, what is no JSON."""
    if isinstance(value, str):
        return "string" if value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value) else ""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "integer" if abs(value) < 2**53 else ""
    if isinstance(value, float):
        return "number" if not value.is_integer() and abs(value) < 1e300 else ""
    if isinstance(value, Mapping):
        return ""  # what it holds may be no JSON
    return "array" if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray) else ""
