"""The package under plugins/ as a stranger's: installed, found through its entry point, judging answers; its own tests pass."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import User

PACKAGE = Path(__file__).parents[2] / "plugins" / "promptreg-readability"
SETTINGS = "registry: acme/prompts\nmodels:\n  mirror: {provider: echo, model: echo}\n"
PROMPT = 'inputs: {text: {type: string}}\nmessages: [{role: user, content: "{{ text }}"}]\n'
SUITE = """\
prompts: [note]
models: [mirror]
cases:
  - {id: easy, inputs: {text: The cat sat on the mat. It was warm.}}
  - {id: hard, inputs: {text: Organisational accountability necessitates interdisciplinary deliberation.}}
checks: [readability]
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """The environment of a process that sees the package as pip would install it: its modules, and its entry points."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text(encoding="utf-8"))
    site = tmp_path / "site"
    about = site / f"promptreg_readability-{project['project']['version']}.dist-info"
    about.mkdir(parents=True)
    for module in project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]:
        (site / module).write_bytes((PACKAGE / module).read_bytes())
    about.joinpath("METADATA").write_text(f"Metadata-Version: 2.4\nName: {project['project']['name']}\nVersion: 0\n", "utf-8")
    entries = project["project"]["entry-points"]["promptreg"].items()
    about.joinpath("entry_points.txt").write_text("[promptreg]\n" + "".join(f"{name} = {at}\n" for name, at in entries), "utf-8")
    return {"PYTHONPATH": str(site)}


def test_it_is_listed_and_judges(user: User, installed: dict[str, str]) -> None:
    user.write("promptreg.yaml", SETTINGS)
    user.write("prompts/note.yaml", PROMPT)
    user.write("suites/note.yaml", SUITE)
    listed = user.process("plugins", "--json", env=installed).json["plugins"]
    assert [each["origin"] for each in listed if each["name"] == "readability"] == ["readability"]
    said = user.process("run", "--json", env=installed)
    assert said.code == 1, said.err
    (result,) = said.json["suites"]
    assert (result["n"], result["pass_rate"]) == (2, 0.5)
    assert [failure["case"] for failure in result["failures"]] == ["hard"]


def test_without_it_the_check_is_unknown(user: User) -> None:
    user.write("promptreg.yaml", SETTINGS)
    user.write("prompts/note.yaml", PROMPT)
    user.write("suites/note.yaml", SUITE)
    said = user("run")
    assert said.code == 2
    assert "readability" in said.err


def test_a_bad_option_is_shown_at_its_place(user: User, installed: dict[str, str]) -> None:
    user.write("promptreg.yaml", SETTINGS)
    user.write("prompts/note.yaml", PROMPT)
    user.write("suites/note.yaml", SUITE.replace("checks: [readability]", "checks:\n  - readability: -5"))
    said = user.process("lint", env=installed)
    assert said.code == 2
    assert "'full' must be a number above 0" in said.err + said.out
    assert "suites/note.yaml:7" in said.err + said.out


def test_its_own_tests_pass() -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(command, cwd=PACKAGE, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
