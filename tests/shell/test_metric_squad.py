"""`squad_em`, `token_f1`: answers to questions, as SQuAD v1.1 scores them; values computed by hand from its definition."""

from __future__ import annotations

import pytest
from answers import LONG, value

from promptreg.metrics.squad import SquadEm, TokenF1, normalised


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Cat, sat!", "cat sat"),
        ("An apple a day", "apple day"),
        ("U.S.A.", "usa"),
        ("well-known", "wellknown"),
        ("theatre", "theatre"),
        ("the", ""),
        ("a's", "as"),  # punctuation goes before articles
        ("“the” end", "“ ” end"),  # typographic quotes are not ASCII punctuation, and part words from articles
        ("ÉCOLE", "école"),
        ("", ""),
        ("日本。", "日本。"),
    ],
)
def test_the_plain_form(text: str, plain: str) -> None:
    assert normalised(text) == plain


@pytest.mark.parametrize(
    ("expected", "text", "em", "f1"),
    [
        ("Paris", "paris.", 1, 1),
        ("the Eiffel Tower", "Eiffel tower", 1, 1),
        ("Eiffel Tower", "the big Eiffel Tower", 0, 2 * (2 / 3) * 1 / (2 / 3 + 1)),
        (["Paris", "Paris, France"], "Paris France", 1, 1),
        (["London", "Paris"], "It is Paris", 0, 0.5),
        ("b b c", "b c c", 0, 2 / 3),
        ("Paris", "", 0, 0),
        ("the", "a", 1, 0),  # both empty once plain: v1.1's exact match says yes, its F1 no
        ("42", "42", 1, 1),
        (42, "42", 1, 1),
        ("x", "y " * (LONG // 2), 0, 0),
    ],
)
def test_squad(expected: object, text: str, em: float, f1: float) -> None:
    assert value(SquadEm(expected=expected), text) == em
    assert value(TokenF1(expected=expected), text) == pytest.approx(f1)


@pytest.mark.parametrize("metric", [SquadEm, TokenF1])
@pytest.mark.parametrize("expected", [None, [], {"a": 1}, ["x", None]])
def test_no_accepted_answer_is_refused(metric: type, expected: object) -> None:
    with pytest.raises(ValueError, match="'expected"):
        metric(expected=expected)
