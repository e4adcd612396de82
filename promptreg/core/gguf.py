"""What a GGUF file's header says: architecture, context length, chat template, vocabulary. Bytes in, a value out.

It knows the layout (`magic version tensors keys (key type value)*`, little-endian, GGUF 2 and 3; ggml's docs/gguf.md) and no
file, no tensor data and no model. A header may come from a stranger: every length is checked against what is left and
against a limit before anything is read or allocated, and every fault is a ValueError.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final, TypeAlias

MAGIC: Final = b"GGUF"
HEADER_LIMIT: Final = 64 * 1024 * 1024  # bytes; Gemma 3's header with 262,144 tokens takes 8 MB
KEY_LIMIT: Final = 10_000  # known files have about 40
STRING_LIMIT: Final = 16 * 1024 * 1024
ITEM_LIMIT: Final = 4_000_000  # the largest vocabularies in use have some 262,000 tokens
DEPTH_LIMIT: Final = 4  # arrays of arrays: allowed by the format, used by nobody

_SCALARS: Final = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # llama_token_type
ZERO_WIDTH_SPACE: Final = "\u200b"
REPLACEMENT: Final = "\ufffd"
ROUNDS: Final = 4  # real vocabularies need one, nested markers two
_MARKER = re.compile(r"<\|[^\s<>]+\|>|<[^\s<>]+>|\[[A-Z_/]+\]")

# general.file_type (llama_ftype) of the files one meets; an unlisted number is shown as it is
_QUANTISATIONS: Final = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
    14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 25: "IQ4_NL", 30: "IQ4_XS", 32: "BF16",
}  # fmt: skip

_Value: TypeAlias = "int | float | bool | str | list[_Value]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gguf:
    """A model file's own account of itself. `control_tokens` are texts that the tokenizer takes for more than text."""

    architecture: str
    name: str
    context: int | None  # tokens, as trained
    chat_template: str | None
    quantisation: str
    vocabulary: int  # tokens
    control_tokens: frozenset[str]


def parse(header: bytes) -> Gguf:
    """Reads the start of a GGUF file (HEADER_LIMIT bytes, or the whole file). Raises ValueError: not GGUF, cut short, or absurd."""
    facts = dict(_Reader(header).pairs())
    architecture = _text(facts, "general.architecture")
    if not architecture:
        raise ValueError("its header names no general.architecture")
    context = facts.get(f"{architecture}.context_length")
    file_type = facts.get("general.file_type")
    template = facts.get("tokenizer.chat_template")
    tokens = _items(facts, "tokenizer.ggml.tokens")
    texts = [token for token in tokens if isinstance(token, str)]
    if len(texts) != len(tokens):
        raise ValueError("its vocabulary is not a list of texts")
    template = template if isinstance(template, str) and template else None
    return Gguf(
        architecture=architecture,
        name=_text(facts, "general.name"),
        context=context if isinstance(context, int) and context > 0 else None,
        chat_template=template,
        quantisation=_QUANTISATIONS.get(file_type, str(file_type)) if isinstance(file_type, int) else "",
        vocabulary=len(texts),
        control_tokens=_control(texts, _items(facts, "tokenizer.ggml.token_type"), template or ""),
    )


def _text(facts: dict[str, _Value], key: str) -> str:
    value = facts.get(key, "")
    return value if isinstance(value, str) else ""


def _items(facts: dict[str, _Value], key: str) -> list[_Value]:
    value = facts.get(key, [])
    return value if isinstance(value, list) else []


def _control(tokens: list[str], types: list[_Value], template: str) -> frozenset[str]:
    """Texts that may not come from a message.

    Control and unknown tokens always; others if they look like a marker (`<…>`, `<|…|>`, `[INST]`) and the chat template
    writes them or they have the pipes of one: some conversions call their role markers user-defined or normal, and
    llama.cpp then makes them control tokens itself. Gemma's user-defined runs of blanks stay what they are: text.
    """
    markers = (token for token in tokens if _MARKER.fullmatch(token))
    found = {token for token in markers if token in template or token.startswith("<|")}
    found.update(token for token, kind in zip(tokens, types, strict=False) if kind in (UNKNOWN, CONTROL))
    return frozenset(found - {""})


def neutralise(text: str, control_tokens: Collection[str]) -> str:
    """*text* with a zero-width space after the first character of every control token in it: it reads the same and is only text.

    Repeated, since a broken token may uncover another inside it. A token that a space cannot break (one character, or one that
    holds that space itself) becomes U+FFFD. What is left after ROUNDS (a vocabulary made so that every mending makes a new
    token) is taken out, which ends because the text gets shorter each time.
    """
    for mend in chain(repeat(_broken, ROUNDS), repeat(_removed)):
        found = sorted((token for token in control_tokens if token in text), key=lambda token: (-len(token), token))
        if not found:
            break
        text = re.sub("|".join(map(re.escape, found)), lambda match, mend=mend: mend(match[0]), text)  # type: ignore[misc]
    return text


def _removed(_token: str) -> str:
    return ""


def _broken(token: str) -> str:
    if len(token) == 1 or ZERO_WIDTH_SPACE in token:
        return REPLACEMENT
    return token[0] + ZERO_WIDTH_SPACE + token[1:]


class _Reader:
    """A cursor over the header's bytes that never believes a length."""

    __slots__ = ("at", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def pairs(self) -> Iterable[tuple[str, _Value]]:
        if self._take(4) != MAGIC:
            raise ValueError("it does not begin with GGUF")
        version = self._number("<I")
        if version not in (2, 3):
            raise ValueError(f"its GGUF version {version} is unknown (2 and 3 are known)")
        self._number("<Q")  # tensors: their table follows the keys and is not read
        count = self._number("<Q")
        if count > KEY_LIMIT:
            raise ValueError(f"it claims {count} header keys; at most {KEY_LIMIT} are believed")
        for _ in range(int(count)):
            key = self._string()
            yield key, self._value(int(self._number("<I")), DEPTH_LIMIT)

    def _take(self, size: int) -> bytes:
        if size > len(self.data) - self.at:
            raise ValueError("its header ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def _number(self, form: str) -> int | float:
        number: int | float = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return number

    def _string(self) -> str:
        size = int(self._number("<Q"))
        if size > STRING_LIMIT:
            raise ValueError(f"it claims a text of {size} bytes; at most {STRING_LIMIT} are believed")
        return self._take(size).decode("utf-8", "replace")  # some vocabularies hold bytes that are no UTF-8

    def _value(self, kind: int, depth: int) -> _Value:
        if kind in _SCALARS:
            return self._number(_SCALARS[kind])
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY and depth:
            return self._array(depth - 1)
        raise ValueError(f"its header holds a value of unknown type {kind}" if depth else "its header nests arrays too deeply")

    def _array(self, depth: int) -> list[_Value]:
        kind, count = int(self._number("<I")), int(self._number("<Q"))
        if count > ITEM_LIMIT:
            raise ValueError(f"it claims an array of {count} items; at most {ITEM_LIMIT} are believed")
        if kind in _SCALARS:
            form = f"<{count}{_SCALARS[kind][1]}"
            return list(struct.unpack(form, self._take(struct.calcsize(form))))
        return [self._value(kind, depth) for _ in range(count)]
