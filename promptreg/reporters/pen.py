"""How foreign text gets onto a terminal: behind a gutter, tamed, wrapped, coloured where colour is wanted. Knows no report.

Every line that holds foreign text starts with a gutter, so that no model can begin a line with a workflow command.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from promptreg.core.diff import Piece
from promptreg.core.excerpt import one_line, visible
from promptreg.reporters import figures
from promptreg.reporters.tables import Align, aligned

NAME = 60  # characters
REASON = 400
DIFF = 600
GUTTER = "│ "
MARKS = {"same": ("", ""), "gone": ("[-", "-]"), "new": ("{+", "+}")}  # as `git diff --word-diff` writes them
STYLES = {"ok": "32", "failed": "31", "unmeasured": "33", "gone": "31", "new": "32", "dim": "2", "bold": "1"}
COMMAND = re.compile(r"##(?=\w*\[)")  # `##[error]`, `##vso[…]`, `##teamcity[…]`: read by build agents anywhere in a line


@dataclass(frozen=True, slots=True, kw_only=True)
class Pen:
    """`colour` adds ANSI colours (signs and marks stay); `width` is in columns."""

    colour: bool
    width: int

    def styled(self, text: str, style: str) -> str:
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m" if self.colour and text and style in STYLES else text

    def wrapped(self, text: str) -> Iterator[str]:
        """Text of any length behind the gutter."""
        return self.drawn((Piece("same", text),))

    def drawn(self, pieces: Sequence[Piece]) -> Iterator[str]:
        """Pieces with their marks, wrapped to the width behind the gutter."""
        text, kinds = "", list[str]()
        for piece in pieces:
            before, after = MARKS[piece.kind]
            marked = before + tame(piece.text) + after
            text += marked
            kinds += [piece.kind] * len(marked)
        for start, end in _breaks(text, max(20, self.width - 4)):
            runs = groupby(range(start, end), kinds.__getitem__)
            line = "".join(self.styled("".join(text[at] for at in places), kind) for kind, places in runs)
            yield f"  {self.styled(GUTTER, 'dim')}{line}"

    def notes(self, notes: Sequence[str]) -> Iterator[str]:
        for note in notes:
            yield from self.wrapped(f"note: {one_line(note, REASON)}")
        if notes:
            yield ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """A table's columns; `spare` are those that a narrow terminal does without, in this order. The first is a sign and a word,
    of which the word goes first."""

    headers: Sequence[str]
    align: Sequence[Align]
    spare: Sequence[int]

    def fitting(self, rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
        """The table's lines, with as many columns as fit; those in which nothing is known go first, then words, then spare ones."""
        columns = list(range(len(self.headers)))
        silent = [column for column in self.spare if all(row[column] == figures.NONE for row in rows)]
        for spare in (None, *silent, 0, *(column for column in self.spare if column not in silent)):
            if spare == 0:
                rows = [(row[0][:1], *row[1:]) for row in rows]
            elif spare is not None:
                columns.remove(spare)
            lines = self._lines(rows, columns)
            if max(map(len, lines)) <= width:
                break
        return lines

    def _lines(self, rows: Sequence[Sequence[str]], columns: Sequence[int]) -> list[str]:
        picked = [[row[column] for column in columns] for row in rows]
        return aligned([self.headers[column] for column in columns], picked, [self.align[column] for column in columns])


def plain(text: str) -> str:
    """Names and places: one line, never a line's beginning of `::`."""
    tamed = tame(one_line(text, NAME))
    return f"\\{tamed}" if tamed.startswith("::") else tamed


def tame(text: str) -> str:
    """Text that no terminal and no build agent obeys."""
    return COMMAND.sub(r"\\x23#", visible(text))


def _breaks(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Where lines of at most *width* characters start and end, broken at spaces where one is near."""
    start = 0
    for line in text.split("\n"):
        end = start + len(line)
        while end - start > width:
            space = text.rfind(" ", start + width // 2, start + width + 1)
            at = start + width if space < 0 else space
            yield start, at
            start = at + (space >= 0)
        yield start, end
        start = end + 1
