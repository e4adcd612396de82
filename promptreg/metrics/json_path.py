"""A path into a JSON value: a subset of JSONPath without wildcards. Knows no single metric.

path  = ["$"] step*
step  = "." name | "[" integer "]" | "[" quoted "]"        the first dot may be left out; -1 is the last item
name  = anything without . [ ] quotes, white space, * and $
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeAlias, cast

from promptreg.core.canonical import Json

Steps: TypeAlias = tuple[str | int, ...]

_STEP = re.compile(r"""\.(?P<name>[^.\[\]"'\s*$]+)|\[(?P<index>-?\d{1,9})\]|\[(?P<quote>["'])(?P<key>[^"']*)(?P=quote)\]""")


def steps(path: str) -> Steps:
    """`a.b[0]["odd key"]` as keys and positions. Raises ValueError at the first thing that is no step."""
    text = path.strip().removeprefix("$")
    if text and text[0] not in ".[":
        text = f".{text}"
    found: list[str | int] = []
    at = 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            hint = "it is made of keys and positions, like 'a.b[0][\"odd key\"]'"
            raise ValueError(f"the path '{path}' is not understood at '{text[at:]}'; {hint}")
        found.append(_step(step))
        at = step.end()
    return tuple(found)


def follow(value: Json, path: Steps) -> Json:
    """What stands at *path*. Raises LookupError saying where the path ends."""
    for depth, step in enumerate(path):
        try:
            value = _enter(value, step)
        except LookupError:
            raise LookupError(f"{written(path[:depth])} has no {written((step,))[1:]}") from None
    return value


def written(path: Steps) -> str:
    """The path in its canonical form, which begins with `$`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _step(found: re.Match[str]) -> str | int:
    if found["index"] is not None:
        return int(found["index"])
    return str(found["name"] if found["name"] is not None else found["key"])


def _enter(value: Json, step: str | int) -> Json:
    if isinstance(step, str) and isinstance(value, Mapping):
        return value[step]
    if isinstance(step, int) and isinstance(value, list):
        return cast(Json, value[step])
    raise LookupError(step)
