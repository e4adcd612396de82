"""Flaky cases that somebody looks after: what lint says of their entries, and that `run` counts them as ever."""

from __future__ import annotations

import pytest
from conftest import User

from promptreg.testing import LoopbackServer

SUITE = "suites/triage.yaml"
LATE, OVER = "9999-12-31", "2001-01-01"


def quarantine(user: User, *entries: str) -> None:
    user.write(SUITE, user.read(SUITE) + "quarantine:\n" + "".join(f"  - {{{entry}, owner: '@ada'}}\n" for entry in entries))


@pytest.fixture
def shop(user: User, server: LoopbackServer) -> User:
    return user.triage(server.url)


def test_an_entry_that_holds_is_no_finding_even_of_a_case_outside_of_the_sample(shop: User) -> None:
    shop.write(SUITE, shop.read(SUITE) + "sample: {n: 1}\n")
    quarantine(shop, f"case: c0, until: {LATE}", f"case: c1, until: {LATE}", f"case: c2, until: {LATE}")
    assert shop("lint", "--json").json["findings"] == []


def test_lint_warns_of_an_entry_whose_day_is_over_and_of_one_without_a_case(shop: User) -> None:
    quarantine(shop, f"case: c0, until: {OVER}", f"case: c11, until: {LATE}")
    said = shop("lint", "--json")
    assert said.code == 0
    expired, unknown = said.json["findings"]
    assert (expired["rule"], expired["level"], unknown["rule"], unknown["level"]) == (
        "quarantine-expired",
        "warning",
        "quarantine-unknown",
        "warning",
    )
    assert "'c0' ended on 2001-01-01" in expired["message"]
    assert "@ada" in expired["hint"]
    assert "no case 'c11'; did you mean 'c1'?" in unknown["message"]


def test_run_counts_a_quarantined_case(shop: User) -> None:
    shop.write("suites/triage.jsonl", '{"id": "c0", "inputs": {"ticket": "hello"}, "expected": "never said"}\n')
    quarantine(shop, f"case: c0, until: {LATE}")
    assert shop("run").code == 1
