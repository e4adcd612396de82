"""Contest: the fold of one comparison. Units go in, in the order fixed before the run; a Verdict and a Comparison come out.

    E_fail      a process that grows when the candidate is worse    FAIL at 1 / (a_fail / family)
    E_pass      one that grows when it is not worse by the margin   PASS at 1 / a_pass, looked at first
    fixed       the tests of `ledger` over the whole order          fixed mode, and the other half of hybrid's alpha

Knows no provider, no Git, no family's correction (that is `families`) and nothing of floors, guards and slices. It never holds the
answers: a number or two a unit, and the first few cases that changed sides.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from promptreg.core.ledger import Clusters, Counts
from promptreg.core.pair import Graded, On, Pair, Unit
from promptreg.core.run import FailureKind
from promptreg.core.stats.betting import Betting, Golden
from promptreg.core.stats.power import cases_needed
from promptreg.core.suite import Policy
from promptreg.core.swings import Swings
from promptreg.core.verdict import Comparison, LimitKind, Mode, Origin, ReferenceKind, Verdict
from promptreg.errors import Reason

PRIOR_EDIT = 0.10  # discordance of a prompt edit, where no stored repeats tell (METHODS A3)
PRIOR_MODEL = 0.30  # of another model
LEAST_GAP = 0.005  # between the drop seen and what is to be shown of it: half a point, so that a margin of 0 needs a finite number
LEAST_PRIOR = 0.05  # repeats that all agree tell how steady the model is, not how much an edit moves; a lower guess saves nothing
ANYTIME = 1.6  # cases a sequential gate must have for each one of a fixed one of equal errors: 592 for 370 (METHODS A5)
BELOW = 1 - 1e-12  # what a process has shown is not undone by the rounding of its logarithm

# A provider of which nothing else was heard in a whole run is down, though too few calls were made for anybody to give it up.
UNREACHABLE: frozenset[FailureKind | None] = frozenset(("connection", "timeout", "server", "provider_down"))

Bounds: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is fixed before the first unit. *planned* counts units, *family* the comparisons of its family, *noise* is the
    discordance of base's own stored repeats. *binary*: `on: passed`, one sample on each side, every cluster one case."""

    kind: ReferenceKind
    revision: str
    suite_from: Origin
    policy_from: Origin
    prompt: str
    model: str
    policy: Policy
    planned: int
    binary: bool
    family: int = 1
    seed: str = ""
    noise: float | None = None
    early: bool = True  # False: every unit is measured, whatever the policy's mode

    @property
    def mode(self) -> Mode:
        return self.policy.mode if self.early else "fixed"

    @property
    def level(self) -> float:
        """What one of its tests may err: hybrid has two for each side and gives each a half. A golden set read to its end is
        certain, so that there is no second test to pay for."""
        return self.policy.alpha / 2 if self.mode == "hybrid" and self.policy.target == "population" else self.policy.alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """The verdict before the family is corrected for, and what it rests on."""

    verdict: Verdict
    p_harm: float = 1.0
    p_fixed: float = 1.0
    reason: Reason | None = None
    note: str = ""


class Contest:
    """One candidate against one reference. `add` units in order; stop when `decided` says so; `finish`."""

    def __init__(self, rules: Rules) -> None:
        policy = rules.policy
        self._rules = rules
        self._on: On = policy.on
        self._process = _process(rules)
        self._ledger: Counts | Clusters = Counts() if rules.binary else Clusters(rules.seed)
        self._swings = Swings(policy.on)
        self._verdict: Verdict | None = None
        self._failures: Counter[FailureKind | None] = Counter()
        self._sides = [1, 1]
        self._look = policy.batch if rules.mode != "fixed" else 0
        self._drops = self._squares = 0.0  # sums over what is measured: of the drops, and of the squares of the units' mean drops
        self.n = self.units = self.unchanged = self.missing = self._whole = 0

    @property
    def decided(self) -> Verdict | None:
        """The verdict, once a look at the end of a batch found one: no further unit can change it, and none is taken."""
        return self._verdict

    def add(self, unit: Unit) -> None:
        """The next unit of the order, whole. Raises ValueError on scores outside [0, 1], and where `binary` is not so."""
        if self._verdict is not None or not unit.pairs:
            return
        low = high = 0.0
        for pair in unit.pairs:
            if pair.same:
                self.unchanged += 1
                self._swings.same(pair)
                continue
            least, most = self._difference(pair)
            low += least
            high += most
        cases = len(unit.pairs)
        self.n += cases
        self.units += 1
        self._ledger.add(low, high, cases)
        if low == high:
            self._whole += 1
            if low:
                self._squares += (low / cases) ** 2
        if self._process is not None:
            self._process.update(low / cases, high / cases)
            if self.units == self._look:
                self._look += self._rules.policy.batch
                self._look_now()

    def _difference(self, pair: Pair) -> Bounds:
        """Base's mean less head's: the least and the greatest it can be, equal where nothing is missing."""
        base, head = pair.base, pair.head
        if len(base) == 1 == len(head):
            one, other = base[0].value(self._on), head[0].value(self._on)
            if one is not None and other is not None:
                return self._measured(pair, one, other)
        else:
            self._sides = [max(self._sides[0], len(base)), max(self._sides[1], len(head))]
        (base_low, base_high), (head_low, head_high) = _mean(base, self._on), _mean(head, self._on)
        if base_low == base_high and head_low == head_high:
            return self._measured(pair, base_low, head_low)
        self.missing += 1
        self._failures.update(one.failure for one in (*base, *head) if one.value(self._on) is None)
        return base_low - head_high, base_high - head_low

    def _measured(self, pair: Pair, base: float, head: float) -> Bounds:
        self._swings.scored(base, head)
        drop = base - head
        if not -1.0 <= drop <= 1.0:  # bets are bounded for scores in [0, 1]; a NaN would pass every comparison with a limit
            raise ValueError(f"scores of {base} and {head} in {pair.case!r}: a gate judges scores between 0 and 1")
        if drop:
            self._drops += drop
            self._swings.moved(pair, drop)
        return drop, drop

    def _look_now(self) -> None:
        """The only place where a run may be stopped. PASS is looked at first; too much missing is settled before either."""
        assert self._process is not None
        if self.units >= self._rules.planned:
            return  # there is nothing left to save, and the fixed rules may speak
        if self._too_much_missing(self._expected_cases()):
            self._verdict = Verdict.UNMEASURED
        elif self._process.passed and self._enough():
            self._verdict = Verdict.PASS
        elif self._process.failed:
            self._verdict = Verdict.FAIL

    def _expected_cases(self) -> float:
        """How many cases the whole order has, as far as the units seen tell."""
        return self.n / self.units * max(self._rules.planned, self.units) if self.units else 0.0

    def _too_much_missing(self, cases: float) -> bool:
        return self.missing > self._rules.policy.max_missing * cases

    def _enough(self) -> bool:
        return self.n - self.missing >= self._rules.policy.min_cases

    def judge(self, *, consumed_all: bool) -> Judgement:
        """The verdict on what was consumed. *consumed_all*: the whole order was, so that the fixed rules may speak."""
        if not self.n:
            return Judgement(verdict=Verdict.UNMEASURED, reason="coverage", note="no case that both sides can answer")
        if self._verdict is Verdict.UNMEASURED or (self._verdict is None and self._too_much_missing(self.n)):
            return Judgement(verdict=Verdict.UNMEASURED, reason=self._why_missing(), note=self._missing_note())
        alpha = self._rules.policy.alpha
        p_harm, p_fixed = self._harm(consumed_all)
        if self._passes(consumed_all):
            note = f"a real drop of {_points(self._drop())}, inside the margin" if p_harm <= alpha else ""
            return Judgement(verdict=Verdict.PASS, p_harm=p_harm, p_fixed=p_fixed, note=note)
        if self._verdict is Verdict.FAIL or p_harm <= alpha:
            return Judgement(verdict=Verdict.FAIL, p_harm=p_harm, p_fixed=p_fixed)
        return Judgement(verdict=Verdict.UNDECIDED, p_harm=p_harm, p_fixed=p_fixed, note=self._why_undecided(consumed_all))

    def _harm(self, consumed_all: bool) -> tuple[float, float]:
        """p of no harm, and the part of it that only the whole order can give (SEMANTICS 3)."""
        process, mode = self._process, self._rules.mode
        p_process = 1.0 if process is None else math.exp(-max(0.0, process.max_log_fail))
        if process is not None and process.failed:
            p_process = min(p_process, BELOW * self._rules.level / self._rules.family)
        if isinstance(process, Golden) or mode == "sequential":
            return p_process, 1.0
        p_fixed = self._ledger.harm() if self._fixed_speaks(consumed_all) else 1.0
        return (p_fixed if mode == "fixed" else min(1.0, 2 * min(p_process, p_fixed))), p_fixed

    def _passes(self, consumed_all: bool) -> bool:
        if self._verdict is not None:
            return self._verdict is Verdict.PASS
        if not self._enough():
            return False
        if self._process is not None and self._process.passed and (consumed_all or self._rules.mode != "fixed"):
            return True
        policy = self._rules.policy
        return self._fixed_speaks(consumed_all) and self._ledger.passes(policy.margin, self._rules.level)

    def _fixed_speaks(self, consumed_all: bool) -> bool:
        """A run that a look has ended was not read to its end, whoever says so."""
        return consumed_all and self._verdict is None and self._rules.mode != "sequential" and not isinstance(self._process, Golden)

    def _why_missing(self) -> Reason:
        """The reason that the failures themselves give."""
        nobody = self.missing == self.n and set(self._failures) <= UNREACHABLE
        if self._failures["provider_down"] or (self._failures and nobody):
            return "provider_down"
        if self._failures and set(self._failures) == {"no_recording"}:
            return "no_recording"
        return "budget" if self._failures["budget"] else "missing_answers"

    def _missing_note(self) -> str:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in self._failures.most_common() if kind)
        most = self._rules.policy.max_missing
        return f"{self.missing:,} of {self.n:,} cases lack an answer, more than {most:.0%}" + (f" ({kinds})" if kinds else "")

    def _why_undecided(self, consumed_all: bool) -> str:
        policy = self._rules.policy
        if self.n - self.missing < policy.min_cases:
            return f"no PASS from fewer than {policy.min_cases} cases"
        if not consumed_all:
            return f"stopped after {self.units:,} of {self._rules.planned:,}" if self.units < self._rules.planned else ""
        return "missing data decides" if self.missing and self._missing_decides() else ""

    def _missing_decides(self) -> bool:
        if isinstance(self._process, Golden):
            return True  # the whole set is read, and only what is missing can leave its answer open
        if self._rules.mode == "sequential":
            return False
        policy, halves = self._rules.policy, self._rules.policy.alpha / self._rules.level
        return (
            self._ledger.passes(policy.margin, self._rules.level, missing_harms=False)
            or halves * self._ledger.harm(missing_harms=True) <= policy.alpha
        )

    def _drop(self) -> float:
        """The mean drop of the cases measured."""
        return self._drops / max(1, self.n - self.missing)

    def _discordance(self) -> float:
        """The mean square of the units' drops: for a binary gate, the share of cases that changed sides."""
        return self._squares / max(1, self._whole)

    def _limits(self, consumed_all: bool) -> tuple[float | None, float | None, LimitKind]:
        """Limits of the drop by the tests that judged, so that they never contradict the verdict."""
        process, level = self._process, self._rules.level
        if not self.n:
            return None, None, "none"
        whole = self._fixed_speaks(consumed_all)
        if process is None:
            return (*self._ledger.limits(level), self._ledger.kind) if whole else (None, None, "none")
        lower, upper = process.lower(level), process.upper(level)
        if process.passed:  # limits are sought on a grid, by other bets than those that won
            upper = min(upper, self._rules.policy.margin)
        if process.failed:
            lower = max(lower, self._rules.policy.margin if isinstance(process, Golden) else 0.0)
        if not whole:
            return lower, upper, "e-process"
        fixed_lower, fixed_upper = self._ledger.limits(level)
        kind: LimitKind = self._ledger.kind if fixed_upper <= upper else "e-process"
        return max(lower, fixed_lower), min(upper, fixed_upper), kind

    def _gained(self, consumed_all: bool, upper: float | None) -> bool:
        """Whether the harm test with the sides swapped shows an improvement."""
        if self._process is not None and upper is not None and upper < 0:
            return True
        return self.n > 0 and self._fixed_speaks(consumed_all) and self._ledger.gain() <= self._rules.level

    def _needed(self) -> int:
        """Further cases for a verdict, if the drop is what it seems: a PASS for a small one, a FAIL beyond half the margin."""
        policy, drop = self._rules.policy, self._drop()
        gap = min(max(policy.margin - drop, drop, LEAST_GAP), 1 - LEAST_GAP)
        total = cases_needed(self._discordance(), gap, self._rules.level, policy.power)
        if self._rules.mode == "sequential":
            total = math.ceil(ANYTIME * total)
        return max(1, policy.min_cases - self.n, total - self.n)

    def finish(self, *, consumed_all: bool) -> Comparison:
        """Everything that is known of this comparison; the raw verdict, before its family is corrected for."""
        rules, judgement = self._rules, self.judge(consumed_all=consumed_all)
        lower, upper, kind = self._limits(consumed_all)
        base_score, head_score = self._swings.scores
        measured = self.n > self.missing
        return Comparison(
            kind=rules.kind,
            revision=rules.revision,
            suite_from=rules.suite_from,
            policy_from=rules.policy_from,
            prompt=rules.prompt,
            model=rules.model,
            verdict=judgement.verdict,
            n=self.n,
            units=self.units,
            planned=rules.planned,
            unchanged=self.unchanged,
            missing=self.missing,
            broken=self._swings.broken,
            fixed=self._swings.fixed,
            base_score=base_score,
            head_score=head_score,
            drop=self._drop() if measured else None,
            lower=lower,
            upper=upper,
            limit_kind=kind,
            margin=rules.policy.margin,
            alpha=rules.policy.alpha,
            p_harm=judgement.p_harm,
            p_fixed=judgement.p_fixed,
            e_fail=_evidence(self._process.max_log_fail) if self._process else 1.0,
            e_pass=_evidence(self._process.max_log_pass) if self._process else 1.0,
            gained=self._gained(consumed_all, upper),
            discordance=self._discordance() if measured else None,
            noise=rules.noise,
            repeats_base=self._sides[0],
            repeats_head=self._sides[1],
            needed=self._needed() if judgement.verdict is Verdict.UNDECIDED else None,
            reason=judgement.reason,
            note=judgement.note,
            cases_broken=self._swings.cases_broken(),
            cases_fixed=self._swings.cases_fixed(),
        )


def _process(rules: Rules) -> Betting | Golden | None:
    policy = rules.policy
    kind = Golden if policy.target == "golden" else Betting
    if kind is Betting and rules.mode == "fixed":
        return None
    return kind(
        margin=policy.margin,
        a_fail=rules.level / rules.family,
        a_pass=rules.level,
        planned=rules.planned,
        discordance=prior(rules.noise),
    )


def prior(noise: float | None, *, model_change: bool = False) -> float:
    """The discordance to expect before the first answer."""
    if noise is None:
        return PRIOR_MODEL if model_change else PRIOR_EDIT
    return max(noise, LEAST_PRIOR)


def _mean(answers: Sequence[Graded], on: On) -> Bounds:
    """The least and the greatest mean that *answers* can have: what is missing is somewhere between 0 and 1."""
    if not answers:
        return 0.0, 1.0
    known = [value for one in answers if (value := one.value(on)) is not None]
    total, size = math.fsum(known), len(answers)
    return total / size, (total + (size - len(known))) / size


def _evidence(log: float) -> float:
    """E as a number that JSON can hold."""
    return math.exp(min(max(log, 0.0), 700.0))


def _points(drop: float) -> str:
    return f"{100 * drop:.1f} points"
