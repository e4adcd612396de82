from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.diff import Piece, word_diff

words = st.lists(st.sampled_from(["yes", "no", " ", "\n", ",", "Ünï", "0.5", "billing"]), max_size=40).map("".join)


def spelled(expected: str, answer: str, kind: str) -> str:
    return "".join(piece.text for piece in word_diff(expected, answer) if piece.kind in ("same", kind))


@given(words | st.text(max_size=60), words | st.text(max_size=60))
def test_each_side_can_be_read_back(expected: str, answer: str) -> None:
    assert spelled(expected, answer, "gone") == expected
    assert spelled(expected, answer, "new") == answer


@given(words, words)
def test_pieces_are_whole(expected: str, answer: str) -> None:
    pieces = word_diff(expected, answer)
    assert all(piece.text for piece in pieces)
    assert all(left.kind != right.kind for left, right in itertools.pairwise(pieces))


@given(words)
def test_equal_texts_have_no_difference(text: str) -> None:
    assert word_diff(text, text) == ((Piece("same", text),) if text else ())


def test_one_word_differs() -> None:
    assert word_diff("The answer is 7.", "The answer is 8.") == (
        Piece("same", "The answer is "),
        Piece("gone", "7"),
        Piece("new", "8"),
        Piece("same", "."),
    )


def test_texts_with_nothing_in_common_are_shown_whole() -> None:
    assert word_diff("bug report please", "I can not do this") == (
        Piece("gone", "bug report please"),
        Piece("new", "I can not do this"),
    )


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_long_texts_cost_no_quadratic_work(size: int) -> None:
    left, right = "a b " * size, "b c " * size
    pieces = word_diff("start " + left, "start " + right)
    assert [piece.kind for piece in pieces] == ["same", "gone", "new", "same"]
