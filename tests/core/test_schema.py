"""JSON Schemas: complaints with their paths, and hostile schemas."""

from __future__ import annotations

import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.schema import COMPLAINTS, MESSAGE, Schema
from promptreg.errors import ExitCode, UsageError

NESTED: dict[str, Any] = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {"b": {"type": "integer", "maximum": 3}}}}},
    "required": ["a"],
}


@pytest.mark.parametrize(
    ("schema", "value", "complaints"),
    [
        ({}, {"anything": [1]}, []),
        ({"type": "string"}, "x", []),
        ({"type": "string"}, 3, ['$: 3 is not of type "string"']),
        (NESTED, {"a": [{"b": 1}]}, []),
        (
            NESTED,
            {"a": [{"b": 1}, {"b": "x"}, {"b": 4}]},
            ['$.a[1].b: "x" is not of type "integer"', "$.a[2].b: 4 is greater than the maximum of 3"],
        ),
        (NESTED, {}, ['$: "a" is a required property']),
        ({"type": "array", "items": {"type": "integer"}}, (1, 2), []),
        ({"type": "object"}, types.MappingProxyType({"a": 1}), []),
        ({"$defs": {"n": {"type": "null"}}, "$ref": "#/$defs/n"}, 1, ['$: 1 is not of type "null"']),
        ({"type": "string", "pattern": "^(a+)+$"}, "a" * 50_000 + "b", None),
    ],
)
def test_complaints_name_the_place(schema: dict[str, Any], value: Any, complaints: list[str] | None) -> None:
    found = Schema(schema).complaints(value)
    if complaints is None:
        assert len(found) == 1
        assert len(found[0]) < MESSAGE + 10
    else:
        assert found == complaints


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "strin"}, "/type"),
        ({"properties": {"a": {"minimum": "3"}}}, "/properties/a/minimum"),
        ({"$ref": "https://example.com/schema.json"}, "nothing is fetched"),
        ({"$ref": "file:///etc/passwd"}, "nothing is fetched"),
        ({"$ref": "#/nowhere"}, "nowhere"),
        ({"$schema": "https://example.com/meta"}, "meta-schema"),
        ({"pattern": "(?=a)b"}, "regex"),
        ({"pattern": "("}, "regex"),
        ("string", "must be a mapping"),
    ],
)
def test_a_faulty_schema_is_the_users_to_mend(schema: Any, words: str) -> None:
    with pytest.raises(UsageError, match="JSON Schema") as caught:
        Schema(schema)
    assert words in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_complaints_are_limited_in_number() -> None:
    assert len(Schema({"items": {"type": "string"}}).complaints(list(range(1000)))) == COMPLAINTS


def test_a_value_nested_too_deeply_is_a_complaint_not_a_crash() -> None:
    value: Any = []
    for _ in range(100_000):
        value = [value]
    assert Schema({"type": "array"}).complaints(value)[0].startswith("$: ")


@given(st.lists(st.integers() | st.text(), max_size=5))
def test_agrees_with_a_reference_validator(value: list[Any]) -> None:
    import jsonschema

    schema = {"type": "array", "items": {"type": "integer"}, "maxItems": 3}
    assert (not Schema(schema).complaints(value)) == jsonschema.Draft202012Validator(schema).is_valid(value)
