"""The four shapes a plugin may take: Provider, Metric, Reporter, Publisher.

A provider and a metric name their options as a frozen dataclass; promptreg validates what the user wrote against it
(unknown keys are errors) and builds the instance, so that no plugin parses configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeAlias

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.prompt import Message
from promptreg.core.run import Call, Completion, Failure, Score
from promptreg.core.suite import Case

if TYPE_CHECKING:
    from promptreg.core.comment import Published, Target
    from promptreg.core.report import Report
    from promptreg.core.rot import RotReport
    from promptreg.core.verdict import CheckReport


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFile:
    """A model file on this disk and the SHA-256 of its bytes (`sha256:…`)."""

    path: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderContext:
    """What of the world a provider may use: the environment (keys by name), the registry's files, and the weights."""

    env: Mapping[str, str]
    root: Path  # relative paths in options start here
    weights: Callable[[str], WeightsFile]  # a catalogue name or a path to a GGUF file; raises WeightsError with the remedy


class Provider(Protocol):
    """One model behind one API. Called from several threads at once; must not retry (`execute` does) and must not raise
    for what the far side did: that is a Failure."""

    name: ClassVar[str]  # as `provider:` names it
    Options: ClassVar[type]  # frozen dataclass: the keys of the catalogue entry beside the common ones

    identity: Mapping[str, Json]  # what can change answers: origin, serve, weights, adapter (provider and model are added)
    stored: bool  # False: answers are not worth storing (recordings, echo)
    keyed_by: Literal["messages", "case"]
    concurrency: int  # calls at once when nobody says otherwise

    def __init__(self, spec: ModelSpec, options: Any, context: ProviderContext) -> None: ...

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a metric may look at: the completion, the case it answers, the messages that were sent, and its cost if known."""

    completion: Completion
    case: Case
    messages: tuple[Message, ...] = ()
    cost_usd: float | None = None
    output_schema: Mapping[str, Json] | None = None

    @property
    def text(self) -> str:
        return self.completion.text


Grading: TypeAlias = Generator[Call, Completion | Failure, Score]


# Metadata of a metric's option that is a text by nature: `1.10` in a suite then arrives as the user spelt it, not as 1.1.
AS_WRITTEN: Mapping[str, bool] = {"as_written": True}


class Metric(Protocol):
    """One idea of quality. A metric class is a frozen dataclass whose fields are its options, with every template rendered.

    `score` returns a Score, or, when it needs models, is a generator that yields Calls and returns a Score.
    A ValueError or TypeError from __post_init__ is shown as the user's mistake at the option's place. A score that needs a fact
    nobody reported raises Unmeasured: the case is then missing, whether the check is negated or not. Other exceptions are
    the plugin's fault. The docstring becomes the metric's row in the table of checks (core/manual.py says how).
    """

    name: ClassVar[str]
    version: ClassVar[str]  # part of the score key; raise it when a score may change
    threshold: ClassVar[float]  # default pass mark; deterministic metrics say 1.0
    short: ClassVar[str]  # the option that the short form `metric: value` fills; "" if there is none
    # True: scores are worth storing (slow, or needs models) and depend on nothing but what is in the score key: the answer's text,
    # stop and tool calls, the messages, the case's inputs, expected answer and tags, the output schema.
    cached: ClassVar[bool]

    def score(self, answer: Answer) -> Score | Grading: ...


class Reporter(Protocol):
    """Report in, text out; one format."""

    name: ClassVar[str]
    suffix: ClassVar[str]  # the file ending that selects it: ".md"

    def render(self, report: Report) -> str: ...


class CheckReporter(Protocol):
    """CheckReport in, text out: what a Reporter may offer beside `render`. Without it, `check` refuses the format."""

    name: ClassVar[str]
    suffix: ClassVar[str]

    def render_check(self, report: CheckReport) -> str: ...


class RotReporter(Protocol):
    """RotReport in, text out: what a Reporter may offer beside `render`. Without it, `rot` and `upgrade` refuse the format."""

    name: ClassVar[str]
    suffix: ClassVar[str]

    def render_rot(self, report: RotReport) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class PublisherContext:
    """What of the world a publisher may use: the environment (keys by name), and waiting, in seconds."""

    env: Mapping[str, str]
    sleep: Callable[[float], None]


class Publisher(Protocol):
    """A finished comment in, one effect out: it stands where *target* says, once, however often it is published.

    UsageError for what the user can mend; the message holds no key.
    """

    name: ClassVar[str]

    def __init__(self, context: PublisherContext) -> None: ...

    def publish(self, text: str, target: Target) -> Published: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class NoOptions:
    """For providers without keys of their own."""

    nothing: None = field(default=None, init=False)
