"""The shortcut past the JSON Schema engine never says "it fits" of what the engine refuses, and takes what most inputs are."""

from __future__ import annotations

from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.schema import Schema
from promptreg.core.simple import fits, is_simple

TEXT = st.text(max_size=4)
LENGTH = st.integers(0, 4)
KEYS = {
    "type": st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"]),
    "enum": st.lists(TEXT, min_size=1, max_size=3),
    "minLength": LENGTH,
    "maxLength": LENGTH,
    "minItems": LENGTH,
    "maxItems": LENGTH,
    "title": TEXT,
    "default": st.none() | TEXT,
}
SCHEMAS = st.recursive(
    st.fixed_dictionaries({}, optional=KEYS),
    lambda inner: st.fixed_dictionaries({}, optional={**KEYS, "items": inner}),
    max_leaves=3,
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=6,
)


@given(SCHEMAS, VALUES)
def test_what_fits_the_engine_takes(schema: dict[str, Any], value: Any) -> None:
    assert is_simple(schema)
    engine = jsonschema_rs.validator_for(schema)
    if fits(schema, value):
        assert engine.is_valid(value)
    assert (Schema(schema).complaints(value) == []) == engine.is_valid(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "maxLength": 4000}, "Charged twice."),
        ({"type": "array", "items": {"type": "string"}}, ["billing", "bug"]),
        ({"enum": ["a", "b"], "title": "Tone"}, "b"),
        ({"type": "number"}, 3),
        ({"type": "boolean", "default": False}, True),
    ],
)
def test_what_most_inputs_are_needs_no_engine(schema: dict[str, Any], value: Any) -> None:
    assert is_simple(schema)
    assert fits(schema, value)


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "a"},
        {"$ref": "#"},
        {"type": ["string", "null"]},
        {"type": "strin"},
        {"minLength": -1},
        {"minLength": True},
        {"minLength": 1.0},
        {"enum": []},
        {"enum": [1]},
        {"title": 1},
        {"items": {"minimum": 1}},
        {"items": True},
        {"$schema": "https://json-schema.org/draft-07/schema"},
    ],
)
def test_all_else_is_the_engines(schema: dict[str, Any]) -> None:
    assert not is_simple(schema)
