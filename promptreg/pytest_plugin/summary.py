"""The end of a session: a table of what was measured, and the report that --promptreg-report asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from promptreg.core.excerpt import visible
from promptreg.errors import UsageError
from promptreg.pytest_plugin.measuring import Measuring
from promptreg.reporters.check import render_check, shows_checks
from promptreg.reporters.terminal import Terminal
from promptreg.workflow.reports import reporter_for, secrets_of, write

if TYPE_CHECKING:
    from promptreg.pytest_plugin.session import Session

WIDTH = 80  # where the terminal does not say


def summarise(part: Session, terminal: Any) -> None:
    """The table of every registry's cells, its gates, and what went wrong with files."""
    width = getattr(getattr(terminal, "_tw", None), "fullwidth", WIDTH)
    titled = False
    for each in part.parts:
        lines = list(_lines(each, width))
        if lines and not titled:
            terminal.section("promptreg")
            titled = True
        for line in lines:
            terminal.write_line(line)
    for complaint in part.complaints:
        terminal.write_line(complaint, red=True)


def _lines(part: Measuring, width: int) -> list[str]:
    report = part.report()
    found = []
    if report is not None:
        found += Terminal(colour=False, width=width).table(report).rstrip().splitlines()
        spent = "" if report.spent_usd is None else f", ${report.spent_usd:.4f}"
        found.append(f"{report.calls_made:,} calls made, {report.calls_known:,} known{spent}")
        found += [visible(note) for note in report.notes]
    compared, base = part.told.compared, part.told.base
    if part.compared is not None:
        compared, base = part.compared.headline, part.compared.base.revision
    if compared:
        found.append(f"against {visible(base)}: {compared}")
    return found


def write_report(part: Session) -> None:
    """The file of --promptreg-report: the comparison where there is one, else the run."""
    path = part.options.report
    assert path is not None
    for each in part.parts:
        text = check_text(each) if each.compared is not None else each.told.check_report
        report = each.report() if part.options.base is None else None  # a run's "ok" is no answer to a question about a base
        if report is not None:
            text = reporter_for(each.house.world.plugins, path)().render(report)
        if text:
            write(path, text)
            return
    what = "measured" if part.options.base is None else "compared"
    raise UsageError(f"nothing was {what}, so that {path.name} was not written", hint="select suites and their verdicts")


def check_text(part: Measuring) -> str:
    """The comparison with the base as the asked format shows it."""
    path = part.house.options.report
    if path is None or part.compared is None:
        return ""
    reporter = shows_checks(reporter_for(part.house.world.plugins, path), str(path))
    return render_check(reporter(), part.compared, secrets_of(part.house.registry.settings, part.house.world.env))
