"""Metric `levenshtein`: how alike two texts are, letter by letter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.wording import Folding, quoted, text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Levenshtein(Folding):
    """How alike are answer and expected text: 1 − edits / length of the longer one, white space at both ends aside.

    An edit inserts, deletes or replaces one character. Give it a threshold: by default only equal texts pass.
    expected: the text.
    ignore_case: compare casefolded.
    squash_space: count every run of white space as one space.
    Reference: Levenshtein 1966; as rapidfuzz's normalized_similarity.
    """

    name: ClassVar[str] = "levenshtein"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    def __post_init__(self) -> None:
        text_of(self.expected)

    def score(self, answer: Answer) -> Score:
        text, expected = self._plain(answer.text), self._plain(text_of(self.expected))
        longer = max(len(text), len(expected))
        edits = distance(text, expected)
        reason = f"{edits} edits in {longer} characters between {quoted(answer.text)} and {quoted(text_of(self.expected))}"
        return Score(value=1.0 if longer == 0 else 1 - edits / longer, reason=reason if edits else "")

    def _plain(self, text: str) -> str:
        return self.folded(text.strip())


def distance(left: str, right: str) -> int:
    """The least number of edits between two texts; by rapidfuzz where it is installed, else slower and the same."""
    try:
        from rapidfuzz.distance import Levenshtein as Rapid
    except ImportError:
        return slow_distance(left, right)
    return Rapid.distance(left, right)


def slow_distance(left: str, right: str) -> int:
    """The same by Hyyrö's bit-parallel recurrence (2003, after Myers 1999) on whole integers: one column per character."""
    if len(left) > len(right):
        left, right = right, left
    if not left:
        return len(right)
    places: dict[str, int] = {}
    for position, character in enumerate(left):
        places[character] = places.get(character, 0) | 1 << position
    every, last = (1 << len(left)) - 1, 1 << (len(left) - 1)
    higher, lower, edits = every, 0, len(left)  # vertical differences of +1 and of -1
    for character in right:
        match = places.get(character, 0) | lower
        diagonal = ((((match & higher) + higher) ^ higher) | match) & every
        up, down = lower | ~(diagonal | higher) & every, higher & diagonal
        edits += bool(up & last) - bool(down & last)
        up = (up << 1 | 1) & every
        higher, lower = (down << 1 | ~(diagonal | up)) & every, up & diagonal
    return edits
