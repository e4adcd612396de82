"""The surface is whole: what a user, a script or a plugin author meets is documented, loads, and costs no more than promised."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path

import click
import pytest

import promptreg
from promptreg import errors, hookspecs, plugins
from promptreg.cli import COMMANDS, cli
from promptreg.core.run import Score

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs" / "cli.md").read_text("utf-8")
SHIPPED = plugins.load(strangers=False)
HEAVY = ("jinja2", "msgspec", "urllib3", "git", "yaml", "xllamacpp", "sqlite3", "tabulate", "jsonschema_rs", "pluggy", "asyncio")
HOOKS = [name for name in vars(hookspecs) if name.startswith("promptreg_")]


def commands(command: click.Command = cli, path: tuple[str, ...] = ("promptreg",)) -> Iterator[tuple[str, click.Command]]:
    yield " ".join(path), command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None, f"{' '.join(path)} lists {name} and does not have it"
            yield from commands(found, (*path, name))


ALL = dict(commands())


# --- commands -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_command_says_what_it_does(name: str) -> None:
    said = inspect.cleandoc(ALL[name].help or "")
    assert said, f"{name} has no help"
    assert re.search(r"[.:;]$", said.split("\n\n")[0].strip()), f"{name}: the first paragraph of its help is no sentence"


@pytest.mark.parametrize("name", ALL)
def test_every_option_says_what_it_does(name: str) -> None:
    options = [each for each in ALL[name].params if isinstance(each, click.Option)]
    silent = [each.name for each in options if not (each.help or "").strip()]
    assert not silent, f"{name}: {silent}"


@pytest.mark.parametrize("name", [name for name in ALL if name != "promptreg"])
def test_every_command_and_option_is_in_the_reference(name: str) -> None:
    heading = f"## `{name}`\n"
    assert heading in REFERENCE
    section = REFERENCE.partition(heading)[2].partition("\n## ")[0]
    section += REFERENCE.partition("## Output")[2].partition("\n## ")[0]
    options = [option for each in ALL[name].params if isinstance(each, click.Option) for option in each.opts]
    assert not [option for option in options if option not in section]


def test_every_command_file_is_a_command() -> None:
    shown = {
        line.split()[0] for line in ALL["promptreg"].get_help(click.Context(cli)).partition("Commands:")[2].splitlines() if line
    }
    assert shown == set(COMMANDS)


def test_a_command_answers_json_or_says_nothing_about_it() -> None:
    """A command that has --json has --quiet and --color too: one set of output options, not three."""
    for name, command in ALL.items():
        own = {each.name for each in command.params}
        assert own & {"as_json", "quiet", "color"} in (set(), {"as_json", "quiet", "color"}), name


# --- hooks, errors, names -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_is_documented(name: str) -> None:
    assert inspect.getdoc(getattr(hookspecs, name))
    assert f"`{name}()`" in (ROOT / "docs" / "plugins.md").read_text("utf-8")


def test_every_error_is_drawn_in_the_tree() -> None:
    drawn = re.findall(r"^ *[│├└─ ]*(\w+) +(\d+)  ", errors.__doc__ or "", re.MULTILINE)
    real = {
        name: value for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, errors.PromptregError)
    }
    assert {name: int(code) for name, code in drawn} == {name: int(error.exit_code) for name, error in real.items()}


@pytest.mark.parametrize("name", promptreg.__all__)
def test_public_names_resolve(name: str) -> None:
    assert getattr(promptreg, name) is not None


def test_unknown_public_names_do_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'scores'"):
        _ = promptreg.scores  # type: ignore[attr-defined]


# --- plugins ------------------------------------------------------------------------------------------------------------------


def offered(kind: plugins.Kind) -> list[str]:
    return SHIPPED.names(kind)


@pytest.mark.parametrize("name", offered("metric"))
def test_every_metric_keeps_to_its_protocol(name: str) -> None:
    metric = SHIPPED.get("metric", name)
    assert metric.name == name
    assert is_dataclass(metric)
    assert metric.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert metric.version
    assert 0 < metric.threshold <= 1
    assert metric.short in {"", *(field.name for field in fields(metric))}
    assert isinstance(metric.cached, bool)
    assert callable(metric.score)
    assert inspect.getdoc(metric)


@pytest.mark.parametrize("name", offered("provider"))
def test_every_provider_keeps_to_its_protocol(name: str) -> None:
    provider = SHIPPED.get("provider", name)
    assert provider.name == name
    assert is_dataclass(provider.Options)
    assert provider.Options.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert list(inspect.signature(provider).parameters) == ["spec", "options", "context"]
    assert list(inspect.signature(provider.complete).parameters) == ["self", "call", "timeout_s"]
    assert callable(provider.close)
    assert inspect.getdoc(provider)


@pytest.mark.parametrize("name", offered("reporter"))
def test_every_reporter_keeps_to_its_protocol(name: str) -> None:
    reporter = SHIPPED.get("reporter", name)
    assert reporter.suffix == name
    assert reporter.name
    assert list(inspect.signature(reporter.render).parameters) == ["self", "report"]
    assert reporter() is not None  # made without arguments: `run --report` knows none
    assert inspect.getdoc(reporter)


def test_a_score_is_the_one_that_plugins_return() -> None:
    assert promptreg.Score is Score


# --- what it costs to start ---------------------------------------------------------------------------------------------------

SPY = """
import json, sys
opened = []
def hook(event, arguments):
    if event.startswith("socket.") or event in ("subprocess.Popen", "os.system", "urllib.Request"):
        opened.append(event)
sys.addaudithook(hook)
{work}
print(json.dumps({{"loaded": sorted(sys.modules), "opened": opened}}))
"""


def start(work: str) -> tuple[set[str], list[str]]:
    """Top-level modules loaded, and doors to the world opened, by *work* in a fresh interpreter."""
    command = [sys.executable, "-c", SPY.format(work=work)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    return {name.partition(".")[0] for name in told["loaded"]}, told["opened"]


@pytest.mark.parametrize(
    "work", ["import promptreg.cli", "from promptreg.cli import invoke\ninvoke(['--version'])"], ids=["import", "version"]
)
def test_starting_loads_nothing_heavy_and_opens_nothing(work: str) -> None:
    loaded, opened = start(work)
    assert not loaded & set(HEAVY)
    assert not opened


def test_the_package_itself_loads_nothing() -> None:
    bare, _ = start("pass")
    loaded, opened = start("import promptreg")
    assert loaded - bare <= {"promptreg", *sys.stdlib_module_names}
    assert not opened


def test_help_of_every_command_loads_no_engine_and_opens_nothing() -> None:
    lines = "\n".join(f"invoke({[*name.split()[1:], '--help']!r})" for name in ALL)
    loaded, opened = start(f"from promptreg.cli import invoke\n{lines}")
    assert not loaded & {"jinja2", "urllib3", "git", "xllamacpp", "sqlite3", "msgspec", "yaml"}
    assert not opened
