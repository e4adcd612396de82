"""Report: all that a reporter may show of a run. Numbers are already judged; a reporter knows no thresholds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptreg.core.canonical import Json
from promptreg.core.prompt import Message
from promptreg.core.run import CheckResult, FailureKind
from promptreg.errors import Where

CellStatus: TypeAlias = Literal["ok", "failed", "unmeasured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSummary:
    """One check over a cell: how many answers passed it and its mean value."""

    label: str
    n: int
    passed: int
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSummary:
    """The answers of a cell whose cases have one value of a tag: `n` of them, `passed`, and a two-sided 95 % interval."""

    by: str
    value: str
    n: int
    passed: int
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedCase:
    """One answer that failed a required check, with all that is needed to see why."""

    case: str
    slot: int
    where: Where | None  # the row
    messages: tuple[Message, ...]
    expected: Json
    answer: str
    checks: tuple[CheckResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingCase:
    """One answer that did not arrive."""

    case: str
    slot: int
    kind: FailureKind
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One prompt on one model over one suite.

    `n` counts graded answers, `errors` missing ones. `pass_rate`, `lower`, `upper`, `score` are fractions, None when n is 0;
    the limits are a two-sided 95 % interval. `failed` and `missing` are the first few of `failed_total` and `errors`.
    """

    suite: str
    prompt: str
    model: str
    status: CellStatus
    n: int
    errors: int
    passed: int
    pass_rate: float | None
    lower: float | None
    upper: float | None
    score: float | None
    floor: float | None
    checks: tuple[CheckSummary, ...]
    cost_usd: float | None  # of all answers used, also those known before; None when unknown
    latency_p50_s: float | None
    latency_p95_s: float | None
    input_tokens: int | None
    output_tokens: int | None
    calls_made: int
    calls_known: int
    refusals: int
    reported_models: tuple[str, ...]
    failed: tuple[FailedCase, ...]
    failed_total: int
    missing: tuple[MissingCase, ...]
    floor_on: Literal["passed", "score"] = "passed"  # what the floor is held against
    reason: str = ""  # why the status is not ok, one line
    slices: tuple[SliceSummary, ...] = ()  # by the tags that `gate.slices` names


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run, whole. `created` is ISO 8601 UTC; `commit` the registry's HEAD, with `dirty` when files differ from it."""

    cells: tuple[Cell, ...]
    exit_code: int
    created: str
    version: str
    registry: str
    commit: str | None
    dirty: bool
    duration_s: float
    calls_made: int
    calls_known: int
    spent_usd: float | None  # paid in this run
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> CellStatus:
        """The whole run in one word."""
        return worst(self.cells)


def worst(cells: Iterable[Cell]) -> CellStatus:
    """`failed` if any cell is, beyond doubt; else `unmeasured` if any is, or if there is none; else `ok`."""
    statuses = {cell.status for cell in cells}
    if "failed" in statuses:
        return "failed"
    return "ok" if statuses == {"ok"} else "unmeasured"
