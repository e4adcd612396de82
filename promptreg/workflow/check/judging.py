"""From measured courses to what a gate says: contests end, what could not be compared says why, both suites' views are joined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from promptreg.core.diff import word_diff
from promptreg.core.pair import Graded, Pair
from promptreg.core.run import BASELINE
from promptreg.core.verdict import (
    SEVERITY,
    CaseChange,
    Comparison,
    FloorResult,
    GateReport,
    GuardResult,
    Origin,
    SliceResult,
    Verdict,
)
from promptreg.errors import Reason
from promptreg.workflow.check.course import Course
from promptreg.workflow.check.gates import Gate
from promptreg.workflow.check.judges import COVERAGE, Judged, covered, view
from promptreg.workflow.check.measure import HEAD, Running

Result = TypeVar("Result", FloorResult, GuardResult, SliceResult)

FRESH = 500_000  # baseline slots from here on are asked when the model behind an identity moved: far above those that refresh fills


def start(gate: Gate, course: Course, family: int | Mapping[bool, int]) -> Running:
    """A course with its judges, before its first unit. *family*: the size of the family, or of both."""
    views = [view(gate, course, origin, policy, _size(gate, course, origin, family)) for origin, policy in course.stream.policies]
    return Running(gate=gate, course=course, views=views)


def _size(gate: Gate, course: Course, origin: Origin, family: int | Mapping[bool, int]) -> int:
    return family if isinstance(family, int) else family[_of_head(gate, course, origin)]


def _of_head(gate: Gate, course: Course, origin: Origin) -> bool:
    """Whether nothing but head's own suite or policy asks."""
    return gate.new or "head" in (course.stream.judge.origin, origin)


def family_sizes(gates: Iterable[Gate], courses: Mapping[Gate, Sequence[Course]]) -> dict[bool, int]:
    """How many comparisons the family of base's gates has, and that of head's (True): `core.families`. Fixed before the run."""
    sizes = {False: 0, True: 0}
    for gate in gates:
        for course in courses[gate]:
            moving = sum(not course.still(index) for index in range(len(course.flags)))
            for origin, _ in course.stream.policies:
                sizes[_of_head(gate, course, origin)] += moving
    return {of_head: max(1, size) for of_head, size in sizes.items()}


def moved(running: Running) -> bool:
    """Whether some reference has head's model identity, and the answers used report more than one model."""
    return any(_moved(running, index) for index in range(len(running.course.flags)))


def _moved(running: Running, index: int) -> bool:
    contender = running.course.stream.references[index].contender
    if contender is None or contender.model.identity.digest != running.course.stream.head.model.identity.digest:
        return False
    return len(running.models.get(HEAD, set()) | running.models.get(str(index), set())) > 1


def widened(course: Course) -> Course:
    """*course* with references asked anew, in slots that nothing stands in."""
    return replace(course, slots=[(BASELINE + FRESH,) if slots else () for slots in course.slots])


def gate_report(gate: Gate, running: Sequence[Running]) -> GateReport:
    """What was found of *gate*, each test alone; families have the last word."""
    comparisons = [each for one in running for each in _comparisons(one)]
    views = [(one, view) for one in running for view in one.views]
    floor = _worst_floor([each for one, view in views for each in _own(one, view, _floors(one, view))])
    guards = _distinct(
        (each for one, view in views for each in _own(one, view, _guards(one, view))), lambda each: (each.guard, each.limit)
    )
    slices = _distinct(
        (each for one, view in views for each in _own(one, view, _slices(view))), lambda each: (each.by, each.value, each.blocks)
    )
    first = running[0].views[0].policy
    needed = [each.needed for each in comparisons if each.needed]
    forecasts = [view.forecast for one in running for view in one.views if view.forecast is not None]
    made = sum(one.calls_made for one in running)
    costs = [one.cost_usd for one in running if one.cost_usd is not None]
    return GateReport(
        suite=gate.suite,
        prompt=gate.prompt,
        model=gate.model,
        verdict=Verdict.PASS,
        mode=first.mode,
        margin=min(view.policy.margin for one in running for view in one.views),
        alpha=min(view.policy.alpha for one in running for view in one.views),
        changed=tuple(gate.changed),
        note="; ".join(filter(None, (gate.anchored, _identical(running)))),
        comparisons=tuple(comparisons),
        floor=floor,
        guards=tuple(guards),
        slices=tuple(slices),
        mde=max((each.mde for each in forecasts), default=None),
        needed=max(needed, default=None),
        expected_calls=sum(each.calls_no_change for each in forecasts) if forecasts else None,
        calls_made=made,
        calls_saved=max(0, sum(_from_scratch(one.course) for one in running) - made),
        cost_usd=sum(costs) if costs else None,
        new=gate.new,
        where=gate.where,
        quarantined=tuple(_changed_case(pair) for one in running for pair in one.quarantined),
    )


def _from_scratch(course: Course) -> int:
    """Calls that measuring every case on both sides anew would have made."""
    return course.cases * (len(course.head_slots) + len(course.flags))


def _identical(running: Sequence[Running]) -> str:
    courses = [one.course for one in running]
    same = bool(courses) and all(course.flags and all(course.all_same(i) for i in range(len(course.flags))) for course in courses)
    return "no answer can differ: every case asks the same as before" if same else ""


def _comparisons(running: Running) -> list[Comparison]:
    return [
        _comparison(running, judged, index) for judged in running.views for index in range(len(running.course.stream.references))
    ]


def _comparison(running: Running, judged: Judged, index: int) -> Comparison:
    course = running.course
    reference = course.stream.references[index]
    excluded = course.excluded(index)
    if reference.contender is None:
        note = f"the {reference.kind} {reference.revision} cannot be measured: {reference.problem}; `anchor: none` does without"
        return _without(running, judged, index, "provider_down", note)
    if not covered(course, index, judged.policy):
        return _without(running, judged, index, "coverage", _uncovered(course, index))
    if course.all_same(index):
        same = _without(running, judged, index, None, "every case asks the same as before")
        whole = len(course.units)
        return replace(same, verdict=Verdict.PASS, n=course.cases, units=whole, unchanged=course.cases, drop=0.0, still=True)
    contest = judged.contests[index]
    assert contest is not None
    found = contest.finish(consumed_all=not running.early)
    if _moved(running, index):
        names = ", ".join(sorted(running.models.get(HEAD, set()) | running.models.get(str(index), set())))
        note = f"the answers come from more than one model ({names}) behind one name"
        found = replace(found, verdict=Verdict.UNMEASURED, reason="model_moved", note=note)
    note = found.note
    if excluded:
        note = "; ".join(filter(None, (note, f"{excluded:,} cases that one side cannot be asked are left out")))
    if found.verdict is Verdict.PASS and not _passes_with_lost(course, index, found):
        found, note = replace(found, verdict=Verdict.UNDECIDED), f"{note}; were they wrong, the drop could reach the margin"
    return replace(found, excluded=excluded, note=note, still=course.still(index))


def _passes_with_lost(course: Course, index: int, found: Comparison) -> bool:
    """Whether the drop would stay below the margin had head failed the cases that it alone cannot be asked."""
    share = course.lost[index] / course.cases
    return not share or (found.upper is not None and found.upper * (1 - share) + share < found.margin)


def _uncovered(course: Course, index: int) -> str:
    some, count = ", ".join(course.excluded_cases[index][:5]), course.excluded(index)
    said = f"{count:,} of {course.cases:,} cases cannot be asked on both sides ({some} …)"
    if course.cases - count >= COVERAGE * course.cases:
        return f"{said}: head has lost as many as the margin allows to be broken"
    return f"{said}: fewer than 90 % are left"


def _without(running: Running, judged: Judged, index: int, reason: Reason | None, note: str) -> Comparison:
    """A comparison that was not measured."""
    course = running.course
    reference = course.stream.references[index]
    return Comparison(
        kind=reference.kind,
        revision=reference.revision,
        suite_from=course.stream.judge.origin,
        policy_from=judged.origin,
        prompt=running.gate.prompt,
        model=running.gate.model,
        verdict=Verdict.UNMEASURED,
        planned=len(course.units),
        excluded=course.excluded(index),
        margin=judged.policy.margin,
        alpha=judged.policy.alpha,
        reason=reason,
        note=note,
    )


def _own(running: Running, judged: Judged, results: Iterable[Result]) -> Iterator[Result]:
    """*results* with who asks for them."""
    head = "head" in (running.course.stream.judge.origin, judged.origin)
    return (replace(each, origin="head" if head else "base") for each in results)


def _floors(running: Running, judged: Judged) -> tuple[FloorResult, ...]:
    if judged.floor is None:
        return ()
    planned = sum(len(unit) for unit in running.course.units)
    found = judged.floor.finish(planned_cases=planned, stopped_early=running.early, alpha=judged.policy.alpha)
    return () if found is None else (found,)


def _guards(running: Running, judged: Judged) -> tuple[GuardResult, ...]:
    if judged.guards is None:
        return ()
    return judged.guards.finish(stopped_early=running.early, interleaved=running.interleaved, alpha=judged.policy.alpha)


def _slices(judged: Judged) -> tuple[SliceResult, ...]:
    return () if judged.parts is None else judged.parts.finish(alpha=judged.policy.alpha, power=judged.policy.power)


def _worst_floor(floors: Sequence[FloorResult]) -> FloorResult | None:
    """The gravest of the floors of all policies, its p corrected for having been chosen (Bonferroni)."""
    found = max(floors, key=lambda each: (SEVERITY[each.verdict], each.floor), default=None)
    return found if found is None or found.p is None else replace(found, p=min(1.0, found.p * len(floors)))


def _distinct(found: Iterable[Result], key: Callable[[Result], tuple[object, ...]]) -> list[Result]:
    """One result for each key, the gravest, its p corrected for having been chosen (Bonferroni)."""
    alike: dict[tuple[object, ...], list[Result]] = {}
    for each in found:
        alike.setdefault(key(each), []).append(each)
    return [_gravest(each) for each in alike.values()]


def _gravest(alike: Sequence[Result]) -> Result:
    found = max(alike, key=lambda each: SEVERITY[each.verdict])
    p: float | None = found.p
    return found if p is None else replace(found, p=min(1.0, p * len(alike)))


def _changed_case(pair: Pair) -> CaseChange:
    base, head = _text(pair.base), _text(pair.head)
    values = [_mean(side) for side in (pair.base, pair.head)]
    return CaseChange(
        case=pair.case,
        where=pair.where,
        base_answer=base,
        head_answer=head,
        expected=pair.expected,
        reason=next((each.reason for each in pair.head if each.reason), ""),
        diff=() if pair.same else word_diff(base, head),
        drop=values[0] - values[1],
        quarantined=True,
    )


def _text(side: Sequence[Graded]) -> str:
    return next((each.answer for each in side if each.answer), "")


def _mean(side: Sequence[Graded]) -> float:
    passed = [each.passed for each in side if each.passed is not None]
    return sum(passed) / len(passed) if passed else 0.0
