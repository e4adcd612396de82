"""Last tested: how old the evidence for a prompt is, and how likely it has rotted since; for each suite × model that covers it.

Counted from the oldest answer of the newest record of exactly this behaviour. What was measured with other checks, or of another
model under the same alias, or whose last PASS or FAIL is a FAIL, is stale whatever its age. Reads nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from promptreg.core.canonical import Digest
from promptreg.core.catalogue import ModelSpec
from promptreg.core.lifecycle import DAY_S, Freshness, freshness, is_pinned, risk
from promptreg.core.records import Header
from promptreg.core.verdict import Verdict

MONTH_S = 30.4375 * DAY_S  # a twelfth of a year
LATE_S = DAY_S  # by how much clocks may differ: what is from later than that is not believed
ORDER: tuple[Freshness, ...] = ("fresh", "ageing", "stale")  # better ones first


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The newest record of a cell: its header, and when the oldest of its answers was given. Times in seconds since the epoch.

    `first` and `last` are the times of the first and the last record of this behaviour.
    """

    header: Header
    oldest: float
    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A gate's verdict on this behaviour, and when it was given."""

    verdict: Verdict
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellTest:
    """One suite on one model. `last_tested` in seconds since the epoch, None if never; `reason`: why it is stale, if not by age.

    `risk` is the chance that it has rotted since (METHODS E2: a heuristic); None if it was never tested.
    """

    suite: str
    model: str
    last_tested: float | None
    freshness: Freshness
    risk: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """A prompt is as fresh as the least fresh of the suites and models that cover it."""

    cells: tuple[CellTest, ...]

    @property
    def last_tested(self) -> float | None:
        return min((cell.last_tested for cell in self.cells if cell.last_tested is not None), default=None)

    @property
    def freshness(self) -> Freshness:
        return max((cell.freshness for cell in self.cells), key=ORDER.index, default="stale")

    @property
    def risk(self) -> float | None:
        return max((cell.risk for cell in self.cells if cell.risk is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """What covers a prompt now: a suite, the digest of its checks, and a model (None: the alias is not in the catalogue)."""

    suite: str
    checks: Digest
    alias: str
    spec: ModelSpec | None


def tested(covered: Covered, seen: Seen | None, verdicts: Sequence[Judged], now: float) -> CellTest:
    """How fresh one cell is at *now*. *verdicts* are those on this behaviour by this suite on this model."""
    reason = _stale(covered, seen, verdicts, now)
    if seen is None or reason == _LATER:
        return CellTest(suite=covered.suite, model=covered.alias, last_tested=None, freshness="stale", risk=None, reason=reason)
    pinned = covered.spec is not None and is_pinned(covered.spec)
    return CellTest(
        suite=covered.suite,
        model=covered.alias,
        last_tested=seen.oldest,
        freshness=freshness(None if reason else seen.oldest, now, pinned),
        risk=_risk(seen, verdicts, now),
        reason=reason,
    )


_LATER = "its record is from the future"


def _stale(covered: Covered, seen: Seen | None, verdicts: Iterable[Judged], now: float) -> str:
    """Why a cell is stale whatever its age; empty if it is not."""
    if seen is None:
        return "never tested"
    if seen.oldest > now + LATE_S:
        return _LATER
    if covered.spec is None:
        return "the model is not in promptreg.yaml"
    facts = seen.header.facts
    if (facts.get("provider"), facts.get("model")) != (covered.spec.provider, covered.spec.model):
        return "the alias means another model now"
    if seen.header.checks_digest != covered.checks:
        return "the checks changed since"
    decided = (each for each in verdicts if each.verdict in (Verdict.PASS, Verdict.FAIL))
    newest = max(decided, key=lambda each: each.at, default=None)
    return "its last verdict is FAIL" if newest is not None and newest.verdict is Verdict.FAIL else ""


def _risk(seen: Seen, verdicts: Sequence[Judged], now: float) -> float:
    """By its own history: FAILs of the unchanged behaviour after its first test, in the months over which it was tested again."""
    first = min([seen.first, *(each.at for each in verdicts)])
    last = max([seen.last, *(each.at for each in verdicts)])
    fails = sum(each.verdict is Verdict.FAIL and each.at > first for each in verdicts)
    return risk(fails, (last - first) / MONTH_S, (now - seen.oldest) / MONTH_S)


def by_risk(names: Iterable[str], found: Mapping[str, Tested]) -> tuple[str, ...]:
    """*names*, those first that are most worth asking again: what nobody tested as it is now, then the likeliest to have rotted."""

    def worth(name: str) -> tuple[float, str]:
        known = found.get(name)
        return -(known.risk if known is not None and known.risk is not None else 1.0), name

    return tuple(sorted(dict.fromkeys(names), key=worth))
