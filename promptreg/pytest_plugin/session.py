"""One pytest session: which files are suites, when the batch starts, what is told at the end. Made only when somebody asks."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from promptreg.errors import PromptregError, UsageError
from promptreg.pytest_plugin.functions import Sample
from promptreg.pytest_plugin.house import House
from promptreg.pytest_plugin.items import CaseItem, SuiteFile, VerdictItem, is_suite
from promptreg.pytest_plugin.measuring import Measuring
from promptreg.pytest_plugin.options import Options
from promptreg.pytest_plugin.showing import told
from promptreg.pytest_plugin.summary import summarise, write_report
from promptreg.pytest_plugin.workers import Controller, tell
from promptreg.reporters.check import shows_checks
from promptreg.workflow.reports import refuse_unwritable, reporter_for

SUITES = "suites"
SETTINGS = "promptreg.yaml"


class Session:
    """`measuring(path)` is the part of the registry that holds *path*; each is opened once."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.options = Options.of(config)
        if not self.is_worker:
            self._refuse_unwritable()
        self.complaints: list[str] = []
        self._opened: dict[Path, Measuring | UsageError] = {}
        self._controller = Controller()
        self._markers: dict[str, pytest.MarkDecorator] = {}
        self._registered: frozenset[str] | None = None

    def _refuse_unwritable(self) -> None:
        for path in (self.options.record, self.options.report):
            if path is not None:
                try:
                    refuse_unwritable(path)
                except UsageError as fault:
                    raise pytest.UsageError(told(fault)) from fault

    # registries

    def measuring(self, start: Path) -> Measuring:
        """That of the registry upwards of *start*. UsageError if there is none, or if it cannot be opened."""
        folder = start.resolve()
        root = _root(folder) or folder
        if root not in self._opened:
            try:
                self._opened[root] = self._joined(House(folder, self.options, os.environ))
            except UsageError as fault:
                self._opened[root] = fault
        found = self._opened[root]
        if isinstance(found, UsageError):
            raise found
        return found

    def _joined(self, house: House) -> Measuring:
        same = next((each for each in self.parts if each.house.root == house.root), None)
        if same is not None:
            house.close()
            return same
        if self.parts and (self.options.record or self.options.report):
            house.close()
            raise UsageError(
                f"a second registry ({house.root}), and --promptreg-record and --promptreg-report write one file for one registry",
                hint="run them one by one",
            )
        if self.options.report is not None:
            reporter = reporter_for(house.world.plugins, self.options.report)
            if self.options.base is not None:
                shows_checks(reporter, "--promptreg-report")
        return Measuring(house)

    @property
    def parts(self) -> Sequence[Measuring]:
        return tuple({id(each): each for each in self._opened.values() if isinstance(each, Measuring)}.values())

    def own_house(self) -> House:
        """The registry of whoever started pytest: from the current folder upwards, else from the root folder, else the only one."""
        here = self.config.invocation_params.dir
        for folder in (here, self.config.rootpath):
            if _root(folder.resolve()):
                return self.measuring(folder).house
        if len(self.parts) == 1:
            return self.parts[0].house
        return self.measuring(here).house

    def house_of(self, test: Path) -> House:
        """The registry that holds the file *test*, else that of whoever started pytest."""
        return self.measuring(test.parent).house if _root(test.parent.resolve()) else self.own_house()

    def marker(self, name: str) -> pytest.MarkDecorator:
        """A marker that --strict-markers knows, and that nobody else gives a meaning: `skip` as a tag must not skip."""
        if name not in self._markers:
            if self._registered is None:
                lines = self.config.getini("markers")
                self._registered = frozenset(line.partition(":")[0].partition("(")[0].strip() for line in lines)
            clean = f"tag_{name}" if name in self._registered else name
            self.config.addinivalue_line("markers", f"{clean}: a tag or suite of promptreg")
            self._markers[name] = getattr(pytest.mark, clean)
        return self._markers[name]

    # collecting

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if not self.options.collects or file_path.suffix not in (".yaml", ".yml"):
            return None
        file = file_path.resolve()
        root = _root(file.parent)
        if root is None or SUITES not in file.relative_to(root).parts[:1]:
            return None
        return SuiteFile.from_parent(parent, path=file_path, part=self) if is_suite(file_path) else None

    # running

    @property
    def controls(self) -> bool:
        """Whether this process only listens: the controller of xdist."""
        return self.config.pluginmanager.hasplugin("dsession") and not self.is_worker

    @property
    def is_worker(self) -> bool:
        return hasattr(self.config, "workerinput")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """All calls of the selected items go out together, before the first item reports."""
        option = session.config.option
        stops = session.testsfailed and not option.continue_on_collection_errors
        if option.collectonly or getattr(option, "setupplan", False) or stops or self.controls:
            return
        for item in session.items:
            if isinstance(item, CaseItem | VerdictItem):
                item.want()
            elif isinstance(sample := _parameter(item), Sample):
                sample.want()
        for part in self.parts:
            part.start(record=self.options.record is not None and not self.is_worker)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Under xdist the controller learns from the report which case it is about."""
        report = yield
        if self.is_worker and (report.when == "call" or (report.when == "setup" and not report.passed)):
            if isinstance(item, CaseItem):
                report.__dict__["promptreg"] = [str(item.measuring.house.root), list(item.key), item.missing]
            elif isinstance(item, VerdictItem):
                report.__dict__["promptreg"] = [str(item.measuring.house.root), [item.suite], []]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self.controls:
            self._controller.heard(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._controller.ended(node)

    # the end

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        for part in self.parts:
            self._attempt(part.stop)
        if self.is_worker:
            self.config.workeroutput["promptreg"] = tell(self)  # type: ignore[attr-defined]
            return
        if self.controls:
            self._attempt(lambda: self._controller.read_back(self))
        if self.options.report is not None:
            self._attempt(lambda: write_report(self))
        if self.complaints and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR

    def _attempt(self, effect: Any) -> None:
        try:
            effect()
        except PromptregError as fault:
            self.complaints.append(told(fault))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        summarise(self, terminalreporter)

    def pytest_unconfigure(self) -> None:
        for part in self.parts:
            part.close()


def _root(folder: Path) -> Path | None:
    """The nearest folder upwards with a promptreg.yaml; a cheap look, `House` looks properly."""
    return next((each for each in (folder, *folder.parents) if (each / SETTINGS).is_file()), None)


def _parameter(item: pytest.Item) -> object:
    spec: Any = getattr(item, "callspec", None)
    return None if spec is None else spec.params.get("promptreg_sample")
