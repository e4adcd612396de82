"""Prompts and inputs become messages; declarations are checked both ways."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.prompt import Message, MessageTemplate, Part, Prompt
from promptreg.core.render import Renderer, check_declarations
from promptreg.errors import DataError, ExitCode, TemplateError, UsageError, Where

CASE = Where("suites/triage.jsonl", 3)
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def prompt(*contents: Any, roles: tuple[Any, ...] = ("system", "user", "assistant"), **rest: Any) -> Prompt:
    messages = tuple(
        MessageTemplate(role=role, content=content, where=Where("prompts/t.yaml", 5 * position + 5))
        for position, (role, content) in enumerate(zip(roles, contents, strict=False))
    )
    return Prompt(name="t", messages=messages, where=Where("prompts/t.yaml"), **rest)


TRIAGE = prompt(
    "Queues: {{ queues | join(', ') }}.\n",
    "{{ ticket }}",
    inputs={
        "ticket": {"type": "string", "maxLength": 20},
        "queues": {"type": "array", "items": {"type": "string"}, "default": ["billing", "bug"]},
    },
    marks={
        "inputs.ticket": Where("prompts/t.yaml", 2, 3, "inputs.ticket"),
        "inputs.queues": Where("prompts/t.yaml", 3, 3, "inputs.queues"),
    },
)


def test_renders_with_defaults_and_roles_of_the_prompt() -> None:
    messages = Renderer(TRIAGE).messages({"ticket": "Help!\n"})
    assert messages == (Message(role="system", content="Queues: billing, bug."), Message(role="user", content="Help!\n"))
    assert Renderer(TRIAGE).messages({"ticket": "x", "queues": ["a"]})[0].content == "Queues: a."


@pytest.mark.parametrize(
    ("inputs", "messages"),
    [
        ({}, ["input 'ticket' is missing"]),
        ({"ticket": None}, ["input 'ticket' breaks its schema: $: null is not of type"]),
        ({"ticket": "x" * 21}, ["is longer than 20 characters"]),
        ({"ticket": "x", "queues": ["a", 3]}, ["input 'queues' breaks its schema: $[1]: 3 is not of type"]),
        ({"tickt": "x"}, ["unknown input 'tickt'; did you mean 'ticket'?", "input 'ticket' is missing"]),
        ({"ticket": "x", "q": 1, "r": 2, "queues": 3}, ["unknown input 'q'", "unknown input 'r'", "input 'queues' breaks"]),
    ],
)
def test_wrong_inputs_are_the_cases_fault_and_all_are_named(inputs: dict[str, Any], messages: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        Renderer(TRIAGE).messages(inputs, CASE)
    faults = [caught.value, *caught.value.more]
    assert len(faults) == len(messages)
    for fault, words in zip(faults, messages, strict=True):
        assert words in fault.message
        assert fault.where == CASE
        assert fault.hint
        assert fault.exit_code is ExitCode.USAGE


def test_a_failing_template_names_the_prompts_line_and_the_case() -> None:
    faulty = prompt("fine", "one\n{{ item.name }}", inputs={"item": {"type": "object"}})
    with pytest.raises(TemplateError, match=r"no key 'name'.*suites/triage\.jsonl:3") as caught:
        Renderer(faulty).messages({"item": {"nam": 1}}, CASE)
    assert caught.value.where == Where("prompts/t.yaml", 11)


def test_a_faulty_input_schema_is_the_prompts_fault() -> None:
    faulty = prompt("{{ a }}", inputs={"a": {"type": "strin"}}, marks={"inputs.a": Where("prompts/t.yaml", 2)})
    with pytest.raises(UsageError, match="input 'a'") as caught:
        Renderer(faulty).messages({"a": "x"})
    assert caught.value.where == Where("prompts/t.yaml", 2)


@given(st.text())
def test_no_variable_forges_a_role_or_a_message(text: str) -> None:
    rendered = Renderer(prompt("S", "{{ x }}", "A", inputs={"x": {}})).messages({"x": text})
    assert [message.role for message in rendered] == ["system", "user", "assistant"]
    assert [message.content for message in rendered] == ["S", text, "A"]


@given(
    st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.floats(allow_nan=False, allow_infinity=False)), max_size=4)
)
def test_the_same_inputs_give_the_same_messages(value: dict[str, Any]) -> None:
    template = prompt("{{ x | tojson }} {{ x }}", inputs={"x": {"type": "object"}})
    assert Renderer(template).messages({"x": value}) == Renderer(template).messages({"x": value})


@pytest.mark.parametrize("source", ["https://example.com/a.png?x=1", PIXEL, "data:image/svg+xml;base64,PHN2Zz4="])
def test_image_parts(source: str) -> None:
    parts = (Part(type="text", value="What is {{ q }}?"), Part(type="image", value="{{ photo }}"))
    [message] = Renderer(prompt(parts, inputs={"q": {}, "photo": {}})).messages({"q": "this", "photo": source})
    assert message.content == (Part(type="text", value="What is this?"), Part(type="image", value=source))


@pytest.mark.parametrize(
    "source",
    [
        "http://example.com/a.png",
        "file:///etc/passwd",
        "/etc/passwd",
        "javascript:alert(1)",
        "data:text/html;base64,PGI+",
        "https://",
        "https://a b",
        "https://a.b/c\nd",
        PIXEL + "\nx",
        "data:image/png,raw",
        "",
        "x" * 1000,
        3,
        None,
        [PIXEL],
    ],
)
def test_other_image_sources_are_refused(source: Any) -> None:
    parts = (Part(type="image", value="{{ photo }}"),)
    with pytest.raises(TemplateError, match="image") as caught:
        Renderer(prompt(parts, inputs={"photo": {}})).messages({"photo": source}, CASE)
    assert caught.value.where == Where("prompts/t.yaml", 5)
    assert len(caught.value.message) < 300


def test_a_large_image_costs_no_allowance() -> None:
    photo = "data:image/png;base64," + "A" * 8_000_000
    [message] = Renderer(prompt((Part(type="image", value="{{ photo }}"),), inputs={"photo": {}})).messages({"photo": photo})
    assert message.content == (Part(type="image", value=photo),)


@pytest.mark.parametrize(
    ("contents", "rest", "words"),
    [
        (["{{ a }}"], {"inputs": {"a": {}}}, []),
        (
            ["{{ tickt }}"],
            {"inputs": {"ticket": {}}},
            ["'tickt' is not a declared input; did you mean 'ticket'?", "'ticket' is declared but no message uses it"],
        ),
        (["{% include 'p' %}"], {"partials": {"p": "\n{{ tone }}"}}, ["'tone' is not a declared input"]),
        (["{% include 'p' %}"], {"partials": {"p": "{{ tone }}"}, "inputs": {"tone": {}}}, []),
        (["{% for x in xs %}{{ x }}{{ y }}{% endfor %}"], {"inputs": {"xs": {}}}, ["'y' is not a declared input"]),
        (["{% macro f(a) %}{{ a }}{{ b }}{% endmacro %}{{ f(c) }}"], {"inputs": {"b": {}, "c": {}}}, []),
        (["{{ a }}", "{{ b }}"], {"inputs": {"a": {}, "b": {}, "c": {}}}, ["'c' is declared but no message uses it"]),
        ([(Part(type="image", value="{{ photo }}"),)], {"inputs": {}}, ["'photo' is not a declared input"]),
        (["{{ range }}"], {"inputs": {"range": {}}}, ["cannot be named 'range'"]),
        (
            ["x"],
            {"inputs": {"a-b": {}, "loop": {}, "_x": {}}},
            ["cannot be named 'a-b'", "cannot be named 'loop'", "cannot be named '_x'"],
        ),
        (["{% if %}"], {"inputs": {"a": {}}}, ["Expected an expression"]),
        (["{{ a }}"], {"inputs": {"a": {}}, "trust": {"b": "untrusted"}}, ["trust names 'b', which is no input"]),
    ],
)
def test_declarations_are_checked_both_ways(contents: list[Any], rest: dict[str, Any], words: list[str]) -> None:
    faults = check_declarations(prompt(*contents, **rest))
    assert len(faults) == len(words)
    for fault, part in zip(faults, words, strict=True):
        assert part in fault.message
        assert fault.where is not None
        assert fault.exit_code is ExitCode.USAGE


def test_declaration_faults_have_their_own_places() -> None:
    undeclared, unused = check_declarations(prompt("Hi", "x\n{{ tone }}\n{{ ticket }}", inputs=TRIAGE.inputs, marks=TRIAGE.marks))
    assert undeclared.where == Where("prompts/t.yaml", 11)
    assert unused.where == Where("prompts/t.yaml", 3, 3, "inputs.queues")
    [fault] = check_declarations(prompt("{% include 's/_p.jinja' %}", partials={"s/_p.jinja": "a\nb {{ tone }}"}))
    assert fault.where == Where("prompts/s/_p.jinja", 2)
