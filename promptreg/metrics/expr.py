"""Metric `expr`: a condition that the suite's author writes."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from promptreg.core.canonical import Json
from promptreg.core.names import did_you_mean
from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.core.template import Templates
from promptreg.errors import TemplateError, Where
from promptreg.metrics import strict_json
from promptreg.metrics.limits import known
from promptreg.metrics.wording import binary, quoted

FACTS = ("latency_s", "cost_usd", "input_tokens", "output_tokens")
NAMES = ("output", "json", "expected", "inputs", "tags", "id", "stop", *FACTS)
_HERE = Where("expr")


@dataclass(frozen=True, slots=True, kw_only=True)
class Expr:
    """Is a Jinja expression true of the answer? It runs in the templates' sandbox; one that fails on an answer is false of it.

    It sees `output` (the text), `json` (the answer as JSON, a code fence taken away; undefined when it is none), `expected`,
    `inputs`, `tags`, `id`, `stop`, `latency_s`, `cost_usd`, `input_tokens`, `output_tokens`; using one of the last four where
    it is unknown leaves the case unmeasured.
    expression: without braces, like `json.total == inputs.prices | sum`.
    Reference: Jinja's expressions.
    """

    name: ClassVar[str] = "expr"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expression"
    cached: ClassVar[bool] = False

    expression: str
    _templates: Templates = field(init=False, repr=False, compare=False)
    _names: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        templates = Templates({})
        if not self.expression.strip():
            raise ValueError("the expression is empty")
        names = templates.variables(f"{{{{ {self.expression} }}}}", _HERE)
        for stranger in sorted(names.difference(NAMES)):
            remedy = did_you_mean(stranger, NAMES) or f"; known: {', '.join(NAMES)}"
            raise ValueError(f"'{stranger}' is unknown here{remedy}")
        object.__setattr__(self, "_templates", templates)
        object.__setattr__(self, "_names", names)

    def score(self, answer: Answer) -> Score:
        try:
            right = self._templates.truth(self.expression, self._variables(answer), _HERE)
        except TemplateError as fault:
            return Score(value=0.0, reason=f"{quoted(self.expression)}: {fault.message}")
        return binary(right, lambda: f"{quoted(self.expression)} is false of {quoted(answer.text)}")

    def _variables(self, answer: Answer) -> dict[str, Json]:
        """What the expression uses, and nothing else: an answer is read as JSON only when it asks for that."""
        completion = answer.completion
        facts = (completion.latency_s, answer.cost_usd, completion.usage.input_tokens, completion.usage.output_tokens)
        found: dict[str, Json] = {**answer.case.context(), "output": answer.text, "stop": completion.stop.value}
        found |= {name: known(answer, name, value) for name, value in zip(FACTS, facts, strict=True) if name in self._names}
        if "json" in self._names:
            with suppress(ValueError):
                found["json"] = strict_json.parse(answer.text, fenced=True)
        return found
