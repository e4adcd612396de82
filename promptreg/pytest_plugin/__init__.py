"""Suites as pytest items, and prompts in plain test functions. Inert until somebody asks: `--promptreg`, `promptreg = true` in the
ini file, or a fixture.

This file is imported in every pytest session of an environment: it imports pytest, which is there, and the standard library. The
rest of the package is imported when it is asked for.

Its fixtures have common names. A fixture of the same name in a conftest, a class or a module wins by pytest's own rule; one of
another plugin wins by ours: only a test with the marker gets promptreg's instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from promptreg.pytest_plugin.functions import Sample
    from promptreg.pytest_plugin.house import House

NAME = "promptreg-session"
REWRITER = "AssertionRewritingHook"
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
    if marker is not None and "promptreg_sample" in metafunc.fixturenames:
        from promptreg.pytest_plugin.functions import parametrize

        parametrize(metafunc, marker, _session(metafunc.config))


def _session(config: pytest.Config) -> Any:
    """This session's part of promptreg, made when it is first wanted."""
    found = config.pluginmanager.get_plugin(NAME)
    if found is None:
        with _as_written():
            from promptreg.pytest_plugin.session import Session

            found = Session(config)
        config.pluginmanager.register(found, NAME)
    return found


@contextmanager
def _as_written() -> Iterator[None]:
    """Imports that pytest does not rewrite. It takes a plugin's whole distribution for tests, and compiling these two hundred files
    anew costs seconds, in every session where the result cannot be kept."""
    rewriting = [(place, finder) for place, finder in enumerate(sys.meta_path) if type(finder).__name__ == REWRITER]
    for _, finder in rewriting:
        sys.meta_path.remove(finder)
    try:
        yield
    finally:
        for place, finder in rewriting:
            sys.meta_path.insert(place, finder)


def _others(request: pytest.FixtureRequest) -> tuple[Any] | None:
    """What another plugin's fixture of this name gives, if there is one and the test does not ask for promptreg's by the marker."""
    if request.node.get_closest_marker("promptreg") is not None or getattr(request, "param", None) is not None:
        return None
    try:
        return (request.getfixturevalue(str(request.fixturename)),)
    except pytest.FixtureLookupError as fault:
        if fault.argname != request.fixturename:
            raise
        return None


def _tool(request: pytest.FixtureRequest, name: str) -> Any:
    """What the registry of the test's own folder offers under *name*."""
    if (found := _others(request)) is not None:
        return found[0]
    from promptreg.pytest_plugin.functions import plainly

    with plainly():
        return getattr(_session(request.config).house_of(request.path), name)


@pytest.fixture(scope="session")
def promptreg(pytestconfig: pytest.Config) -> House:
    """The registry of this project: `.prompt(name)`, `.complete(…)`, `.judge(…)`, `.run(suites)`, `.registry`."""
    from promptreg.pytest_plugin.functions import plainly

    with plainly():
        house: House = _session(pytestconfig).own_house()
        return house


@pytest.fixture
def prompt(request: pytest.FixtureRequest) -> Any:
    """The prompt that `@pytest.mark.promptreg(prompt=…)`, or an indirect parameter, names."""
    if (found := _others(request)) is not None:
        return found[0]
    from promptreg.pytest_plugin.functions import prompt_of

    return prompt_of(request, _session(request.config))


@pytest.fixture
def complete(request: pytest.FixtureRequest) -> Any:
    """`complete("support/triage", ticket="…", model="small")`: one answer, through the store, the budget and the rate limits."""
    return _tool(request, "complete")


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Any:
    """`judge(answer, {"contains": "refund"})`: what one check says of an answer."""
    return _tool(request, "judge")


@pytest.fixture
def promptreg_sample(request: pytest.FixtureRequest) -> Sample | None:
    """One case on one model, where the marker names a dataset. Read it by `case`, `answer` and `score`."""
    return getattr(request, "param", None)


@pytest.fixture
def case(request: pytest.FixtureRequest, promptreg_sample: Sample | None) -> Any:
    """The case of a test that `@pytest.mark.promptreg(prompt=…, dataset=…)` runs over a dataset."""
    if promptreg_sample is None and (found := _others(request)) is not None:
        return found[0]
    from promptreg.pytest_plugin.functions import sampled

    return sampled(request, promptreg_sample, "case")


@pytest.fixture
def answer(request: pytest.FixtureRequest, promptreg_sample: Sample | None) -> Any:
    """The model's answer to the case. A missing answer is an error, never an empty text."""
    if promptreg_sample is None and (found := _others(request)) is not None:
        return found[0]
    from promptreg.pytest_plugin.functions import sampled

    return sampled(request, promptreg_sample, "answer")


@pytest.fixture
def score(request: pytest.FixtureRequest, promptreg_sample: Sample | None) -> Any:
    """The score of the marker's `checks` for the answer, in [0, 1]."""
    if promptreg_sample is None and (found := _others(request)) is not None:
        return found[0]
    from promptreg.pytest_plugin.functions import sampled

    return sampled(request, promptreg_sample, "score")
