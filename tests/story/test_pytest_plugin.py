"""Suites as pytest items, as users meet them: real sessions in processes of their own, against an honest server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from plugged import SETTINGS, SUITE, TRIAGE, House, Ran, answered, rows

from promptreg.testing import LoopbackServer

FLOOR = "gate: {floor: 0.5}\n"
PASSING = [f"triage[big-t{n}]" for n in (0, 1, 2, 3, 5, 6, 7, 8)]
FAILING = ["triage[big-t4]", "triage[big-t9]"]


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(answered) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, server: LoopbackServer) -> House:
    return House(tmp_path / "house", server.url, gate=FLOOR)


@pytest.fixture
def bare(tmp_path: Path, server: LoopbackServer) -> House:
    """A registry whose suite nothing judges as a whole."""
    return House(tmp_path / "house", server.url)


# --- inert unless asked -------------------------------------------------------------------------------------------------------


def test_a_session_that_does_not_ask_gets_nothing(house: House, server: LoopbackServer) -> None:
    house.write(
        "test_other.py",
        "import sys\n\ndef test_it():\n"
        "    ours = {name for name in sys.modules if name.split('.')[0] == 'promptreg'}\n"
        "    assert ours == {'promptreg', 'promptreg.pytest_plugin'}\n"
        "    assert not {'yaml', 'jinja2', 'click', 'msgspec', 'urllib3', 'git', 'sqlite3', 'regex'} & set(sys.modules)\n",
    )
    ran = house.plain_pytest("-p", "no:xdist", "-p", "no:hypothesispytest")
    assert (ran.code, ran.tests) == (0, {"test_it": "passed"}), ran.out
    assert not [line for line in ran.out.splitlines() if "promptreg" in line and not line.startswith("plugins: ")]
    assert server.requests == 0
    assert not (house.root / ".promptreg").exists()


def test_options_have_names_of_their_own(house: House) -> None:
    out = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=house.root, capture_output=True, text=True, check=True
    ).stdout
    section = out.partition("prompts and their suites:")[2].partition("\n\n")[0]
    options = [word.partition("=")[0] for word in section.split() if word.startswith("-")]
    assert len(options) >= 11
    assert all(option.startswith("--promptreg") for option in options), options


def test_it_can_be_left_out(house: House) -> None:
    house.write("test_other.py", "def test_it():\n    pass\n")
    assert house.plain_pytest("-p", "no:git_promptreg").code == 0
    assert house.pytest("-p", "no:git_promptreg").code == 4  # pytest's word for an option that nobody knows


def test_the_ini_file_turns_it_on(house: House) -> None:
    house.write("pytest.ini", "[pytest]\npromptreg = true\n")
    assert house.plain_pytest("suites").tests["verdict"] == "passed"


def test_fixtures_of_users_win(house: House) -> None:
    names = ("prompt", "complete", "judge", "case", "answer", "score")
    house.write("conftest.py", "import pytest\n" + "".join(f"\n@pytest.fixture\ndef {n}():\n    return 'mine'\n" for n in names))
    house.write("test_it.py", f"def test_it({', '.join(names)}):\n    assert {{{', '.join(names)}}} == {{'mine'}}\n")
    assert house.plain_pytest().tests == {"test_it": "passed"}


@pytest.mark.parametrize("first", [True, False])
def test_fixtures_of_other_plugins_win_whoever_is_loaded_first(house: House, first: bool) -> None:
    names = ("prompt", "complete", "judge", "case", "answer", "score")
    house.write("other.py", "import pytest\n" + "".join(f"\n@pytest.fixture\ndef {n}():\n    return 'theirs'\n" for n in names))
    house.write("test_it.py", f"def test_it({', '.join(names)}):\n    assert {{{', '.join(names)}}} == {{'theirs'}}\n")
    order = ("-p", "other") if first else ("-p", "no:git_promptreg_", "-p", "promptreg.pytest_plugin", "-p", "other")
    env = {"PYTHONPATH": str(house.root), **({} if first else {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})}
    assert house.plain_pytest(*order, env=env).tests == {"test_it": "passed"}


def test_parameters_of_users_win(house: House) -> None:
    house.write(
        "test_it.py",
        "import pytest\n\n@pytest.mark.parametrize(('case', 'score'), [(1, 2)])\n"
        "def test_it(case, score):\n    assert case < score\n",
    )
    assert house.plain_pytest().tests == {"test_it[1-2]": "passed"}


# --- what becomes an item -----------------------------------------------------------------------------------------------------


def test_a_healthy_suite_with_a_floor_is_green(house: House) -> None:
    ran = house.pytest("suites")
    assert ran.code == 0, ran.out
    assert ran.having("passed") == sorted([*PASSING, "verdict"])
    assert ran.having("xfailed") == FAILING
    for shown in ("Name the queue.", "ticket 4", "exact: expected 'bug', got 'other'", "[-bug-]{+other+}"):
        assert shown in ran.texts["triage[big-t4]"]


def test_strict_makes_every_failing_case_a_failure(house: House) -> None:
    ran = house.pytest("suites", "--promptreg-strict")
    assert ran.code == 1
    assert ran.having("failed") == FAILING
    assert ran.tests["verdict"] == "passed"


def test_a_broken_floor_fails_the_verdict(house: House) -> None:
    house.write("suites/triage.yaml", SUITE + "gate: {floor: 0.9}\n")
    ran = house.pytest("suites")
    assert (ran.code, ran.having("failed")) == (1, ["verdict"])
    assert "8 of 10 passed, 80 %: below the floor of 90 %" in ran.texts["verdict"]


@pytest.mark.parametrize("gate", ["", "gate: {margin: 0.10}\n"])
def test_a_suite_that_nothing_judges_fails_on_any_failing_case(house: House, gate: str) -> None:
    house.write("suites/triage.yaml", SUITE + gate)
    ran = house.pytest("suites")
    assert (ran.code, ran.having("failed")) == (1, FAILING)
    assert "verdict" not in ran.tests


def test_a_failure_shows_what_a_person_needs_and_no_traceback(bare: House) -> None:
    shown = bare.pytest("suites", "-k", "t4").out
    section = shown.partition("FAILURES")[2].partition("= promptreg =")[0]
    expected = """\
triage on big, case 't4' (suites/triage.jsonl:5)
system:
  │ Name the queue.
user:
  │ ticket 4
answer:
  │ other
✗ exact: expected 'bug', got 'other'
expected → answer:
  │ [-bug-]{+other+}
"""
    assert expected in section
    assert ".py" not in section
    assert "Traceback" not in section


@pytest.mark.parametrize("base", [(), ("--promptreg-base", "main")])
def test_missing_answers_are_errors(house: House, server: LoopbackServer, base: tuple[str, ...]) -> None:
    server.close()
    ran = house.pytest("suites", *base)
    assert ran.code == 1
    assert set(ran.tests.values()) == {"error"}
    assert len(ran.tests) == 11
    assert "no answer of big to the case 't0'" in ran.texts["triage[big-t0]"]
    assert "10 of 10 answers missing" in ran.texts["verdict"]


def test_a_floor_that_missing_answers_could_not_save_is_broken(tmp_path: Path) -> None:
    with LoopbackServer(
        lambda request: {"nonsense": True} if request["messages"][-1]["content"] == "ticket 0" else "other"
    ) as dull:
        house = House(tmp_path / "house", dull.url, gate=FLOOR)
        ran = house.pytest("suites")
    assert ran.having("error") == ["triage[big-t0]"]
    assert ran.having("failed") == ["verdict"]


def test_every_prompt_and_model_has_items(house: House) -> None:
    house.write("prompts/other/triage.yaml", TRIAGE)
    house.write("suites/deep/both.yaml", SUITE.replace("[triage]", "[triage, other/triage]").replace("triage.jsonl", "few.jsonl"))
    house.write("suites/deep/few.jsonl", rows(2))
    ran = house.pytest("suites/deep", "--promptreg-models", "big, small")
    assert ran.code == 0, ran.out
    assert sorted(ran.tests) == sorted(
        f"{p}[{m}-t{n}]" for p in ("triage", "other/triage") for m in ("big", "small") for n in (0, 1)
    )


def test_repeats_are_one_item(house: House, server: LoopbackServer) -> None:
    ran = house.pytest("suites", "--promptreg-repeats", "3")
    assert len(ran.tests) == 11
    assert server.requests == 30


def test_require_is_judged_as_a_whole(house: House) -> None:
    house.write("suites/triage.yaml", SUITE).write("suites/triage.jsonl", rows(5, require={"k": 1, "of": 2}))
    ran = house.pytest("suites")
    assert ran.having("failed") == ["triage[big-t4]"]


ODD = [
    "a[b]::c",
    "a b",
    "a_b",
    "two\nlines",
    "ünïcödé",
    "emoji 🙂",
    "x" * 500,
    "../up",
    "\x1b[31mred",
    "\u202eevil",
    "nul\x00",
    "-k",
]


def test_odd_ids_give_ids_that_work(house: House) -> None:
    house.write(
        "suites/triage.jsonl",
        "".join(
            json.dumps({"id": odd, "inputs": {"ticket": f"ticket {2 * n}"}, "expected": "bug"}) + "\n" for n, odd in enumerate(ODD)
        ),
    )
    nodes = collected(house)
    assert len(set(nodes)) == len(ODD) + 1
    assert all(len(node) < 160 and node.isprintable() for node in nodes)
    assert nodes == collected(house)
    assert collected(house, *reversed(nodes)) == list(reversed(nodes))
    assert len(house.plain_pytest("--promptreg", nodes[0]).tests) == 1
    assert len(house.pytest("suites", "-n", "2").tests) == len(ODD) + 1


SPACED = '{"id": "a b", "inputs": {"ticket": "ticket 6"}, "expected": "bug"}\n'


def test_an_id_does_not_depend_on_its_neighbours(house: House) -> None:
    house.write("suites/triage.jsonl", SPACED + rows(2))
    before = collected(house)[0]
    house.write(
        "suites/triage.jsonl",
        '{"id": "a_b", "inputs": {"ticket": "ticket 2"}, "expected": "bug"}\n' + rows(2) + SPACED,
    )
    assert collected(house)[3] == before
    assert collected(house)[0] == "suites/triage.yaml::triage[big-a_b]"


def collected(house: House, *arguments: str) -> list[str]:
    process = house.start("--promptreg", "--collect-only", "-q", *(arguments or ("suites",)))
    out, _ = process.communicate(timeout=60)
    return [line for line in out.splitlines() if "::" in line]


def test_collecting_calls_nobody(house: House, server: LoopbackServer) -> None:
    nodes = collected(house)
    assert nodes == [f"suites/triage.yaml::triage[big-t{n}]" for n in range(10)] + ["suites/triage.yaml::verdict"]
    house.pytest("suites", "--setup-plan")
    assert server.requests == 0


# --- choosing -----------------------------------------------------------------------------------------------------------------


def test_a_case_can_be_chosen(house: House, server: LoopbackServer) -> None:
    ran = house.pytest("suites/triage.yaml::triage[big-t3]")
    assert (ran.code, ran.tests) == (0, {"triage[big-t3]": "passed"})
    assert server.requests == 1
    ran = house.pytest("suites/triage.yaml::triage")
    assert len(ran.tests) == 10
    ran = house.pytest("suites", "-k", "t3 or t4")
    assert ran.tests == {"triage[big-t3]": "passed", "triage[big-t4]": "xfailed"}
    assert "not judged, because its verdict was not selected: triage" in ran.out


def test_a_verdict_alone_asks_for_the_whole_suite(house: House, server: LoopbackServer) -> None:
    for more in ((), ("-n", "2")):
        ran = house.pytest("suites/triage.yaml::verdict", *more)
        assert (ran.code, ran.tests) == (0, {"verdict": "passed"})
        assert "8/10" in ran.out
    assert server.requests == 10


def test_tags_and_slices_are_markers(house: House) -> None:
    lines = [
        {"id": "a", "inputs": {"ticket": "ticket 0"}, "expected": "bug", "tags": {"queue": "bug", "lang": "de AT"}},
        {"id": "b", "inputs": {"ticket": "ticket 1"}, "expected": "billing", "tags": {"queue": "billing"}},
        {
            "id": "c",
            "inputs": {"ticket": "ticket 2"},
            "expected": "bug",
            "tags": {"skip": "yes", "xfail": "no", "1st": "x", "": "y"},
        },
    ]
    house.write("suites/triage.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    house.write("suites/triage.yaml", SUITE + "gate: {slices: {by: [expected]}}\n")
    strict = ("suites", "--strict-markers")
    assert house.pytest(*strict).counts == {"passed": 3}  # a tag called skip is no skip
    for expression, chosen in [
        ("queue_bug", "a"),
        ("queue", "ab"),
        ("lang_de_AT", "a"),
        ("queue and not queue_bug", "b"),
        ("expected_billing", "b"),
        ("tag_skip", "c"),
        ("tag_1st", "c"),
        ("triage", "abc"),
    ]:
        ran = house.pytest(*strict, "-m", expression)
        assert sorted(ran.tests) == [f"triage[big-{case}]" for case in chosen], expression


def test_last_failed_and_stepwise(bare: House) -> None:
    assert bare.pytest("suites").having("failed") == FAILING
    assert sorted(bare.pytest("suites", "--lf").tests) == FAILING
    stepped = bare.pytest("suites", "--sw")
    assert stepped.having("failed") == FAILING[:1]
    bare.write("suites/triage.jsonl", rows(10).replace('"ticket 4"}, "expected": "bug"', '"ticket 4"}, "expected": "other"'))
    assert bare.pytest("suites", "--sw").having("failed") == FAILING[1:]


# --- where suites lie ---------------------------------------------------------------------------------------------------------


def test_a_broken_suite_is_one_error_at_its_line(house: House, server: LoopbackServer) -> None:
    house.write("suites/broken.yaml", "prompts: [triage]\ndataset: triage.jsonl\nchekcs: []\n")
    house.write("suites/unknown.yaml", SUITE.replace("exact", "exakt"))
    house.write("suites/rows.yaml", SUITE.replace("triage.jsonl", "rows.jsonl"))
    house.write(
        "suites/rows.jsonl",
        rows(1) + '{"id": "b", "inputs": {"tikcet": 1}}\n',
    )
    ran = house.pytest("suites", "--continue-on-collection-errors")
    assert ran.out.count("ERROR collecting") == 3
    assert "suites/broken.yaml:3" in ran.out
    assert "unknown key 'chekcs'; did you mean 'checks'?" in ran.out
    assert "did you mean 'exact'?" in ran.out
    assert "suites/rows.jsonl:2" in ran.out
    assert "Traceback" not in ran.out
    assert ran.tests["verdict"] == "passed"
    asked = server.requests
    assert house.pytest("suites").code == 2  # as for a test file that cannot be imported: nothing runs, and nothing is paid for
    assert server.requests == asked == 10


def test_data_are_no_suites(house: House) -> None:
    house.write("suites/data.yaml", "- {id: a, inputs: {ticket: ticket 0}, expected: bug}\n")
    house.write("suites/triage.yaml", SUITE.replace("triage.jsonl", "data.yaml"))
    house.write("prompts/suites/deep.yaml", TRIAGE).write("other.yaml", "a: 1\n")
    assert house.pytest().tests == {"triage[big-a]": "passed"}


def test_registries_below_the_root(tmp_path: Path, server: LoopbackServer) -> None:
    top = tmp_path / "top"
    for name in ("one", "two"):
        house = House(top / "services" / name, server.url, cases=2, gate=FLOOR)
        (house.root / "pytest.ini").unlink()
    (top / "pytest.ini").write_text("[pytest]\n")
    outer = object.__new__(House)
    outer.root = top
    nodes = collected(outer, "services")
    assert nodes[0] == "services/one/suites/triage.yaml::triage[big-t0]"
    assert len(nodes) == 6
    ran = outer.pytest("services")
    assert ran.code == 0, ran.out
    assert ran.out.count("2/2") == 2
    refused = outer.pytest("services", "--promptreg-report", "out.md")
    assert refused.code == 2
    assert "a second registry" in refused.out


def test_one_suite_without_an_ini_file(house: House) -> None:
    (house.root / "pytest.ini").unlink()
    assert house.pytest("suites/triage.yaml").code == 0
    assert house.pytest("triage.yaml", here="suites").code == 0


def test_without_git(tmp_path: Path, server: LoopbackServer) -> None:
    house = House(tmp_path / "house", server.url, gate=FLOOR)
    (house.root / ".git").rename(tmp_path / "gone")
    assert house.pytest("suites").code == 0
    ran = house.pytest("suites", "--promptreg-base", "main")
    assert ran.having("error") == ["verdict"]
    assert "Traceback" not in ran.out


# --- hostile answers ----------------------------------------------------------------------------------------------------------


def test_hostile_answers_are_tame(tmp_path: Path) -> None:
    def hostile(_: Any) -> str:
        return "\x1b[2J\x1b]0;title\x07\u202e]]><b>\x00\x85" + "A" * 100_000 + "\n" * 5_000

    with LoopbackServer(hostile) as server:
        house = House(tmp_path / "house", server.url, cases=1)
        for more in ((), ("-n", "1")):
            ran = house.pytest("suites", *more)
            assert ran.code == 1
            assert not {"\x1b", "\x07", "\u202e", "\x00", "\x85"} & set(ran.out)
            assert "\\x1b[2J" in ran.out
            assert len(ran.out) < 30_000
            assert "more characters]" in ran.texts["triage[big-t0]"]


# --- against a base -----------------------------------------------------------------------------------------------------------

GATED = "gate: {margin: 0.10, anchor: none}\n"


@pytest.fixture
def changed(tmp_path: Path, server: LoopbackServer) -> House:
    """A registry on a branch, against main; its suite has 40 cases and a gate."""
    house = House(tmp_path / "house", server.url, cases=40, gate=GATED)
    house.builder.git("checkout", "--quiet", "-b", "change")
    return house


def against(house: House, *more: str) -> Ran:
    return house.pytest("suites", "--promptreg-base", "main", *more)


def test_nothing_changed(changed: House) -> None:
    ran = against(changed)
    assert ran.code == 0, ran.out
    assert (ran.tests["verdict"], ran.having("failed")) == ("passed", [])
    assert "against main: nothing affected" in ran.out


def test_a_drop_fails_the_verdict_alone(changed: House) -> None:
    changed.write("prompts/_tone.jinja", "Name the queue, and hurry.\n")
    for more in ((), ("-n", "2")):
        ran = against(changed, *more)
        assert (ran.code, ran.having("failed"), len(ran.having("xfailed"))) == (1, ["verdict"], 40), ran.out
        assert "FAIL" in ran.texts["verdict"]
        assert ran.properties["verdict"]["promptreg.gate.triage.big"] == "FAIL"
        assert "against main: 1 FAIL" in ran.out


def test_a_drop_that_was_accepted_passes(changed: House, user: Any) -> None:
    changed.write("prompts/_tone.jinja", "Name the queue, and hurry.\n").builder.commit("Hurry")
    user.root = changed.root
    said = user("check", "--base", "main", "--head", "HEAD", "--accept", "we must hurry", "--runs", "write")
    assert said.code == 0, said.err
    assert against(changed).tests["verdict"] == "passed"


@pytest.mark.parametrize(("policy", "outcome", "code"), [("warn", "skipped", 0), ("block", "error", 1)])
def test_too_little_evidence_follows_the_policy(
    tmp_path: Path, server: LoopbackServer, policy: str, outcome: str, code: int
) -> None:
    gate = f"gate: {{margin: 0.10, anchor: none, undecided: {policy}}}\n"
    house = House(tmp_path / "house", server.url, cases=5, gate=gate)
    house.builder.git("checkout", "--quiet", "-b", "change")
    house.write("prompts/_tone.jinja", "Name the right queue.\n")
    ran = against(house)
    assert (ran.tests["verdict"], ran.code) == (outcome, code), ran.out
    assert "UNDECIDED" in ran.texts["verdict"]


def test_what_no_suite_can_say_is_said_by_the_first_verdict(changed: House) -> None:
    changed.write("prompts/untested.yaml", TRIAGE)
    changed.write("suites/later.yaml", SUITE + GATED)
    ran = house_of_two(changed)
    assert ran.out.count("untested") >= 1
    verdicts = [line for line in ran.out.splitlines() if "::verdict" in line]
    assert [("later" in line, "ERROR" in line) for line in verdicts if "ERROR" in line] == [(True, True)]


def house_of_two(house: House) -> Ran:
    return house.pytest("suites", "--promptreg-base", "main", "-rA", "--tb=short")


def test_a_suite_without_policy_is_judged_by_the_base(changed: House) -> None:
    changed.write("suites/triage.yaml", SUITE).builder.commit("No gate")
    changed.builder.git("branch", "--force", "main")
    ran = against(changed)
    assert (ran.code, ran.tests["verdict"], len(ran.having("xfailed"))) == (0, "passed", 8)


def test_a_base_that_is_unknown(changed: House) -> None:
    ran = changed.pytest("suites", "--promptreg-base", "nowhere")
    assert ran.having("error") == ["verdict"]
    assert "nowhere" in ran.texts["verdict"]
    assert "Traceback" not in ran.out


def test_settings_without_a_model(house: House) -> None:
    house.write("promptreg.yaml", SETTINGS.format(url="http://127.0.0.1:9/v1").replace("defaults: {model: big}\n", ""))
    ran = house.pytest("suites")
    assert ran.code == 2
    assert "the suite names no models, and there is no default" in ran.out
