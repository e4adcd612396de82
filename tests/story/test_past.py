"""`promptreg rot --since`: the runs branch as a history, and what moved where a score changed."""

from __future__ import annotations

import json
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


def test_a_prompt_that_changed_is_named_by_its_versions(measured: User, alias: Alias) -> None:
    measured("release", "triage", "--version", "1.0.0", "--no-gate", "the first", "-m", "The first")
    measured.edit("prompts/triage.yaml", "Name the queue.", "Say something.")
    alias.rotten = True
    measure(measured)
    line = only(measured)
    change = line["points"][1]["change"]
    assert change["causes"] == ["prompt"]
    assert line["points"][0]["version"] == "1.0.0"
    assert line["points"][1]["version"] is None
    assert change["moved"][0] == f"the prompt changed: 1.0.0 → {line['points'][1]['behaviour'][7:19]}"


def test_a_change_that_nothing_explains_is_told_as_one(measured: User, alias: Alias) -> None:
    alias.rotten = True
    measure(measured)
    (_, after) = only(measured)["points"]
    assert (after["change"]["unexplained"], after["change"]["causes"]) == (True, [])
    assert "promptreg canary" in measured("rot", "--since", "always").out


def test_answers_that_are_judged_otherwise_are_no_fault_of_the_model(measured: User) -> None:
    measured.edit("suites/triage.yaml", 'contains: "{{ expected }}"', 'exact: "{{ expected }}"')
    measure(measured)
    change = only(measured)["points"][1]["change"]
    assert (change["causes"], change["rejudged"], change["broken"]) == (["checks"], CASES, CASES)
    rows = [dict(json.loads(row), expected="sales") for row in measured.read("suites/triage.jsonl").splitlines()]
    measured.edit("suites/triage.yaml", 'exact: "{{ expected }}"', 'contains: "{{ expected }}"')
    measured.write("suites/triage.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    measure(measured)
    line = only(measured)
    assert line["points"][2]["change"]["causes"] == ["checks", "data"]
    assert not line["points"][2]["change"]["significant"], "both judges fail every answer"
    assert (line["overall"]["causes"], line["overall"]["significant"]) == (["data"], True)


def test_new_cases_take_no_part_in_the_comparison(measured: User, alias: Alias) -> None:
    row = {"id": "new", "inputs": {"ticket": "something else"}, "expected": "billing"}
    measured.write("suites/triage.jsonl", measured.read("suites/triage.jsonl") + json.dumps(row) + "\n")
    measure(measured)
    change = only(measured)["points"][1]["change"]
    assert (change["causes"], change["shared"], change["added"], change["gone"]) == (["cases"], CASES, 1, 0)
    assert not change["significant"]


def test_reports_and_choices(measured: User, alias: Alias) -> None:
    alias.name, alias.rotten = "big|2026 @ada", True
    measure(measured)
    said = measured("rot", "tri*", "--prompt", "triage", "--to", "big", "--since", "12w", "--report", "history.md")
    assert said.code == 0, said.err
    text = measured.read("history.md")
    assert text.startswith("## History since 20")
    assert "@ada</code>" not in text, "foreign text is made harmless"
    assert "| ▼" in text
    assert measured("rot", "--since", "always", "--report", "history.json", "--quiet").code == 0
    assert json.loads(measured.read("history.json"))["schema"] == "promptreg/history/1"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--since", "yesterday"), "90d"),
        (("--since", "2999-01-01"), "nothing was recorded since 2999-01-01"),
        (("--since", "99999y"), "outside of the calendar"),
        (("--since", "1d", "--from", "big"), "it goes without --from"),
        (("--since", "1d", "--dry-run"), "it goes without --dry-run"),
        (("--since", "1d", "--report", "x.html"), "no report format"),
        (("triagge", "--since", "1d"), "did you mean"),
        (("--since", "1d", "--prompt", "other"), "unknown recorded prompt"),
    ],
)
def test_what_cannot_be_shown_is_told(measured: User, words: tuple[str, ...], told: str) -> None:
    said = measured("rot", *words)
    assert (said.code, told in said.err) == (2, True), said.err


def test_without_records_the_remedy_is_told(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    assert "git init" in user("rot", "--since", "1d").err
    RepositoryBuilder(user.root).commit("A registry")
    said = user("rot", "--since", "1d")
    assert (said.code, "there is no history yet" in said.err, "--runs write" in said.err) == (2, True, True)
