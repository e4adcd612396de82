"""`promptreg rot --within-budget`: the prompts that may have rotted most, until the money is spent."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from conftest import User

from promptreg.testing import LoopbackServer, RepositoryBuilder

CASES = 20


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        yield running


@pytest.fixture
def house(user: User, server: LoopbackServer) -> User:
    """Three prompts of one suite, on two models; `b` alone was tested."""
    user.triage(server.url, cases=CASES)
    text = user.read("promptreg.yaml")
    user.write("promptreg.yaml", f'{text}  new: {{provider: openai, model: new-1, base_url: "{server.url}"}}\n')
    for number, name in enumerate("abc"):
        user.write(f"prompts/{name}.yaml", user.read("prompts/triage.yaml").replace("queue", f"queue {number}"))
    user.edit("suites/triage.yaml", "[triage]", "[a, b, c]")
    RepositoryBuilder(user.root).commit("A registry")
    assert user("run", "--prompt", "b", "--runs", "write", "--no-store", "--quiet").code == 0
    return user


def budget(user: User, calls: int) -> None:
    user.write("promptreg.yaml", user.read("promptreg.yaml").partition("budget:")[0] + f"budget: {{calls: {calls}}}\n")


def rot(user: User) -> tuple[list[str], list[str]]:
    said = user("rot", "--from", "big", "--to", "new", "--within-budget", "--runs", "off", "--json")
    assert said.code in (0, 4), said.err
    return [gate["prompt"] for gate in said.json["gates"]], said.json["notes"]


def test_what_nobody_tested_comes_first_and_the_others_are_named(house: User) -> None:
    budget(house, 4 * CASES)
    prompts, notes = rot(house)
    assert prompts == ["a", "c"]
    assert [note for note in notes if "left out" in note] == ["left out, because the budget ends before them: 1 prompts (b)"]


def test_answers_that_are_known_cost_nothing(house: User) -> None:
    budget(house, 4 * CASES)
    rot(house)
    prompts, notes = rot(house)
    assert prompts == ["a", "b", "c"]
    assert not [note for note in notes if "left out" in note]


def test_without_a_budget_nothing_is_left_out(house: User) -> None:
    assert rot(house)[0] == ["a", "b", "c"]


def test_a_budget_for_nothing_is_told(house: User, server: LoopbackServer) -> None:
    budget(house, 3)
    asked = server.requests
    said = house("rot", "--from", "big", "--to", "new", "--within-budget")
    assert (said.code, "not even one prompt fits" in said.err) == (4, True), said.err
    assert server.requests == asked
