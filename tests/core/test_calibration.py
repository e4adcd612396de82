"""The promises of a gate, small and seeded: errors within alpha, power, calls saved. In full: benchmarks/calibration.py."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator

import pytest

from promptreg.core.contest import Contest, Judgement, Rules
from promptreg.core.pair import Graded, Pair, Unit
from promptreg.core.stats.families import holm
from promptreg.core.suite import Policy
from promptreg.core.verdict import Mode, Verdict

ALPHA = 0.05
RIGHT, WRONG = Graded(passed=True, score=1.0), Graded(passed=False, score=0.0)
KEPT, BROKEN, FIXED = (
    Unit("u", (Pair(case="u", base=(base,), head=(head,)),)) for base, head in ((RIGHT, RIGHT), (RIGHT, WRONG), (WRONG, RIGHT))
)


def rules(planned: int, mode: Mode, *, binary: bool = True, family: int = 1) -> Rules:
    policy = Policy(mode=mode)
    return Rules(
        kind="base",
        revision="",
        suite_from="base",
        policy_from="base",
        prompt="p",
        model="m",
        policy=policy,
        planned=planned,
        binary=binary,
        family=family,
        seed="calibration",
    )


def changed(chance: random.Random, n: int, discordance: float, drop: float) -> Iterator[Unit]:
    for _ in range(n):
        at = chance.random()
        yield KEPT if at >= discordance else BROKEN if at < (discordance + drop) / 2 else FIXED


def run(given: Rules, units: Iterator[Unit]) -> tuple[Judgement, int]:
    contest = Contest(given)
    for unit in units:
        contest.add(unit)
        if contest.decided is not None:
            break
    return contest.judge(consumed_all=contest.units == given.planned), contest.units


def within(hits: int, runs: int, promise: float = ALPHA) -> bool:
    """At most *promise*, give or take three standard errors."""
    return hits / runs <= promise + 3 * math.sqrt(promise * (1 - promise) / runs)


@pytest.mark.parametrize("mode", ["fixed", "sequential", "hybrid"])
@pytest.mark.parametrize(("n", "discordance"), [(50, 0.10), (100, 0.60), (350, 0.05), (350, 0.20)])
def test_nothing_changed_is_seldom_blocked_and_a_drop_of_the_margin_seldom_passed(mode: Mode, n: int, discordance: float) -> None:
    runs, chance, given = 250, random.Random(f"{mode}/{n}/{discordance}"), rules(n, mode)
    blocked = sum(run(given, changed(chance, n, discordance, 0.0))[0].verdict is Verdict.FAIL for _ in range(runs))
    passed = sum(run(given, changed(chance, n, discordance, 0.05))[0].verdict is Verdict.PASS for _ in range(runs))
    assert within(blocked, runs)
    assert within(passed, runs)


@pytest.mark.parametrize("drop", [0.0, 0.05])
def test_the_graded_rule_keeps_them_too(drop: float) -> None:
    runs, n, chance, given = 60, 100, random.Random(f"graded/{drop}"), rules(100, "fixed", binary=False)
    wrong = Verdict.PASS if drop else Verdict.FAIL
    assert within(sum(run(given, changed(chance, n, 0.20, drop))[0].verdict is wrong for _ in range(runs)), runs)


def test_twelve_gates_with_nothing_changed_are_seldom_blocked() -> None:
    runs, n, chance, blocked = 60, 340, random.Random("family"), 0
    for _ in range(runs):
        found = [run(rules(n, "hybrid", family=12), changed(chance, n, 0.10, 0.0))[0] for _ in range(12)]
        p_values = holm([1.0 if one.verdict is Verdict.PASS else one.p_harm for one in found])
        blocked += any(one.verdict is Verdict.FAIL and p <= ALPHA for one, p in zip(found, p_values, strict=True))
    assert within(blocked, runs)


@pytest.mark.parametrize(
    ("drop", "right", "power", "saved"),
    [(0.0, Verdict.PASS, 0.85, 0.27), (0.05, Verdict.FAIL, 0.85, 0.30), (0.10, Verdict.FAIL, 0.99, 0.65)],
)
def test_a_sequential_gate_has_its_power_and_saves_calls(drop: float, right: Verdict, power: float, saved: float) -> None:
    runs, n, chance = 300, 592, random.Random(f"power/{drop}")
    found = [run(rules(n, "sequential"), changed(chance, n, 0.10, drop)) for _ in range(runs)]
    assert sum(one.verdict is right for one, _ in found) / runs >= power
    assert sum(units for _, units in found) / runs <= (1 - saved) * 370  # the fixed test of equal errors needs 370
