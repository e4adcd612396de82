"""What changed between two prompts, and the version step that it asks for: a table, and laws."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from versions import FINAL

from promptreg.core.change import Bump, Change, change, least, step
from promptreg.core.identity import behaviour_digest
from promptreg.core.prompt import MessageTemplate, Parameters, Prompt
from promptreg.core.schema import Schema
from promptreg.core.semver import parse_version
from promptreg.core.widening import covers

TOOL = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {"id": {"type": "string"}}}},
}
ANSWER = {"type": "object", "properties": {"queue": {"enum": ["bug", "billing"]}, "why": {"type": "string"}}, "required": ["queue"]}


def made(**changes: Any) -> Prompt:
    standing = {
        "name": "triage",
        "messages": (MessageTemplate(role="user", content="Sort {{ ticket }}."),),
        "inputs": {"ticket": {"type": "string", "maxLength": 100}, "tone": {"type": "string", "default": "kind"}},
        "output_schema": ANSWER,
        "tools": (TOOL,),
    }
    return Prompt(**{**standing, **changes})


def inputs(**changes: Any) -> dict[str, Any]:
    return {"inputs": {name: schema for name, schema in {**made().inputs, **changes}.items() if schema is not None}}


def answer(**changes: Any) -> dict[str, Any]:
    return {"output_schema": {**ANSWER, **changes}}


def field(**changes: Any) -> dict[str, Any]:
    fields = {**ANSWER["properties"], **changes}  # type: ignore[dict-item]
    return answer(properties={name: schema for name, schema in fields.items() if schema is not None})


def tool(**changes: Any) -> dict[str, Any]:
    return {"tools": ({**TOOL, "function": {**TOOL["function"], **changes}},)}  # type: ignore[dict-item]


CASES: dict[str, tuple[dict[str, Any], Bump, str]] = {
    "the same": ({}, Bump.NONE, ""),
    "a description": ({"description": "other", "owners": ("me",), "trust": {"ticket": "untrusted"}}, Bump.NONE, ""),
    "a text": (
        {"messages": (MessageTemplate(role="user", content="Sort {{ ticket }}!"),)},
        Bump.PATCH,
        "message 1 (user) has another",
    ),
    "a comment": ({"messages": (MessageTemplate(role="user", content="Sort {{ ticket }}{# so #}."),)}, Bump.NONE, ""),
    "a role": ({"messages": (MessageTemplate(role="system", content="Sort {{ ticket }}."),)}, Bump.PATCH, "another role: system"),
    "a message more": (
        {"messages": (*made().messages, MessageTemplate(role="user", content="Go."))},
        Bump.PATCH,
        "message 2 (user) is new",
    ),
    "a parameter": ({"params": Parameters(temperature=0.5)}, Bump.PATCH, "the parameter 'temperature' is new"),
    "an input removed": (inputs(tone=None), Bump.MAJOR, "the input 'tone' is removed"),
    "a required input": (inputs(queue={}), Bump.MAJOR, "the required input 'queue' is new"),
    "an optional input": (inputs(queue={"default": 1}), Bump.MINOR, "the optional input 'queue' is new"),
    "an input made required": (inputs(tone={"type": "string"}), Bump.MAJOR, "'tone' is required now"),
    "an input made optional": (inputs(ticket={"type": "string", "maxLength": 100, "default": ""}), Bump.MINOR, "is optional now"),
    "another default": (inputs(tone={"type": "string", "default": "dry"}), Bump.PATCH, "'tone' has another default"),
    "a default of another type that Python calls equal": (
        inputs(tone={"type": "string", "default": "kind", "title": "T"}),
        Bump.PATCH,
        "described otherwise",
    ),
    "an input retyped": (inputs(ticket={"type": "integer"}), Bump.MAJOR, "'ticket' accepts other values"),
    "an input narrowed": (inputs(ticket={"type": "string", "maxLength": 50}), Bump.MAJOR, "'ticket' accepts less"),
    "an input widened": (inputs(ticket={"type": "string", "maxLength": 200}), Bump.MINOR, "'ticket' accepts more"),
    "an input of any kind": (inputs(ticket={}), Bump.MINOR, "'ticket' accepts more"),
    "free text": ({"output_schema": None}, Bump.MAJOR, "the answer was JSON and is free text now"),
    "a new field": (field(sure={"type": "boolean"}), Bump.MINOR, "the field 'sure' of the answer is new"),
    "a field removed": (field(why=None), Bump.MAJOR, "the field 'why' of the answer is removed"),
    "a field retyped": (field(why={"type": "number"}), Bump.MAJOR, "the field 'why' of the answer has another type"),
    "a value fewer": (field(queue={"enum": ["bug"]}), Bump.MAJOR, "may have fewer values"),
    "a value more": (field(queue={"enum": ["bug", "billing", "spam"]}), Bump.MAJOR, "may have more values"),
    "a field described": (field(why={"type": "string", "description": "in short"}), Bump.PATCH, "is described otherwise"),
    "a field no longer certain": (answer(required=[]), Bump.MAJOR, "the field 'queue' of the answer may be missing now"),
    "a field certain now": (answer(required=["queue", "why"]), Bump.MINOR, "the field 'why' of the answer is always there now"),
    "a closed answer": (answer(additionalProperties=False), Bump.MAJOR, "the answer may have fewer values"),
    "a tool removed": ({"tools": ()}, Bump.MAJOR, "the tool 'find' is removed"),
    "a tool more": ({"tools": (TOOL, {"name": "stop"})}, Bump.MINOR, "the tool 'stop' is new"),
    "a tool described": (tool(description="Finds."), Bump.PATCH, "the tool 'find' is described otherwise"),
    "a tool's field": (
        tool(parameters={"type": "object", "properties": {"id": {"type": "string"}, "at": {}}}),
        Bump.MINOR,
        "'at' of the call of 'find' is new",
    ),
    "a tool's field retyped": (
        tool(parameters={"type": "object", "properties": {"id": {"type": "integer"}}}),
        Bump.MAJOR,
        "'id' of the call of 'find' has",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_changed_decides_the_step(name: str) -> None:
    changes, floor, said = CASES[name]
    found = change(made(), made(**changes))
    assert found.floor is floor, found
    assert any(said in reason.message for reason in found.reasons) if said else not found.reasons


def test_the_largest_difference_decides_and_stands_first() -> None:
    found = change(made(), made(messages=(), **inputs(tone=None, queue={"default": 1})))
    assert [reason.bump for reason in found.reasons] == [Bump.MAJOR, Bump.MINOR, Bump.PATCH]
    assert found.floor is Bump.MAJOR


def test_a_partial_counts_as_far_as_it_is_included() -> None:
    message = (MessageTemplate(role="user", content='{% include "_a.jinja" %}{{ ticket }}'),)
    old = made(messages=message, partials={"_a.jinja": "A", "_b.jinja": "B"})
    assert change(old, replace(old, partials={"_a.jinja": "A", "_b.jinja": "other"})).reasons == ()
    (reason,) = change(old, replace(old, partials={"_a.jinja": "other"})).reasons
    assert (reason.bump, reason.key, reason.message) == (Bump.PATCH, "partials._a.jinja", "the partial '_a.jinja' changed")


# laws ------------------------------------------------------------------------------------------------------------------------

SCALARS = st.sampled_from([0, 1, 1.0, True, "a", "b", None])
FLAT = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "integer", "number", "array", "object", ["string", "null"]]),
        "enum": st.lists(SCALARS, min_size=1, max_size=3),
        "const": SCALARS,
        "minimum": st.integers(0, 2),
        "maximum": st.integers(0, 2),
        "maxLength": st.integers(0, 2),
        "minItems": st.integers(0, 2),
        "uniqueItems": st.booleans(),
        "pattern": st.sampled_from(["a", "b"]),
        "title": st.sampled_from(["one", "two"]),
        "default": SCALARS,
    },
)
SCHEMAS = st.recursive(
    FLAT,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["array", "object"]),
            "items": inner,
            "properties": st.dictionaries(st.sampled_from("xy"), inner, max_size=2),
            "required": st.lists(st.sampled_from("xy"), unique=True, max_size=2),
            "additionalProperties": st.one_of(st.booleans(), inner),
        },
    ),
    max_leaves=4,
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.sampled_from([2, 0.5, "ab", ""])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("xyz"), inner, max_size=2)),
    max_leaves=5,
)
PROMPTS = st.builds(
    made,
    inputs=st.dictionaries(st.sampled_from(["ticket", "tone", "queue"]), FLAT, max_size=3),
    output_schema=st.one_of(st.none(), SCHEMAS),
    messages=st.lists(
        st.builds(MessageTemplate, role=st.sampled_from(["user", "system"]), content=st.sampled_from(["A", "B", "{{ ticket }}"])),
        max_size=2,
    ).map(tuple),
    params=st.builds(Parameters, temperature=st.sampled_from([None, 0.0, 1.0])),
    tools=st.lists(
        st.builds(lambda name, parameters: {"name": name, "parameters": parameters}, st.sampled_from("fg"), SCHEMAS), max_size=2
    ).map(tuple),
)


@settings(deadline=None)
@given(PROMPTS)
def test_nothing_changed_between_a_prompt_and_itself(prompt: Prompt) -> None:
    assert change(prompt, prompt) == Change(())


@settings(deadline=None)
@given(PROMPTS, PROMPTS)
def test_there_is_a_reason_exactly_where_the_behaviour_digest_differs(old: Prompt, new: Prompt) -> None:
    found = change(old, new)
    assert bool(found.reasons) == (behaviour_digest(old) != behaviour_digest(new))
    assert (found.floor is Bump.NONE) == (not found.reasons)


@settings(deadline=None)
@given(PROMPTS, PROMPTS)
def test_removing_is_the_mirror_of_adding(old: Prompt, new: Prompt) -> None:
    there, back = change(old, new).reasons, change(new, old).reasons
    for kind, mirrored in (("added", "removed"), ("removed", "added"), ("changed", "changed")):
        assert {each.key for each in there if each.kind == kind} == {each.key for each in back if each.kind == mirrored}


@settings(deadline=None)
@given(SCHEMAS, SCHEMAS, st.lists(VALUES, min_size=5, max_size=20))
def test_what_covers_accepts_all_that_the_other_accepts(wide: dict[str, Any], narrow: dict[str, Any], values: list[Any]) -> None:
    if not covers(wide, narrow):
        return
    accepting, accepted = Schema(wide), Schema(narrow)
    for value in values:
        assert accepted.complaints(value) or not accepting.complaints(value), json.dumps([wide, narrow, value])


@settings(deadline=None)
@given(SCHEMAS)
def test_a_schema_covers_itself_and_anything_covers_it(schema: dict[str, Any]) -> None:
    assert covers(schema, schema)
    assert covers({}, schema)
    assert covers(True, schema)


# steps -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("previous", "floor", "lowest"),
    [
        ("1.4.2", Bump.MAJOR, "2.0.0"),
        ("1.4.2", Bump.MINOR, "1.5.0"),
        ("1.4.2", Bump.PATCH, "1.4.3"),
        ("0.4.2", Bump.MAJOR, "0.5.0"),
        ("0.4.2", Bump.MINOR, "0.5.0"),
        ("0.4.2", Bump.PATCH, "0.4.3"),
    ],
)
def test_the_lowest_version_that_a_change_allows(previous: str, floor: Bump, lowest: str) -> None:
    assert str(least(parse_version(previous), floor)) == lowest


@settings(deadline=None)
@given(FINAL, st.sampled_from([Bump.PATCH, Bump.MINOR, Bump.MAJOR]))
def test_a_step_goes_up_and_never_below_what_the_change_allows(previous: Any, bump: Bump) -> None:
    assert step(previous, bump) >= least(previous, bump) > previous
