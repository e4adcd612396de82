"""Whether one JSON Schema accepts all that another accepts: yes only where that is certain. Knows no prompts and no versions.

Sound, not complete: keywords that look at one another (references, conditions, patterns of names) are compared as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from promptreg.core.canonical import Json, canonical

ANNOTATIONS = frozenset(("title", "description", "default", "examples", "$comment", "deprecated", "readOnly", "writeOnly"))
_REFERENCES = ("$ref", "$dynamicRef", "$defs", "definitions", "$schema", "$id", "$anchor", "if", "then", "else")
_LISTS = ("prefixItems", "additionalItems", "contains", "minContains", "maxContains", "unevaluatedItems")
_OBJECTS = ("patternProperties", "propertyNames", "unevaluatedProperties", "dependentSchemas", "dependentRequired", "dependencies")
_KNOTTED = frozenset((*_REFERENCES, *_LISTS, *_OBJECTS))
_ALONE = frozenset(("pattern", "format", "multipleOf", "allOf", "anyOf", "oneOf", "not", "contentEncoding", "contentMediaType"))
_FLOORS = frozenset(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"))
_CEILINGS = frozenset(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"))
_NAMES: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


def same(one: Json, other: Json) -> bool:
    """Whether two values are one JSON value: 1 is 1.0, and is not true."""
    return canonical(one) == canonical(other)


def bare(schema: Json) -> Json:
    """*schema* without what says nothing about values: titles, descriptions, defaults; its fields and items so, too."""
    if not isinstance(schema, Mapping):
        return schema
    kept = {key: value for key, value in schema.items() if key not in ANNOTATIONS}
    if isinstance(fields := kept.get("properties"), Mapping):
        kept["properties"] = {name: bare(field) for name, field in fields.items()}
    if "items" in kept:
        kept["items"] = bare(kept["items"])
    return kept


def covers(wide: Json, narrow: Json) -> bool:
    """Whether *wide* certainly accepts every value that *narrow* accepts."""
    wide, narrow = bare(wide), bare(narrow)
    if wide is True or wide == {} or narrow is False or same(wide, narrow):
        return True
    if not isinstance(wide, Mapping):
        return False
    narrow = {} if narrow is True else narrow
    if not isinstance(narrow, Mapping) or _KNOTTED & (wide.keys() | narrow.keys()):
        return False
    return all(_implied(key, wide, narrow) for key in wide)


def _implied(key: str, wide: Mapping[str, Json], narrow: Mapping[str, Json]) -> bool:
    """Whether what *narrow* says keeps every value within what *wide* says under *key*."""
    if key in _SPECIAL:
        return _SPECIAL[key](wide, narrow)
    if key in _FLOORS or key in _CEILINGS:
        ours, theirs = wide[key], narrow.get(key)
        if not _number(ours) or not _number(theirs):
            return False
        return theirs >= ours if key in _FLOORS else theirs <= ours  # type: ignore[operator]
    if key in _ALONE or key == "uniqueItems":
        return wide[key] is False or (key in narrow and same(wide[key], narrow[key]))
    return False  # a keyword that nobody here knows


def _type(wide: Mapping[str, Json], narrow: Mapping[str, Json]) -> bool:
    allowed = set(_listed(wide["type"]))
    allowed |= {"integer"} if "number" in allowed else set()
    values = _enumerated(narrow)
    if "type" not in narrow:
        return values is not None and all(_name(value) in allowed for value in values)
    return set(_listed(narrow["type"])) <= allowed


def _values(wide: Mapping[str, Json], narrow: Mapping[str, Json]) -> bool:
    ours, theirs = _enumerated(wide), _enumerated(narrow)
    return ours is not None and theirs is not None and _texts(theirs) <= _texts(ours)


def _required(wide: Mapping[str, Json], narrow: Mapping[str, Json]) -> bool:
    return set(_listed(wide["required"])) <= set(_listed(narrow.get("required", [])))


def _items(wide: Mapping[str, Json], narrow: Mapping[str, Json]) -> bool:
    return "items" in narrow and covers(wide["items"], narrow["items"])


def _properties(wide: Mapping[str, Json], narrow: Mapping[str, Json]) -> bool:
    theirs = _fields(narrow)
    closed = narrow.get("additionalProperties") is False
    return all(covers(field, theirs[name]) if name in theirs else closed for name, field in _fields(wide).items())


def _additional(wide: Mapping[str, Json], narrow: Mapping[str, Json]) -> bool:
    limit = wide["additionalProperties"]
    if limit is True or limit == {}:
        return True
    rest = narrow.get("additionalProperties", True)
    unknown = [field for name, field in _fields(narrow).items() if name not in _fields(wide)]
    return covers(limit, rest) and all(covers(limit, field) for field in unknown)


_SPECIAL: Mapping[str, Callable[[Mapping[str, Json], Mapping[str, Json]], bool]] = {
    "type": _type,
    "enum": _values,
    "const": _values,
    "required": _required,
    "items": _items,
    "properties": _properties,
    "additionalProperties": _additional,
}


def _fields(schema: Mapping[str, Json]) -> Mapping[str, Json]:
    fields = schema.get("properties")
    return fields if isinstance(fields, Mapping) else {}


def _enumerated(schema: Mapping[str, Json]) -> list[Json] | None:
    """All values that *schema* can accept, where it lists them."""
    if "const" in schema:
        return [schema["const"]]
    return _listed(schema["enum"]) if "enum" in schema else None


def _listed(value: Json) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _texts(values: Iterable[Json]) -> set[bytes]:
    return {canonical(value) for value in values}


def _number(value: Json) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _name(value: Json) -> str:
    if isinstance(value, float) and value.is_integer():
        return "integer"
    return "null" if value is None else _NAMES.get(type(value), "")
