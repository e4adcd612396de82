"""Local plugins: a file that promptreg.yaml names offers a metric and a provider; every slip is shown, for the user to mend."""

from __future__ import annotations

import pytest
from conftest import Said, User

from promptreg.testing import LoopbackServer

PLUGIN = '''\
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import promptreg
from promptreg.core.protocols import NoOptions
from promptreg.core.run import Completion, Score

print("loaded", file=Path(__file__).with_name("loaded.txt").open("a"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Polite:
    """Does the answer say the word?"""

    name: ClassVar[str] = "polite"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "word"
    cached: ClassVar[bool] = True

    word: str = "please"

    def __post_init__(self):
        if not self.word:
            raise ValueError("the word is empty")

    def score(self, answer):
        print("graded", file=Path(__file__).with_name("graded.txt").open("a"))
        return Score(value=float(self.word in answer.text))


class Parrot:
    """Says please, and what it heard."""

    name = "parrot"
    Options = NoOptions
    identity = {}
    stored = True
    keyed_by = "messages"
    concurrency = 2

    def __init__(self, spec, options, context):
        pass

    def complete(self, call, timeout_s):
        print("asked", file=Path(__file__).with_name("asked.txt").open("a"))
        return Completion(text="please " + call.messages[-1].text)

    def close(self):
        pass


@promptreg.hookimpl
def promptreg_metrics():
    return {"polite": Polite}


@promptreg.hookimpl
def promptreg_providers():
    return {"parrot": Parrot}
'''
SETTINGS = """\
registry: acme/prompts
plugins: [plugins/house.py]
models:
  bird: {provider: parrot, model: grey}
"""


@pytest.fixture
def house(user: User) -> User:
    """A registry whose model and check both come from plugins/house.py."""
    user.triage("http://127.0.0.1:1")
    user.write("promptreg.yaml", SETTINGS)
    user.write("plugins/house.py", PLUGIN)
    user.edit("suites/triage.yaml", "models: [big]", "models: [bird]")
    user.edit("suites/triage.yaml", 'contains: "{{ expected }}"', "polite: please")
    return user


def times(user: User, what: str) -> int:
    path = user.root / f"plugins/{what}.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


def refused(said: Said, *words: str) -> None:
    assert said.code == 2
    assert "Traceback" not in said.err
    assert [word for word in words if word not in said.err] == [], said.err
    assert "hint:" in said.err


def test_a_local_plugin_offers_a_metric_and_a_provider(house: User) -> None:
    assert house("lint").code == 0
    assert times(house, "asked") == 0
    assert house("run").code == 0
    assert times(house, "asked") == times(house, "graded") == 3
    listed = house("plugins", "--json").json["plugins"]
    ours = {(each["kind"], each["name"]) for each in listed if "house" in each["origin"]}
    assert ours == {("metric", "polite"), ("provider", "parrot")}


def test_its_answers_and_scores_are_kept(house: User) -> None:
    assert house("run").code == house("run").code == 0
    assert (times(house, "asked"), times(house, "graded")) == (3, 3)


def test_changed_code_grades_again_and_asks_nobody(house: User) -> None:
    assert house("run").code == 0
    house.edit("plugins/house.py", "self.word in answer.text", "self.word + '!' in answer.text")
    assert house("run").code == 1
    assert (times(house, "asked"), times(house, "graded")) == (3, 6)


def test_a_package_is_a_plugin_too_and_all_its_files_count(house: User) -> None:
    (house.root / "plugins/house.py").unlink()
    text = PLUGIN.replace("self.word in answer.text", "rule(self.word, answer.text)")
    house.write("plugins/house/__init__.py", "from .rules import rule\n" + text)
    house.write("plugins/house/rules.py", "def rule(word, text):\n    return word in text\n")
    house.edit("promptreg.yaml", "plugins/house.py", "plugins/house")
    assert house.process("run").code == 0
    house.edit("plugins/house/rules.py", "return word in text", "return False")
    assert house.process("run").code == 1


def test_what_is_not_named_is_not_loaded(house: User) -> None:
    house.edit("promptreg.yaml", "plugins: [plugins/house.py]\n", "")
    refused(house("run"), "unknown provider 'parrot'", "unknown metric 'polite'")
    refused(house("show", "nobody"))
    assert times(house, "loaded") == 0


@pytest.mark.parametrize("command", ["list", "show triage", "render triage -i ticket=x", "models list"])
def test_commands_that_need_no_plugin_run_none(house: User, command: str) -> None:
    assert house(*command.split()).code == 0
    assert times(house, "loaded") == 0


@pytest.mark.parametrize("command", ["run", "lint", "plugins", "models show bird"])
def test_a_misspelt_hook(house: User, command: str) -> None:
    house.edit("plugins/house.py", "def promptreg_metrics", "def promptreg_metrix")
    refused(house(*command.split()), "promptreg_metrix", "plugins/house.py", "promptreg_metrics")


def test_a_hook_without_its_decorator(house: User) -> None:
    house.edit("plugins/house.py", "@promptreg.hookimpl\ndef promptreg_metrics", "def promptreg_metrics")
    refused(house("run"), "promptreg_metrics", "plugins/house.py", "hookimpl")


def test_a_file_without_hooks(house: User) -> None:
    house.write("plugins/house.py", "ANSWER = 42\n")
    refused(house("run"), "plugins/house.py", "no promptreg_… hook")


def test_a_name_is_given_only_once(house: User) -> None:
    house.edit("plugins/house.py", '{"polite": Polite}', '{"polite": Polite, "exact": Polite}')
    refused(house("run"), "two plugins offer the metric 'exact'", "plugins/house.py")


def test_two_local_plugins_with_one_name(house: User) -> None:
    house.write("plugins/other.py", PLUGIN)
    house.edit("promptreg.yaml", "[plugins/house.py]", "[plugins/house.py, plugins/other.py]")
    refused(house("run"), "plugins/house.py", "plugins/other.py", "parrot")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ("import nowhere_to_be_found\n", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("raise RuntimeError('out of tea')\n", "RuntimeError: out of tea"),
        ("def broken(:\n", "SyntaxError"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
    ],
)
@pytest.mark.parametrize("command", ["run", "lint", "plugins"])
def test_a_plugin_whose_import_fails(house: User, command: str, broken: str, words: str) -> None:
    house.write("plugins/house.py", broken + PLUGIN)
    said = house(command)
    refused(said, words, "plugins/house.py")
    line = 2 if "sys" in broken else 1
    assert f"plugins/house.py:{line}" in said.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('{"polite": Polite}', '["polite"]', "promptreg_metrics"),
        ('{"polite": Polite}', '{"polite": "nowhere:Polite"}', "nowhere"),
        ('{"polite": Polite}', '{"polite": "json:Polite"}', "Polite"),
        ('{"polite": Polite}', "1 / 0", "ZeroDivisionError"),
        ('{"polite": Polite}', '{"polite": 3}', "polite"),
    ],
)
def test_a_hook_that_offers_nonsense(house: User, old: str, new: str, words: str) -> None:
    house.edit("plugins/house.py", old, new)
    refused(house("run"), words, "plugins/house.py")


def test_a_plugin_that_is_not_there(house: User) -> None:
    (house.root / "plugins/house.py").unlink()
    refused(house("run"), "plugins/house.py", "promptreg.yaml")


def test_a_plugin_out_of_the_repository(house: User) -> None:
    house.edit("promptreg.yaml", "plugins/house.py", "../house.py")
    house.write("../house.py", PLUGIN)
    refused(house("run"), "leads out of the registry", "promptreg.yaml:2")
    assert not (house.root.parent / "loaded.txt").exists()


def test_a_plugin_linked_out_of_the_repository(house: User) -> None:
    outside = house.root.parent / "outside.py"
    outside.write_text(PLUGIN)
    (house.root / "plugins/house.py").unlink()
    (house.root / "plugins/house.py").symlink_to(outside)
    refused(house("run"), "out of the repository")
    assert not (house.root.parent / "loaded.txt").exists()
    assert times(house, "loaded") == 0


def test_options_of_a_plugin_are_checked(house: User) -> None:
    house.edit("suites/triage.yaml", "polite: please", "polite: {wrod: please}")
    assert "did you mean 'word'?" in house("lint").out
    house.edit("suites/triage.yaml", "{wrod: please}", '""')
    refused(house("run"), "the word is empty", "suites/triage.yaml:5")
    house.edit("promptreg.yaml", "model: grey", "model: grey, wings: 2")
    refused(house("run"), "wings", "promptreg.yaml:4")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Score(value=float(self.word in answer.text))", "1 / 0", "ZeroDivisionError"),
        ("Score(value=float(self.word in answer.text))", "0.5", "float"),
        ("Score(value=float(self.word in answer.text))", "Score(value=7)", "7"),
        ("Score(value=float(self.word in answer.text))", "exit(0)", "SystemExit"),
        ('Completion(text="please " + call.messages[-1].text)', "1 / 0", "ZeroDivisionError"),
        ('Completion(text="please " + call.messages[-1].text)', "exit(0)", "SystemExit"),
        ('Completion(text="please " + call.messages[-1].text)', '"please"', "str"),
    ],
)
def test_a_plugin_that_fails_at_work_leaves_its_cases_unmeasured(house: User, old: str, new: str, words: str) -> None:
    house.edit("plugins/house.py", old, new)
    said = house("run", "--json")
    assert said.code == 4
    missing = said.json["suites"][0]["missing"]
    assert {miss["kind"] for miss in missing} == {"plugin"}
    assert len(missing) == 3
    assert words in missing[0]["message"]
    assert words in house("run").out


def test_what_a_plugin_prints_is_no_result(house: User) -> None:
    chatty = PLUGIN.replace("import promptreg\n", "import promptreg\nprint('HELLO')\n", 1)
    house.write("plugins/house.py", chatty.replace("        return Score", "        print('GRADING')\n        return Score"))
    for arguments in (("run", "--json"), ("plugins", "--json"), ("run", "--dry-run", "--json")):
        said = house(*arguments)
        assert said.code == 0
        assert said.json["schema"]
        assert "HELLO" in said.err
    assert "GRADING" not in house("run", "--no-store").out


def test_a_plugin_that_ends_the_process_does_not_say_how_it_ended(house: User) -> None:
    house.write("plugins/house.py", "import sys\nsys.exit(0)\n" + PLUGIN)
    refused(house("run"))
    house.write(
        "plugins/house.py",
        PLUGIN.replace(
            "    def __init__(self, spec, options, context):\n        pass",
            "    def __init__(self, spec, options, context):\n        exit(0)",
        ),
    )
    refused(house("run"), "sys.exit")


def test_a_plugin_beside_an_honest_model(house: User, server: LoopbackServer) -> None:
    house.write("promptreg.yaml", SETTINGS + f'  big: {{provider: openai, model: big-1, base_url: "{server.url}"}}\n')
    cells = house("run", "--model", "big", "--json").json["suites"]
    assert (cells[0]["passed"], cells[0]["n"]) == (0, 3)
    assert times(house, "asked") == 0
