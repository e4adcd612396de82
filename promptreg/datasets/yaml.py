"""YAML: one list of rows, read item by item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from promptreg.core.suite import Case
from promptreg.documents import read_case, read_yaml_rows
from promptreg.errors import DataError, DocumentError


def read_yaml(file: BinaryIO, path: str) -> Iterator[Case]:
    """The cases, streaming. DataError with file, line and column."""
    rows = read_yaml_rows(file, path)
    while True:
        try:
            document = next(rows, None)
        except DocumentError as fault:
            raise DataError(fault.message, where=fault.where, hint=fault.hint, more=fault.more) from fault
        if document is None:
            return
        yield read_case(document.value, document.place, written=document.written)
