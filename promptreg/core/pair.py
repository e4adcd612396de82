"""Pair: one case answered on both sides, in what a gate may look at. Knows no answers' texts beyond what a reader needs.

    Unit ── Pair ── Graded, one for each repeat of each side

The unit of every test is the cluster: the cases that share `cluster:`, or one case where nobody says (SEMANTICS, passing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptreg.core.run import FailureKind
from promptreg.errors import Where

On: TypeAlias = Literal["passed", "score"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Graded:
    """One answer after grading. `passed` and `score` are None when it is missing, and `failure` then says why.

    `well_formed` is None where nothing about its form is demanded; `length` counts characters.
    """

    passed: bool | None
    score: float | None
    failure: FailureKind | None = None
    cost_usd: float | None = None
    tokens: int | None = None
    latency_s: float | None = None  # None also where it was not measured in this very check
    refused: bool = False
    well_formed: bool | None = None
    length: int | None = None
    reported_model: str | None = None
    tools: str = ""  # which tools it called with which arguments, as one text
    answer: str = ""
    reason: str = ""
    read: str | None = None  # what checks read off it (a label, a number), where any reads one: "" when there was none

    def value(self, on: On) -> float | None:
        """1 or 0 for `passed`, the score for `score`, None for what is missing."""
        if on == "score":
            return self.score
        return None if self.passed is None else float(self.passed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One case on both sides. `same` says that both would be asked and judged alike: its difference is 0 exactly, and nobody is
    asked, so that a side may then be empty (or hold what was known anyway, which floors look at)."""

    case: str
    base: tuple[Graded, ...]
    head: tuple[Graded, ...]
    same: bool = False
    where: Where | None = None
    expected: str = ""
    strata: tuple[str, ...] = ()  # its value for each of the policy's `slices.by`


@dataclass(frozen=True, slots=True)
class Unit:
    """One cluster, whole, as it is consumed."""

    key: str
    pairs: Sequence[Pair]
