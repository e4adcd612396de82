"""Metric `contains`: the answer holds a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import Folding, binary, quoted, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains(Folding):
    """Does the answer hold the expected text somewhere?

    expected: the text to look for, not empty.
    ignore_case: compare casefolded.
    squash_space: count every run of white space as one space.
    """

    name: ClassVar[str] = "contains"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._needle()

    def score(self, answer: Answer) -> Score:
        text = self.folded(answer.text)
        return binary(self._needle() in text, lambda: f"{quoted(text_of(self.expected))} is not in {quoted(answer.text)}")

    def _needle(self) -> str:
        return self.needles(text_of(self.expected))[0]
