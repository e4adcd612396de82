"""Golden data, row by row: one format per file, all read as streams, so that a million rows do not live in memory.

    .jsonl        one JSON object per line
    .csv          a header, then rows: bare and `inputs.x` columns are inputs; `id, cluster, expected, expected.x, tags.x`
    .yaml .yml    one list of rows

A row has inputs, and may have id, expected, tags, cluster and require. Rows of every format are read by `documents.read_case`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO, TypeAlias

from promptreg.core.suite import Case
from promptreg.datasets.csv import read_csv
from promptreg.datasets.jsonl import read_jsonl
from promptreg.datasets.yaml import read_yaml
from promptreg.errors import DataError, Where

__all__ = ["FORMATS", "read"]

Reader: TypeAlias = Callable[[BinaryIO, str], Iterator[Case]]
FORMATS: Mapping[str, Reader] = {".jsonl": read_jsonl, ".csv": read_csv, ".yaml": read_yaml, ".yml": read_yaml}
_POINTER = b"version https://git-lfs.github.com/spec/"


def read(file: BinaryIO, path: str, *, distinct: bool = True) -> Iterator[Case]:
    """The cases in *file* (seekable), in order; the ending of *path* tells the format.

    DataError with file and line: at the faulty row, at a second row with one id, or at the end of a file without rows.
    Memory is that of one row, and eight bytes' worth of hash for each id.
    A log is not *distinct*: it may repeat itself, or be empty.
    """
    ending = posixpath.splitext(path)[1].lower()
    if ending not in FORMATS:
        known = ", ".join(FORMATS)
        raise DataError(f"datasets end in {known}; '{ending}' is not known", where=Where(path), hint="convert it to .jsonl")
    _refuse_pointer(file, path)
    return _distinct(FORMATS[ending], file, path) if distinct else FORMATS[ending](file, path)


def _refuse_pointer(file: BinaryIO, path: str) -> None:
    start = file.tell()
    if file.read(len(_POINTER)) == _POINTER:
        raise DataError("this is a Git LFS pointer, not the data", where=Where(path, 1), hint="git lfs pull fetches the data")
    file.seek(start)


def _distinct(reader: Reader, file: BinaryIO, path: str) -> Iterator[Case]:
    start = file.tell()
    seen: set[int] = set()
    count = 0
    for case in reader(file, path):
        mark = hash(case.id)
        if mark in seen:
            _complain_if_twice(reader, file, path, start, case, count)
        seen.add(mark)
        count += 1
        yield case
    if not count:
        raise DataError("the dataset has no rows", where=Where(path), hint="add cases, or take the suite out")


def _complain_if_twice(reader: Reader, file: BinaryIO, path: str, start: int, case: Case, before: int) -> None:
    """Reads again to name the first row with this id; hashes may clash, so that there may be none."""
    here = file.tell()
    file.seek(start)
    for index, other in enumerate(reader(file, path)):
        if index >= before:
            break
        if other.id == case.id:
            alike = (
                "the inputs are equal: delete one, or give each an id"
                if other.inputs == case.inputs
                else "give each row its own id"
            )
            raise DataError(f"the id '{case.id}' stands also at {other.where}", where=case.where, hint=alike)
    file.seek(here)
