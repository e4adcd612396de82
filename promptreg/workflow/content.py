"""Content: the answers of one course judged apart from their wrapping, beside the contest that judges them as they are given.

An answer's content is the best of what it says at any depth of its wrapping, the outermost included: whoever asks for JSON gets a
JSON object judged as it is, whoever asks for a word gets the word in it. A check may have its own way to look at content, as
`recorded` has. Where a check asks a model, nothing is told apart: the judge would have to be paid a second time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from promptreg.core.contest import Contest, Rules
from promptreg.core.grade import Job, grade
from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.protocols import Metric
from promptreg.core.rot import Content
from promptreg.core.run import Call, Completion, Outcome, Received
from promptreg.core.stats.resampling import Cluster, sign_flip
from promptreg.core.unwrapped import unwrappings
from promptreg.errors import UsageError
from promptreg.metrics.recorded import Recorded
from promptreg.workflow.check.course import Course
from promptreg.workflow.check.measure import HEAD


class AsksAModel(Exception):
    """A check wants to call somebody to judge what was unwrapped."""


class Contents:
    """A fold over a course: `saw` gets each graded answer and its role, `add` each unit."""

    def __init__(self, course: Course, rules: Rules) -> None:
        self._checks = course.stream.checks
        self._rules = rules
        self._contest = Contest(rules)
        self._possible = True
        self._told = False
        self._held: dict[tuple[str, str, int], tuple[Graded, bool]] = {}  # of units under way: content, and whether it was wrapped
        self._wrapped: tuple[list[bool], list[bool]] = ([], [])
        self._costs: list[Cluster] = []

    def saw(self, role: str, outcome: Outcome) -> None:
        """One graded answer, before its unit is handed on."""
        if not self._possible or outcome.completion is None or outcome.failure is not None:
            return
        try:
            self._held[outcome.case.id, role, outcome.call.slot] = self._content(outcome, outcome.completion)
        except AsksAModel:
            self._possible = False
            self._held.clear()

    def add(self, unit: Unit) -> None:
        if self._possible and unit.pairs:
            pairs = [pair if pair.same else self._pair(pair) for pair in unit.pairs]
            self._contest.add(Unit(unit.key, pairs))
            sides = zip(unit.pairs, pairs, strict=True)
            costs = [cost for given, content in sides if (cost := self._cost(given, content)) is not None]
            if costs:
                self._costs.append((math.fsum(costs), len(costs)))

    def finish(self) -> Content | None:
        """None where nothing was told apart."""
        if not (self._possible and self._told):
            return None
        cases = sum(size for _, size in self._costs)
        return Content(
            comparison=self._contest.finish(consumed_all=True),
            wrapped=(_share(self._wrapped[0]), _share(self._wrapped[1])),
            wrapping=math.fsum(cost for cost, _ in self._costs) / cases if cases else 0.0,
            p=sign_flip(self._costs, self._rules.seed),
        )

    def _pair(self, pair: Pair) -> Pair:
        sides = [
            tuple(self._taken((pair.case, role, slot), each, side) for slot, each in enumerate(answers))
            for side, (role, answers) in enumerate((("0", pair.base), (HEAD, pair.head)))
        ]
        return replace(pair, base=sides[0], head=sides[1])

    def _taken(self, key: tuple[str, str, int], given: Graded, side: int) -> Graded:
        if key not in self._held:
            return given
        content, wrapped = self._held.pop(key)
        self._wrapped[side].append(wrapped)
        self._told = self._told or wrapped
        return content

    def _cost(self, given: Pair, content: Pair) -> float | None:
        """How much more head's wrapping costs head than base's costs base, in this case."""
        base, head = self._gain(given.base, content.base), self._gain(given.head, content.head)
        return None if base is None or head is None else head - base

    def _gain(self, given: Sequence[Graded], content: Sequence[Graded]) -> float | None:
        """What one side wins by being unwrapped, over its repeats."""
        on = self._rules.policy.on
        values = [(one.value(on), other.value(on)) for one, other in zip(given, content, strict=True)]
        known = [other - one for one, other in values if one is not None and other is not None]
        return fmean(known) if known else None

    def _content(self, outcome: Outcome, completion: Completion) -> tuple[Graded, bool]:
        """The answer's content, graded, and whether it differs from the answer as given."""
        given = [check.for_case(outcome.case) for check in self._checks]
        own = [_of_content(metric) for metric in given]
        depths = list(unwrappings(completion.text))
        if own != given:  # their word counts at every depth
            found = [self._graded(outcome, own, text) for text in (completion.text, *depths)]
        else:
            found = [outcome, *(self._graded(outcome, own, text) for text in depths)]
        best = max((each for each in found if each is not None and each.passed is not None), key=_worth, default=None)
        wrapped = bool(depths) or own != given
        if best is None:
            return Graded(passed=None, score=None, failure="unmeasured"), wrapped
        return Graded(passed=best.passed, score=best.score), wrapped

    def _graded(self, outcome: Outcome, metrics: Sequence[Metric], text: str) -> Outcome | None:
        """What the checks say of *text*; None where they cannot. Raises AsksAModel."""
        assert outcome.completion is not None
        job = Job(
            prompt=outcome.prompt,
            model=outcome.model,
            case=outcome.case,
            call=outcome.call,
            checks=self._checks,
            metrics=tuple(metrics),
        )
        return _driven(job, replace(outcome.completion, text=text))


def _driven(job: Job, completion: Completion) -> Outcome | None:
    """*job*, given its answer. Scores are neither recalled nor remembered: they are not those of what the model said."""
    task = grade(job)
    try:
        next(task)
        step = task.send(Received(result=completion, known=True))
        while not isinstance(step, Call):
            step = task.send(None)
    except StopIteration as end:
        found: Outcome = end.value
        return found
    except UsageError:
        return None
    finally:
        task.close()
    raise AsksAModel


def _of_content(metric: Metric) -> Metric:
    """What judges content alone, where *metric* has such a way."""
    return metric.unwrapped() if isinstance(metric, Recorded) else metric


def _worth(outcome: Outcome) -> tuple[bool, float]:
    return bool(outcome.passed), outcome.score if outcome.score is not None else -1.0


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0
