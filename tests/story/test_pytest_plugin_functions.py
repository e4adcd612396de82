"""Prompts in plain test functions: fixtures, the marker, and `assert_not_worse`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from plugged import TRIAGE, House, Ran, answered, rows

from promptreg.testing import LoopbackServer


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    with LoopbackServer(answered) as running:
        yield running


@pytest.fixture
def house(tmp_path: Path, server: LoopbackServer) -> House:
    return House(tmp_path / "house", server.url, cases=6)


def run(house: House, body: str, *arguments: str) -> Ran:
    house.write("tests/test_it.py", "import pytest\n\n" + body)
    return house.plain_pytest("tests", *arguments)


def test_fixtures_complete_and_judge(house: House, server: LoopbackServer) -> None:
    ran = run(
        house,
        """
def test_it(promptreg, complete, judge):
    completion = complete("triage", ticket="ticket 1", model="small")
    assert completion.text == "billing"
    assert judge(completion, {"exact": "{{ expected }}"}, expected="billing").passed
    assert not judge("bug", {"contains": "billing"}).passed
    assert promptreg.render("triage", ticket="x")[1].text == "x"
    assert complete("triage", ticket="ticket 1", model="small") == completion

@pytest.fixture(scope="session")
def report(promptreg):
    return promptreg.run("triage")

def test_report(report):
    assert report.cells[0].passed == 5
""",
    )
    assert (ran.code, ran.counts) == (0, {"passed": 2}), ran.out
    assert server.requests == 1 + 6


def test_prompt_by_marker_and_by_parameter(house: House) -> None:
    ran = run(
        house,
        """
@pytest.mark.promptreg(prompt="triage")
def test_marked(prompt):
    assert prompt.name == "triage"

@pytest.mark.parametrize("prompt", ["triage"], indirect=True)
def test_parameter(prompt):
    assert prompt.name == "triage"

def test_neither(prompt):
    pass

@pytest.mark.promptreg(prompt="traige")
def test_wrong(prompt):
    pass
""",
    )
    assert (ran.having("passed"), ran.having("error")) == (
        ["test_marked", "test_parameter[triage]"],
        ["test_neither", "test_wrong"],
    )
    assert "which prompt?" in ran.texts["test_neither"]
    assert "did you mean 'triage'?" in ran.texts["test_wrong"]
    assert "functions.py" not in ran.out


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_a_function_over_a_dataset(house: House, server: LoopbackServer, more: tuple[str, ...]) -> None:
    ran = run(
        house,
        """
CHECKS = [{"exact": "{{ expected }}"}]

@pytest.mark.promptreg(prompt="triage", dataset="suites/triage.jsonl", models=["big", "small"], checks=CHECKS)
def test_it(case, answer, score):
    assert score == float(answer == case.expected)
    assert answer in ("bug", "billing")
""",
        *more,
    )
    assert ran.having("failed") == ["test_it[big-t4]", "test_it[small-t4]"]
    assert len(ran.tests) == 12
    assert ran.properties["test_it[big-t0]"]["promptreg.score"] == "1.0"
    assert server.requests == 12


def test_models_may_be_chosen_for_the_session(house: House) -> None:
    body = """
@pytest.mark.promptreg(prompt="triage", dataset="../suites/triage.jsonl")
def test_it(answer):
    pass
"""
    assert "test_it[big-t0]" in run(house, body).tests
    assert "test_it[small-t0]" in run(house, body, "--promptreg-models", "small").tests


def test_classes_and_other_parameters(house: House, server: LoopbackServer) -> None:
    ran = run(
        house,
        """
@pytest.mark.promptreg(prompt="triage", dataset="suites/triage.jsonl")
class TestTriage:
    @pytest.mark.parametrize("length", [7, 70])
    def test_length(self, answer, length):
        assert len(answer) <= length

    def test_case(self, case):
        assert case.inputs["ticket"]

    def test_other(self, tmp_path):
        pass
""",
    )
    assert (ran.code, len(ran.tests)) == (0, 12 + 6 + 1), ran.out
    assert server.requests == 6


@pytest.mark.parametrize(
    ("marker", "complaint"),
    [
        ('prompt="triage", datset="x"', "has no 'datset'; did you mean 'dataset'?"),
        ('"triage"', "takes keywords only"),
        ('dataset="suites/triage.jsonl"', "needs prompt="),
        ('prompt="triage", dataset="nowhere.jsonl"', "there is no dataset nowhere.jsonl"),
        ('prompt="triage", dataset="suites/triage.jsonl", models=["bgi"]', "unknown model 'bgi'; did you mean 'big'?"),
        ('prompt="triage", dataset="suites/triage.jsonl", checks=["exakt"]', "unknown metric 'exakt'"),
        ('prompt="triage", dataset="suites/empty.jsonl"', "the dataset has no rows"),
        ('prompt="other", dataset="suites/triage.jsonl"', "suites/triage.jsonl:1"),
    ],
)
def test_a_faulty_marker_is_an_error_of_its_test(house: House, marker: str, complaint: str, server: LoopbackServer) -> None:
    house.write("suites/empty.jsonl", "\n").write("prompts/other.yaml", TRIAGE.replace("ticket", "letter"))
    ran = run(house, f"@pytest.mark.promptreg({marker})\ndef test_it(case):\n    pass\n")
    assert ran.code == 2
    assert complaint in ran.out
    assert "functions.py" not in ran.out
    assert server.requests == 0


def test_a_missing_answer_is_an_error_and_no_empty_text(house: House, server: LoopbackServer) -> None:
    server.close()
    ran = run(
        house,
        """
@pytest.mark.promptreg(prompt="triage", dataset="suites/triage.jsonl", checks=["refusal"])
class TestIt:
    def test_answer(self, answer): pass
    def test_score(self, score): pass

def test_complete(complete):
    complete("triage", ticket="ticket 1")
""",
    )
    assert ran.counts == {"error": 12, "failed": 1}
    assert "no answer of big" in ran.texts["test_answer[big-t0]"]
    assert "no answer of big" in ran.texts["test_complete"]


def test_without_checks_there_is_no_score(house: House) -> None:
    ran = run(house, '@pytest.mark.promptreg(prompt="triage", dataset="suites/triage.jsonl")\ndef test_it(score):\n    pass\n')
    assert set(ran.tests.values()) == {"error"}
    assert "the marker names no checks" in ran.out


def test_without_a_registry(tmp_path: Path) -> None:
    house = object.__new__(House)
    house.root = tmp_path / "plain"
    house.root.mkdir()
    (house.root / "test_it.py").write_text("def test_it(promptreg):\n    pass\n")
    ran = house.plain_pytest()
    assert ran.tests == {"test_it": "error"}
    assert "no promptreg.yaml here or above" in ran.texts["test_it"]


def test_a_registry_below_the_root(tmp_path: Path, server: LoopbackServer) -> None:
    house = House(tmp_path / "top" / "service", server.url, cases=2)
    (tmp_path / "top" / "pytest.ini").write_text("[pytest]\n")
    house.write("tests/test_it.py", "def test_it(complete):\n    assert complete('triage', ticket='ticket 0').text == 'bug'\n")
    (house.root / "pytest.ini").unlink()
    house.root = tmp_path / "top"
    assert house.plain_pytest("service/tests").tests == {"test_it": "passed"}


def test_no_call_for_what_is_deselected(house: House, server: LoopbackServer) -> None:
    body = '@pytest.mark.promptreg(prompt="triage", dataset="suites/triage.jsonl")\ndef test_it(answer):\n    pass\n'
    assert len(run(house, body, "-k", "t1").tests) == 1
    assert server.requests == 1


def test_odd_rows_have_ids_that_work(house: House) -> None:
    house.write("suites/triage.jsonl", rows(2).replace('"t0"', '"a[b] c"').replace('"t1"', '"a_b_ c"'))
    body = '@pytest.mark.promptreg(prompt="triage", dataset="suites/triage.jsonl")\ndef test_it(answer):\n    pass\n'
    names = list(run(house, body).tests)
    assert len(set(names)) == 2
    assert all(" " not in name for name in names)
    assert list(house.plain_pytest(f"tests/test_it.py::{names[0]}").tests) == [names[0]]
