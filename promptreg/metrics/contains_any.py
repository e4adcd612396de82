"""Metric `contains_any`: the answer holds at least one text of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import Folding, binary, quoted, texts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainsAny(Folding):
    """Does the answer hold at least one of the expected texts?

    expected: the texts to look for, none empty.
    ignore_case: compare casefolded.
    squash_space: count every run of white space as one space.
    """

    name: ClassVar[str] = "contains_any"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.needles(self.expected)

    def score(self, answer: Answer) -> Score:
        text = self.folded(answer.text)
        right = any(needle in text for needle in self.needles(self.expected))
        return binary(right, lambda: f"none of {', '.join(map(quoted, texts_of(self.expected)[:5]))} is in {quoted(answer.text)}")
