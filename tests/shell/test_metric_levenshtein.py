"""`levenshtein`: how alike two texts are; rapidfuzz is the oracle of our own recurrence."""

from __future__ import annotations

import sys

import pytest
from answers import LONG, value
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein as Oracle

from promptreg.metrics.levenshtein import Levenshtein, distance, slow_distance


@pytest.mark.parametrize(
    ("expected", "text", "options", "alike"),
    [
        ("kitten", "sitting", {}, 1 - 3 / 7),
        ("same", "same", {}, 1.0),
        ("same", " same\n", {}, 1.0),
        ("same", "", {}, 0.0),
        ("", "", {}, 1.0),
        ("", "four", {}, 0.0),
        ("Same", "sAME", {}, 0.0),
        ("Same", "sAME", {"ignore_case": True}, 1.0),
        ("a b", "a   b", {"squash_space": True}, 1.0),
        ("日本語", "日本", {}, 2 / 3),
        (1234, "1235", {}, 0.75),
        ("x" * 100, "x" * LONG, {}, 100 / LONG),
    ],
)
def test_levenshtein(expected: object, text: str, options: dict[str, bool], alike: float) -> None:
    assert value(Levenshtein(expected=expected, **options), text) == pytest.approx(alike)


TEXT = st.text("abé日", max_size=80)


@given(TEXT, TEXT)
def test_our_own_recurrence_agrees_with_rapidfuzz(left: str, right: str) -> None:
    assert slow_distance(left, right) == Oracle.distance(left, right) == distance(left, right)


@given(st.text(max_size=200), st.text(max_size=200))
def test_so_does_the_similarity(left: str, right: str) -> None:
    assert value(Levenshtein(expected=left), right) == pytest.approx(Oracle.normalized_similarity(left.strip(), right.strip()))


def test_it_works_without_rapidfuzz(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidfuzz.distance", None)  # what an environment without the package looks like
    assert distance("kitten", "sitting") == 3
    assert slow_distance("expected", "x" * 200_000) == 200_000 - 1


def test_a_missing_expected_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="no expected answer"):
        Levenshtein(expected=None)
