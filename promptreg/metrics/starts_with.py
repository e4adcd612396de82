"""Metric `starts_with`: the answer begins with a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import Folding, binary, quoted, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StartsWith(Folding):
    """Does the answer begin with the expected text, leading white space aside?

    expected: the beginning, not empty.
    ignore_case: compare casefolded.
    squash_space: count every run of white space as one space.
    """

    name: ClassVar[str] = "starts_with"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._start()

    def score(self, answer: Answer) -> Score:
        text = self.folded(answer.text.lstrip())
        right = text.startswith(self._start())
        return binary(right, lambda: f"{quoted(answer.text)} does not begin with {quoted(text_of(self.expected))}")

    def _start(self) -> str:
        text = text_of(self.expected).lstrip()
        return self.needles(text)[0]
