"""Whether a gate's promises hold: it drives the real Contest, unit by unit, over many simulated changes.

python benchmarks/calibration.py [--runs N] [--seed S] [--only NAME ...]

Fixed mode is computed exactly: the Contest is asked for its verdict on the counts around its two thresholds, and the trinomial is
summed over them. Everything else is simulated, with the standard error beside each figure. Goals are those of METHODS A13. Exits
with 1 if one is missed. The default takes about ten minutes on one core.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from promptreg.core.contest import Contest, Judgement, Rules
from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.stats.families import holm
from promptreg.core.suite import Policy
from promptreg.core.verdict import Mode, Verdict

ALPHA, WORST_TANGO = 0.05, 0.06
MARGIN = 0.05
DISCORDANCES = (0.02, 0.05, 0.10, 0.20, 0.40, 0.60)
SIZES = (50, 100, 200, 350, 500, 1000)
SIGMAS = 3.0  # how far a simulated rate may stray above its promise
FIXED_N, PLANNED = 370, 592  # a fixed-n test of 90 % power at 5 points and discordance .10, and the order a sequential one needs
FLAKY, STEADY = 0.30, 1.0  # share of cases that answer by chance, and how often the others pass
FLAKY_RATE = (1 + math.sqrt(1 - 2 * 0.10 / FLAKY)) / 2  # 2p(1-p) of the flaky are discordant: .10 over all cases

RIGHT, WRONG = Graded(passed=True, score=1.0), Graded(passed=False, score=0.0)
ONE = {True: (RIGHT,), False: (WRONG,)}
KEPT, BROKEN, FIXED = (
    Unit("u", (Pair(case="u", base=ONE[base], head=ONE[head]),)) for base, head in ((True, True), (True, False), (False, True))
)


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of runs in per cent, or a mean, with its standard error."""

    value: float
    error: float = 0.0

    @classmethod
    def of(cls, hits: int, runs: int) -> Rate:
        share = hits / runs
        return cls(share, math.sqrt(max(share * (1 - share), 1 / runs) / runs))

    @classmethod
    def mean(cls, values: Sequence[float]) -> Rate:
        centre = math.fsum(values) / len(values)
        return cls(centre, math.sqrt(math.fsum((value - centre) ** 2 for value in values) / max(1, len(values) - 1) / len(values)))

    def __str__(self) -> str:
        return f"{100 * self.value:5.2f} ± {100 * self.error:.2f} %"


def rules(
    planned: int,
    mode: Mode,
    *,
    margin: float = MARGIN,
    family: int = 1,
    batch: int = 8,
    binary: bool = True,
    noise: float | None = None,
) -> Rules:
    return Rules(
        kind="base",
        revision="",
        suite_from="base",
        policy_from="base",
        prompt="p",
        model="m",
        policy=Policy(margin=margin, mode=mode, batch=batch),
        planned=planned,
        binary=binary,
        family=family,
        seed="calibration",
        noise=noise,
    )


def run(given: Rules, units: Iterable[Unit]) -> tuple[Judgement, int]:
    """What the contest says of *units*, and how many of them it took."""
    contest = Contest(given)
    for unit in units:
        contest.add(unit)
        if contest.decided is not None:
            break
    return contest.judge(consumed_all=contest.units == given.planned), contest.units


def changed(chance: random.Random, n: int, discordance: float, drop: float) -> Iterator[Unit]:
    """*n* cases, each broken with (discordance + drop) / 2 and fixed with (discordance - drop) / 2."""
    broken, either = (discordance + drop) / 2, discordance
    draw = chance.random
    for _ in range(n):
        at = draw()
        yield KEPT if at >= either else BROKEN if at < broken else FIXED


# -- fixed mode, exactly ----------------------------------------------------------------------------------------------------------


@cache
def fixed_verdict(n: int, margin: float, broken: int, fixed: int) -> Verdict:
    units = (KEPT,) * (n - broken - fixed) + (BROKEN,) * broken + (FIXED,) * fixed
    return run(rules(n, "fixed", margin=margin), units)[0].verdict


@cache
def thresholds(n: int, margin: float, discordant: int) -> tuple[int, int]:
    """Of *discordant* cases: the most broken ones that PASS (-1: none), and the fewest that FAIL. Both rules are monotone."""

    def first(holds: Callable[[Verdict], bool]) -> int:
        below, above = -1, discordant + 1  # holds at none, at all
        while above - below > 1:
            middle = (below + above) // 2
            if holds(fixed_verdict(n, margin, middle, discordant - middle)):
                above = middle
            else:
                below = middle
        return above

    return first(lambda verdict: verdict is not Verdict.PASS) - 1, first(lambda verdict: verdict is Verdict.FAIL)


def fixed_rates(n: int, discordance: float, drop: float, margin: float = MARGIN) -> tuple[float, float]:
    """P(FAIL) and P(PASS) of a fixed gate, over every count of broken and fixed cases that could be seen."""
    fails = passes = 0.0
    for discordant, weight in _binomial(n, discordance):
        most, least = thresholds(n, margin, discordant)
        share = (discordance + drop) / (2 * discordance)
        for broken, chance in _binomial(discordant, share):
            passes += weight * chance * (broken <= most)
            fails += weight * chance * (broken >= least)
    return fails, passes


def _binomial(n: int, p: float) -> Iterator[tuple[int, float]]:
    """The counts within eight standard deviations, with their probabilities."""
    if p <= 0 or p >= 1:
        yield (0 if p <= 0 else n), 1.0
        return
    reach = 8 * math.sqrt(n * p * (1 - p)) + 2
    for count in range(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1):
        log = math.lgamma(n + 1) - math.lgamma(count + 1) - math.lgamma(n - count + 1)
        yield count, math.exp(log + count * math.log(p) + (n - count) * math.log1p(-p))


# -- figures and goals ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Table:
    """Prints each figure as it comes, and remembers whether a goal was missed."""

    runs: int
    seed: int
    missed: int = 0

    def chance(self, *name: object) -> random.Random:
        return random.Random("/".join(map(str, (self.seed, *name))))

    def row(self, what: str, figure: str, goal: str = "", holds: bool | None = None) -> None:
        if holds is False:
            self.missed += 1
        print(f"{what:<74}{figure:>16}  {goal:<24}{'' if holds is None else 'holds' if holds else 'MISSED'}", flush=True)

    def at_most(self, what: str, rate: Rate, goal: float) -> None:
        text = f"<= {100 * goal:g} %" + (" + 3 s.e." if rate.error else "")
        self.row(what, str(rate), text, rate.value <= goal + SIGMAS * rate.error + 1e-12)

    def at_least(self, what: str, rate: Rate, goal: float) -> None:
        self.row(what, str(rate), f">= {100 * goal:g} %", rate.value >= goal)


def errors_fixed(table: Table) -> None:
    """False blocks and missed regressions of fixed mode: exact."""
    worst_block = worst_pass = (0.0, "")
    for n in SIZES:
        for discordance in DISCORDANCES:
            margin = min(MARGIN, discordance)  # no drop is greater than its discordance
            block, missed = fixed_rates(n, discordance, 0.0, margin)[0], fixed_rates(n, discordance, margin, margin)[1]
            cell = f"n {n}, discordance {discordance:.2f}, margin {margin:.2f}"
            worst_block, worst_pass = max(worst_block, (block, cell)), max(worst_pass, (missed, cell))
            table.row(f"fixed: {cell}", f"{100 * block:.2f} / {100 * missed:.2f} %", "false block / missed")
    table.at_most(f"fixed: worst false block ({worst_block[1]})", Rate(worst_block[0]), ALPHA)
    table.at_most(f"fixed: worst missed ({worst_pass[1]})", Rate(worst_pass[0]), WORST_TANGO)


def errors_early(table: Table) -> None:
    """The same of sequential and hybrid mode: simulated."""
    for mode in ("sequential", "hybrid"):
        for n in SIZES:
            for discordance in DISCORDANCES:
                margin = min(MARGIN, discordance)
                given = rules(n, mode, margin=margin)
                rates = []
                for drop, wrong in ((0.0, Verdict.FAIL), (margin, Verdict.PASS)):
                    chance = table.chance("errors", mode, n, discordance, drop)
                    hits = sum(run(given, changed(chance, n, discordance, drop))[0].verdict is wrong for _ in range(table.runs))
                    rates.append(Rate.of(hits, table.runs))
                cell = f"{mode}: n {n}, discordance {discordance:.2f}, margin {margin:.2f}"
                table.at_most(f"{cell}: false block", rates[0], ALPHA)
                table.at_most(f"{cell}: missed at the margin", rates[1], ALPHA)


def families(table: Table) -> None:
    """Twelve gates with nothing changed: how often Holm lets one of them block."""
    gates, n = 12, 340
    for mode in ("fixed", "sequential", "hybrid"):
        given, chance, blocked = rules(n, mode, family=gates), table.chance("family", mode), 0
        runs = max(200, table.runs // 2)
        for _ in range(runs):
            found = [run(given, changed(chance, n, 0.10, 0.0))[0] for _ in range(gates)]
            p_values = holm([1.0 if one.verdict is Verdict.PASS else one.p_harm for one in found])
            blocked += any(one.verdict is Verdict.FAIL and p <= ALPHA for one, p in zip(found, p_values, strict=True))
        table.at_most(f"{mode}: 12 gates of {n} cases, nothing changed, blocked", Rate.of(blocked, runs), ALPHA)


def savings(table: Table) -> None:
    """Power of the sequential gate, and the calls it saves against the fixed test of equal errors."""
    fails, passes = fixed_rates(FIXED_N, 0.10, MARGIN)[0], fixed_rates(FIXED_N, 0.10, 0.0)[1]
    table.row(
        f"fixed: n {FIXED_N}: power at 5 points / PASS at no change", f"{100 * fails:.1f} / {100 * passes:.1f} %", "(equal errors)"
    )
    for batch in (1, 8):
        goals = ((0.0, Verdict.PASS, 0.30), (MARGIN, Verdict.FAIL, 0.34), (2 * MARGIN, Verdict.FAIL, 0.65))
        for drop, right, goal in goals:
            name = f"sequential: {PLANNED} cases, batch {batch}, drop {100 * drop:.0f} points"
            given, chance = rules(PLANNED, "sequential", batch=batch), table.chance("savings", batch, drop)
            found = [run(given, changed(chance, PLANNED, max(0.10, drop), drop)) for _ in range(table.runs)]
            power = Rate.of(sum(one.verdict is right for one, _ in found), table.runs)
            table.at_least(f"{name}: {right}", power, 0.88)
            used = Rate.mean([units for _, units in found])
            saved = Rate(1 - used.value / FIXED_N, used.error / FIXED_N)
            table.at_least(f"{name}: calls saved ({used.value:.0f} of {FIXED_N})", saved, goal)


def golden(table: Table) -> None:
    """Target golden: whether it says what the whole set would have said, and the calls it saves."""
    for n in (100, 350, 1000):
        policy = Policy(mode="sequential", target="golden")
        given = replace(rules(n, "sequential"), policy=policy)
        for drop in (0.0, MARGIN, 2 * MARGIN):
            chance, agreed, used = table.chance("golden", n, drop), 0, []
            runs = max(200, table.runs // 4)
            for _ in range(runs):
                units = list(changed(chance, n, max(0.10, drop), drop))
                judgement, taken = run(given, units)
                worse = sum((unit is BROKEN) - (unit is FIXED) for unit in units) >= policy.margin * n - 1e-9
                agreed += judgement.verdict is (Verdict.FAIL if worse else Verdict.PASS)
                used.append(taken / n)
            name = f"golden: {n} cases, drop {100 * drop:.0f} points"
            table.at_least(f"{name}: agrees with the whole set", Rate.of(agreed, runs), 0.97)
            mean = Rate.mean(used)
            saved = Rate(1 - mean.value, mean.error)
            if drop == 0 and n >= 350:
                table.at_least(f"{name}: calls saved", saved, 0.50)
            else:
                table.row(f"{name}: calls saved", str(saved))


# -- cases with a life of their own -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Population:
    """Cases with their chance to pass; three in ten are flaky."""

    rates: list[float]

    @classmethod
    def fresh(cls, chance: random.Random, n: int) -> Population:
        return cls([FLAKY_RATE if chance.random() < FLAKY else STEADY for _ in range(n)])

    def worse(self, chance: random.Random, share: float) -> Population:
        """*share* of all cases broken for good: as many steady ones as that takes."""
        steady = [at for at, rate in enumerate(self.rates) if rate == STEADY]
        count = math.floor(share * len(self.rates) + chance.random())
        rates = list(self.rates)
        for at in chance.sample(steady, min(count, len(steady))):
            rates[at] = 0.0
        return Population(rates)

    def answers(self, chance: random.Random, times: int = 1) -> list[tuple[Graded, ...]]:
        draw = chance.random
        if times == 1:
            return [ONE[draw() < rate] for rate in self.rates]
        return [tuple(RIGHT if draw() < rate else WRONG for _ in range(times)) for rate in self.rates]


def paired(base: Sequence[tuple[Graded, ...]], head: Sequence[tuple[Graded, ...]]) -> Iterator[Unit]:
    for one, other in zip(base, head, strict=True):
        yield Unit("u", (Pair(case="u", base=one, head=other),))


def repeats(table: Table) -> None:
    """Calls saved with five stored baseline repeats, against the same fixed test of one stored run."""
    n = 500
    goals = ((0.0, Verdict.PASS, 0.45), (MARGIN, Verdict.FAIL, 0.35), (2 * MARGIN, Verdict.FAIL, 0.65))
    runs = max(200, table.runs // 2)
    for stored in (1, 5):
        for drop, right, goal in goals:
            chance, found = table.chance("repeats", stored, drop), []
            given = rules(n, "sequential", binary=stored == 1, noise=0.10)
            for _ in range(runs):
                old = Population.fresh(chance, n)
                new = old.worse(chance, drop)
                found.append(run(given, paired(old.answers(chance, stored), new.answers(chance))))
            power = Rate.of(sum(one.verdict is right for one, _ in found), runs)
            used = Rate.mean([units for _, units in found])
            saved = Rate(1 - used.value / FIXED_N, used.error / FIXED_N)
            name = f"sequential: {stored} stored, {n} cases, drop {100 * drop:.0f} points"
            table.row(f"{name}: {right}", str(power))
            if stored == 5:
                table.at_least(f"{name}: calls saved ({used.value:.0f} of {FIXED_N})", saved, goal)
            else:
                table.row(f"{name}: calls saved ({used.value:.0f} of {FIXED_N})", str(saved))


def merges(table: Table) -> None:
    """Twenty changes in a row, each a point worse; what is not blocked is merged: what was truly lost, with and without anchor."""
    n, changes = 350, 20
    for drop in (0.0, 0.01):
        for anchored, stored in ((False, 1), (True, 1), (True, 5)):
            chance, losses, blocked = table.chance("merges", drop, anchored, stored), [], 0
            given = rules(n, "hybrid", family=1 + anchored, binary=stored == 1, noise=0.10)
            runs = max(20, table.runs // (10 if stored == 1 else 40))  # the graded rule resamples
            for _ in range(runs):
                released = base = Population.fresh(chance, n)
                release = released.answers(chance, stored)
                for _ in range(changes):
                    head = base.worse(chance, drop)
                    answers = head.answers(chance)
                    references = [base.answers(chance, stored), release][: 1 + anchored]
                    found = [run(given, paired(reference, answers))[0] for reference in references]
                    p_values = holm([1.0 if one.verdict is Verdict.PASS else one.p_harm for one in found])
                    stopped = any(one.verdict is Verdict.FAIL and p <= ALPHA for one, p in zip(found, p_values, strict=True))
                    blocked += stopped
                    base = base if stopped else head
                losses.append((math.fsum(released.rates) - math.fsum(base.rates)) / n)
            name = f"hybrid: 20 merges of -{100 * drop:.0f} point, {'anchor' if anchored else 'no anchor'}, {stored} stored"
            loss, rate = Rate.mean(losses), Rate.of(blocked, runs * changes)
            if drop == 0:
                table.at_most(f"{name}: blocked each", rate, ALPHA)
                continue
            table.row(f"{name}: blocked each", str(rate))
            if anchored:
                table.row(f"{name}: points lost", str(loss), f"<= {100 * MARGIN + 1:g} %", loss.value <= MARGIN + 0.01)
            else:
                table.row(f"{name}: points lost", str(loss))


def speed(table: Table) -> None:
    """What one unit costs the fold."""
    for mode in ("fixed", "sequential"):
        units = list(changed(table.chance("speed"), 200_000, 0.20, 0.0))
        contest = Contest(replace(rules(len(units), mode), policy=Policy(mode=mode, batch=len(units) + 1)))
        start = time.perf_counter()
        for unit in units:
            contest.add(unit)
        table.row(f"{mode}: one binary unit", f"{(time.perf_counter() - start) / len(units) * 1e6:.2f} us")


SECTIONS: dict[str, Callable[[Table], None]] = {
    section.__name__: section for section in (speed, errors_fixed, errors_early, families, savings, golden, repeats, merges)
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000, help="simulated runs of each cell (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all chance in here (default: %(default)s)")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), help="which sections (default: all)")
    given = parser.parse_args()
    table = Table(given.runs, given.seed)
    start = time.perf_counter()
    for name in given.only:
        began = time.perf_counter()
        print(f"\n{SECTIONS[name].__doc__}")
        SECTIONS[name](table)
        print(f"({time.perf_counter() - began:.0f} s)")
    print(f"\n{table.missed} goals missed; {given.runs:,} runs, seed {given.seed}, {time.perf_counter() - start:.0f} s")
    return 1 if table.missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
