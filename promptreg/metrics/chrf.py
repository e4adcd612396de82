"""Metric `chrf`: character n-gram F-score against reference translations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.sacre import sacrebleu
from promptreg.metrics.wording import EXPECTED, quoted, texts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Chrf:
    """How close is the answer to its reference translations by sentence chrF, divided by 100? Works where words have no spaces.

    As sacrebleu counts it: character order 6, beta 2. Give it a threshold: by default only equal texts pass. Needs the
    extra `text`.
    expected: the reference, or a list of them; the best one counts.
    word_order: 0 is chrF, 2 is chrF++.
    ignore_case: compare in lower case.
    Reference: Popović 2015, 2017; Post 2018 (sacrebleu).
    """

    name: ClassVar[str] = "chrf"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    word_order: int = 0
    ignore_case: bool = False

    def __post_init__(self) -> None:
        texts_of(self.expected)
        if not 0 <= self.word_order <= 6:
            raise ValueError("'word_order' is 0 to 6")
        sacrebleu()

    def score(self, answer: Answer) -> Score:
        references = list(texts_of(self.expected))
        scorer = sacrebleu().CHRF(word_order=self.word_order, lowercase=self.ignore_case)
        found = scorer.sentence_score(answer.text, references)
        value = min(found.score / 100, 1.0)
        return Score(value=value, reason=f"chrF {value:.3f} of {quoted(answer.text)} with {quoted(references[0])}")
