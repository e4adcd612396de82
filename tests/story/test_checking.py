"""`promptreg check` in a real repository against an honest server: each row of what a change affects, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from promptreg.testing import LoopbackServer, RepositoryBuilder

CASES = 80

SETTINGS = """\
registry: acme/prompts
models:
  big: {{provider: openai, model: big-1, base_url: "{url}", price: {{input: 1, output: 2}}}}
defaults: {{model: big}}
"""
TRIAGE = """\
description: Sorts tickets.
inputs: {ticket: {type: string}}
messages:
  - role: system
    content: '{% include "_tone.jinja" %} Name the queue.'
  - {role: user, content: "{{ ticket }}"}
params: {temperature: 0, max_tokens: 16}
"""
GREET = """\
inputs: {name: {type: string}}
messages:
  - {role: user, content: "Greet {{ name }}."}
"""
SUITE = """\
prompts: [triage]
models: [big]
dataset: triage.jsonl
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
gate: {}
"""


def answered(request: Any) -> str:
    """A model that sorts tickets rightly when told to be careful, and every third one wrongly when told to hurry."""
    system = next((message["content"] for message in request["messages"] if message["role"] == "system"), "")
    text = request["messages"][-1]["content"]
    if "ticket" not in text:
        return str(text)
    number = int(text.split()[-1])
    right = "billing" if number % 2 else "bug"
    if "hurry" in system and number % 3 == 0:
        return "other"
    if "careful" not in system and number % 8 == 0:
        return "other"
    return right


def rows(count: int = CASES) -> str:
    return "".join(
        json.dumps({"id": f"t{number}", "inputs": {"ticket": f"ticket {number}"}, "expected": "billing" if number % 2 else "bug"})
        + "\n"
        for number in range(count)
    )


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(answered) as server:
        yield server


@pytest.fixture
def house(tmp_path: Path, server: LoopbackServer) -> RepositoryBuilder:
    """A registry on main, and a branch `change` that starts from it."""
    built = RepositoryBuilder(tmp_path / "house")
    built.write("promptreg.yaml", SETTINGS.format(url=server.url))
    built.write("prompts/triage.yaml", TRIAGE).write("prompts/_tone.jinja", "Be brief.\n").write("prompts/greet.yaml", GREET)
    built.write("suites/triage.yaml", SUITE).write("suites/triage.jsonl", rows()).write("suites/greet.yaml", GREETINGS)
    built.commit("A registry")
    built.git("checkout", "--quiet", "-b", "change")
    return built


def check(user: Any, house: RepositoryBuilder, *options: str) -> Any:
    user.root = house.root
    return user("check", "--json", *options)


def test_a_reworded_description_calls_nobody(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("prompts/triage.yaml", TRIAGE.replace("Sorts tickets.", "Sorts tickets well.  # a comment"))
    said = check(user, house)
    assert said.code == 0, said.err
    assert said.json["verdict"] == "PASS"
    assert said.json["gates"] == []
    assert {each["suite"] for each in said.json["unaffected"]} == {"triage", "greet"}
    assert server.requests == 0


def test_a_broken_partial_fails_only_what_includes_it(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    said = check(user, house)
    assert said.code == 1, said.out
    (gate,) = said.json["gates"]
    assert (gate["suite"], gate["prompt"], gate["verdict"]) == ("triage", "triage", "FAIL")
    assert gate["references"][0]["broken"] > 0
    assert {int(case[1:]) % 3 for case in gate["references"][0]["cases_broken"]} == {0}
    assert all("Greet" not in str(request.body) for request in server.received)


def test_an_improvement_passes(user: Any, house: RepositoryBuilder) -> None:
    house.write("prompts/_tone.jinja", "Be careful.\n")
    said = check(user, house)
    assert said.code == 0, said.out
    (gate,) = said.json["gates"]
    assert gate["verdict"] == "PASS"
    assert gate["references"][0]["fixed"] > 0


def test_checking_again_calls_nobody_and_says_the_same(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    first = check(user, house)
    before = server.requests
    second = check(user, house)
    assert server.requests == before
    assert second.code == first.code == 1
    assert second.json["gates"][0]["references"][0]["broken"] == first.json["gates"][0]["references"][0]["broken"]


def test_nothing_changed(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    said = check(user, house)
    assert said.code == 0
    assert server.requests == 0
    assert said.json["gates"] == []


def test_an_edited_margin_does_not_help(user: Any, house: RepositoryBuilder) -> None:
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    house.write("suites/triage.yaml", SUITE.replace("margin: 0.10", "margin: 0.90"))
    said = check(user, house)
    assert said.code == 1
    (gate,) = said.json["gates"]
    assert gate["verdict"] == "FAIL"
    assert {(each["policy_from"], each["margin"]) for each in gate["references"]} == {("base", 0.1), ("head", 0.9)}


def test_edited_golden_answers_do_not_help(user: Any, house: RepositoryBuilder) -> None:
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    house.write("suites/triage.jsonl", rows().replace('"expected": "bug"', '"expected": "other"'))
    said = check(user, house)
    assert said.code == 1
    (gate,) = said.json["gates"]
    by = {each["suite_from"]: each["verdict"] for each in gate["references"]}
    assert by["base"] == "FAIL"


def test_renaming_does_not_help(user: Any, house: RepositoryBuilder) -> None:
    house.write("prompts/sort.yaml", TRIAGE.replace("Name the queue.", "Name the queue, and hurry.")).delete("prompts/triage.yaml")
    house.write("suites/triage.yaml", SUITE.replace("[triage]", "[sort]"))
    house.commit("Rename")
    said = check(user, house)
    assert said.code == 1, said.out
    assert said.json["gates"][0]["prompt"] == "sort"


def test_fifty_trivial_suites_do_not_dilute_alpha(user: Any, house: RepositoryBuilder) -> None:
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    for number in range(50):
        house.write(f"suites/easy/{number}.yaml", GREETINGS)
    said = check(user, house)
    assert said.code == 1
    (old,) = [gate for gate in said.json["gates"] if gate["suite"] == "triage"]
    assert old["verdict"] == "FAIL"


def test_an_untested_prompt_is_unmeasured(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("prompts/new.yaml", GREET)
    said = check(user, house)
    assert said.code == 4
    (finding,) = said.json["findings"]
    assert finding["reason"] == "no_suite"
    assert server.requests == 0


def test_a_branch_that_no_case_reaches_is_unmeasured(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write(
        "prompts/greet.yaml", GREET.replace("Greet {{ name }}.", "Greet {{ name }}{% if name == 'Bo' %} rudely{% endif %}.")
    )
    said = check(user, house)
    assert said.code == 4
    assert said.json["findings"][0]["reason"] == "no_suite"
    assert server.requests == 0


def test_another_endpoint_is_never_asked(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    with LoopbackServer(answered) as elsewhere:
        house.write("promptreg.yaml", SETTINGS.format(url=elsewhere.url))
        house.write("prompts/_tone.jinja", "Be careful.\n")
        said = check(user, house)
        assert elsewhere.requests == 0
    assert said.code == 4
    assert "untrusted_change" in {each["reason"] for each in said.json["findings"]}
    assert server.requests > 0


def test_a_dead_provider_is_unmeasured(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("prompts/_tone.jinja", "Be careful.\n")
    house.write("promptreg.yaml", SETTINGS.format(url=server.url))
    server.close()
    said = check(user, house)
    assert said.code == 4
    assert said.json["gates"][0]["verdict"] == "UNMEASURED"
    assert said.json["gates"][0]["reason"] in ("provider_down", "missing_answers")


def test_a_deleted_prompt_is_unmeasured(user: Any, house: RepositoryBuilder) -> None:
    house.delete("prompts/greet.yaml").delete("suites/greet.yaml")
    said = check(user, house)
    assert said.code == 4
    assert said.json["findings"][0]["reason"] == "no_suite"


PLUGIN = '''\
from dataclasses import dataclass
from typing import ClassVar

import promptreg
from promptreg.core.run import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """Whether the answer is the queue."""

    name: ClassVar[str] = "queue"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: str = "{{ expected }}"

    def score(self, answer):
        return Score(value=VALUE)


@promptreg.hookimpl
def promptreg_metrics():
    return {"queue": Queue}
'''


def with_plugin(house: RepositoryBuilder, value: str) -> RepositoryBuilder:
    return house.write("plugins/queue.py", PLUGIN.replace("VALUE", value))


def test_a_plugin_of_the_pull_request_never_runs(
    user: Any, house: RepositoryBuilder, server: LoopbackServer, tmp_path: Path
) -> None:
    honest = "float(answer.text == self.expected)"
    with_plugin(house, honest)
    house.write("promptreg.yaml", SETTINGS.format(url=server.url) + "plugins: [plugins/queue.py]\n")
    house.write("suites/triage.yaml", SUITE.replace("exact:", "queue:"))
    house.commit("A plugin")
    house.git("branch", "--force", "main")
    spoor = tmp_path / "spoor"
    with_plugin(house, f"__import__('pathlib').Path({str(spoor)!r}).write_text('ran') and 1.0")
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    house.commit("Worse, with a kinder metric")
    said = check(user, house, "--base", "main")
    assert said.code == 1, said.out
    assert not spoor.exists()
    assert "untrusted_change" in {each["reason"] for each in said.json["findings"]}
    trusted = check(user, house, "--base", "main", "--trust-head")
    assert trusted.code == 0
    assert spoor.exists()


def test_an_accepted_drop_is_recorded_and_stays_a_fail(user: Any, house: RepositoryBuilder) -> None:
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    accepted = check(user, house, "--accept", "speed matters more")
    assert accepted.code == 0
    assert accepted.json["gates"][0]["verdict"] == "FAIL"
    assert "speed matters" in accepted.json["gates"][0]["accepted"]
    again = check(user, house)
    assert again.code == 0
    assert "speed matters" in again.json["gates"][0]["accepted"]
    house.write("prompts/_tone.jinja", "Please hurry, hurry.\n")
    assert check(user, house).code == 1, "another change is not accepted"


def test_a_pull_requests_own_job_accepts_nothing(user: Any, house: RepositoryBuilder, monkeypatch: pytest.MonkeyPatch) -> None:
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    house.commit("Worse")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    for option in (("--accept", "because"), ("--trust-head",), ("--runs", "push")):
        said = check(user, house, *option)
        assert said.code == 2, option
        assert said.json["errors"][0]["hint"]


def test_answers_of_the_runs_branch_are_not_asked_for_again(
    user: Any, house: RepositoryBuilder, server: LoopbackServer, tmp_path: Path
) -> None:
    house.write("prompts/_tone.jinja", "Be careful.\n")
    first = check(user, house, "--runs", "write")
    asked = server.requests
    assert first.code == 0
    assert asked > 0
    assert "promptreg/runs" in house.git("branch", "--list", "promptreg/runs")
    clone = tmp_path / "clone"
    house.git("clone", "--quiet", str(house.root), str(clone))
    (clone / "prompts/_tone.jinja").write_text("Be careful.\n")
    house.git("-C", str(clone), "fetch", "--quiet", "origin", "main:refs/remotes/origin/main")
    user.root = clone
    second = user("check", "--json", "--base", "origin/main")
    assert second.code == 0, second.out
    assert server.requests == asked
    assert second.json["gates"][0]["references"][0]["fixed"] == first.json["gates"][0]["references"][0]["fixed"]


def test_the_anchor_stops_a_chain_of_small_drops(user: Any, house: RepositoryBuilder) -> None:
    house.write("suites/triage.yaml", SUITE.replace(", anchor: none", ""))
    house.write("prompts/_tone.jinja", "Be careful.\n")
    house.commit("Better")
    house.tag("triage@v1.0.0")
    house.write("prompts/_tone.jinja", "Be quick.\n")
    house.commit("A little worse")
    house.git("branch", "--force", "main")
    house.write("prompts/_tone.jinja", "Be brief and quick.\n")
    said = check(user, house, "--base", "main")
    kinds = {each["kind"]: each["verdict"] for each in said.json["gates"][0]["references"]}
    assert kinds["base"] == "PASS"
    assert kinds["anchor"] in ("FAIL", "UNDECIDED")
    assert said.json["gates"][0]["verdict"] == kinds["anchor"]


def test_a_dry_run_asks_nobody_and_counts_both_sides(user: Any, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("prompts/_tone.jinja", "Be careful.\n")
    said = check(user, house, "--dry-run")
    assert said.code == 0
    assert said.json["missing"] == 2 * CASES
    assert server.requests == 0


def test_a_quarantined_case_does_not_count_and_the_pull_request_cannot_add_one(user: Any, house: RepositoryBuilder) -> None:
    hurried = [f"t{number}" for number in range(0, CASES, 3)]
    entries = "".join(f'  - {{case: {case}, owner: "@ada", until: 2099-01-01}}\n' for case in hurried)
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    house.write("suites/triage.yaml", SUITE + "quarantine:\n" + entries)
    assert check(user, house).code == 1, "base's suite sets nothing aside"
    house.write("prompts/_tone.jinja", "Be brief.\n")
    house.commit("Set aside")
    house.git("branch", "--force", "main")
    house.write("prompts/_tone.jinja", "Please hurry.\n")
    said = check(user, house, "--base", "main")
    assert said.code == 0, said.out
    assert said.json["gates"][0]["references"][0]["broken"] == 0


def test_an_annotation_names_the_line_that_changed(user: Any, house: RepositoryBuilder) -> None:
    house.write("prompts/_tone.jinja", "Be brief.\nPlease hurry.\n")
    said = check(user, house, "--annotations")
    assert "::error file=prompts/_tone.jinja,line=2," in said.err


def test_the_golden_target_and_fixed_mode_can_be_asked_for(user: Any, house: RepositoryBuilder) -> None:
    house.write("prompts/_tone.jinja", "Be careful.\n")
    fixed = check(user, house, "--mode", "fixed").json["gates"][0]
    golden = check(user, house, "--target", "golden").json["gates"][0]
    assert (fixed["mode"], fixed["references"][0]["n"]) == ("fixed", CASES)
    assert golden["verdict"] == "PASS"
    assert golden["references"][0]["n"] < CASES


def test_a_new_suite_with_a_floor_is_measured_though_its_prompt_is_as_it_was(user: Any, house: RepositoryBuilder) -> None:
    house.write("suites/strict.yaml", SUITE.replace("{margin: 0.10, anchor: none}", "{margin: 0.10, anchor: none, floor: 0.99}"))
    said = check(user, house)
    (gate,) = said.json["gates"]
    assert gate["floor"]["n"] == CASES
    assert gate["floor"]["verdict"] == "FAIL"
    assert said.code == 1
