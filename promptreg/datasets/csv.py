"""CSV (RFC 4180): a header row, then cases. Every cell is text.

Bare columns and `inputs.x` are inputs; `id` and `cluster` are the case's; `expected` or `expected.x` its answer, `tags.x` its
tags. An empty cell is empty text, except that an empty id, cluster or tag is none.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, BinaryIO

from promptreg.core.suite import Case
from promptreg.datasets.lines import MAX_LINE, lines
from promptreg.documents import read_case
from promptreg.errors import DataError, Where

_GROUPS = ("inputs", "expected", "tags")
_HINT = "columns are id, cluster, expected, expected.NAME, tags.NAME, inputs.NAME, or the bare name of an input"


def read_csv(file: BinaryIO, path: str) -> Iterator[Case]:
    """The cases, streaming. DataError with file and line for ragged rows, unknown columns and broken quotes."""
    csv.field_size_limit(MAX_LINE)  # the standard library's one setting for the process; its default is 128 KiB
    rows = _rows(csv.reader(lines(file, path), strict=True), path)
    header = next(rows, None)
    if header is None:
        return
    columns = _columns(header[1], Where(path, header[0]))
    for line, cells in rows:
        if len(cells) != len(columns):
            problem = f"the row has {len(cells)} cells, the header has {len(columns)}"
            raise DataError(problem, where=Where(path, line), hint="put cells that hold commas or line breaks in double quotes")
        yield _case(columns, cells, _placer(path, line))


def _rows(reader: Any, path: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, cells) of each row that is not blank."""
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as fault:
            raise DataError(f"not CSV: {fault}", where=Where(path, line), hint='a double quote in a cell is written ""') from fault
        if cells:
            yield line, cells
        line = reader.line_num + 1


def _columns(names: Sequence[str], where: Where) -> list[tuple[str, str]]:
    """(key of the row, name within it) for each column."""
    if len(names) == 1 and (found := next((sign for sign in ";\t|" if sign in names[0]), None)):
        raise DataError(f"the columns are separated by {found!r}", where=where, hint="separate them by commas")
    columns = [_column(name.strip(), where) for name in names]
    seen: set[tuple[str, str]] = set()
    for column in columns:
        if column in seen:
            raise DataError(f"two columns are both '{'.'.join(filter(None, column))}'", where=where, hint="rename or delete one")
        seen.add(column)
    if ("expected", "") in columns and any(group == "expected" and name for group, name in columns):
        raise DataError("'expected' and 'expected.NAME' cannot both be columns", where=where, hint="keep one form")
    return columns


def _column(name: str, where: Where) -> tuple[str, str]:
    group, dot, rest = name.partition(".")
    if name in ("id", "cluster", "expected"):
        return name, ""
    if dot and group in _GROUPS and rest and "." not in rest:
        return group, rest
    if not name or dot or name in ("inputs", "tags", "require"):
        close = get_close_matches(group, _GROUPS, n=1, cutoff=0.6) if dot else []
        guess = f"; did you mean '{close[0]}.{rest}'?" if close and close[0] != group else ""
        raise DataError(f"unknown column '{name}'{guess}", where=where, hint=_HINT)
    return "inputs", name


def _case(columns: Sequence[tuple[str, str]], cells: Sequence[str], place: Callable[[str], Where]) -> Case:
    row: dict[str, Any] = {"inputs": {}}
    for (group, name), cell in zip(columns, cells, strict=True):
        if name and (cell or group != "tags"):
            row.setdefault(group, {})[name] = cell
        elif not name and (cell or group == "expected"):
            row[group] = cell
    if not row["inputs"]:
        raise DataError("no column is an input", where=place(""), hint=_HINT)
    return read_case(row, place)


def _placer(path: str, line: int) -> Callable[[str], Where]:
    return lambda key: Where(path, line, 0, key)
