"""Regular expressions that users write: compiled with a clear complaint, bounded in time, and the last thing they capture.

Python's own engine can be made to run for ever, holding the whole process, by a pattern such as `(x+x+)+y`, and patterns come
from pull requests. The `regex` package reads the same dialect and can be told to stop. Knows no single metric.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

from promptreg.errors import Unmeasured

PATIENCE_S = 2.0  # a sound pattern needs microseconds; a clock, because no engine counts steps

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled expression. Every look at a text raises Unmeasured when it takes longer than PATIENCE_S."""

    source: str
    _found: Any

    def search(self, text: str) -> bool:
        """Whether it matches somewhere."""
        return self._bounded(text, lambda: self._found.search(text, timeout=PATIENCE_S) is not None)

    def fullmatch(self, text: str) -> bool:
        """Whether it matches the whole."""
        return self._bounded(text, lambda: self._found.fullmatch(text, timeout=PATIENCE_S) is not None)

    def last_capture(self, text: str) -> str | None:
        """Group 1 of the last match that has one (the whole match when the pattern has no group), or None."""
        return self._bounded(text, lambda: self._last(text))

    def _last(self, text: str) -> str | None:
        group = 1 if self._found.groups else 0
        found: str | None = None
        for match in self._found.finditer(text, timeout=PATIENCE_S):
            captured = match.group(group)
            found = found if captured is None else captured
        return found

    def _bounded(self, text: str, look: Callable[[], _T]) -> _T:
        try:
            return look()
        except TimeoutError:
            said = f"the pattern '{self.source}' took more than {PATIENCE_S:g} s on an answer of {len(text):,} characters"
            hint = "a repetition inside a repetition, like (x+)+, can take for ever: write it without"
            raise Unmeasured(said, reason="missing_answers", hint=hint) from None


@lru_cache(maxsize=512)  # a pure function of its arguments
def compiled(source: str, *, ignore_case: bool = False) -> Pattern:
    """The pattern, ready. Raises ValueError for an empty or faulty one."""
    import regex

    if not source:
        raise ValueError("the pattern is empty, which every answer matches")
    try:
        re.compile(source)  # Python's dialect is what the documentation promises; `regex` would take more
        return Pattern(source, regex.compile(source, regex.IGNORECASE if ignore_case else 0, cache_pattern=False))
    except (re.error, regex.error, OverflowError, RecursionError) as fault:
        raise ValueError(f"'{source}' is not a regular expression: {fault}") from fault
