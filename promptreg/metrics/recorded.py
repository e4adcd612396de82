"""Metric `recorded`: a score that a recording carries."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.errors import DataError, Unmeasured


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """Which score does the recording give this answer? A recording without it leaves the case unmeasured.

    which: the score's name under `scores` in the recording.
    full: the recording's highest score, by which it is divided; 1 for shares, 100 for per cent.
    plain: the score's name for the same answer without its wrapping (code fences …), if there is one; `rot` looks at both.
    """

    name: ClassVar[str] = "recorded"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "which"
    cached: ClassVar[bool] = False

    which: str
    full: float = 1.0
    plain: str = ""

    def __post_init__(self) -> None:
        if not self.which:
            raise ValueError("'which' names a score of the recording")
        if not (math.isfinite(self.full) and self.full > 0):
            raise ValueError("'full' must be a number above 0")

    def unwrapped(self) -> Recorded:
        """What judges the content alone."""
        return replace(self, which=self.plain, plain="") if self.plain else self

    def score(self, answer: Answer) -> Score:
        scores = answer.completion.scores
        if self.which not in scores:
            known = f"it has {', '.join(sorted(scores))}" if scores else "it has none"
            raise Unmeasured(
                f"the recorded answer has no score '{self.which}' ({known})", reason="no_recording", where=answer.case.where
            )
        value = scores[self.which] / self.full
        if not 0 <= value <= 1:
            found = f"the recorded score '{self.which}' of case '{answer.case.id}' is {scores[self.which]:g}"
            raise DataError(
                f"{found}, not within 0 and {self.full:g}",
                where=answer.case.where,
                hint="`full` says what the highest score is",
            )
        return Score(value=value, reason=f"recorded {self.which}: {scores[self.which]:g}")
