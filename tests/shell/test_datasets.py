"""Datasets: three formats, one meaning; streaming; every fault at its row."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Iterator
from itertools import islice

import pytest

from promptreg import datasets
from promptreg.core.suite import Case, Require, pair_key
from promptreg.errors import DataError


def cases(source: bytes, path: str) -> list[Case]:
    return list(datasets.read(io.BytesIO(source), path))


def refused(source: bytes, path: str) -> DataError:
    with pytest.raises(DataError) as caught:
        cases(source, path)
    assert caught.value.where is not None
    assert caught.value.where.path == path
    return caught.value


JSONL = b"""\
{"id": "a", "inputs": {"x": "1", "y": "z"}, "expected": {"q": "bug"}, "tags": {"lang": "en"}, "cluster": "t1"}

{"inputs": {"x": "2", "y": ""}, "expected": {"q": ""}, "tags": {"lang": "de"}}
"""
CSV = b"""\
id,x,inputs.y,expected.q,tags.lang,cluster\r
a,1,z,bug,en,t1\r
\r
,2,,,de,\r
"""
YAML = b"""\
# rows
- {id: a, inputs: {x: "1", y: z}, expected: {q: bug}, tags: {lang: en}, cluster: t1}
- inputs: {x: "2", y: ""}
  expected: {q: ""}
  tags: {lang: de}
"""
WANTED = [
    Case(id="a", inputs={"x": "1", "y": "z"}, expected={"q": "bug"}, tags={"lang": "en"}, cluster="t1"),
    Case(
        id=pair_key({"x": "2", "y": ""}).removeprefix("sha256:")[:12],
        inputs={"x": "2", "y": ""},
        expected={"q": ""},
        tags={"lang": "de"},
    ),
]


@pytest.mark.parametrize(
    ("source", "path", "lines"),
    [(JSONL, "d.jsonl", [1, 3]), (CSV, "d.csv", [2, 4]), (YAML, "d.yaml", [2, 3]), (YAML, "d.YML", [2, 3])],
)
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_formats_mean_the_same(source: bytes, path: str, lines: list[int], mark: bytes) -> None:
    found = cases(mark + source, path)
    assert found == WANTED
    assert [case.where.line for case in found if case.where] == lines


def test_rows_may_require_k_of_n_and_number_their_ids() -> None:
    row = b'{"id": 7, "inputs": {"x": [1, {"a": null}]}, "cluster": 3, "tags": {"n": 1.5, "b": true}, "require": {"k": 3, "of": 5}}'
    assert cases(row, "d.jsonl") == [
        Case(
            id="7",
            inputs={"x": [1, {"a": None}]},
            cluster="3",
            tags={"n": "1.5", "b": "true"},
            require=Require(k=3, of=5),
        )
    ]


def test_text_that_looks_like_a_key_is_text() -> None:
    assert cases(b'{"inputs": {"x": "\\"inputs\\": 1"}}', "d.jsonl")[0].inputs == {"x": '"inputs": 1'}


def test_csv_cells_are_text_with_commas_quotes_and_lines() -> None:
    found = cases(b'x,expected\n"a,""b""\nc",1e3\n"' + b"x" * 200_000 + b'",no\n', "d.csv")
    assert (found[0].inputs["x"], found[0].expected) == ('a,"b"\nc', "1e3")
    assert found[1].where is not None
    assert (len(str(found[1].inputs["x"])), found[1].where.line) == (200_000, 4)


def test_yaml_text_is_kept_as_it_was_written_where_text_is_expected() -> None:
    found = cases(b"- {id: 010, inputs: {x: no}, tags: {v: 1.10}, cluster: 1e3}", "d.yaml")[0]
    assert (found.id, found.tags, found.inputs, found.cluster) == ("010", {"v": "1.10"}, {"x": "no"}, "1e3")


@pytest.mark.parametrize(
    ("path", "source", "message", "line"),
    [
        ("d.jsonl", b"", "the dataset has no rows", 0),
        ("d.jsonl", b"\n\n", "the dataset has no rows", 0),
        ("d.csv", b"x,expected\n", "the dataset has no rows", 0),
        ("d.csv", b"", "the dataset has no rows", 0),
        ("d.yaml", b"", "the dataset has no rows", 0),
        ("d.yaml", b"[]", "the dataset has no rows", 0),
        ("d.txt", b"x", "'.txt' is not known", 0),
        ("d.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer", 1),
        ("d.csv", b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer", 1),
        ("d.jsonl", b'{"inputs": {}}\n{"inputs": {"x": 1}', "not JSON", 2),
        ("d.jsonl", b'{"inputs": {}}\n{"inputs": nope}', "not JSON: invalid character", 2),
        ("d.jsonl", b'{"inputs": {"x": NaN}}', "not JSON", 1),
        ("d.jsonl", b'{"inputs": {"x": 1}, "inputs": {"x": 2}}', "duplicate key 'inputs'", 1),
        ("d.jsonl", b'{"inputs": {"x": [{"y" : 1, "y":2}]}}', "duplicate key 'y'", 1),
        ("d.jsonl", b"[1]", "the row is not an object", 1),
        ("d.jsonl", b'"x"', "the row is not an object", 1),
        ("d.jsonl", b'{"expected": 1}', "missing key 'inputs'", 1),
        ("d.jsonl", b'{"input": {"x": 1}}', "unknown key 'input'; did you mean 'inputs'?", 1),
        ("d.jsonl", b'{"inputs": "x"}', "expected a mapping, found the text 'x'", 1),
        ("d.jsonl", b'{"inputs": {}, "id": ""}', "must not be empty", 1),
        ("d.jsonl", b'{"inputs": {}, "id": null}', "expected text or a whole number, found nothing", 1),
        ("d.jsonl", b'{"inputs": {}, "id": true}', "expected text or a whole number, found true", 1),
        ("d.jsonl", b'{"inputs": {}, "tags": {"a": [1]}}', "expected text or", 1),
        ("d.jsonl", b'{"inputs": {}, "cluster": null}', "expected text or a whole number, found nothing", 1),
        ("d.jsonl", b'{"inputs": {}, "require": {"k": 2, "of": 1}}', "k is 2 but only 1 repeats are made", 1),
        ("d.jsonl", b'{"inputs": {"x": ' + b"[" * 60 + b"]" * 60 + b"}}", "nested deeper than 50 levels", 1),
        ("d.jsonl", b'{"inputs": {}, "expected": ' + b"[" * 60 + b"]" * 60 + b"}", "nested deeper than 50 levels", 1),
        ("d.jsonl", b'{"inputs": ' + b"[" * 100_000, "not JSON: JSON is nested too deeply", 1),
        ("d.jsonl", b'{"inputs": {"x": "\\ud800"}}', "not JSON", 1),
        ("d.jsonl", b'{"inputs": {}}\n{"inputs": {"x": "caf\xe9"}}', "byte 0xe9 is not UTF-8", 2),
        ("d.jsonl", '{"inputs": {}}'.encode("utf-16"), "the file is UTF-16", 1),
        ("d.csv", b"x\ncaf\xe9", "byte 0xe9 is not UTF-8", 2),
        ("d.yaml", b"- inputs: {x: caf\xe9}", "byte 0xe9 is not UTF-8", 1),
        ("d.csv", b"x\na\0b", "a NUL character", 2),
        ("d.csv", b"x,y\n1,2\n\n1,2,3\n", "the row has 3 cells, the header has 2", 4),
        ("d.csv", b'x,y\n"1\n1",2\n1\n', "the row has 1 cells, the header has 2", 4),
        ("d.csv", b'x,y\n1,"2\n3,4\n', "not CSV: unexpected end of data", 2),
        ("d.csv", b'x,y\n1,"2"3\n', "not CSV", 2),
        ("d.csv", b"x;expected\n1;2\n", "the columns are separated by ';'", 1),
        ("d.csv", b"x,x\n1,2\n", "two columns are both 'inputs.x'", 1),
        ("d.csv", b"x,inputs.x\n1,2\n", "two columns are both 'inputs.x'", 1),
        ("d.csv", b"x,\n1,2\n", "unknown column ''", 1),
        ("d.csv", b"input.x,expected\n1,2\n", "unknown column 'input.x'; did you mean 'inputs.x'?", 1),
        ("d.csv", b"x,expected.a.b\n1,2\n", "unknown column 'expected.a.b'", 1),
        ("d.csv", b"x,tags\n1,2\n", "unknown column 'tags'", 1),
        ("d.csv", b"x,expected,expected.a\n1,2,3\n", "'expected' and 'expected.NAME' cannot both", 1),
        ("d.csv", b"id,expected\n1,2\n", "no column is an input", 2),
        ("d.yaml", b"a: 1", "expected a list of rows", 1),
        ("d.yaml", b"- inputs: {x: 1}\n- 5", "expected a mapping, found the number 5", 2),
        ("d.yaml", b"- inputs: {x: 1}\n- {inputs: {x: 1}, expcted: 2}", "unknown key 'expcted'; did you mean 'expected'?", 2),
        ("d.yaml", b"- &a {inputs: {x: 1}}\n- *a", "anchors", 1),
        ("d.yaml", b"- {inputs: {x: 1, x: 2}}", "duplicate key 'x'", 1),
    ],
)
def test_faults_name_file_and_row(path: str, source: bytes, message: str, line: int) -> None:
    fault = refused(source, path)
    assert message in fault.message
    assert fault.where is not None
    assert fault.where.line == line


def test_a_broken_row_names_its_column() -> None:
    fault = refused('{"inputs": {}}\n{"inputs": {"é": x}}'.encode(), "d.jsonl")
    assert str(fault.where) == "d.jsonl:2:18"


def test_all_complaints_of_a_row_come_at_once() -> None:
    fault = refused(b'{"inputs": 1, "expcted": 2, "tags": []}', "d.jsonl")
    assert {one.where.key for one in (fault, *fault.more) if one.where} == {"inputs", "expcted", "tags"}


@pytest.mark.parametrize(
    ("path", "source", "hint"),
    [
        (
            "d.jsonl",
            b'{"id": "a", "inputs": {"x": 1}}\n{"inputs": {}}\n{"id": "a", "inputs": {"x": 2}}',
            "give each row its own id",
        ),
        ("d.jsonl", b'{"inputs": {"x": 1}}\n{"inputs": {}}\n{"inputs": {"x": 1}}', "the inputs are equal"),
        ("d.yaml", b"- {inputs: {x: 1}}\n- {inputs: {}}\n- {inputs: {x: 1}}", "the inputs are equal"),
        ("d.csv", b"id,x\na,1\na,1", "the inputs are equal"),
    ],
)
def test_a_second_row_with_one_id_names_both(path: str, source: bytes, hint: str) -> None:
    fault = refused(source, path)
    assert fault.where is not None
    first = 2 if path == "d.csv" else 1
    assert (fault.where.line, f"stands also at {path}:{first}" in fault.message) == (3, True)
    assert (fault.hint or "").startswith(hint)


def test_equal_inputs_with_ids_of_their_own_are_two_rows() -> None:
    assert len(cases(b'{"id": "a", "inputs": {"x": 1}}\n{"id": "b", "inputs": {"x": 1}}', "d.jsonl")) == 2


class Rows(io.RawIOBase):
    """A file of *count* rows that are made as they are read."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.rest = b""
        self.at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        assert (offset, whence) == (0, 0)
        self.at, self.rest = 0, b""
        return 0

    def tell(self) -> int:
        return 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while len(self.rest) < len(buffer) and self.at < self.count:
            self.rest += b'{"inputs": {"x": %d, "text": "%s"}}\n' % (self.at, b"x" * 1000)
            self.at += 1
        part, self.rest = self.rest[: len(buffer)], self.rest[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def test_rows_are_streamed_not_kept() -> None:
    stream: Iterator[Case] = datasets.read(io.BufferedReader(Rows(20_000)), "d.jsonl")
    next(stream)
    tracemalloc.start()
    try:
        for case in islice(stream, 10_000):
            assert case.inputs
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000  # of 10 MB of rows: one hash for each id
    assert peak < 3_000_000


def test_an_endless_line_is_refused_without_reading_it_all() -> None:
    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            buffer[:] = b"x" * len(buffer)
            return len(buffer)

        def seekable(self) -> bool:
            return True

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def tell(self) -> int:
            return 0

    with pytest.raises(DataError, match="a line of more than 16 MiB"):
        next(datasets.read(io.BufferedReader(Endless()), "d.jsonl"))
