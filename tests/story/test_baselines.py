"""`promptreg baseline`: repeats for what is merged, against an honest server, and what a check makes of them."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import User

from promptreg.core.run import BASELINE
from promptreg.store import Store
from promptreg.testing import Fault, LoopbackServer, RepositoryBuilder

CASES = 24
SETTINGS = """\
registry: acme/prompts
models:
  big: {{provider: openai, model: big-1, base_url: "{url}", limits: {{retries: 4}}{more}}}
defaults: {{model: big}}
"""
TRIAGE = """\
owners: ["@ada"]
inputs: {ticket: {type: string}}
messages:
  - role: system
    content: '{% include "_tone.jinja" %} Name the queue.'
  - {role: user, content: "{{ ticket }}"}
params: {temperature: 1, max_tokens: 16}
"""
SUITE = """\
prompts: [triage]
models: [big]
dataset: triage.jsonl
checks:
  - exact: "{{ expected }}"
gate: {margin: 0.10, anchor: none}
"""


class Model:
    """Sorts tickets; tickets 0 and 12 are right only every other time that they are asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.instead: Callable[[Any], Any] | None = None  # answers otherwise
        self.failing: frozenset[int] = frozenset()  # requests that fail
        self._lock = threading.Lock()

    def fault(self, number: int) -> Fault | None:
        return Fault(kind="status", status=500, headers={"Retry-After": "0"}) if number in self.failing else None

    def __call__(self, request: Any) -> Any:
        if self.instead is not None:
            return self.instead(request)
        system, text = request["messages"][0]["content"], request["messages"][-1]["content"]
        with self._lock:
            self.asked[f"{system}|{text}"] += 1
            times = self.asked[f"{system}|{text}"]
        number = int(text.split()[-1])
        if number % 12 == 0 and times % 2:
            return "other"
        return "billing" if number % 2 else "bug"

    def about(self, tone: str) -> int:
        """How many requests had *tone* in their system message."""
        return sum(times for text, times in self.asked.items() if text.startswith(tone))


def rows(count: int = CASES) -> str:
    return "".join(
        json.dumps({"id": f"t{n}", "inputs": {"ticket": f"ticket {n}"}, "expected": "billing" if n % 2 else "bug"}) + "\n"
        for n in range(count)
    )


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def server(model: Model) -> Iterator[LoopbackServer]:
    with LoopbackServer(model, faults=model.fault) as running:
        yield running


@pytest.fixture
def house(user: User, server: LoopbackServer) -> RepositoryBuilder:
    """A registry on main, and a branch `change` that starts from it; *user* stands in it."""
    built = RepositoryBuilder(user.root)
    built.write("promptreg.yaml", SETTINGS.format(url=server.url, more=""))
    built.write("prompts/triage.yaml", TRIAGE).write("prompts/_tone.jinja", "Be brief.\n")
    built.write("suites/triage.yaml", SUITE).write("suites/triage.jsonl", rows()).write(".gitignore", ".promptreg/\n")
    built.commit("A registry")
    built.git("checkout", "--quiet", "-b", "change")
    return built


def refresh(user: User, *options: str) -> Any:
    return user("baseline", "refresh", "--json", *options)


def keys(user: User) -> list[str]:
    """The call keys that the store knows."""
    with sqlite3.connect(user.root / ".promptreg/store.sqlite3") as db:
        return [key for (key,) in db.execute("SELECT DISTINCT call_key FROM observations")]


# refresh ----------------------------------------------------------------------------------------------------------------------


def test_five_repeats_are_asked_for_once_graded_and_recorded(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    said = refresh(user)
    assert said.code == 0, said.err
    assert server.requests == 5 * CASES
    (cell,) = said.json["baselines"]
    assert (cell["cases"], cell["repeats"], cell["answers"]) == (CASES, {"least": 5, "most": 5}, 5 * CASES)
    assert cell["flaky"] == 2
    assert cell["discordance"] == pytest.approx(2 * 0.6 / CASES), "two of five pass: 6 of 10 pairs disagree"
    assert not cell["identical"]
    (path,) = said.json["refreshed"]["records"]
    listed = user("runs", "list", "--json").json["runs"]
    assert [(each["path"], each["purpose"], each["n"]) for each in listed] == [(path, "baseline", 5 * CASES)]
    again = refresh(user)
    assert server.requests == 5 * CASES
    assert (again.json["refreshed"]["calls_made"], again.json["refreshed"]["records"]) == (0, [])
    assert again.json["baselines"] == said.json["baselines"]


def test_only_what_is_lacking_is_asked_for_and_recorded(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    assert refresh(user, "--repeats", "2").code == 0
    house.write("suites/triage.jsonl", rows(CASES + 1)).commit("One case more")
    before = server.requests
    planned = user("baseline", "refresh", "--dry-run", "--repeats", "3", "--json")
    assert (planned.json["missing"], server.requests) == (CASES + 3, before)
    said = refresh(user, "--repeats", "3")
    assert server.requests - before == CASES + 3
    assert said.json["baselines"][0]["repeats"] == {"least": 3, "most": 3}
    (path,) = said.json["refreshed"]["records"]
    newest = {each["path"]: each["n"] for each in user("runs", "list", "--json").json["runs"]}
    assert newest[path] == CASES + 3, "answers that are recorded are not recorded twice"


def test_the_baseline_of_a_clone_is_not_asked_for_again(
    user: User, house: RepositoryBuilder, server: LoopbackServer, tmp_path: Path
) -> None:
    house.git("init", "--quiet", "--bare", str(tmp_path / "hub.git"))
    house.git("remote", "add", "origin", str(tmp_path / "hub.git"))
    house.git("push", "--quiet", "origin", "main", "change")
    assert refresh(user, "--repeats", "2", "--push").json["refreshed"]["pushed"] is True
    asked = server.requests
    house.git("clone", "--quiet", "--branch", "main", str(tmp_path / "hub.git"), str(tmp_path / "clone"))
    user.root = tmp_path / "clone"
    assert user("runs", "fetch").code == 0
    shown = user("baseline", "show", "--json")
    assert shown.json["baselines"][0]["repeats"] == {"least": 2, "most": 2}
    said = refresh(user, "--repeats", "2")
    assert (server.requests, said.json["refreshed"]["records"]) == (asked, [])


def test_a_baseline_belongs_to_a_commit(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("prompts/_tone.jinja", "Be curt.\n")
    for options in ((), ("--dry-run",)):
        said = refresh(user, *options)
        assert said.code == 2
        assert "belongs to a commit" in said.json["errors"][0]["message"]
    assert server.requests == 0


def test_a_pull_requests_own_job_fills_no_baseline(
    user: User, house: RepositoryBuilder, server: LoopbackServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    assert refresh(user).code == 2
    assert refresh(user, "--push").code == 2
    assert user("flaky", "--repeats", "5").code == 2
    looked = user("flaky", "--json")
    assert (looked.code, looked.json["calls_made"], server.requests) == (0, 0, 0)
    monkeypatch.setenv("GITHUB_EVENT_NAME", "schedule")
    assert refresh(user, "--repeats", "1").code == 0


def test_a_budget_refuses_before_the_first_call(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("promptreg.yaml", SETTINGS.format(url=server.url, more="") + "budget: {calls: 10}\n").commit("Careful")
    said = refresh(user)
    assert said.code == 4
    assert said.json["reason"] == "budget"
    assert server.requests == 0


def test_missing_answers_are_told_and_asked_for_next_time(
    user: User, house: RepositoryBuilder, server: LoopbackServer, model: Model
) -> None:
    model.instead = _refuse
    said = refresh(user, "--repeats", "2")
    assert said.code == 4, said.out
    (cell,) = said.json["baselines"]
    assert cell["missing"] == 2
    assert cell["repeats"] == {"least": 0, "most": 2}
    model.instead = None
    before = server.requests
    mended = refresh(user, "--repeats", "2")
    assert (mended.code, server.requests - before) == (0, 2)
    assert mended.json["baselines"][0]["repeats"] == {"least": 2, "most": 2}


def _refuse(request: Any) -> Any:
    """A body that is no answer, for one ticket; others are sorted."""
    text = request["messages"][-1]["content"]
    return {"nothing": "at all"} if text == "ticket 7" else "bug"


def test_repeats_that_say_the_same_are_told_of(user: User, house: RepositoryBuilder, model: Model) -> None:
    model.instead = lambda _request: "bug"
    said = refresh(user, "--repeats", "3")
    assert said.json["baselines"][0]["identical"] is True
    assert any("say the same" in note for note in said.json["notes"])
    assert said.json["baselines"][0]["discordance"] == 0


def test_answers_that_are_not_kept_have_no_baseline(user: User) -> None:
    built = RepositoryBuilder(user.root)
    built.write("promptreg.yaml", "registry: a/b\nmodels: {echo: {provider: echo, model: echo}}\n").write(
        "prompts/triage.yaml", TRIAGE
    )
    built.write("prompts/_tone.jinja", "").write("suites/triage.yaml", SUITE.replace("big", "echo"))
    built.write("suites/triage.jsonl", rows(3)).commit()
    said = refresh(user)
    assert (said.code, said.json["baselines"]) == (0, [])
    assert any("echo" in note for note in said.json["notes"])


def test_two_processes_make_each_call_once(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    both = [user.start("baseline", "refresh", "--json") for _ in range(2)]
    said = [user.end(process) for process in both]
    assert [each.code for each in said] == [0, 0], said
    assert server.requests == 5 * CASES
    assert sum(each.json["refreshed"]["calls_made"] for each in said) == 5 * CASES
    assert all(each.json["baselines"][0]["repeats"] == {"least": 5, "most": 5} for each in said)


# ages -------------------------------------------------------------------------------------------------------------------------


def aged(user: User, days: float) -> None:
    """All that the store holds was observed so much longer ago."""
    path = user.root / ".promptreg/store.sqlite3"
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT rowid, value, observed_at FROM observations").fetchall()
        for rowid, value, moment in rows:
            told = json.loads(value)
            told["observed_at"] = moment - days * 86_400
            db.execute(
                "UPDATE observations SET observed_at = ?, value = ? WHERE rowid = ?",
                (told["observed_at"], json.dumps(told).encode(), rowid),
            )


def test_what_has_expired_is_asked_for_again_under_its_slot(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("promptreg.yaml", SETTINGS.format(url=server.url, more=", max_age: 30d")).commit("Answers age")
    user("baseline", "refresh", "--repeats", "2")
    house.git("update-ref", "-d", "refs/heads/promptreg/runs")
    aged(user, 40)
    assert user("baseline", "show", "--json").json["baselines"][0]["repeats"]["least"] == 0
    before = server.requests
    said = refresh(user, "--repeats", "2")
    assert server.requests - before == 2 * CASES
    assert said.json["baselines"][0]["repeats"] == {"least": 2, "most": 2}
    store = Store.open(user.root / ".promptreg/store.sqlite3", lambda: 0.0)
    assert {slots for key in keys(user) if (slots := store.slots(key))} == {(BASELINE, BASELINE + 1)}
    assert store.stats()["answers"] == 4 * CASES, "the old ones are still there"
    store.close()


def test_an_age_of_ones_own_fills_further_slots(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    user("baseline", "refresh", "--repeats", "2")
    house.git("update-ref", "-d", "refs/heads/promptreg/runs")
    aged(user, 10)
    before = server.requests
    assert refresh(user, "--repeats", "2", "--max-age", "20").json["refreshed"]["calls_made"] == 0
    said = refresh(user, "--repeats", "2", "--max-age", "7")
    assert server.requests - before == 2 * CASES
    assert said.json["baselines"][0]["repeats"] == {"least": 4, "most": 4}, "what a check still reads is not replaced"


# what a check makes of it -----------------------------------------------------------------------------------------------------


def test_a_check_compares_with_all_five_and_asks_base_nothing(
    user: User, house: RepositoryBuilder, server: LoopbackServer, model: Model
) -> None:
    assert refresh(user).code == 0
    house.write("prompts/_tone.jinja", "Be kind.\n")
    said = user("check", "--json", "--base", "main")
    (reference,) = said.json["gates"][0]["references"]
    assert (reference["repeats_base"], reference["repeats_head"]) == (5, 1)
    assert model.about("Be brief.") == 5 * CASES
    assert model.about("Be kind.") <= CASES
    before = server.requests
    again = user("check", "--json", "--base", "main")
    assert server.requests == before
    assert again.json["gates"][0]["verdict"] == said.json["gates"][0]["verdict"]


def test_a_merged_winners_own_answers_are_not_its_baseline(user: User, house: RepositoryBuilder, model: Model) -> None:
    assert refresh(user).code == 0
    house.write("prompts/_tone.jinja", "Be kind.\n").commit("Kinder")
    user("check", "--json", "--base", "main", "--head", "HEAD")
    own = model.about("Be kind.")
    assert own > 0
    house.git("branch", "--force", "main")
    house.write("prompts/_tone.jinja", "Be merry.\n")
    user("check", "--json", "--base", "main")
    assert model.about("Be kind.") > own, "the winner is asked anew, in slots of its own"
    house.write("prompts/_tone.jinja", "Be kind.\n")
    shown = user("baseline", "show", "--json").json["baselines"][0]
    assert shown["repeats"]["most"] == 1
    refreshed = refresh(user, "--repeats", "2")
    assert refreshed.json["baselines"][0]["repeats"] == {"least": 2, "most": 2}


def test_the_anchor_can_have_repeats_too(user: User, house: RepositoryBuilder, model: Model) -> None:
    house.write("suites/triage.yaml", SUITE.replace(", anchor: none", "")).commit()
    house.tag("triage@v1.0.0")
    house.write("prompts/_tone.jinja", "Be kind.\n").commit()
    house.git("branch", "--force", "main")
    assert refresh(user, "-p", "triage@1.0.0", "--repeats", "3").code == 0
    assert (model.about("Be brief."), model.about("Be kind.")) == (3 * CASES, 0)
    house.write("prompts/_tone.jinja", "Be merry.\n")
    said = user("check", "--json", "--base", "main")
    repeats = {each["kind"]: each["repeats_base"] for each in said.json["gates"][0]["references"]}
    assert repeats == {"base": 1, "anchor": 3}
    assert model.about("Be brief.") == 3 * CASES


@pytest.mark.parametrize("path", ["prompts/other.yaml", "suites/other.yaml"])
def test_a_file_that_git_does_not_know_is_no_part_of_a_commit(user: User, house: RepositoryBuilder, path: str) -> None:
    house.write(path, "")
    said = refresh(user)
    assert (said.code, said.json["schema"]) == (2, "promptreg/error/1")
    assert "belongs to a commit" in said.json["errors"][0]["message"]


def test_other_files_may_be_as_they_like(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    house.write("notes.txt", "to do")
    assert refresh(user, "--repeats", "1").code == 0
    assert server.requests == CASES


def test_retries_of_a_failed_call_leave_one_answer(
    user: User, house: RepositoryBuilder, server: LoopbackServer, model: Model
) -> None:
    model.failing = frozenset((0, 7, 20))
    said = refresh(user, "--repeats", "2")
    assert said.code == 0
    assert server.requests == 2 * CASES + 3
    store = Store.open(user.root / ".promptreg/store.sqlite3", lambda: 0.0)
    assert store.stats()["answers"] == 2 * CASES
    store.close()
    assert said.json["baselines"][0]["answers"] == 2 * CASES


def test_an_answer_that_fails_its_check_is_never_asked_for_again(
    user: User, house: RepositoryBuilder, server: LoopbackServer, model: Model
) -> None:
    model.failing = frozenset((3, 8))
    house.write("prompts/_tone.jinja", "Be kind.\n")
    first = user("check", "--json", "--base", "main")
    assert set(model.asked.values()) == {1}, "also the wrong answers to tickets 0 and 12 were answers"
    assert server.requests == len(model.asked) + 2
    assert any(text.endswith("ticket 0") for text in model.asked)
    second = user("check", "--json", "--base", "main")
    assert set(model.asked.values()) == {1}
    assert [each["references"] for each in second.json["gates"]] == [each["references"] for each in first.json["gates"]]
