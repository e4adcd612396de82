"""Flaky: what repeats of a baseline tell: which cases pass only sometimes, and how much two answers to one question differ.

    Outcome ─▶ Repeats, one for each case ─▶ Baseline, one for each suite, prompt and model

Judges no change: that is `contest`, which takes from here how noisy base is by itself. Knows no store, no files and no day.

Sources. Discordance: the mean squared difference of two draws is twice their variance (the U-statistic of order two; W. Hoeffding,
A class of statistics with asymptotically normal distribution, Annals of Mathematical Statistics 19 (1948) 293-325). Components: the
analysis of variance of one-way random effects within blocks, unbalanced (S. R. Searle, G. Casella, C. E. McCulloch, Variance
Components, 1992, chapter 3; W. G. Cochran, G. W. Snedecor, Statistical Methods, 8th ed., 1989, chapter 13).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from promptreg.core.canonical import Digest, Json
from promptreg.core.run import BASELINE, Completion, Outcome
from promptreg.core.suite import Quarantine
from promptreg.errors import UsageError, Where

ENOUGH = 5  # repeats that a baseline should have (METHODS A8), and that must all pass before a case counts as healed
HELD_DAYS = 30  # that a suggested entry holds: long enough to mend a case, short enough to be asked about it

QuarantineState: TypeAlias = Literal["held", "expired"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """What became of one case's repeats. `answers` are there; `usable` of them, from the first slot on without a gap, are what a
    check compares with. `passes` and `scores` are of those that could be judged, in the order of their slots."""

    case: str
    where: Where | None = field(default=None, compare=False)
    answers: int = 0
    usable: int = 0
    passes: tuple[bool, ...] = ()
    scores: tuple[float, ...] = ()
    identical: bool = True
    missing: int = 0  # repeats without an answer, or whose answer no judge has judged

    @property
    def passed(self) -> int:
        return sum(self.passes)

    @property
    def flaky(self) -> bool:
        return 0 < self.passed < len(self.passes)

    @property
    def steady(self) -> bool:
        """Whether enough repeats were judged, and all of them passed."""
        return len(self.passes) >= ENOUGH and all(self.passes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """The repeats of one suite's prompt on one model. `oldest` and `newest` are seconds since the epoch, None without an answer."""

    suite: str
    prompt: str
    model: str
    cases: tuple[Repeats, ...] = ()
    oldest: float | None = None
    newest: float | None = None
    reported_models: tuple[str, ...] = ()

    @property
    def least(self) -> int:
        """How many repeats every case has: so many a check uses."""
        return min((each.usable for each in self.cases), default=0)

    @property
    def most(self) -> int:
        return max((each.usable for each in self.cases), default=0)

    @property
    def answers(self) -> int:
        return sum(each.answers for each in self.cases)

    @property
    def missing(self) -> int:
        return sum(each.missing for each in self.cases)

    @property
    def flaky(self) -> tuple[Repeats, ...]:
        """The cases that pass only sometimes, the most undecided first."""
        found = [each for each in self.cases if each.flaky]
        return tuple(sorted(found, key=lambda each: (abs(2 * each.passed - len(each.passes)) / len(each.passes), each.case)))

    @property
    def discordance(self) -> float | None:
        """How often two repeats of a case disagree on whether it passes; None where no case has two."""
        return discordance(each.passes for each in self.cases)

    @property
    def score_variance(self) -> float | None:
        """Of the score of one case, from repeat to repeat, averaged over the cases; None where no case has two repeats."""
        squares = discordance(each.scores for each in self.cases)
        return None if squares is None else squares / 2

    @property
    def identical(self) -> bool:
        """Whether every case has repeats, and all of them say the same."""
        return self.least > 1 and all(each.identical for each in self.cases)


def discordance(repeats: Iterable[Sequence[float]]) -> float | None:
    """The mean squared difference of two repeats of a case, averaged over the cases that have two; None where none has.

    For passes (1 or 0) it is the share of pairs of repeats that disagree: what comparing base with itself would show, case by case.
    Unbiased for every number of repeats; every case counts alike, however many it has.
    """
    total, cases = 0.0, 0
    for values in repeats:
        if len(values) > 1:
            mean = math.fsum(values) / len(values)
            total += 2 * math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
            cases += 1
    return total / cases if cases else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Where the variance of one judgement of one case comes from: of the judge, asked again about the same answer; of the answer,
    asked for again. None where the data cannot tell: no answer was judged twice, or no case has two answers."""

    judge: float | None
    answer: float | None
    cases: int
    answers: int
    judgements: int

    @property
    def judge_share(self) -> float | None:
        """The judge's part of the variance of one judgement of one answer; None where that is nothing, or unknown."""
        if self.judge is None or self.answer is None or not (total := self.judge + self.answer):
            return None
        return self.judge / total


def components(cases: Iterable[Sequence[Sequence[float]]]) -> Components:
    """The variance components of judgements: *cases* hold answers, which hold judgements.

    One-way random effects (answers) within blocks (cases), unbalanced: with m_ij judgements of answer j to case i, N in all,

        MS_within  = Σ (y - mean_ij)² / (N - answers)                      estimates  judge
        MS_between = Σ m_ij (mean_ij - mean_i)² / (answers - cases)        estimates  judge + n0 · answer
        n0         = (N - Σ_i Σ_j m_ij² / m_i) / (answers - cases)

    An estimate below 0 says 0. Answers without a judgement do not take part.
    """
    within = between = unequal = 0.0
    judgements = answers = blocks = 0
    for case in cases:
        judged = [answer for answer in case if answer]
        if not judged:
            continue
        size = sum(map(len, judged))
        centre = math.fsum(value for answer in judged for value in answer) / size
        for answer in judged:
            mean = math.fsum(answer) / len(answer)
            within += math.fsum((value - mean) ** 2 for value in answer)
            between += len(answer) * (mean - centre) ** 2
            unequal += len(answer) ** 2 / size
        judgements, answers, blocks = judgements + size, answers + len(judged), blocks + 1
    judge = within / (judgements - answers) if judgements > answers else None
    spread = None
    if judge is not None and answers > blocks:
        weight = (judgements - unequal) / (answers - blocks)
        spread = max(0.0, (between / (answers - blocks) - judge) / weight)
    return Components(judge=judge, answer=spread, cases=blocks, answers=answers, judgements=judgements)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One entry of a suite's quarantine: how long it still holds (below 0: over), and how its case did in all cells together."""

    suite: str
    entry: Quarantine
    days_left: int
    passed: int
    of: int
    healed: bool

    @property
    def state(self) -> QuarantineState:
        return "expired" if self.days_left < 0 else "held"


def watched(suite: str, entry: Quarantine, days_left: int, baselines: Sequence[Baseline]) -> Watched:
    """*entry* beside what the *baselines* of its suite say of its case. Healed: in each cell all of enough repeats pass."""
    found = [each for baseline in baselines for each in baseline.cases if each.case == entry.case]
    return Watched(
        suite=suite,
        entry=entry,
        days_left=days_left,
        passed=sum(each.passed for each in found),
        of=sum(len(each.passes) for each in found),
        healed=bool(found) and all(each.steady for each in found),
    )


def flaky_anywhere(baselines: Sequence[Baseline]) -> dict[str, str]:
    """The flaky cases of one suite, each with what is to be said of it: `passed 3 of 5 (triage on big)`."""
    told: dict[str, list[str]] = {}
    for baseline in baselines:
        for each in baseline.flaky:
            said = f"passed {each.passed} of {len(each.passes)} ({baseline.prompt} on {baseline.model})"
            told.setdefault(each.case, []).append(said)
    return {case: ", ".join(said) for case, said in told.items()}


def quarantine_line(entry: Quarantine) -> str:
    """*entry* as a line under `quarantine:`, in YAML that means just these texts and that no terminal obeys."""
    facts = {"case": entry.case, "owner": entry.owner, "until": entry.until, "reason": entry.reason}
    return "  - {" + ", ".join(f"{key}: {_quoted(value)}" for key, value in facts.items() if value) + "}"


def _quoted(text: str) -> str:
    """YAML's double quotes; unlike JSON's they have an escape for every character."""
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


class BaselineTally:
    """The fold of one cell's outcomes into a Baseline. Outcomes come case by case, their slots ascending; memory is a few numbers
    for each."""

    def __init__(self, suite: str, prompt: str, model: str) -> None:
        self._names = suite, prompt, model
        self._cases: dict[str, _Case] = {}
        self._seen: list[float] = []
        self._models: set[str] = set()

    def add(self, outcome: Outcome) -> None:
        """One repeat. Its slot counts from BASELINE."""
        case = self._cases.get(outcome.case.id)
        if case is None:
            case = self._cases[outcome.case.id] = _Case(outcome.case.id, outcome.case.where)
        case.add(outcome)
        completion = outcome.completion
        if completion is not None:
            self._models |= {completion.reported_model} if completion.reported_model else set()
            if completion.observed_at is not None:
                self._seen = [min([*self._seen, completion.observed_at]), max([*self._seen, completion.observed_at])]

    def untouched(self, case: str, where: Where | None) -> None:
        """A case of which no repeat is known."""
        self._cases.setdefault(case, _Case(case, where))

    def baseline(self) -> Baseline:
        suite, prompt, model = self._names
        return Baseline(
            suite=suite,
            prompt=prompt,
            model=model,
            cases=tuple(case.repeats() for case in self._cases.values()),
            oldest=min(self._seen, default=None),
            newest=max(self._seen, default=None),
            reported_models=tuple(sorted(self._models)),
        )


@dataclass(slots=True)
class _Case:
    id: str
    where: Where | None
    answers: int = 0
    usable: int = 0
    missing: int = 0
    content: Digest | int | None = None
    identical: bool = True
    passes: list[bool] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, outcome: Outcome) -> None:
        self.missing += outcome.passed is None
        if outcome.completion is None:
            return
        self.answers += 1
        self.usable += outcome.call.slot == BASELINE + self.usable
        content = content_of(outcome.completion)
        self.identical &= self.content in (None, content)
        self.content = content
        if outcome.passed is not None and outcome.score is not None:
            self.passes.append(outcome.passed)
            self.scores.append(outcome.score)

    def repeats(self) -> Repeats:
        return Repeats(
            case=self.id,
            where=self.where,
            answers=self.answers,
            usable=self.usable,
            passes=tuple(self.passes),
            scores=tuple(self.scores),
            identical=self.identical,
            missing=self.missing,
        )


def content_of(completion: Completion) -> Digest | int:
    """What tells two answers apart; for what no JSON can carry, its text's hash."""
    try:
        return completion.content_digest()
    except UsageError:
        return hash(completion.text)


def as_json(baseline: Baseline) -> dict[str, Json]:
    """What `--json` says of a baseline, times apart."""
    return {
        "suite": baseline.suite,
        "prompt": baseline.prompt,
        "model": baseline.model,
        "cases": len(baseline.cases),
        "repeats": {"least": baseline.least, "most": baseline.most},
        "answers": baseline.answers,
        "missing": baseline.missing,
        "discordance": baseline.discordance,
        "score_variance": baseline.score_variance,
        "flaky": len(baseline.flaky),
        "identical": baseline.identical,
        "reported_models": list(baseline.reported_models),
    }
