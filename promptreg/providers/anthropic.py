"""Anthropic's Messages API.

It has no seed: `params.seed` is left out, as a seed is a hint everywhere. Penalties, which it does not have either and which are no
hints, are refused rather than dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.dialects import anthropic_body
from promptreg.core.protocols import ProviderContext
from promptreg.core.run import Call, Completion, Failure, Stop, ToolCall, Usage
from promptreg.http import Address, endpoint
from promptreg.providers import wire
from promptreg.providers.exchange import Exchange

ANTHROPIC = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"  # the API's own version header; the newest there is
_OURS = frozenset({"model", "messages", "system", "stream"})
_STOPS = {
    "end_turn": Stop.END,
    "stop_sequence": Stop.END,
    "max_tokens": Stop.LENGTH,
    "tool_use": Stop.TOOL,
    "refusal": Stop.REFUSAL,
    "model_context_window_exceeded": Stop.OVERFLOW,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicOptions:
    """The keys of a catalogue entry with `provider: anthropic`."""

    base_url: str = ANTHROPIC
    api_key_env: str | None = None  # default ANTHROPIC_API_KEY, which other hosts never see
    headers: Mapping[str, Json] = field(default_factory=dict)  # name to text, or to {env: NAME}


class Anthropic:
    """One model behind the Messages API."""

    name: ClassVar[str] = "anthropic"
    Options: ClassVar[type] = AnthropicOptions

    stored = True
    keyed_by: Literal["messages", "case"] = "messages"
    concurrency = 8

    def __init__(self, spec: ModelSpec, options: AnthropicOptions, context: ProviderContext) -> None:
        at_home = options.base_url.rstrip("/") == ANTHROPIC
        self._model = spec.model
        address = Address(
            base_url=options.base_url,
            path="/messages",
            key_env=options.api_key_env or ("ANTHROPIC_API_KEY" if at_home else None),
            headers=options.headers,
            where=spec.where,
            marks=spec.marks,
        )
        own = {"anthropic-version": VERSION}
        self._exchange = Exchange.of(endpoint(address, context.env, ("x-api-key", ""), own), spec, context)
        self.identity = self._exchange.identity()

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:
        """One request, one answer. Nothing of the far side raises."""
        return self._exchange.ask(lambda: self._body(call), _completion, timeout_s)

    def close(self) -> None:
        self._exchange.http.close()

    def _body(self, call: Call) -> dict[str, Any]:
        said = anthropic_body(call.messages, call.params, call.tools, call.output_schema)
        body: dict[str, Any] = {"model": self._model, **said}
        return wire.merged(body, call, _OURS)


def _completion(raw: Mapping[str, Any], elapsed_s: float) -> Completion:
    blocks = raw.get("content")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise wire.Garbled("the answer has no content")
    texts = [block.get("text") for block in blocks if block.get("type") == "text"]
    model = raw.get("model")
    return Completion(
        text=wire.whole_text("".join(text for text in texts if isinstance(text, str))),
        stop=_STOPS.get(str(raw.get("stop_reason")), Stop.END),
        usage=_usage(raw.get("usage")),
        latency_s=elapsed_s,
        reported_model=model if isinstance(model, str) else None,
        tool_calls=tuple(
            ToolCall(name=str(block.get("name")), arguments=block.get("input"))
            for block in blocks
            if block.get("type") == "tool_use"
        ),
    )


def _usage(raw: Any) -> Usage:
    """Tokens in and out; what came from or went to the prompt cache was read by the model too."""
    if not isinstance(raw, dict):
        return Usage()
    parts = [wire.count(raw.get(key)) for key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")]
    read = None if parts[0] is None else sum(part or 0 for part in parts)
    return Usage(input_tokens=read, output_tokens=wire.count(raw.get("output_tokens")))
