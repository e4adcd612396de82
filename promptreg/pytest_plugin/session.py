"""One pytest session: which files are suites, when the batch starts, what the summary says. Registered only when somebody asks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from promptreg.errors import PromptregError, UsageError
from promptreg.pytest_plugin.house import House
from promptreg.pytest_plugin.options import Options

SUITES = "suites"


class Session:
    """`house(path)` is the registry that holds *path*; each is opened once."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options = Options.of(config)
        self._houses: dict[Path, House] = {}
        self._faults: dict[Path, UsageError] = {}
        self._started = False

    def house(self, start: Path | None = None) -> House:
        """The registry upwards of *start* (by default of where pytest was started). UsageError if there is none."""
        folder = (start or self.config.invocation_params.dir).resolve()
        for root, house in self._houses.items():
            if folder.is_relative_to(root) and root == _root(folder):
                return house
        root = _root(folder) or folder
        if root in self._faults:
            raise self._faults[root]
        try:
            house = House(folder, self.options, os.environ)
        except UsageError as fault:
            self._faults[root] = fault
            raise
        self._houses[house.root] = house
        return house

    @property
    def works(self) -> bool:
        """Whether items run in this process: under xdist, the controller only listens."""
        return hasattr(self.config, "workerinput") or not self.config.pluginmanager.hasplugin("dsession")

    # collecting

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if not self.options.collects or file_path.suffix not in (".yaml", ".yml"):
            return None
        root = _root(file_path.parent)
        if root is None or SUITES not in file_path.relative_to(root).parts[:1]:
            return None
        from promptreg.pytest_plugin.items import SuiteFile, is_suite

        return SuiteFile.from_parent(parent, path=file_path, session_part=self) if is_suite(file_path) else None

    # running

    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """All calls of the selected items go out together, before the first item reports."""
        if session.config.option.collectonly or not self.works:
            return
        from promptreg.pytest_plugin.functions import want_samples
        from promptreg.pytest_plugin.items import want_items

        want_items(session.items)
        want_samples(session.items)
        for house in self._houses.values():
            house.start()
        self._started = True

    # the end

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        from promptreg.pytest_plugin.summary import summarise

        summarise(self, terminalreporter)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        from promptreg.pytest_plugin.summary import write_reports

        if self.works and self._started:
            write_reports(self)

    def pytest_unconfigure(self) -> None:
        for house in self._houses.values():
            house.close()

    @property
    def houses(self) -> Sequence[House]:
        return tuple(self._houses.values())


def told(fault: PromptregError) -> str:
    """An error as the command line shows it: what, where, what to do; all of them."""
    return "\n".join(_lines(fault))


def _lines(fault: PromptregError) -> Iterator[str]:
    from promptreg.core.excerpt import visible

    for each in (fault, *fault.more):
        yield f"error: {visible(each.message)}"
        if each.where is not None:
            yield f"  at {visible(str(each.where))}"
        if each.hint:
            yield f"  hint: {visible(each.hint)}"


def _root(folder: Path) -> Path | None:
    """The nearest folder upwards with a promptreg.yaml; a cheap look, `House` looks properly."""
    return next((each for each in (folder, *folder.parents) if (each / "promptreg.yaml").is_file()), None)
