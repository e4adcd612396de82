"""The shipped prompts and golden data: what a program can see of their honesty. Whether labels are right, readers judge."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from promptreg import datasets
from promptreg.core.suite import Case, pair_key
from promptreg.registry import open_registry

ROOT = Path(__file__).parents[2]
REGISTRY = open_registry(ROOT, read_cases=datasets.read, env={})
SUITES = ("extract/date", "math/word_problem", "sentiment/review", "support/triage")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FEWEST, MOST = 60, 200  # enough to see a drop of some points, few enough for a small model on a laptop


def cases(suite: str) -> list[Case]:
    return list(REGISTRY.cases(REGISTRY.suite(suite)))


def text(case: Case) -> str:
    return " ".join(str(value) for name, value in case.inputs.items() if name != "today")


def plain(words: str) -> str:
    return " ".join(re.findall(r"\w+", words.casefold()))


def test_these_are_all_the_suites() -> None:
    assert tuple(sorted(REGISTRY.suite_names())) == SUITES


@pytest.mark.parametrize("suite", SUITES)
def test_size_ids_and_inputs(suite: str) -> None:
    rows = cases(suite)
    assert FEWEST <= len(rows) <= MOST
    assert len({row.id for row in rows}) == len(rows)
    assert len({pair_key(row.inputs) for row in rows}) == len(rows)
    assert len({plain(text(row)) for row in rows}) == len(rows)
    assert [row.id for row in rows if not re.fullmatch(r"[a-z]+(?:-[a-z]+)*-\d\d", row.id)] == []
    assert len({tuple(sorted(row.tags)) for row in rows}) == 1, "every case has the same tags, so that slices miss none"


@pytest.mark.parametrize("suite", SUITES)
def test_no_example_of_a_prompt_is_a_case(suite: str) -> None:
    golden = [plain(text(row)) for row in cases(suite)]
    prompts = [name for name in REGISTRY.prompt_names() if name.split("/")[0] == suite.split("/")[0]]
    assert prompts
    for name in prompts:
        shown = plain(" ".join(str(message.content) for message in REGISTRY.prompt(name).messages))
        assert [row for row in golden if row in shown] == []


@pytest.mark.parametrize(("suite", "labels"), [("support/triage", 4), ("sentiment/review", 2)])
def test_labels_are_balanced_and_agree_with_their_tag(suite: str, labels: int) -> None:
    rows = cases(suite)
    counts = Counter(str(row.expected) for row in rows)
    assert len(counts) == labels
    assert len(set(counts.values())) == 1
    assert [row.id for row in rows if row.expected not in row.tags.values()] == []


def test_dates_exist_and_agree_with_what_the_sentence_says() -> None:
    for row in cases("extract/date"):
        day, said = date.fromisoformat(str(row.expected)), text(row)
        numbers = {int(number) for number in re.findall(r"\d+", said)}
        assert [name for name in WEEKDAYS if name in said and name != WEEKDAYS[day.weekday()]] == [], row.id
        if row.tags["kind"] == "relative":
            assert abs((day - date.fromisoformat(str(row.inputs["today"]))).days) <= 7, row.id
            continue
        assert day.year in numbers, row.id
        if row.tags["kind"] == "numeric":
            assert {day.day, day.month} <= numbers, row.id
            assert day.day > 12, f"{row.id} can be read in two ways"
        elif row.tags["kind"] == "period":
            assert day.day == 1, row.id
        elif row.tags["kind"] in ("day_first", "month_first", "range"):
            assert day.day in numbers, row.id
            assert f"{day:%b}".casefold() in said.casefold(), row.id


def test_the_answer_of_a_problem_is_a_whole_number_that_its_numbers_can_make() -> None:
    for row in cases("math/word_problem"):
        assert isinstance(row.expected, int), row.id
        assert row.expected > 0, row.id
        numbers = [int(number) for number in re.findall(r"\d+", text(row))]
        if row.tags["steps"] == "1" and len(numbers) == 2:
            one, other = numbers
            assert row.expected in {one + other, abs(one - other), one * other, one / other, other / one}, row.id
