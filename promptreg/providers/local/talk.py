"""One answer of an engine, from the request's body to the Completion. Knows no seat and no pool."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from promptreg.core.canonical import Json
from promptreg.core.run import Completion, Failure, Stop, ToolCall, Usage
from promptreg.providers import wire
from promptreg.providers.local.serving import CHUNK

STOPS: Final = {"stop": Stop.END, "length": Stop.LENGTH, "tool_calls": Stop.TOOL}


def same_sums(total: int, reused: int, cached: int) -> bool:
    """Whether a prompt of *total* tokens gets the same bits with *reused* of them from a cache of *cached* prompt tokens.

    The cache's last prompt token and the answer after it were, or may have been, chunks of one token.
    """
    return not reused or (reused < cached and (total % CHUNK == 1) == ((total - reused) % CHUNK == 1))


class Talk:
    """One streamed answer, put together from its chunks in the engine's thread. *cached* prompt tokens may be in its seat."""

    def __init__(self, chat: bool, body: dict[str, Any], cached: int) -> None:
        self.done = threading.Event()
        self.cancelled = False
        self.read = 0  # tokens of the prompt, once all are read
        self._claim = threading.Lock()
        self._chat, self._body, self._cached = chat, body, cached
        self._total = 0
        self._stale = False
        self._text: list[str] = []
        self._calls: dict[int, dict[str, str]] = {}
        self._logprobs: list[Json] = []
        self._finish = ""
        self._usage: Mapping[str, Any] = {}
        self._error: Mapping[str, Any] = {}
        self._latency_s = 0.0

    def begin(self) -> bool:
        """Whether the talk is the caller's: of the thread that computes and the one that gives up waiting, the first one has it."""
        return self._claim.acquire(blocking=False)

    def run(self, server: Any, closed: Callable[[], bool]) -> None:
        """Computes the answer; returns early when nobody waits for it any more."""
        started = time.perf_counter()

        def hear(chunk: Mapping[str, Any]) -> bool:  # True stops the engine
            self._take(chunk)
            return self._stale or self.cancelled or closed()

        handle = server.handle_chat_completions if self._chat else server.handle_completions
        try:
            handle(self._body, hear)
            if self._stale:
                self._stale = False
                handle({**self._body, "cache_prompt": False}, hear)
        except (ValueError, RuntimeError) as fault:
            self._error = {"code": 400 if isinstance(fault, ValueError) else 500, "message": str(fault)}
        self._latency_s = time.perf_counter() - started
        self.read = self._total if self._finish else 0

    def _take(self, chunk: Mapping[str, Any]) -> None:
        progress = chunk.get("prompt_progress")
        if progress:
            self._total = progress["total"]
            self._stale = not same_sums(progress["total"], progress["cache"], self._cached)
        self._error = chunk.get("error") or self._error
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            self._text.append((delta.get("content") if self._chat else choice.get("text")) or "")
            self._finish = choice.get("finish_reason") or self._finish
            self._logprobs.extend((choice.get("logprobs") or {}).get("content") or ())
            for part in delta.get("tool_calls") or ():
                self._take_tool(part)

    def _take_tool(self, part: Mapping[str, Any]) -> None:
        call = self._calls.setdefault(part.get("index", 0), {"name": "", "arguments": ""})
        for key, piece in (part.get("function") or {}).items():
            if key in call:
                call[key] += piece or ""

    def result(self, reported: str, engine: str) -> Completion | Failure:
        if self._error.get("type") == "exceed_context_size_error":
            usage = Usage(input_tokens=wire.count(self._error.get("n_prompt_tokens")))
            return Completion(text="", stop=Stop.OVERFLOW, usage=usage, latency_s=self._latency_s, reported_model=reported)
        if self._error:
            kind: Literal["request", "server"] = "server" if self._error.get("code", 500) >= 500 else "request"
            return Failure(kind=kind, message=str(self._error.get("message", "the engine gave no reason"))[:1000])
        if not self._finish:
            return Failure(kind="provider_down", message="the model was closed while it answered")
        calls = (self._calls[index] for index in sorted(self._calls))
        return Completion(
            text=wire.whole_text("".join(self._text)),
            stop=STOPS.get(self._finish, Stop.END),
            usage=Usage(
                input_tokens=wire.count(self._usage.get("prompt_tokens")),
                output_tokens=wire.count(self._usage.get("completion_tokens")),
            ),
            latency_s=self._latency_s,
            reported_model=reported,
            system_fingerprint=engine,
            tool_calls=tuple(ToolCall(name=call["name"], arguments=wire.decoded_arguments(call["arguments"])) for call in calls),
            logprobs=self._logprobs or None,
        )
