"""The end of a session: a table of what was measured, and the report that --promptreg-report asks for.

Under xdist the workers measure and the controller tells: it reads the workers' answers back from the store, and asks nobody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from promptreg.core.report import Report
from promptreg.errors import PromptregError, UsageError
from promptreg.reporters.terminal import Terminal

if TYPE_CHECKING:
    from promptreg.pytest_plugin.house import House
    from promptreg.pytest_plugin.session import Session


def summarise(part: Session, terminal: Any) -> None:
    """The table of every registry's cells, and its gates."""
    for house in part.houses:
        report = house.report()
        if report is not None and report.cells:
            terminal.section("promptreg")
            width = terminal._tw.fullwidth
            text = Terminal(colour=terminal._tw.hasmarkup, width=width).table(report)
            terminal.write_line(text.rstrip())
        if house.compared is not None:
            terminal.write_line(f"against {house.compared.base.revision}: {house.compared.headline}")


def write_reports(part: Session) -> None:
    """The file of --promptreg-report: the comparison where there is one, else the run."""
    if part.options.report is None:
        return
    for house in part.houses:
        try:
            _write(house, part)
        except PromptregError as fault:
            raise pytest.UsageError(str(fault)) from fault


def _write(house: House, part: Session) -> None:
    path = part.options.report
    assert path is not None
    reporter = house.world.plugins.get("reporter", path.suffix)
    report: Report | None = house.report()
    if house.compared is not None:
        from promptreg.reporters.check import render_check, shows_checks

        text = render_check(shows_checks(reporter, str(path))(), house.compared)
    elif report is not None:
        text = reporter().render(report)
    else:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise UsageError(f"{path} cannot be written: {fault.strerror}", hint="name another file") from fault
