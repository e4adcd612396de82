"""Forecast: what a gate can be expected to say and to cost, before its first call. Warns, never refuses. Asks nobody.

Rests on what `contest` will do, and on one guess: the discordance, how many cases an edit moves one way or the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import NormalDist

from promptreg.core.contest import ANYTIME, prior
from promptreg.core.stats.power import cases_needed, exact_power, expected_units, mde
from promptreg.core.suite import Policy

HOPELESS = 0.5  # a gate that will more likely than not leave an unchanged prompt UNDECIDED
LONGEST = 3000  # units: a longer order ends no later, on average, and only takes longer to simulate
CAREFUL = 12  # simulations of 50 ms
FINELY, ROUGHLY = 1.2, 3.0  # how far apart two orders may be and still be taken for alike
SMALLEST = 1e-4  # a margin below it is none: more cases than there can be would be needed
EXACT = 2000  # units up to which the chance of a PASS is summed, about 30 ms; beyond, the normal curve is as good


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """Figures for one comparison. Calls are means, one for each unit that needs any; repeats and judges multiply them.

    `pass_chance` is that of a PASS if in truth nothing changed. `needed`: how many units would raise it to the policy's power (0:
    no number would). `mde` is the smallest drop that is shown with that power. `at_margin`, `at_double`: at a true drop of the
    margin, and of twice as much.
    """

    units: int
    calls: int  # at most: units whose answers nobody knows yet
    calls_no_change: int
    calls_at_margin: int
    calls_at_double: int
    mde: float
    pass_chance: float
    hopeless: bool
    needed: int
    discordance: float  # over all units, the unchanged ones included
    text: tuple[str, ...] = ()


def forecast(
    policy: Policy,
    planned: int,
    *,
    unchanged: int = 0,
    known: int = 0,
    noise: float | None = None,
    model_change: bool = False,
    each: float = 1.0,
    lengths: Lengths | None = None,
) -> Forecast:
    """What to expect of *planned* units, of which *unchanged* enter as exact zeros and *known* need no call either.

    *each* is how many calls one of the others takes on average: its repeats on both sides, less those that are known. *lengths*
    holds what was simulated for others.

    *noise* is the discordance of base's own stored repeats, if there are any. Raises ValueError where more is unchanged and known
    than planned.
    """
    if planned < 0 or min(unchanged, known) < 0 or unchanged + known > planned:
        raise ValueError(f"{unchanged} unchanged and {known} known of {planned} planned units")
    moving = (planned - unchanged) / planned if planned else 0.0
    discordance = prior(noise, model_change=model_change) * moving  # what does not change cannot differ
    calls = round((planned - unchanged - known) * each)
    shares = Lengths() if lengths is None else lengths
    no_change, at_margin, at_double = (
        min(calls, round(calls * shares.share(policy, planned, discordance, times))) if calls else 0 for times in (0, 1, 2)
    )
    chance = pass_chance(policy, planned, discordance)
    found = Forecast(
        units=planned,
        calls=calls,
        calls_no_change=no_change,
        calls_at_margin=at_margin,
        calls_at_double=at_double,
        mde=mde(planned, discordance, _level(policy), policy.power),
        pass_chance=chance,
        hopeless=planned > 0 and chance < HOPELESS,
        needed=_needed(policy, discordance),
        discordance=discordance,
    )
    return replace(found, text=tuple(_lines(policy, found, unchanged))) if planned else found


def pass_chance(policy: Policy, units: int, discordance: float) -> float:
    """The chance of a PASS if in truth nothing changed: that of the fixed test, at the half of alpha that hybrid mode leaves it.

    Of early stopping a gate has a few points more (hybrid) or about as much (sequential, which has no fixed test).
    """
    if units < max(1, policy.min_cases) or policy.margin < SMALLEST:
        return 0.0
    if policy.target == "golden":
        return 1.0  # the set itself is the truth: if it shows no change, reading it shows that
    alpha = policy.alpha if policy.mode == "fixed" else policy.alpha / 2
    if units <= EXACT:
        return exact_power("PASS", n=units, discordance=discordance, drop=0.0, margin=policy.margin, alpha=alpha)
    if not discordance:
        return 1.0
    normal = NormalDist()
    return normal.cdf(policy.margin * math.sqrt(units / discordance) - normal.inv_cdf(1 - alpha))


def _level(policy: Policy) -> float:
    return policy.alpha / 2 if policy.mode == "hybrid" and policy.target == "population" else policy.alpha


class Lengths:
    """How much of its order a run reads on average. That is simulated, once for all that are alike: what counts is
    margin² · units / discordance and, less so, how coarse the margin is beside the discordance, and a batch beside the order. Who
    asks for many gets the later ones less exactly."""

    def __init__(self) -> None:
        self._shares: dict[tuple[object, ...], float] = {}

    @property
    def simulated(self) -> int:
        return len(self._shares)

    def share(self, policy: Policy, planned: int, discordance: float, times: int) -> float:
        """The share of *planned* units that is read at a true drop of the margin, *times* over. Less with a golden target: this is
        an upper bound."""
        mode = "sequential" if policy.target == "golden" and policy.mode == "hybrid" else policy.mode
        if mode == "fixed":
            return 1.0
        drop, length = min(times * policy.margin, 1.0), min(planned, LONGEST)
        moving = max(discordance, drop)
        coarse = policy.margin / moving if moving else 0.0
        alike = _rank(coarse * policy.margin * length, FINELY), _rank(coarse, ROUGHLY), _rank(policy.batch / length, ROUGHLY)
        key = (mode, policy.alpha, times, *alike)
        if key not in self._shares:
            facts = mode, length, moving, drop, policy.margin, policy.alpha
            units = expected_units(*facts, batch=policy.batch, quick=self.simulated >= CAREFUL)
            self._shares[key] = units / length
        return self._shares[key] * length / planned


def _rank(value: float, step: float) -> int | None:
    """Which range holds *value*; each is *step* times as wide as the one before."""
    return math.floor(math.log(value, step)) if value > 0 else None


def _needed(policy: Policy, discordance: float) -> int:
    if policy.margin < SMALLEST:
        return 0
    cases = cases_needed(discordance, policy.margin, _level(policy), policy.power)
    return max(policy.min_cases, math.ceil(cases * ANYTIME) if policy.mode == "sequential" else cases)


def _lines(policy: Policy, found: Forecast, unchanged: int) -> Iterator[str]:
    margin = 100 * policy.margin
    same = f", {unchanged:,} of them unchanged" if unchanged else ""
    shown = f"a drop of {100 * found.mde:.1f} points is shown with {policy.power:.0%} power"
    yield f"{found.units:,} cases{same}" + (f"; discordance {found.discordance:.2f} supposed; {shown}" if found.discordance else "")
    if found.calls:
        yield (
            f"calls expected: {found.calls_no_change:,} if nothing changed, {found.calls_at_margin:,} at a drop of {margin:g} "
            f"points, {found.calls_at_double:,} at {2 * margin:g}; at most {found.calls:,}"
        )
    if policy.margin < SMALLEST:
        yield "with a margin of 0 only a shown improvement is a PASS"
    elif found.hopeless:
        wider = replace(policy, margin=min(2 * policy.margin, 0.99))
        other = pass_chance(wider, found.units, found.discordance)
        yield (
            f"even an unchanged prompt PASSes only {found.pass_chance:.0%} of the time with {found.units:,} cases and a margin of "
            f"{margin:g} points: {found.needed:,} cases would make it {policy.power:.0%}"
            + (f", a margin of {100 * wider.margin:g} points {other:.0%}" if other > found.pass_chance else "")
        )
