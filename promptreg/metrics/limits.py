"""Facts of a completion held against a limit. Knows no single metric.

A fact that nobody reported is no evidence for either side: the case is unmeasured, so that neither `latency` nor
`not_latency` passes on it.
"""

from __future__ import annotations

import math

from promptreg.core.protocols import Answer
from promptreg.core.run import Score
from promptreg.errors import Unmeasured
from promptreg.metrics.wording import binary


def check_limit(option: str, limit: float | None) -> None:
    """Raises ValueError for a limit that is negative or no number."""
    if limit is not None and not (math.isfinite(limit) and limit >= 0):
        raise ValueError(f"'{option}' must be a number from 0")


def within(answer: Answer, what: str, value: float | None, limit: float) -> Score:
    """1 when *value* is known and at most *limit*. Raises Unmeasured when it is not known."""
    return binary(known(answer, what, value) <= limit, lambda: f"{what} {value:.6g}, at most {limit:.6g} wanted")


def known(answer: Answer, what: str, value: float | None) -> float:
    """The value of a fact. Raises Unmeasured when nobody reported it."""
    if value is None or math.isnan(value):
        raise Unmeasured(f"{what} is not known for this answer", reason="missing_answers", where=answer.case.where)
    return value
