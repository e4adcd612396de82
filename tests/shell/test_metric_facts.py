"""`word_count`, `latency`, `cost`, `tokens`, `recorded`: facts held against limits; what nobody reported is no evidence."""

from __future__ import annotations

from typing import Any

import pytest
from answers import LONG, answer, value

from promptreg.core.run import Usage
from promptreg.errors import DataError, Unmeasured
from promptreg.metrics.cost import Cost
from promptreg.metrics.latency import Latency
from promptreg.metrics.recorded import Recorded
from promptreg.metrics.tokens import Tokens
from promptreg.metrics.word_count import WordCount


@pytest.mark.parametrize(
    ("options", "text", "right"),
    [
        ({"max": 3}, "one two three", True),
        ({"max": 2}, "one two three", False),
        ({"min": 3}, "one\ntwo\tthree", True),
        ({"min": 1}, "", False),
        ({"max": 0}, " \n", True),
        ({"min": 2, "max": 2}, "zwei Wörter", True),
        ({"max": 10}, "w " * (LONG // 2), False),
    ],
)
def test_word_count(options: dict[str, int], text: str, right: bool) -> None:
    assert value(WordCount(**options), text) == right


@pytest.mark.parametrize(
    ("metric", "facts", "right"),
    [
        (Latency(max_s=1.5), {"latency_s": 1.5}, True),
        (Latency(max_s=1.5), {"latency_s": 1.6}, False),
        (Latency(max_s=0), {"latency_s": 0.0}, True),
        (Cost(max_usd=0.01), {"known_cost": 0.01}, True),
        (Cost(max_usd=0.01), {"known_cost": 0.02}, False),
        (Tokens(max_output=5), {"usage": Usage(output_tokens=5)}, True),
        (Tokens(max_output=5), {"usage": Usage(output_tokens=6)}, False),
        (Tokens(max_input=5), {"usage": Usage(input_tokens=6, output_tokens=1)}, False),
        (Tokens(max_total=7), {"usage": Usage(input_tokens=6, output_tokens=1)}, True),
        (Tokens(max_total=7, max_output=0), {"usage": Usage(input_tokens=6, output_tokens=1)}, False),
        (Recorded(which="accepted"), {"scores": {"accepted": 1.0}}, True),
        (Recorded(which="accepted"), {"scores": {"accepted": 0.0}}, False),
    ],
)
def test_known_facts(metric: Any, facts: dict[str, Any], right: bool) -> None:
    assert value(metric, "text", **facts) == right


@pytest.mark.parametrize(
    ("metric", "facts", "said"),
    [
        (Latency(max_s=1), {}, "latency"),
        (Latency(max_s=1), {"latency_s": float("nan")}, "latency"),
        (Cost(max_usd=1), {}, "cost"),
        (Tokens(max_output=5), {"usage": Usage(input_tokens=1)}, "output tokens"),
        (Tokens(max_total=5), {"usage": Usage(output_tokens=1)}, "input tokens"),
        (Recorded(which="accepted"), {}, "no score 'accepted' .it has none"),
        (Recorded(which="accepted"), {"scores": {"judge": 1.0}}, "it has judge"),
    ],
)
def test_unknown_facts_leave_the_case_unmeasured(metric: Any, facts: dict[str, Any], said: str) -> None:
    with pytest.raises(Unmeasured, match=said) as caught:
        metric.score(answer("text", **facts))
    assert caught.value.where == answer("").case.where


def test_recorded_scores_are_shares_of_the_full_score() -> None:
    assert value(Recorded(which="marks", full=20), "text", scores={"marks": 15}) == 0.75


@pytest.mark.parametrize("score", [1.5, -0.1, float("nan"), float("inf")])
def test_a_recorded_score_out_of_range_names_its_case(score: float) -> None:
    with pytest.raises(DataError, match="case-1"):
        Recorded(which="marks").score(answer("text", scores={"marks": score}))


@pytest.mark.parametrize(
    ("metric", "options"),
    [
        (WordCount, {}),
        (WordCount, {"min": -1}),
        (WordCount, {"min": 3, "max": 2}),
        (Latency, {"max_s": -1}),
        (Latency, {"max_s": float("nan")}),
        (Cost, {"max_usd": float("inf")}),
        (Tokens, {}),
        (Tokens, {"max_input": -1}),
        (Recorded, {"which": ""}),
        (Recorded, {"which": "x", "full": 0}),
    ],
)
def test_senseless_options_are_refused(metric: type, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        metric(**options)
