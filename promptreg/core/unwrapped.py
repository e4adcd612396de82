"""What an answer says, apart from how it is wrapped: code fences, quotes, a JSON object around one text. Knows no check.

A model that suddenly puts its code into a fence did not get worse at code; but whoever runs the answer as it is sees it fail. So
rot grades answers twice, as given and unwrapped, and says which of the two changed.
"""

from __future__ import annotations

import json
import re

_FENCE = re.compile(r"\A\s*(?:[^\n`]{0,200}\n+)?```[\w+.-]*[ \t]*\n(?P<inner>.*?)\n?```\s*(?:\n[^`]{0,400})?\Z", re.DOTALL)
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("«", "»"), ("`", "`"), ("**", "**"))
ROUNDS = 4  # wrappings within wrappings; nobody wraps deeper


def unwrapped(text: str) -> str:
    """*text* without its wrappings; itself where there is none. A fence may have a line before it, and some after."""
    found = text
    for _ in range(ROUNDS):
        inner = _inner(found.strip())
        if inner is None:
            break
        found = inner
    return found


def _inner(text: str) -> str | None:
    """What one wrapping holds; None where nothing wraps *text*."""
    if fence := _FENCE.match(text):
        return fence["inner"]
    for opening, closing in _QUOTES:
        size = len(opening) + len(closing)
        if (
            len(text) > size
            and text.startswith(opening)
            and text.endswith(closing)
            and opening not in text[len(opening) : -len(closing)]
        ):
            return text[len(opening) : -len(closing)]
    return _only_text(text)


def _only_text(text: str) -> str | None:
    """The text of a JSON object that holds nothing but one text."""
    if not (text.startswith("{") and text.endswith("}")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and len(value) == 1:
        (only,) = value.values()
        return only if isinstance(only, str) else None
    return None
