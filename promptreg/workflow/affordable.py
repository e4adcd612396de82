"""The part of a rot matrix that a budget allows: prompts in the order of their risk, until the money is spent. Asks nobody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from promptreg.core.names import unversioned
from promptreg.core.plan import Budget, Plan, refuse
from promptreg.core.rot import RotReport
from promptreg.core.select import matching
from promptreg.core.suite import Suite
from promptreg.core.tested import by_risk
from promptreg.errors import BudgetExceeded, UsageError
from promptreg.workflow.rot import RotRequest, plan_rot, rot
from promptreg.workflow.tested import last_tests
from promptreg.workflow.world import World

NAMED = 8  # prompts that a note names


@dataclass(frozen=True, slots=True)
class Affordable:
    """What is to be measured, and the prompts that are left out, likeliest to have rotted first."""

    request: RotRequest
    left_out: tuple[str, ...] = ()


def rot_within_budget(world: World, request: RotRequest) -> RotReport:
    """The matrix of the prompts that the registry's budget allows; a note names the others. Raises what `rot` does."""
    chosen = affordable(world, request)
    report = rot(world, chosen.request)
    if not chosen.left_out:
        return report
    named = ", ".join(chosen.left_out[:NAMED]) + (" …" if len(chosen.left_out) > NAMED else "")
    note = f"left out, because the budget ends before them: {len(chosen.left_out):,} prompts ({named})"
    return replace(report, notes=(note, *report.notes))


def affordable(world: World, request: RotRequest) -> Affordable:
    """*request* for as many prompts as the budget allows, each planned by itself. BudgetExceeded where it allows none of them."""
    budget = world.registry.settings.budget
    if budget == Budget():
        return Affordable(request)
    taken: list[str] = []
    left_out: list[str] = []
    calls, usd, first = 0, 0.0, None
    for name in _ordered(world, request):
        try:
            found = plan_rot(world, replace(request, prompts=(name,)))
        except UsageError:
            continue  # no suite compares it with another model
        first = first or found
        if _fits(budget, calls + found.to_make, usd + found.usd):
            taken.append(name)
            calls, usd = calls + found.to_make, usd + found.usd
        else:
            left_out.append(name)
    if not taken and first is not None:
        _refuse(first, budget)
    return Affordable(replace(request, prompts=tuple(taken)) if left_out else request, tuple(left_out))


def _refuse(found: Plan, budget: Budget) -> None:
    try:
        refuse(found, budget)
    except BudgetExceeded as fault:
        raise BudgetExceeded(f"not even one prompt fits: {fault.message}", hint=fault.hint) from fault


def _fits(budget: Budget, calls: int, usd: float) -> bool:
    return (budget.calls is None or calls <= budget.calls) and (budget.usd is None or usd <= budget.usd)


def _ordered(world: World, request: RotRequest) -> tuple[str, ...]:
    """The prompts of the request, those first whose answers are worth most."""
    registry = world.registry
    covering: dict[str, list[Suite]] = {}
    for suite in (registry.suite(name) for name in matching(request.suites, registry.suite_names(), "suite")):
        for name in registry.prompts_matching(suite.prompts, suite.place("prompts")):
            covering.setdefault(name, []).append(suite)
    names = matching(request.prompts, covering, "prompt")
    own = [registry.prompt(name) for name in _own(names)]
    return by_risk(names, last_tests(registry, world.now(), own, lambda: covering))


def _own(names: tuple[str, ...]) -> Iterator[str]:
    """Without versions and sources: the history of others is not on this branch."""
    return (name for name in names if name == unversioned(name) and ":" not in name)
