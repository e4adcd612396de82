"""Metric `exact`: the answer is the expected text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import Folding, binary, quoted, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact(Folding):
    """Is the answer the expected text, white space at both ends aside?

    expected: the text; a number or truth value is spelt as in JSON.
    ignore_case: compare casefolded.
    squash_space: count every run of white space as one space.
    """

    name: ClassVar[str] = "exact"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    def __post_init__(self) -> None:
        text_of(self.expected)

    def score(self, answer: Answer) -> Score:
        expected = text_of(self.expected)
        right = self._plain(answer.text) == self._plain(expected)
        return binary(right, lambda: f"expected {quoted(expected)}, got {quoted(answer.text)}")

    def _plain(self, text: str) -> str:
        return self.folded(text.strip())
