"""Suites as items: `suites/triage.yaml::support/triage[small-case-17]` for each case × prompt × model, and one for the verdict.

A case item fails on a failing case only where nothing judges the suite as a whole. Where a floor, or a base, does, failing cases
are expected (xfailed, with all their details), and the verdict item decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from promptreg import documents
from promptreg.core.grade import Job
from promptreg.core.run import Outcome
from promptreg.core.suite import Case
from promptreg.errors import PromptregError, UsageError
from promptreg.pytest_plugin.house import House
from promptreg.pytest_plugin.showing import broken, failing
from promptreg.workflow.preparation import PreparedSuite

if TYPE_CHECKING:
    from promptreg.pytest_plugin.session import Session

PEEK = 1 << 16
VERDICT = "verdict"


class Failing(Exception):
    """What an item says instead of a traceback."""


class Missing(Exception):
    """No answer: an error of the item, neither passed nor failed."""


def is_suite(path: Path) -> bool:
    """Whether the YAML file at *path* is a suite: a list is a dataset."""
    with path.open("rb") as file:
        return not documents.is_yaml_list(file.read(PEEK))


class SuiteFile(pytest.File):
    """One suite. A faulty one is one collection error that names file and line."""

    def __init__(self, *, session_part: Session, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = session_part

    def collect(self) -> Iterator[pytest.Item]:
        from promptreg.pytest_plugin.session import told

        try:
            yield from self._items(self.part.house(self.path.parent))
        except PromptregError as fault:
            raise self.CollectError(told(fault)) from fault

    def _items(self, house: House) -> Iterator[pytest.Item]:
        name = self.path.relative_to(house.root / "suites").with_suffix("").as_posix()
        prepared = house.suite(name)
        self.add_marker(_mark(self.config, name))
        judged = not house.options.strict and (_floored(prepared) or house.options.base is not None)
        for number, case in enumerate(house.registry.cases(prepared.suite)):
            jobs: dict[tuple[str, str], list[Job]] = {}
            for job in prepared.jobs([case]):
                jobs.setdefault((job.prompt, job.model), []).append(job)
            for (prompt, model), each in jobs.items():
                item = CaseItem.from_parent(
                    self, name=f"{prompt}[{model}-{_id(case)}]", house=house, cell=(name, prompt, model), jobs=each, judged=judged
                )
                item.key = (name, prompt, model, number)
                _tag(item, case)
                yield item
        if _floored(prepared) or house.options.base is not None:
            yield VerdictItem.from_parent(self, name=VERDICT, house=house, prepared=prepared)


class CaseItem(pytest.Item):
    """One case of one prompt on one model, with all its samples."""

    key: tuple[str, str, str, int]

    def __init__(self, *, house: House, cell: tuple[str, str, str], jobs: list[Job], judged: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.house, self.cell, self.jobs, self.judged = house, cell, jobs, judged

    def want(self) -> None:
        self.house.want(self.key, self.jobs, self.cell)

    def setup(self) -> None:
        """Waits for its own answers. One that is missing is an error here, before there is anything to pass or fail."""
        outcomes = self._outcomes()
        self.user_properties.extend(_properties(self.cell, outcomes))
        gone = [outcome for outcome in outcomes if outcome.passed is None]
        if gone:
            raise Missing(broken(gone))

    def runtest(self) -> None:
        outcomes = self._outcomes()
        if _passed(self.jobs[0].case, outcomes):
            return
        text = failing([outcome for outcome in outcomes if not outcome.passed])
        if self.judged:
            pytest.xfail(text)
        raise Failing(text)

    def _outcomes(self) -> Sequence[Outcome]:
        self.want()
        return self.house.result(self.key)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return _shown(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


class VerdictItem(pytest.Item):
    """What a suite's floors say of all its cells, and with --promptreg-base its gates."""

    def __init__(self, *, house: House, prepared: PreparedSuite, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.house, self.prepared = house, prepared

    def want(self) -> None:
        """Every case of the suite: a verdict on a part would be another one."""
        name = self.prepared.suite.name
        for number, case in enumerate(self.house.registry.cases(self.prepared.suite)):
            jobs: dict[tuple[str, str], list[Job]] = {}
            for job in self.prepared.jobs([case]):
                jobs.setdefault((job.prompt, job.model), []).append(job)
            for (prompt, model), each in jobs.items():
                self.house.want((name, prompt, model, number), each, (name, prompt, model))

    def setup(self) -> None:
        from promptreg.pytest_plugin.verdicts import judged

        self.want()
        self.verdict = judged(self.house, self.prepared.suite.name)
        self.user_properties.extend(self.verdict.properties)
        if self.verdict.missing:
            raise Missing(self.verdict.missing)

    def runtest(self) -> None:
        if self.verdict.failed:
            raise Failing(self.verdict.failed)
        if self.verdict.undecided:
            pytest.skip(self.verdict.undecided)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        return _shown(excinfo) or super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name


def want_items(items: Sequence[pytest.Item]) -> None:
    """What the selected items will ask for."""
    for item in items:
        if isinstance(item, CaseItem | VerdictItem):
            item.want()


def _floored(prepared: PreparedSuite) -> bool:
    return prepared.suite.policy is not None and prepared.suite.policy.floor is not None


def _passed(case: Case, outcomes: Sequence[Outcome]) -> bool:
    if case.require is None:
        return all(outcome.passed for outcome in outcomes)
    return sum(bool(outcome.passed) for outcome in outcomes[: case.require.of]) >= case.require.k


def _properties(cell: tuple[str, str, str], outcomes: Sequence[Outcome]) -> list[tuple[str, object]]:
    """What JUnit and other listeners may know of a case."""
    scores = [outcome.score for outcome in outcomes if outcome.score is not None]
    costs = [outcome.cost_usd for outcome in outcomes if outcome.cost_usd is not None]
    found: list[tuple[str, object]] = [("promptreg.suite", cell[0]), ("promptreg.prompt", cell[1]), ("promptreg.model", cell[2])]
    if scores:
        found.append(("promptreg.score", round(sum(scores) / len(scores), 6)))
    if costs:
        found.append(("promptreg.cost_usd", round(sum(costs), 9)))
    return found


def _shown(excinfo: pytest.ExceptionInfo[BaseException]) -> str | None:
    """The item's own words; promptreg's errors as the command line shows them; None for what deserves a traceback."""
    from promptreg.pytest_plugin.session import told

    fault = excinfo.value
    if isinstance(fault, Failing | Missing):
        return str(fault)
    return told(fault) if isinstance(fault, UsageError) else None


def _id(case: Case) -> str:
    """The case's id as a part of a node id: no brackets and no colons that pytest would read."""
    return re.sub(r"[\[\]:\s]+", "_", case.id) or "case"


def _tag(item: pytest.Item, case: Case) -> None:
    """Markers for `-m`: each tag as `key` and as `key_value`; slices are tags."""
    for key, value in case.tags.items():
        item.add_marker(_mark(item.config, key))
        item.add_marker(_mark(item.config, f"{key}_{value}"))


def _mark(config: pytest.Config, text: str) -> pytest.MarkDecorator:
    """A marker of that name, registered, so that --strict-markers lets it pass."""
    name = re.sub(r"\W+", "_", text).strip("_") or "untitled"
    line = f"{name}: a tag or suite of promptreg"
    if line not in config.getini("markers"):
        config.addinivalue_line("markers", line)
    found: pytest.MarkDecorator = getattr(pytest.mark, name if not name.startswith("_") else f"tag{name}")
    return found
