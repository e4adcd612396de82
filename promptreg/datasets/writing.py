"""Grows golden data: adds a case to a dataset, or changes what one expects, and touches no other line.

Lines are the readers' lines: they end in a line feed and nothing else, and keep their carriage returns and the byte order mark.
The changed file is read back, whole, before it takes the old one's place: a case that the readers would refuse, or would read as
another one, is never written.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from promptreg.core.canonical import Json
from promptreg.core.suite import Case
from promptreg.datasets import read
from promptreg.documents import case_id
from promptreg.errors import DataError, UsageError, Where

MARK = "\ufeff"
UNSEEN = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")  # what YAML does not take, or an editor takes for a line's end
INDENT = re.compile(r"^( *)- ", re.MULTILINE)

Check: TypeAlias = Callable[[Case], object]


def append(path: Path, shown: str, cases: Sequence[Case], check: Check = bool) -> None:
    """Adds *cases* at the end of the dataset at *path* (called *shown* in errors), all or none.

    *check* sees each of them as it is read back, and raises for one that must not be written.
    """
    text = _text(path) if path.exists() else ""
    if text and not text.endswith("\n"):
        text += _ending(text)
    before = text.count("\n")
    rows = {".jsonl": _json_rows, ".csv": _csv_rows}.get(path.suffix.lower(), _yaml_rows)
    text += "".join(rows(text, cases))
    given = iter(cases)

    def checked(case: Case) -> None:
        if case.where is not None and case.where.line > before:
            _refuse_other(next(given, None), case, path)
            check(case)

    _replace(path, shown, text, checked)


def expect(path: Path, shown: str, case: Case, expected: Json) -> None:
    """Makes *expected* the expected answer of *case*, which must have been read from this dataset (`case.where`)."""
    if case.where is None or not case.where.line:
        raise UsageError(f"case '{case.id}' has no line in {shown}", hint="inline cases are edited in the suite file")
    text = _text(path)
    lines = _lines(text)
    start, suffix = case.where.line - 1, path.suffix.lower()
    if suffix == ".jsonl":
        mark = MARK if lines[start].startswith(MARK) else ""
        row = json.loads(lines[start].removeprefix(MARK))
        row["expected"] = expected
        lines[start] = mark + _json(row) + _ending(lines[start], last=True)
    elif suffix == ".csv":
        end = _record_end(lines, start)
        header, record = _header(text), next(csv.reader(lines[start:end]))
        fields = dict(zip(header, record, strict=False)) | _csv_expected(header, expected, case.where)
        lines[start:end] = [_csv_line(header, fields, _ending(lines[end - 1], last=True))]
    else:
        raise UsageError(f"promptreg does not rewrite {path.suffix} cases", hint=f"edit {case.where}", where=case.where)
    _replace(path, shown, "".join(lines))


def case_row(case: Case) -> dict[str, Json]:
    """A case as the formats write it; only what is set."""
    row: dict[str, Json] = {"id": case.id, "inputs": dict(case.inputs)}
    if case.expected is not None:
        row["expected"] = case.expected
    if case.tags:
        row["tags"] = dict(case.tags)
    if case.cluster is not None:
        row["cluster"] = case.cluster
    if case.require is not None:
        row["require"] = {"k": case.require.k, "of": case.require.of}
    return row


def _text(path: Path) -> str:
    return path.read_bytes().decode()  # read_text would make every \r\n a \n, also those within a cell


def _lines(text: str) -> list[str]:
    return list(io.StringIO(text, newline="\n"))  # str.splitlines also ends lines at U+2028 and its like


def _ending(text: str, *, last: bool = False) -> str:
    """How the first line of *text* ends; with *last*, nothing where it has no end."""
    line, feed, _ = text.partition("\n")
    return ("\r\n" if line.endswith("\r") else "\n") if feed or not last else ""


def _json(row: Mapping[str, Json]) -> str:
    return UNSEEN.sub(lambda sign: f"\\u{ord(sign[0]):04x}", json.dumps(row, ensure_ascii=False))


def _json_rows(text: str, cases: Sequence[Case]) -> Iterator[str]:
    return (_json(case_row(case)) + _ending(text) for case in cases)


def _yaml_rows(text: str, cases: Sequence[Case]) -> Iterator[str]:
    indent = found[1] if (found := INDENT.search(text)) else ""
    return (f"{indent}- {_json(case_row(case))}{_ending(text)}" for case in cases)  # JSON is YAML's flow style


def _csv_rows(text: str, cases: Sequence[Case]) -> Iterator[str]:
    header = _header(text)
    if not header:
        first = cases[0]
        header = ["id", *first.inputs, "expected", *(f"tags.{key}" for key in first.tags)]
        yield _csv_line(header, dict(zip(header, header, strict=True)), _ending(text))
    for case in cases:
        yield _csv_line(header, _csv_fields(header, case), _ending(text))


def _header(text: str) -> list[str]:
    """The columns' names as the reader takes them; none of a file without rows."""
    rows = csv.reader(io.StringIO(text.removeprefix(MARK), newline="\n"))
    return [name.strip() for name in next((row for row in rows if row), [])]


def _csv_fields(header: list[str], case: Case) -> dict[str, str]:
    values: dict[str, Json] = {"id": case.id, "cluster": case.cluster or ""}
    if "id" not in header and case.id == case_id(case.inputs):
        del values["id"]  # nobody gave it one
    for key, value in case.inputs.items():
        values[f"inputs.{key}" if f"inputs.{key}" in header else key] = value
    values.update({f"tags.{key}": value for key, value in case.tags.items()})
    if case.require is not None:
        values["require"] = {"k": case.require.k, "of": case.require.of}
    fields = {key: _cell(value) for key, value in values.items()}
    if case.expected is not None:
        fields.update(_csv_expected(header, case.expected, None))
    if stray := sorted(key for key, value in fields.items() if key not in header and value):
        raise _no_column(stray, header, None)
    return fields


def _csv_expected(header: list[str], expected: Json, where: Where | None) -> dict[str, str]:
    if isinstance(expected, Mapping):
        flat = {f"expected.{key}": value for key, value in expected.items()}
    else:
        flat = {"expected": expected}
    if stray := sorted(set(flat) - set(header)):
        raise _no_column(stray, header, where)
    return {key: _cell(value) for key, value in flat.items()}


def _no_column(stray: Sequence[str], header: Sequence[str], where: Where | None) -> DataError:
    hint = f"add a column to its first line, and to every row; its columns: {', '.join(header)}"
    return DataError(f"the dataset has no column for {', '.join(stray)}", where=where, hint=hint)


def _cell(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _csv_line(header: list[str], fields: Mapping[str, str], ending: str) -> str:
    out = io.StringIO(newline="")
    csv.DictWriter(out, header, lineterminator="\n", extrasaction="ignore").writerow(fields)
    return out.getvalue().removesuffix("\n") + ending


def _record_end(lines: list[str], start: int) -> int:
    """The line after the CSV record that begins at *start*; a quoted field may span lines."""
    reader = csv.reader(lines[start:])
    next(reader)
    return start + reader.line_num


def _refuse_other(given: Case | None, found: Case, path: Path) -> None:
    """DataError if the row reads back as another case than was given. CSV knows text only, and an empty cell for none."""
    if given is None:
        same = False
    elif path.suffix.lower() == ".csv":
        same = all(found.inputs.get(key) == _cell(value) for key, value in given.inputs.items())
    else:
        same = (given.inputs, given.expected, given.tags) == (found.inputs, found.expected, found.tags)
    if not same:
        hint = "its last row is perhaps not closed, or of another style; a .jsonl dataset takes every case"
        raise DataError(f"case '{found.id}' would not read back as it was given", where=found.where, hint=hint)


def _replace(path: Path, shown: str, text: str, check: Check = bool) -> None:
    """Writes beside *path*, or beside what it links to, reads back, and only then takes its place."""
    target = path.resolve() if path.exists() else path
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=target.suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode())
        with open(name, "rb") as file:
            for case in read(file, shown):
                check(case)
        if target.exists():
            shutil.copymode(target, name)
        else:
            os.chmod(name, 0o644)  # mkstemp's are for the owner alone
        os.replace(name, target)
    except BaseException:
        os.unlink(name)
        raise
