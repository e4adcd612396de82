"""Metric `one_of`: which label the answer gives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.protocols import AS_WRITTEN, Answer
from promptreg.core.run import Score
from promptreg.metrics.patterns import compiled
from promptreg.metrics.wording import EXPECTED, binary, quoted, text_of

# A lone word: no letter or digit touches it, also not across a hyphen or underscore (`non-spam` does not say `spam`).
_BEFORE = r"(?<![^\W_])(?<![^\W_][-_])"
_AFTER = r"(?![-_]?[^\W_])"


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    """Does the answer give the expected label? No label is wrong.

    Case never counts, and where several labels stand, the last one is the answer.
    labels: all labels that may come, at least one.
    expected: the right one of them.
    pattern: a regular expression whose group 1 holds the label, its last match counts; only where it matches nothing are
        lone label words looked for.
    """

    name: ClassVar[str] = "one_of"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "labels"
    cached: ClassVar[bool] = False

    labels: tuple[str, ...]
    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    pattern: str | None = None

    def __post_init__(self) -> None:
        plain = [_plain(label) for label in self.labels]
        if not plain or not all(plain):
            raise ValueError("'labels' needs at least one label, none of them empty")
        twice = next((label for label in plain if plain.count(label) > 1), None)
        if twice is not None:
            raise ValueError(f"'labels' holds '{twice}' twice (case does not count)")
        if _plain(text_of(self.expected)) not in plain:
            raise ValueError(f"expected {quoted(text_of(self.expected))} is none of the labels {', '.join(self.labels)}")
        if self.pattern is not None:
            compiled(self.pattern, ignore_case=True)

    def score(self, answer: Answer) -> Score:
        found, expected = self.label(answer.text), _plain(text_of(self.expected))

        def reason() -> str:
            given = f"got {quoted(found)}" if found is not None else f"found no label in {quoted(answer.text)}"
            return f"expected {quoted(text_of(self.expected))}, {given}"

        return binary(found == expected, reason, read=found or "")

    def label(self, text: str) -> str | None:
        """The label that *text* gives, casefolded, or None; what `pattern` captured is returned even when it is no label."""
        if self.pattern is not None:
            captured = compiled(self.pattern, ignore_case=True).last_capture(text)
            if captured is not None:
                return _plain(captured)
        found = None
        for found in _lone([_plain(label) for label in self.labels]).finditer(text.casefold()):  # noqa: B007  the last one counts
            pass
        return None if found is None else _plain(found.group())


def _plain(label: str) -> str:
    return " ".join(label.casefold().split())


def _lone(labels: Sequence[str]) -> re.Pattern[str]:
    """Any of the labels as a lone word; longer ones first, so that `not sure` is not read as `not`."""
    ordered = sorted(labels, key=len, reverse=True)
    words = "|".join(r"\s+".join(map(re.escape, label.split())) for label in ordered)
    return re.compile(f"{_BEFORE}(?:{words}){_AFTER}")
