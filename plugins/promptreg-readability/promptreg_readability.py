"""Metric `readability`: how easy an English answer is to read. A whole promptreg plugin in one module.

The measure is Flesch's reading ease (Rudolf Flesch, "A new readability yardstick", Journal of Applied Psychology 32, 1948):

    206.835 - 1.015 * words / sentences - 84.6 * syllables / words

100 is very easy, 60 to 70 plain English, 30 and below a scientific paper. It counts lengths and understands nothing: a wrong
answer, or one in another language, may read well. Syllables are counted by a rule of thumb; see `syllables`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import promptreg

if TYPE_CHECKING:
    from promptreg.core.protocols import Answer
    from promptreg.hookspecs import Metrics

# Answers are hostile input: each of these takes time in proportion to the text.
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
LETTER = re.compile(r"[^\W\d_]")
SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]+(?=[\s\"'”’)\]]|$)|\n\s*\n")
VOWELS = re.compile(r"[aeiouy]+")
SILENT = re.compile(r"(?:[^aeiouyl]e|[^aeiouytd]ed|[^aeiouyscgxzh]es)$")  # make, baked, makes; but not table, wanted, boxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Readability:
    """Is the answer easy to read? The value is Flesch's reading ease divided by `full`, kept within 0 and 1.

    full: the reading ease that is worth 1; from there on, simpler is not better.
    """

    name: ClassVar[str] = "readability"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 0.6
    short: ClassVar[str] = "full"
    cached: ClassVar[bool] = False

    full: float = 100.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.full) and self.full > 0):
            raise ValueError("'full' must be a number above 0")

    def score(self, answer: Answer) -> promptreg.Score:
        ease = reading_ease(answer.text)
        if ease is None:
            return promptreg.Score(value=0.0, reason="the answer has no words")
        return promptreg.Score(value=min(max(ease / self.full, 0.0), 1.0), reason=f"reading ease {ease:.0f}")


def reading_ease(text: str) -> float | None:
    """Flesch's reading ease of *text*, or None where it has no words. A text without a full stop is one sentence."""
    words = [word for word in WORD.findall(text) if LETTER.search(word)]
    if not words:
        return None
    sentences = sum(1 for part in SENTENCE_END.split(text) if LETTER.search(part))
    spoken = sum(map(syllables, words))
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * spoken / len(words)


def syllables(word: str) -> int:
    """The syllables of an English word, at least 1: groups of vowels, less a silent ending.

    Right for most words, wrong for some ("create" counts 1, "business" 3).
    """
    word = word.casefold()
    groups = len(VOWELS.findall(word)) - bool(SILENT.search(word))
    return max(groups, 1)


@promptreg.hookimpl
def promptreg_metrics() -> Metrics:
    """What this plugin offers: the name users write, and the class behind it."""
    return {"readability": Readability}
