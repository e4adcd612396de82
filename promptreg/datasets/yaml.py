"""YAML: one list of rows, read item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import BinaryIO

from promptreg.core.suite import Case
from promptreg.documents import Document, read_case, read_yaml_rows
from promptreg.errors import DataError, DocumentError, Where


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
        yield read_case(document.value, _placer(document), written=document.written)


def _placer(document: Document) -> Callable[[str], Where]:
    return document.place
