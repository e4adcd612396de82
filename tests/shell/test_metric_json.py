"""`json`: the answer is JSON, of a shape, with a value at a place. The package `jsonschema` is the oracle for shapes."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from answers import LONG, answer, value
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.protocols import Answer
from promptreg.core.run import Completion, Stop
from promptreg.core.suite import Case
from promptreg.errors import UsageError
from promptreg.metrics import json_path, strict_json
from promptreg.metrics.json import JsonAnswer

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"a": 1}', None),
        (' [1, 2.5e3, "é", null, true]\n', None),
        ('"text"', None),
        ("3", None),
        ('{"a": "\\ud83d\\ude00"}', None),
        ("", "expecting value"),
        ("Sure! {}", "expecting value"),
        ("{} hope that helps", "extra data"),
        ("{'a': 1}", "expecting property name"),
        ('{"a": 1,}', "line 1"),
        ("NaN", "NaN is not JSON"),
        ("[Infinity]", "Infinity is not JSON"),
        ("1e999", "beyond every number"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('"\\ud800"', "surrogate"),
        ("[" * 200 + "]" * 200, "nested too deeply"),
        ("[" * LONG, "nested too deeply"),
        ('{"a":' * 150 + "1" + "}" * 150, "nested too deeply"),
        ("9" * 5000, "integer"),
        ("```json\n{}\n```", "expecting value"),
        ("x" * LONG, "expecting value"),
    ],
)
def test_only_json_is_json(text: str, complaint: str | None) -> None:
    score = JsonAnswer().score(answer(text))
    assert score.value == (complaint is None)
    assert complaint is None or complaint in score.reason


def test_depth_is_bounded_by_nesting_not_by_size() -> None:
    assert value(JsonAnswer(), json.dumps([[1]] * 1000)) == 1
    assert value(JsonAnswer(), "[" * 100 + "]" * 100) == 1


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('```json\n{"a": 1}\n```', True),
        ('\n```\n{"a": 1}\n```\n', True),
        ('{"a": 1}', True),
        ('```json\n{"a": 1}', False),
        ('Here:\n```json\n{"a": 1}\n```', False),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```', False),
        ("```" * (LONG // 3), False),
        ("```json\n" + "\n" * LONG, False),
    ],
)
def test_a_fence_is_accepted_on_request(text: str, right: bool) -> None:
    assert value(JsonAnswer(fenced=True), text) == right


SCHEMAS: list[dict[str, Any]] = [
    {"type": "object", "required": ["queue"]},
    {"type": "object", "properties": {"queue": {"enum": ["billing", "bug"]}}, "additionalProperties": False},
    {"type": "array", "items": {"type": "integer", "minimum": 0}, "uniqueItems": True, "maxItems": 3},
    {"anyOf": [{"type": "string", "pattern": "^[a-z]+$"}, {"type": "number", "multipleOf": 0.5}]},
    {"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"},
    {"const": 1},
    {"type": "integer"},
    {"not": {"type": "null"}},
    {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"type": "array"}},
    {"prefixItems": [{"type": "string"}, {"type": "boolean"}], "items": False},
]
VALUES: list[Any] = [
    {"queue": "billing"},
    {"queue": "other"},
    {"queue": "bug", "extra": 1},
    {},
    [1, 2, 3],
    [1, 1],
    [1, 2, 3, 4],
    [-1],
    [],
    ["a", True],
    ["a", True, 1],
    "abc",
    "ABC",
    "",
    1,
    1.0,
    1.5,
    1.3,
    True,
    None,
    {"next": {"next": {}}},
    {"next": {"next": 1}},
    {"a": 1},
    {"a": 1, "b": 2},
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=json.dumps)
def test_schemas_say_what_jsonschema_says(schema: dict[str, Any]) -> None:
    oracle = jsonschema.Draft202012Validator(schema)
    for found in VALUES:
        assert value(JsonAnswer(schema=schema), json.dumps(found)) == oracle.is_valid(found), found


def test_the_prompts_own_schema() -> None:
    schema = {"type": "object", "required": ["queue"]}
    assert value(JsonAnswer(schema="output"), '{"queue": "bug"}', output_schema=schema) == 1
    assert value(JsonAnswer(schema="output"), "{}", output_schema=schema) == 0
    with pytest.raises(UsageError, match="the prompt has none"):
        JsonAnswer(schema="output").score(answer("{}"))


@pytest.mark.parametrize(
    ("path", "equals", "text", "right"),
    [
        ("queue", "bug", '{"queue": "bug"}', True),
        ("queue", "bug", '{"queue": "Bug"}', False),
        ("queue", "bug", '{"queue": ["bug"]}', False),
        ("queue", "bug", "{}", False),
        ("queue", "bug", '["bug"]', False),
        ("$.a.b[0].c", 1, '{"a": {"b": [{"c": 1.0}]}}', True),
        ("a", 1, '{"a": true}', False),
        ("a", True, '{"a": 1}', False),
        ("a", 0, '{"a": false}', False),
        ("a", None, '{"a": null}', True),
        ("a", None, "{}", False),
        ("[-1]", 3, "[1, 2, 3]", True),
        ("[3]", 3, "[1, 2, 3]", False),
        ("a", {"x": [1, {"y": None}]}, '{"a": {"x": [1.0, {"y": null}]}}', True),
        ("a", {"x": 1, "y": 2}, '{"a": {"y": 2, "x": 1}}', True),
        ("a", [1, 2], '{"a": [2, 1]}', False),
        ("", {"a": 1}, '{"a": 1}', True),
        ("", [], "[]", True),
        ("", "", "[]", False),
        ("über.日本", "é", '{"über": {"日本": "é"}}', True),
        ("length", 2, '"ab"', False),
    ],
)
def test_a_value_at_a_path(path: str, equals: Any, text: str, right: bool) -> None:
    assert value(JsonAnswer(path=path, equals=equals), text) == right


def test_a_path_alone_must_be_there() -> None:
    assert value(JsonAnswer(path="a.b"), '{"a": {"b": null}}') == 1
    score = JsonAnswer(path="a.b[2]").score(answer('{"a": {"b": [1]}}'))
    assert (score.value, score.reason) == (0, "$.a.b has no [2]")


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("", ()),
        ("$", ()),
        ("a", ("a",)),
        ("$.a", ("a",)),
        (".a.b", ("a", "b")),
        ("[0][-1].x", (0, -1, "x")),
        ("a['odd key'][\"b.c\"]", ("a", "odd key", "b.c")),
    ],
)
def test_paths(path: str, steps: tuple[str | int, ...]) -> None:
    assert json_path.steps(path) == steps


@pytest.mark.parametrize(
    "path", ["a..b", "a.", "a[*]", "a[?(@.b)]", "..a", "a b", "a[1:2]", "a[", "a['x]", "[99999999999]", "*", "a[]"]
)
def test_a_path_that_is_not_understood_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not understood"):
        JsonAnswer(path=path)


@pytest.mark.parametrize("schema", [{"type": "nonsense"}, "other", {"$ref": "https://example.com/schema.json"}])
def test_a_faulty_schema_is_refused(schema: Any) -> None:
    with pytest.raises((ValueError, UsageError)):
        JsonAnswer(schema=schema)


@given(JSON, JSON)
def test_equality_is_that_of_json(left: Any, right: Any) -> None:
    def plain(found: Any) -> Any:
        """Python's equality made JSON's by telling truth values from numbers."""
        if isinstance(found, bool):
            return ("truth", found)
        if isinstance(found, dict):
            return {key: plain(item) for key, item in found.items()}
        return [plain(item) for item in found] if isinstance(found, list) else found

    assert strict_json.same(left, left)
    assert strict_json.same(left, right) == (plain(left) == plain(right))


@given(JSON)
def test_what_json_writes_is_read_back(found: Any) -> None:
    assert strict_json.same(strict_json.parse(json.dumps(found, ensure_ascii=False)), found)


def test_an_answer_that_was_cut_off_is_called_so() -> None:
    cut = Answer(completion=Completion(text='{"a": "b', stop=Stop.LENGTH), case=Case(id="c", inputs={}))
    assert (
        JsonAnswer()
        .score(cut)
        .reason.startswith("not JSON, cut off at max_tokens: unterminated string starting at line 1, column 7")
    )
