"""A JSON object as text that every reader takes: pure ASCII, no NaN.

Pure ASCII (other characters as \\u escapes) so that no terminal, pager or code page can be steered by a model's answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from promptreg.core.canonical import Json as Value


def object_text(value: Value) -> str:
    """*value*, indented, with a newline at its end."""
    return json.dumps(_finite(value), ensure_ascii=True, allow_nan=False, indent=2) + "\n"


def _finite(value: Value) -> Value:
    """*value* with the numbers that JSON cannot say as null (YAML can say `.nan` in an expected value)."""
    if isinstance(value, float):
        return value if value - value == 0 else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value]
