"""Rot: the same prompts on other models, and whether that is worse. Values only; `workflow.rot` makes them, reporters draw them.

RotReport ── RotCell     one suite × prompt × model, held against the reference model on the same cases
           │   ├ GateReport    the verdict, as a check gives it
           │   ├ Content       the same answers unwrapped: what changed in substance, and what in wrapping
           │   └ DriftResult   what changed apart from right or wrong
           └ Upgrade     what one move saves, where somebody asked for it
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, TypeAlias

from promptreg.core.drift import DriftResult
from promptreg.core.verdict import Comparison, GateReport, Verdict, worst
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
class Content:
    """The answers of a cell judged apart from their wrapping. `wrapped` are the shares of answers that had one, base's and head's.

    `wrapping` is how much of head's score its wrapping costs, more than base's costs base; `p`, one-sided, of "no more than that".
    """

    comparison: Comparison
    wrapped: tuple[float, float]
    wrapping: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RotCell:
    """One prompt on another model. Ratios are head's over base's, costs US dollars for one answer; None where not known."""

    suite: str
    prompt: str
    model: str
    reference: str
    gate: GateReport
    content: Content | None = None
    drift: tuple[DriftResult, ...] = ()
    latency_ratio: float | None = None
    tokens_ratio: float | None = None
    cost_usd: float | None = None
    reference_cost_usd: float | None = None
    retires: str | None = None

    @property
    def action(self) -> Action:
        return ACTIONS[self.gate.verdict]

    @property
    def comparison(self) -> Comparison | None:
        return self.gate.comparisons[0] if self.gate.comparisons else None

    @property
    def cost_ratio(self) -> float | None:
        known = self.cost_usd is not None and bool(self.reference_cost_usd)
        return (self.cost_usd or 0.0) / (self.reference_cost_usd or 1.0) if known else None

    @property
    def format_only(self) -> bool:
        """Whether a drop is shown as answers are given, none as they are unwrapped, and the wrapping is shown to make the
        difference: of two tests the one says yes and the other no also by chance."""
        given, content = self.comparison, self.content
        if given is None or content is None or given.verdict is not Verdict.FAIL:
            return False
        return content.comparison.verdict is not Verdict.FAIL and content.p <= given.alpha

    @property
    def hidden(self) -> bool:
        """Whether the average rose while many cases broke: an upgrade that somebody will complain about."""
        found = self.comparison
        return found is not None and found.drop is not None and found.drop < 0 and found.broken >= max(1, MANY * found.n)

    @property
    def alarms(self) -> tuple[DriftResult, ...]:
        return tuple(each for each in self.drift if each.alarm)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """One move, from `old` to `new`. With `requests` a month, spread evenly over `prompts` prompts of which `priced` have known
    prices: US dollars a month that moving all of these saves (negative: costs), and that moving those saves which are safe now."""

    old: str
    new: str
    requests: int | None = None
    prompts: int = 0
    priced: int = 0
    saves_usd: float | None = None
    safe: int = 0
    safe_saves_usd: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotReport:
    """The matrix, whole. `created` is ISO 8601 UTC, `cost_usd` what was spent now (None: not known)."""

    cells: tuple[RotCell, ...]
    models: tuple[str, ...]
    created: str
    version: str
    registry: str
    commit: str | None
    dirty: bool
    notes: tuple[str, ...] = ()
    duration_s: float = 0.0
    calls_made: int = 0
    calls_known: int = 0
    cost_usd: float | None = None
    exit_code: ExitCode = ExitCode.OK
    upgrade: Upgrade | None = None

    @property
    def verdict(self) -> Verdict:
        return worst(cell.gate.verdict for cell in self.cells)

    @property
    def headline(self) -> str:
        """`2 safe, 1 needs work, 3 undecided (up to 240 more cases)`."""
        counts = {action: sum(cell.action == action for cell in self.cells) for action in ACTIONS.values()}
        parts = [f"{count:,} {action}" for action, count in counts.items() if count]
        needed = max((cell.gate.needed or 0 for cell in self.cells if cell.action == "undecided"), default=0)
        more = f" (up to {needed:,} more cases)" if needed else ""
        return ", ".join(parts) + more if parts else "nothing measured"


def upgrade(cells: Sequence[RotCell], old: str, new: str, requests: int | None = None) -> Upgrade:
    """What moving the prompts of *cells* from *old* to *new* saves at *requests* a month."""
    prompts: dict[str, list[RotCell]] = {}
    for cell in cells:
        prompts.setdefault(cell.prompt, []).append(cell)
    each = {prompt: _saved(of) for prompt, of in prompts.items()}
    safe = [prompt for prompt, of in prompts.items() if all(cell.action == "safe" for cell in of)]
    known = {prompt: saved for prompt, saved in each.items() if saved is not None}
    share = None if requests is None or not prompts else requests / len(prompts)
    priced = [known[prompt] for prompt in safe if prompt in known]
    return Upgrade(
        old=old,
        new=new,
        requests=requests,
        prompts=len(prompts),
        priced=len(known),
        saves_usd=None if share is None or not known else share * sum(known.values()),
        safe=len(safe),
        safe_saves_usd=None if share is None or not priced else share * sum(priced),
    )


def _saved(cells: Iterable[RotCell]) -> float | None:
    """US dollars saved by one answer of a prompt, over the suites that measured it; None if nobody knows."""
    known = [
        cell.reference_cost_usd - cell.cost_usd
        for cell in cells
        if cell.cost_usd is not None and cell.reference_cost_usd is not None
    ]
    return fmean(known) if known else None
