"""What an answer says, apart from how it is wrapped: code fences, quotes, a JSON object around one text. Knows no check.

A model that suddenly puts its code into a fence did not get worse at code; but whoever runs the answer as it is sees it fail. So
rot grades answers twice, as given and unwrapped, and says which of the two changed. Everything here takes time in proportion to the
text, whatever it holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

ROUNDS = 4  # wrappings within wrappings; nobody wraps deeper
LEAD = 200  # characters that may stand before a fence: "Here is the function:"
TRAIL = 400  # and after it
INFO = 40  # after the opening backticks: "python", "json title=a.json"
_FENCES = ("```", "~~~")
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"), ("«", "»"), ("`", "`"), ("**", "**"))


def unwrapped(text: str) -> str:
    """*text* without any of its wrappings; itself where there is none."""
    found = text
    for found in unwrappings(text):  # noqa: B007  the last one is the innermost
        pass
    return found


def unwrappings(text: str) -> Iterator[str]:
    """*text* without its outermost wrapping, then without the next one, ROUNDS at most; nothing where it has none."""
    found = text
    for _ in range(ROUNDS):
        inner = _inner(found.strip())
        if inner is None:
            return
        found = inner
        yield found


def wrapped(text: str) -> bool:
    """Whether *text* has any wrapping."""
    return next(unwrappings(text), None) is not None


def _inner(text: str) -> str | None:
    """What the outermost wrapping of *text* holds; None where nothing wraps it."""
    for found in (_fenced(text), _quoted(text), _only_text(text)):
        if found is not None:
            return found
    return None


def _fenced(text: str) -> str | None:
    """What the one fence of *text* holds. An answer with several is a document, and wrapped by none of them."""
    start, mark = min(((at, mark) for mark in _FENCES if (at := text.find(mark)) >= 0), default=(-1, ""))
    if not 0 <= start <= LEAD or text[:start].rpartition("\n")[2].strip():
        return None
    opened = text.find("\n", start)
    size = _run(text, start, mark[0])
    info = text[start + size : opened]
    if opened < 0 or len(info) > INFO or mark[0] in info:
        return None
    fence = text[start : start + size]
    closing = text.find("\n" + fence, opened)
    if closing < 0:
        return None
    ended = closing + 1 + _run(text, closing + 1, mark[0])
    rest = text[ended:]
    if len(rest) > TRAIL or rest.partition("\n")[0].strip() or any("\n" + mark in rest for mark in _FENCES):
        return None
    return text[opened + 1 : closing] if closing > opened else ""


def _run(text: str, start: int, sign: str) -> int:
    """How many times *sign* stands in a row from *start* on."""
    rest = len(text) - start
    return rest - len(text[start:].lstrip(sign))


def _quoted(text: str) -> str | None:
    for opening, closing in _QUOTES:
        size = len(opening) + len(closing)
        if len(text) > size and text.startswith(opening) and text.endswith(closing):
            inner = text[len(opening) : -len(closing)]
            return inner if opening not in inner and closing not in inner else None
    return None


def _only_text(text: str) -> str | None:
    """The text of a JSON object that holds nothing but one text."""
    if not (text.startswith("{") and text.endswith("}") and text[1:].lstrip().startswith('"')):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and len(value) == 1:
        (only,) = value.values()
        return only if isinstance(only, str) else None
    return None
