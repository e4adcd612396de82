"""Foreign text within GitHub Markdown: short texts as code, long ones in fences. Knows no report.

Code knows no mentions, links, issue numbers, emphasis, HTML or math. An entity in plain text is no protection against
mentions: GitHub looks for them in what was rendered, but not within code.
"""

from __future__ import annotations

import re

from promptreg.core.excerpt import cut, one_line, visible
from promptreg.reporters import figures

NAME = 200  # characters
_SPAN = re.compile(r"[^`|]*[^`|\\]")  # safe in a code span, also in a table
_ACTIVE = re.compile(r"[^A-Za-z0-9 /,;=%'-]")


def code(text: str, limit: int = NAME) -> str:
    """Foreign text on one line as code: no Markdown, HTML, mention, link, table or math can be read from it."""
    shown = one_line(text, limit) or figures.NONE
    return f"`{shown}`" if _SPAN.fullmatch(shown) else html_code(shown, limit)


def html_code(text: str, limit: int = NAME) -> str:
    """The same within HTML, where a Markdown code span would not be read."""
    return f"<code>{_ACTIVE.sub(lambda found: _entity(found.group()), one_line(text, limit))}</code>"


def fenced(lines: list[str]) -> str:
    """Lines of a diff (`- `, `+ `) as a block that nothing within can end; each is already cut."""
    text = "\n".join(lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{fence}diff\n{text}\n{fence}"


def excerpt(text: str, limit: int) -> list[str]:
    """The lines of a long text, made visible and cut, for `fenced`."""
    return cut(visible(text), limit).split("\n") if text else []


def _entity(character: str) -> str:
    return character if ord(character) > 0x7F else f"&#{ord(character)};"
