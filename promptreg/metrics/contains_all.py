"""Metric `contains_all`: the answer holds every text of a list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import Folding, quoted, texts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainsAll(Folding):
    """Which share of the expected texts does the answer hold? All of them pass.

    expected: the texts to look for, none empty.
    ignore_case: compare casefolded.
    squash_space: count every run of white space as one space.
    """

    name: ClassVar[str] = "contains_all"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self.needles(self.expected)

    def score(self, answer: Answer) -> Score:
        text = self.folded(answer.text)
        needles = self.needles(self.expected)
        missing = [shown for shown, needle in zip(texts_of(self.expected), needles, strict=True) if needle not in text]
        reason = f"missing: {', '.join(map(quoted, missing[:5]))}" if missing else ""
        return Score(value=1 - len(missing) / len(needles), reason=reason)
