"""Metric `exact`: the answer is the expected text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import EXPECTED, folded, quoted, text_of, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
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

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    ignore_case: bool = False
    squash_space: bool = False

    def __post_init__(self) -> None:
        text_of(self.expected)

    def score(self, answer: Answer) -> Score:
        expected = text_of(self.expected)
        right = self._plain(answer.text) == self._plain(expected)
        return verdict(right, lambda: f"expected {quoted(expected)}, got {quoted(answer.text)}")

    def _plain(self, text: str) -> str:
        return folded(text.strip(), ignore_case=self.ignore_case, squash_space=self.squash_space)
