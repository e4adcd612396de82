"""The YAML reader: what text means, where it stands, and what is refused."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.documents import is_yaml_list, read_yaml, read_yaml_rows
from promptreg.documents.yaml import MAX_BYTES, MAX_NODES, below, below_each
from promptreg.errors import DocumentError


def refused(source: bytes) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        read_yaml(source, "f.yaml")
    return caught.value


@pytest.fixture(params=["libyaml", "pure"])
def _parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both parsers; without libyaml, importing yaml.cyaml fails as it does here."""
    if request.param == "pure":
        monkeypatch.setitem(sys.modules, "yaml.cyaml", None)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("2025-04-14", "2025-04-14"),
        ("12:30:00", "12:30:00"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1e999", "1e999"),
        ("9" * 65, "9" * 65),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("", None),
        ("12", 12),
        ("-7", -7),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.10", 1.1),
        ("1e3", 1000.0),
        ("-.5", -0.5),
        ("'12'", "12"),
        ('"true"', "true"),
        ("|\n  12\n", "12\n"),
        ("café", "café"),
    ],
)
@pytest.mark.usefixtures("_parser")
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    document = read_yaml(f"a: {text}".encode(), "f.yaml")
    assert document.value == {"a": value}
    assert type(document.value["a"]) is type(value)  # type: ignore[index,call-overload]
    assert document.written == ({} if isinstance(value, str) else {"a": text})


@pytest.mark.usefixtures("_parser")
def test_every_key_and_item_has_its_place() -> None:
    document = read_yaml(b"a: 1\nchecks:\n  - pattern: x\n    d: {e: [5, 6]}\n'g.h': {i: 1}\nt: |\n  text\n", "f.yaml")
    expected = {
        "a": (1, 1),
        "checks[0]": (3, 5),
        "checks[0].pattern": (3, 5),
        "checks[0].d.e[1]": (4, 16),
        '["g.h"].i': (5, 9),
    }
    assert {key: document.marks[key] for key in expected} == expected
    assert str(document.place("checks[0].d.missing.deeper")) == "f.yaml:4:5, key 'checks[0].d.missing.deeper'"
    assert document.text_place("t").line == 7
    assert document.text_place("a").line == 1
    assert below(document.marks, "checks[0]")["d.e[1]"] == (4, 16)
    assert below_each(document.marks, "checks") == {"checks[0]": below(document.marks, "checks[0]")}


@pytest.mark.parametrize(
    ("source", "message", "line", "column"),
    [
        (b"a: &x 1\nb: *x", "anchors", 1, 4),
        (b"a: 1\nb: *x", "aliases", 2, 4),
        (b"- *x: 1", "aliases", 1, 3),
        (b"a: !!python/object:os.system {}", "tags", 1, 4),
        (b"a: ! x", "tags", 1, 4),
        (b"<<: {a: 1}", "merge keys", 1, 1),
        (b"a: 1\nb: 2\na: 3", "duplicate key 'a'; it stands first at line 1, column 1", 3, 1),
        (b"[a]: 1", "a key must be text", 1, 1),
        (b'{"": 1}', "a key is missing", 1, 2),
        (b"a: 1\n---\nb: 2", "second document", 2, 1),
        (b"a: [1, 2\n", "not YAML", 2, 1),
        (b"a:\n\tb: 1", "not YAML", 2, 1),
        (b"a: b: c", "not YAML", 1, 5),
        (b"a: 1\nb: caf\xe9", "byte 0xe9 is not UTF-8", 2, 7),
        ("é: 1\nb: é".encode() + b"\xff", "byte 0xff is not UTF-8", 2, 5),
        ("a: 1".encode("utf-16"), "not UTF-8", 1, 1),
        (b"a: x\x00y", "U\\+0000", 1, 5),
        ("a: x\u2028y".encode(), "U\\+2028", 1, 5),
        (b"a: 1\r\nb: \x07", "U\\+0007", 2, 4),
        (b"[" * 60, "nested deeper than 50", 1, 51),
        (b"{a: " * 60, "nested deeper than 50", 1, 201),
    ],
)
@pytest.mark.usefixtures("_parser")
def test_what_means_two_things_is_refused_at_its_place(source: bytes, message: str, line: int, column: int) -> None:
    fault = refused(source)
    assert fault.where is not None
    assert fault.where.path == "f.yaml"
    assert re.search(message, fault.message), fault.message
    assert (fault.where.line, fault.where.column) == (line, column)


def test_an_alias_bomb_is_refused_before_it_grows() -> None:
    bomb = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n".encode() for i in range(9)
    )
    assert "anchors" in refused(bomb).message


def test_a_deep_file_neither_crashes_nor_recurses() -> None:
    assert "nested deeper" in refused(b"[" * 400_000).message
    assert "nested deeper" in refused(b"- " * 400_000).message


def test_sizes_are_bounded() -> None:
    fault = refused(b"a: " + b"x" * MAX_BYTES)
    assert "1,048,579 bytes" in fault.message
    assert fault.hint
    assert f"more than {MAX_NODES:,} values" in refused(b"[" + b"1," * (MAX_NODES + 1) + b"]").message


def test_all_duplicate_keys_are_told_at_once() -> None:
    fault = refused(b"a: 1\na: 2\nb: {c: 1, c: 2}\n")
    assert [str(one.where) for one in (fault, *fault.more)] == ["f.yaml:2:1, key 'a'", "f.yaml:3:11, key 'b.c'"]


@pytest.mark.parametrize("source", [b"", b"# only a comment\n", b"---\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_null(source: bytes) -> None:
    assert read_yaml(source, "f.yaml").value is None


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read_yaml(b"\xef\xbb\xbfa: 1", "f.yaml").value == {"a": 1}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=12,
)


@given(json_values)
def test_json_is_read_as_it_is_written(value: object) -> None:
    text = json.dumps(value, ensure_ascii=True)
    if "\\u" not in text:  # YAML reads half surrogates otherwise
        assert read_yaml(text.encode(), "f.yaml").value == value


def complaint(source: bytes) -> DocumentError | None:
    try:
        read_yaml(source, "f.yaml")
    except DocumentError as fault:
        return fault
    return None


@given(st.binary(max_size=200) | st.text(alphabet="ab:- \n[]{}'\"|>&*!#?,%@`\t", max_size=60).map(str.encode))
def test_any_bytes_are_a_value_or_a_placed_error(source: bytes) -> None:
    fault = complaint(source)
    assert fault is None or (fault.where is not None and fault.where.path == "f.yaml" and fault.where.line >= 1)


class Endless(io.RawIOBase):
    """A list of rows without end."""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return b"- {inputs: {x: 1}}\n" * 100


def test_rows_are_read_one_by_one() -> None:
    rows = read_yaml_rows(Endless(), "d.yaml")  # type: ignore[arg-type]
    assert [next(rows).value for _ in range(1000)][-1] == {"inputs": {"x": 1}}
    assert next(rows).place("inputs.x").line == 1001


def test_rows_need_a_list() -> None:
    with pytest.raises(DocumentError, match="expected a list of rows"):
        list(read_yaml_rows(io.BytesIO(b"a: 1"), "d.yaml"))
    assert list(read_yaml_rows(io.BytesIO(b"# nothing"), "d.yaml")) == []


@pytest.mark.parametrize(
    ("source", "expected"), [(b"# x\n- a: 1", True), (b"[1", True), (b"a: 1", False), (b"", False), (b"\xff", False)]
)
def test_lists_are_told_from_mappings(source: bytes, expected: bool) -> None:
    assert is_yaml_list(source) is expected
