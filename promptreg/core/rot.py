"""Rot: the same prompts on other models, and whether that is worse. Values only; `workflow.rot` makes them, reporters draw them.

RotReport ── RotCell     one suite × prompt × model, held against the reference model on the same cases
               ├ GateReport    the verdict, as a check gives it
               ├ content       the same answers unwrapped: what changed in substance, and what in wrapping
               └ DriftResult   what changed apart from right or wrong
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptreg.core.drift import DriftResult
from promptreg.core.verdict import SEVERITY, Comparison, Finding, GateReport, Verdict
from promptreg.errors import ExitCode

Action: TypeAlias = Literal["safe", "needs work", "undecided", "not measured"]
ACTIONS: dict[Verdict, Action] = {
    Verdict.PASS: "safe",
    Verdict.FAIL: "needs work",
    Verdict.UNDECIDED: "undecided",
    Verdict.UNMEASURED: "not measured",
}
MANY = 0.02  # share of the cases that broke, from which an average that rose hides something


@dataclass(frozen=True, slots=True, kw_only=True)
class RotCell:
    """One prompt on another model. Ratios are head's mean over base's; None where they are not known."""

    suite: str
    prompt: str
    model: str
    reference: str
    gate: GateReport
    content: Comparison | None = None
    drift: tuple[DriftResult, ...] = ()
    cost_ratio: float | None = None
    latency_ratio: float | None = None
    tokens_ratio: float | None = None
    cost_usd: float | None = None  # of one answer, in the mean
    reference_cost_usd: float | None = None
    retires: str | None = None

    @property
    def action(self) -> Action:
        return ACTIONS[self.gate.verdict]

    @property
    def comparison(self) -> Comparison | None:
        return self.gate.comparisons[0] if self.gate.comparisons else None

    @property
    def format_only(self) -> bool:
        """Whether answers failed by their wrapping: as given a drop is shown, unwrapped none is."""
        return self.gate.verdict is Verdict.FAIL and self.content is not None and self.content.verdict is not Verdict.FAIL

    @property
    def hidden(self) -> bool:
        """Whether the average rose while many cases broke: an upgrade that somebody will complain about."""
        found = self.comparison
        return found is not None and found.drop is not None and found.drop < 0 and found.broken >= max(1, MANY * found.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotReport:
    """The matrix, whole. `reference` is the model that the others are held against; empty: each suite's first."""

    cells: tuple[RotCell, ...]
    reference: str
    models: tuple[str, ...]
    created: str
    version: str
    registry: str
    commit: str | None
    dirty: bool
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    duration_s: float = 0.0
    calls_made: int = 0
    calls_known: int = 0
    cost_usd: float | None = None
    exit_code: ExitCode = ExitCode.OK

    @property
    def verdict(self) -> Verdict:
        return max((cell.gate.verdict for cell in self.cells), key=SEVERITY.__getitem__, default=Verdict.PASS)

    @property
    def headline(self) -> str:
        """`2 safe, 1 needs work, 3 undecided (up to 240 more cases)`."""
        counts = {action: sum(cell.action == action for cell in self.cells) for action in ACTIONS.values()}
        parts = [f"{count} {action}" for action, count in counts.items() if count]
        needed = max((cell.gate.needed or 0 for cell in self.cells if cell.action == "undecided"), default=0)
        more = f" (up to {needed:,} more cases)" if needed else ""
        return ", ".join(parts) + more if parts else "nothing measured"


def monthly(cells: Iterable[RotCell], requests: int) -> float | None:
    """US dollars a month that moving all of *cells* saves (negative: costs), at *requests* a month; None if unknown."""
    known = [cell for cell in cells if cell.cost_usd is not None and cell.reference_cost_usd is not None]
    if not known:
        return None
    saved = sum((cell.reference_cost_usd or 0.0) - (cell.cost_usd or 0.0) for cell in known) / len(known)
    return saved * requests
