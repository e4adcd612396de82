"""Where a reader should look: the first line of a gate's prompt, or of a partial it includes, that differs from base's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest

from promptreg.core.identity import included
from promptreg.core.prompt import Prompt
from promptreg.errors import UsageError, Where
from promptreg.registry import Registry
from promptreg.registry.prompts import PROMPTS


def changed_place(base: Registry, head: Registry, was: str, prompt: Prompt) -> Where:
    """The file and line in head at which *prompt* begins to differ from *was* in base; its own place where that cannot be told."""
    try:
        for path, old, new in _files(base, head, was, prompt):
            line = _first_difference(old, new)
            if line is not None:
                return Where(path, line)
    except UsageError:
        pass
    return prompt.where


def _files(base: Registry, head: Registry, was: str, prompt: Prompt) -> Iterator[tuple[str, str, str]]:
    """Path in head, base's text and head's text: of the prompt's own file, then of each partial that it includes."""
    if prompt.name not in head.prompt_names():
        return
    old = _text(base.source(was)) if was in base.prompt_names() else ""
    yield f"{PROMPTS}{prompt.name}.yaml", old, _text(head.source(prompt.name))
    for path in included(prompt):
        yield f"{PROMPTS}{path}", base.partials.get(path, ""), head.partials.get(path, "")


def _first_difference(old: str, new: str) -> int | None:
    """The number of the first line of *new*, from 1, that *old* has otherwise; its last line where only the end was cut off."""
    lines = new.splitlines()
    for number, (one, other) in enumerate(zip_longest(old.splitlines(), lines), 1):
        if one != other:
            return max(1, min(number, len(lines)))
    return None


def _text(source: bytes) -> str:
    return source.decode("utf-8", "replace")
