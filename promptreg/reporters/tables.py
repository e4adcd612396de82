"""The door to tabulate: rows of text as an aligned table. Numbers stay the text they are (tabulate would print 1e3 as 1000)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

Align: TypeAlias = Literal["left", "right", "center"]

HELD = "\ue000"  # of private use: as wide as a space, and no space


def aligned(headers: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[Align]) -> list[str]:
    """Lines of a plain table, the header first, columns two spaces apart. Colour codes take no width."""
    from tabulate import tabulate  # 38 ms, and only people's tables need it

    table = tabulate(
        [[_held(cell) for cell in row] for row in rows],
        [_held(header) for header in headers],
        tablefmt="plain",
        colalign=tuple(align) if rows else None,
        disable_numparse=True,
    )
    return table.replace(HELD, " ").split("\n")


def _held(cell: str) -> str:
    """*cell* with its outer spaces held, which tabulate strips. Its 0.10 can be told not to, but rules out deepeval beside us."""
    inner = cell.strip(" ")
    before, _, after = cell.partition(inner) if inner else ("", "", cell)
    return HELD * len(before) + inner + HELD * len(after)


def github(headers: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[Align]) -> str:
    """A GitHub table. Cells are Markdown already: the caller has escaped what needs it."""
    from tabulate import tabulate

    return tabulate(
        [list(row) for row in rows],
        list(headers),
        tablefmt="pipe",
        colalign=tuple(align) if rows else None,
        disable_numparse=True,
    )
