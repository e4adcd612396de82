"""What a command prints of text that others wrote."""

from __future__ import annotations

import pytest

from promptreg.cli.console import columns, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tab\tand\nline", "tab\tand\nline"),
        ("\x1b[2J", "\\x1b[2J"),
        ("safe\u202etxt.exe", "safe\\u202etxt.exe"),
        ("\ud800", "\\ud800"),
        ("👩\u200d💻 1\u00a0000", "👩\u200d💻 1\u00a0000"),
    ],
)
def test_only_what_hides_or_steers_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_cell_of_a_table_stays_on_its_line() -> None:
    assert columns(("name",), [("two\nlines",)]) == "name\ntwo lines"
