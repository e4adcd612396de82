"""The only door to jsonschema_rs: a compiled JSON Schema that lists what is wrong with a value.

Patterns run in linear time, and a `$ref` never leaves the schema: hostile schemas are expected. Knows nothing of prompts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from promptreg.core.canonical import Json
from promptreg.core.simple import fits, is_simple
from promptreg.errors import UsageError

if TYPE_CHECKING:
    import jsonschema_rs

COMPLAINTS = 100  # of one value; more help nobody, and a hostile value could have millions
MESSAGE = 500  # characters of one complaint: messages quote the value


class Schema:
    """A JSON Schema, draft 2020-12 unless `$schema` says otherwise. Raises UsageError when it is not one."""

    __slots__ = ("_schema", "_simple", "_validator")

    def __init__(self, schema: Mapping[str, Json]) -> None:
        self._schema = _plain(schema)
        self._simple = is_simple(self._schema)
        self._validator = None if self._simple else _compile(self._schema)

    def complaints(self, value: Json) -> list[str]:
        """What is wrong with *value*, each as `$.a.b[0]: message`; empty when it fits."""
        try:
            if self._simple and fits(self._schema, value):
                return []
            plain = _plain(value)
            validator = self._validator = self._validator or _compile(self._schema)
            if validator.is_valid(plain):
                return []
            found: list[str] = []
            for fault in validator.iter_errors(plain):
                found.append(f"{_path(fault.instance_path)}: {_short(fault.message)}")
                if len(found) == COMPLAINTS:
                    break
        except (ValueError, RecursionError) as fault:
            return [f"$: {_short(str(fault))}"]
        return found


def _compile(schema: Any) -> jsonschema_rs.Validator:
    import jsonschema_rs

    if not isinstance(schema, dict):
        raise UsageError("a JSON Schema must be a mapping", hint="write for example {type: string}")
    try:
        return jsonschema_rs.validator_for(schema, retriever=_never, pattern_options=jsonschema_rs.RegexOptions())
    except jsonschema_rs.ValidationError as fault:
        place = "".join(f"/{part}" for part in fault.instance_path)
        at = f" at {place}" if place else ""
        raise UsageError(f"not a JSON Schema{at}: {_short(fault.message)}", hint=_hint(fault.message)) from fault
    except (ValueError, RecursionError) as fault:
        raise UsageError(f"not a JSON Schema: {_short(str(fault))}", hint=_hint(str(fault))) from fault


def _never(uri: str) -> Any:
    raise ValueError(f"{uri} is outside the schema, and nothing is fetched")


def _hint(message: str) -> str:
    if "nothing is fetched" in message:
        return "put the definitions under $defs in the same schema"
    if "regex" in message:
        return "look-around and back references are not supported: patterns must run in linear time"
    return "see https://json-schema.org/understanding-json-schema"


def _plain(value: Any) -> Any:
    """The value in dicts and lists, which is all that jsonschema_rs takes."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _path(parts: Sequence[str | int]) -> str:
    return "$" + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _short(message: str) -> str:
    return message if len(message) <= MESSAGE else message[: MESSAGE - 1] + "…"
