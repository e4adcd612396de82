"""Pull requests that want exit code 0 for something worse, and honest ones that must not be held up: each as it was tried."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promptreg.testing import LoopbackServer, RepositoryBuilder, Request

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


@pytest.mark.parametrize(
    ("partial", "written"),
    [
        ("_tone.jinja", """{% include "_to" 'ne.jinja' %}"""),
        ("_tone.jinja", """{% include ('_tone'\n      '.jinja') %}"""),
        ("_tone.jinja", """{% include '_t\\x6fne.jinja' %}"""),
        ("_my tone.jinja", """{% include '_my\n      tone.jinja' %}"""),
    ],
)
def test_a_partial_is_seen_to_change_however_its_path_is_written(
    partial: str, written: str, build: Callable[..., House], check: Callable[..., Any]
) -> None:
    block = f"  - role: system\n    content: {'>' if ' ' in partial else '|'}\n      {written} Name the queue.\n"
    first = next(line for line in SORT.splitlines(keepends=True) if "_tone" in line)
    prompt = SORT.replace(first, block)
    house = build(**{"prompts/sort.yaml": prompt, f"prompts/{partial}": "Be brief.\n"})
    house.write(f"prompts/{partial}", HURRY)
    said = check(house)
    assert said.code == 1, said.out


UNREACHED = SORT.replace('content: "{{ ticket }}"', "content: \"{{ ticket }}{% if ticket == 'Bo' %} rude{% endif %}\"")


def test_an_unreached_branch_stays_unseen_beside_an_anchor_that_differs(
    build: Callable[..., House], check: Callable[..., Any], server: LoopbackServer
) -> None:
    house = build(**{"suites/sort.yaml": SUITE.replace(", anchor: none", "")})
    house.tag("sort@v1.0.0")
    house.write("prompts/_tone.jinja", "Be careful.\n").commit()
    house.git("branch", "--force", "main")
    house.write("prompts/sort.yaml", UNREACHED)
    said = check(house, "--base", "main")
    assert said.code == 4
    assert reasons(said) == {"no_suite"}
    assert server.requests == 0


@pytest.mark.parametrize("theirs", [False, True])
def test_an_unreached_branch_stays_unseen_beside_a_case_that_nobody_can_be_asked(
    theirs: bool, build: Callable[..., House], check: Callable[..., Any]
) -> None:
    odd = ROWS + json.dumps({"id": "odd", "inputs": {"tick": "x"}, "expected": "bug"}) + "\n"
    house = build(**({} if theirs else {"suites/sort.jsonl": odd}))
    house.write("suites/sort.jsonl", odd).write("prompts/sort.yaml", UNREACHED)
    said = check(house)
    assert said.code == 4
    assert reasons(said) == {"no_suite"}


def test_a_change_that_only_a_case_in_quarantine_sees_is_unseen(build: Callable[..., House], check: Callable[..., Any]) -> None:
    house = build(**{"suites/sort.yaml": SUITE + 'quarantine: [{case: t7, owner: "@ada", until: 2099-01-01}]\n'})
    house.write("prompts/sort.yaml", UNREACHED.replace("'Bo'", "'ticket 7'"))
    assert reasons(check(house)) == {"no_suite"}


@pytest.mark.parametrize("selector", ["working", "git:HEAD"])
def test_a_suite_of_a_reference_sees_what_the_reference_means(
    selector: str, build: Callable[..., House], check: Callable[..., Any]
) -> None:
    house = build(**{"suites/sort.yaml": SUITE.replace("[sort]", f'["sort@{selector}"]')})
    house.write("prompts/_tone.jinja", HURRY)
    said = check(house)
    assert said.code == (1 if selector == "working" else 4), said.out


# cases that head cannot be asked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("refused", "verdict"), [("[0-9]3", "UNDECIDED"), ("3", "UNMEASURED"), ("never", "PASS")])
def test_refusing_the_hard_tickets_is_no_way_to_pass(
    refused: str, verdict: str, build: Callable[..., House], check: Callable[..., Any]
) -> None:
    house = build()
    picky = SORT.replace("{type: string}", f'{{type: string, not: {{pattern: "{refused}$"}}}}')
    house.write("prompts/sort.yaml", picky.replace("Name the queue", "Name the right queue"))
    gate = gates(check(house))["sort", "sort"]
    assert gate["verdict"] == verdict
    assert gate["references"][0]["excluded"] == {"[0-9]3": 7, "3": 8, "never": 0}[refused]


def test_a_renamed_input_is_for_a_maintainer_to_accept(build: Callable[..., House], check: Callable[..., Any]) -> None:
    house = build()
    house.write("prompts/sort.yaml", SORT.replace("ticket", "text")).write(
        "suites/sort.jsonl", ROWS.replace('"ticket":', '"text":')
    )
    said = check(house)
    assert (said.code, gates(said)["sort", "sort"]["reason"]) == (4, "coverage")
    assert check(house, "--accept", "a better name").code == 0
    said = check(house)
    assert (said.code, gates(said)["sort", "sort"]["accepted"][:13]) == (0, "a better name")
    house.write("prompts/_tone.jinja", HURRY)
    assert check(house).code == 4


# what somebody accepted -------------------------------------------------------------------------------------------------------


def merged(house: House, message: str) -> None:
    """What lies in the working tree becomes main."""
    house.commit(message)
    house.git("branch", "--force", "main")


def test_an_accepted_drop_is_not_one_from_a_better_base(build: Callable[..., House], check: Callable[..., Any]) -> None:
    house = build(**{"prompts/_tone.jinja": "Be slow.\n"})
    house.write("prompts/_tone.jinja", HURRY)
    assert check(house, "--accept", "speed").code == 0
    house.write("prompts/_tone.jinja", "Be careful.\n")
    merged(house, "Careful")
    house.write("prompts/_tone.jinja", HURRY)
    assert check(house, "--base", "main").code == 1


def test_an_accepted_prompt_is_no_accepted_model(build: Callable[..., House], check: Callable[..., Any]) -> None:
    house = build()
    house.write("prompts/_tone.jinja", HURRY)
    assert check(house, "--accept", "speed").code == 0
    settings = (house.root / "promptreg.yaml").read_text()
    house.write("promptreg.yaml", settings.replace("big-1", "tiny-1"))
    assert check(house).code == 1, "in the same pull request"
    house.write("promptreg.yaml", settings)
    assert check(house).code == 0, "what was accepted stays so"
    merged(house, "Hurried")
    house.write("promptreg.yaml", settings.replace("big-1", "tiny-1"))
    assert check(house, "--base", "main").code == 1, "in the next one"


def test_an_accepted_endpoint_that_was_taken_back_needs_to_be_accepted_again(
    build: Callable[..., House], check: Callable[..., Any]
) -> None:
    house = build()
    first = (house.root / "promptreg.yaml").read_text()
    second, third = (first.replace("/v1", path) for path in ("/v2", "/v3"))
    house.write("promptreg.yaml", second)
    assert check(house, "--accept", "we move").code == 0
    assert check(house).code == 0
    merged(house.write("promptreg.yaml", third), "It leaked")
    house.write("promptreg.yaml", second)
    assert check(house, "--base", "main").code == 4


def test_an_accepted_drop_is_none_of_data_that_show_more_of_it(build: Callable[..., House], check: Callable[..., Any]) -> None:
    house = build()
    house.write("prompts/_tone.jinja", HURRY)
    assert check(house, "--accept", "speed").code == 0
    house.write("prompts/_tone.jinja", "Be brief.\n").write("suites/sort.jsonl", ROWS + "".join(map(row, range(99, 300, 3))))
    merged(house, "More of what hurrying breaks")
    house.write("prompts/_tone.jinja", HURRY)
    assert check(house, "--base", "main").code == 1


# diluting alpha ---------------------------------------------------------------------------------------------------------------

SEVEN = (3, 13, 23, 33, 43, 53, 63)  # of eighty: a drop that is shown, if it is the only thing that is looked for


def hurried(request: Any) -> str:
    """Sorts tickets; told to hurry, it errs on seven of eighty; told to chatter, eight answers are long."""
    system = next((message["content"] for message in request["messages"] if message["role"] == "system"), "")
    text = request["messages"][-1]["content"]
    if "ticket" not in text:
        return str(text)
    number = int(text.split()[-1])
    if "chatter" in system and number % 10 == 0:
        return right(number) + 80 * " "
    return "other" if "hurry" in system and number in SEVEN else right(number)


@pytest.fixture
def slight(tmp_path: Path, user: Any, build: Callable[..., House]) -> Iterator[Callable[..., House]]:
    with LoopbackServer(hurried) as running:
        yield lambda **files: build(**{"promptreg.yaml": SETTINGS.format(url=running.url), **files})


@pytest.mark.parametrize("mode", ["fixed", "hybrid"])
def test_touching_other_suites_does_not_dilute_alpha(mode: str, slight: Callable[..., House], check: Callable[..., Any]) -> None:
    others = {f"suites/easy/{number}.yaml": GREETINGS for number in range(40)}
    house = slight(**others, **{"suites/sort.yaml": SUITE.replace("anchor: none", f"anchor: none, mode: {mode}")})
    house.write("prompts/_tone.jinja", HURRY)
    for path in others:
        house.write(path, GREETINGS.replace("id: ada", "id: lovelace"))
    said = check(house)
    assert said.code == 1, said.out
    assert gates(said)["sort", "sort"]["verdict"] == "FAIL"


def test_a_policy_with_fifty_slices_does_not_dilute_the_guards_of_base(
    slight: Callable[..., House], check: Callable[..., Any]
) -> None:
    guarded = SUITE.replace("anchor: none", "anchor: none, mode: fixed, guard: {length: +10%}")
    house = slight(**{"suites/sort.yaml": guarded})
    house.write("prompts/_tone.jinja", "Please chatter.\n")
    house.write("suites/sort.yaml", guarded.replace("mode: fixed", "mode: fixed, slices: {by: [inputs.ticket], mode: block}"))
    gate = gates(check(house))["sort", "sort"]
    assert len(gate["slices"]) > 50
    assert [(each["guard"], each["verdict"]) for each in gate["guards"]] == [("length", "FAIL")]


def test_a_policy_of_the_author_does_not_dilute_that_of_base(slight: Callable[..., House], check: Callable[..., Any]) -> None:
    """A p of 0.004 is enough among the twelve gates of base, and would not be among twenty-three."""
    files = {f"suites/sort{number}.yaml": SUITE.replace("anchor: none", "anchor: none, mode: fixed") for number in range(11)}
    house = slight(**files)
    house.write("prompts/_tone.jinja", HURRY)
    plain = check(house)
    for path, content in files.items():
        house.write(path, content.replace("0.10", "0.11"))
    edited = check(house)
    assert plain.code == edited.code == 1
    assert [gate["verdict"] for gate in edited.json["gates"]] == [gate["verdict"] for gate in plain.json["gates"]]


# which revisions --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["main", "origin/main"])
def test_a_tag_with_the_name_of_the_target_is_not_taken_for_it(
    name: str, build: Callable[..., House], check: Callable[..., Any]
) -> None:
    house = build()
    house.git("update-ref", "refs/remotes/origin/main", "main")
    house.write("prompts/_tone.jinja", HURRY).commit()
    assert check(house, "--base", name, "--head", "change").code == 1
    house.git("tag", name)
    said = check(house, "--base", name, "--head", "change")
    assert said.code == 2
    assert f"{name}' is a tag and a branch" in said.json["errors"][0]["message"]
    house.git("tag", "change", "main")
    assert check(house, "--base", "refs/heads/main", "--head", "change").code == 2
    assert check(house, "--base", "refs/heads/main", "--head", "refs/heads/change").code == 1


@pytest.mark.parametrize("revision", ["-x", "--output=/tmp/x", "main\n--all", "--end-of-options", ""])
def test_a_revision_is_never_an_option(revision: str, build: Callable[..., House], check: Callable[..., Any]) -> None:
    house = build()
    assert check(house, f"--base={revision}").code == 2
    assert check(house, f"--head={revision}").code == 2


def test_a_job_that_checked_out_the_target_does_not_call_that_a_pass(
    build: Callable[..., House], check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house = build()
    house.git("remote", "add", "origin", "https://example.org/acme/house")
    house.git("update-ref", "refs/remotes/origin/main", "main")
    head = house.write("prompts/_tone.jinja", HURRY).commit()
    house.git("checkout", "--quiet", "main")
    pull = {"number": 3, "head": {"sha": head, "ref": "change"}, "base": {"ref": "main", "sha": house.git("rev-parse", "main")}}
    (tmp_path / "event.json").write_text(json.dumps({"pull_request": pull}))
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_NAME": "pull_request_target",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REPOSITORY": "acme/house",
    }.items():
        monkeypatch.setenv(name, value)
    said = check(house)
    assert said.code == 2
    assert head[:10] in said.json["errors"][0]["message"]
    assert check(house, "--head", head).code == 1


# what is paid for -------------------------------------------------------------------------------------------------------------


def test_without_a_store_an_answer_is_still_asked_for_once(
    build: Callable[..., House], check: Callable[..., Any], server: LoopbackServer
) -> None:
    house = build()
    house.write("prompts/_tone.jinja", "Be careful.\n").write("suites/sort.jsonl", ROWS + row(91))
    said = check(house, "--no-store")
    assert said.code == 0
    assert len(gates(said)["sort", "sort"]["references"]) == 2
    asked = [json.dumps(request.body["messages"]) for request in server.received]
    assert len(asked) == len(set(asked))
    assert not (house.root / ".promptreg").exists()


# odd values -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ("alpha: 1e-17", 2),
        ("alpha: 1e-6", 1),
        ("margin: 1e-300", 1),
        ("margin: 0", 1),
        ("power: 0.9999999999999999", 1),
        ("batch: 100000000000000000000", 1),
        ("min_cases: 100000000000000000000", 1),
        ("floor: 1", 1),
        ("anchor: 'greet@v1.0.0'", 2),
        ("anchor: 'sort@git:main'", 2),
        ("anchor: '-x'", 2),
    ],
)
def test_no_value_of_a_policy_is_a_crash_or_a_pass(
    odd: str, code: int, build: Callable[..., House], check: Callable[..., Any]
) -> None:
    house = build()
    house.write("prompts/_tone.jinja", HURRY)
    house.write("suites/sort.yaml", SUITE.replace("margin: 0.10, anchor: none", odd if "anchor" in odd else f"{odd}, anchor: none"))
    assert check(house).code == code


def test_an_error_is_no_command_to_a_runner(build: Callable[..., House], check: Callable[..., Any]) -> None:
    evil = json.dumps("x\n::set-output name=exit-code::0\n  ::error::y\n##[error]z")
    house = build()
    house.write("suites/sort.yaml", SUITE.replace("[sort]", f"[{evil}]"))
    said = check(house)
    assert said.code == 2
    assert "set-output" in said.err
    assert not [line for line in said.err.splitlines() if line.lstrip().startswith("::") or "##[" in line]


# secrets ----------------------------------------------------------------------------------------------------------------------


def test_a_key_that_base_names_is_masked_whatever_head_calls_it(
    build: Callable[..., House], check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, user: Any
) -> None:
    monkeypatch.setenv("ACME_CREDENTIAL", "s3cr3t-abcdefgh")
    monkeypatch.setenv("ELSEWHERE", "another-abcdefgh")

    def chatty(request: Request) -> tuple[int, dict[str, str], Any]:
        system = request.body["messages"][0]["content"]
        said = f"your key is {request.headers['authorization']}" if "hurry" in system else "bug"
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        return 200, {}, {"model": "big-1", "choices": [choice]}

    with LoopbackServer(api=chatty) as running:
        settings = SETTINGS.format(url=running.url).replace("price:", "api_key_env: ACME_CREDENTIAL, price:")
        house = build(**{"promptreg.yaml": settings})
        house.write("prompts/_tone.jinja", HURRY).write("promptreg.yaml", settings.replace("ACME_CREDENTIAL", "ELSEWHERE"))
        said = check(house, "--report", "report.md", "--report", "report.html")
    assert said.code == 1
    shown = said.out + said.err + (house.root / "report.md").read_text() + (house.root / "report.html").read_text()
    assert "your key is" in shown
    assert "s3cr3t-abcdefgh" not in shown
    assert {request.headers["authorization"] for request in running.received} == {"Bearer s3cr3t-abcdefgh"}


# the runs branch --------------------------------------------------------------------------------------------------------------


def test_a_runs_branch_that_came_with_the_pull_request_is_not_believed(
    build: Callable[..., House], check: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    house = build()
    house.write("prompts/_tone.jinja", HURRY).commit()
    assert check(house, "--accept", "says who", "--base", "main").code == 0
    assert check(house, "--base", "main").code == 0, "on the machine of somebody who may accept"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "pull_request")
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    house.git("remote", "add", "origin", "https://example.org/acme/house")
    house.git("update-ref", "refs/remotes/origin/main", "main")
    assert check(house).code == 1
    house.git("update-ref", "refs/remotes/origin/promptreg/runs", "refs/heads/promptreg/runs")
    assert check(house).code == 0, "what the remote has, somebody pushed who may"


# the anchor -------------------------------------------------------------------------------------------------------------------


def crept(build: Callable[..., House], **files: str) -> House:
    """A release, and a base that is worse."""
    house = build(**{"suites/sort.yaml": SUITE.replace(", anchor: none", ""), **files})
    house.tag("sort@v1.0.0")
    merged(house.write("prompts/_tone.jinja", "Be in a hurry.\n"), "A little worse")
    house.write("prompts/_tone.jinja", "Be in a hurry now.\n").commit()
    return house


def test_a_tag_of_the_change_itself_is_no_anchor(build: Callable[..., House], check: Callable[..., Any]) -> None:
    house = crept(build)
    assert check(house, "--base", "main").code == 1
    house.tag("sort@v9.0.0")
    said = check(house, "--base", "main")
    assert said.code == 1
    assert [each["revision"] for each in gates(said)["sort", "sort"]["references"] if each["kind"] == "anchor"] == ["1.0.0"]


def test_a_recording_of_base_is_no_answer_of_an_anchor(build: Callable[..., House], check: Callable[..., Any]) -> None:
    recording = "".join(json.dumps({"model": "r", "case": f"t{number}", "output": right(number)}) + "\n" for number in range(CASES))
    settings = "registry: a/b\nmodels:\n  big: {provider: recorded, model: r, recording: r.jsonl, case: case}\n"
    house = crept(build, **{"promptreg.yaml": settings, "r.jsonl": recording})
    house.write("prompts/_tone.jinja", "Be in a hurry.\n").write("suites/sort.yaml", SUITE.replace("0.10, anchor: none", "0.20"))
    said = check(house, "--base", "main")
    assert said.code == 4, said.out
    verdicts = {(each["kind"], each["verdict"]) for each in gates(said)["sort", "sort"]["references"]}
    assert verdicts == {("base", "PASS"), ("anchor", "UNMEASURED")}


# what base broke --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "broken"),
    [
        ("prompts/greet.yaml", "nonsense: [\n"),
        ("prompts/greet.yaml", GREET.replace("}}", "}")),
        ("suites/greet.yaml", "nonsense: [\n"),
        ("suites/greet.yaml", GREETINGS.replace("[greet]", "[gone]")),
        ("suites/greet.yaml", GREETINGS.replace("contains:", "kontains:")),
        ("suites/sort.yaml", SUITE.replace("sort.jsonl", "gone.jsonl")),
        ("suites/sort.jsonl", ROWS + "{broken\n"),
    ],
)
def test_what_is_broken_in_base_can_be_repaired(
    path: str, broken: str, build: Callable[..., House], check: Callable[..., Any]
) -> None:
    house = build(**{path: broken})
    house.write(path, {"prompts/greet.yaml": GREET, "suites/greet.yaml": GREETINGS, "suites/sort.yaml": SUITE}.get(path, ROWS))
    said = check(house)
    assert said.code == 4, said.out
    assert "coverage" in reasons(said)
    assert check(house, "--accept", "a repair").code == 0
    assert check(house).code == 0
    house.write("prompts/_tone.jinja", HURRY)
    assert check(house).code == 1, "and nothing else with it"


# pulled prompts ---------------------------------------------------------------------------------------------------------------

PULLED = """\
prompts: [{name}]
models: [big]
dataset: sort.jsonl
checks:
  - exact: "{{{{ expected }}}}"
gate: {{margin: 0.10, anchor: none}}
"""


@pytest.fixture
def pulling(
    acme: RepositoryBuilder, build: Callable[..., House], user: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], House]:
    """A house whose suite `theirs` names a prompt that was pulled at 1.0.0; its source has a worse 1.1.0."""
    monkeypatch.setenv("PROMPTREG_CACHE", str(tmp_path / "cache"))
    acme.write("prompts/support/_tone.jinja", HURRY).commit()
    acme.tag("support/triage@v1.2.0")

    def made(name: str) -> House:
        house = build()
        user.root = house.root
        assert user("pull", str(acme.root), "support/triage@1.0.0").code == 0
        merged(house.write("suites/theirs.yaml", PULLED.format(name=name)) if name else house, "Pulled")
        return house

    return made


@pytest.mark.parametrize("name", ["'acme:support/triage'", "'acme:*/*'", "'acme:support/triage@*'"])
def test_an_update_of_a_pulled_prompt_is_judged(
    name: str, pulling: Callable[[str], House], check: Callable[..., Any], user: Any
) -> None:
    house = pulling(name)
    assert user("pull", "acme", "support/triage@1.2.0").code == 0, user
    said = check(house, "--base", "main")
    assert said.code == 1, said.out
    assert [gate["verdict"] for gate in said.json["gates"]] == ["FAIL"]


def test_a_pulled_prompt_that_nobody_tests_is_as_uncovered_as_any(
    pulling: Callable[[str], House], check: Callable[..., Any], user: Any
) -> None:
    house = pulling("")
    assert user("pull", "acme", "support/triage@1.2.0").code == 0
    said = check(house, "--base", "main")
    assert said.code == 4
    assert "acme:support/triage" in said.json["findings"][0]["message"]


def test_a_pulled_file_that_was_touched_is_refused(pulling: Callable[[str], House], check: Callable[..., Any]) -> None:
    house = pulling("'acme:support/triage'")
    (tone,) = (house.root / "prompts/vendor").rglob("_tone.jinja")
    tone.write_text(HURRY)
    said = check(house, "--base", "main")
    assert said.code == 2
    assert "was changed" in said.json["errors"][0]["message"]


def test_a_prompt_is_pulled_and_tested_in_one_change(
    acme: RepositoryBuilder, build: Callable[..., House], user: Any, check: Callable[..., Any]
) -> None:
    house = build()
    user.root = house.root
    assert user("pull", str(acme.root), "support/triage@1.0.0").code == 0
    house.write("suites/theirs.yaml", PULLED.format(name="'acme:support/triage'").replace("anchor: none", "floor: 0.5"))
    said = check(house)
    assert said.code == 0, said.out
    assert gates(said)["theirs", "acme:support/triage"]["floor"]["verdict"] == "PASS"
