"""How `list` and `show` say when prompts were last tested."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from promptreg.cli.dates import date, iso

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.prompt import Prompt
    from promptreg.core.suite import Suite
    from promptreg.core.tested import CellTest, Tested
    from promptreg.registry import Registry


def last_tests_of(opened: Registry, prompts: Iterable[Prompt], suites: Mapping[str, Sequence[Suite]]) -> Mapping[str, Tested]:
    """By name, those of *prompts* of whose present behaviour something is recorded. *suites* are those that test each."""
    from promptreg.workflow.tested import last_tests

    return last_tests(opened, time.time(), prompts, lambda: suites)


def columns_of(found: Tested | None) -> tuple[str, str, str]:
    """The day, a word, and the risk; for a prompt of which nothing is known, dashes."""
    if found is None:
        return "–", "–", "–"
    return day(found.last_tested), found.freshness, percent(found.risk)


def as_json(found: Tested | None) -> dict[str, Json]:
    """The keys of `promptreg/list/1` and `promptreg/show/1`."""
    if found is None:
        return {"last_tested": None, "freshness": None, "rot_risk": None}
    last = found.last_tested
    return {"last_tested": None if last is None else iso(last), "freshness": found.freshness, "rot_risk": found.risk}


def cell_json(cell: CellTest) -> dict[str, Json]:
    return {
        "suite": cell.suite,
        "model": cell.model,
        "last_tested": None if cell.last_tested is None else iso(cell.last_tested),
        "freshness": cell.freshness,
        "reason": cell.reason or None,
        "rot_risk": cell.risk,
    }


def day(seconds: float | None) -> str:
    return "never" if seconds is None else date(seconds)[:10]


def percent(risk: float | None) -> str:
    return "–" if risk is None else f"{risk:.0%}"
