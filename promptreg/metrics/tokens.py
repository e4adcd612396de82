"""Metric `tokens`: the answer took few enough tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.metrics.limits import check_limit, known, within


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Did the answer keep to its limits of tokens, as the provider counted them? An unknown count leaves the case unmeasured.

    max_output: most tokens of the answer.
    max_input: most tokens of the messages.
    max_total: most tokens of both together.
    """

    name: ClassVar[str] = "tokens"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "max_total"
    cached: ClassVar[bool] = False

    max_output: int | None = None
    max_input: int | None = None
    max_total: int | None = None

    def __post_init__(self) -> None:
        limits = {"max_output": self.max_output, "max_input": self.max_input, "max_total": self.max_total}
        for option, limit in limits.items():
            check_limit(option, limit)
        if all(limit is None for limit in limits.values()):
            raise ValueError("one of 'max_output', 'max_input', 'max_total' is needed: without them every answer passes")

    def score(self, answer: Answer) -> Score:
        used = answer.completion.usage
        findings = []
        if self.max_output is not None:
            findings.append(within(answer, "output tokens", used.output_tokens, self.max_output))
        if self.max_input is not None:
            findings.append(within(answer, "input tokens", used.input_tokens, self.max_input))
        if self.max_total is not None:
            total = known(answer, "input tokens", used.input_tokens) + known(answer, "output tokens", used.output_tokens)
            findings.append(within(answer, "tokens", total, self.max_total))
        return min(findings, key=lambda finding: finding.value)
