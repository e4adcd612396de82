"""Recordings as values: what is written is read back exactly, and what is not a recording is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.prompt import Message, Parameters, Part
from promptreg.core.recording import ANSWERED, ASKED, Format, recorded, recording_row, same_answer
from promptreg.core.run import Call, Completion, ModelIdentity, Stop, ToolCall, Usage
from promptreg.errors import DataError

IDENTITY = ModelIdentity(facts={"provider": "fake", "model": "m"})
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
COUNT = st.none() | st.integers(0, 10**6)
AMOUNT = st.none() | st.floats(0, 1e6)
PART = st.builds(Part, type=st.sampled_from(["text", "image"]), value=TEXT)
CALLS = st.builds(
    Call,
    model=st.just(IDENTITY),
    messages=st.lists(
        st.builds(
            Message,
            role=st.sampled_from(["system", "user", "assistant"]),
            content=TEXT | st.lists(PART, min_size=1, max_size=3).map(tuple),
        ),
        min_size=1,
        max_size=3,
    ).map(tuple),
    params=st.builds(
        Parameters,
        temperature=AMOUNT,
        max_tokens=COUNT,
        stop=st.lists(TEXT, max_size=2).map(tuple),
        extra=st.dictionaries(TEXT, TEXT, max_size=1),
    ),
    tools=st.lists(st.just({"type": "function", "function": {"name": "f"}}), max_size=1).map(tuple),
    output_schema=st.none() | st.just({"type": "object"}),
    slot=st.integers(0, 9),
)
COMPLETIONS = st.builds(
    Completion,
    text=TEXT,
    stop=st.sampled_from(Stop),
    usage=st.builds(Usage, input_tokens=COUNT, output_tokens=COUNT),
    latency_s=AMOUNT,
    reported_model=st.none() | TEXT,
    system_fingerprint=st.none() | TEXT,
    tool_calls=st.lists(st.builds(ToolCall, name=TEXT, arguments=st.none() | st.dictionaries(TEXT, TEXT)), max_size=2).map(tuple),
    logprobs=st.none() | st.just({"content": [{"token": "a", "logprob": -0.5}]}),
    cost_usd=AMOUNT,
    scores=st.dictionaries(TEXT, st.floats(0, 1), max_size=2),
    observed_at=AMOUNT,
)


@given(CALLS, COMPLETIONS, st.sets(st.sampled_from(["params", "tools", "output_schema"])))
def test_a_row_that_was_written_answers_its_call_exactly(call: Call, completion: Completion, match: set[Any]) -> None:
    row = recording_row(call, completion, "m")
    shape = Format(match=tuple(sorted(match)))
    assert set(row) <= {*ASKED, *ANSWERED}
    shape.check_columns(row)
    assert shape.row_key(row) == shape.call_key(call, shape.keyed_by(row))
    assert recorded(row) == completion
    assert same_answer(row, dict(reversed(row.items())))


@given(CALLS, CALLS)
def test_other_messages_or_another_slot_are_another_key(one: Call, other: Call) -> None:
    same = (one.messages, one.slot) == (other.messages, other.slot)
    assert (Format().call_key(one, "messages") == Format().call_key(other, "messages")) is same


def row(**more: Any) -> dict[str, Any]:
    return {"model": "m", "prompt": "hi", "output": "yes", **more}


def call(text: str = "hi", **more: Any) -> Call:
    return Call(model=IDENTITY, messages=(Message(role="user", content=text),), **more)


def test_a_prompt_is_one_user_message() -> None:
    messages = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "output": "x"}
    assert Format().row_key(row()) == Format().row_key(messages) == Format().call_key(call(), "messages")


def test_params_matter_only_when_asked() -> None:
    cold, warm = row(params={"temperature": 0}), row(params={"temperature": 0.7, "seed": None})
    assert Format().row_key(cold) == Format().row_key(warm)
    strict = Format(match=("params",))
    assert strict.row_key(cold) != strict.row_key(warm)
    assert strict.row_key(cold) == strict.call_key(call(params=Parameters(temperature=0.0)), "messages")
    assert strict.row_key(row(params={})) == strict.row_key(row()) == strict.call_key(call(), "messages")


def test_a_named_column_holds_the_case() -> None:
    published = {"model": "m", "messages": None, "item_id": 7, "output": "x", "score": 1, "model_family": "f"}
    shape = Format(case="item_id", ignore=("score",))
    shape.check_columns(published)
    assert shape.keyed_by(published) == "case"
    assert shape.row_key(published) == shape.call_key(call(case="7"), "case")


def test_an_unanswered_row_is_no_answer() -> None:
    assert recorded(row(output=None)) is None


def whole_row(row: dict[str, Any]) -> None:
    """Reads a row as the provider does: columns, key, answer."""
    Format().check_columns(row)
    Format().row_key(row)
    recorded(row)


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"outputs": "x"}, "did you mean"),
        ({"latency": 3}, "did you mean 'latency_s'"),
        ({"repeats": 3}, "did you mean 'repeat'"),
        ({"score": 0.5}, "did you mean 'scores'"),
        ({"case": "also"}, "exactly one"),
        ({"prompt": None}, "exactly one"),
        ({"prompt": 3}, "content must be text"),
        ({"prompt": None, "messages": []}, "a list of"),
        ({"prompt": None, "messages": [{"role": "tool", "content": "x"}]}, "role"),
        ({"prompt": None, "messages": [{"role": "user", "content": "x", "name": "bob"}]}, "role, content"),
        ({"prompt": None, "messages": [{"role": "user", "content": [{"type": "image", "text": "x"}]}]}, "content"),
        ({"prompt": None, "messages": [{"role": "user", "content": [{"type": ["text"], "text": "x"}]}]}, "content"),
        ({"repeat": -1}, "repeat"),
        ({"repeat": True}, "repeat"),
        ({"output": 3}, "'output' must be text"),
        ({"stop": "tired"}, "stop"),
        ({"stop": []}, "stop"),
        ({"latency_s": "fast"}, "latency_s"),
        ({"latency_s": -1}, "latency_s"),
        ({"input_tokens": 2.5}, "whole"),
        ({"scores": [1]}, "scores"),
        ({"scores": {"a": "high"}}, "scores"),
        ({"tool_calls": [{"name": "f"}]}, "tool_calls"),
        ({"tool_calls": [{"name": 3, "arguments": {}}]}, "tool_calls"),
    ],
)
def test_faulty_rows_say_what_is_wrong(bad: dict[str, Any], says: str) -> None:
    faulty = row(**bad)
    if "outputs" in bad:
        del faulty["output"]
    with pytest.raises(DataError, match=says):
        whole_row(faulty)


def test_foreign_columns_are_ignored() -> None:
    published = row(id="a", task="t", item_id="0", snapshot="2023-03", recorded_at="07/25/2023", prompt_sha256="ab", source_row=0)
    Format().check_columns(published)
    assert recorded(published) == Completion(text="yes")
