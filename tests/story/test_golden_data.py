"""Golden data grows: by hand, from a log, from an accepted answer, in every format; what would break the suite is never written."""

from __future__ import annotations

import json

import pytest
from conftest import User

PROMPT = """\
inputs:
  ticket: {type: string}
  tries: {type: integer, default: 1}
messages: [{role: user, content: "{{ ticket }} after {{ tries }}"}]
"""
CSV_PROMPT = PROMPT.replace("{type: integer, default: 1}", '{type: string, default: "1"}')


@pytest.fixture
def shop(user: User) -> User:
    user.triage("http://127.0.0.1:1")
    user.write("promptreg.yaml", "models: {big: {provider: echo, model: echo}}\n")
    user.write("prompts/triage.yaml", PROMPT)
    return user


def dataset(shop: User, ending: str, text: str) -> str:
    shop.edit("suites/triage.yaml", "triage.jsonl", f"data{ending}")
    if ending == ".csv":
        shop.write("prompts/triage.yaml", CSV_PROMPT)
    shop.write(f"suites/data{ending}", text)
    return f"suites/data{ending}"


FORMATS = {
    ".jsonl": '{"id": "a", "inputs": {"ticket": "lost, \\"again\\""}, "expected": "lost"}\n',
    ".csv": 'id,ticket,tries,expected\na,"lost, ""again""",1,lost\n',
    ".yaml": "# kept\n- {id: a, inputs: {ticket: 'lost, \"again\"'}, expected: lost}\n",
}


@pytest.mark.parametrize("ending", FORMATS)
def test_a_case_is_added_and_no_other_line_is_touched(shop: User, ending: str) -> None:
    path = dataset(shop, ending, FORMATS[ending])
    text = 'two\nlines, "quoted", ünïcode'
    said = shop("case", "add", "triage", "-i", f"ticket={text}", "-i", "tries=2", "--expected", "two", "--id", "b")
    assert said.out == "added b\n"
    assert shop.read(path).startswith(FORMATS[ending])
    rendered = shop("render", "triage", "--suite", "triage", "--case", "b", "--json").json
    assert rendered["messages"][0]["content"] == f"{text} after 2"
    assert shop("run").code == 0
    again = shop("case", "add", "triage", "-i", f"ticket={text}", "-i", "tries=2")
    assert "1 case there already" in again.err
    assert shop("lint").code == 0


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-i", "tries=2"], "ticket"),
        (["-i", "ticket=x", "-i", "tires=2"], "did you mean 'tries'?"),
        (["-i", "ticket=x", "-i", "tries=2", "--id", "a"], "'a'"),
        (["-i", "ticket=x", "-i", "tries=2", "--tag", "=b"], "--tag"),
        ([], "needs inputs"),
    ],
)
def test_what_would_break_the_suite_is_never_written(shop: User, ending: str, arguments: list[str], words: str) -> None:
    path = dataset(shop, ending, FORMATS[ending])
    said = shop("case", "add", "triage", *arguments)
    if ending == ".csv" and arguments == ["-i", "tries=2"]:
        return  # an empty cell is empty text, and a case of its own
    assert said.code == 2
    assert words in said.err
    assert shop.read(path) == FORMATS[ending]
    assert sorted(each.name for each in (shop.root / "suites").iterdir() if each.name.startswith(".")) == []


@pytest.mark.parametrize(("value", "hint"), [("zwei", "tries=3"), ("2.5", "correct"), ('"2"', "correct")])
def test_an_input_of_the_wrong_type(shop: User, value: str, hint: str) -> None:
    before = shop.read("suites/triage.jsonl")
    said = shop("case", "add", "triage", "-i", "ticket=x", "-i", f"tries={value}")
    assert said.code == 2
    assert hint in said.err
    assert shop.read("suites/triage.jsonl") == before


def test_numbers_in_csv_are_text_and_the_hint_says_so(shop: User) -> None:
    dataset(shop, ".csv", FORMATS[".csv"])
    shop.write("prompts/triage.yaml", PROMPT)
    for command in ("lint", "run"):
        said = shop(command)
        assert said.code == 2
        assert "text" in said.out + said.err
        assert ".jsonl" in said.out + said.err


def test_a_log_is_added_whole_or_not_at_all(shop: User) -> None:
    before = shop.read("suites/triage.jsonl")
    rows = [{"inputs": {"ticket": f"log {n}"}, "expected": "log"} for n in range(200)]
    log = shop.write("log.jsonl", "".join(json.dumps(row) + "\n" for row in [*rows, {"inputs": {"tikcet": "x"}}]))
    said = shop("case", "add", "triage", "--from", str(log))
    assert said.code == 2
    assert "did you mean 'ticket'?" in said.err
    assert shop.read("suites/triage.jsonl") == before
    shop.write("log.jsonl", "".join(json.dumps(row) + "\n" for row in [*rows, *rows]))
    said = shop("case", "add", "triage", "--from", str(log), "--json")
    assert (len(said.json["added"]), len(said.json["known"])) == (200, 200)
    assert shop("run", "--json").json["suites"][0]["n"] == 203


def test_a_dataset_that_is_not_there_yet_is_begun(shop: User) -> None:
    (shop.root / "suites/triage.jsonl").unlink()
    assert shop("case", "add", "triage", "-i", "ticket=first", "--expected", "first").code == 0
    assert shop("run").code == 0


def test_inline_cases_are_edited_by_hand(shop: User) -> None:
    shop.edit("suites/triage.yaml", "dataset: triage.jsonl", "cases: [{inputs: {ticket: x}, expected: x}]")
    said = shop("case", "add", "triage", "-i", "ticket=y")
    assert said.code == 2
    assert "suites/triage.yaml" in said.err


@pytest.mark.parametrize("ending", [".jsonl", ".csv"])
def test_an_accepted_answer_changes_one_row_only(shop: User, ending: str) -> None:
    path = dataset(shop, ending, FORMATS[ending])
    shop("case", "add", "triage", "-i", "ticket=x", "-i", "tries=1", "--expected", "nonsense", "--id", "b")
    before = shop.read(path)
    assert shop("run").code == 1
    said = shop("case", "accept", "triage", "b", "-m", "big", "-y")
    assert said.code == 0
    assert "nonsense" in said.err
    assert "x after 1" in said.err
    assert shop.read(path) == before.replace("nonsense", "x after 1")
    assert shop("run").code == 0


def test_accepting_asks_first(shop: User) -> None:
    before = shop.read("suites/triage.jsonl")
    assert shop("run").code == 0
    said = shop.process("case", "accept", "triage", "c1", "-m", "big")  # stdin is at its end: no answer is a no
    assert said.code == 130
    assert shop.read("suites/triage.jsonl") == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["triage", "nobody", "-m", "big"], "no case 'nobody'"),
        (["triage", "c1", "-m", "bigg"], "did you mean 'big'?"),
        (["triag", "c1", "-m", "big"], "did you mean 'triage'?"),
        (["triage", "c1", "-m", "big", "-p", "triag"], "did you mean 'triage'?"),
    ],
)
def test_what_cannot_be_accepted(shop: User, arguments: list[str], words: str) -> None:
    said = shop("case", "accept", *arguments, "-y")
    assert said.code == 2
    assert words in said.err


MARK = b"\xef\xbb\xbf"


@pytest.mark.parametrize("mark", [b"", MARK])
@pytest.mark.parametrize("ending", FORMATS)
def test_line_ends_and_the_mark_of_a_windows_editor_stay(shop: User, ending: str, mark: bytes) -> None:
    path = shop.root / dataset(shop, ending, "")
    before = (
        mark + FORMATS[ending].replace("\n", "\r\n").replace("again", "a\\r\\ngain" if ending != ".csv" else "a\r\ngain").encode()
    )
    path.write_bytes(before)
    assert shop("case", "add", "triage", "-i", "ticket=x", "-i", "tries=1", "--expected", "old", "--id", "b").code == 0
    grown = path.read_bytes()
    assert grown.startswith(before)
    assert grown.count(b"\n") == grown.count(b"\r\n") == before.count(b"\n") + 1
    if ending != ".yaml":
        assert shop("case", "accept", "triage", "b", "-m", "big", "-y").code == 0
        assert path.read_bytes() == grown.replace(b"old", b"x after 1")
    assert shop("lint").code == 0


@pytest.mark.parametrize("sign", ["\u2028", "\x85", "\x0c", "\x1c", "\u2029"])
@pytest.mark.parametrize("ending", FORMATS)
def test_signs_that_other_programs_take_for_line_ends_are_text(shop: User, ending: str, sign: str) -> None:
    path = dataset(shop, ending, "")
    shop.write(path, FORMATS[ending])
    assert shop("case", "add", "triage", "-i", f"ticket=a{sign}b", "-i", "tries=1", "--expected", "a", "--id", "odd").code == 0
    rendered = shop("render", "triage", "--suite", "triage", "--case", "odd", "--json").json
    assert rendered["messages"][0]["content"] == f"a{sign}b after 1"
    if ending == ".jsonl":
        shop.write(
            path,
            shop.read(path)
            + f'{{"id": "raw", "inputs": {{"ticket": "a{sign}b"}}, "expected": "a"}}\n'.replace("\x0c", "").replace("\x1c", ""),
        )
    if ending != ".yaml":
        assert shop("case", "add", "triage", "-i", "ticket=x", "-i", "tries=1", "--expected", "old", "--id", "b").code == 0
        before = shop.read(path)
        assert shop("case", "accept", "triage", "b", "-m", "big", "-y").code == 0
        assert shop.read(path) == before.replace("old", "x after 1")


def test_a_column_for_ids_is_not_needed(shop: User) -> None:
    path = dataset(shop, ".csv", " ticket , tries,expected\nlost,1,lost\n")
    assert shop("case", "add", "triage", "-i", "ticket=x", "-i", "tries=2", "--expected", "x").code == 0
    assert shop.read(path) == " ticket , tries,expected\nlost,1,lost\nx,2,x\n"
    said = shop("case", "add", "triage", "-i", "ticket=y", "-i", "tries=2", "--expected", "x", "--id", "why")
    assert said.code == 2
    assert "no column for id" in said.err


def test_rows_of_a_log_keep_what_they_require(shop: User) -> None:
    row = {"id": "often", "inputs": {"ticket": "z"}, "expected": "z", "require": {"k": 1, "of": 2}}
    log = shop.write("log.jsonl", json.dumps(row) + "\n")
    assert shop("case", "add", "triage", "--from", str(log)).code == 0
    assert json.loads(shop.read("suites/triage.jsonl").splitlines()[-1]) == row
    dataset(shop, ".csv", FORMATS[".csv"])
    assert "no column for require" in shop("case", "add", "triage", "--from", str(log)).err


def test_an_indented_list_is_gone_on_with(shop: User) -> None:
    before = "# mine\n  - id: a\n    inputs: {ticket: lost}\n    expected: lost\n"
    path = dataset(shop, ".yaml", before)
    assert shop("case", "add", "triage", "-i", "ticket=x", "--expected", "x", "--id", "b").code == 0
    assert shop.read(path).startswith(before + "  - {")
    assert shop("lint").code == 0


@pytest.mark.parametrize(
    ("ending", "text"),
    [(".yaml", "[{id: a, inputs: {ticket: lost}, expected: lost}]\n"), (".csv", 'id,ticket,tries,expected\na,"lost,1,lost\n')],
)
def test_what_cannot_be_gone_on_with_stays_as_it_is(shop: User, ending: str, text: str) -> None:
    path = dataset(shop, ending, text)
    assert shop("case", "add", "triage", "-i", "ticket=x", "-i", "tries=1", "--expected", "x", "--id", "b").code == 2
    assert shop.read(path) == text
    assert [each.name for each in (shop.root / "suites").iterdir() if each.name.startswith(".")] == []


def test_a_case_that_no_check_could_judge_is_not_added(shop: User) -> None:
    before = shop.read("suites/triage.jsonl")
    said = shop("case", "add", "triage", "-i", "ticket=x")
    assert said.code == 2
    assert "is not added" in said.err
    assert "no expected answer" in said.err
    assert shop.read("suites/triage.jsonl") == before


def test_a_dataset_keeps_its_mode_and_its_link(shop: User) -> None:
    path = shop.root / "suites/triage.jsonl"
    path.rename(shop.root / "data.jsonl").chmod(0o640)
    path.symlink_to("../data.jsonl")
    assert shop("case", "add", "triage", "-i", "ticket=x", "--expected", "x").code == 0
    assert path.is_symlink()
    assert (shop.root / "data.jsonl").stat().st_mode & 0o777 == 0o640
    assert '"x"' in shop.read("data.jsonl")


def test_what_is_no_json_is_text_and_a_key_comes_once(shop: User) -> None:
    assert shop("case", "add", "triage", "-i", "ticket=x", "--expected", "NaN", "--id", "nan").code == 0
    assert '"expected": "NaN"' in shop.read("suites/triage.jsonl")
    said = shop("case", "add", "triage", "-i", "ticket=x", "-i", "ticket=y", "--expected", "x")
    assert said.code == 2
    assert "ticket is given twice" in said.err
