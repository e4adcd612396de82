"""How fresh evidence is: what counts as a test, what makes it stale, and in which order to ask again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from promptreg.core import tested as ages  # pytest takes `tested` and `Tested` for tests
from promptreg.core.canonical import digest_bytes
from promptreg.core.catalogue import ModelSpec
from promptreg.core.lifecycle import DAY_S, risk
from promptreg.core.records import Cell, Header
from promptreg.core.tested import MONTH_S, CellTest, Covered, Judged, Seen, by_risk
from promptreg.core.verdict import Verdict

NOW = 1_800_000_000.0
A, B = digest_bytes(b"a"), digest_bytes(b"b")
HEADER = Header(
    cell=Cell(suite="s", prompt="p", behaviour=A, alias="big", identity=A),
    facts={"provider": "openai", "model": "big-1"},
    suite_digest=A,
    dataset_digest=A,
    checks_digest=A,
    version="0",
    author="Ada",
    created="2027-01-01T00:00:00Z",
)
COVERED = Covered(suite="s", checks=A, alias="big", spec=ModelSpec(alias="big", provider="openai", model="big-1"))


def seen(days: float, first: float | None = None) -> Seen:
    at = NOW - days * DAY_S
    return Seen(header=HEADER, oldest=at, first=at if first is None else NOW - first * DAY_S, last=at)


def test_age_counts_from_the_oldest_answer() -> None:
    found = ages.tested(COVERED, seen(10), (), NOW)
    assert (found.freshness, found.reason, found.last_tested) == ("fresh", "", NOW - 10 * DAY_S)
    assert ages.tested(COVERED, seen(20), (), NOW).freshness == "ageing"
    assert ages.tested(COVERED, seen(50), (), NOW).freshness == "stale"


@pytest.mark.parametrize(
    ("covered", "reason"),
    [
        (replace(COVERED, checks=B), "the checks changed since"),
        (replace(COVERED, spec=None), "the model is not in promptreg.yaml"),
        (replace(COVERED, spec=ModelSpec(alias="big", provider="openai", model="big-2")), "the alias means another model now"),
        (replace(COVERED, spec=ModelSpec(alias="big", provider="anthropic", model="big-1")), "the alias means another model now"),
    ],
)
def test_what_changed_since_is_stale_whatever_its_age(covered: Covered, reason: str) -> None:
    found = ages.tested(covered, seen(0), (), NOW)
    assert (found.freshness, found.reason) == ("stale", reason)
    assert found.last_tested == NOW


def test_what_was_never_tested_or_is_from_the_future_is_not_believed() -> None:
    for found in (ages.tested(COVERED, None, (), NOW), ages.tested(COVERED, seen(-3), (), NOW)):
        assert (found.freshness, found.last_tested, found.risk) == ("stale", None, None)
        assert found.reason


def test_the_last_pass_or_fail_counts() -> None:
    verdicts = [Judged(Verdict.FAIL, NOW - 5), Judged(Verdict.UNDECIDED, NOW - 3)]
    assert ages.tested(COVERED, seen(0), verdicts, NOW).reason == "its last verdict is FAIL"
    assert ages.tested(COVERED, seen(0), [*verdicts, Judged(Verdict.PASS, NOW - 1)], NOW).freshness == "fresh"


def test_risk_is_that_of_its_own_history() -> None:
    age = 20 * DAY_S / MONTH_S
    assert ages.tested(COVERED, seen(20), (), NOW).risk == pytest.approx(risk(0, 0, age))
    months = (300 - 20) * DAY_S / MONTH_S
    assert ages.tested(COVERED, seen(20, first=300), (), NOW).risk == pytest.approx(risk(0, months, age))
    fails = [Judged(Verdict.FAIL, NOW - 100 * DAY_S), Judged(Verdict.PASS, NOW - 20 * DAY_S)]
    assert ages.tested(COVERED, seen(20, first=300), fails, NOW).risk == pytest.approx(risk(1, months, age))
    first = [Judged(Verdict.FAIL, NOW - 300 * DAY_S), *fails[1:]]
    assert ages.tested(COVERED, seen(20, first=300), first, NOW).risk == pytest.approx(risk(0, months, age)), "it never was better"


def cell(last: float | None, word: str, chance: float | None) -> CellTest:
    return CellTest(suite="s", model="m", last_tested=last, freshness=word, risk=chance)  # type: ignore[arg-type]


def test_a_prompt_is_as_fresh_as_its_least_fresh_cell() -> None:
    found = ages.Tested(cells=(cell(5.0, "fresh", 0.1), cell(3.0, "ageing", 0.3), cell(None, "stale", None)))
    assert (found.freshness, found.last_tested, found.risk) == ("stale", 3.0, 0.3)
    assert ages.Tested(cells=(cell(5.0, "fresh", 0.1),)).freshness == "fresh"


def test_what_nobody_tested_is_asked_first_then_the_riskiest() -> None:
    known = {"a": ages.Tested(cells=(cell(1.0, "fresh", 0.1),)), "b": ages.Tested(cells=(cell(1.0, "stale", 0.4),))}
    assert by_risk(["a", "b", "z", "c", "a"], known) == ("c", "z", "b", "a")
    assert by_risk([], known) == ()
