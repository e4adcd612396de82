"""`promptreg rot --since`: the runs branch as a history, and what moved where a score changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import User

from promptreg.testing import LoopbackServer, RepositoryBuilder

CASES = 30


class Alias:
    """A served model that repeats the ticket, until it becomes another one, with or without saying so."""

    def __init__(self) -> None:
        self.name = "big-2026-01"
        self.rotten = False

    def __call__(self, request: Any) -> dict[str, Any]:
        text = "no idea" if self.rotten else request["messages"][-1]["content"]
        return {
            "id": "x",
            "object": "chat.completion",
            "model": self.name,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 5},
        }


@pytest.fixture
def alias() -> Alias:
    return Alias()


@pytest.fixture
def server(alias: Alias) -> Iterator[LoopbackServer]:
    with LoopbackServer(alias) as running:
        yield running


@pytest.fixture
def measured(user: User, server: LoopbackServer) -> User:
    user.triage(server.url, cases=CASES)
    RepositoryBuilder(user.root).commit("A registry")
    measure(user)
    return user


def measure(user: User) -> None:
    """Asks for everything anew, and leaves a record."""
    said = user("run", "--runs", "write", "--no-store", "--quiet")
    assert said.code in (0, 1), said.err


def only(user: User, *arguments: str) -> dict[str, Any]:
    said = user("rot", "--since", "always", "--json", *arguments)
    assert said.code == 0, said.err
    assert said.json["schema"] == "promptreg/history/1"
    (line,) = said.json["timelines"]
    return dict(line)


def test_an_alias_that_changes_behind_its_name_is_reported_as_such(measured: User, alias: Alias) -> None:
    alias.name, alias.rotten = "big-2026-09", True
    measure(measured)
    line = only(measured)
    assert [point["pass_rate"] for point in line["points"]] == [1.0, 0.0]
    change = line["points"][1]["change"]
    assert (change["significant"], change["causes"], change["broken"], change["shared"]) == (True, ["served"], CASES, CASES)
    said = measured("rot", "--since", "1d")
    assert said.code == 0
    assert "the model behind an unchanged name changed: it reported big-2026-01 → big-2026-09" in said.out
    assert "the prompt changed" not in said.out
