"""`one_of`: which label the answer gives."""

from __future__ import annotations

import pytest
from answers import LONG, answer, value

from promptreg.metrics.one_of import OneOf

YES_NO = ("yes", "no")


@pytest.mark.parametrize(
    ("labels", "text", "found"),
    [
        (YES_NO, "yes", "yes"),
        (YES_NO, "**Yes**.", "yes"),
        (YES_NO, "_YES_", "yes"),
        (YES_NO, "I said no, but yes", "yes"),
        (YES_NO, "yes or no? No!", "no"),
        (YES_NO, "Not now, nobody knows", None),
        (YES_NO, "yes_no_field", None),
        (YES_NO, "no-brainer", None),
        (YES_NO, "", None),
        (("spam", "ham"), "This is non-spam", None),
        (("spam", "ham"), "- spam", "spam"),
        (("sure", "not sure"), "I am not  sure.", "not sure"),
        (("bug", "bug_report"), "queue: bug_report", "bug_report"),
        (("bug", "bug report"), "bug\nreport", "bug report"),
        (("positive", "negative"), "positive/negative", "negative"),
        (("Straße", "Weg"), "STRASSE", "strasse"),
        (("да", "нет"), "Ответ: Да.", "да"),
        (("a+", "a"), "grade: A+", "a+"),
        (("1", "2"), "12", None),
        (("1", "2"), "Answer (2)", "2"),
    ],
)
def test_the_last_lone_label_word_counts(labels: tuple[str, ...], text: str, found: str | None) -> None:
    assert OneOf(labels=labels, expected=labels[0]).label(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("[no]", "no"),
        ("I think no. [YES]", "yes"),
        ("[no] wait, [yes]", "yes"),
        ("[yes], said no one", "yes"),
        ("[ yes ]", "yes"),
        ("no brackets: no", "no"),  # the pattern matches nothing, so lone words are looked for
        ("yes yes [maybe]", "maybe"),  # it gave its answer where it was asked to, and that is no label
        ("nothing", None),
    ],
)
def test_a_pattern_comes_first(text: str, found: str | None) -> None:
    metric = OneOf(labels=YES_NO, expected="yes", pattern=r"\[(.*?)\]")
    assert metric.label(text) == found
    assert value(metric, text) == (found == "yes")


def test_no_match_is_wrong_and_says_so() -> None:
    score = OneOf(labels=YES_NO, expected="Yes").score(answer("perhaps"))
    assert score.value == 0
    assert "found no label in 'perhaps'" in score.reason


@pytest.mark.parametrize("text", ["yes " * (LONG // 4), "y" * LONG, "-_" * (LONG // 2)])
def test_long_answers_are_read_in_linear_time(text: str) -> None:
    metric = OneOf(labels=YES_NO, expected="yes", pattern=r"\[(yes|no)\]")
    assert value(metric, text) == text.startswith("yes")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"labels": (), "expected": "yes"}, "at least one label"),
        ({"labels": ("yes", " "), "expected": "yes"}, "none of them empty"),
        ({"labels": ("yes", "YES"), "expected": "yes"}, "twice"),
        ({"labels": YES_NO, "expected": "maybe"}, "none of the labels"),
        ({"labels": YES_NO, "expected": None}, "no expected answer"),
        ({"labels": YES_NO, "expected": "yes", "pattern": "("}, "not a regular expression"),
    ],
)
def test_senseless_options_are_refused(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        OneOf(**options)
