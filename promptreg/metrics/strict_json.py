"""An answer read as JSON, strictly: what RFC 8259 calls JSON, whole, and one meaning only. Knows no single metric."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence

from promptreg.core.canonical import Json
from promptreg.core.excerpt import one_line

MAX_DEPTH = 100  # deeper answers are attacks or loops; validators and templates recurse

# ```json … ``` around the whole answer: the fence that chat models add unasked.
_FENCE = re.compile(r"```[^\S\n]*\w*[^\S\n]*\n(.*)\n[^\S\n]*```", re.DOTALL)


def parse(text: str, *, fenced: bool = False) -> Json:
    """The value that *text* is; with *fenced*, one Markdown code fence around all of it is taken away first.

    Raises ValueError, saying why, for anything else: NaN, a key given twice, half surrogate pairs, endless numbers or depth.
    """
    if fenced and (inside := _FENCE.fullmatch(text.strip())) is not None:
        text = inside[1]
    try:
        value: Json = json.loads(text, parse_constant=_constant, parse_float=_float, object_pairs_hook=_object)
    except json.JSONDecodeError as fault:
        problem = fault.msg.lower().removesuffix(" at")  # "unterminated string starting at"
        raise ValueError(f"{problem} at line {fault.lineno}, column {fault.colno}") from fault
    except RecursionError as fault:
        raise ValueError("it is nested too deeply") from fault
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _bound_depth(value)
    if "\\u" in text or not text.isascii():
        _refuse_half_pairs(value)
    return value


def same(left: Json, right: Json) -> bool:
    """Whether two values are equal as JSON: 1 and 1.0 are one number, true is none, the order of keys does not count."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(value, right[key]) for key, value in left.items())
    if isinstance(left, str) or isinstance(right, str):
        return isinstance(left, str) and left == right
    if isinstance(left, Sequence) and isinstance(right, Sequence):
        return len(left) == len(right) and all(same(*pair) for pair in zip(left, right, strict=True))
    return left == right


def written(value: Json, limit: int = 80) -> str:
    """*value* as JSON on one line of bounded length."""
    return one_line(json.dumps(value, ensure_ascii=False, default=str), limit)


def _constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits[:20]} is beyond every number")
    return number


def _object(pairs: list[tuple[str, Json]]) -> Json:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key '{twice[:40]}' stands twice")
    return value


def _bound_depth(value: Json) -> None:
    level: list[Json] = [value]
    for _ in range(MAX_DEPTH + 1):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise ValueError("it is nested too deeply")


def _children(value: Json) -> Sequence[Json]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _refuse_half_pairs(value: Json) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as fault:
        raise ValueError("it holds half of a surrogate pair") from fault
