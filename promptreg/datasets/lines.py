"""A binary file as lines of text: strict UTF-8, a byte order mark accepted, and no line without bound."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from promptreg.errors import DataError, Where

MAX_LINE = 16 << 20  # bytes; a row with an image as a data URL fits
_MARK = b"\xef\xbb\xbf"


def lines(file: BinaryIO, path: str) -> Iterator[str]:
    """Each line with its ending. DataError with line and column for what is not UTF-8, for NUL, and for endless lines."""
    number = 0
    while data := file.readline(MAX_LINE + 1):
        number += 1
        if number == 1:
            _refuse_other_encodings(data, path)
            data = data.removeprefix(_MARK)
        if len(data) > MAX_LINE:
            raise DataError(f"a line of more than {MAX_LINE >> 20} MiB", where=Where(path, number), hint="one row per line")
        try:
            text = data.decode()
        except UnicodeDecodeError as fault:
            column = len(data[: fault.start].decode(errors="replace")) + 1
            problem = f"byte 0x{data[fault.start]:02x} is not UTF-8"
            raise DataError(problem, where=Where(path, number, column), hint="save the file as UTF-8") from None
        if "\0" in text:
            raise DataError("a NUL character", where=Where(path, number, text.index("\0") + 1), hint="save the file as UTF-8 text")
        yield text


def _refuse_other_encodings(data: bytes, path: str) -> None:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError("the file is UTF-16", where=Where(path, 1), hint="save the file as UTF-8")
