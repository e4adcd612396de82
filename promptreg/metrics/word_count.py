"""Metric `word_count`: the answer keeps to a length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import binary


@dataclass(frozen=True, slots=True, kw_only=True)
class WordCount:
    """Has the answer at least `min` and at most `max` words, parted by white space?

    min: fewest words.
    max: most words; no bound when not given.
    """

    name: ClassVar[str] = "word_count"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "max"
    cached: ClassVar[bool] = False

    min: int = 0
    max: int | None = None

    def __post_init__(self) -> None:
        if self.min < 0 or (self.max is not None and self.max < self.min):
            raise ValueError("a word count needs 0 ≤ min ≤ max")
        if self.min == 0 and self.max is None:
            raise ValueError("'min' or 'max' is needed: without them every answer passes")

    def score(self, answer: Answer) -> Score:
        count = len(answer.text.split())
        right = self.min <= count and (self.max is None or count <= self.max)
        bounds = f"at least {self.min}" if self.max is None else f"{self.min} to {self.max}"
        return binary(right, lambda: f"{count} words, {bounds} wanted")
