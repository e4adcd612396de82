"""One row of golden data → a Case: the same reading for inline cases of a suite and for every dataset format.

Knows no file format; the caller says where a key of the row stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

from promptreg.core.canonical import Json
from promptreg.core.suite import Case, Require, pair_key
from promptreg.documents.shapes import Place, Rule, Shaper
from promptreg.documents.yaml import dotted
from promptreg.errors import DataError, UsageError

ID_LENGTH = 12  # hex digits of the pair key: 48 bits, so that 100,000 rows clash with a chance of 1 in 50,000


@dataclass(frozen=True, slots=True, kw_only=True)
class RequireShape:
    """A case passes when k of its `of` repeats pass."""

    k: Annotated[int, Rule(doc="repeats that must pass", ge=1)]
    of: Annotated[int, Rule(doc="repeats that are made", ge=1)]

    def __post_init__(self) -> None:
        if self.k > self.of:
            raise ValueError(f"k is {self.k} but only {self.of} repeats are made")


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseShape:
    """One golden case: inputs, and what is known of the right answer."""

    inputs: Annotated[Mapping[str, Any], Rule(doc="the values of the prompt's variables; two rows with equal inputs are one unit")]
    id: Annotated[str | int, Rule(doc="a name for reports; without one, the digest of the inputs", filled=True)] = ""
    expected: Annotated[Any, Rule(doc="the right answer, in any form the checks use")] = None
    tags: Annotated[Mapping[str, str | int | float | bool], Rule(doc="slices this case belongs to")] = field(default_factory=dict)
    cluster: Annotated[str | int | None, Rule(doc="cases that are not independent share a cluster", filled=True)] = None
    require: Annotated[RequireShape | None, Rule(doc="for `run` only, never for a gate")] = None


_ROW_KEYS = frozenset(item.name for item in fields(CaseShape))


def read_case(row: Json, place: Place, *, written: Mapping[str, str] | None = None, error: type[UsageError] = DataError) -> Case:
    """The Case that *row* describes. Raises *error* with every complaint, at the place that *place* gives for a key of the row."""
    case = _quick(row, place)
    if case is not None:
        return case
    shaper = Shaper(place, written or {}, error=error, nulls=False)
    shape = shaper.build(row, CaseShape)
    if shape is not None:
        _refuse_deep(shape, shaper)
    shaper.finish()
    assert shape is not None
    require = Require(k=shape.require.k, of=shape.require.of) if shape.require else None
    said = written or {}
    tags = {name: _text(value, said.get(dotted("tags", name))) for name, value in shape.tags.items()}
    try:
        return Case(
            id=_text(shape.id, said.get("id")) or case_id(shape.inputs),
            inputs=shape.inputs,
            expected=shape.expected,
            tags=tags,
            cluster=None if shape.cluster is None else _text(shape.cluster, said.get("cluster")),
            require=require,
            where=place(""),
        )
    except UsageError as fault:  # what canonical JSON cannot say
        raise error(fault.message, where=place("inputs"), hint=fault.hint) from fault


def case_id(inputs: Mapping[str, Json]) -> str:
    """The id of a case that gives none: the first digits of its pair key."""
    return pair_key(inputs).removeprefix("sha256:")[:ID_LENGTH]


def _quick(row: Any, place: Place) -> Case | None:
    """The ordinary row, without the walk over types (a million rows: seconds, not minutes); None: look closer."""
    if type(row) is not dict or not _ROW_KEYS.issuperset(row) or "require" in row:
        return None
    inputs, given, tags, cluster = row.get("inputs"), row.get("id"), row.get("tags", {}), row.get("cluster", "")
    expected = row.get("expected")
    if type(inputs) is not dict or type(tags) is not dict or type(cluster) is not str or ("cluster" in row and not cluster):
        return None
    if not all(type(tag) is str for tag in tags.values()) or ("id" in row and not (type(given) is str and given)):
        return None
    if _deeper(inputs, MAX_DEPTH) or _deeper(expected, MAX_DEPTH):
        return None
    return Case(id=given or case_id(inputs), inputs=inputs, expected=expected, tags=tags, cluster=cluster or None, where=place(""))


MAX_DEPTH = 50  # of an input or an expected answer: what canonical JSON, rendering and grading walk by recursion


def _refuse_deep(shape: CaseShape, shaper: Shaper) -> None:
    for key, value in (("inputs", shape.inputs), ("expected", shape.expected)):
        if _deeper(value, MAX_DEPTH):
            shaper.complain(f"nested deeper than {MAX_DEPTH} levels", key)


def _deeper(value: Any, levels: int) -> bool:
    layer = [value]
    while layer and levels >= 0:
        layer = [
            inner
            for outer in layer
            if isinstance(outer, (dict, list, tuple))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        levels -= 1
    return bool(layer)


def _text(value: str | float | bool, written: str | None) -> str:
    if isinstance(value, str):
        return value
    return written or (str(value).lower() if isinstance(value, bool) else str(value))
