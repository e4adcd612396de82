"""One meaning of "the same": canonical JSON (RFC 8785) and SHA-256 over it.

Integers beyond 2**53 are written exactly rather than rounded to a double: rounding would give two different cases one digest.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from json.encoder import encode_basestring  # the C escaper: RFC 8785's own escapes
from typing import NewType, TypeAlias

from promptreg.errors import UsageError

Json: TypeAlias = "None | bool | int | float | str | Sequence[Json] | Mapping[str, Json]"
Digest = NewType("Digest", str)


def canonical(value: Json) -> bytes:
    """The RFC 8785 bytes of *value*. Raises UsageError for what JSON cannot say (NaN, lone surrogates, other types)."""
    out: list[str] = []
    _write(value, out)
    try:
        return "".join(out).encode()
    except UnicodeEncodeError as fault:
        raise UsageError("text holds half of a surrogate pair, which no JSON can carry", hint="save the text as UTF-8") from fault


def digest(kind: str, value: Json) -> Digest:
    """`sha256:…` over canonical JSON that begins with the schema tag *kind*, so that no two kinds of thing share a digest."""
    return Digest("sha256:" + hashlib.sha256(canonical([kind, value])).hexdigest())


def digest_bytes(content: bytes) -> Digest:
    """`sha256:…` of raw bytes."""
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def _write(value: Json, out: list[str]) -> None:
    if isinstance(value, str):
        out.append(encode_basestring(value))
    elif value is None:
        out.append("null")
    elif value is True:
        out.append("true")
    elif value is False:
        out.append("false")
    elif isinstance(value, int):
        out.append(str(value))
    elif isinstance(value, float):
        out.append(_number(value))
    elif isinstance(value, Mapping):
        _write_object(value, out)
    elif isinstance(value, Sequence):
        _write_array(value, out)
    else:
        raise UsageError(f"a {type(value).__name__} is not JSON")


def _write_array(value: Sequence[Json], out: list[str]) -> None:
    if isinstance(value, (bytes, bytearray)):
        raise UsageError("bytes are not JSON", hint="decode them to text")
    out.append("[")
    for position, item in enumerate(value):
        if position:
            out.append(",")
        _write(item, out)
    out.append("]")


def _write_object(value: Mapping[str, Json], out: list[str]) -> None:
    try:
        keys = sorted(value) if all(map(str.isascii, value)) else sorted(value, key=_utf16)
    except TypeError as fault:
        raise UsageError("an object's keys must be text") from fault
    out.append("{")
    for position, key in enumerate(keys):
        if position:
            out.append(",")
        out.append(encode_basestring(key))
        out.append(":")
        _write(value[key], out)
    out.append("}")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")


def _number(value: float) -> str:
    """ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20), as RFC 8785 asks."""
    if not math.isfinite(value):
        raise UsageError(f"{value} is not JSON", hint="use a finite number or null")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    point = len(whole) + int(exponent or 0)
    digits = whole + fraction
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0")
    return sign + _layout(digits, point)


def _layout(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return "0." + "0" * -point + digits
    power = f"e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return (digits if count == 1 else f"{digits[0]}.{digits[1:]}") + power
