"""Pull requests against a repository like this one, judged with the embedded model: what is asked, what is said, what is refused.

The registry is this repository's own prompts and suites, and two prompts that share a partial. All tests of a session (also those
of other workers) keep their answers in one store, so that each question is put to the model once.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptreg.testing import LoopbackServer, RepositoryBuilder

SKIP = "PROMPTREG_SKIP_MODEL"
pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(bool(os.environ.get(SKIP)), reason=f"{SKIP} is set: this machine does without the model"),
]

ROOT = Path(__file__).parents[2]
RUNS = "promptreg/runs"
DEAD = "http://127.0.0.1:9/v1"  # nobody listens there

SETTINGS = f"""\
registry: acme/prompts
models:
  smollm2: {{provider: local, model: smollm2-135m-instruct}}
  smollm2-kv4: {{provider: local, model: smollm2-135m-instruct, serve: {{kv_cache: q4_0}}}}
  smollm2-text: {{provider: local, model: smollm2-135m-instruct, completion: plain}}
  echo: {{provider: echo, model: echo}}
  big: {{provider: openai, model: big-1, base_url: "{DEAD}", limits: {{retries: 0}}}}
defaults: {{model: smollm2-text}}
"""
EXAMPLES = """\
Review: The soup was cold and the waiter was rude.
Sentiment: negative

Review: Best holiday we ever had, and the room was spotless.
Sentiment: positive
"""
BROKEN = EXAMPLES.replace("negative", "bad").replace("positive", "good")  # shorter labels, which no check knows
REVIEW = """\
description: Says whether a customer review is positive or negative.
inputs: {review: {type: string}}
messages:
  - role: user
    content: |-
      {% include "sentiment/_examples.jinja" %}

      Review: {{ review }}
      Sentiment:
params: {temperature: 0, max_tokens: 4, stop: ["\\n"]}
"""
HEADLINE = REVIEW.replace("review", "headline").replace("Review: {{", "Headline: {{")
REPLY = """\
inputs: {ticket: {type: string}}
messages:
  - {role: user, content: "Answer: {{ ticket }}"}
"""
LABELS = '  - one_of: {labels: [positive, negative], expected: "{{ expected }}"}\n'
SUITE = f"""\
prompts: [sentiment/review]
models: [smollm2-text]
dataset: review.jsonl
checks:
{LABELS}gate: {{margin: 0.10}}
"""
HEADLINES = f"""\
prompts: [sentiment/headline]
models: [smollm2-text]
cases:
  - {{id: joy, inputs: {{headline: A joy from start to finish}}, expected: positive}}
  - {{id: waste, inputs: {{headline: Do not waste your money}}, expected: negative}}
  - {{id: broken, inputs: {{headline: Broken on arrival}}, expected: negative}}
  - {{id: favourite, inputs: {{headline: My new favourite}}, expected: positive}}
checks:
{LABELS}gate: {{margin: 0.10}}
"""
TICKETS = """\
prompts: [support/triage, support/triage_few_shot]
models: [smollm2-text]
dataset: triage.jsonl
checks:
  - one_of: {labels: [payment, delivery, account, repair], expected: "{{ expected }}"}
gate: {margin: 0.10}
"""
REPLIES = """\
prompts: [support/reply]
models: [big]
cases:
  - {id: hello, inputs: {ticket: Hello}}
  - {id: help, inputs: {ticket: "Hello, help!"}}
  - {id: thanks, inputs: {ticket: Hello and thanks}}
  - {id: bye, inputs: {ticket: Hello and bye}}
checks: [{contains: Hello}]
gate: {}
"""


@pytest.fixture(autouse=True)
def _answers(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One store of answers for the session and all its workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    monkeypatch.setenv("PROMPTREG_STORE", str(shared / "answers-of-the-model.sqlite3"))


def furnish(root: Path) -> RepositoryBuilder:
    """The registry, committed on `main`. The same bytes give the same commit, and so every gate the same order of cases."""
    house = RepositoryBuilder(root)
    for folder in ("prompts", "suites"):
        shutil.copytree(ROOT / folder, root / folder)
    house.write("promptreg.yaml", SETTINGS)
    house.write("prompts/sentiment/_examples.jinja", EXAMPLES)
    house.write("prompts/sentiment/review.yaml", REVIEW).write("prompts/sentiment/headline.yaml", HEADLINE)
    house.write("prompts/support/reply.yaml", REPLY)
    house.write("suites/sentiment/review.yaml", SUITE).write("suites/sentiment/headline.yaml", HEADLINES)
    house.write("suites/support/triage.yaml", TICKETS).write("suites/support/reply.yaml", REPLIES)
    house.commit("A registry")
    return house


@pytest.fixture
def house(tmp_path: Path) -> RepositoryBuilder:
    """The registry, and a branch `change` that starts from its main."""
    built = furnish(tmp_path / "house")
    built.git("checkout", "--quiet", "-b", "change")
    return built


@pytest.fixture
def check(user: Any, house: RepositoryBuilder) -> Callable[..., Any]:
    """`check(*options)`: commits the pull request and judges it."""

    def judge(*options: str, commit: bool = True) -> Any:
        if commit:
            house.commit("The pull request")
        user.root = house.root
        said = user("check", "--json", "--base", "main", *options)
        assert "errors" not in said.json, said.out
        return said

    return judge


def gates(said: Any) -> dict[str, Any]:
    return {gate["prompt"]: gate for gate in said.json["gates"]}


def reasons(said: Any) -> set[str]:
    return {finding["reason"] for finding in said.json["findings"]}


# what a change affects ------------------------------------------------------------------------------------------------------------


def test_a_reworded_comment_and_description_call_nobody(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/sentiment/review.yaml", "# Few-shot.\n" + REVIEW.replace("Says", "Tells"))
    house.write("prompts/sentiment/_examples.jinja", "{# Two of them. #}" + EXAMPLES)
    said = check()
    assert said.code == 0
    assert (said.json["verdict"], said.json["gates"], said.json["calls_made"]) == ("PASS", [], 0)
    why = {each["suite"]: each["why"] for each in said.json["unaffected"]}
    assert set(why) == {
        "extract/date",
        "math/word_problem",
        "sentiment/headline",
        "sentiment/review",
        "support/reply",
        "support/triage",
    }
    assert all(why.values())


def test_a_broken_partial_fails_what_includes_it_and_the_comment_names_the_cases(
    house: RepositoryBuilder, check: Callable[..., Any], tmp_path: Path
) -> None:
    house.write("prompts/sentiment/_examples.jinja", BROKEN)
    comment = tmp_path / "comment.md"
    said = check("--report", str(comment))
    assert said.code == 1
    assert set(gates(said)) == {"sentiment/review", "sentiment/headline"}, "and nobody sorts tickets"
    (against,) = gates(said)["sentiment/review"]["references"]
    assert gates(said)["sentiment/review"]["verdict"] == against["verdict"] == "FAIL"
    assert against["lower"] > 0
    assert against["upper"] > 0.5
    assert len(against["cases_broken"]) == against["broken"] > 5
    text = comment.read_text("utf-8")
    assert [case for case in against["cases_broken"] if f"`{case}`" not in text] == []
    assert text.index("FAIL") < text.index("sentiment/review") < text.index(against["cases_broken"][0])


def test_an_improvement_passes_without_asking_every_case(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/support/triage.yaml", (ROOT / "prompts/support/triage_few_shot.yaml").read_text("utf-8"))
    said = check()
    assert said.code == 0
    (gate,) = said.json["gates"]
    (against,) = gate["references"]
    assert (said.json["verdict"], gate["prompt"], gate["verdict"]) == ("PASS", "support/triage", "PASS")
    assert against["fixed"] > against["broken"]
    assert against["upper"] < 0.10
    again = check(commit=False)
    assert again.json["calls_made"] == 0
    assert again.json["gates"][0]["references"] == gate["references"]


def test_what_nobody_tests_is_unmeasured(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/sentiment/tone.yaml", REPLY)
    house.write(
        "prompts/sentiment/headline.yaml", HEADLINE.replace("Headline: {{", "{% if headline == 'Meh' %}So. {% endif %}Headline: {{")
    )
    said = check()
    assert said.code == 4
    assert {finding["prompt"]: finding["reason"] for finding in said.json["findings"]} == {
        "sentiment/tone": "no_suite",
        "sentiment/headline": "no_suite",
    }
    assert said.json["calls_made"] == 0


def test_a_new_prompt_in_an_old_suite_is_judged_by_its_floor(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    told = REPLIES.replace("[big]", "[echo]").replace("{}", "{floor: 0.9}")
    house.write("suites/support/reply.yaml", told).commit("A floor")
    house.git("branch", "--force", "main")
    house.write("prompts/support/hush.yaml", REPLY.replace("Answer: {{ ticket }}", "{{ ticket | truncate(2, true, '') }}"))
    house.write("suites/support/reply.yaml", told.replace("reply]", "reply, support/hush]"))
    said = check()
    assert said.code == 1
    (gate,) = said.json["gates"]
    assert (gate["prompt"], gate["new"], gate["references"], gate["floor"]["verdict"]) == ("support/hush", True, [], "FAIL")
    assert said.json["findings"] == []


def test_a_new_prompt_without_a_floor_is_what_base_says_of_uncovered_ones(
    house: RepositoryBuilder, check: Callable[..., Any]
) -> None:
    house.write("prompts/support/hush.yaml", REPLY)
    house.write("suites/support/hush.yaml", REPLIES.replace("reply]", "hush]"))
    said = check()
    assert said.code == 4
    assert [(each["prompt"], each["reason"]) for each in said.json["findings"]] == [("support/hush", "no_suite")]
    assert "floor" in said.json["findings"][0]["hint"]
    house.git("checkout", "--quiet", "main")
    house.write("promptreg.yaml", SETTINGS + "uncovered: warn\n").commit("Not strict")
    house.git("rebase", "--quiet", "main", "change")
    said = check(commit=False)
    assert said.code == 0
    assert any("support/hush" in note for note in said.json["notes"])


def test_a_new_model_in_an_old_suite_is_a_gate(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("suites/support/reply.yaml", REPLIES.replace("[big]", "[big, echo]").replace("{}", "{floor: 0.9}"))
    said = check()
    assert {(gate["model"], gate["new"]) for gate in said.json["gates"]} == {("big", False), ("echo", True)}


def test_a_provider_that_is_down_is_unmeasured(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/support/reply.yaml", REPLY.replace("Answer:", "Answer kindly:"))
    said = check()
    assert said.code == 4
    (gate,) = said.json["gates"]
    assert (gate["prompt"], gate["verdict"]) == ("support/reply", "UNMEASURED")
    assert gate["reason"] in ("provider_down", "missing_answers")
    assert gate["references"][0]["missing"] == 4


# what a pull request cannot do ----------------------------------------------------------------------------------------------------


def test_its_own_margin_does_not_save_it(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/sentiment/_examples.jinja", BROKEN)
    house.write("suites/sentiment/review.yaml", SUITE.replace("margin: 0.10", "margin: 0.99, alpha: 0.001"))
    said = check()
    assert said.code == 1
    by = {each["policy_from"]: each for each in gates(said)["sentiment/review"]["references"]}
    assert (by["base"]["verdict"], by["base"]["margin"]) == ("FAIL", 0.10)
    assert by["head"]["margin"] == 0.99


def test_its_own_golden_answers_do_not_save_it(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/sentiment/_examples.jinja", BROKEN)
    answers = (ROOT / "suites/sentiment/review.jsonl").read_text("utf-8")
    for old, new in (("positive", "good"), ("negative", "bad")):
        answers = answers.replace(f'"expected": "{old}"', f'"expected": "{new}"')
    house.write("suites/sentiment/review.jsonl", answers)
    house.write("suites/sentiment/review.yaml", SUITE.replace("[positive, negative]", "[good, bad]"))
    said = check()
    assert said.code == 1
    by = {each["suite_from"]: each["verdict"] for each in gates(said)["sentiment/review"]["references"]}
    assert by == {"base": "FAIL", "head": "PASS"}


PLUGIN = '''\
from dataclasses import dataclass
from typing import ClassVar

import promptreg
from promptreg.core.run import Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Whether the answer is the label."""

    name: ClassVar[str] = "label"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: str = "{{ expected }}"

    def score(self, answer):
        return Score(value=float(VALUE))


@promptreg.hookimpl
def promptreg_metrics():
    return {"label": Label}
'''


def test_its_own_plugin_never_runs(house: RepositoryBuilder, check: Callable[..., Any], tmp_path: Path) -> None:
    spoor = tmp_path / "spoor"
    house.write("plugins/label.py", PLUGIN.replace("VALUE", "answer.text.strip() == self.expected"))
    house.write("promptreg.yaml", SETTINGS + "plugins: [plugins/label.py]\n")
    house.write("suites/sentiment/review.yaml", SUITE.replace(LABELS, '  - label: "{{ expected }}"\n'))
    house.commit("A metric of our own")
    house.git("branch", "--force", "main")
    house.write("prompts/sentiment/_examples.jinja", BROKEN)
    house.write("plugins/label.py", PLUGIN.replace("VALUE", f"open({str(spoor)!r}, 'w').write('ran')"))
    said = check()
    assert said.code == 1
    assert gates(said)["sentiment/review"]["verdict"] == "FAIL"
    assert "untrusted_change" in reasons(said)
    assert not spoor.exists()


def test_its_own_endpoint_is_never_asked(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/support/reply.yaml", REPLY.replace("Answer:", "Answer rudely:"))
    with LoopbackServer() as elsewhere:
        house.write("promptreg.yaml", SETTINGS.replace(DEAD, elsewhere.url))
        said = check()
        assert elsewhere.requests == 0
    assert said.code == 4
    assert "untrusted_change" in reasons(said)
    assert gates(said)["support/reply"]["references"][0]["missing"] == 4, "base's own endpoint was asked"


@pytest.mark.parametrize("option", ["serve: {kv_cache: q4_0}", "serve: {adapters: [adapters/kind.gguf]}"])
def test_its_own_model_options_are_not_used(house: RepositoryBuilder, check: Callable[..., Any], option: str) -> None:
    house.write("adapters/kind.gguf", "no adapter at all")
    house.write("promptreg.yaml", SETTINGS.replace("completion: plain", f"completion: plain, {option}"))
    said = check()
    assert said.code == 4
    assert reasons(said) == {"untrusted_change"}
    house.write("prompts/sentiment/_examples.jinja", BROKEN)
    worse = check()
    assert worse.code == 1
    assert gates(worse)["sentiment/review"]["verdict"] == "FAIL"
    assert "untrusted_change" in reasons(worse)


def test_another_name_does_not_save_it(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/sentiment/_examples.jinja", BROKEN)
    house.delete("prompts/sentiment/review.yaml").write("prompts/sentiment/opinion.yaml", REVIEW)
    house.write("suites/sentiment/review.yaml", SUITE.replace("sentiment/review]", "sentiment/opinion]"))
    said = check()
    assert said.code == 1
    assert gates(said)["sentiment/opinion"]["verdict"] == "FAIL"
    assert not gates(said)["sentiment/opinion"]["new"]


def test_another_name_and_another_text_do_not_save_it(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.delete("prompts/sentiment/review.yaml").write("prompts/sentiment/opinion.yaml", REPLY.replace("ticket", "review"))
    house.write(
        "suites/sentiment/review.yaml", SUITE.replace("sentiment/review]", "sentiment/opinion]").replace("smollm2-text", "echo")
    )
    said = check()
    assert said.code == 4
    assert "sentiment/review" in {finding["prompt"] for finding in said.json["findings"] if finding["reason"] == "no_suite"}


def test_fifty_trivial_suites_do_not_dilute_alpha(house: RepositoryBuilder, check: Callable[..., Any]) -> None:
    house.write("prompts/sentiment/_examples.jinja", BROKEN)
    for number in range(50):
        house.write(f"suites/easy/{number}.yaml", REPLIES.replace("[big]", "[echo]"))
    said = check()
    assert said.code == 1
    assert len(said.json["gates"]) == 52
    assert gates(said)["sentiment/review"]["verdict"] == "FAIL"


# the runs branch ----------------------------------------------------------------------------------------------------------------

BARRIER = """\
#!/bin/sh
# Each of the first two pushes waits here for the other, so that both then write the same ref at once.
touch "arrived.$$"
tries=0
while [ "$(ls arrived.* | wc -l)" -lt 2 ] && [ "$tries" -lt 400 ]; do tries=$((tries + 1)); sleep 0.05; done
"""


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A bare repository that holds the registry's main and two pull requests: `better` and `worse`."""
    house = furnish(tmp_path / "house")
    house.git("checkout", "--quiet", "-b", "better")
    house.write("prompts/support/triage.yaml", (ROOT / "prompts/support/triage_few_shot.yaml").read_text("utf-8")).commit("Better")
    house.git("checkout", "--quiet", "-b", "worse", "main")
    house.write("prompts/sentiment/_examples.jinja", BROKEN).commit("Worse")
    house.git("checkout", "--quiet", "main")
    house.git("clone", "--quiet", "--bare", str(house.root), str(tmp_path / "hub.git"))
    return tmp_path / "hub.git"


def clone(hub: Path, name: str, branch: str) -> RepositoryBuilder:
    """A job's own clone, *branch* checked out."""
    job = RepositoryBuilder(hub.parent / name)
    job.git("remote", "add", "origin", str(hub))
    job.git("fetch", "--quiet", "origin", f"+refs/heads/{RUNS}*:refs/remotes/origin/{RUNS}*", "+refs/heads/*:refs/remotes/origin/*")
    job.git("checkout", "--quiet", "--detach", f"origin/{branch}")
    return job


def held(repository: RepositoryBuilder, revision: str) -> set[str]:
    """The files of *revision* with their blobs."""
    return {line.split(" ", 2)[2] for line in repository.git("ls-tree", "-r", "--full-tree", revision).splitlines()}


def test_two_jobs_that_push_at_once_lose_nothing(user: Any, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = {name: clone(hub, f"job-{name}", name) for name in ("better", "worse")}
    for job in jobs.values():
        user.root = job.root
        user("check", "--json", "--base", "origin/main")  # answers become known, so that both come to push together
    (hub / "hooks/pre-receive").write_text(BARRIER)
    (hub / "hooks/pre-receive").chmod(0o755)
    started = {}
    for name, job in jobs.items():
        user.root = job.root
        started[name] = user.start("check", "--json", "--base", "origin/main", "--runs", "push")
    said = {name: user.end(process) for name, process in started.items()}
    assert {name: (each.code, each.json["verdict"]) for name, each in said.items()} == {"better": (0, "PASS"), "worse": (1, "FAIL")}
    assert len(list(hub.glob("arrived.*"))) > 2, "one of them had to push again"
    there = held(RepositoryBuilder(clone(hub, "looking", "main").root), f"origin/{RUNS}")
    for name, job in jobs.items():
        own = set().union(*(held(job, commit) for commit in job.git("log", "--walk-reflogs", "--format=%H", RUNS).split()))
        assert own, name
        assert own <= there, name
    measured = {path.split("\t")[1].split("/")[1] for path in there if "\tverdicts/" in path}
    assert measured == {"support%2Ftriage", "sentiment%2Freview", "sentiment%2Fheadline"}
    monkeypatch.setenv("PROMPTREG_STORE", str(tmp_path / "empty.sqlite3"))
    for name in jobs:
        user.root = clone(hub, f"later-{name}", name).root
        later = user("check", "--json", "--base", "origin/main")
        assert (later.code, later.json["calls_made"]) == (said[name].code, 0), "all answers are on the branch"
        figures = [[(ref["broken"], ref["fixed"], ref["n"]) for ref in gate["references"]] for gate in later.json["gates"]]
        assert figures == [
            [(ref["broken"], ref["fixed"], ref["n"]) for ref in gate["references"]] for gate in said[name].json["gates"]
        ]


PULL = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_BASE_REF": "main",
    "GITHUB_REPOSITORY": "acme/prompts",
}


def test_a_drop_that_a_maintainer_accepts_lets_the_pull_requests_own_job_pass(
    user: Any, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own_job(*options: str) -> Any:
        with monkeypatch.context() as patched:
            for name, value in PULL.items():
                patched.setenv(name, value)
            return user("check", "--json", *options)

    user.root = clone(hub, "before", "worse").root
    assert own_job().code == 1
    assert own_job("--accept", "I want it").code == 2, "a change does not judge itself"
    user.root = clone(hub, "maintainer", "worse").root
    accepted = user("check", "--json", "--base", "origin/main", "--accept", "the shop wants short labels", "--runs", "push")
    assert accepted.code == 0
    after = clone(hub, "after", "worse")
    user.root = after.root
    comment = tmp_path / "comment.md"
    said = own_job("--report", str(comment))
    assert (said.code, said.json["verdict"], said.json["accepted"]) == (0, "FAIL", True)
    assert "the shop wants short labels (" in gates(said)["sentiment/review"]["accepted"]
    assert "the shop wants short labels" in comment.read_text("utf-8")
    after.write("prompts/sentiment/_examples.jinja", BROKEN.replace("rude", "very rude")).commit("Another text")
    assert own_job().code == 1, "which nobody accepted"
