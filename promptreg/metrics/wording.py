"""Texts as checks compare them: options made text, case and space folded, findings made scores. Knows no single metric."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from promptreg.core.canonical import Json
from promptreg.core.excerpt import one_line
from promptreg.core.protocols import AS_WRITTEN
from promptreg.core.run import Score

EXPECTED: Json = "{{ expected }}"  # the default of most checks: the case's own expected answer
QUOTED = 80  # characters of an answer that a reason shows


def text_of(value: Json, option: str = "expected") -> str:
    """An option that must be one text; numbers and truth values are spelt as JSON does.

    Raises ValueError for null, lists and objects.
    """
    if isinstance(value, str):
        return value
    if value is None:
        raise ValueError(f"'{option}' is null: this case has no expected answer; give its row one, or the check a value of its own")
    if isinstance(value, (Mapping, Sequence)):
        kind = "an object" if isinstance(value, Mapping) else "a list"
        raise ValueError(f"'{option}' is {kind}, not one text; name the part that counts, like \"{{{{ expected.answer }}}}\"")
    return json.dumps(value)


def texts_of(value: Json, option: str = "expected") -> tuple[str, ...]:
    """An option that is one text or a list of them, as at least one text. Raises ValueError."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        return (text_of(value, option),)
    if not value:
        raise ValueError(f"'{option}' is an empty list")
    return tuple(text_of(item, f"{option}[{position}]") for position, item in enumerate(value))


@dataclass(frozen=True, slots=True, kw_only=True)
class Folding:
    """The options of a check that holds the answer against a text."""

    expected: Json = field(default=EXPECTED, metadata=AS_WRITTEN)
    ignore_case: bool = False
    squash_space: bool = False

    def folded(self, text: str) -> str:
        """*text* with what the check overlooks taken away: case (Unicode casefold), runs of white space."""
        if self.squash_space:
            text = " ".join(text.split())
        return text.casefold() if self.ignore_case else text

    def needles(self, value: Json) -> tuple[str, ...]:
        """Texts to look for, folded like the answer. Raises ValueError for an empty one, which every answer would hold."""
        needles = tuple(self.folded(text) for text in texts_of(value))
        if not all(needles):
            raise ValueError("'expected' holds an empty text, which every answer contains")
        return needles


def quoted(text: str) -> str:
    """*text* as a reason shows it: one line, a bounded length."""
    return f"'{one_line(text[: QUOTED * 4], QUOTED)}'"


def binary(right: bool, reason: Callable[[], str], read: str | None = None) -> Score:
    """1, or 0 with the reason, which is worded only then."""
    return Score(value=1.0, read=read) if right else Score(value=0.0, reason=reason(), read=read)
