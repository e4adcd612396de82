"""`expr`: a condition that the suite's author writes."""

from __future__ import annotations

from typing import Any

import pytest
from answers import LONG, answer, value

from promptreg.core.run import Stop, Usage
from promptreg.errors import TemplateError, Unmeasured
from promptreg.metrics.expr import Expr


@pytest.mark.parametrize(
    ("expression", "text", "more", "right"),
    [
        ("output == expected", "yes", {"expected": "yes"}, True),
        ("output == expected", "no", {"expected": "yes"}, False),
        ("output | length < 10", "x" * LONG, {}, False),
        ("json.total == 3", '{"total": 3}', {}, True),
        ("json.total == 3", '```json\n{"total": 3}\n```', {}, True),
        ("json.total == 3", "three", {}, False),
        ("json.total == 3", "{}", {}, False),
        ("json is defined", "{}", {}, True),
        ("json is defined", "{", {}, False),
        ("json.total == inputs.prices | sum", '{"total": 6}', {"inputs": {"prices": [1, 2, 3]}}, True),
        ("tags.kind == 'easy' and id == 'case-1'", "", {}, True),
        ("stop == 'length'", "", {"stop": Stop.LENGTH}, True),
        ("latency_s < 2", "", {"latency_s": 1.0}, True),
        ("cost_usd < 2", "", {"known_cost": 3.0}, False),
        ("output_tokens / input_tokens < 0.5", "", {"usage": Usage(input_tokens=10, output_tokens=1)}, True),
        ("'日本' in output", "日本", {}, True),
        ("1 / json.n > 0", '{"n": 0}', {}, False),
    ],
)
def test_expr(expression: str, text: str, more: dict[str, Any], right: bool) -> None:
    assert value(Expr(expression=expression), text, **more) == right


@pytest.mark.parametrize("expression", ["latency_s < 2", "cost_usd < 1", "input_tokens < 5", "output_tokens < 5"])
def test_an_unknown_fact_leaves_the_case_unmeasured(expression: str) -> None:
    with pytest.raises(Unmeasured):
        Expr(expression=expression).score(answer(""))


@pytest.mark.parametrize("expression", ["output", "output | length", "json"])
def test_what_is_neither_true_nor_false_does_not_pass(expression: str) -> None:
    assert value(Expr(expression=expression), '{"a": 1}') == 0


@pytest.mark.parametrize(
    "expression", ["output.__class__.__mro__ | length > 0", "range(10 ** 9) | list | length > 0", "output * 10 ** 9 == ''"]
)
def test_it_cannot_break_out_or_run_for_ever(expression: str) -> None:
    try:
        metric = Expr(expression=expression)
    except (TemplateError, ValueError):
        return
    assert value(metric, "text") == 0


@pytest.mark.parametrize(
    ("expression", "complaint"),
    [("outptu == 'x'", "did you mean 'output'"), ("secret == 1", "unknown here"), (" ", "empty"), ("output ==", "."), ("(", ".")],
)
def test_a_faulty_expression_is_refused(expression: str, complaint: str) -> None:
    with pytest.raises((ValueError, TemplateError), match=complaint):
        Expr(expression=expression)
