"""rot and upgrade: the same prompts on other models; on servers, on answers that others published, on the embedded model."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import lxml.html
import pytest
import samples
from conftest import User, until
from repositories import git

from promptreg import documents
from promptreg.testing import Fault, LoopbackServer

DEAD = "http://127.0.0.1:9/v1"  # nobody listens there
QUEUES = ("payment", "delivery", "account", "repair")
ONE_OF = 'checks: [{one_of: {labels: [payment, delivery, account, repair], expected: "{{ expected }}"}}]\n'
EXACT = "checks: [exact]\n"
ASKS = '''\
from dataclasses import dataclass

import promptreg
from promptreg.core.prompt import Message, Parameters
from promptreg.core.run import Call, ModelIdentity


@dataclass(frozen=True, kw_only=True)
class Asks:
    """Is the answer there? Of what `two` says without a fence somebody else is asked, whom nobody knows."""

    name = "asks"
    version = "1"
    threshold = 1.0
    short = ""
    cached = False

    def score(self, answer):
        if answer.completion.reported_model.startswith("two") and "python" not in answer.text:
            nobody = ModelIdentity(facts={"provider": "openai", "model": "judge"})
            yield Call(model=nobody, messages=(Message(role="user", content="say yes"),), params=Parameters())
        return promptreg.Score(value=1.0)


@promptreg.hookimpl
def promptreg_metrics():
    return {"asks": Asks}
'''
CSV = '''\
import promptreg


class Csv:
    """For spreadsheets."""

    name = "csv"
    suffix = ".csv"

    def render(self, report):
        return ""

    def render_rot(self, report):
        return "".join(f"{cell.prompt},{cell.action}\\n" for cell in report.cells)


@promptreg.hookimpl
def promptreg_reporters():
    return {".csv": Csv}
'''


def said_of(request: Any) -> str:
    """Two models behind one server: `one` says the word it is told to, `two` is terse, fences code, and paints grey."""
    text = request["messages"][-1]["content"]
    word = text.rpartition("say ")[2].strip()
    if request["model"] == "one":
        return f"{'well, ' * 6}{word}" if text.startswith("sort") else word
    if text.startswith("code"):
        return f"```python\n{word}\n```"
    if text.startswith("paint"):
        return "grey" if int(re.findall(r"\d+", text)[0]) % 2 else word
    return word


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(said_of) as running:
        yield running


def prompt(kind: str) -> str:
    return f'inputs: {{n: {{}}, word: {{}}}}\nmessages: [{{role: user, content: "{kind} {{{{ n }}}}: say {{{{ word }}}}"}}]\n'


def suite(name: str, checks: str, more: str = "", models: str = "one, two") -> str:
    return f"prompts: [{name}]\nmodels: [{models}]\ndataset: {name}.jsonl\n{checks}gate: {{margin: 0.10{more}}}\n"


def rows(count: int, offset: int = 0) -> str:
    cases = ({"id": f"c{n}", "inputs": {"n": n + offset, "word": QUEUES[n % 4]}, "expected": QUEUES[n % 4]} for n in range(count))
    return "".join(json.dumps(case) + "\n" for case in cases)


@pytest.fixture
def house(user: User, server: LoopbackServer) -> User:
    """`sort` is safe on `two`, `code` fails by its fences, `paint` by what it says, `rare` has too few cases to say."""
    price = "price: {input: 10.0, output: 1000.0}"
    cheap = "price: {input: 1.0, output: 100.0}"
    user.write(
        "promptreg.yaml",
        f"registry: acme/rot\nmodels:\n"
        f'  one: {{provider: openai, model: one, base_url: "{server.url}", limits: {{retries: 0}}, {price}}}\n'
        f'  two: {{provider: openai, model: two, base_url: "{server.url}", limits: {{retries: 0}}, {cheap}}}\n',
    )
    for name, checks, count in (("sort", ONE_OF, 60), ("code", EXACT, 40), ("paint", ONE_OF, 40), ("rare", ONE_OF, 6)):
        user.write(f"prompts/{name}.yaml", prompt(name))
        user.write(f"suites/{name}.yaml", suite(name, checks))
        user.write(f"suites/{name}.jsonl", rows(count))
    return user


def cells(said: Any) -> dict[str, Any]:
    """The cells of a result that keeps to the published schema, by prompt."""
    jsonschema.Draft202012Validator(documents.schema("rot")).validate(said.json)
    return {gate["prompt"]: gate for gate in said.json["gates"]}


def drifts(cell: Any) -> dict[str, Any]:
    return {each["kind"]: each for each in cell["drift"]}


# --- sorting prompts ----------------------------------------------------------------------------------------------------------


def test_an_upgrade_sorts_prompts_into_what_to_do_with_them(house: User, server: LoopbackServer) -> None:
    said = house("upgrade", "one", "two", "--json", "--requests-per-month", "4000")
    assert said.code == 1
    assert said.json["verdict"] == "FAIL"
    assert {name: cell["action"] for name, cell in cells(said).items()} == {
        "sort": "safe",
        "code": "needs work",
        "paint": "needs work",
        "rare": "undecided",
    }
    found = cells(said)["paint"]
    (against,) = found["references"]
    assert (found["model"], found["reference_model"]) == ("two", "one")
    assert (against["broken"], against["fixed"], against["base_score"], against["head_score"]) == (20, 0, 1.0, 0.5)
    assert 0 < against["lower"] < 0.5 < against["upper"]
    assert len(against["cases_broken"]) == 20
    assert cells(said)["rare"]["needed"] > 0
    assert server.requests == said.json["calls_made"] == 2 * (60 + 40 + 40 + 6)


def test_the_wrapping_is_told_from_the_content(house: User) -> None:
    found = cells(house("rot", "code", "paint", "--json"))
    assert found["code"]["format_only"]
    content = found["code"]["content"]
    assert (content["verdict"], content["base_score"], content["head_score"]) == ("PASS", 1.0, 1.0)
    assert (content["wrapped_base"], content["wrapped_head"], content["wrapping"]) == (0.0, 1.0, 1.0)
    assert drifts(found["code"])["wrapping"]["alarm"]
    assert not found["paint"]["format_only"]
    assert found["paint"]["content"] is None


def test_drift_is_found_where_every_answer_is_right(house: User) -> None:
    cell = cells(house("rot", "sort", "--json"))["sort"]
    assert (cell["verdict"], cell["references"][0]["broken"]) == ("PASS", 0)
    length = drifts(cell)["length"]
    assert length["alarm"]
    assert length["ratio"] < 0.3
    mismatch = drifts(cell)["mismatch"]
    assert (mismatch["head"], mismatch["alarm"], mismatch["p"]) == (0.0, False, None), "the label is the same in other words"
    assert cell["tokens_ratio"] < 1
    assert cell["cost_ratio"] < 0.1


def test_what_a_move_saves_is_said_for_all_and_for_what_is_safe_now(house: User) -> None:
    said = house("upgrade", "one", "two", "--json", "--requests-per-month", "4000")
    found, cell = said.json["upgrade"], cells(said)
    saved = {name: cell[name]["reference_answer_cost_usd"] - cell[name]["answer_cost_usd"] for name in cell}
    assert (found["from"], found["to"], found["prompts"], found["priced"], found["safe"]) == ("one", "two", 4, 4, 1)
    assert found["saves_usd_per_month"] == pytest.approx(1000 * sum(saved.values()))
    assert found["safe_saves_usd_per_month"] == pytest.approx(1000 * saved["sort"])
    text = house("upgrade", "one", "two", "--requests-per-month", "4000").out
    assert "safe to move now: 1 prompt\n" in text
    assert "in need of work: 2 prompts\n" in text
    assert re.search(
        r"At 4,000 requests a month, spread evenly over 4 prompts, the move saves \$\d+\.\d\d a month; moving only", text
    )


def test_moving_back_costs(house: User) -> None:
    text = house("upgrade", "two", "one", "--suite", "sort", "--requests-per-month", "1000000").out
    assert re.search(r"the move costs \$[\d,]+\.\d\d a month\.", text)


def test_without_prices_nobody_says_what_is_saved(house: User) -> None:
    house.edit("promptreg.yaml", ", price: {input: 1.0, output: 100.0}", "")
    said = house("upgrade", "one", "two", "--suite", "sort", "--requests-per-month", "10")
    assert said.code == 0
    assert "Nobody can say what the move saves: give both models a `price`" in said.out
    again = house("upgrade", "one", "two", "--suite", "sort", "--json", "--requests-per-month", "10").json["upgrade"]
    assert (again["priced"], again["saves_usd_per_month"]) == (0, None)


def test_the_map_shows_every_model_beside_its_reference(house: User) -> None:
    out = house("rot").out
    assert re.search(r"^sort +sort +one +✓ 100\.0→100\.0 !$", out, re.MULTILINE)
    assert re.search(r"^paint +paint +one +✗ 100\.0→50\.0$", out, re.MULTILINE)
    assert "the wrapping changed, not the content: unwrapped 100.0 % → 100.0 %" in out
    assert out.rstrip().splitlines()[-2] == "✗ FAIL  1 safe, 2 needs work, 1 undecided (up to 19 more cases)"


# --- exit codes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("rot", "sort"), 0),
        (("rot", "rare"), 0),
        (("rot", "rare", "--undecided", "block"), 4),
        (("rot", "paint"), 1),
        (("rot", "paint", "rare", "--undecided", "block"), 1),
        (("upgrade", "one", "two", "--suite", "sort"), 0),
        (("upgrade", "one", "two", "--suite", "rare", "--undecided", "block"), 4),
    ],
)
def test_exit_codes_follow_the_verdict(house: User, arguments: tuple[str, ...], code: int) -> None:
    said = house(*arguments, "--json")
    assert said.code == said.json["exit_code"] == code


def test_the_policy_may_block_what_is_undecided(house: User) -> None:
    house.write("suites/rare.yaml", suite("rare", ONE_OF, ", undecided: block"))
    assert house("rot", "rare").code == 4
    assert house("rot", "rare", "--undecided", "warn").code == 0


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("rot", "--from", "one", "--to", "one"), "there is no other model to compare with", "--from OLD --to NEW"),
        (("rot", "--to", "tow"), "unknown model 'tow'; did you mean 'two'?", "add it under `models:`"),
        (("rot", "--from", "on"), "unknown model 'on'", "known: one, two"),
        (("rot", "srot"), "unknown suite 'srot'", ""),
        (("rot", "-p", "srot"), "unknown prompt 'srot'", ""),
        (("rot", "sort", "-p", "paint"), "no chosen suite tests the chosen prompts", "promptreg list"),
        (("rot", "--move", "one", "two", "--from", "one"), "--move names both models", "the one or the other"),
        (("rot", "--report", "rot.xml"), "shows no matrix of models", "choose .md, .html or .json"),
        (("rot", "--report", "rot.doc"), "no report format for rot.doc", "endings:"),
        (("upgrade", "one", "one"), "'one' is both models", ""),
        (("upgrade", "one", "tow"), "unknown model 'tow'; did you mean 'two'?", ""),
        (
            ("upgrade", "two", "one", "--suite", "lonely"),
            "no chosen suite names the model 'two'",
            "promptreg rot --from two --to one",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anybody_is_asked(
    house: User, server: LoopbackServer, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    house.write("suites/lonely.yaml", suite("sort", ONE_OF, models="one"))
    said = house(*arguments)
    assert said.code == 2
    assert message in said.err
    assert hint in said.err
    assert server.requests == 0


def test_a_suite_of_one_model_has_nobody_to_compare_with(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    assert user("rot").code == 2
    assert "promptreg rot --from OLD --to NEW" in user("rot").err


def test_two_names_of_one_model_cannot_differ(house: User, server: LoopbackServer) -> None:
    house.edit("promptreg.yaml", "  two:", f'  uno: {{provider: openai, model: one, base_url: "{server.url}"}}\n  two:')
    said = house("rot", "sort", "--to", "uno")
    assert said.code == 0
    assert "✓ PASS" in said.out
    assert server.requests == 0


def test_a_dead_provider_gives_no_verdict(house: User) -> None:
    house.write("promptreg.yaml", re.sub(r'(model: two, base_url: )"[^"]+"', rf'\1"{DEAD}"', house.read("promptreg.yaml")))
    house.write("suites/paint.jsonl", rows(4))
    said = house("rot", "paint", "--json")
    assert said.code == 4
    cell = cells(said)["paint"]
    assert (cell["verdict"], cell["reason"], cell["action"]) == ("UNMEASURED", "provider_down", "not measured")
    assert (cell["content"], cell["drift"]) == (None, [])
    assert "the model could not be reached" in house("rot", "paint").out


def test_missing_answers_count_against_nobody(user: User) -> None:
    broken = Fault(kind="status", status=400)
    with LoopbackServer(said_of, faults=lambda number: broken if number % 5 == 0 else None) as server:
        user.write(
            "promptreg.yaml",
            "models:\n"
            + "".join(f'  {name}: {{provider: openai, model: {name}, base_url: "{server.url}"}}\n' for name in ("one", "two")),
        )
        user.write("prompts/sort.yaml", prompt("sort"))
        user.write("suites/sort.yaml", suite("sort", ONE_OF))
        user.write("suites/sort.jsonl", rows(40))
        said = user("rot", "--json", "-j", "1")
    cell = cells(said)["sort"]
    assert said.code == 4
    assert (cell["verdict"], cell["reason"]) == ("UNMEASURED", "missing_answers")
    assert cell["references"][0]["missing"] > 2


# --- paying -------------------------------------------------------------------------------------------------------------------


def test_dry_run_names_the_calls_and_asks_nobody(house: User, server: LoopbackServer) -> None:
    said = house("rot", "sort", "--dry-run", "--json")
    assert said.code == 0
    assert {line["model"]: line["missing"] for line in said.json["lines"]} == {"one": 60, "two": 60}
    assert house("upgrade", "one", "two", "--dry-run").code == 0
    assert server.requests == 0
    assert house("rot", "sort").code == 0
    assert [line["missing"] for line in house("rot", "sort", "--dry-run", "--json").json["lines"]] == [0, 0]


def test_the_reference_is_asked_once_however_many_are_held_against_it(house: User, server: LoopbackServer) -> None:
    third = house.read("promptreg.yaml").splitlines()[-1].replace("two", "three")
    house.write("promptreg.yaml", house.read("promptreg.yaml") + third + "\n")
    arguments = ("rot", "sort", "--to", "two", "--to", "three", "--json")
    assert house(*arguments, "--no-store").json["calls_made"] == server.requests == 180
    assert house(*arguments).json["calls_made"] == 180
    assert house(*arguments).json["calls_made"] == 0
    assert not house("rot", "sort", "--move", "one", "two", "--move", "two", "three", "--json").json["calls_made"]


def test_a_budget_refuses_before_the_first_call(house: User, server: LoopbackServer) -> None:
    house.write("promptreg.yaml", house.read("promptreg.yaml") + "budget: {calls: 100}\n")
    said = house("rot", "sort")
    assert said.code == 4
    assert "budget" in said.err
    assert server.requests == 0


def test_an_interrupted_matrix_keeps_what_was_paid_for(house: User) -> None:
    with LoopbackServer(said_of, delay_s=0.02) as slow:
        house.write(
            "promptreg.yaml", re.sub(r"http://127\.0\.0\.1:\d+", slow.url.removesuffix("/v1"), house.read("promptreg.yaml"))
        )
        process = house.start("rot", "sort", "-j", "1")
        until(lambda: slow.requests > 10, "some calls were made")
        process.send_signal(signal.SIGINT)
        assert house.end(process).code == 130
        before = slow.requests
        assert house("rot", "sort").code == 0
    assert slow.requests - before < 120 - 8


def test_answers_are_left_on_the_runs_branch_and_read_from_there(house: User, server: LoopbackServer) -> None:
    git(house.root, "init", "-q", "--initial-branch=main")
    git(house.root, "add", "-A")
    git(house.root, "commit", "-qm", "start")
    third = house.read("promptreg.yaml").splitlines()[-1].replace("two", "three")
    house.write("promptreg.yaml", house.read("promptreg.yaml") + third + "\n")
    assert house("rot", "sort", "--to", "two", "--to", "three", "--runs", "write").code == 0
    listed = house("runs", "list", "--json", "-n", "0").json["runs"]
    assert sorted(each["model"] for each in listed) == ["one", "three", "two"]
    assert all(each["n"] == 60 for each in listed), "the reference's answers are there once"
    asked = server.requests
    again = house("rot", "sort", "--to", "two", "--to", "three", "--no-store", "--json")
    assert (again.json["calls_made"], server.requests) == (0, asked)
    assert house("rot", "sort", "--no-store", "--runs", "off", "--json").json["calls_made"] == 120


def test_recording_needs_a_repository(house: User, server: LoopbackServer) -> None:
    said = house("rot", "sort", "--runs", "write")
    assert said.code == 2
    assert "there is no Git repository here to record in" in said.err
    assert server.requests == 0


# --- what a cell may be -------------------------------------------------------------------------------------------------------


def test_repeats_are_held_against_each_other(house: User) -> None:
    house.write("suites/sort.yaml", "repeats: 2\n" + suite("sort", ONE_OF))
    cell = cells(house("rot", "sort", "--json"))["sort"]
    assert (cell["references"][0]["repeats_base"], cell["references"][0]["repeats_head"]) == (2, 2)
    mismatch = drifts(cell)["mismatch"]
    assert (mismatch["base"], mismatch["head"], mismatch["p"], mismatch["alarm"]) == (0.0, 0.0, 1.0, False)


def test_scores_and_clusters_are_judged_by_the_graded_rules(house: User) -> None:
    clustered = "".join(
        json.dumps({**json.loads(row), "cluster": f"k{number // 4}"}) + "\n" for number, row in enumerate(rows(80).splitlines())
    )
    house.write("suites/paint.jsonl", clustered)
    house.write("suites/paint.yaml", suite("paint", ONE_OF, ", on: score"))
    cell = cells(house("rot", "paint", "--json"))["paint"]
    (against,) = cell["references"]
    assert (against["n"], against["units"], against["limit_kind"], cell["verdict"]) == (80, 20, "t+bootstrap", "FAIL")


def test_a_guard_of_the_policy_may_say_no_and_the_report_says_which(house: User) -> None:
    house.write("suites/sort.yaml", suite("sort", ONE_OF, ', guard: {cost: "+10%"}'))
    said = house("upgrade", "two", "one", "--suite", "sort")
    assert said.code == 1
    assert "in need of work: 1 prompt\n" in said.out
    words = " ".join(said.out.replace("│", "").split())
    assert re.search(r"cost of an answer rose by [\d,.]+ %, more than it may \(limit \+10%\)", words), words


def test_one_case_is_measured_and_nothing_is_claimed(house: User) -> None:
    house.write("suites/sort.jsonl", rows(1))
    cell = cells(house("rot", "sort", "--json"))["sort"]
    assert (cell["verdict"], cell["references"][0]["n"]) == ("UNDECIDED", 1)
    assert not any(each["alarm"] for each in cell["drift"])


def test_a_check_that_asks_a_model_leaves_content_untold(house: User) -> None:
    house.write("judge.py", ASKS)
    house.write("promptreg.yaml", house.read("promptreg.yaml") + "plugins: [judge.py]\n")
    house.write("suites/code.yaml", suite("code", "checks: [asks, exact]\n"))
    cell = cells(house("rot", "code", "--json"))["code"]
    assert cell["content"] is None
    assert (cell["verdict"], drifts(cell)["wrapping"]["alarm"]) == ("FAIL", True)


def recorded(user: User, checks: str, answers: list[tuple[str, str]], **more: Any) -> Any:
    """The cell of two recorded models: what each answers to every case, with *more* in every line of the recording."""
    lines = [
        json.dumps({"model": model, "case": f"c{n}", "output": output, **more.get(model, {})})
        for n, both in enumerate(answers)
        for model, output in zip(("one", "two"), both, strict=True)
    ]
    models = "".join(f"  {name}: {{provider: recorded, model: {name}, recording: answers.jsonl}}\n" for name in ("one", "two"))
    user.write("promptreg.yaml", f"models:\n{models}").parent.joinpath("answers.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    user.write("prompts/ask.yaml", prompt("ask"))
    user.write("suites/ask.yaml", suite("ask", checks))
    user.write("suites/ask.jsonl", rows(len(answers)))
    return cells(user("rot", "--json"))["ask"]


def test_who_asks_for_an_object_is_not_judged_by_the_text_in_it(user: User) -> None:
    answers = [(json.dumps({"queue": word}), f"```json\n{json.dumps({'queue': word})}\n```") for word in QUEUES * 10]
    cell = recorded(user, 'checks: [{metric: json, path: queue, equals: "{{ expected }}"}]\n', answers)
    assert (cell["verdict"], cell["format_only"]) == ("FAIL", True)
    assert (cell["content"]["base_score"], cell["content"]["head_score"]) == (1.0, 1.0)
    assert (drifts(cell)["format"]["base"], drifts(cell)["format"]["head"]) == (1.0, 0.0)


def test_a_wrapping_that_costs_nothing_explains_no_drop(user: User) -> None:
    """Both models quote; the second is wrong besides."""
    answers = [(f'"{word}"', f'"{word if n % 2 else QUEUES[n % 4 - 1]}"') for n, word in enumerate(QUEUES * 10)]
    cell = recorded(user, ONE_OF, answers)
    assert (cell["verdict"], cell["format_only"]) == ("FAIL", False)
    assert (cell["content"]["verdict"], cell["content"]["wrapping"], cell["content"]["p_wrapping"]) == ("FAIL", 0.0, 1.0)


def test_a_recording_may_know_of_content_and_may_not(user: User) -> None:
    """Scores of the answers without their wrapping, for one model only: nobody can say what became of content."""
    answers = [("x", "y")] * 40
    checks = "checks: [{recorded: {which: as_is, plain: bare}}]\n"
    known = {"one": {"scores": {"as_is": 1, "bare": 1}}, "two": {"scores": {"as_is": 0, "bare": 1}}}
    cell = recorded(user, checks, answers, **known)
    assert (cell["format_only"], cell["content"]["verdict"]) == (True, "PASS")
    cell = recorded(user, checks, answers, **{**known, "two": {"scores": {"as_is": 0}}})
    assert (cell["verdict"], cell["format_only"], cell["content"]["verdict"]) == ("FAIL", False, "UNMEASURED")
    assert "unwrapped" not in user("rot").out


def test_answers_as_long_as_models_send_them_are_judged_in_their_time(user: User) -> None:
    endless = ["```\n" * 50_000, '{"a":' * 40_000, "`" * 200_000, "\n" * 200_000]
    cell = recorded(user, EXACT, [("payment", endless[n % 4]) for n in range(24)])
    assert cell["verdict"] == "FAIL"
    assert drifts(cell)["length"]["alarm"]


# --- reports ------------------------------------------------------------------------------------------------------------------


def test_reports_hold_what_was_found(house: User) -> None:
    said = house(
        "upgrade", "one", "two", "--report", "r.md", "--report", "r.html", "--report", "r.json", "--requests-per-month", "9"
    )
    assert said.code == 1
    written = json.loads(house.read("r.json"))
    jsonschema.Draft202012Validator(documents.schema("rot")).validate(written)
    markdown, page = house.read("r.md"), lxml.html.fromstring(house.read("r.html"))
    for text in (markdown, page.text_content()):
        assert "the wrapping changed, not the content" in text
        assert "requests a month" in text
    assert "`c1`" in markdown
    assert [cell.get("class") for cell in page.xpath("//table[@class='heat']//td[last()]")].count("worse8") == 2
    assert len(page.xpath("//script")) == 0


def test_hostile_texts_stay_texts(house: User) -> None:
    bad = "c<script>alert(1)</script> @octocat `x` | ::error::x \x1b[31m"
    row = {"id": bad, "inputs": {"n": 1, "word": "payment"}, "expected": "payment"}
    house.write("suites/paint.jsonl", json.dumps(row) + "\n" + rows(40, offset=1))
    with LoopbackServer(lambda request: samples.HOSTILE if request["model"] == "two" else said_of(request)) as evil:
        house.write(
            "promptreg.yaml", re.sub(r"http://127\.0\.0\.1:\d+", evil.url.removesuffix("/v1"), house.read("promptreg.yaml"))
        )
        said = house("rot", "paint", "--report", "r.md", "--report", "r.html", "--color", "never")
    assert said.code == 1
    page = lxml.html.fromstring(house.read("r.html"))
    assert not page.xpath("//script | //img | //*[@onerror]")
    assert "\x1b" not in said.out + house.read("r.html") + house.read("r.md")
    assert not re.search(r"^::", said.out, re.MULTILINE)
    outside = re.sub(r"`[^`]*`|<code>.*?</code>", "", house.read("r.md"))
    assert "<script" not in outside
    assert "@octocat" not in outside


def test_keys_are_masked_in_every_report(house: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", "payment-secret-0815")
    house.write("promptreg.yaml", house.read("promptreg.yaml").replace("limits:", "api_key_env: ACME_API_KEY, limits:"))
    with LoopbackServer(lambda request: "leak payment-secret-0815" if request["model"] == "two" else said_of(request)) as leaky:
        house.write(
            "promptreg.yaml", re.sub(r"http://127\.0\.0\.1:\d+", leaky.url.removesuffix("/v1"), house.read("promptreg.yaml"))
        )
        said = house("rot", "paint", "--json", "--report", "r.html", "--report", "r.md", "--report", "r.json")
    texts = [said.out, *(house.read(f"r.{ending}") for ending in ("html", "md", "json"))]
    assert not [text for text in texts if "payment-secret-0815" in text]
    assert "leak ***" in texts[0]


def test_a_plugin_may_draw_its_own_matrix(house: User) -> None:
    house.write("csv_report.py", CSV)
    house.write("promptreg.yaml", house.read("promptreg.yaml") + "plugins: [csv_report.py]\n")
    assert house("rot", "sort", "--report", "r.csv").code == 0
    assert house.read("r.csv") == "sort,safe\n"


# --- what others published ----------------------------------------------------------------------------------------------------

LLMDRIFT = Path(os.environ.get("PROMPTREG_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "llmdrift"
FAMILIES = {"gpt4": ("gpt-4-0314", "gpt-4-0613"), "gpt35": ("gpt-3.5-turbo-0301", "gpt-3.5-turbo-0613")}
TASKS = {"happy": "happy_numbers", "opinion": "opinionqa", "code": "leetcode_easy"}
BOXED = r"(?is)^(?:(?!boxed\x7b[^\x7d]*\x7d).)*boxed\x7b{{ expected }}\x7d"
GRADED = {
    "happy": f"  - regex: '{BOXED}'\n",
    "opinion": "  - regex: '\\([A-Za-z]\\)'\n  - not_regex: '\\([A-Za-z]\\)\\. Refused'\n",
    "code": "  - recorded: {which: as_is, plain: unfenced}\n",
}
PUBLISHED = {
    ("happy", "gpt4"): (83.6, 35.2),
    ("happy", "gpt35"): (30.6, 48.2),
    ("opinion", "gpt4"): (97.6, 23.4),
    ("opinion", "gpt35"): (94.3, 96.7),
    ("code", "gpt4"): (52.0, 10.0),
    ("code", "gpt35"): (22.0, 2.0),
}


def write_llmdrift(user: User) -> None:
    """One suite for each task and family, whose models are the snapshots of March and June; one recording of all answers."""
    answers: list[str] = []
    for task, file in TASKS.items():
        rows = [json.loads(line) for line in (LLMDRIFT / f"{file}.jsonl").read_text("utf-8").splitlines()]
        cases = {row["item_id"]: row for row in rows}
        for row in rows:
            answer = {"model": row["model"], "case": f"{task}-{row['item_id']}", "output": row["output"]}
            if task == "code":
                found = {"as_is": row["judge_as_is"], "unfenced": row["judge_fences_removed"]}
                answer["scores"] = {name: float(each["verdict"] == "accepted") for name, each in found.items() if each}
            answers.append(json.dumps(answer))
        lines = []
        for item, row in cases.items():
            expected = row["reference"].partition("boxed{")[2].partition("}")[0] if task == "happy" else None
            lines.append(json.dumps({"id": f"{task}-{item}", "inputs": {"question": item}, "expected": expected}))
        user.write(f"suites/{task}.jsonl", "\n".join(lines) + "\n")
        user.write(f"prompts/{task}.yaml", 'inputs: {question: {}}\nmessages: [{role: user, content: "{{ question }}"}]\n')
        for family, models in FAMILIES.items():
            head = f"prompts: [{task}]\nmodels: [{', '.join(models)}]\ndataset: {task}.jsonl\n"
            user.write(f"suites/{task}-{family}.yaml", f"{head}checks:\n{GRADED[task]}gate: {{margin: 0.05}}\n")
    user.write("answers.jsonl", "\n".join(answers) + "\n")
    models = "".join(
        f"  {name}: {{provider: recorded, model: {name}, recording: answers.jsonl}}\n"
        for pair in FAMILIES.values()
        for name in pair
    )
    user.write("promptreg.yaml", f"registry: drift\nmodels:\n{models}")


@pytest.mark.skipif(
    not LLMDRIFT.is_dir(), reason="LLMDrift's answers are not beside this checkout (PROMPTREG_DATA names their folder)"
)
def test_one_command_tells_what_became_of_gpt_4_and_why(user: User) -> None:
    write_llmdrift(user)
    said = user("rot", "--json", "--report", "rot.html")
    assert said.code == 1
    cells(said)
    found = {tuple(gate["suite"].split("-")): gate for gate in said.json["gates"]}
    scores = {
        name: tuple(round(100 * cell["references"][0][side], 1) for side in ("base_score", "head_score"))
        for name, cell in found.items()
    }
    assert scores == PUBLISHED
    assert {name for name, cell in found.items() if cell["verdict"] == "FAIL"} == {
        ("happy", "gpt4"),
        ("opinion", "gpt4"),
        ("code", "gpt4"),
        ("code", "gpt35"),
    }
    code = found["code", "gpt4"]
    assert code["format_only"]
    assert [round(100 * code["content"][side]) for side in ("base_score", "head_score")] == [52, 70]
    assert drifts(code)["wrapping"]["alarm"]
    assert [name for name, cell in found.items() if cell["format_only"]] == [("code", "gpt35"), ("code", "gpt4")]
    length = drifts(found["happy", "gpt4"])["length"]
    assert (length["alarm"], length["head"]) == (True, 10.0)
    assert length["base"] > 2_000
    assert {name for name, cell in found.items() if cell["hidden"]} == {("happy", "gpt35"), ("opinion", "gpt35")}
    assert [found[name]["references"][0]["broken"] for name in (("happy", "gpt35"), ("opinion", "gpt35"))] == [70, 38]


@pytest.mark.skipif(
    not LLMDRIFT.is_dir(), reason="LLMDrift's answers are not beside this checkout (PROMPTREG_DATA names their folder)"
)
def test_moves_name_both_models_where_suites_name_none_of_them(user: User) -> None:
    write_llmdrift(user)
    moves = [word for pair in FAMILIES.values() for word in ("--move", *pair)]
    said = user("rot", "happy-gpt4", "--json", *moves)
    scores = {gate["reference_model"]: gate["references"][0]["head_score"] for gate in said.json["gates"]}
    assert {name: round(100 * score, 1) for name, score in scores.items()} == {"gpt-4-0314": 35.2, "gpt-3.5-turbo-0301": 48.2}


# --- the embedded model -------------------------------------------------------------------------------------------------------

SKIP = "PROMPTREG_SKIP_MODEL"
ROOT = Path(__file__).parents[2]
with_model = pytest.mark.skipif(bool(os.environ.get(SKIP)), reason=f"{SKIP} is set: this machine does without the model")


@pytest.fixture
def examples(user: User, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> User:
    """This repository's own registry; its answers are kept for the session and all its workers."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    monkeypatch.setenv("PROMPTREG_STORE", str(shared / "answers-of-the-model.sqlite3"))
    for folder in ("prompts", "suites"):
        shutil.copytree(ROOT / folder, user.root / folder)
    shutil.copy(ROOT / "promptreg.yaml", user.root)
    return user


@pytest.mark.model
@with_model
def test_a_cheaper_cache_behind_the_same_name_is_found(examples: User) -> None:
    """The same weights, announced as the same model: the queue of a ticket is another one, and worse."""
    said = examples("rot", "support/triage", "-p", "support/triage", "--json")
    cell = cells(said)["support/triage"]
    (against,) = cell["references"]
    assert (said.code, cell["verdict"]) == (1, "FAIL")
    assert (cell["reference_model"], cell["model"]) == ("smollm2-text", "smollm2-text-kv4")
    assert against["n"] == 72
    assert against["lower"] > 0
    assert against["broken"] - against["fixed"] >= 5
    assert drifts(cell)["mismatch"]["head"] > 0.1
    again = examples("rot", "support/triage", "-p", "support/triage", "--json")
    assert (again.json["calls_made"], cells(again)["support/triage"]["references"]) == (0, [against])


@pytest.mark.model
@with_model
def test_repeats_of_one_version_raise_no_alarm(examples: User) -> None:
    """A model that samples differs from itself; served with less room, which no answer needs, it does so no more than that."""
    examples.edit("prompts/support/triage.yaml", "temperature: 0,", "temperature: 0.8,")
    examples.write(
        "promptreg.yaml",
        "models:\n  roomy: {provider: local, model: smollm2-135m-instruct, completion: plain}\n"
        "  tight: {provider: local, model: smollm2-135m-instruct, completion: plain, serve: {context: 2048}}\n",
    )
    lines = examples.read("suites/support/triage.jsonl").splitlines()[:24]
    examples.write("suites/support/triage.jsonl", "\n".join(lines) + "\n")
    examples.write(
        "suites/support/triage.yaml",
        "prompts: [support/triage]\nmodels: [roomy, tight]\nrepeats: 2\ndataset: triage.jsonl\n"
        + ONE_OF
        + "gate: {margin: 0.10}\n",
    )
    for suite_ in ("extract", "math", "sentiment"):
        shutil.rmtree(examples.root / "suites" / suite_)
    said = examples("rot", "--json")
    cell = cells(said)["support/triage"]
    assert (said.code, said.json["calls_made"] + said.json["calls_known"]) == (0, 96)
    assert cell["verdict"] != "FAIL"
    assert drifts(cell)["mismatch"]["base"] > 0, "it does differ from itself"
    assert not [each["kind"] for each in cell["drift"] if each["alarm"] and each["kind"] != "latency"]
