"""The JSON Schema of what `convert` reads as a dataclass: derived from the same types and rules, so that the two agree."""

from __future__ import annotations

import types
import typing
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from promptreg.core.canonical import Json
from promptreg.documents.shapes import CONTAINERS, Rule, keys_of, plain_type

_NONE = type(None)


def json_schema(target: type[Any]) -> dict[str, Json]:
    """The JSON Schema of what `convert` reads as *target*; descriptions are the rules' docs and the class docstring."""
    properties: dict[str, Json] = {}
    required: list[Json] = []
    for name, (item, kind) in keys_of(typing.cast(Hashable, target)).items():
        schema = _schema(kind)
        if item.default is not MISSING and isinstance(item.default, (str, int, float, bool)):
            schema["default"] = item.default
        if item.default is MISSING and item.default_factory is MISSING:
            required.append(name)
        properties[name] = schema
    out: dict[str, Json] = {"type": "object"}
    if target.__doc__ and not target.__doc__.startswith(target.__name__ + "("):
        out["description"] = target.__doc__.split("\n")[0]
    out |= {"properties": properties, "additionalProperties": False}
    return out | ({"required": required} if required else {})


def _schema(kind: Any) -> dict[str, Json]:
    kind = plain_type(kind)
    origin = get_origin(kind)
    args = get_args(kind)
    if origin is Annotated:
        schema = _schema(args[0])
        for rule in args[1:]:
            schema = _ruled_schema(schema, rule) if isinstance(rule, Rule) else schema
        return schema
    if origin in (typing.Union, types.UnionType):
        members: list[Json] = [_schema(member) for member in args if member is not _NONE]
        only = members[0] if len(members) == 1 else {"anyOf": members}
        return dict(only)  # type: ignore[arg-type]
    if origin is Literal:
        return {"enum": list(args)}
    if is_dataclass(kind):
        return json_schema(typing.cast("type[Any]", kind))
    bare = origin or kind
    if isinstance(bare, type) and issubclass(bare, Enum):
        return {"enum": [member.value for member in bare]}
    if isinstance(bare, type) and issubclass(bare, Mapping):
        inner = _schema(args[1]) if args else {}
        return {"type": "object", "additionalProperties": inner} if inner else {"type": "object"}
    if bare in CONTAINERS:
        return _list_schema(bare, args)
    names: Mapping[Any, str] = {str: "string", Path: "string", bool: "boolean", int: "integer", float: "number", _NONE: "null"}
    return {"type": names[bare]} if bare in names else {}


def _list_schema(bare: Any, args: tuple[Any, ...]) -> dict[str, Json]:
    if bare is tuple and args and args[-1] is not ...:
        return {"type": "array", "prefixItems": [_schema(kind) for kind in args], "minItems": len(args), "maxItems": len(args)}
    inner = _schema(args[0]) if args else {}
    return {"type": "array", "items": inner} if inner else {"type": "array"}


def _ruled_schema(schema: dict[str, Json], rule: Rule) -> dict[str, Json]:
    out: dict[str, Json] = {"description": rule.doc} if rule.doc else {}
    if rule.schema is not None:
        return out | rule.schema()
    branches = schema.get("anyOf")
    if isinstance(branches, list):
        plain = Rule(**{name: getattr(rule, name) for name in _PER_KIND})
        return out | {"anyOf": [_ruled_schema(branch, plain) for branch in branches]}
    bounds = {"minimum": rule.ge, "exclusiveMinimum": rule.gt, "maximum": rule.le, "exclusiveMaximum": rule.lt}
    out |= schema
    if schema.get("type") in ("integer", "number"):
        out |= {name: bound for name, bound in bounds.items() if bound is not None}
    if schema.get("type") == "string" and rule.pattern:
        out["pattern"] = f"^(?:{rule.pattern})$"
    sizes: Mapping[Json, str] = {"string": "minLength", "array": "minItems", "object": "minProperties"}
    kind = schema.get("type")
    if rule.filled and kind in sizes:
        out[sizes[kind]] = 1
    if rule.unique and kind == "array":
        out["uniqueItems"] = True
    return out


_PER_KIND = ("ge", "gt", "le", "lt", "pattern", "looks", "filled", "unique")
