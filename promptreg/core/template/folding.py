"""A template with the text of its partials in the place where it includes them, for people to read. Imports stay as they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import jinja2

from promptreg.errors import TemplateError

MOST = 200_000  # characters: includes that double at each level would not end; what lies beyond stays an include


def folded(source: str, partials: Mapping[str, str]) -> str:
    """*source* with every `{% include %}` replaced, also those within partials; the one final newline is dropped, as in rendering.

    TemplateError for what is no template.
    """
    environment = jinja2.Environment(autoescape=False)  # noqa: S701  only split into tokens, never rendered
    try:
        return "".join(_pieces(environment, source, partials, (), [MOST]))
    except jinja2.TemplateSyntaxError as fault:
        raise TemplateError(f"not a template: {fault.message}") from fault


def _pieces(
    environment: jinja2.Environment, source: str, partials: Mapping[str, str], within: tuple[str, ...], left: list[int]
) -> Iterator[str]:
    """*within* are the partials that stand open; *left* holds the characters that may still be put in."""
    block: list[tuple[str, str]] | None = None
    for _, kind, value in environment.lex(source):
        if kind == "block_begin":
            block = []
        if block is None:
            yield value
            continue
        block.append((kind, value))
        if kind == "block_end":
            path = _included(block)
            if path in partials and path not in within and len(partials[path]) <= left[0]:
                left[0] -= len(partials[path])
                yield from _pieces(environment, partials[path], partials, (*within, path), left)
            else:
                yield "".join(text for _, text in block)
            block = None


def _included(block: list[tuple[str, str]]) -> str:
    """The path that a block includes; empty for any other block."""
    words = [(kind, value) for kind, value in block[1:-1] if kind != "whitespace"]
    if len(words) < 2 or words[0] != ("name", "include") or words[1][0] != "string":
        return ""
    rest = " ".join(value for _, value in words[2:])
    return words[1][1][1:-1] if rest in ("", "with context", "without context", "ignore missing") else ""
