"""Grows golden data: adds a case to a dataset, or changes what one expects, and touches no other line.

The changed file is read back, whole, before it takes the old one's place: a case that the readers would refuse is never written.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from promptreg.core.canonical import Json
from promptreg.core.suite import Case
from promptreg.datasets import read
from promptreg.errors import DataError, UsageError, Where


def append(path: Path, shown: str, cases: Sequence[Case], check: Callable[[Case], object] = bool) -> None:
    """Adds *cases* at the end of the dataset at *path* (called *shown* in errors), all or none.

    *check* sees each of them as it is read back, and raises for one that must not be written.
    """
    text = path.read_text("utf-8") if path.exists() else ""
    if text and not text.endswith("\n"):
        text += "\n"
    for case in cases:
        text += _new_row(path.suffix, text, case)
    added = {case.id for case in cases}
    _replace(path, shown, text, lambda case: case.id in added and check(case))


def expect(path: Path, shown: str, case: Case, expected: Json) -> None:
    """Makes *expected* the expected answer of *case*, which must have been read from this dataset (`case.where`)."""
    if case.where is None or not case.where.line:
        raise UsageError(f"case '{case.id}' has no line in {shown}", hint="inline cases are edited in the suite file")
    lines = path.read_text("utf-8").splitlines(keepends=True)
    start = case.where.line - 1
    if path.suffix == ".jsonl":
        row = json.loads(lines[start])
        row["expected"] = expected
        lines[start] = json.dumps(row, ensure_ascii=False) + "\n"
    elif path.suffix == ".csv":
        end = _record_end(lines, start)
        header, record = next(csv.reader([lines[0]])), next(csv.reader(lines[start:end]))
        fields = dict(zip(header, record, strict=False))
        lines[start:end] = [_csv_line(header, {**fields, **_csv_expected(header, expected, case.where)})]
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
    return row


def _new_row(suffix: str, text: str, case: Case) -> str:
    line = json.dumps(case_row(case), ensure_ascii=False)
    if suffix == ".jsonl":
        return line + "\n"
    if suffix in {".yaml", ".yml"}:
        return f"- {line}\n"  # JSON is YAML's flow style
    header = next(csv.reader(io.StringIO(text, newline="")), None)
    return _first_csv(case) if header is None else _csv_line(header, _csv_fields(header, case))


def _first_csv(case: Case) -> str:
    header = ["id", *case.inputs, "expected", *(f"tags.{key}" for key in case.tags)]
    return _csv_line(header, dict(zip(header, header, strict=True))) + _csv_line(header, _csv_fields(header, case))


def _csv_fields(header: list[str], case: Case) -> dict[str, str]:
    values: dict[str, Json] = {"id": case.id, "cluster": case.cluster or ""}
    for key, value in case.inputs.items():
        values[f"inputs.{key}" if f"inputs.{key}" in header else key] = value
    values.update({f"tags.{key}": value for key, value in case.tags.items()})
    fields = {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    if case.expected is not None:
        fields.update(_csv_expected(header, case.expected, None))
    if stray := sorted(key for key, value in fields.items() if key not in header and value):
        raise DataError(f"the dataset has no column for {', '.join(stray)}", hint=f"its columns: {', '.join(header)}")
    return fields


def _csv_expected(header: list[str], expected: Json, where: Where | None) -> dict[str, str]:
    if isinstance(expected, Mapping):
        flat = {f"expected.{key}": value for key, value in expected.items()}
    else:
        flat = {"expected": expected}
    if not set(flat) <= set(header):
        raise DataError(f"the dataset has no column for {', '.join(sorted(set(flat) - set(header)))}", where=where)
    return {key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in flat.items()}


def _csv_line(header: list[str], fields: Mapping[str, str]) -> str:
    out = io.StringIO()
    csv.DictWriter(out, header, lineterminator="\n", extrasaction="ignore").writerow(fields)
    return out.getvalue()


def _record_end(lines: list[str], start: int) -> int:
    """The line after the CSV record that begins at *start*; a quoted field may span lines."""
    reader = csv.reader(lines[start:])
    next(reader)
    return start + reader.line_num


def _replace(path: Path, shown: str, text: str, check: Callable[[Case], object] = bool) -> None:
    part = path.with_name(f".{path.name}.part{path.suffix}")
    part.write_text(text, encoding="utf-8")
    try:
        with part.open("rb") as file:
            for case in read(file, shown):
                check(case)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
