from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import Json
from promptreg.core.excerpt import cut, expected_text, one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\u202eb", "a\\u202eb"),
        ("ye\u200bs", "ye\\u200bs"),
        ("ye\u200ds", "ye\\u200ds"),
        ("\U000e0041", "\\U000e0041"),
        ("half \ud800", "half \\ud800"),
        ("bell\x07 back\x08", "bell\\x07 back\\x08"),
        ("lines\r\nstay\n\tso", "lines\nstay\n\tso"),
        ("over\rwritten", "over\\x0dwritten"),
        ("👩\u200d💻 می\u200cخواهم", "👩\u200d💻 می\u200cخواهم"),
        ("naïve — ½ 日本", "naïve — ½ 日本"),
    ],
)
def test_hidden_characters_become_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(st.text(alphabet=st.characters(blacklist_categories=[])))
def test_nothing_that_steers_a_terminal_or_breaks_an_encoding_remains(text: str) -> None:
    shown = visible(text)
    shown.encode()
    assert not [mark for mark in shown if unicodedata.category(mark) == "Cc" and mark not in "\n\t"]
    assert not [
        mark for mark in shown if unicodedata.bidirectional(mark) in {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    ]
    assert visible(shown) == shown


def test_a_cut_states_what_is_left_out() -> None:
    assert cut("x" * 5_000, 10) == "xxxxxxxxxx … [4,990 more characters]"
    assert cut("short", 5) == "short"


def test_one_line_is_one_line() -> None:
    assert one_line(" a\n\n::error::b\t c ") == "a ::error::b c"


@pytest.mark.parametrize(
    ("expected", "answer", "text"),
    [
        ("billing", "", "billing"),
        (None, "", ""),
        (7, "", "7"),
        (True, "", "true"),
        ({"queue": "billing"}, "bug", "billing"),
        ({"queue": "billing"}, '{"queue": "bug"}', '{"queue": "billing"}'),
        ({"a": 1, "b": [2]}, "x", '{"a": 1, "b": [2]}'),
        (["a", "ü"], "x", '["a", "ü"]'),
        ({"queue": None}, "x", '{"queue": null}'),
    ],
)
def test_expected_values_as_text(expected: Json, answer: str, text: str) -> None:
    assert expected_text(expected, answer) == text
