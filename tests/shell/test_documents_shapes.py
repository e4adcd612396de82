"""Conversion of plain values into dataclasses: every complaint at once, each at its place, with a guess."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NewType

import jsonschema
import pytest

from promptreg.core.canonical import Json
from promptreg.core.protocols import NoOptions
from promptreg.documents import Rule, convert, json_schema
from promptreg.errors import DocumentError, UsageError, Where

Alias = NewType("Alias", str)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner:
    k: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Everything that an option can be."""

    name: ClassVar[str] = "options"
    text: str = ""
    count: int = 0
    ratio: Annotated[float, Rule(ge=0, le=1)] = 0.5
    flag: bool = False
    mode: Literal["fast", "slow", 3] = "fast"
    colour: Colour = Colour.RED
    labels: tuple[str, ...] = ()
    pair: tuple[int, str] = (0, "")
    table: Mapping[str, int] = field(default_factory=dict)
    anything: Json = None
    either: str | float | tuple[str, ...] | None = None
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    alias: Alias = Alias("")
    path: Path = Path()
    schema_: Mapping[str, Json] = field(default_factory=dict, metadata={"key": "schema"})
    hidden: int = field(default=7, init=False)


def place(key: str) -> Where:
    return Where("s.yaml", 3, 5, key)


def read(raw: Json, written: Mapping[str, str] | None = None) -> Options:
    return convert(raw, Options, place, written=written)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({}, Options()),
        ({"text": "a", "count": 3, "ratio": 1, "flag": True}, Options(text="a", count=3, ratio=1.0, flag=True)),
        ({"mode": 3}, Options(mode=3)),
        ({"colour": "blue"}, Options(colour=Colour.BLUE)),
        ({"labels": ["a", "b"], "pair": [1, "x"]}, Options(labels=("a", "b"), pair=(1, "x"))),
        ({"table": {"a": 1}}, Options(table={"a": 1})),
        ({"anything": {"a": [1, None]}}, Options(anything={"a": [1, None]})),
        ({"either": 0.5}, Options(either=0.5)),
        ({"either": 2}, Options(either=2.0)),
        ({"either": "x"}, Options(either="x")),
        ({"either": ["x"]}, Options(either=("x",))),
        ({"either": None}, Options(either=None)),
        ({"inner": {"k": 4}, "maybe": {}}, Options(inner=Inner(k=4), maybe=Inner())),
        ({"alias": "a", "path": "a/b"}, Options(alias=Alias("a"), path=Path("a/b"))),
        ({"schema": {"type": "object"}}, Options(schema_={"type": "object"})),
    ],
)
def test_values_of_every_type(raw: Json, expected: Options) -> None:
    assert read(raw) == expected
    jsonschema.Draft202012Validator(json_schema(Options)).validate(raw if raw != {"either": None} else {})


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "expected a mapping, found a list of 0"),
        (None, "expected a mapping, found nothing"),
        ({"txt": "a"}, "unknown key 'txt'; did you mean 'text'?"),
        ({"hidden": 1}, "unknown key 'hidden'"),
        ({"name": "x"}, "unknown key 'name'"),
        ({"schema_": {}}, "unknown key 'schema_'; did you mean 'schema'?"),
        ({"text": 1}, "expected text, found the number 1"),
        ({"text": None}, "expected text, found nothing"),
        ({"text": ["a"]}, "expected text, found a list of 1"),
        ({"count": 1.0}, "expected a whole number, found the number 1.0"),
        ({"count": True}, "expected a whole number, found true"),
        ({"ratio": "0.5"}, "expected a number, found the text '0.5'"),
        ({"ratio": 1.5}, "1.5 is too large; at most 1"),
        ({"ratio": -1}, "-1.0 is too small; at least 0"),
        ({"ratio": 10**400}, "expected a number"),
        ({"flag": "yes"}, "expected true or false, found the text 'yes'"),
        ({"mode": "fats"}, "'fats' is not one of fast, slow, 3; did you mean 'fast'?"),
        ({"colour": "rde"}, "'rde' is not one of red, blue; did you mean 'red'?"),
        ({"labels": "a"}, "expected a list, found the text 'a'"),
        ({"pair": [1]}, "expected a list of 2, found a list of 1"),
        ({"table": {"a": "x"}}, "expected a whole number, found the text 'x'"),
        ({"either": {}}, "expected text or a number or a list, found a mapping"),
        ({"maybe": "x"}, "expected a mapping, found the text 'x'"),
    ],
)
def test_each_mistake_has_its_words(raw: Json, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        read(raw)
    assert caught.value.message.startswith(message)
    assert caught.value.where is not None
    assert caught.value.where.path == "s.yaml"


def test_schema_and_conversion_refuse_the_same() -> None:
    schema = jsonschema.Draft202012Validator(json_schema(Options))
    for raw in ({"txt": 1}, {"count": "x"}, {"ratio": 1.5}, {"mode": "x"}, {"labels": "a"}, {"table": {"a": "x"}}, {"pair": [1]}):
        assert not schema.is_valid(raw), raw
        with pytest.raises(DocumentError):
            read(raw)


def test_all_complaints_come_at_once_at_their_keys() -> None:
    with pytest.raises(DocumentError) as caught:
        read({"txt": "a", "count": "x", "inner": {"q": 1}, "labels": ["a", {}], "table": {"a.b": None}})
    keys = [fault.where.key for fault in (caught.value, *caught.value.more) if fault.where]
    assert sorted(keys) == ["count", "inner.q", "labels[1]", 'table["a.b"]', "txt"]


def test_text_is_what_the_user_wrote() -> None:
    written = {"text": "1.10", "labels[0]": "1e3", "either": "010", "mode": "fast", "count": "0x10"}
    assert read({"text": 1.1, "labels": [1000.0], "count": 16}, written) == Options(text="1.10", labels=("1e3",), count=16)
    assert read({"text": True}, {"text": "True"}).text == "True"


def test_a_missing_key_is_told_once() -> None:
    @dataclass(frozen=True)
    class Needs:
        pattern: str

    with pytest.raises(DocumentError, match="missing key 'pattern'"):
        convert({}, Needs, place)
    with pytest.raises(DocumentError) as caught:
        convert({"patern": "x"}, Needs, place)
    assert caught.value.message == "unknown key 'patern'; did you mean 'pattern'?"
    assert caught.value.more == ()


@pytest.mark.parametrize("error", [ValueError("bad regex"), TypeError("bad regex"), UsageError("bad regex", hint="mend it")])
def test_what_a_plugin_says_of_a_value_is_shown_as_the_users_mistake(error: Exception) -> None:
    @dataclass(frozen=True)
    class Fussy:
        pattern: str

        def __post_init__(self) -> None:
            raise error

    with pytest.raises(DocumentError, match="bad regex") as caught:
        convert({"pattern": "("}, Fussy, place)
    assert caught.value.hint == getattr(error, "hint", None)


def test_a_provider_without_options_refuses_all() -> None:
    assert convert({}, NoOptions, place) == NoOptions()
    with pytest.raises(DocumentError, match="unknown key 'nothing'"):
        convert({"nothing": None}, NoOptions, place)


def test_a_thousand_mistakes_do_not_take_a_thousand_guesses() -> None:
    with pytest.raises(DocumentError) as caught:
        read({f"txt{number}": 1 for number in range(5000)})
    assert len(caught.value.more) == 4999


def test_types_without_a_meaning_in_a_file_are_the_plugins_fault() -> None:
    @dataclass(frozen=True)
    class Odd:
        value: complex

    with pytest.raises(TypeError, match="complex"):
        convert({"value": 1}, Odd, place)


def test_docs_reach_the_schema() -> None:
    @dataclass(frozen=True)
    class Documented:
        """What it is for.

        More.
        """

        level: Annotated[int | None, Rule(doc="how high", ge=1)] = None
        names: Annotated[tuple[Annotated[str, Rule(filled=True)], ...], Rule(doc="who", filled=True, unique=True)] = ("a",)
        any: Any = None

    assert json_schema(Documented) == {
        "type": "object",
        "description": "What it is for.",
        "properties": {
            "level": {"description": "how high", "type": "integer", "minimum": 1},
            "names": {
                "description": "who",
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "uniqueItems": True,
            },
            "any": {},
        },
        "additionalProperties": False,
    }
