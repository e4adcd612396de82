"""Metric `regex`: a regular expression finds something in the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.patterns import compiled
from promptreg.metrics.wording import binary, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    """Does the regular expression match somewhere in the answer, or the whole of it?

    pattern: in Python's dialect; inline flags such as `(?s)` may lead it.
    ignore_case: match letters of either case.
    full: the whole answer must match, white space at both ends aside.
    Reference: Python's `re`.
    """

    name: ClassVar[str] = "regex"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "pattern"
    cached: ClassVar[bool] = False

    pattern: str
    ignore_case: bool = False
    full: bool = False

    def __post_init__(self) -> None:
        compiled(self.pattern, ignore_case=self.ignore_case)

    def score(self, answer: Answer) -> Score:
        pattern = compiled(self.pattern, ignore_case=self.ignore_case)
        found = pattern.fullmatch(answer.text.strip()) if self.full else pattern.search(answer.text)
        return binary(found, lambda: f"{quoted(self.pattern)} does not match {quoted(answer.text)}")
