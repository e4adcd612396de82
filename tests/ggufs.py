"""GGUF files made by hand: headers for the parser, and a LoRA adapter that the engine really loads."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

UINT32, FLOAT32, STRING, ARRAY, UINT64 = 4, 6, 8, 9, 10
ALIGNMENT = 32


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def pair(key: str, value: Any) -> bytes:
    """A key with its value: int is uint32, float is float32, a list is of texts or of int32."""
    if isinstance(value, str):
        return text(key) + struct.pack("<I", STRING) + text(value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", FLOAT32, value)
    if isinstance(value, list):
        items = b"".join(text(item) if isinstance(item, (str, bytes)) else struct.pack("<i", item) for item in value)
        kind = STRING if value and isinstance(value[0], (str, bytes)) else 5
        return text(key) + struct.pack("<IIQ", ARRAY, kind, len(value)) + items
    return text(key) + struct.pack("<II", UINT32, value)


def header(facts: Mapping[str, Any], *, version: int = 3, tensors: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, len(facts)) + b"".join(pair(*item) for item in facts.items())


def lora(tensors: Mapping[str, tuple[Sequence[int], Sequence[float]]], architecture: str = "llama", alpha: float = 8.0) -> bytes:
    """An adapter file: tensor name to (dimensions, values as float32)."""
    facts = {
        "general.architecture": architecture,
        "general.type": "adapter",
        "adapter.type": "lora",
        "adapter.lora.alpha": alpha,
    }
    infos, data = b"", b""
    for name, (shape, values) in tensors.items():
        infos += (
            text(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape) + struct.pack("<IQ", 0, len(data))
        )
        data += struct.pack(f"<{len(values)}f", *values)
        data += bytes(-len(data) % ALIGNMENT)
    start = header(facts, tensors=len(tensors)) + infos
    return start + bytes(-len(start) % ALIGNMENT) + data
