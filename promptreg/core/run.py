"""What happens to a case: a call, its completion or failure, the scores of its checks, its outcome."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NewType, TypeAlias

from promptreg.core.canonical import Digest, Json, digest
from promptreg.core.prompt import Message, Parameters
from promptreg.core.suite import Case

CallKey = NewType("CallKey", str)

# The first sample slot of a baseline. A merged candidate's own answers stay in the slots from 0: they won, so they were lucky.
BASELINE = 1_000_000


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One observation's name: what was asked (key) and which sample of it (slot 0, 1, 2 …; a baseline's begin at BASELINE)."""

    key: CallKey
    slot: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelIdentity:
    """What can change a model's answers, and nothing else: never the alias, the price, a key, a timeout (docs/design/semantics.md).

    `facts` is provider, model, and what of origin, serve, weights, adapter applies.
    """

    facts: Mapping[str, Json]
    digest: Digest = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest("promptreg/model/1", self.facts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to one model. `case` is set only for providers that answer by case (`keyed_by == "case"`)."""

    model: ModelIdentity
    messages: tuple[Message, ...]
    params: Parameters = field(default_factory=Parameters)
    tools: tuple[Mapping[str, Json], ...] = ()
    output_schema: Mapping[str, Json] | None = None
    case: str | None = None
    slot: int = 0
    key: CallKey = field(init=False)

    def __post_init__(self) -> None:
        facts: dict[str, Json] = {
            "model": self.model.digest,
            "messages": [message.as_json() for message in self.messages],
            "params": self.params.as_json(),
        }
        if self.tools:
            facts["tools"] = list(self.tools)
        if self.output_schema is not None:
            facts["output_schema"] = self.output_schema
        if self.case is not None:
            facts["case"] = self.case
        object.__setattr__(self, "key", CallKey(digest("promptreg/call/1", facts)))

    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint(self.key, self.slot)


class Stop(StrEnum):
    """Why an answer ended. All are answers: stored and graded."""

    END = "end"
    LENGTH = "length"
    TOOL = "tool"
    REFUSAL = "refusal"
    FILTER = "filter"
    OVERFLOW = "overflow"

    @property
    def refused(self) -> bool:
        """Whether the provider says that somebody would not answer: the model, or a filter before or behind it."""
        return self in (Stop.REFUSAL, Stop.FILTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens as the provider counted them; None where it did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    name: str
    arguments: Json  # decoded where the model wrote JSON, else its raw text


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A model's answer, as observed. `scores` are those a recording carries; `observed_at` is seconds since the epoch."""

    text: str
    stop: Stop = Stop.END
    usage: Usage = field(default_factory=Usage)
    latency_s: float | None = None
    reported_model: str | None = None
    system_fingerprint: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: Json = None
    cost_usd: float | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    observed_at: float | None = None

    def as_json(self) -> dict[str, Json]:
        """What the store and the records hold: only what is set, besides text and stop."""
        out: dict[str, Json] = {"text": self.text, "stop": self.stop.value}
        usage = {"input_tokens": self.usage.input_tokens, "output_tokens": self.usage.output_tokens}
        optional: dict[str, Json] = {
            "usage": {name: count for name, count in usage.items() if count is not None},
            "latency_s": self.latency_s,
            "reported_model": self.reported_model,
            "system_fingerprint": self.system_fingerprint,
            "tool_calls": [{"name": call.name, "arguments": call.arguments} for call in self.tool_calls],
            "logprobs": self.logprobs,
            "cost_usd": self.cost_usd,
            "scores": dict(self.scores),
            "observed_at": self.observed_at,
        }
        out.update((name, value) for name, value in optional.items() if value not in (None, {}, []))
        return out

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Completion:
        """The inverse of as_json."""
        usage = raw.get("usage", {})
        return cls(
            text=raw["text"],
            stop=Stop(raw["stop"]),
            usage=Usage(input_tokens=usage.get("input_tokens"), output_tokens=usage.get("output_tokens")),
            latency_s=raw.get("latency_s"),
            reported_model=raw.get("reported_model"),
            system_fingerprint=raw.get("system_fingerprint"),
            tool_calls=tuple(ToolCall(**call) for call in raw.get("tool_calls", ())),
            logprobs=raw.get("logprobs"),
            cost_usd=raw.get("cost_usd"),
            scores=raw.get("scores", {}),
            observed_at=raw.get("observed_at"),
        )

    def content_digest(self) -> Digest:
        """What a check can see of an answer: its text, stop and tool calls (not when or how fast it came)."""
        calls: list[Json] = [{"name": call.name, "arguments": call.arguments} for call in self.tool_calls]
        return digest("promptreg/completion/1", {"text": self.text, "stop": self.stop.value, "tool_calls": calls})


FailureKind: TypeAlias = Literal[
    "timeout",
    "rate_limit",
    "server",
    "connection",
    "garbled",
    "auth",
    "request",
    "no_recording",
    "budget",
    "provider_down",
    "plugin",
    "unmeasured",  # a check needs a fact (a recorded score, latency, cost, tokens) that nobody reported
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """No answer. Neither stored nor scored: the case is missing, and the report says so."""

    kind: FailureKind
    message: str
    retryable: bool = False
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A metric's finding in [0, 1], 1 is good; *reason* is one line for the person who must mend the prompt.

    *read* is what it read off the answer to find that (a label, a number), "" if there was none: answers are the same one as far as
    they read the same. None: it reads nothing off, or looks at the whole.
    """

    value: float
    reason: str = ""
    read: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One check of one answer: `value` after threshold and negation, `raw` as the metric gave it."""

    label: str
    metric: str
    value: float
    raw: float
    passed: bool
    required: bool
    weight: float
    reason: str = ""
    read: str | None = None  # as the metric's Score says


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one sample of one case: a completion with its check results, or a failure.

    `passed` and `score` are None when the answer, or a judge's, failed to arrive. `calls_made` and `calls_known` count the
    case's own call and those of its metrics.
    """

    prompt: str
    model: str
    case: Case
    call: Call
    completion: Completion | None = None
    failure: Failure | None = None
    checks: tuple[CheckResult, ...] = ()
    passed: bool | None = None
    score: float | None = None
    cost_usd: float | None = None
    calls_made: int = 0
    calls_known: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What `execute` answers to a Call; `known` says that nobody had to be asked for it now."""

    result: Completion | Failure
    known: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """A task asks for a stored score; the answer is a Score or None."""

    key: Digest


@dataclass(frozen=True, slots=True)
class Remember:
    """A task asks to store a score; the answer is None."""

    key: Digest
    score: Score


Task: TypeAlias = Generator[Call | Recall | Remember, Received | Score | None, Outcome]
