"""Metric `cost`: the answer was cheap enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.limits import check_limit, within


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Did the answer cost at most so many US dollars? An unknown cost (a model without `price`) leaves the case unmeasured.

    max_usd: most US dollars for one answer, its judges not counted.
    """

    name: ClassVar[str] = "cost"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "max_usd"
    cached: ClassVar[bool] = False

    max_usd: float

    def __post_init__(self) -> None:
        check_limit("max_usd", self.max_usd)

    def score(self, answer: Answer) -> Score:
        return within(answer, "cost (US dollars)", answer.cost_usd, self.max_usd)
