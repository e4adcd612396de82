"""What an answer says apart from its wrapping; and that no text makes looking for it slow."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.unwrapped import ROUNDS, unwrapped, unwrappings, wrapped

CODE = "class Solution:\n    def f(self):\n        return 1"
MEGA = 1_000_000


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        (f"```python\n{CODE}\n```", CODE),
        (f"```\n{CODE}\n```", CODE),
        (f"~~~py\n{CODE}\n~~~", CODE),
        (f"Here is the function:\n\n```python\n{CODE}\n```\n\nIt returns one.", CODE),
        (f"````md\n```py\n{CODE}\n```\n````", CODE),  # two wrappings
        ('"payment"', "payment"),
        ("'payment'", "payment"),
        ("**payment**", "payment"),
        ("`payment`", "payment"),
        ("“payment”", "payment"),
        ('{"queue": "payment"}', "payment"),
        ('```json\n{"queue": "payment"}\n```', "payment"),
        ("  \n```\npayment\n```  \n", "payment"),
        ("```\n```", ""),
        ("payment", "payment"),
    ],
)
def test_wrappings_come_off(text: str, inner: str) -> None:
    assert unwrapped(text) == inner
    assert wrapped(text) is (text != inner)


@pytest.mark.parametrize(
    "text",
    [
        f"```python\n{CODE}\n```\nand\n```python\n{CODE}\n```",  # a document with two pieces
        f"{'prose ' * 60}\n```python\n{CODE}\n```",  # an essay with an example at its end
        f"```python\n{CODE}\n```\n{'prose ' * 100}",
        f"```python\n{CODE}",  # never closed
        f"Use ```{CODE}``` here",
        '"one" and "two"',
        "“one” and “two”",
        '{"queue": "payment", "sure": "yes"}',
        '{"queue": 3}',
        '{"queue": ["payment"]}',
        "{queue}",
        '""',
        '"',
        "",
        "   ",
        "it's",
    ],
)
def test_what_is_no_wrapping_stays(text: str) -> None:
    assert unwrapped(text) == text
    assert not wrapped(text)


@given(st.text(alphabet="`~\"'*{}:a \n“”", max_size=60))
def test_what_comes_out_stands_in_the_text_and_is_shorter(text: str) -> None:
    before = text
    for each in unwrappings(text):
        assert len(each) < len(before)
        before = each
    assert unwrapped(text) == before


@given(st.text(max_size=80), st.integers(0, ROUNDS - 1))
def test_a_text_in_objects_comes_out_again(text: str, depth: int) -> None:
    known = unwrapped(text)
    if wrapped(text):
        return
    whole = text
    for _ in range(depth):
        whole = json.dumps({"answer": whole})
    assert unwrapped(whole) == (known if depth else text)


@pytest.mark.parametrize(
    "text",
    [
        "```" * (MEGA // 3),
        "```\n" * (MEGA // 4),
        "```\n" + "\n" * MEGA + "x",
        "a" + "\n" * MEGA + "```\nx\n```" + "\n" * MEGA + "y",
        "```\n" + "``\n" * (MEGA // 3) + "```" + " " * MEGA + "x",
        "`" * MEGA,
        "~" * MEGA,
        '"' * MEGA,
        "'" + '"' * MEGA + "'",
        "**" * MEGA,
        '{"a":' * (MEGA // 5) + "1" + "}" * (MEGA // 5),
        '{"a":' + "[" * MEGA + "]" * MEGA + "}",
        '{"a": ' + "1" * MEGA + "}",
        '{"a": "' + "\\u0041" * (MEGA // 6) + '"}',
        "{" + ",".join(f'"{n}":""' for n in range(MEGA // 10)) + "}",
        "{" * MEGA + "}" * MEGA,
        " " * MEGA + "x" + " " * MEGA,
        "\ud800" * MEGA,
    ],
    ids=range(18),
)
def test_a_megabyte_of_anything_takes_as_long_as_reading_it_a_few_times(text: str) -> None:
    assert len(unwrapped(text)) <= len(text)  # a text that took quadratic time would not come back within the session
