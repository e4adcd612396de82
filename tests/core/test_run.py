"""Calls and their keys, completions and their JSON."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import canonical
from promptreg.core.prompt import Message, Parameters, Part
from promptreg.core.run import Call, Completion, Fingerprint, ModelIdentity, Stop, ToolCall, Usage

MODEL = ModelIdentity(facts={"provider": "openai", "model": "gpt-4o", "origin": "https://api.example.com"})
HELLO = (Message(role="user", content="Hello"),)
CALL = Call(model=MODEL, messages=HELLO, params=Parameters(temperature=0.0, max_tokens=16))

scalars = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-(2.0**53), 2.0**53) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3), max_leaves=8
)
numbers = st.none() | st.floats(min_value=0, max_value=1e9)
completions = st.builds(
    Completion,
    text=st.text(),
    stop=st.sampled_from(Stop),
    usage=st.builds(Usage, input_tokens=st.none() | st.integers(0, 10**9), output_tokens=st.none() | st.integers(0, 10**9)),
    latency_s=numbers,
    reported_model=st.none() | st.text(),
    system_fingerprint=st.none() | st.text(),
    tool_calls=st.lists(st.builds(ToolCall, name=st.text(), arguments=values), max_size=3).map(tuple),
    logprobs=st.none() | st.lists(st.dictionaries(st.text(), values, max_size=2), min_size=1, max_size=3),
    cost_usd=numbers,
    scores=st.dictionaries(st.text(), st.floats(0, 1), max_size=3),
    observed_at=numbers,
)


@given(completions)
def test_a_completion_survives_its_json(completion: Completion) -> None:
    assert Completion.from_json(json.loads(canonical(completion.as_json()))) == completion


def test_a_bare_completion_says_only_text_and_stop() -> None:
    assert Completion(text="").as_json() == {"text": "", "stop": "end"}


@given(completions, st.floats(0, 100))
def test_the_content_digest_ignores_when_and_how_fast(completion: Completion, seconds: float) -> None:
    later = dataclasses.replace(completion, latency_s=seconds, observed_at=seconds, cost_usd=seconds, reported_model="other")
    assert later.content_digest() == completion.content_digest()


@pytest.mark.parametrize("change", [{"text": "no"}, {"stop": Stop.LENGTH}, {"tool_calls": (ToolCall(name="f", arguments={}),)}])
def test_the_content_digest_sees_what_a_check_sees(change: dict[str, Any]) -> None:
    answer = Completion(text="yes")
    assert dataclasses.replace(answer, **change).content_digest() != answer.content_digest()


def variant(**change: Any) -> Call:
    fields = {"model": MODEL, "messages": HELLO, "params": CALL.params}
    return Call(**{**fields, **change})


@given(st.integers(0, 10**6))
def test_the_key_is_the_same_for_every_slot(slot: int) -> None:
    call = variant(slot=slot)
    assert call.key == CALL.key
    assert call.fingerprint == Fingerprint(CALL.key, slot)


def test_unset_parameters_take_no_part() -> None:
    assert variant(params=Parameters()).key == Call(model=MODEL, messages=HELLO).key
    assert variant(params=Parameters(stop=(), extra={}, seed=None)).key == Call(model=MODEL, messages=HELLO).key


def test_the_order_of_facts_and_extra_keys_takes_no_part() -> None:
    facts = dict(reversed(MODEL.facts.items()))
    assert variant(model=ModelIdentity(facts=facts)).key == CALL.key
    left, right = Parameters(extra={"a": 1, "b": 2}), Parameters(extra={"b": 2, "a": 1})
    assert variant(params=left).key == variant(params=right).key


VARIANTS: list[dict[str, Any]] = [
    {},
    {"model": ModelIdentity(facts={**MODEL.facts, "model": "gpt-4"})},
    {"model": ModelIdentity(facts={**MODEL.facts, "origin": "https://other.example.com"})},
    {"messages": ()},
    {"messages": (Message(role="system", content="Hello"),)},
    {"messages": (Message(role="user", content="Hello "),)},
    {"messages": (*HELLO, *HELLO)},
    {"messages": (Message(role="user", content=(Part(type="text", value="Hello"),)),)},
    {"messages": (Message(role="user", content=(Part(type="image", value="Hello"),)),)},
    {"tools": ({"type": "function"},)},
    {"output_schema": {}},
    {"output_schema": {"type": "object"}},
    {"case": "c1"},
    {"case": ""},
    *(
        {"params": Parameters(**params)}
        for params in (
            {},
            {"temperature": 0.5},
            {"top_p": 0.5},
            {"top_k": 1},
            {"max_tokens": 17},
            {"seed": 1},
            {"stop": ("x",)},
            {"stop": ("x", "y")},
            {"presence_penalty": 0.5},
            {"frequency_penalty": 0.5},
            {"extra": {"a": 1}},
        )
    ),
]


def test_everything_that_can_change_an_answer_changes_the_key() -> None:
    keys = [variant(**change).key for change in VARIANTS]
    assert len(set(keys)) == len(keys)


def test_every_parameter_is_tried_above() -> None:
    tried = {name for change in VARIANTS for name in change.get("params", Parameters()).as_json()}
    assert tried == {field.name for field in dataclasses.fields(Parameters)}
