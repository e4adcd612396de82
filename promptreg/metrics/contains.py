"""Metric `contains`: the answer holds a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import EXPECTED, folded, needles_of, quoted, text_of, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Contains:
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

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    ignore_case: bool = False
    squash_space: bool = False

    def __post_init__(self) -> None:
        self._needle()

    def score(self, answer: Answer) -> Score:
        text = folded(answer.text, ignore_case=self.ignore_case, squash_space=self.squash_space)
        return verdict(self._needle() in text, lambda: f"{quoted(text_of(self.expected))} is not in {quoted(answer.text)}")

    def _needle(self) -> str:
        return needles_of(text_of(self.expected), ignore_case=self.ignore_case, squash_space=self.squash_space)[0]
