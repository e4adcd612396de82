"""Answers with what it was asked: for tests, first steps and `promptreg init`. Deterministic, free, offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec, estimate_tokens
from promptreg.core.protocols import ProviderContext
from promptreg.core.run import Call, Completion, Failure, Stop, Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoOptions:
    """The keys of a catalogue entry with `provider: echo`."""

    prefix: str = ""  # stands before every echo
    script: Mapping[str, str] = field(default_factory=dict)  # what to answer instead, by the text of the last user message


class Echo:
    """The last user message, or what the script has for it; cut off at max_tokens of four characters."""

    name: ClassVar[str] = "echo"
    Options: ClassVar[type] = EchoOptions

    stored = False
    keyed_by: Literal["messages", "case"] = "messages"
    concurrency = 8

    def __init__(self, spec: ModelSpec, options: EchoOptions, context: ProviderContext) -> None:  # noqa: ARG002 - the protocol's shape
        self._options = options
        self._model = spec.model
        self.identity: dict[str, Json] = {}
        if options.prefix:
            self.identity["prefix"] = options.prefix
        if options.script:
            self.identity["script"] = dict(options.script)

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:  # noqa: ARG002 - it never waits
        asked = next((message.text for message in reversed(call.messages) if message.role == "user"), "")
        text = self._options.prefix + self._options.script.get(asked, asked)
        limit = call.params.max_tokens
        stop = Stop.END
        if limit is not None and estimate_tokens(text) > limit:
            text, stop = text[: 4 * limit], Stop.LENGTH
        read = sum(estimate_tokens(message.text) for message in call.messages)
        usage = Usage(input_tokens=read, output_tokens=estimate_tokens(text))
        return Completion(text=text, stop=stop, usage=usage, latency_s=0.0, reported_model=self._model)

    def close(self) -> None:
        """Nothing is open."""
