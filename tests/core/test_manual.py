"""Manual: the table of checks comes from the metrics themselves."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, ClassVar

import pytest

from promptreg import metrics as room
from promptreg.core.manual import describe, entry
from promptreg.core.protocols import Answer
from promptreg.core.run import Score


def shipped() -> dict[str, Any]:
    """Every metric class in promptreg/metrics, by name."""
    found = {}
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        for item in vars(importlib.import_module(module.name)).values():
            if isinstance(item, type) and hasattr(item, "cached") and item.__module__ == module.name:
                found[item.name] = item
    return found


METRICS = shipped()


def test_all_metrics_of_the_issue_are_shipped() -> None:
    text = "exact contains contains_all contains_any starts_with regex one_of number json levenshtein squad_em token_f1"
    text += " bleu chrf rouge word_count refusal recorded latency cost tokens expr"
    assert set(METRICS) == set(text.split())


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_explains_itself(name: str) -> None:
    metric = METRICS[name]
    said = entry(metric)
    options = {item.name for item in fields(metric) if item.init}
    assert said.answers.endswith((".", "?"))
    assert set(said.options) == options, "every option is documented, and nothing else"
    assert metric.short in {*options, ""}
    assert 0 < metric.threshold <= 1
    assert metric.version


def test_the_table_has_one_row_for_each_check_and_no_broken_cell() -> None:
    lines = describe(METRICS).splitlines()
    assert len(lines) == 2 + len(METRICS)
    assert {line.replace("\\|", "").count(" | ") for line in lines} == {4}
    assert [line.split("`")[1] for line in lines[2:]] == sorted(METRICS)


class Colour(Enum):
    UNSET = "any"


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Is it so?

    A note on
    two lines.
    wanted: what is wanted; one | two,
        as you like.
    colour: which one.
    strict: no mercy.
    limit: how many.
    Reference: Nobody 1999.
    """

    name: ClassVar[str] = "sample"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 0.5
    short: ClassVar[str] = "wanted"
    cached: ClassVar[bool] = False

    wanted: str
    colour: Any = Colour.UNSET
    strict: bool = False
    limit: int | None = None

    def score(self, answer: Answer) -> Score:
        return Score(value=1.0)


def test_a_row_says_all_that_the_docstring_says() -> None:
    assert describe({"sample": Sample}).splitlines()[2] == (
        "| `sample` | Is it so? A note on two lines. | `wanted` (short form, needed): what is wanted; one \\| two, as you like."
        "<br>`colour` (default: any): which one.<br>`strict` (default `false`): no mercy.<br>`limit`: how many."
        " | 0.5 | Nobody 1999. |"
    )


def test_a_line_among_the_options_that_is_none_is_refused() -> None:
    class Wrong(Sample):
        """Is it so?

        wanted: what is wanted.
        colr: misspelt.
        """

    with pytest.raises(ValueError, match="colr"):
        entry(Wrong)
