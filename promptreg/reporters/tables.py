"""The door to tabulate: rows of text as an aligned table. Numbers stay the text they are (tabulate would print 1e3 as 1000)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

Align: TypeAlias = Literal["left", "right", "center"]


def aligned(headers: Sequence[str], rows: Sequence[Sequence[str]], align: Sequence[Align]) -> list[str]:
    """Lines of a plain table, the header first, columns two spaces apart. Colour codes take no width."""
    from tabulate import tabulate  # 38 ms, and only people's tables need it

    return tabulate(
        [list(row) for row in rows],
        list(headers),
        tablefmt="plain",
        colalign=tuple(align) if rows else None,
        disable_numparse=True,
        preserve_whitespace=True,
    ).splitlines()


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
