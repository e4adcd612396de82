"""What the chat APIs have in common on the wire: JSON bodies and the reading of replies.

Knows neither HTTP nor any one API. What a request says, `core.dialects` writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from promptreg.core.canonical import Json
from promptreg.core.run import Call, Completion, Stop, Usage

_DECODER = json.JSONDecoder(parse_constant=lambda _name: None)  # log-probabilities of -Infinity are no JSON; they become null
_OVERFLOWS = re.compile(
    "|".join(
        (
            r"maximum context length",  # OpenAI, vLLM, OpenRouter, Mistral
            r"maximum prompt length",  # xAI
            r"context length is only",  # vLLM from 0.16
            r"longer than the maximum model length",
            r"too long to fit into the model",
            r"exceeds? the available context size",  # llama.cpp
            r"exceeds? the (model'?s )?(maximum )?context (length|window|size|limit)",
            r"exceed context limit",  # Anthropic: input length and max_tokens
            r"prompt is too long",  # Anthropic
            r"input is too long for requested model",  # Bedrock
            r"input token count .{0,40}exceeds the maximum",  # Gemini
            r"context (window|length) (is )?exceeded",
        )
    ),
    re.IGNORECASE,
)
_OVERFLOW_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"})
_FILTER_CODES = frozenset({"content_filter", "content_policy_violation"})


class Garbled(ValueError):
    """What came back is not what the API's reference says."""


def encode(body: Mapping[str, Any]) -> bytes:
    """The request's bytes."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def decode(body: bytes) -> dict[str, Any]:
    """A reply's JSON object. Raises Garbled, which says what came instead, and never shows it: it may repeat a prompt."""
    try:
        value = _DECODER.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as fault:
        raise Garbled(f"the answer is {_instead(body)}") from fault
    if not isinstance(value, dict):
        raise Garbled("the answer is not a JSON object")
    return value


def _instead(body: bytes) -> str:
    start = body[:200].lstrip()
    if not body.strip():
        return "empty, not JSON"
    if start.startswith(b"<"):
        return "a web page, not JSON: is base_url that of the API?"
    if start.startswith((b"data:", b"event:", b":")):
        return "a stream of events, not JSON: the server streams although it was not asked to"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as fault:
        return f"not JSON: byte 0x{body[fault.start]:02x} is not UTF-8"
    return "not JSON"


def decoded_arguments(raw: Any) -> Json:
    """A tool call's arguments: decoded where the model wrote JSON, else its raw text."""
    if not isinstance(raw, str):
        return raw  # type: ignore[no-any-return]
    try:
        return _DECODER.decode(raw)  # type: ignore[no-any-return]
    except (ValueError, RecursionError):
        return raw


def whole_text(text: str) -> str:
    """*text* without halves of surrogate pairs (a model cut off inside an emoji), which no UTF-8 can carry."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def count(value: Any) -> int | None:
    """A token count, if it is one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def unanswerable(text: str, code: str) -> Completion | None:
    """A refused request that is an answer all the same: the prompt outgrew the model, or a filter stopped it."""
    if code in _OVERFLOW_CODES or _OVERFLOWS.search(text):
        return Completion(text="", stop=Stop.OVERFLOW, usage=Usage())
    if code in _FILTER_CODES:
        return Completion(text="", stop=Stop.FILTER, usage=Usage())
    return None


def merged(body: dict[str, Any], call: Call, ours: frozenset[str]) -> dict[str, Any]:
    """*body* with the prompt's `params.extra`. Raises ValueError for what promptreg itself must say (*ours*)."""
    taken = sorted(ours.intersection(call.params.extra))
    if taken:
        raise ValueError(f"params may not set '{taken[0]}': promptreg writes it")
    return {**body, **call.params.extra}
