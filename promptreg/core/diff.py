"""A word diff of two short texts, as values that every reporter can draw. Knows no colours and no formats.

Words, the space between them and single punctuation marks are the units. The work is bounded: equal ends are cut off
first, and what then remains longer than WORDS units on either side is shown as replaced whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from promptreg.core.excerpt import LIMIT, cut

Kind: TypeAlias = Literal["same", "gone", "new"]

WORDS = 400  # units: difflib is quadratic, and 400 are beyond what a reader compares by eye
LINES = 2_000  # of a text whose lines are matched before its words
NOISE = 0.3  # below this likeness of the words a diff is confetti; two whole texts are easier to read
AROUND = 80  # shared characters shown beside a difference: a line
_UNIT = re.compile(r"\w+|\s+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of text that both sides share, that only the expected side has (gone), or only the answer (new)."""

    kind: Kind
    text: str


def word_diff(expected: str, answer: str) -> tuple[Piece, ...]:
    """How to get from *expected* to *answer*: same and gone pieces spell the one, same and new pieces the other."""
    old, new = _UNIT.findall(expected), _UNIT.findall(answer)
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    middle = _middle(old[head : len(old) - tail], new[head : len(new) - tail])
    pieces = [Piece("same", "".join(old[:head])), *middle, Piece("same", "".join(old[len(old) - tail :]))]
    return tuple(_joined(pieces))


def text_diff(before: str, after: str) -> tuple[Piece, ...]:
    """A word diff of texts of many lines: lines that both have are matched first, then the words of what lies between."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) > LINES or len(new) > LINES:
        return word_diff(before, after)
    pieces: list[Piece] = []
    for step, i, j, k, m in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        one, other = "".join(old[i:j]), "".join(new[k:m])
        pieces += [Piece("same", one)] if step == "equal" else word_diff(one, other)
    return tuple(_joined(pieces))


def focused(pieces: tuple[Piece, ...], around: int = AROUND, limit: int = LIMIT) -> tuple[Piece, ...]:
    """*pieces* for a screen: what both sides share shrinks to *around* characters beside a difference, the rest to *limit*."""
    last = len(pieces) - 1
    return tuple(
        Piece("same", _shrunk(piece.text, around if at else 0, around if at < last else 0))
        if piece.kind == "same" and last
        else Piece(piece.kind, cut(piece.text, limit))
        for at, piece in enumerate(pieces)
    )


def _shrunk(text: str, before: int, after: int) -> str:
    spare = len(text) - before - after
    if spare <= AROUND:
        return text
    return f"{text[:before]} … [{spare:,} characters] … {text[len(text) - after :] if after else ''}"


def _common(old: list[str], new: list[str]) -> int:
    return next((at for at, (left, right) in enumerate(zip(old, new, strict=False)) if left != right), min(len(old), len(new)))


def _middle(old: list[str], new: list[str]) -> Iterator[Piece]:
    if len(old) > WORDS or len(new) > WORDS:
        return iter((Piece("gone", "".join(old)), Piece("new", "".join(new))))
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    words = sum(
        any(not unit.isspace() for unit in old[block.a : block.a + block.size]) * block.size
        for block in matcher.get_matching_blocks()
    )
    if 2 * words < NOISE * (len(old) + len(new)):
        return iter((Piece("gone", "".join(old)), Piece("new", "".join(new))))
    return _steps(matcher, old, new)


def _steps(matcher: SequenceMatcher[str], old: list[str], new: list[str]) -> Iterator[Piece]:
    for step, i, j, k, m in matcher.get_opcodes():
        if step == "equal":
            yield Piece("same", "".join(old[i:j]))
        else:
            yield Piece("gone", "".join(old[i:j]))
            yield Piece("new", "".join(new[k:m]))


def _joined(pieces: list[Piece]) -> Iterator[Piece]:
    """Neighbours of one kind as one piece, no empty ones."""
    held = Piece("same", "")
    for piece in pieces:
        if not piece.text:
            continue
        if piece.kind == held.kind:
            held = Piece(held.kind, held.text + piece.text)
            continue
        if held.text:
            yield held
        held = piece
    if held.text:
        yield held
