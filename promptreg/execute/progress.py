"""What whoever watches a run is told, always from the driving thread. Knows no terminal."""

from __future__ import annotations

from typing import Protocol

from promptreg.core.run import Call, Completion, Failure, Outcome


class Progress(Protocol):
    """A watcher. A call ends in exactly one of call_made, call_known, call_failed for each task that asked for it."""

    def started(self, total: int | None) -> None:
        """A run begins; *total* tasks, if anybody knows."""

    def call_made(self, call: Call, completion: Completion, usd: float | None) -> None:
        """A provider answered."""

    def call_known(self, call: Call, completion: Completion) -> None:
        """The answer was there already, or another task had asked for it."""

    def call_failed(self, call: Call, failure: Failure) -> None:
        """No answer, and no further try."""

    def retrying(self, call: Call, failure: Failure, delay_s: float) -> None:
        """A try failed; another follows in *delay_s* seconds or later."""

    def finished(self, outcome: Outcome) -> None:
        """A task ended; its outcome is about to be handed on, in order."""


class Silent:
    """The watcher who says nothing."""

    def started(self, total: int | None) -> None: ...
    def call_made(self, call: Call, completion: Completion, usd: float | None) -> None: ...
    def call_known(self, call: Call, completion: Completion) -> None: ...
    def call_failed(self, call: Call, failure: Failure) -> None: ...
    def retrying(self, call: Call, failure: Failure, delay_s: float) -> None: ...
    def finished(self, outcome: Outcome) -> None: ...
