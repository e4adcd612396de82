"""`run` takes references: a released prompt beside the working copy, on the same cases."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from promptreg.cli import invoke

UNGATED = ("--no-gate", "a test of tags")


@pytest.fixture
def released(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """A registry with greeting 1.0.0 in production, and a working copy that does not name the person any more."""
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "shop", "--git", "--quiet"]) == 0
    monkeypatch.chdir(tmp_path / "shop")
    assert invoke(["release", *UNGATED, "greeting", "--quiet"]) == 0
    assert invoke(["promote", "greeting@1.0.0", "production", "--quiet"]) == 0
    prompt = Path("prompts/greeting.yaml")
    prompt.write_text(prompt.read_text().replace("greets {{ name }} by name", "greets somebody of {{ name | length }} letters"))
    subprocess.run(["git", "commit", "-qam", "Anonymous"], check=True)
    capsys.readouterr()
    return tmp_path / "shop"


def rates(capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    cells = json.loads(capsys.readouterr().out)["suites"]
    return {cell["prompt"]: cell["pass_rate"] for cell in cells}


@pytest.mark.usefixtures("released")
def test_a_version_is_run_in_place_of_the_working_copy(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "-p", "greeting@production", "--json", "--quiet"]) == 0
    assert rates(capsys) == {"greeting@production": 1.0}


def test_a_suite_may_name_both_and_each_has_its_own_row(released: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite = released / "suites/greeting.yaml"
    suite.write_text(suite.read_text().replace("prompts: [greeting]", "prompts: [greeting, greeting@1.0.0]"))
    assert invoke(["run", "--json", "--quiet"]) == 1
    assert rates(capsys) == {"greeting": 0.0, "greeting@1.0.0": 1.0}
    assert invoke(["lint", "--quiet"]) == 0


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize(("reference", "says"), [("greeting@9.9.9", "no release 9.9.9"), ("nobody@1.0.0", "no suite covers")])
def test_versions_that_are_not_there(reference: str, says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["run", "-p", reference]) == 2
    assert says in capsys.readouterr().err
