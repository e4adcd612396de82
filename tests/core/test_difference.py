"""How two prompts differ: about, inputs, params, schema, tools, messages with their partials in place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.diff import text_diff
from promptreg.core.difference import Change, changes, difference, rendered_changes
from promptreg.core.prompt import Message, MessageTemplate, Parameters, Part, Prompt
from promptreg.errors import TemplateError


def made(*contents: str, **fields: Any) -> Prompt:
    roles = ("system", "user", "assistant")
    messages = tuple(MessageTemplate(role=roles[at % 3], content=text) for at, text in enumerate(contents))  # type: ignore[arg-type]
    return Prompt(name="p", messages=messages, **fields)


BASE = made("Be polite.", "{{ x }}", inputs={"x": {"type": "string"}}, params=Parameters(temperature=0.0))


def test_a_prompt_does_not_differ_from_itself() -> None:
    found = difference(BASE, BASE)
    assert not found.any
    assert not found.behaviour


@pytest.mark.parametrize(
    ("field", "value", "part", "key", "kind"),
    [
        ("description", "Sorts", "about", "description", "added"),
        ("owners", ("ada",), "about", "owners", "added"),
        ("trust", {"x": "untrusted"}, "about", "trust", "added"),
        ("inputs", {"x": {"type": "integer"}}, "inputs", "x.type", "changed"),
        ("inputs", {"x": {"type": "string", "default": ""}}, "inputs", "x.default", "added"),
        ("inputs", {"x": {"type": "string"}, "y": {}}, "inputs", "y", "added"),
        ("inputs", {}, "inputs", "x", "removed"),
        ("params", Parameters(temperature=1.0), "params", "temperature", "changed"),
        ("params", Parameters(), "params", "temperature", "removed"),
        ("output_schema", {"type": "object"}, "output", "schema.type", "added"),
        ("tools", ({"type": "function", "function": {"name": "find"}},), "tools", "find", "added"),
    ],
)
def test_one_part_differs(field: str, value: object, part: str, key: str, kind: str) -> None:
    found = difference(BASE, replace(BASE, **{field: value}))  # type: ignore[arg-type]
    (change,) = getattr(found, part)
    assert (change.key, change.kind) == (key, kind)
    assert found.behaviour == (part != "about")
    others = {"about", "inputs", "params", "output", "tools", "messages"} - {part}
    assert not any(getattr(found, other) for other in others)


def test_messages_are_compared_word_by_word() -> None:
    found = difference(BASE, replace(BASE, messages=made("Be very polite.", "{{ x }}").messages))
    (change,) = found.messages
    assert (change.kind, change.name, change.before, change.after) == ("changed", "system", 1, 1)
    assert [(piece.kind, piece.text) for piece in change.pieces] == [("same", "Be "), ("new", "very "), ("same", "polite.")]


def test_a_message_put_between_others_is_one_addition() -> None:
    old = made("a", "b")
    new = Prompt(name="p", messages=(old.messages[0], MessageTemplate(role="assistant", content="new"), old.messages[1]))
    (change,) = difference(old, new).messages
    assert (change.kind, change.name, change.before, change.after) == ("added", "assistant", 0, 2)
    (back,) = difference(new, old).messages
    assert (back.kind, back.before, back.after) == ("removed", 2, 0)


def test_a_message_of_another_role_is_another_message() -> None:
    old = Prompt(name="p", messages=(MessageTemplate(role="system", content="a"),))
    new = Prompt(name="p", messages=(MessageTemplate(role="user", content="a"),))
    assert [change.kind for change in difference(old, new).messages] == ["removed", "added"]


def test_partials_are_folded_in_also_those_of_partials() -> None:
    old = made("{% include '_a.jinja' %} end", partials={"_a.jinja": "one {% include '_b.jinja' %}\n", "_b.jinja": "two\n"})
    new = replace(old, partials={"_a.jinja": "one {% include '_b.jinja' %}\n", "_b.jinja": "three\n"})
    (change,) = difference(old, new).messages
    assert "".join(piece.text for piece in change.pieces if piece.kind != "new") == "one two end"
    assert "".join(piece.text for piece in change.pieces if piece.kind != "gone") == "one three end"
    assert not difference(old, new).partials


def test_text_that_moves_into_a_partial_reads_the_same() -> None:
    old = made("Be polite.")
    new = made("{% include '_tone.jinja' %}", partials={"_tone.jinja": "Be polite.\n"})
    found = difference(old, new)
    assert found.behaviour
    assert found.moved
    assert not found.messages


def test_imported_partials_are_compared_by_themselves() -> None:
    source = "{% from '_m.jinja' import hello %}{{ hello() }}"
    old = made(source, partials={"_m.jinja": "{% macro hello() %}hi{% endmacro %}"})
    found = difference(old, replace(old, partials={"_m.jinja": "{% macro hello() %}hello{% endmacro %}"}))
    assert [change.name for change in found.partials] == ["_m.jinja"]
    assert not found.messages


def test_a_comment_is_no_difference() -> None:
    assert not difference(BASE, replace(BASE, messages=made("Be polite.{# why #}", "{{x}}").messages)).any


def test_includes_that_double_at_each_level_end() -> None:
    partials = {f"_{n}.jinja": f"{{% include '_{n + 1}.jinja' %}}{{% include '_{n + 1}.jinja' %}}" for n in range(40)}
    partials["_40.jinja"] = "x"
    old = made("{% include '_0.jinja' %}", partials=partials)
    assert not difference(old, old).any
    round_and_round = {"_a.jinja": "{% include '_b.jinja' %}", "_b.jinja": "{% include '_a.jinja' %}"}
    prompt = made("{% include '_a.jinja' %}", partials=round_and_round)
    assert not difference(prompt, prompt).any


def test_a_broken_template_is_an_error() -> None:
    with pytest.raises(TemplateError):
        difference(BASE, made("{{ x"))


def test_images_have_a_text() -> None:
    one = Message(role="user", content=(Part(type="text", value="see"), Part(type="image", value="https://a/1.png")))
    other = replace(one, content=(Part(type="text", value="see"), Part(type="image", value="https://a/2.png")))
    (change,) = rendered_changes((one,), (other,))
    assert "".join(piece.text for piece in change.pieces if piece.kind != "new") == "see\n[image: https://a/1.png]"


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("xyz", min_size=1, max_size=2), inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.text("xyz", min_size=1, max_size=2), JSON, max_size=3)


@given(MAPPINGS, MAPPINGS)
def test_changes_mirror_and_are_empty_just_for_equals(one: dict[str, Any], other: dict[str, Any]) -> None:
    mirror = {"added": "removed", "removed": "added", "changed": "changed"}
    there = {(change.key, change.kind, repr(change.before), repr(change.after)) for change in changes(one, other)}
    back = {(change.key, mirror[change.kind], repr(change.after), repr(change.before)) for change in changes(other, one)}
    assert there == back
    assert bool(there) == (repr_sorted(one) != repr_sorted(other))


def repr_sorted(value: Any) -> str:
    """True and 1 are told apart, the order of keys is not."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {repr_sorted(value[key])}" for key in sorted(value)) + "}"
    return repr(value)


def test_true_is_not_one() -> None:
    assert list(changes({"a": [True]}, {"a": [1]}))
    assert not list(changes({"a": 1.0}, {"a": 1}))
    assert list(changes({"a": True}, {"a": 1})) == [Change(kind="changed", key="a", before=True, after=1)]


LINES = st.lists(st.sampled_from(["one two\n", "three\n", "\n", "four five six"]), max_size=12).map("".join)


@given(LINES, LINES)
def test_a_text_diff_spells_both_sides(one: str, other: str) -> None:
    pieces = text_diff(one, other)
    assert "".join(piece.text for piece in pieces if piece.kind != "new") == one
    assert "".join(piece.text for piece in pieces if piece.kind != "gone") == other


def test_two_words_far_apart_in_a_long_text_are_two_small_changes() -> None:
    lines = [f"line {number} says something of its own" for number in range(300)]
    changed = [*lines]
    changed[3], changed[290] = lines[3].replace("says", "said"), lines[290].replace("own", "other")
    pieces = text_diff("\n".join(lines), "\n".join(changed))
    assert [piece.text for piece in pieces if piece.kind == "new"] == ["said", "other"]
