"""The models a registry names: aliases, providers, prices, limits, ends of life."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from promptreg.core.canonical import Json
from promptreg.core.run import Completion
from promptreg.errors import Where

CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English; estimates only, never a bill


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How hard a model may be driven; none of it takes part in identity."""

    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    timeout_s: float | None = None
    retries: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One entry of the catalogue. `options` are the provider's own keys (base_url, api_key_env, serve, recording …)."""

    alias: str
    provider: str
    model: str
    options: Mapping[str, Json] = field(default_factory=dict)
    price: Price | None = None
    context: int | None = None  # tokens
    retires: str | None = None  # ISO date
    max_age_days: float | None = None  # an answer observed longer ago is not known any more; None: answers do not age
    limits: Limits = field(default_factory=Limits)
    where: Where = field(default=Where("promptreg.yaml"), compare=False)
    marks: Mapping[str, Where] = field(default_factory=dict, compare=False)
    written: Mapping[str, str] = field(default_factory=dict, compare=False)  # `1.10` where YAML reads 1.1, for options of type text

    def place(self, key: str) -> Where:
        """Where *key* of the entry stands in the file, or the entry itself."""
        return self.marks.get(key, self.where)


def estimate_tokens(text: str) -> int:
    """A rough count, rounded up; at least 1."""
    return max(1, -(-len(text) // CHARACTERS_PER_TOKEN))


def cost(price: Price | None, completion: Completion) -> float | None:
    """US dollars of one completion: as it was recorded, else by price and usage, else unknown."""
    if completion.cost_usd is not None:
        return completion.cost_usd
    used = completion.usage
    if price is None or used.input_tokens is None or used.output_tokens is None:
        return None
    return price.usd(used.input_tokens, used.output_tokens)
