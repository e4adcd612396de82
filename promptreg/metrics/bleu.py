"""Metric `bleu`: n-gram precision against reference translations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.sacre import sacrebleu
from promptreg.metrics.wording import EXPECTED, quoted, texts_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Bleu:
    """How close is the answer to its reference translations by sentence BLEU, divided by 100?

    As sacrebleu counts it: tokenizer 13a, exponential smoothing, effective order. Give it a threshold: by default only
    equal texts pass. Needs the extra `text`.
    expected: the reference, or a list of them.
    ignore_case: compare in lower case.
    Reference: Papineni et al. 2002; Post 2018 (sacrebleu).
    """

    name: ClassVar[str] = "bleu"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    ignore_case: bool = False

    def __post_init__(self) -> None:
        texts_of(self.expected)
        sacrebleu()

    def score(self, answer: Answer) -> Score:
        references = list(texts_of(self.expected))
        found = sacrebleu().BLEU(lowercase=self.ignore_case, effective_order=True).sentence_score(answer.text, references)
        value = min(found.score / 100, 1.0)
        return Score(value=value, reason=f"BLEU {value:.3f} of {quoted(answer.text)} with {quoted(references[0])}")
