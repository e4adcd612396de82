"""A provider that says what it is told to, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, Literal, TypeAlias

from promptreg.core.canonical import Json
from promptreg.core.protocols import NoOptions
from promptreg.core.run import Call, Completion, Failure, ModelIdentity, Usage

Said: TypeAlias = str | Completion | Failure


class FakeProvider:
    """Answers from *script* in the order of the calls (the last entry repeats), or with whatever *script*, a function, returns.

    `calls` lists every call in the order in which it came; `closed` says whether somebody closed the provider.
    """

    name: ClassVar[str] = "fake"
    Options: ClassVar[type] = NoOptions

    def __init__(
        self,
        script: Iterable[Said] | Callable[[Call], Said] = ("fake answer",),
        *,
        stored: bool = True,
        keyed_by: Literal["messages", "case"] = "messages",
        concurrency: int = 4,
        identity: Mapping[str, Json] | None = None,
    ) -> None:
        self._answer = script if callable(script) else _in_turn(tuple(script))
        self._lock = threading.Lock()
        self.stored = stored
        self.keyed_by = keyed_by
        self.concurrency = concurrency
        self.identity: Mapping[str, Json] = identity or {}
        self.calls: list[Call] = []
        self.timeouts: list[float] = []
        self.closed = False

    @property
    def model(self) -> ModelIdentity:
        """The identity that calls to this provider carry."""
        return ModelIdentity(facts={"provider": self.name, "model": "fake", **self.identity})

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:
        with self._lock:
            self.calls.append(call)
            self.timeouts.append(timeout_s)
            said = self._answer(call)
        if not isinstance(said, str):
            return said
        usage = Usage(input_tokens=sum(len(message.text.split()) for message in call.messages), output_tokens=len(said.split()))
        return Completion(text=said, usage=usage, latency_s=0.0, reported_model="fake")

    def close(self) -> None:
        self.closed = True


def _in_turn(script: tuple[Said, ...]) -> Callable[[Call], Said]:
    if not script:
        raise ValueError("a script needs at least one answer")
    rest = list(reversed(script))

    def answer(_call: Call) -> Said:
        return rest.pop() if len(rest) > 1 else rest[0]

    return answer
