"""Regular expressions that users write: compiled with a clear complaint, and the last thing they capture. Knows no single metric.

They run on Python's own engine, which backtracks: a pattern like `(a+)+$` can take for ever on a long answer, and is the
author's to avoid. Patterns of our own, here and in every metric, take time linear in the answer.
"""

from __future__ import annotations

import re


def compiled(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """The pattern, ready (Python keeps recent ones). Raises ValueError for an empty or faulty one."""
    if not pattern:
        raise ValueError("the pattern is empty, which every answer matches")
    try:
        return re.compile(pattern, re.IGNORECASE if ignore_case else 0)
    except (re.error, OverflowError, RecursionError) as fault:
        raise ValueError(f"'{pattern}' is not a regular expression: {fault}") from fault


def last_capture(pattern: re.Pattern[str], text: str) -> str | None:
    """Group 1 of the last match that has one (the whole match when the pattern has no group), or None."""
    group = 1 if pattern.groups else 0
    found = None
    for match in pattern.finditer(text):
        if match.group(group) is not None:
            found = match
    return None if found is None else found.group(group)
