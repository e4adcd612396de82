"""Answers for the tests of metrics: `answer("yes", expected="no")`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptreg.core.canonical import Json
from promptreg.core.protocols import Answer
from promptreg.core.run import Completion, Score
from promptreg.core.suite import Case
from promptreg.errors import Where

LONG = 1_000_000  # characters: what a model that never stops may send


def case(expected: Json = None, inputs: Mapping[str, Json] | None = None) -> Case:
    return Case(id="case-1", inputs=inputs or {}, expected=expected, tags={"kind": "easy"}, where=Where("suites/data.jsonl", 7))


def answer(text: str, *, expected: Json = None, inputs: Mapping[str, Json] | None = None, **completion: Any) -> Answer:
    cost_usd = completion.pop("known_cost", None)
    output_schema = completion.pop("output_schema", None)
    return Answer(
        completion=Completion(text=text, **completion), case=case(expected, inputs), cost_usd=cost_usd, output_schema=output_schema
    )


def value(metric: Any, text: str, **more: Any) -> float:
    """The value a metric gives an answer of this text; its reason must be one line that a terminal can show."""
    score = metric.score(answer(text, **more))
    assert isinstance(score, Score)
    assert 0 <= score.value <= 1
    assert len(score.reason) < 1000
    assert "\n" not in score.reason
    assert score.value == 1 or score.reason
    return score.value
