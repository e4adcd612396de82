"""Every built-in provider keeps the contract, against an honest server, a recording, or nothing at all."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from promptreg.core.catalogue import Limits, ModelSpec
from promptreg.core.prompt import Message, Parameters, Part
from promptreg.core.protocols import ProviderContext, WeightsFile
from promptreg.core.recording import recording_row
from promptreg.core.run import Call, Completion, Failure, ModelIdentity, Stop, ToolCall, Usage
from promptreg.errors import DataError, UsageError
from promptreg.providers.anthropic import Anthropic, AnthropicOptions
from promptreg.providers.echo import Echo, EchoOptions
from promptreg.providers.openai import OpenAI, OpenAIOptions
from promptreg.providers.recorded import Recorded, RecordedOptions
from promptreg.providers.wire import Garbled, decode
from promptreg.testing import FakeProvider, Fault, LoopbackServer, call_for, failure_contract, provider_contract

KEY = "sk-live-4242424242424242"
ENV = {"MY_KEY": KEY}
SPEC = ModelSpec(alias="a", provider="p", model="m")
IDENTITY = ModelIdentity(facts={"provider": "p", "model": "m"})
HTTP = {"openai": (OpenAI, OpenAIOptions), "anthropic": (Anthropic, AnthropicOptions)}


def context(root: Path = Path(), env: Mapping[str, str] = ENV) -> ProviderContext:
    def no_weights(name: str) -> WeightsFile:
        raise AssertionError(name)

    return ProviderContext(env=env, root=root, weights=no_weights)


def over_http(kind: str, server: LoopbackServer, **options: Any) -> Any:
    made, keys = HTTP[kind]
    return made(SPEC, keys(**{"base_url": server.url, "api_key_env": "MY_KEY", **options}), context())  # type: ignore[arg-type]


def call(*messages: Message | str, **more: Any) -> Call:
    turned = tuple(Message(role="user", content=item) if isinstance(item, str) else item for item in messages)
    return Call(model=IDENTITY, messages=turned or (Message(role="user", content="hello"),), **more)


def recording(folder: Path, *rows: Mapping[str, Any] | str) -> Path:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (folder / "r.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def replay(folder: Path, **options: Any) -> Recorded:
    return Recorded(SPEC, RecordedOptions(recording="r.jsonl", **options), context(folder))


# --- the contract -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", HTTP)
def test_http_providers_keep_the_contract(kind: str) -> None:
    with LoopbackServer() as server:
        provider_contract(over_http(kind, server), secrets=(KEY,))
        assert server.requests == 5


def test_echo_keeps_the_contract() -> None:
    provider_contract(Echo(SPEC, EchoOptions(), context()))


def test_the_fake_keeps_the_contract() -> None:
    provider_contract(FakeProvider())


@pytest.mark.parametrize("row", [{"prompt": "Say hello."}, {"case": "case-1"}])
def test_recorded_keeps_the_contract(tmp_path: Path, row: dict[str, str]) -> None:
    provider_contract(replay(recording(tmp_path, {"model": "m", "output": "hello", **row})))


# --- what goes over the wire --------------------------------------------------------------------------------------------------

FULL = Parameters(
    temperature=0.5, top_p=0.9, max_tokens=7, seed=3, stop=("END",), presence_penalty=0.1, extra={"reasoning_effort": "low"}
)
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
SCHEMA = {"type": "object", "properties": {"queue": {"enum": ["a"]}}, "required": ["queue"]}
PICTURE = Message(
    role="user",
    content=(
        Part(type="text", value="see"),
        Part(type="image", value="data:image/png;base64,QUJD"),
        Part(type="image", value="https://x/y.png"),
    ),
)


def sent(kind: str, asked: Call, **options: Any) -> tuple[Any, Mapping[str, str]]:
    with LoopbackServer() as server:
        assert isinstance(over_http(kind, server, **options).complete(asked, 10), Completion)
        return server.received[0].body, server.received[0].headers


def test_openai_request() -> None:
    asked = call(Message(role="system", content="be brief"), PICTURE, params=FULL, tools=(TOOL,), output_schema=SCHEMA)
    body, headers = sent("openai", asked, organization="org-1", project="proj-1", logprobs=True, top_logprobs=2)
    assert headers["authorization"] == f"Bearer {KEY}"
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj-1")
    assert body == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
                    {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                ],
            },
        ],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "seed": 3,
        "stop": ["END"],
        "presence_penalty": 0.1,
        "reasoning_effort": "low",
        "tools": [TOOL],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {**SCHEMA, "additionalProperties": False}, "strict": True},
        },
        "logprobs": True,
        "top_logprobs": 2,
    }


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (SCHEMA, True),
        ({**SCHEMA, "required": []}, False),
        ({"type": "object"}, False),
        ({"type": "array", "items": SCHEMA}, True),
        ({"type": "array", "items": {**SCHEMA, "additionalProperties": True}}, False),
        ({"anyOf": [SCHEMA, {"type": "null"}]}, True),
    ],
)
def test_openai_is_strict_where_the_schema_allows_it(schema: dict[str, Any], strict: bool) -> None:
    body, _ = sent("openai", call(output_schema=schema))
    assert body["response_format"]["json_schema"]["strict"] is strict
    relaxed, _ = sent("openai", call(output_schema=schema), strict=False)
    assert relaxed["response_format"]["json_schema"] == {"name": "answer", "schema": schema, "strict": False}


def test_openai_limit_goes_by_the_name_the_endpoint_knows() -> None:
    body, _ = sent("openai", call(params=Parameters(max_tokens=7)), max_tokens_key="max_completion_tokens")
    assert body["max_completion_tokens"] == 7
    assert "max_tokens" not in body
    at_openai = OpenAI(SPEC, OpenAIOptions(), context(env={"OPENAI_API_KEY": KEY}))
    assert at_openai._max_tokens_key == "max_completion_tokens"
    assert at_openai.identity == {"origin": "https://api.openai.com/v1"}


def test_anthropic_request() -> None:
    asked = call(
        Message(role="system", content="be brief"),
        PICTURE,
        Message(role="assistant", content="{"),
        params=Parameters(temperature=0.5, top_k=5, seed=3, stop=("END",), extra={"metadata": {"user_id": "u"}}),
        tools=(TOOL, {"type": "web_search_20250305", "name": "web_search"}),
        output_schema=SCHEMA,
    )
    body, headers = sent("anthropic", asked)
    assert (headers["x-api-key"], headers["anthropic-version"]) == (KEY, "2023-06-01")
    assert body == {
        "model": "m",
        "max_tokens": 1024,
        "system": "be brief",
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "see"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
                    {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}},
                ],
            },
            {"role": "assistant", "content": "{"},
        ],
        "temperature": 0.5,
        "top_k": 5,
        "stop_sequences": ["END"],
        "metadata": {"user_id": "u"},
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        "output_config": {"format": {"type": "json_schema", "schema": {**SCHEMA, "additionalProperties": False}}},
    }


def test_anthropic_keeps_two_system_messages_apart_and_obeys_max_tokens() -> None:
    both = [Message(role="system", content=text) for text in ("one", "two")]
    body, _ = sent("anthropic", call(*both, "hi", params=Parameters(max_tokens=5)))
    assert body["system"] == [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]
    assert body["max_tokens"] == 5


@pytest.mark.parametrize(
    ("kind", "asked", "says"),
    [
        ("openai", call(params=Parameters(extra={"stream": True})), "'stream'"),
        ("anthropic", call(params=Parameters(extra={"messages": []})), "'messages'"),
        ("anthropic", call(params=Parameters(presence_penalty=1)), "presence_penalty"),
        ("anthropic", call(Message(role="system", content=(Part(type="image", value="https://x/y"),))), "system"),
        ("openai", call(Message(role="user", content=(Part(type="image", value="/etc/passwd"),))), "image source"),
        ("anthropic", call(Message(role="user", content=(Part(type="image", value="http://x/y"),))), "image source"),
    ],
)
def test_what_cannot_be_asked_is_refused_without_a_call(kind: str, asked: Call, says: str) -> None:
    with LoopbackServer() as server:
        result = failure_contract(over_http(kind, server).complete(asked, 10))
        assert (result.kind, server.requests) == ("request", 0)
    assert says in result.message


# --- what comes back ----------------------------------------------------------------------------------------------------------


def answered(kind: str, body: Any) -> Completion | Failure:
    with LoopbackServer(lambda _request: body) as server:
        result: Completion | Failure = over_http(kind, server).complete(call(), 10)
        return result


def chat(message: Mapping[str, Any], finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    return {"choices": [{"message": message, "finish_reason": finish}], **more}


@pytest.mark.parametrize("kind", HTTP)
def test_usage_and_the_reported_model(kind: str) -> None:
    with LoopbackServer() as server:
        result = over_http(kind, server).complete(call("three small words"), 10)
    assert isinstance(result, Completion)
    assert (result.text, result.stop, result.reported_model) == ("three small words", Stop.END, "m-2026-01-01")
    assert result.usage == Usage(input_tokens=3, output_tokens=3)
    assert result.latency_s is not None
    assert result.system_fingerprint == ("fp_loopback" if kind == "openai" else None)


CALLED = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]


@pytest.mark.parametrize(
    ("body", "text", "stop"),
    [
        (chat({"content": "a"}), "a", Stop.END),
        (chat({"content": "a"}, None), "a", Stop.END),
        (chat({"content": "a"}, "length"), "a", Stop.LENGTH),
        (chat({"content": "a"}, "content_filter"), "a", Stop.FILTER),
        (chat({"content": None, "refusal": "I can't"}), "I can't", Stop.REFUSAL),
        (chat({"content": None, "tool_calls": CALLED}, "tool_calls"), "", Stop.TOOL),
        (chat({"content": None, "tool_calls": CALLED}, None), "", Stop.TOOL),
        (chat({"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "b"}]}), "b", Stop.END),
        (chat({"content": "half \ud83d"}), "half \ufffd", Stop.END),
        (chat({"content": "whole 😀 ü"}), "whole 😀 ü", Stop.END),
    ],
)
def test_openai_answers(body: Any, text: str, stop: Stop) -> None:
    result = answered("openai", body)
    assert isinstance(result, Completion)
    assert (result.text, result.stop) == (text, stop)


def test_openai_tool_calls_and_logprobs() -> None:
    broken = [{"function": {"name": "g", "arguments": "{oops"}}]
    body = chat({"content": "", "tool_calls": CALLED + broken}, usage={"prompt_tokens": 5, "completion_tokens": "many"})
    body["choices"][0]["logprobs"] = {"content": [{"token": "a", "logprob": float("-inf")}]}
    result = answered("openai", body)
    assert isinstance(result, Completion)
    assert result.tool_calls == (ToolCall(name="f", arguments={"x": 1}), ToolCall(name="g", arguments="{oops"))
    assert result.logprobs == {"content": [{"token": "a", "logprob": None}]}
    assert result.usage == Usage(input_tokens=5)


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("end_turn", Stop.END),
        ("stop_sequence", Stop.END),
        ("max_tokens", Stop.LENGTH),
        ("tool_use", Stop.TOOL),
        ("refusal", Stop.REFUSAL),
        ("model_context_window_exceeded", Stop.OVERFLOW),
    ],
)
def test_anthropic_answers(reason: str, stop: Stop) -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": "a"},
        {"type": "tool_use", "name": "f", "input": {"x": 1}},
    ]
    usage = {"input_tokens": 1, "cache_read_input_tokens": 10, "cache_creation_input_tokens": 100, "output_tokens": 2}
    result = answered("anthropic", {"content": blocks, "stop_reason": reason, "model": "m-1", "usage": usage})
    assert isinstance(result, Completion)
    assert (result.text, result.stop, result.reported_model) == ("a", stop, "m-1")
    assert result.tool_calls == (ToolCall(name="f", arguments={"x": 1}),)
    assert result.usage == Usage(input_tokens=111, output_tokens=2)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("openai", {}),
        ("openai", {"choices": []}),
        ("openai", {"choices": [None]}),
        ("openai", {"choices": [{"message": {"content": 3}}]}),
        ("openai", {"choices": [{"message": {"content": "a", "tool_calls": 3}}]}),
        ("openai", {"choices": [{"message": {"content": "a", "tool_calls": [{}]}}]}),
        ("openai", chat({"content": "half an ans"}, "error")),
        ("openai", {"error": {"message": f"upstream broke {KEY}", "code": 502}}),
        ("openai", [1]),
        ("anthropic", {}),
        ("anthropic", {"content": ["a"]}),
        ("anthropic", {"type": "error", "error": {"message": f"upstream broke {KEY}", "type": "api_error"}}),
    ],
)
def test_answers_that_are_none_are_garbled(kind: str, body: Any) -> None:
    result = failure_contract(answered(kind, body), secrets=(KEY,))
    assert (result.kind, result.retryable) == ("garbled", True)
    assert ("upstream broke ***" in result.message) is ("upstream" in str(body))


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize(
    ("status", "error", "stop"),
    [
        (400, {"code": "context_length_exceeded", "message": "too long"}, Stop.OVERFLOW),
        (400, {"message": "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens"}, Stop.OVERFLOW),
        (400, {"type": "BadRequestError", "message": "However, the model's context length is only 1024 tokens"}, Stop.OVERFLOW),
        (400, {"type": "exceed_context_size_error", "message": "request exceeds the available context size"}, Stop.OVERFLOW),
        (400, {"type": "invalid_request_error", "message": "prompt is too long: 208310 tokens > 200000 maximum"}, Stop.OVERFLOW),
        (413, {"message": "the input token count (2000001) exceeds the maximum number of tokens allowed"}, Stop.OVERFLOW),
        (400, {"code": "content_filter", "message": "filtered"}, Stop.FILTER),
    ],
)
def test_a_prompt_that_outgrew_the_model_is_an_answer_worth_nothing(kind: str, status: int, error: Any, stop: Stop) -> None:
    fault = Fault(kind="status", status=status, body=json.dumps({"error": error}))
    with LoopbackServer(faults=lambda _n: fault) as server:
        result = over_http(kind, server).complete(call(), 10)
    assert result == Completion(text="", stop=stop)


@pytest.mark.parametrize("kind", HTTP)
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault(kind="status", status=400, body='{"error": {"message": "max_tokens is too large"}}'), ("request", False)),
        (Fault(kind="status", status=401), ("auth", False)),
        (Fault(kind="status", status=429, headers={"Retry-After": "3"}), ("rate_limit", True)),
        (Fault(kind="status", status=529), ("server", True)),
        (Fault(kind="status", status=301, headers={"Location": "http://127.0.0.1:9"}), ("request", False)),
        (Fault(kind="drop"), ("connection", True)),
        (Fault(kind="truncate"), ("garbled", True)),
        (Fault(kind="garbage"), ("garbled", True)),
    ],
)
def test_failures_are_data_and_hold_no_key(kind: str, fault: Fault, expected: tuple[str, bool]) -> None:
    with LoopbackServer(faults=lambda _n: fault) as server:
        result = failure_contract(over_http(kind, server).complete(call(), 10), secrets=(KEY,))
    assert (result.kind, result.retryable) == expected
    if result.kind == "auth":
        assert "MY_KEY" in result.message
    if result.kind == "rate_limit":
        assert result.retry_after_s == 3


# --- keys ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "variable"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")])
def test_the_default_key_is_required_at_home_and_never_sent_elsewhere(kind: str, variable: str) -> None:
    made, keys = HTTP[kind]
    keyless: Any = made(SPEC, keys(), context(env={}))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"{variable} is not set"):
        keyless.complete(call(), 10)
    with LoopbackServer() as server:
        provider: Any = made(SPEC, keys(base_url=server.url), context(env={variable: KEY}))  # type: ignore[arg-type]
        assert isinstance(provider.complete(call(), 10), Completion)
        assert KEY not in str(server.received[0].headers)


@pytest.mark.parametrize("kind", HTTP)
def test_a_named_key_is_required_anywhere(kind: str) -> None:
    made, keys = HTTP[kind]
    keyless: Any = made(SPEC, keys(base_url="http://127.0.0.1:1/v1", api_key_env="VLLM_KEY"), context())  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="VLLM_KEY is not set"):
        keyless.complete(call(), 10)


def test_identity_is_what_can_change_answers() -> None:
    headers = {"X-Beta": "on", "X-Team": {"env": "MY_KEY"}}
    options = OpenAIOptions(base_url="HTTP://Host:80/v1/", headers=headers, api_key_env="MY_KEY", organization="o", strict=False)
    spec = ModelSpec(alias="b", provider="openai", model="m", limits=Limits(concurrency=999, timeout_s=1))
    assert OpenAI(spec, options, context()).identity == {"origin": "http://host/v1", "headers": {"X-Beta": "on"}, "strict": False}


# --- echo ---------------------------------------------------------------------------------------------------------------------


def test_echo_follows_prefix_script_and_limit() -> None:
    echo = Echo(SPEC, EchoOptions(prefix="> ", script={"hi": "scripted"}), context())
    assert echo.complete(call("hi"), 1) == Completion(
        text="> scripted", usage=Usage(input_tokens=1, output_tokens=3), latency_s=0.0, reported_model="m"
    )
    cut = echo.complete(call("a long question", params=Parameters(max_tokens=2)), 1)
    assert isinstance(cut, Completion)
    assert (cut.text, cut.stop) == ("> a long", Stop.LENGTH)
    assert echo.identity == {"prefix": "> ", "script": {"hi": "scripted"}}


# --- recorded -----------------------------------------------------------------------------------------------------------------


def test_what_record_writes_is_replayed_exactly(tmp_path: Path) -> None:
    asked = [
        call(Message(role="system", content="s"), PICTURE, slot=slot, params=Parameters(temperature=0.5), output_schema=SCHEMA)
        for slot in range(3)
    ]
    answers = [
        Completion(
            text=f"ünï {slot}",
            stop=Stop.LENGTH,
            usage=Usage(input_tokens=1, output_tokens=2),
            latency_s=0.25,
            reported_model="m-1",
            system_fingerprint="fp",
            tool_calls=(ToolCall(name="f", arguments={"x": [1]}),),
            logprobs=[0.5],
            cost_usd=0.01,
            observed_at=1.5,
        )
        for slot in range(3)
    ]
    rows = [recording_row(one, answer, "m") for one, answer in zip(asked, answers, strict=True)]
    for match in ((), ("params", "tools", "output_schema")):
        provider = replay(recording(tmp_path, *reversed(rows)), match=match)
        assert [provider.complete(one, 1) for one in asked] == answers


def test_each_model_has_its_own_rows(tmp_path: Path) -> None:
    rows = [{"model": name, "prompt": "hello", "output": name.upper()} for name in ("x", "m", "y")]
    result = replay(recording(tmp_path, *rows)).complete(call(), 1)
    assert result == Completion(text="M")


def test_a_missing_recording_is_named_and_not_retried(tmp_path: Path) -> None:
    provider = replay(
        recording(tmp_path, {"model": "m", "prompt": "hello", "output": "x"}, {"model": "m", "prompt": "null", "output": None})
    )
    other = failure_contract(provider.complete(call("other question"), 1))
    assert (other.kind, other.retryable) == ("no_recording", False)
    assert "other question" in other.message
    assert "sample 2" in failure_contract(provider.complete(call(slot=2), 1)).message
    assert "gave no answer" in failure_contract(provider.complete(call("null"), 1)).message
    by_case = replay(recording(tmp_path, {"model": "m", "item_id": "c1", "messages": None, "output": "x"}), case="item_id")
    assert by_case.keyed_by == "case"
    assert "case 'c2' of" not in failure_contract(by_case.complete(call(case="c2"), 1)).message
    assert "'c2'" in failure_contract(by_case.complete(call(case="c2"), 1)).message
    assert by_case.complete(call(case="c1"), 1) == Completion(text="x")


GOOD = {"model": "m", "prompt": "hello", "output": "x"}


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        ([GOOD, "", "{oops"], 3, "not JSON"),
        ([GOOD, "[1]"], 2, "not a JSON object"),
        ([GOOD, {"prompt": "a", "output": "b"}], 2, "no 'model'"),
        ([GOOD, {"model": "m", "prompt": "a"}], 2, "no 'output'"),
        ([GOOD, {"model": "m", "case": "a", "output": "b"}], 2, "keyed by case"),
        ([GOOD, {**GOOD, "output": "y"}], 2, "differently"),
        ([GOOD, {**GOOD, "repeat": 0, "output": "y"}], 2, "differently"),
        ([{**GOOD, "latancy_s": 3}], 1, "did you mean 'latency_s'"),
        ([GOOD, '{"model": "m", "prompt": "\\ud800", "output": "b"}'], 2, "JSON"),
        ([GOOD, '{"model": "m", "prompt": "a", "output": "b", "params": ' + "[" * 5000 + "]" * 5000 + "}"], 2, "nested"),
    ],
)
def test_faulty_recordings_name_file_and_line(tmp_path: Path, rows: list[Any], line: int, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        replay(recording(tmp_path, *rows), match=("params",))
    assert caught.value.where is not None
    assert (caught.value.where.path, caught.value.where.line) == ("r.jsonl", line)


def test_rows_that_differ_in_params_point_to_match(tmp_path: Path) -> None:
    rows = [{**GOOD, "params": {"temperature": warm}, "output": f"{warm}"} for warm in (0, 1)]
    with pytest.raises(DataError) as caught:
        replay(recording(tmp_path, *rows))
    assert "match: [params]" in (caught.value.hint or "")
    provider = replay(recording(tmp_path, *rows), match=("params",))
    assert provider.complete(call(params=Parameters(temperature=1.0)), 1) == Completion(text="1")


def test_the_same_row_twice_is_one_row_and_a_byte_order_mark_is_none(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_bytes(b"\xef\xbb\xbf" + 2 * (json.dumps(GOOD).encode() + b"\r\n"))
    assert replay(tmp_path).complete(call(), 1) == Completion(text="x")


def test_no_file_and_no_such_model_are_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"r\.jsonl cannot be read"):
        replay(tmp_path)
    with pytest.raises(DataError, match="no answer of the model 'm'") as caught:
        replay(recording(tmp_path, {**GOOD, "model": "gpt-4"}))
    assert "gpt-4" in (caught.value.hint or "")


# --- llm ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(importlib.util.find_spec("llm") is not None, reason="llm is installed")
def test_llm_says_how_to_get_it() -> None:
    from promptreg.providers.llm_models import LlmModels, LlmOptions

    with pytest.raises(UsageError, match="needs the package llm") as caught:
        LlmModels(SPEC, LlmOptions(), context())
    assert "[llm]" in (caught.value.hint or "")


def test_llm_models_keep_the_contract() -> None:
    llm = pytest.importorskip("llm")
    from promptreg.providers.llm_models import LlmModels, LlmOptions

    class Parrot(llm.Model):  # type: ignore[misc, name-defined]
        model_id = "promptreg-test-parrot"

        class Options(llm.Options):  # type: ignore[misc, name-defined]
            temperature: float | None = None

        def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Any:
            if prompt.prompt == "no":
                raise llm.ModelError(f"refused {KEY}")
            response.set_usage(input=3, output=2)
            yield f"{prompt.prompt} {prompt.system} {prompt.options.temperature} {len(prompt.messages)}"

    class Plugin:
        @llm.hookimpl  # type: ignore[untyped-decorator]
        def register_models(self, register: Callable[[Any], None]) -> None:
            register(Parrot())

    llm.plugins.pm.register(plugin := Plugin())
    try:
        spec = ModelSpec(alias="a", provider="llm", model="promptreg-test-parrot")
        model = LlmModels(spec, LlmOptions(api_key_env="MY_KEY"), context())
        system = Message(role="system", content="be brief")
        short = model.complete(call(system, "hi", params=Parameters(temperature=0.5)), 1)
        assert isinstance(short, Completion)
        assert (short.text, short.usage) == ("hi be brief 0.5 2", Usage(input_tokens=3, output_tokens=2))
        long = model.complete(call("hi", Message(role="assistant", content="yes?"), "more"), 1)
        assert isinstance(long, Completion)
        assert long.text.endswith("None 3")
        assert failure_contract(model.complete(call("no"), 1), secrets=(KEY,)).retryable
        assert failure_contract(model.complete(call("hi", params=Parameters(seed=1)), 1)).kind == "request"
        provider_contract(model, secrets=(KEY,))
        with pytest.raises(UsageError, match="knows no model"):
            LlmModels(SPEC, LlmOptions(), context())
    finally:
        llm.plugins.pm.unregister(plugin)


# --- the fake -----------------------------------------------------------------------------------------------------------------


def test_the_fake_follows_its_script_and_remembers() -> None:
    down = Failure(kind="server", message="down", retryable=True)
    fake = FakeProvider(["one", down, "three"])
    said = [fake.complete(call_for(fake, f"q{number}"), 5) for number in range(4)]
    assert [item.text if isinstance(item, Completion) else item for item in said] == ["one", down, "three", "three"]
    assert [asked.messages[0].text for asked in fake.calls] == ["q0", "q1", "q2", "q3"]
    asked: Callable[[Call], str] = lambda one: one.messages[0].text.upper()  # noqa: E731 - a scripted function
    assert isinstance(loud := FakeProvider(asked).complete(call("hi"), 1), Completion)
    assert loud.text == "HI"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<!DOCTYPE html><title>sign in</title>", "a web page, not JSON: is base_url"),
        (b'data: {"choices": []}\n\ndata: [DONE]\n\n', "a stream of events, not JSON"),
        (b'{"choices": "\xff"}', "not JSON: byte 0xff is not UTF-8"),
        (b"  ", "empty, not JSON"),
        (b"no", "not JSON"),
    ],
)
def test_what_came_instead_of_json_is_named(body: bytes, words: str) -> None:
    with pytest.raises(Garbled, match=re.escape(words)):
        decode(body)
