"""`promptreg flaky`: which cases pass only sometimes, who looks after them, and whether it is the answers or their judge."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from conftest import User

from promptreg.testing import LoopbackServer, RepositoryBuilder

SUITE = "suites/triage.yaml"
LATE, OVER = "9999-12-31", "2001-01-01"
SETTINGS = """\
registry: acme/prompts
models:
  big: {{provider: openai, model: big-1, base_url: "{url}", limits: {{concurrency: 1}}}}
"""
TRIAGE = """\
owners: ["@ada", "@bo"]
inputs: {ticket: {}}
messages: [{role: user, content: "{{ ticket }}"}]
"""
CHECKED = """\
prompts: [triage]
models: [big]
checks: [{starts_with: "yes"}]
cases:
  - {id: steady, inputs: {ticket: steady}}
  - {id: "odd \\"one\\": #1", inputs: {ticket: odd}}
  - {id: rare, inputs: {ticket: rare}}
"""
PLUGIN = '''\
"""A judge: asks a model what it thinks of an answer."""

from dataclasses import dataclass
from typing import ClassVar

import promptreg
from promptreg.core.prompt import Message
from promptreg.core.run import Call, Completion, ModelIdentity, Score

FACTS = {{"provider": "openai", "model": "big-1", "origin": "{origin}"}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a judge thinks of it."""

    name: ClassVar[str] = "opinion"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 0.5
    short: ClassVar[str] = "rubric"
    cached: ClassVar[bool] = True

    rubric: str = "good?"

    def score(self, answer):
        said = yield Call(model=ModelIdentity(facts=FACTS), messages=(Message(role="user", content="judge: " + answer.text),))
        return Score(value=float(said.text)) if isinstance(said, Completion) else Score(value=0.0)


@promptreg.hookimpl
def promptreg_metrics():
    return {{"opinion": Opinion}}
'''


class Model:
    """Answers `yes` always to steady, every other time to odd, every fifth time not to rare; judges by `verdicts`, in turn."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.verdicts: tuple[str, ...] = ("1.0",)
        self.distinct = False
        self._lock = threading.Lock()

    def __call__(self, request: Any) -> str:
        text = request["messages"][-1]["content"]
        with self._lock:
            self.asked[text] += 1
            times = self.asked[text]
        if text.startswith("judge: "):
            return self.verdicts[times % len(self.verdicts)]
        wrong = (text == "odd" and times % 2) or (text == "rare" and times % 5 == 0)
        return ("no" if wrong else "yes") + (f" {text} {times}" if self.distinct else "")

    @property
    def answers(self) -> int:
        return sum(times for text, times in self.asked.items() if not text.startswith("judge: "))


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def server(model: Model) -> Iterator[LoopbackServer]:
    with LoopbackServer(model) as running:
        yield running


@pytest.fixture
def house(user: User, server: LoopbackServer) -> RepositoryBuilder:
    built = RepositoryBuilder(user.root)
    built.write("promptreg.yaml", SETTINGS.format(url=server.url)).write("prompts/triage.yaml", TRIAGE).write(SUITE, CHECKED)
    built.write(".gitignore", ".promptreg/\n").commit()
    return built


@pytest.fixture
def court(house: RepositoryBuilder, server: LoopbackServer) -> RepositoryBuilder:
    """The same, judged by a model."""
    house.write("plugins/opinion.py", PLUGIN.format(origin=server.url))
    house.write("promptreg.yaml", SETTINGS.format(url=server.url) + "plugins: [plugins/opinion.py]\n")
    house.write(SUITE, CHECKED.replace('starts_with: "yes"', "opinion: good?"))
    house.commit()
    return house


def entries(house: RepositoryBuilder, *lines: str) -> None:
    house.write(SUITE, CHECKED + "quarantine:\n" + "\n".join(lines) + "\n").commit()


def test_flaky_cases_come_first_with_a_line_that_sets_them_aside(user: User, house: RepositoryBuilder, model: Model) -> None:
    said = user("flaky", "--json")
    assert said.code == 0, said.err
    assert model.answers == 15, "at least five repeats of three cases"
    (cell,) = said.json["cells"]
    assert [(each["case"], each["passed"], each["of"]) for each in cell["cases_flaky"]] == [('odd "one": #1', 2, 5), ("rare", 4, 5)]
    assert cell["discordance"] == pytest.approx((0.6 + 0.4) / 3)
    (news,) = said.json["suites"]
    until = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    assert {(each["owner"], each["until"]) for each in news["suggested"]} == {("@ada, @bo", until)}
    assert user("flaky").code == 0
    assert model.answers == 15


def test_the_suggested_lines_can_be_pasted(user: User, house: RepositoryBuilder) -> None:
    said = user("flaky")
    pasted = said.out[said.out.index("quarantine:\n") :].split("\n\n")[0]
    house.write(SUITE, CHECKED + pasted).commit()
    assert user("lint", "--json").json["findings"] == []
    again = user("flaky", "--json").json["suites"][0]
    assert again["suggested"] == []
    assert [(each["case"], each["state"], each["healed"]) for each in again["quarantine"]] == [
        ('odd "one": #1', "held", False),
        ("rare", "held", False),
    ]


def test_entries_are_held_expired_or_healed(user: User, house: RepositoryBuilder) -> None:
    lines = ((OVER, "rare"), (LATE, "steady"), (LATE, "gone"))
    entries(house, *(f'  - {{case: {case}, owner: "@ada", until: {until}}}' for until, case in lines))
    assert user("baseline", "refresh", "--repeats", "4").code == 0
    few = user("flaky", "--repeats", "0", "--json").json["suites"][0]
    assert not any(each["healed"] for each in few["quarantine"]), "four repeats do not heal"
    said = user("flaky", "--json").json["suites"][0]
    states = {each["case"]: (each["state"], each["healed"], each["passed"], each["of"]) for each in said["quarantine"]}
    assert states == {"rare": ("expired", False, 4, 5), "steady": ("held", True, 5, 5), "gone": ("held", False, 0, 0)}
    assert "rare" in {each["case"] for each in said["suggested"]}, "its old entry is over"
    shown = user("flaky").out
    assert "healed: take it out" in shown
    assert "over" in shown


def test_many_flaky_cases_are_no_affair_of_single_cases(user: User, house: RepositoryBuilder) -> None:
    rows = "".join(f'  - {{id: c{n}, inputs: {{ticket: odd}}, cluster: "{n}"}}\n' for n in range(60))
    house.write(SUITE, CHECKED.partition("cases:\n")[0] + "cases:\n" + rows).commit()
    said = user("flaky", "--json")
    assert any("100% of the cases are flaky" in note for note in said.json["notes"])
    assert len(said.json["suites"][0]["suggested"]) == 60
    shown = user("flaky").out
    assert shown.count("  - {case:") == 50
    assert shown.count("and 10 more") == 2


def test_without_an_owner_the_line_asks_for_one(user: User, house: RepositoryBuilder) -> None:
    house.write("prompts/triage.yaml", TRIAGE.split("\n", 1)[1]).commit()
    assert {each["owner"] for each in user("flaky", "--json").json["suites"][0]["suggested"]} == {"?"}


def test_nobody_is_asked_where_no_baseline_may_be_made(user: User, house: RepositoryBuilder, model: Model) -> None:
    house.write("prompts/triage.yaml", TRIAGE.replace("{{ ticket }}", "{{ ticket }}!"))
    said = user("flaky", "--json")
    assert (said.code, model.answers) == (0, 0)
    assert any("nobody is asked" in note for note in said.json["notes"])
    assert user("flaky", "--repeats", "3").code == 2
    assert user("flaky", "--repeats", "0").code == 0
    assert model.answers == 0


def test_missing_answers_are_no_verdict(user: User, house: RepositoryBuilder, server: LoopbackServer) -> None:
    server.close()
    said = user("flaky", "--json")
    assert said.code == said.json["exit_code"] == 4
    assert said.json["missing"] == 15


# judges -----------------------------------------------------------------------------------------------------------------------


def rejudged(user: User, times: int) -> Any:
    said = user("flaky", "--rejudge", str(times), "--json")
    assert said.code == 0, said.err
    return said.json


def test_a_fickle_judge_of_steady_answers_is_found_out(user: User, court: RepositoryBuilder, model: Model) -> None:
    model.verdicts = ("0.0", "1.0")
    model.distinct = True
    assert user("baseline", "refresh").code == 0
    asked, known = model.answers, model.asked.total() - model.answers
    found = rejudged(user, 6)
    assert model.answers == asked, "no answer is asked for"
    assert model.asked.total() - asked - known == 15 * 5, "the first judgement of each answer was known"
    part = found["cells"][0]["components"]["passed"]
    assert (part["cases"], part["answers"], part["judgements"]) == (3, 15, 90)
    assert part["judge"] == pytest.approx(0.3)
    assert part["answer"] == 0
    before = model.asked.total()
    assert rejudged(user, 6)["cells"][0]["components"] == found["cells"][0]["components"]
    assert model.asked.total() == before, "judgements are kept, too"


def test_steady_judges_of_fickle_answers_are_found_out(user: User, court: RepositoryBuilder, model: Model) -> None:
    court.write(SUITE, CHECKED.replace('{starts_with: "yes"}', "{starts_with: yes}, {opinion: good?}")).commit()
    assert user("baseline", "refresh").code == 0
    parts = rejudged(user, 3)["cells"][0]["components"]
    assert set(parts) == {"passed", "score", "starts_with", "opinion"}
    assert (parts["passed"]["judge"], parts["opinion"]["judge"], parts["opinion"]["answer"]) == (0, 0, 0)
    assert parts["passed"]["answer"] == pytest.approx((0.3 + 0.2) / 3)
    assert parts["passed"]["judge_share"] == 0


def test_identical_answers_are_judged_apart(user: User, court: RepositoryBuilder, model: Model) -> None:
    """Else one judgement would count for all of them, and the answers would seem to differ less than they do."""
    assert user("baseline", "refresh").code == 0
    before = model.asked["judge: yes"]
    assert before == 1
    part = rejudged(user, 2)["cells"][0]["components"]["passed"]
    assert part["judgements"] == 30
    assert model.asked["judge: yes"] == 2 * 5, "five steady answers; the other cases' answers say the same, and share them"


def test_verdicts_do_not_see_judgements_made_anew(user: User, court: RepositoryBuilder, model: Model) -> None:
    assert user("baseline", "refresh").code == 0
    first = user("baseline", "show", "--json").json["baselines"]
    model.verdicts = ("0.0",)
    rejudged(user, 4)
    assert user("baseline", "show", "--json").json["baselines"] == first


def test_checks_that_ask_nobody_have_nothing_to_judge_again(user: User, house: RepositoryBuilder, model: Model) -> None:
    assert user("baseline", "refresh").code == 0
    asked = model.asked.total()
    found = rejudged(user, 3)
    assert model.asked.total() == asked
    assert any("no check asks a model" in note for note in found["notes"])
    assert found["cells"][0]["components"]["passed"]["judge"] == 0
    assert "judge variance" in user("flaky", "--rejudge", "3").out


def test_a_silent_judge_is_no_verdict(user: User, court: RepositoryBuilder, server: LoopbackServer, model: Model) -> None:
    assert user("baseline", "refresh", "--repeats", "2").code == 0
    server.close()
    said = user("flaky", "--rejudge", "3", "--json")
    assert said.code == 4
    assert said.json["unjudged"] > 0
