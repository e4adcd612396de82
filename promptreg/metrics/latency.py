"""Metric `latency`: the answer came in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.limits import check_limit, within


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Did the answer come within so many seconds, when it was made? An unknown latency leaves the case unmeasured.

    max_s: most seconds.
    """

    name: ClassVar[str] = "latency"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "max_s"
    cached: ClassVar[bool] = False

    max_s: float

    def __post_init__(self) -> None:
        check_limit("max_s", self.max_s)

    def score(self, answer: Answer) -> Score:
        return within(answer, "latency (seconds)", answer.completion.latency_s, self.max_s)
