"""The judges of a course: what each policy makes of it, and what can be expected of them before the first call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from promptreg.core.contest import Contest, Rules
from promptreg.core.floors import Floor
from promptreg.core.forecast import Forecast, Lengths, forecast
from promptreg.core.guards import Guards
from promptreg.core.parts import Parts
from promptreg.core.plan import plan
from promptreg.core.suite import Policy
from promptreg.core.verdict import Origin
from promptreg.execute import Executor
from promptreg.workflow.check.course import Course
from promptreg.workflow.check.gates import Gate

LOOKED_AT = 400  # units of a long order, by which what is known of the others is guessed: rendering all again takes seconds
COVERAGE = 0.90  # of the cases must be there on both sides


@dataclass(slots=True, eq=False)
class Judged:
    """One policy's view of one course: its contests (None where a reference cannot be measured), guards, floor and slices."""

    origin: Origin
    policy: Policy
    contests: list[Contest | None]
    guards: Guards | None
    floor: Floor | None
    parts: Parts | None
    forecast: Forecast | None = None


class Judging(Protocol):
    """A course under way, in what its judges need to know."""

    @property
    def course(self) -> Course: ...
    @property
    def views(self) -> Sequence[Judged]: ...


def rules(gate: Gate, course: Course, index: int, origin: Origin, policy: Policy, family: int) -> Rules:
    """What one comparison is judged by, fixed before the run."""
    reference = course.stream.references[index]
    contender = reference.contender
    assert contender is not None
    single = len(course.slots[index]) == 1 == len(course.head_slots)
    return Rules(
        kind=reference.kind,
        revision=reference.revision,
        suite_from=course.stream.judge.origin,
        policy_from=origin,
        prompt=gate.prompt,
        model=gate.model,
        policy=policy,
        planned=len(course.units),
        binary=policy.on == "passed" and single and all(len(unit) == 1 for unit in course.units),
        family=family,
        seed=course.stream.seed,
        noise=course.noise[index],
    )


def covered(course: Course, index: int, policy: Policy) -> bool:
    """Whether enough of the cases can be asked on both sides. What head alone cannot be asked any more is as good as broken: as
    many as the margin are too many."""
    lost = course.lost[index]
    if lost and lost >= policy.margin * course.cases:
        return False
    return course.cases - course.excluded(index) >= COVERAGE * course.cases


def view(gate: Gate, course: Course, origin: Origin, policy: Policy, family: int) -> Judged:
    """The judges of one policy over *course*; nothing is forecast yet."""
    contests: list[Contest | None] = [
        Contest(rules(gate, course, index, origin, policy, family))
        if reference.contender is not None and covered(course, index, policy)
        else None
        for index, reference in enumerate(course.stream.references)
    ]
    has_base = bool(contests) and contests[0] is not None and course.stream.references[0].kind == "base"
    seed = course.stream.seed
    return Judged(
        origin=origin,
        policy=policy,
        contests=contests,
        guards=Guards(policy, seed) if policy.guard and has_base else None,
        floor=Floor(policy, seed) if policy.floor is not None else None,
        parts=Parts(policy, len(course.units), seed) if policy.slices is not None and has_base else None,
    )


def foresee(executor: Executor, running: Sequence[Judging]) -> None:
    """Gives the views that judge against base their forecasts. Gates that are alike share what takes long."""
    lengths = Lengths()
    for each in running:
        course = each.course
        base = course.stream.references[0].contender if course.stream.references else None
        unchanged = min(len(course.units), course.unchanged(0)) if base is not None else 0
        changing = len(course.units) - unchanged
        if base is None or not changing:
            continue
        part = min(1.0, LOOKED_AT / len(course.units))
        calls = plan(course.wanted(LOOKED_AT), executor.known).missing / part / changing
        moved = base.model.identity.digest != course.stream.head.model.identity.digest
        for judged in each.views:
            if judged.contests and judged.contests[0] is not None:
                judged.forecast = forecast(
                    judged.policy,
                    len(course.units),
                    unchanged=unchanged,
                    noise=course.noise[0],
                    model_change=moved,
                    each=calls,
                    lengths=lengths,
                )
