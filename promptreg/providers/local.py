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

import os
import secrets
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal

from promptreg.core import gguf
from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.protocols import ProviderContext, WeightsFile
from promptreg.core.run import Call, Completion, Failure, Stop, ToolCall, Usage
from promptreg.errors import UsageError, WeightsError, Where
from promptreg.providers import wire

CHUNK: Final = 32  # tokens; see above. 64 and more would be some 3 % faster
LOGICAL_BATCH: Final = 256  # tokens between two looks at whether the caller still waits
MAX_TOKENS: Final = 256  # when a prompt sets none: a small model that does not stop would fill its context
SMALL_WEIGHTS: Final = 1_000_000_000  # bytes; above, each engine's own buffers are too dear to have one for each core
MAX_ENGINES: Final = 4  # unless asked for: each holds its own cache (SmolLM2 at 4096 tokens: 300 MB resident)
GRACE_S: Final = 30.0  # for a chunk of a large model's prompt; a small one's takes a fraction of a second
WARM: Final = 2  # prompts an engine remembers where reuse is on: suites interleave a few prompts
CLOSED: Final = Failure(kind="provider_down", message="the model was closed")
STOPS: Final = {"stop": Stop.END, "length": Stop.LENGTH, "tool_calls": Stop.TOOL}
OURS: Final = frozenset(
    {"messages", "prompt", "stream", "stream_options", "n", "n_predict", "id_slot", "cache_prompt", "return_progress"}
)

# Weights whose matrix products (Q4_1) llama.cpp computes row by row, so that it does not matter what is in the same chunk. Not
# so Q4_0, Q5_0, Q8_0 and F16, whose kernels work on tiles (Gemma 3 270M Q4_K_M: with the cache, 5 of 10 answers differ in bits).
EXACT: Final = frozenset({"sha256:b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Serve:
    """How the model is served. Everything here that can change an answer is part of the model's identity."""

    context: int = 4096  # tokens of prompt and answer together
    kv_cache: Literal["f16", "q8_0", "q4_0"] = "f16"
    threads: int = 1  # for each engine
    parallel: int | None = None  # engines; default: one for each core, or only one if the weights are large
    batch: int = 1  # calls sharing one engine (continuous batching)
    reuse: bool | None = None  # keep the cache of a common beginning; default: where it changes no answer
    gpu_layers: int = 0  # -1: all of them
    adapters: tuple[str, ...] = ()  # LoRA adapters in GGUF form

    def __post_init__(self) -> None:
        for name in ("context", "threads", "batch", "parallel"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"serve.{name} is {value}; it must be at least 1")
        if self.gpu_layers < -1:
            raise ValueError(f"serve.gpu_layers is {self.gpu_layers}; it must be -1 (all) or more")


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
        self._version = _engine_version()
        self._weights = context.weights(spec.model)
        serve = options.serve
        exact = (serve.threads, serve.batch, serve.gpu_layers, serve.adapters) == (1, 1, 0, ()) and self._weights.digest in EXACT
        self._reuse = exact if serve.reuse is None else serve.reuse
        serving = _Serving(
            weights=self._weights,
            adapters=tuple(context.weights(path) for path in serve.adapters),
            serve=serve,
            slots=max(serve.batch, WARM if self._reuse else 1),
            reuse=self._reuse,
            where=spec.where,
        )
        self._pool = _Pool(serving, serve.parallel or _engines(self._weights))
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
        reuse = self._reuse and _common(seat.question, question) > 0
        talk = _Talk(chat, {**body, "id_slot": seat.slot, "cache_prompt": reuse}, seat.tokens)
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
            if worker.ident is None:
                self._pool.give(seat)
        return talk.result(self._reported(header), f"xllamacpp {self._version}")

    def _converse(self, seat: _Seat, talk: _Talk) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Serving:
    """All that an engine is started with."""

    weights: WeightsFile
    adapters: tuple[WeightsFile, ...]
    serve: Serve
    slots: int
    reuse: bool
    where: Where

    def start(self) -> Any:
        """A new llama.cpp server over the (mapped, shared) weights. Raises WeightsError."""
        import xllamacpp

        serve = self.serve
        params = xllamacpp.CommonParams()
        params.model.path = str(self.weights.path)
        params.n_ctx, params.n_parallel, params.kv_unified = serve.context * self.slots, self.slots, False
        params.n_batch, params.n_ubatch = LOGICAL_BATCH, CHUNK
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = serve.threads
        params.cache_type_k = params.cache_type_v = getattr(xllamacpp.ggml_type, f"GGML_TYPE_{serve.kv_cache.upper()}")
        # A quantised cache needs it, and left to itself the engine may choose another attention with other sums.
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_ENABLED
        params.n_gpu_layers, params.fit_params, params.no_kv_offload = serve.gpu_layers, False, serve.gpu_layers == 0
        params.cache_prompt, params.cache_ram_mib, params.ctx_shift = self.reuse, 0, False
        params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE  # the text as it was written
        params.lora_adapters = [_adapter(xllamacpp, adapter) for adapter in self.adapters]
        params.verbosity, params.warmup = -1, False
        _close_doors(params)
        try:
            return xllamacpp.Server(params)
        except (RuntimeError, ValueError) as fault:
            raise WeightsError(
                f"{self.weights.path} cannot be served ({self.serve}): {fault}",
                where=self.where,
                hint="check that the file is whole, that this engine knows its architecture, and that the memory suffices",
            ) from fault


def _close_doors(params: Any) -> None:
    """The engine always listens on a loopback port, which nobody needs: a random key shuts everybody out."""
    params.hostnames, params.api_keys = ["127.0.0.1"], [secrets.token_hex(16)]
    params.ui = params.endpoint_slots = params.endpoint_props = False
    params.n_threads_http = 1


def _adapter(xllamacpp: Any, adapter: WeightsFile) -> Any:
    info = xllamacpp.CommonAdapterLoraInfo()
    info.path, info.scale = str(adapter.path), 1.0
    return info


def _engine_version() -> str:
    """The installed engine's version, read without importing it. Raises UsageError with the remedy."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("xllamacpp")
    except PackageNotFoundError as fault:
        raise UsageError("the `local` provider needs the package xllamacpp", hint="pip install 'git-promptreg[local]'") from fault


def _engines(weights: WeightsFile) -> int:
    if weights.path.stat().st_size > SMALL_WEIGHTS:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_ENGINES)


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


def _same_sums(total: int, reused: int, cached: int) -> bool:
    """Whether a prompt of *total* tokens gets the same bits with *reused* of them from a cache of *cached* prompt tokens.

    The cache's last prompt token and the answer after it were, or may have been, chunks of one token.
    """
    return not reused or (reused < cached and (total % CHUNK == 1) == ((total - reused) % CHUNK == 1))


def _common(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@dataclass(slots=True, eq=False)
class _Engine:
    """A running server, and how many calls it is working on."""

    server: Any
    busy: int = 0


@dataclass(slots=True, eq=False)
class _Seat:
    """One of an engine's slots: the question whose tokens its cache holds, and how many those are (0: not known)."""

    engine: _Engine
    slot: int
    question: str = ""
    tokens: int = 0
    taken: bool = False
    turn: int = 0  # when it was last given away

    def worth(self, question: str) -> tuple[int, int, int]:
        """What speaks for this seat: an idle engine, then a cache that holds much of the question, then long disuse."""
        common = _common(self.question, question)
        return (-self.engine.busy, common if common * 4 > len(question) else 0, -self.turn)


class _Pool:
    """Up to *size* engines, each with `batch` seats to be taken at once; whoever finds none free waits."""

    def __init__(self, serving: _Serving, size: int) -> None:
        self._serving, self._size, self._batch = serving, size, serving.serve.batch
        self.capacity = size * self._batch
        self.closed = False
        self._seats: list[_Seat] = []
        self._engines = 0  # running or starting
        self._workers: list[threading.Thread] = []
        self._turn = 0
        self._change = threading.Condition()

    def take(self, question: str) -> _Seat | None:
        """The free seat that suits the question best; None once the pool is closed."""
        with self._change:
            while not self.closed:
                free = [seat for seat in self._seats if not seat.taken and seat.engine.busy < self._batch]
                if free:
                    return self._give_away(max(free, key=lambda seat: seat.worth(question)))
                if self._engines < self._size:
                    self._engines += 1
                    break
                self._change.wait()
            else:
                return None
        return self._add()

    def _give_away(self, seat: _Seat) -> _Seat:
        self._turn += 1
        seat.taken, seat.turn = True, self._turn
        seat.engine.busy += 1
        return seat

    def _add(self) -> _Seat | None:
        """Starts an engine outside the lock: the others go on answering meanwhile."""
        server = None
        seats: list[_Seat] = []
        try:
            server = self._serving.start()
        finally:
            with self._change:
                if server is None or self.closed:
                    self._engines -= 1
                    server = None
                else:
                    engine = _Engine(server)
                    seats = [_Seat(engine, slot) for slot in range(self._serving.slots)]
                    self._seats += seats
                    self._give_away(seats[0])
                self._change.notify_all()
        return seats[0] if seats else None

    def give(self, seat: _Seat) -> None:
        with self._change:
            seat.taken = False
            seat.engine.busy -= 1
            self._change.notify_all()

    def work(self, worker: threading.Thread) -> bool:
        """Starts a thread that talks to an engine, and which `close` waits for; False once the pool is closed."""
        with self._change:
            if not self.closed:
                worker.start()
                self._workers = [other for other in self._workers if other.is_alive()] + [worker]
            return not self.closed

    def close(self) -> None:
        """Ends the calls under way, waits for their threads, and destroys the engines here and now.

        An engine that was still computing, or that the last thread to name it destroyed, while the process ends takes it down with
        a segmentation fault.
        """
        with self._change:
            self.closed = True
            self._change.notify_all()
            workers, engines = list(self._workers), {id(seat.engine): seat.engine for seat in self._seats}
        for worker in workers:
            worker.join(GRACE_S)
        for engine in engines.values():
            engine.server = None
        with self._change:
            self._seats.clear()


class _Talk:
    """One streamed answer, put together from its chunks in the engine's thread. *cached* prompt tokens may be in its seat."""

    def __init__(self, chat: bool, body: dict[str, Any], cached: int) -> None:
        self.done = threading.Event()
        self.cancelled = False
        self.read = 0  # tokens of the prompt, once all are read
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
            self._stale = not _same_sums(progress["total"], progress["cache"], self._cached)
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
