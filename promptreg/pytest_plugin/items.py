"""Suites as items: `suites/triage.yaml::support/triage[small-case-17]` for each case × prompt × model, and one for the verdict.

A case item fails on a failing case only where nothing judges the suite as a whole. Where a floor, or a base, does, failing cases
are expected (xfailed, with all their details), and the verdict item decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from promptreg import documents
from promptreg.core.excerpt import one_line
from promptreg.core.grade import Job
from promptreg.core.run import Outcome
from promptreg.core.select import stratum
from promptreg.core.suite import Case
from promptreg.errors import PromptregError
from promptreg.pytest_plugin.measuring import Key, Measuring
from promptreg.pytest_plugin.names import marker_name, node_part
from promptreg.pytest_plugin.showing import broken, failing, told
from promptreg.pytest_plugin.verdicts import Judged, judged
from promptreg.workflow.preparation import PreparedSuite

if TYPE_CHECKING:
    from promptreg.pytest_plugin.session import Session

PEEK = 1 << 16
VERDICT = "verdict"
REASON = 400  # characters of a failure that travel from a worker


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

    def __init__(self, *, part: Session, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = part

    def collect(self) -> Iterator[pytest.Item]:
        try:
            yield from self._items(self.part.measuring(self.path.parent))
        except PromptregError as fault:
            if type(fault) is PromptregError:
                raise  # our bug: its traceback is wanted
            raise self.CollectError(told(fault)) from fault

    def _items(self, measuring: Measuring) -> list[pytest.Item]:
        house = measuring.house
        name = self.path.resolve().relative_to(house.root / "suites").with_suffix("").as_posix()
        prepared = house.suite(name)
        self.add_marker(self.part.marker(name))
        whole = _floored(prepared) or house.options.base is not None
        items: list[pytest.Item] = []
        wanted: dict[Key, list[Job]] = {}
        for number, case in enumerate(house.registry.cases(prepared.suite)):
            markers = [self.part.marker(each) for each in _traits(prepared, case)]
            jobs: dict[Key, list[Job]] = {}
            for job in prepared.jobs([case]):
                jobs.setdefault((name, job.prompt, job.model, number), []).append(job)
            for key, each in jobs.items():
                called = f"{key[1]}[{node_part(f'{key[2]}-{case.id}')}]"
                item = CaseItem.from_parent(
                    self, name=called, measuring=measuring, key=key, jobs=each, judged=whole and not house.options.strict
                )
                for marker in markers:
                    item.add_marker(marker)
                items.append(item)
            wanted.update(jobs)
        if whole:
            items.append(VerdictItem.from_parent(self, name=VERDICT, measuring=measuring, suite=name, wanted=wanted))
        return items


class _Item(pytest.Item):
    """What both kinds have in common: their own words instead of a traceback."""

    def __init__(self, *, measuring: Measuring, name: str, parent: pytest.Collector, **kwargs: Any) -> None:
        # The id as text: pytest 9.2 reads its parameters from there, and --lf finds items by them.
        super().__init__(name=name, parent=parent, nodeid=f"{parent.nodeid}::{name}", **kwargs)
        self.measuring = measuring

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The item's own words; promptreg's errors as the command line shows them; a traceback for what is our bug."""
        fault = excinfo.value
        if isinstance(fault, Failing | Missing | pytest.xfail.Exception):
            return str(fault)  # for an expected failure, too: pytest's own takes a tenth of a second
        if isinstance(fault, PromptregError) and type(fault) is not PromptregError:
            return told(fault)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name

    @property
    def only_planned(self) -> bool:
        """Whether pytest shows what it would do, and does nothing: --setup-plan."""
        return bool(self.config.getoption("setupplan", False))


class CaseItem(_Item):
    """One case of one prompt on one model, with all its samples."""

    def __init__(self, *, key: Key, jobs: list[Job], judged: bool, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.key, self.jobs, self.judged = key, jobs, judged
        self.missing: list[tuple[int, str, str]] = []  # sample, kind and message of what did not arrive

    def want(self) -> None:
        self.measuring.want(self.key, self.jobs, self.key[:3])

    def setup(self) -> None:
        """Waits for its own answers. One that is missing is an error here, before there is anything to pass or fail."""
        if self.only_planned:
            return
        outcomes = self._outcomes()
        self.user_properties.extend(_properties(self.key, outcomes))
        gone = [outcome for outcome in outcomes if outcome.passed is None]
        if gone:
            self.missing = [
                (each.call.slot, each.failure.kind, one_line(each.failure.message, REASON)) for each in gone if each.failure
            ]
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
        return self.measuring.result(self.key)


class VerdictItem(_Item):
    """What a suite's floors say of all its cells, and with --promptreg-base its gates."""

    verdict: Judged

    def __init__(self, *, suite: str, wanted: dict[Key, list[Job]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.suite, self.wanted = suite, wanted

    def want(self) -> None:
        """Every case of the suite: a verdict on a part would be another one."""
        self.measuring.want_verdict(self.suite)
        for key, jobs in self.wanted.items():
            self.measuring.want(key, jobs, key[:3])

    def setup(self) -> None:
        if self.only_planned:
            return
        self.want()
        self.verdict = judged(self.measuring, self.suite)
        self.user_properties.extend(self.verdict.properties)
        if self.verdict.missing:
            raise Missing(self.verdict.missing)

    def runtest(self) -> None:
        if self.verdict.failed:
            raise Failing(self.verdict.failed)
        if self.verdict.undecided:
            pytest.skip(self.verdict.undecided)


def _floored(prepared: PreparedSuite) -> bool:
    return prepared.suite.policy is not None and prepared.suite.policy.floor is not None


def _passed(case: Case, outcomes: Sequence[Outcome]) -> bool:
    if case.require is None:
        return all(outcome.passed for outcome in outcomes)
    return sum(bool(outcome.passed) for outcome in outcomes[: case.require.of]) >= case.require.k


def _properties(key: Key, outcomes: Sequence[Outcome]) -> list[tuple[str, object]]:
    """What JUnit and other listeners may know of a case."""
    scores = [outcome.score for outcome in outcomes if outcome.score is not None]
    costs = [outcome.cost_usd for outcome in outcomes if outcome.cost_usd is not None]
    found: list[tuple[str, object]] = [("promptreg.suite", key[0]), ("promptreg.prompt", key[1]), ("promptreg.model", key[2])]
    if scores:
        found.append(("promptreg.score", round(sum(scores) / len(scores), 6)))
    if costs:
        found.append(("promptreg.cost_usd", round(sum(costs), 9)))
    return found


def _traits(prepared: PreparedSuite, case: Case) -> Iterator[str]:
    """What `-m` may ask for: each tag as `key` and as `key_value`, and the case's slice of each way in which the suite slices."""
    for key, value in case.tags.items():
        yield marker_name(key)
        yield marker_name(f"{key}_{value}")
    policy = prepared.suite.policy
    for by in policy.slices.by if policy and policy.slices else ():
        if not by.startswith("tags."):
            yield marker_name(f"{by}_{stratum(case, by)}")
