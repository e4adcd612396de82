"""JSON in and out, fast: the house's door to msgspec. Knows no file and no format."""

from __future__ import annotations

from typing import Any

import msgspec

_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def decode_json(data: bytes | str) -> Any:
    """The value of one JSON text. ValueError for anything else: NaN, bad UTF-8, half surrogates, endless nesting.

    Of two equal keys in one object the last one counts.
    """
    try:
        return _DECODER.decode(data)
    except msgspec.MsgspecError as fault:
        raise ValueError(str(fault)) from fault
    except RecursionError as fault:
        raise ValueError("JSON is nested too deeply") from fault


def encode_json(value: object) -> bytes:
    """Compact JSON. ValueError for what JSON cannot say; NaN and infinities, which JSON lacks, become null."""
    try:
        return _ENCODER.encode(value)
    except (TypeError, RecursionError, UnicodeEncodeError, msgspec.MsgspecError) as fault:
        raise ValueError(str(fault)) from fault
