"""Pull requests that want exit code 0 for something worse, and honest ones that must not be held up: each as it was tried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promptreg.testing import LoopbackServer, RepositoryBuilder

SETTINGS = """\
registry: acme/prompts
models:
  big: {{provider: openai, model: big-1, base_url: "{url}", price: {{input: 1, output: 2}}}}
defaults: {{model: big}}
"""
SORT = """\
inputs: {ticket: {type: string}}
messages:
  - {role: system, content: '{% include "_tone.jinja" %} Name the queue.'}
  - {role: user, content: "{{ ticket }}"}
params: {temperature: 0}
"""
GREET = """\
inputs: {name: {type: string}}
messages:
  - {role: user, content: "Greet {{ name }}."}
"""
SUITE = """\
prompts: [sort]
models: [big]
dataset: sort.jsonl
checks:
  - exact: "{{ expected }}"
gate: {margin: 0.10, anchor: none}
"""
GREETINGS = """\
prompts: [greet]
models: [big]
cases:
  - {id: ada, inputs: {name: Ada}}
checks:
  - contains: "Ada"
"""
HURRY = "Please hurry.\n"
CASES = 80


def answered(request: Any) -> str:
    """Sorts tickets; told to hurry, it errs on every third, and the model `tiny-1` on all."""
    system = next((message["content"] for message in request["messages"] if message["role"] == "system"), "")
    text = request["messages"][-1]["content"]
    if "ticket" not in text:
        return str(text)
    number = int(text.split()[-1])
    wrong = ("hurry" in system and number % 3 == 0) or request["model"] == "tiny-1"
    return "other" if wrong else right(number)


def right(number: int) -> str:
    return "billing" if number % 2 else "bug"


def row(number: int, **fields: Any) -> str:
    whole = {"id": f"t{number}", "inputs": {"ticket": f"ticket {number}"}, "expected": right(number), **fields}
    return json.dumps(whole) + "\n"


ROWS = "".join(row(number) for number in range(CASES))
POISONED = ROWS.replace('"bug"', '"other"')


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(answered) as running:
        yield running


House = RepositoryBuilder


@pytest.fixture
def build(tmp_path: Path, server: LoopbackServer) -> Callable[..., House]:
    """A registry on main, with the files given instead of the usual ones, and a branch `change` that starts from it."""

    def made(**files: str) -> House:
        built = RepositoryBuilder(tmp_path / "house")
        whole = {
            "promptreg.yaml": SETTINGS.format(url=server.url),
            "prompts/sort.yaml": SORT,
            "prompts/_tone.jinja": "Be brief.\n",
            "prompts/greet.yaml": GREET,
            "suites/sort.yaml": SUITE,
            "suites/sort.jsonl": ROWS,
            "suites/greet.yaml": GREETINGS,
            **files,
        }
        for path, content in whole.items():
            built.write(path, content)
        built.commit("A registry")
        built.git("checkout", "--quiet", "-b", "change")
        return built

    return made


@pytest.fixture
def check(user: Any) -> Callable[..., Any]:
    def checked(house: House, *options: str) -> Any:
        user.root = house.root
        return user("check", "--json", *options)

    return checked


def gates(said: Any) -> dict[tuple[str, str], Any]:
    return {(gate["suite"], gate["prompt"]): gate for gate in said.json["gates"]}


def reasons(said: Any) -> set[str]:
    return {each["reason"] for each in said.json["findings"]}


# what changed is seen -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("dataset: data/sort.jsonl", "suites/data/sort.jsonl"),
        ("dataset: ../golden/sort.JSONL", "golden/sort.JSONL"),
        ('dataset: "s\\x6frt.jsonl"', "suites/sort.jsonl"),
        ('"d\\u0061taset": sort.jsonl', "suites/sort.jsonl"),
        ("dataset: my\n  data.jsonl", "suites/my data.jsonl"),
        ('"dataset": sort.jsonl', "suites/sort.jsonl"),
    ],
)
def test_golden_answers_are_seen_to_change_wherever_they_lie_and_however_they_are_named(
    written: str, path: str, build: Callable[..., House], check: Callable[..., Any]
) -> None:
    house = build(**{"suites/sort.yaml": SUITE.replace("dataset: sort.jsonl", written), path: ROWS})
    house.write(path, POISONED)
    said = check(house)
    assert {each["suite_from"] for each in gates(said)["sort", "sort"]["references"]} == {"base", "head"}
