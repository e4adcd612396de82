"""Real GGUF models inside this process: llama.cpp through the prebuilt `xllamacpp` wheel. The only door to it.

One model is a pool of engines, made when the first call needs them, so that a run whose answers are all known never loads
the weights. It knows messages and the engine; it knows no suites, prices, retries.

The same call gets the same answer, whatever else is running. Three choices see to it (all measured bit by bit on the
log-probabilities, see tests/contracts/test_local.py):

- Each engine has one thread, and calls at once go to engines of their own: a second thread changes the order of additions in
  attention from 512 tokens on (flash attention's split of the cache), and threads that wait for each other spin. Calls that
  share an engine (`batch`, llama.cpp's continuous batching) can change an answer, so it is a choice and part of the identity.
- Prompts are read in chunks of CHUNK tokens: from 64 tokens on llama.cpp computes attention in tiles, whose sums depend on
  where a chunk begins; a chunk of one token has sums of its own.
- What an earlier prompt left in the cache is used again (`reuse`) only where that changes no bit: for the weights in EXACT,
  and never where the last chunk would be one token with the cache and more without it, or the other way round. Few-shot
  prompts come out 2.5 times as fast. For other weights it is a choice, and part of the identity.

Message contents cannot forge a role: text that the tokenizer would read as a control token is broken by a zero-width space
before the chat template sees it (core.gguf.neutralise). A trailing assistant message is continued, not answered.
A model without a chat template (a base model) is given the texts of the messages, joined by blank lines, to continue.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from promptreg.core import gguf
from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.protocols import ProviderContext, WeightsFile
from promptreg.core.run import Call, Completion, Failure
from promptreg.errors import WeightsError
from promptreg.providers.local.pool import Pool, Seat, shared_start
from promptreg.providers.local.serving import Serve, Serving, engine_count, engine_version
from promptreg.providers.local.talk import Talk

__all__ = ["Local", "LocalOptions", "Serve"]

MAX_TOKENS: Final = 256  # when a prompt sets none: a small model that does not stop would fill its context
WARM: Final = 2  # prompts an engine remembers where reuse is on: suites interleave a few prompts
CLOSED: Final = Failure(kind="provider_down", message="the model was closed")
OURS: Final = frozenset(
    {"messages", "prompt", "stream", "stream_options", "n", "n_predict", "id_slot", "cache_prompt", "return_progress"}
)

# Weights whose matrix products (Q4_1) llama.cpp computes row by row, so that it does not matter what is in the same chunk. Not
# so Q4_0, Q5_0, Q8_0 and F16, whose kernels work on tiles (Gemma 3 270M Q4_K_M: with the cache, 5 of 10 answers differ in bits).
EXACT: Final = frozenset({"sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"})


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """The keys of a catalogue entry with `provider: local`; `model` is a catalogue name or the path of a GGUF file."""

    serve: Serve = field(default_factory=Serve)
    completion: Literal["auto", "chat", "plain"] = "auto"  # auto: chat if the model has a chat template


class Local:
    """One GGUF model in this process."""

    name: ClassVar[str] = "local"
    Options: ClassVar[type] = LocalOptions

    stored = True
    keyed_by: Literal["messages", "case"] = "messages"

    def __init__(self, spec: ModelSpec, options: LocalOptions, context: ProviderContext) -> None:
        self._spec, self._options = spec, options
        self._version = engine_version()
        self._weights = context.weights(spec.model)
        serve = options.serve
        exact = (serve.threads, serve.batch, serve.gpu_layers, serve.adapters) == (1, 1, 0, ()) and self._weights.digest in EXACT
        self._reuse = exact if serve.reuse is None else serve.reuse
        serving = Serving(
            weights=self._weights,
            adapters=tuple(context.weights(path) for path in serve.adapters),
            serve=serve,
            slots=max(serve.batch, WARM if self._reuse else 1),
            reuse=self._reuse,
            where=spec.where,
        )
        self._pool = Pool(serving, serve.parallel or engine_count(self._weights))
        self.concurrency = self._pool.capacity
        self.identity: Mapping[str, Json] = self._identity(exact, serving.adapters)
        # An interpreter that ends while native code is about to call back aborts the process: the calls must have ended.
        weakref.finalize(self, self._pool.close)
        self._header: gguf.Gguf | None = None
        self._lock = threading.Lock()

    def _identity(self, exact: bool, adapters: tuple[WeightsFile, ...]) -> dict[str, Json]:
        serve = self._options.serve
        facts: dict[str, Json] = {
            "engine": "xllamacpp",
            "engine_version": self._version,
            "weights": self._weights.digest,
            "serve": {"context": serve.context, "kv_cache": serve.kv_cache, **self._rarely(exact)},
            "defaults": {"temperature": 0, "max_tokens": MAX_TOKENS},
        }
        if adapters:
            facts["adapters"] = [adapter.digest for adapter in adapters]
        if self._options.completion != "auto":
            facts["completion"] = self._options.completion
        return facts

    def _rarely(self, exact: bool) -> dict[str, Json]:
        """Options that leave most answers as they are, but not all; absent at their defaults."""
        serve = self._options.serve
        out: dict[str, Json] = {}
        if serve.threads != 1:
            out["threads"] = serve.threads
        if serve.gpu_layers:
            out["gpu_layers"] = serve.gpu_layers
        if self._reuse and not exact:
            out["reuse"] = True
        if serve.batch > 1:
            out["batch"] = serve.batch
        return out

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:
        """The model's answer. Loads the weights if nobody has; raises WeightsError if they cannot be loaded.

        *timeout_s* counts from the moment an engine is free: waiting for one is this process's doing, not the model's.
        """
        header = self._read_header()
        chat = self._options.completion == "chat" or (self._options.completion == "auto" and header.chat_template is not None)
        body = self._body(call, chat, header)
        if isinstance(body, Failure):
            return body
        question = str(body.get("messages", body.get("prompt")))
        seat = self._pool.take(question)
        if seat is None:
            return CLOSED
        reuse = self._reuse and shared_start(seat.question, question) > 0
        talk = Talk(chat, {**body, "id_slot": seat.slot, "cache_prompt": reuse}, seat.tokens)
        seat.question, seat.tokens = question, 0
        # The engine's own thread: this one must wake up for a timeout and for Ctrl-C while native code computes.
        worker = threading.Thread(target=self._converse, args=(seat, talk), daemon=True, name=f"promptreg-{self._spec.alias}")
        try:
            if not self._pool.work(worker):
                return CLOSED
            if not talk.done.wait(timeout_s):
                return Failure(kind="timeout", message=f"no answer within {timeout_s:g} s", retryable=True)
        finally:
            talk.cancelled = True
            if talk.begin():  # the thread did not: Ctrl-C came while it was being started, and it will find nothing to do
                self._pool.give(seat)
        return talk.result(self._reported(header), f"xllamacpp {self._version}")

    def _converse(self, seat: Seat, talk: Talk) -> None:
        if not talk.begin():
            return
        try:
            talk.run(seat.engine.server, lambda: self._pool.closed)
            seat.tokens = talk.read
        finally:
            self._pool.give(seat)
            talk.done.set()

    def close(self) -> None:
        """Frees the weights, once the calls under way have ended at their next token."""
        self._pool.close()

    def _reported(self, header: gguf.Gguf) -> str:
        return " ".join(part for part in (self._spec.model, header.quantisation, self._weights.digest[7:19]) if part)

    def _read_header(self) -> gguf.Gguf:
        with self._lock:
            if self._header is None:
                try:
                    with self._weights.path.open("rb") as file:
                        self._header = gguf.parse(file.read(gguf.HEADER_LIMIT))
                except (OSError, ValueError) as fault:
                    raise WeightsError(
                        f"{self._weights.path} cannot be loaded: {fault}", where=self._spec.where, hint="give a whole GGUF file"
                    ) from fault
            return self._header

    # ---- the request

    def _body(self, call: Call, chat: bool, header: gguf.Gguf) -> dict[str, Any] | Failure:
        if any(
            not isinstance(message.content, str) and any(part.type == "image" for part in message.content)
            for message in call.messages
        ):
            return _refused("local models take no images")
        if call.tools and not chat:
            return _refused("a model without a chat template takes no tools")
        foreign = OURS & call.params.extra.keys()
        if foreign:
            return _refused(f"params.extra may not set {', '.join(sorted(foreign))}")
        texts = [gguf.neutralise(message.text, header.control_tokens) for message in call.messages]
        body: dict[str, Any] = {**call.params.extra, **_sampling(call), "return_progress": True}
        body.update(stream=True, stream_options={"include_usage": True})
        if not chat:
            body["prompt"] = "\n\n".join(texts)
            if call.output_schema is not None:
                body["json_schema"] = call.output_schema
            return body
        body["messages"] = [{"role": message.role, "content": text} for message, text in zip(call.messages, texts, strict=True)]
        if call.tools:
            body["tools"] = list(call.tools)
        if call.output_schema is not None:
            body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": call.output_schema}}
        return body


def _refused(message: str) -> Failure:
    return Failure(kind="request", message=message)


def _sampling(call: Call) -> dict[str, Any]:
    """The sampler's settings: greedy unless a temperature is asked for; each slot has a seed of its own, so that samples differ."""
    params = call.params
    wanted = {
        "temperature": params.temperature or 0,
        "max_tokens": params.max_tokens or MAX_TOKENS,
        "seed": ((params.seed or 0) + call.slot) % 2**32,
        "top_p": params.top_p,
        "top_k": params.top_k,
        "stop": list(params.stop) or None,
        "presence_penalty": params.presence_penalty,
        "frequency_penalty": params.frequency_penalty,
    }
    return {name: value for name, value in wanted.items() if value is not None}
