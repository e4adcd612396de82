"""Metric `rouge`: overlap with reference summaries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar, Literal

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import EXPECTED, quoted, texts_of

_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rouge:
    """How well does the answer overlap its reference summaries (F1 of words, of word pairs, or of the longest common subsequence)?

    Words are lower-cased runs of letters and digits of any script, unstemmed. Give it a threshold: by default only the same
    words pass.
    expected: the reference, or a list of them; the best one counts.
    kind: rouge-1 (words), rouge-2 (pairs) or rouge-l (longest common subsequence).
    Reference: Lin 2004; on ASCII texts as rouge-score 0.1.2 without its stemmer.
    """

    name: ClassVar[str] = "rouge"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    kind: Literal["rouge-1", "rouge-2", "rouge-l"] = "rouge-l"

    def __post_init__(self) -> None:
        texts_of(self.expected)
        if self.kind not in ("rouge-1", "rouge-2", "rouge-l"):
            raise ValueError("'kind' is rouge-1, rouge-2 or rouge-l")

    def score(self, answer: Answer) -> Score:
        given = _WORD.findall(answer.text.lower())
        value, best = max((self._f1(given, _WORD.findall(one.lower())), one) for one in texts_of(self.expected))
        return Score(value=value, reason=f"{self.kind} {value:.3f} of {quoted(answer.text)} with {quoted(best)}")

    def _f1(self, given: Sequence[str], expected: Sequence[str]) -> float:
        if self.kind == "rouge-l":
            shared, total = common_subsequence(given, expected), len(given) + len(expected)
        else:
            left, right = (Counter(words if self.kind == "rouge-1" else pairwise(words)) for words in (given, expected))
            shared, total = (left & right).total(), left.total() + right.total()
        return 2 * shared / total if shared else 0.0


def common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyrö 2004): one integer step per word of the longer text."""
    if len(left) > len(right):
        left, right = right, left
    places: dict[str, int] = {}
    for position, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << position
    every = (1 << len(left)) - 1
    unmatched = every
    for word in right:
        taken = unmatched & places.get(word, 0)
        unmatched = (unmatched + taken | unmatched - taken) & every
    return len(left) - unmatched.bit_count()
