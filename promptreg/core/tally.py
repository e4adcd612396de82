"""Folds a stream of Outcomes into one report Cell, and cells into an exit code. Knows no store, no provider and no format.

Memory is a few numbers for each outcome (about 40 bytes), however long the answers, and the first LISTED failing and missing
cases in full, so that a run of a million cases fits.

What `run` judges (docs/design/semantics.md):

    floor       broken iff the point estimate is below it: the pass rate, or the mean score under `gate.on: score`. `run` states
                what was measured; that a shortfall might be chance is what the interval beside it says and what `check` weighs.
    neither     a suite without a `gate:` block has neither floor nor base: it fails on any failing case. With a block but
                without a floor only `check` can judge it, and `run` reports.
    require     a case with `require: {k, of}` is judged as a whole: all its answers count as passed when k of the first `of`
                pass, else as failed. The mean score is never voted on.
    missing     an answer that did not arrive is never a zero and never a pass: the cell is unmeasured, unless it had failed
                even if every missing answer had passed; then it is failed, because no repetition of the run can mend it.
"""

from __future__ import annotations

import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby

from promptreg.core.excerpt import cut
from promptreg.core.prompt import Message
from promptreg.core.report import Cell, CellStatus, CheckSummary, FailedCase, MissingCase, worst
from promptreg.core.run import CheckResult, Completion, Failure, Outcome
from promptreg.core.slices import SliceTally
from promptreg.core.stats import Interval, pass_interval, quantile
from promptreg.core.suite import Case, Require, Suite, pair_key
from promptreg.errors import ExitCode

LISTED = 50  # failing and missing cases kept whole: more than a person reads, little enough to hold for every cell
KEPT_TEXT = 20_000  # characters of an answer or a message kept in a listed case
KEPT_MODELS = 8  # reported model names; more than one is already news

UNSAID = Failure(kind="garbled", message="a check could not be measured")
EXIT_CODES: dict[CellStatus, ExitCode] = {
    "ok": ExitCode.OK,
    "failed": ExitCode.REGRESSION,
    "unmeasured": ExitCode.UNMEASURED,
}


def exit_code(cells: Iterable[Cell]) -> ExitCode:
    """What `run` tells its caller: that of its worst cell."""
    return EXIT_CODES[worst(cells)]


@dataclass(slots=True)
class _Sum:
    """A sum that stays unknown once a term was."""

    total: float = 0.0
    terms: int = 0
    known: bool = True

    def add(self, value: float | None) -> None:
        self.terms += 1
        if value is None:
            self.known = False
        else:
            self.total += value

    def value(self) -> float | None:
        return self.total if self.known and self.terms else None


@dataclass(slots=True)
class _CheckTally:
    n: int = 0
    passed: int = 0
    total: float = 0.0

    def add(self, result: CheckResult) -> None:
        self.n += 1
        self.passed += result.passed
        self.total += result.value


@dataclass(slots=True)
class _Vote:
    """The answers so far of one case with `require`, and where they stand among the graded answers."""

    require: Require
    passed: int = 0
    missing: int = 0
    places: array[int] = field(default_factory=lambda: array("L"))

    def won(self, *, best: bool = False) -> bool:
        """Whether the case passes; at *best*, if all its missing answers had passed."""
        return self.passed + (self.missing if best else 0) >= self.require.k


class CellTally:
    """One cell's outcomes, folded as they come: `add` each, in any order, then ask for the `cell`."""

    def __init__(self, suite: Suite, prompt: str, model: str) -> None:
        self.suite = suite.name
        self.prompt = prompt
        self.model = model
        self._policy = suite.policy
        self._slices = SliceTally(suite.policy.slices.by if suite.policy and suite.policy.slices else ())
        self._units = array("Q")  # for each graded answer: its cluster, its verdict, its score
        self._passed = array("b")
        self._scores = array("d")
        self._latencies = array("d")
        self._checks: dict[tuple[int, str], _CheckTally] = {}
        self._votes: dict[str, _Vote] = {}
        self._failed: list[tuple[FailedCase, bool]] = []  # with whether a vote still decides it
        self._kept = Counter[bool]()
        self._missing: list[MissingCase] = []
        self._errors = 0
        self._cost, self._input, self._output = _Sum(), _Sum(), _Sum()
        self._calls_made = self._calls_known = self._refusals = 0
        self._reported: dict[str, None] = {}

    def add(self, outcome: Outcome) -> None:
        """Counts *outcome* in, exactly once."""
        self._calls_made += outcome.calls_made
        self._calls_known += outcome.calls_known
        if outcome.completion is not None:
            self._answer(outcome.completion, outcome.cost_usd)
        vote = self._vote(outcome.case)
        if outcome.passed is None:
            self._miss(outcome, vote)
            return
        for position, result in enumerate(outcome.checks):
            self._checks.setdefault((position, result.label), _CheckTally()).add(result)
        if vote is not None:
            vote.passed += outcome.passed and outcome.call.slot < vote.require.of
            vote.places.append(len(self._units))
        self._slices.add(outcome.case, len(self._units))
        self._units.append(_unit(outcome.case))
        self._passed.append(outcome.passed)
        self._scores.append(float(outcome.passed) if outcome.score is None else outcome.score)
        if not outcome.passed:
            self._fail(outcome, voting=vote is not None)

    def cell(self) -> Cell:
        """All of it, judged."""
        verdicts = self._verdicts()
        passed, n = sum(verdicts), len(verdicts)
        lower, upper = self._interval(verdicts, range(n)) if n else (None, None)
        status, reason = self._judge(passed, n)
        return Cell(
            suite=self.suite,
            prompt=self.prompt,
            model=self.model,
            status=status,
            reason=reason,
            n=n,
            errors=self._errors,
            passed=passed,
            pass_rate=passed / n if n else None,
            lower=lower,
            upper=upper,
            score=math.fsum(self._scores) / n if n else None,
            floor=self._policy.floor if self._policy else None,
            floor_on=self._policy.on if self._policy else "passed",
            checks=tuple(
                CheckSummary(label=label, n=tally.n, passed=tally.passed, mean=tally.total / tally.n)
                for (_, label), tally in sorted(self._checks.items())
            ),
            cost_usd=self._cost.value(),
            latency_p50_s=quantile(self._latencies, 0.50) if self._latencies else None,
            latency_p95_s=quantile(self._latencies, 0.95) if self._latencies else None,
            input_tokens=_whole(self._input.value()),
            output_tokens=_whole(self._output.value()),
            calls_made=self._calls_made,
            calls_known=self._calls_known,
            refusals=self._refusals,
            reported_models=tuple(sorted(self._reported)),
            failed=self._listed(),
            failed_total=self._failed_total(),
            missing=tuple(self._missing),
            slices=self._slices.summaries(verdicts, partial(self._interval, verdicts)),
        )

    def _answer(self, completion: Completion, cost_usd: float | None) -> None:
        self._cost.add(cost_usd)
        self._input.add(completion.usage.input_tokens)
        self._output.add(completion.usage.output_tokens)
        if completion.latency_s is not None:
            self._latencies.append(completion.latency_s)
        self._refusals += completion.stop.refused
        if completion.reported_model and len(self._reported) < KEPT_MODELS:
            self._reported[completion.reported_model] = None

    def _vote(self, case: Case) -> _Vote | None:
        return None if case.require is None else self._votes.setdefault(case.id, _Vote(case.require))

    def _miss(self, outcome: Outcome, vote: _Vote | None) -> None:
        self._errors += 1
        if vote is not None:
            vote.missing += outcome.call.slot < vote.require.of
        if len(self._missing) < LISTED:
            failure = outcome.failure or UNSAID
            self._missing.append(
                MissingCase(
                    case=outcome.case.id, slot=outcome.call.slot, kind=failure.kind, message=cut(failure.message, KEPT_TEXT)
                )
            )

    def _fail(self, outcome: Outcome, *, voting: bool) -> None:
        """Keeps a failing answer: LISTED sure ones, and as many again whose case may yet pass by its votes."""
        if self._kept[voting] < LISTED:
            self._kept[voting] += 1
            self._failed.append((_failed_case(outcome), voting))

    def _listed(self) -> tuple[FailedCase, ...]:
        sure = (case for case, voting in self._failed if not voting or not self._votes[case.case].won())
        return tuple(case for case, _ in zip(sure, range(LISTED), strict=False))

    def _failed_total(self) -> int:
        """Failing answers, without those of cases that pass by their votes."""
        raw = len(self._passed) - sum(self._passed)
        return raw - sum(1 - self._passed[place] for vote in self._votes.values() if vote.won() for place in vote.places)

    def _verdicts(self, *, best: bool = False) -> array[int]:
        """For each graded answer 1 or 0, after the votes; at *best*, as if every missing answer had passed."""
        verdicts = self._passed[:]
        for vote in self._votes.values():
            for place in vote.places:
                verdicts[place] = vote.won(best=best)
        return verdicts

    def _interval(self, verdicts: array[int], places: Sequence[int]) -> Interval:
        """The 95 % limits for the answers at *places*, of which there is at least one."""
        order = sorted(places, key=self._units.__getitem__)  # sorting needs a third of the memory of two dicts
        groups = (list(group) for _, group in groupby(order, self._units.__getitem__))
        return pass_interval([(sum(verdicts[place] for place in group), len(group)) for group in groups])

    def _judge(self, passed: int, n: int) -> tuple[CellStatus, str]:
        best = n + self._errors
        if best == 0:
            return "unmeasured", "no case was measured"
        broken = self._broken(passed, n, math.fsum(self._scores)) if n else ""
        if broken and not self._errors:
            return "failed", broken
        ceiling = sum(self._verdicts(best=True)) + self._errors
        if beyond := self._broken(ceiling, best, math.fsum(self._scores) + self._errors):
            return "failed", f"{beyond}, even counting {self._errors:,} missing as passed"
        if self._errors:
            return "unmeasured", f"{self._errors:,} of {best:,} answers missing" if best > 1 else "the answer is missing"
        return "ok", ""

    def _broken(self, passed: int, n: int, score: float) -> str:
        """Why *passed* of *n* answers with scores adding up to *score* are not good enough; "" when they are."""
        if self._policy is None:
            return "" if passed == n else f"{n - passed:,} of {n:,} answers failed, and no floor allows any"
        if self._policy.floor is None:
            return ""
        floor = self._policy.floor
        if self._policy.on == "score":
            return "" if score / n >= floor else f"mean score {score / n:.4g}, below the floor of {floor:.4g}"
        return (
            ""
            if passed / n >= floor
            else f"{passed:,} of {n:,} passed, {_percent(passed / n)}: below the floor of {_percent(floor)}"
        )


def _unit(case: Case) -> int:
    """A 64-bit name of a case's cluster (by default its inputs); a collision among a million clusters has chance 3e-8."""
    name = f"pair {pair_key(case.inputs)}" if case.cluster is None else f"cluster {case.cluster}"
    return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8])


def _failed_case(outcome: Outcome) -> FailedCase:
    case, completion = outcome.case, outcome.completion
    return FailedCase(
        case=case.id,
        slot=outcome.call.slot,
        where=case.where,
        messages=tuple(_short(message) for message in outcome.call.messages),
        expected=case.expected,
        answer=cut(completion.text, KEPT_TEXT) if completion else "",
        checks=outcome.checks,
    )


def _short(message: Message) -> Message:
    if isinstance(message.content, str):
        return replace(message, content=cut(message.content, KEPT_TEXT)) if len(message.content) > KEPT_TEXT else message
    return replace(message, content=tuple(replace(part, value=cut(part.value, KEPT_TEXT)) for part in message.content))


def _percent(share: float) -> str:
    return f"{100 * share:.4g} %"


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)
