"""`contains`, `contains_all`, `contains_any`, `starts_with`: texts within the answer."""

from __future__ import annotations

import pytest
from answers import LONG, answer, value

from promptreg.metrics.contains import Contains
from promptreg.metrics.contains_all import ContainsAll
from promptreg.metrics.contains_any import ContainsAny
from promptreg.metrics.starts_with import StartsWith


@pytest.mark.parametrize(
    ("expected", "text", "options", "right"),
    [
        ("cat", "the cat sat", {}, True),
        ("cat", "concatenate", {}, True),
        ("cat", "the CAT sat", {}, False),
        ("cat", "the CAT sat", {"ignore_case": True}, True),
        ("a b", "a\n b", {}, False),
        ("a b", "a\n b", {"squash_space": True}, True),
        ("猫", "黒い猫です", {}, True),
        ("cat", "", {}, False),
        (7, "it is 7.", {}, True),
        ("y", "x" * LONG + "y", {"ignore_case": True, "squash_space": True}, True),
    ],
)
def test_contains(expected: object, text: str, options: dict[str, bool], right: bool) -> None:
    assert value(Contains(expected=expected, **options), text) == right


@pytest.mark.parametrize(
    ("expected", "text", "share"),
    [
        (["red", "blue"], "blue and red", 1.0),
        (["red", "blue", "green", "grey"], "blue", 0.25),
        (["red", "blue"], "", 0.0),
        ("red", "red", 1.0),
        ([1, 2], "1 then 2", 1.0),
    ],
)
def test_contains_all_gives_the_share_that_is_there(expected: object, text: str, share: float) -> None:
    assert value(ContainsAll(expected=expected), text) == share


def test_contains_all_names_what_is_missing() -> None:
    assert ContainsAll(expected=["red", "blue"]).score(answer("red")).reason == "missing: 'blue'"


@pytest.mark.parametrize(
    ("expected", "text", "options", "right"),
    [
        (["red", "blue"], "a blue one", {}, True),
        (["red", "blue"], "a BLUE one", {}, False),
        (["red", "blue"], "a BLUE one", {"ignore_case": True}, True),
        (["red", "blue"], "", {}, False),
        ("red", "red", {}, True),
        (["z"], "x" * LONG, {}, False),
    ],
)
def test_contains_any(expected: object, text: str, options: dict[str, bool], right: bool) -> None:
    assert value(ContainsAny(expected=expected, **options), text) == right


@pytest.mark.parametrize(
    ("expected", "text", "options", "right"),
    [
        ("Dear", "Dear customer", {}, True),
        ("Dear", "\n  Dear customer", {}, True),
        ("Dear", "My dear", {}, False),
        ("dear", "Dear customer", {"ignore_case": True}, True),
        ("Dear all", "Dear\nall", {"squash_space": True}, True),
        ("Dear", "", {}, False),
        ("x", "x" * LONG, {}, True),
    ],
)
def test_starts_with(expected: object, text: str, options: dict[str, bool], right: bool) -> None:
    assert value(StartsWith(expected=expected, **options), text) == right


@pytest.mark.parametrize("metric", [Contains, ContainsAll, ContainsAny, StartsWith])
@pytest.mark.parametrize("expected", ["", None])
def test_what_every_answer_holds_is_refused(metric: type, expected: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        metric(expected=expected)


@pytest.mark.parametrize("metric", [ContainsAll, ContainsAny])
@pytest.mark.parametrize("expected", [[], ["a", ""], ["a", None], ["a", ["b"]]])
def test_a_list_that_cannot_be_meant_is_refused(metric: type, expected: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        metric(expected=expected)


def test_white_space_that_is_squashed_away_is_refused() -> None:
    Contains(expected=" ")
    with pytest.raises(ValueError, match="empty"):
        Contains(expected=" ", squash_space=True)
