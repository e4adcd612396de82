"""How llama.cpp is set up to serve one model. What a setting does to the answers' bits stands in the package's docstring."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

from promptreg.core.protocols import WeightsFile
from promptreg.errors import UsageError, WeightsError, Where

CHUNK: Final = 32  # tokens; the package says why. 64 and more would be some 3 % faster
LOGICAL_BATCH: Final = 256  # tokens between two looks at whether the caller still waits
SMALL_WEIGHTS: Final = 1_000_000_000  # bytes; above, each engine's own buffers are too dear to have one for each core
MAX_ENGINES: Final = 4  # unless asked for: each holds its own cache (SmolLM2 at 4096 tokens: 300 MB resident)


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
class Serving:
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


def engine_version() -> str:
    """The installed engine's version, read without importing it. Raises UsageError with the remedy."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("xllamacpp")
    except PackageNotFoundError as fault:
        raise UsageError("the `local` provider needs the package xllamacpp", hint="pip install 'git-promptreg[local]'") from fault


def engine_count(weights: WeightsFile) -> int:
    """How many engines to have when nobody says: one for each core, one in all for large weights."""
    if weights.path.stat().st_size > SMALL_WEIGHTS:
        return 1
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_ENGINES)
