"""Metrics `squad_em` and `token_f1`: answers to questions, as SQuAD v1.1 scores them. One file: they share its normalisation."""

from __future__ import annotations

import re
import string
from collections import Counter
from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import EXPECTED, binary, quoted, texts_of

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, slots=True, kw_only=True)
class SquadEm:
    """Is the answer one of the accepted ones, in SQuAD's plain form?

    That form is lower case, without ASCII punctuation, English articles (a, an, the) and extra white space.
    expected: the accepted answer, or a list of them.
    Reference: Rajpurkar et al. 2016, the evaluation of SQuAD v1.1.
    """

    name: ClassVar[str] = "squad_em"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)

    def __post_init__(self) -> None:
        texts_of(self.expected)

    def score(self, answer: Answer) -> Score:
        text, accepted = normalised(answer.text), texts_of(self.expected)
        right = any(text == normalised(one) for one in accepted)
        return binary(right, lambda: f"{quoted(answer.text)} is none of {', '.join(map(quoted, accepted[:5]))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenF1:
    """How well do the answer's words overlap those of the best accepted answer (F1)? Words are normalised as for `squad_em`.

    Give it a threshold: by default only the same words pass.
    expected: the accepted answer, or a list of them; the best one counts.
    Reference: Rajpurkar et al. 2016, the evaluation of SQuAD v1.1.
    """

    name: ClassVar[str] = "token_f1"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)

    def __post_init__(self) -> None:
        texts_of(self.expected)

    def score(self, answer: Answer) -> Score:
        words = Counter(normalised(answer.text).split())
        value, best = max((_f1(words, Counter(normalised(one).split())), one) for one in texts_of(self.expected))
        return Score(value=value, reason="" if value == 1 else f"word F1 {value:.3f} of {quoted(answer.text)} with {quoted(best)}")


def normalised(text: str) -> str:
    """SQuAD v1.1's plain form, in its order: lower case, ASCII punctuation out, articles out, single spaces."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def _f1(given: Counter[str], expected: Counter[str]) -> float:
    """Harmonic mean of precision and recall over words with their counts; 0 when nothing is shared, as in v1.1."""
    shared = (given & expected).total()
    return 2 * shared / (given.total() + expected.total()) if shared else 0.0
