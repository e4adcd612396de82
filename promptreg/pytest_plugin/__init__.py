"""Suites as pytest items, and prompts in plain test functions. Inert until somebody asks: `--promptreg`, `promptreg = true` in the
ini file, or a fixture.

This file is imported in every pytest session of an environment: it imports pytest, which is there, and the standard library. The
rest of the package is imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from promptreg.core.prompt import Prompt
    from promptreg.core.run import CheckResult, Completion
    from promptreg.core.suite import Case
    from promptreg.pytest_plugin.house import House

MARKER = (
    "promptreg(prompt, dataset=None, models=None, checks=None): run a test function over the cases of a dataset; "
    "it takes case, answer and score"
)
VALUES: tuple[tuple[str, str, str], ...] = (
    ("base", "REV", "Also judge every suite against the merge base with REV."),
    ("models", "ALIASES", "Instead of the suites' models: aliases, separated by commas."),
    ("recording", "FILE", "Ask no model: answers come from FILE."),
    ("record", "FILE", "Write every answer to FILE, a recording."),
    ("report", "FILE", "Write a .md, .html, .json or .xml report."),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("promptreg", "prompts and their suites")
    group.addoption("--promptreg", action="store_true", help="Collect suites as tests.")
    group.addoption("--promptreg-strict", action="store_true", help="Every failing case is a failure, whatever floors say.")
    group.addoption("--promptreg-replay", action="store_true", help="Ask no model: answers come from the store.")
    group.addoption("--promptreg-repeats", type=int, metavar="N", help="Samples of each case instead of the suites' number.")
    group.addoption("--promptreg-budget", type=float, metavar="USD", help="What this session may spend.")
    group.addoption("--promptreg-concurrency", type=int, metavar="N", help="Calls at once to each model.")
    for name, metavar, text in VALUES:
        group.addoption(f"--promptreg-{name}", metavar=metavar, help=text)
    parser.addini("promptreg", "Collect suites as tests, as --promptreg does.", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    if config.getoption("promptreg") or config.getini("promptreg"):
        _session(config)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marker = metafunc.definition.get_closest_marker("promptreg")
    if marker is not None and "case" in metafunc.fixturenames:
        from promptreg.pytest_plugin.functions import parametrize

        parametrize(metafunc, marker, _session(metafunc.config))


def _session(config: pytest.Config) -> Any:
    """This session's part of promptreg, made when it is first wanted."""
    found = config.pluginmanager.get_plugin("promptreg-session")
    if found is None:
        from promptreg.pytest_plugin.session import Session

        found = Session(config)
        config.pluginmanager.register(found, "promptreg-session")
    return found


@pytest.fixture(scope="session")
def promptreg(pytestconfig: pytest.Config) -> House:
    """The registry of this project: `.prompt(name)`, `.complete(…)`, `.judge(…)`, `.run(suites)`, `.registry`."""
    house: House = _session(pytestconfig).house()
    return house


@pytest.fixture
def prompt(request: pytest.FixtureRequest, promptreg: House) -> Prompt:
    """The prompt that `@pytest.mark.promptreg(prompt=…)`, or an indirect parameter, names."""
    from promptreg.pytest_plugin.functions import prompt_of

    return prompt_of(request, promptreg)


@pytest.fixture
def complete(promptreg: House) -> Callable[..., Completion]:
    """`complete("support/triage", ticket="…", model="small")`: one answer, through the store, the budget and the rate limits."""
    return promptreg.complete


@pytest.fixture
def judge(promptreg: House) -> Callable[..., CheckResult]:
    """`judge(answer, {"contains": "refund"})`: what one check says of an answer."""
    return promptreg.judge


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """The case of a test that `@pytest.mark.promptreg(prompt=…, dataset=…)` runs over a dataset."""
    from promptreg.pytest_plugin.functions import sample_of

    return sample_of(request).case


@pytest.fixture
def answer(request: pytest.FixtureRequest) -> str:
    """The model's answer to the case. A missing answer is an error, never an empty text."""
    from promptreg.pytest_plugin.functions import sample_of

    return sample_of(request).answer()


@pytest.fixture
def score(request: pytest.FixtureRequest) -> float:
    """The score of the marker's `checks` for the answer, in [0, 1]."""
    from promptreg.pytest_plugin.functions import sample_of

    return sample_of(request).score()
