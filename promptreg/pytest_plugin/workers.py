"""xdist: what a worker tells, and how the controller comes to one table, one report and one recording.

Workers share out the calls by the store's claims. The controller hears which cases ran, reads their answers back from the store,
and asks nobody; why an answer is missing it is told.
"""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptreg.core.grade import Job
from promptreg.core.run import Failure
from promptreg.pytest_plugin.measuring import Measuring
from promptreg.pytest_plugin.summary import check_text

if TYPE_CHECKING:
    from promptreg.pytest_plugin.session import Session


def tell(part: Session) -> dict[str, Any]:
    """A worker's account, by registry, in what xdist can carry."""
    return {
        str(each.house.root): {
            "made": each.spent.calls_made,
            "known": each.spent.calls_known,
            "usd": each.spent.usd,
            "compared": each.compared.headline if each.compared else "",
            "base": each.compared.base.revision if each.compared else "",
            "report": check_text(each) if each.compared and part.options.report else "",
        }
        for each in part.parts
    }


class Controller:
    """What the controller has heard."""

    def __init__(self) -> None:
        self._ran: dict[str, dict[Hashable, dict[int, Failure]]] = {}  # by registry: each case, and what is missing of it
        self._accounts: list[dict[str, Any]] = []

    def heard(self, report: Any) -> None:
        """One item's report."""
        found = getattr(report, "promptreg", None)
        if found is not None:
            root, key, missing = found
            failures = {slot: Failure(kind=kind, message=message) for slot, kind, message in missing}
            self._ran.setdefault(root, {})[tuple(key)] = failures

    def ended(self, node: Any) -> None:
        """One worker's end."""
        self._accounts.append(getattr(node, "workeroutput", {}).get("promptreg", {}))

    def read_back(self, part: Session) -> None:
        """Every registry's cases as if they had run here."""
        for root, ran in self._ran.items():
            measuring = part.measuring(Path(root))
            for account in (each[root] for each in self._accounts if root in each):
                told = measuring.told
                told.made += account["made"]
                told.known = max(told.known, account["known"])
                told.usd += account["usd"]
                told.compared, told.base = told.compared or account["compared"], told.base or account["base"]
                told.check_report = told.check_report or account["report"]
            _want(measuring, ran)
            measuring.read_back(ran, record=part.options.record is not None)


def _want(measuring: Measuring, ran: dict[Hashable, dict[int, Failure]]) -> None:
    """The cases that ran; all of a suite whose verdict did."""
    names = [key for key in ran if isinstance(key, tuple)]
    for suite in dict.fromkeys(key[0] for key in names):
        whole = (suite,) in ran
        if whole:
            measuring.want_verdict(suite)
        prepared = measuring.house.suite(suite)
        for number, case in enumerate(measuring.house.registry.cases(prepared.suite)):
            jobs: dict[tuple[str, str, str, int], list[Job]] = {}
            for job in prepared.jobs([case]):
                jobs.setdefault((suite, job.prompt, job.model, number), []).append(job)
            for key, each in jobs.items():
                if whole or key in ran:
                    measuring.want(key, each, key[:3])
