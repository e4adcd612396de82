"""`number`: the number that the answer gives."""

from __future__ import annotations

import pytest
from answers import LONG, answer, value
from hypothesis import given
from hypothesis import strategies as st

from promptreg.metrics.number import Number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("42", 42),
        ("The answer is 42.", 42),
        ("3 and 4 make 7", 7),
        ("-3", -3),
        ("−3", -3),
        ("+3", 3),
        ("x = -3.5e2", -350),
        ("2e-3", 0.002),
        (".5", 0.5),
        ("-.5", -0.5),
        ("1,234,567.89", 1234567.89),
        ("1'234", 1234),
        ("1_234", 1234),
        ("1\u202f234", 1234),
        ("$1,234.50", 1234.5),
        ("-$5", -5),
        ("$-5", -5),
        ("45%", 45),
        ("45 %", 45),
        ("pages 10-20", 20),
        ("- 5 apples", 5),
        ("**5**", 5),
        ("_5_", 5),
        ("5kg", 5),
        ("7 in H2O", 7),
        ("2 from v1.2.3", 2),
        ("12,34", 34),
        ("1,2345", 2345),
        ("\\boxed{18}", 18),
        ("٤٢", 42),
        ("9007199254740993", 9007199254740993),
        ("0.1", 0.1),
        ("2024-05-17", 17),
        ("no number", None),
        ("", None),
        ("²", None),
        ("infinity, nan", None),
        ("1e99999999999999999999", None),
    ],
)
def test_the_last_number_is_read(text: str, number: float | None) -> None:
    wanted = 10**9 if number is None else number
    score = Number(expected=wanted).score(answer(text))
    assert score.value == (number is not None), score.reason
    assert ("found no number" in score.reason) == (number is None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1.234,5", 1234.5), ("3,5", 3.5), ("1.234", 1234), (",5", 0.5), ("3,5 %", "3,5")],
)
def test_a_decimal_comma(text: str, expected: object) -> None:
    assert value(Number(expected=expected, decimal=","), text) == 1


@pytest.mark.parametrize(
    ("expected", "options", "text", "right"),
    [
        (100, {}, "100.0001", False),
        (100, {"tolerance": 0.001}, "100.0001", True),
        (100, {"tolerance": 0.001}, "100.1", False),
        (0.3, {"tolerance": 0.1}, "0.4", True),  # exact in decimals, where floats say 0.10000000000000003
        (100, {"relative": 0.1}, "110", True),
        (100, {"relative": 0.1}, "111", False),
        (-100, {"relative": 0.1}, "-90", True),
        (0, {"relative": 0.1}, "0.001", False),
        (0, {"relative": 0.1, "tolerance": 0.01}, "0.001", True),
        ("1,000", {}, "1000", True),
        ("$5", {}, "5 dollars", True),
        (0.45, {"percent": True}, "45%", True),
        ("45%", {"percent": True}, "0.45", True),
        (45, {"percent": True}, "45%", False),
        (45, {"percent": True}, "45", True),
        (1e22, {}, "1e22", True),
        (5, {"tolerance": 1}, "1e9999999", False),
    ],
)
def test_tolerances_and_per_cent(expected: object, options: dict[str, object], text: str, right: bool) -> None:
    assert value(Number(expected=expected, **options), text) == right


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("boxed{4} and then 9", True),
        ("boxed{3}, no: boxed{4}", True),
        ("boxed{about 4}", True),
        ("4", False),
        ("boxed{}", False),
        ("", False),
    ],
)
def test_a_pattern_says_where_to_look(text: str, right: bool) -> None:
    assert value(Number(expected=4, pattern=r"boxed\{([^}]*)\}"), text) == right


@given(st.integers(), st.sampled_from(["{}", "{:,}", "= {}.", "({:_})"]))
def test_what_python_writes_is_read(number: int, shape: str) -> None:
    assert value(Number(expected=number), f"First 1, then {shape.format(number)}") == 1


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_floats_survive(number: float) -> None:
    assert value(Number(expected=number), f"it is {number!r}") == 1


@pytest.mark.parametrize(
    "text", ["1" * LONG, "1,234," * (LONG // 6), "1." * (LONG // 2), "-" * LONG, "1,234" + ",234" * (LONG // 4) + "5"]
)
def test_long_answers_are_read_in_linear_time(text: str) -> None:
    assert value(Number(expected=-1, tolerance=0.5), text) == 0


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"expected": "many"}, "not a number"),
        ({"expected": "3 or 4"}, "not a number"),
        ({"expected": None}, "no expected answer"),
        ({"expected": True}, "not a number"),
        ({"expected": float("nan")}, "not a number"),
        ({"expected": [1]}, "is a list"),
        ({"expected": 1, "tolerance": -1.0}, "'tolerance'"),
        ({"expected": 1, "relative": float("inf")}, "'relative'"),
        ({"expected": 1, "pattern": "["}, "not a regular expression"),
        ({"expected": 1, "decimal": ";"}, "'decimal'"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Number(**options)
