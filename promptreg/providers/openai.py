"""Every OpenAI-compatible `/chat/completions` endpoint: OpenAI, Azure's v1 API, vLLM, llama.cpp, Ollama, a LiteLLM proxy …"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.dialects import openai_body
from promptreg.core.protocols import ProviderContext
from promptreg.core.run import Call, Completion, Failure, Stop, ToolCall, Usage
from promptreg.http import Address, endpoint
from promptreg.providers import wire
from promptreg.providers.exchange import Exchange

OPENAI = "https://api.openai.com/v1"
_OURS = frozenset({"model", "messages", "stream", "n"})
_STOPS = {
    "stop": Stop.END,
    "eos": Stop.END,
    "length": Stop.LENGTH,
    "model_length": Stop.LENGTH,  # Mistral
    "tool_calls": Stop.TOOL,
    "function_call": Stop.TOOL,
    "content_filter": Stop.FILTER,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIOptions:
    """The keys of a catalogue entry with `provider: openai`."""

    base_url: str = OPENAI
    api_key_env: str | None = None  # default OPENAI_API_KEY, which OpenAI itself requires and other hosts never see
    organization: str | None = None
    project: str | None = None
    headers: Mapping[str, Json] = field(default_factory=dict)  # name to text, or to {env: NAME}
    logprobs: bool = False
    top_logprobs: int | None = None
    max_tokens_key: Literal["max_tokens", "max_completion_tokens"] | None = None  # default: the newer for OpenAI, else the older
    strict: bool = True  # ask for output that must match the schema, where the schema allows it


class OpenAI:
    """One model behind a chat-completions endpoint."""

    name: ClassVar[str] = "openai"
    Options: ClassVar[type] = OpenAIOptions

    stored = True
    keyed_by: Literal["messages", "case"] = "messages"
    concurrency = 16

    def __init__(self, spec: ModelSpec, options: OpenAIOptions, context: ProviderContext) -> None:
        at_openai = options.base_url.rstrip("/") == OPENAI
        self._model = spec.model
        self._options = options
        self._max_tokens_key = options.max_tokens_key or ("max_completion_tokens" if at_openai else "max_tokens")
        address = Address(
            base_url=options.base_url,
            path="/chat/completions",
            key_env=options.api_key_env or ("OPENAI_API_KEY" if at_openai else None),
            headers=options.headers,
            where=spec.where,
            marks=spec.marks,
        )
        accounts = {"OpenAI-Organization": options.organization, "OpenAI-Project": options.project}
        own = {name: value for name, value in accounts.items() if value}
        self._exchange = Exchange.of(endpoint(address, context.env, ("Authorization", "Bearer "), own), spec, context)
        self.identity = self._identity()

    def _identity(self) -> dict[str, Json]:
        facts = self._exchange.identity()
        if not self._options.strict:
            facts["strict"] = False
        if self._options.logprobs:
            facts["logprobs"] = self._options.top_logprobs or 0
        return facts

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:
        """One request, one answer. Nothing of the far side raises."""
        return self._exchange.ask(lambda: self._body(call), _completion, timeout_s)

    def close(self) -> None:
        self._exchange.http.close()

    def _body(self, call: Call) -> dict[str, Any]:
        said = openai_body(
            call.messages,
            call.params,
            call.tools,
            call.output_schema,
            max_tokens_key=self._max_tokens_key,
            strict=self._options.strict,
        )
        body: dict[str, Any] = {"model": self._model, **said}
        if self._options.logprobs:
            body["logprobs"] = True
            if self._options.top_logprobs is not None:
                body["top_logprobs"] = self._options.top_logprobs
        return wire.merged(body, call, _OURS)


def _completion(raw: Mapping[str, Any], elapsed_s: float) -> Completion:
    choices = raw.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict) or choice.get("finish_reason") == "error":
        raise wire.Garbled("the answer has no choices")
    refusal = message.get("refusal")
    text = _text(message.get("content"))
    calls = _tool_calls(message.get("tool_calls"))
    stop = _STOPS.get(str(choice.get("finish_reason")), Stop.TOOL if calls else Stop.END)
    if isinstance(refusal, str) and refusal:
        text, stop = text or refusal, Stop.REFUSAL
    usage = raw.get("usage")
    used = usage if isinstance(usage, dict) else {}
    model, fingerprint = raw.get("model"), raw.get("system_fingerprint")
    return Completion(
        text=wire.whole_text(text),
        stop=stop,
        usage=Usage(input_tokens=wire.count(used.get("prompt_tokens")), output_tokens=wire.count(used.get("completion_tokens"))),
        latency_s=elapsed_s,
        reported_model=model if isinstance(model, str) else None,
        system_fingerprint=fingerprint if isinstance(fingerprint, str) else None,
        tool_calls=calls,
        logprobs=choice.get("logprobs"),
    )


def _text(content: Any) -> str:
    """A message's text; some servers answer with a list of parts, whose thinking is not the answer."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
        if all(isinstance(part.get("text"), str) for part in parts):
            return "".join(part["text"] for part in parts)
    raise wire.Garbled("the answer's content is not text")


def _tool_calls(raw: Any) -> tuple[ToolCall, ...]:
    if raw is not None and not isinstance(raw, list):
        raise wire.Garbled("the answer's tool calls are no list")
    return tuple(_tool_call(each) for each in raw or ())


def _tool_call(raw: Any) -> ToolCall:
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise wire.Garbled("the answer has a tool call without a name")
    return ToolCall(name=function["name"], arguments=wire.decoded_arguments(function.get("arguments")))
