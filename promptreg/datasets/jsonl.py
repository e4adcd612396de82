"""JSON Lines: one object per line; blank lines are passed over."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from promptreg.core.suite import Case
from promptreg.datasets.lines import lines
from promptreg.documents import decode_json, read_case
from promptreg.errors import DataError, Where

_KEY = re.compile(r'"\s*:')
_BYTE = re.compile(r" ?\(byte (\d+)\)")


def read_jsonl(file: BinaryIO, path: str) -> Iterator[Case]:
    """The cases, streaming. DataError with file and line."""
    for number, line in enumerate(lines(file, path), 1):
        if not line.isspace():
            yield _case(line, path, number)


def _case(line: str, path: str, number: int) -> Case:
    try:
        row = decode_json(line)
    except ValueError as fault:
        raise _broken(line, str(fault), path, number) from fault
    if not isinstance(row, dict):
        hint = 'a row is {"inputs": {…}, "expected": …}'
        raise DataError("the row is not an object", where=Where(path, number), hint=hint)

    if len(_KEY.findall(line)) != _count_keys(row):  # `":` inside of text, or a key that stands twice
        _refuse_duplicate_keys(line, Where(path, number))

    def place(key: str) -> Where:
        return Where(path, number, 0, key)

    return read_case(row, place)


def _count_keys(row: Any) -> int:
    count, todo = 0, [row]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            count += len(value)
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)
    return count


def _refuse_duplicate_keys(line: str, where: Where) -> None:
    """The fast decoder keeps the last of equal keys in silence; the slow one shows them."""

    def unique(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DataError(f"duplicate key '{key}'", where=where, hint="keep one of them")
            seen.add(key)

    try:
        json.loads(line, object_pairs_hook=unique)
    except (RecursionError, ValueError) as fault:
        raise DataError(f"not JSON: {fault}", where=where) from fault


def _broken(line: str, problem: str, path: str, number: int) -> DataError:
    column = 0
    if found := _BYTE.search(problem):
        column = len(line.encode()[: int(found[1])].decode(errors="ignore")) + 1
    message = _BYTE.sub("", problem).removeprefix("JSON is malformed: ")
    hint = "each line is one whole JSON object" if line.lstrip()[:1] == "{" else 'a row is {"inputs": {…}, "expected": …}'
    return DataError(f"not JSON: {message}", where=Where(path, number, column), hint=hint)
