"""What of foreign text (model output, repository text) may be shown: its hidden characters made visible, its length bounded.

Knows no format: each reporter also escapes for its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from promptreg.core.canonical import Json

LIMIT = 2_000  # characters: about a screen; more hides the next case

# Controls but tab and newline; soft hyphen; Arabic and Mongolian marks; zero-width and bidi controls; line separators;
# variation-free invisibles; interlinear marks; noncharacters that XML refuses; tag characters; halves of surrogate pairs.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\ufffe\uffff\ud800-\udfff\U000e0000-\U000e007f]"
    "|(?<![\u0600-\U0003ffff])[\u200c\u200d]"  # joiners are writing after Indic and Arabic letters and in emoji, else a trick
)


def visible(text: str) -> str:
    """*text* with every character that no reader sees, or that steers a terminal, written as an escape like `\\x1b`."""
    return _HIDDEN.sub(lambda found: _escape(found.group()), text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = LIMIT) -> str:
    """*text* made visible on a single line, cut to *limit* characters."""
    return cut(" ".join(visible(text).split()), limit)


def cut(text: str, limit: int = LIMIT) -> str:
    """The first *limit* characters, and how many more there are."""
    if len(text) <= limit:
        return text
    return f"{text[:limit]} … [{len(text) - limit:,} more characters]"


def expected_text(expected: Json, answer: str = "") -> str:
    """What was expected, as text to hold beside *answer*: an object's only value stands for it, unless the answer is JSON."""
    if isinstance(expected, str):
        return expected
    if expected is None:
        return ""
    if isinstance(expected, Mapping) and len(expected) == 1 and not answer.lstrip().startswith("{"):
        (only,) = expected.values()
        if isinstance(only, str | int | float):
            return expected_text(only)
    return json.dumps(expected, ensure_ascii=False, default=str)


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
