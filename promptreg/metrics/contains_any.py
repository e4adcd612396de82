"""Metric `contains_any`: the answer holds at least one text of a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import EXPECTED, folded, needles_of, quoted, texts_of, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainsAny:
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

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    ignore_case: bool = False
    squash_space: bool = False

    def __post_init__(self) -> None:
        self._needles()

    def score(self, answer: Answer) -> Score:
        text = folded(answer.text, ignore_case=self.ignore_case, squash_space=self.squash_space)
        right = any(needle in text for needle in self._needles())
        return verdict(right, lambda: f"none of {', '.join(map(quoted, texts_of(self.expected)[:5]))} is in {quoted(answer.text)}")

    def _needles(self) -> tuple[str, ...]:
        return needles_of(self.expected, ignore_case=self.ignore_case, squash_space=self.squash_space)
