"""Metric `starts_with`: the answer begins with a text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import EXPECTED, folded, needles_of, quoted, text_of, verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class StartsWith:
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

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    ignore_case: bool = False
    squash_space: bool = False

    def __post_init__(self) -> None:
        self._start()

    def score(self, answer: Answer) -> Score:
        text = folded(answer.text.lstrip(), ignore_case=self.ignore_case, squash_space=self.squash_space)
        right = text.startswith(self._start())
        return verdict(right, lambda: f"{quoted(answer.text)} does not begin with {quoted(text_of(self.expected))}")

    def _start(self) -> str:
        text = text_of(self.expected).lstrip()
        return needles_of(text, ignore_case=self.ignore_case, squash_space=self.squash_space)[0]
