"""The normal form of a template: equal for two sources that differ in comments and in the layout of their expressions only.

A list of Jinja's tokens rather than its syntax tree: tokens have kept their names for ten years, and digests outlive a Jinja.
"""

from __future__ import annotations

import jinja2

from promptreg.core.canonical import Json
from promptreg.errors import TemplateError

_MARKS = frozenset(("block_begin", "block_end", "variable_begin", "variable_end"))  # `{%-` has trimmed its neighbours already


def normal(source: str) -> list[Json]:
    """The tokens of *source* as [type, value], text between them as it stands. TemplateError for what is no template."""
    tokens: list[Json] = []
    text = ""
    try:
        for token in jinja2.Environment(autoescape=False).lexer.tokenize(source):  # noqa: S701  only split into tokens, never rendered
            if token.type == "data":
                text += token.value
                continue
            if text:
                tokens.append(text)
                text = ""
            tokens.append([token.type] if token.type in _MARKS else [token.type, token.value])
    except jinja2.TemplateSyntaxError as fault:
        raise TemplateError(f"not a template: {fault.message}") from fault
    return [*tokens, text] if text else tokens
