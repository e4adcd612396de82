"""Families: the verdict over many gates. What each test found alone goes in, what may be said of all of them at once comes out.

Knows p-values, alphas and verdicts; knows no answers, no cases and no files.

    family of                        its members
    comparisons of gates in base     each p_harm
    comparisons of gates only in     each p_harm: whoever adds a thousand trivial suites dilutes his own alpha, nobody else's
      head
    safeguards of gates in base      floors, guards, slices that block: each p
    safeguards of gates only in head

Within a family a FAIL stands only if Holm's procedure confirms it (S. Holm, A simple sequentially rejective multiple test
procedure, Scandinavian Journal of Statistics 6 (1979) 65-70), so that a change which changes nothing is blocked with probability
alpha at most by each family, however its tests depend on each other. Policies may differ in alpha: Holm runs over p / alpha, which
keeps the family-wise error below the greatest alpha of its members (the same union bound, each term with its own alpha).

PASS needs no correction: all must pass (an intersection-union test).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias, TypeVar

from promptreg.core.stats.families import holm
from promptreg.core.verdict import Comparison, Finding, FloorResult, GateReport, GuardResult, SliceResult, Verdict, worst
from promptreg.errors import ExitCode, Reason

REPAIRED = "still worse than the last release, but a shown gain over the base: a repair may be merged"

Kind: TypeAlias = Literal["comparison", "floor", "guard", "slice"]
Place: TypeAlias = tuple[int, Kind, int]  # the gate's number, what it is, its number there
_Safeguard = TypeVar("_Safeguard", FloorResult, GuardResult, SliceResult)


@dataclass(frozen=True, slots=True)
class _Claim:
    """One p-value, where it came from, and the alpha it was to be held against."""

    place: Place
    p: float
    alpha: float


def judge(gates: Sequence[GateReport]) -> tuple[GateReport, ...]:
    """*gates* as their tests left them → the same gates, in the same order, with the verdicts that stand.

    A test that says FAIL or UNDECIDED says FAIL afterwards if its family rejects it, else UNDECIDED. A PASS stays and weighs p = 1,
    so does what is UNMEASURED. Slices that block get the p-value that Holm adjusted. Where nothing was measured: UNMEASURED.
    """
    claims = [_claims(number, gate) for number, gate in enumerate(gates)]
    adjusted: dict[Place, float] = {}
    for new in (False, True):
        mine = [claim for gate, found in zip(gates, claims, strict=True) if gate.new is new for claim in found]
        adjusted |= _adjusted([claim for claim in mine if claim.place[1] == "comparison"])
        adjusted |= _adjusted([claim for claim in mine if claim.place[1] != "comparison"])
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


def _claims(number: int, gate: GateReport) -> list[_Claim]:
    """Every test of *gate* that counts for its verdict. The family's size is thus known before anything is measured."""
    claims = [
        _Claim((number, "comparison", index), 1.0 if repaired(each, gate) else _p(each.verdict, each.p_harm), each.alpha)
        for index, each in enumerate(gate.comparisons)
    ]
    if gate.floor is not None:
        claims.append(_Claim((number, "floor", 0), _p(gate.floor.verdict, gate.floor.p), _alpha(gate.floor, gate)))
    for index, guard in enumerate(gate.guards):
        claims.append(_Claim((number, "guard", index), _p(guard.verdict, guard.p), _alpha(guard, gate)))
    for index, part in enumerate(gate.slices):
        if part.blocks:
            claims.append(_Claim((number, "slice", index), _p(part.verdict, part.p), _alpha(part, gate)))
    return claims


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
        else _confirmed(each, adjusted[number, "comparison", index])
        for index, each in enumerate(gate.comparisons)
    )
    floor = gate.floor and _safeguard(gate.floor, adjusted[number, "floor", 0], gate)
    guards = tuple(_safeguard(each, adjusted[number, "guard", index], gate) for index, each in enumerate(gate.guards))
    slices = tuple(
        replace(_safeguard(each, adjusted[number, "slice", index], gate), p=adjusted[number, "slice", index])
        if each.blocks
        else each
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


def _alpha(result: FloorResult | GuardResult | SliceResult, gate: GateReport) -> float:
    """That of the policy which asks for *result*: the author's own policy must not make base's guards stricter or laxer."""
    return gate.alpha if result.alpha is None else result.alpha


def _joined(note: str, more: str) -> str:
    return f"{note}; {more}" if note else more
