"""`promptreg canary` against a server whose model changes behind its name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from promptreg.testing import LoopbackServer, RepositoryBuilder


class Alias:
    """A served model that becomes another one, with or without saying so."""

    def __init__(self) -> None:
        self.version = "big-2026-01"
        self.changed = False

    def __call__(self, request: Any) -> dict[str, Any]:
        text = request["messages"][-1]["content"]
        said = f"Certainly! {text.upper()} As you can see." if self.changed else text
        return {
            "id": "x",
            "object": "chat.completion",
            "model": self.version,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}],
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
def watched(user: Any, server: LoopbackServer) -> Any:
    user.triage(server.url, cases=30)
    RepositoryBuilder(user.root).commit("A registry")
    assert user("baseline", "refresh", "--quiet").code == 0
    return user


def test_nothing_changed_and_asking_twice_costs_nothing(watched: Any, server: LoopbackServer) -> None:
    said = watched("canary", "--json")
    assert said.code == 0, said.err
    (watch,) = said.json["watches"]
    assert (watch["alarm"], watch["judged"], watch["differing"], watch["cases"]) == (False, True, 0, 30)
    asked = server.requests
    assert watched("canary", "--quiet").code == 0
    assert server.requests == asked


def test_a_model_that_changes_in_silence_is_heard(watched: Any, alias: Alias) -> None:
    alias.changed = True
    said = watched("canary", "--json")
    assert said.code == 1
    (watch,) = said.json["watches"]
    assert watch["alarm"]
    assert not watch["moved"], "it did not say so"
    assert {sign["kind"] for sign in watch["signs"] if sign["alarm"]} >= {"mismatch"}


def test_a_new_name_is_told_and_is_no_alarm_by_itself(watched: Any, alias: Alias) -> None:
    alias.version = "big-2026-09"
    said = watched("canary")
    assert said.code == 0
    assert "big-2026-01 → big-2026-09" in said.out


def test_a_check_does_not_blame_the_prompt_for_a_model_that_moved(watched: Any, alias: Alias) -> None:
    """The alias changes between base's answers and head's: base is asked again beside head, and the verdict is about the prompt."""
    watched.edit("prompts/triage.yaml", "Name the queue.", "Name the right queue.")
    alias.version = "big-2026-09"
    said = watched("check", "--json")
    assert said.code == 0, said.out
    (gate,) = said.json["gates"]
    assert gate["verdict"] in ("PASS", "UNDECIDED")
    assert gate["references"][0]["reason"] != "model_moved"


def test_without_repeats_nothing_is_judged(user: Any, server: LoopbackServer) -> None:
    user.triage(server.url, cases=5)
    RepositoryBuilder(user.root).commit("A registry")
    said = user("canary", "--json")
    assert said.code == 4
    assert not said.json["watches"][0]["judged"]


def test_a_dry_run_asks_nobody(watched: Any, server: LoopbackServer) -> None:
    asked = server.requests
    said = watched("canary", "--dry-run", "--json", "--cases", "10")
    assert said.code == 0
    assert said.json["missing"] == 10
    assert server.requests == asked
