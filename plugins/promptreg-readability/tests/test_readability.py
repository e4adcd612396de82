"""The metric by itself; that promptreg finds it through its entry point is tested in promptreg's own tests/story."""

from __future__ import annotations

import pytest
from promptreg_readability import Readability, promptreg_metrics, reading_ease, syllables

from promptreg.core.protocols import Answer
from promptreg.core.run import Completion
from promptreg.core.suite import Case

EASY = "The cat sat on the mat. It was warm. The dog came too."
HARD = "Notwithstanding considerable heterogeneity, organisational accountability necessitates interdisciplinary deliberation."


def score(text: str, **options: float) -> float:
    return Readability(**options).score(Answer(completion=Completion(text=text), case=Case(id="a", inputs={}))).value


@pytest.mark.parametrize(
    ("word", "count"),
    [
        *[("cat", 1), ("make", 1), ("makes", 1), ("baked", 1), ("the", 1), ("through", 1), ("rhythm", 1), ("hmm", 1)],
        *[("table", 2), ("wanted", 2), ("boxes", 2), ("paper", 2), ("Over", 2), ("don't", 1), ("well-known", 2)],
        *[("banana", 3), ("delivery", 4), ("organisation", 5)],
    ],
)
def test_syllables(word: str, count: int) -> None:
    assert syllables(word) == count


def test_reading_ease_is_flesch_s_formula() -> None:
    # 10 words, 2 sentences, 11 syllables
    assert reading_ease("The paper is red. I can see it from here.") == pytest.approx(206.835 - 1.015 * 5 - 84.6 * 1.1)


@pytest.mark.parametrize("text", ["", " \n ", "42.", "...", "— !? 3.14"])
def test_without_words_there_is_no_reading_ease(text: str) -> None:
    assert reading_ease(text) is None
    assert score(text) == 0.0


def test_a_decimal_point_ends_no_sentence() -> None:
    assert reading_ease("It costs 3.50 a day.") == reading_ease("It costs 350 a day.")


def test_headings_and_list_items_parted_by_blank_lines_are_sentences() -> None:
    assert reading_ease("A short note\n\nIt is red") == reading_ease("A short note. It is red.")


def test_easy_text_passes_and_hard_text_does_not() -> None:
    assert score(EASY) == 1.0
    assert score(HARD) == 0.0


def test_full_says_what_is_worth_one() -> None:
    text = "This paragraph describes the payment. The customer receives a letter later."
    ease = reading_ease(text)
    assert ease is not None
    assert 0 < ease < 100
    assert score(text) == pytest.approx(ease / 100)
    assert score(text, full=ease) == 1.0
    assert score(text, full=ease * 2) == pytest.approx(0.5)


@pytest.mark.parametrize("full", [0.0, -1.0, float("nan"), float("inf")])
def test_a_full_that_is_no_yardstick_is_refused(full: float) -> None:
    with pytest.raises(ValueError, match="'full' must be a number above 0"):
        Readability(full=full)


def test_a_long_answer_is_read_in_linear_time() -> None:
    assert score("a" * 1_000_000) == 1.0
    assert score("." * 1_000_000 + "a") == 1.0
    assert score("-'" * 500_000 + "\n" * 200_000) == 0.0


def test_the_hook_offers_the_metric() -> None:
    assert dict(promptreg_metrics()) == {"readability": Readability}
    assert promptreg_metrics.promptreg_impl  # marked, so that pluggy sees it
