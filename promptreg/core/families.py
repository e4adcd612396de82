"""Families: the verdict over many gates. What each test found alone goes in, what may be said of all of them at once comes out.

Knows p-values, alphas and verdicts; knows no answers, no cases and no files.

    family                its members
    comparisons of base   each p_harm of gates in base, as base's suite and base's policy judge them
    comparisons of head   those of gates only in head, and what head's own suites and policies say of others: whoever adds a
                          thousand trivial suites, or slices, dilutes his own alpha, nobody else's
    safeguards of base    floors, guards, slices that block: each p, where base asks for them
    safeguards of head    the others

A comparison in which every case asks the same on both sides cannot fail, nor can its guards and slices. That is known before the
run, and they are no members: touching a hundred suites dilutes nothing either.

Within a family a FAIL stands only if Holm's procedure confirms it (S. Holm, A simple sequentially rejective multiple test
procedure, Scandinavian Journal of Statistics 6 (1979) 65-70), so that a change which changes nothing is blocked with probability
alpha at most by each family, however its tests depend on each other. Policies may differ in alpha: Holm runs over p / alpha, which
keeps the family-wise error below the greatest alpha of its members (the same union bound, each term with its own alpha).

PASS needs no correction: all must pass (an intersection-union test).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from promptreg.core.stats.families import holm
from promptreg.core.verdict import Comparison, Finding, FloorResult, GateReport, GuardResult, SliceResult, Verdict, worst
from promptreg.errors import ExitCode, Reason

REPAIRED = "still worse than the last release, but a shown gain over the base: a repair may be merged"

Kind: TypeAlias = Literal["comparison", "floor", "guard", "slice"]
Place: TypeAlias = tuple[int, Kind, int]  # the gate's number, what it is, its number there
Family: TypeAlias = tuple[bool, bool]  # whether it is head's, whether of comparisons
_Safeguard = TypeVar("_Safeguard", FloorResult, GuardResult, SliceResult)
_Result: TypeAlias = FloorResult | GuardResult | SliceResult


@dataclass(frozen=True, slots=True)
class _Claim:
    """One p-value, where it came from, and the alpha it was to be held against."""

    place: Place
    p: float
    alpha: float
    family: Family


def judge(gates: Sequence[GateReport]) -> tuple[GateReport, ...]:
    """*gates* as their tests left them → the same gates, in the same order, with the verdicts that stand.

    A test that says FAIL or UNDECIDED says FAIL afterwards if its family rejects it, else UNDECIDED. A PASS stays and weighs p = 1,
    so does what is UNMEASURED. Slices that block get the p-value that Holm adjusted. Where nothing was measured: UNMEASURED.
    """
    families: dict[Family, list[_Claim]] = {}
    for number, gate in enumerate(gates):
        for claim in _claims(number, gate):
            families.setdefault(claim.family, []).append(claim)
    adjusted: dict[Place, float] = {}
    for family in families.values():
        adjusted |= _adjusted(family)
    return tuple(_judged(number, gate, adjusted) for number, gate in enumerate(gates))


def overall(gates: Iterable[GateReport], findings: Iterable[Finding] = ()) -> Verdict:
    """The verdict over the whole change, with what was accepted: FAIL, else UNMEASURED, else UNDECIDED, if any is; else PASS."""
    return worst([*(gate.verdict for gate in gates), *(finding.verdict for finding in findings)])


def standing(gates: Iterable[GateReport], findings: Iterable[Finding] = ()) -> Verdict:
    """As `overall`, without what somebody accepted with a reason: what the exit code follows from."""
    return overall(
        [gate for gate in gates if not gate.accepted.strip()],
        [finding for finding in findings if not finding.accepted.strip()],
    )


def exit_code(verdict: Verdict, *, undecided_blocks: bool) -> ExitCode:
    """The exit code for the *standing* verdict; UNDECIDED is as bad as UNMEASURED where its policy says `undecided: block`."""
    match verdict:
        case Verdict.PASS:
            return ExitCode.OK
        case Verdict.FAIL:
            return ExitCode.REGRESSION
        case Verdict.UNMEASURED:
            return ExitCode.UNMEASURED
        case Verdict.UNDECIDED:
            return ExitCode.UNMEASURED if undecided_blocks else ExitCode.OK


def repaired(anchor: Comparison, gate: GateReport) -> bool:
    """Whether *anchor* is only a note in its *gate*: the same suite and policy show a gain over base, and base passes throughout.

    UNDECIDED is excused as FAIL is: a repair must not be held up for being nearer to the release than one that is let through.
    """
    if anchor.kind != "anchor" or anchor.verdict not in (Verdict.FAIL, Verdict.UNDECIDED):
        return False
    base = [each for each in gate.comparisons if each.kind == "base"]
    judges = (anchor.suite_from, anchor.policy_from)
    shown = any(each.gained for each in base if (each.suite_from, each.policy_from) == judges)
    return shown and all(each.verdict is Verdict.PASS for each in base)


def _claims(number: int, gate: GateReport) -> Iterator[_Claim]:
    """Every test of *gate* that counts for its verdict and can fail. Thus the families' sizes are known before anything is."""
    for index, each in enumerate(gate.comparisons):
        if not each.still:
            p = 1.0 if repaired(each, gate) else _p(each.verdict, each.p_harm)
            yield _Claim((number, "comparison", index), p, each.alpha, (gate.new or each.origin == "head", True))
    moving = not gate.comparisons or not all(each.still for each in gate.comparisons)
    found: list[tuple[Kind, int, _Result]] = [("floor", 0, gate.floor)] if gate.floor else []
    found += [("guard", index, each) for index, each in enumerate(gate.guards) if moving]
    found += [("slice", index, each) for index, each in enumerate(gate.slices) if moving and each.blocks]
    for kind, index, one in found:
        family = (gate.new or one.origin == "head", False)
        yield _Claim((number, kind, index), _p(one.verdict, one.p), _alpha(one, gate), family)


def _p(verdict: Verdict, p: float | None) -> float:
    """What a test enters its family with."""
    return 1.0 if p is None or verdict in (Verdict.PASS, Verdict.UNMEASURED) else p


def _adjusted(family: Sequence[_Claim]) -> dict[Place, float]:
    """Each claim's p-value after Holm, on the scale of its own alpha: it is rejected iff that is at most its alpha."""
    if not family:
        return {}
    strictest = min(claim.alpha for claim in family)
    scaled = holm([claim.p * (strictest / claim.alpha) for claim in family])  # exactly p where all alphas are one
    return {claim.place: min(1.0, p * (claim.alpha / strictest)) for claim, p in zip(family, scaled, strict=True)}


def _judged(number: int, gate: GateReport, adjusted: dict[Place, float]) -> GateReport:
    """*gate* with the verdicts that its families left standing."""
    excused = {index for index, each in enumerate(gate.comparisons) if repaired(each, gate)}
    comparisons = tuple(
        replace(each, note=_joined(each.note, REPAIRED))
        if index in excused
        else _confirmed(each, adjusted.get((number, "comparison", index), 1.0))
        for index, each in enumerate(gate.comparisons)
    )
    floor = gate.floor and _safeguard(gate.floor, adjusted[number, "floor", 0], gate)
    guards = tuple(_safeguard(each, adjusted.get((number, "guard", index), 1.0), gate) for index, each in enumerate(gate.guards))
    slices = tuple(
        _slice(each, adjusted.get((number, "slice", index), 1.0), gate) if each.blocks else each
        for index, each in enumerate(gate.slices)
    )
    counting = [each.verdict for index, each in enumerate(comparisons) if index not in excused]
    counting += [floor.verdict] if floor else []
    counting += [each.verdict for each in guards] + [each.verdict for each in slices if each.blocks]
    verdict, reason = _whole(gate, comparisons, counting)
    return replace(
        gate,
        verdict=verdict,
        reason=reason,
        note=_joined(gate.note, REPAIRED) if excused else gate.note,
        comparisons=comparisons,
        floor=floor,
        guards=guards,
        slices=slices,
    )


def _confirmed(comparison: Comparison, p: float) -> Comparison:
    """*comparison* with the verdict that its family lets stand, and why, where that is another one."""
    verdict = _settled(comparison.verdict, p <= comparison.alpha)
    if comparison.verdict is Verdict.FAIL and verdict is Verdict.UNDECIDED:
        note = f"a drop seems to be there (p {comparison.p_harm:.3f}), but among so many gates chance may show one (p {p:.3f})"
        return replace(comparison, verdict=verdict, note=_joined(comparison.note, note))
    return replace(comparison, verdict=verdict)


def _whole(gate: GateReport, comparisons: Sequence[Comparison], counting: Sequence[Verdict]) -> tuple[Verdict, Reason | None]:
    """The gate's verdict and, if it is UNMEASURED, why. A reason given beforehand (an untrusted change) outlasts every PASS."""
    if not counting:
        verdict = worst([gate.verdict, Verdict.UNMEASURED])
    else:
        verdict = worst([*counting, *([Verdict.UNMEASURED] if gate.reason else [])])
    if verdict is not Verdict.UNMEASURED:
        return verdict, None
    told = (each.reason for each in comparisons if each.reason is not None and each.verdict is Verdict.UNMEASURED)
    return verdict, gate.reason or next(told, "missing_answers" if counting else "no_suite")


def _settled(verdict: Verdict, rejected: bool) -> Verdict:
    if verdict in (Verdict.PASS, Verdict.UNMEASURED):
        return verdict
    return Verdict.FAIL if rejected else Verdict.UNDECIDED


def _safeguard(result: _Safeguard, p: float, gate: GateReport) -> _Safeguard:
    return replace(result, verdict=_settled(result.verdict, p <= _alpha(result, gate)))


def _slice(part: SliceResult, p: float, gate: GateReport) -> SliceResult:
    return replace(_safeguard(part, p, gate), p=p)


def _alpha(result: _Result, gate: GateReport) -> float:
    """That of the policy which asks for *result*: the author's own policy must not make base's guards stricter or laxer."""
    return gate.alpha if result.alpha is None else result.alpha


def _joined(note: str, more: str) -> str:
    return f"{note}; {more}" if note else more
