"""`promptreg rot --since`: what the runs branch says of the past. Asks no model."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from promptreg.cli.console import Console, emit, json_text
from promptreg.cli.dates import parse_date
from promptreg.cli.reports import refuse_unwritable, write
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.history import History

ENDINGS = (".md", ".json")
# Of the options of `rot`: those that choose among records, and those about how it is said.
TAKEN = frozenset(("since", "suites", "more_suites", "prompts", "models", "reports", "as_json", "quiet", "color", "console"))
DAY_S = 86_400
_SPAN = re.compile(r"([0-9]{1,5})([dwmy])")
_DAYS = {"d": 1, "w": 7, "m": 30.4375, "y": 365.25}  # a month is a twelfth of a year


def run_history(console: Console, since: str) -> int:
    """Shows the time lines since then, as the other options of `rot` choose among them. Exit code 0: nothing is judged.

    UsageError for options that are about asking models.
    """
    from promptreg.cli.world import open_readable
    from promptreg.workflow.history import HistoryRequest, history
    from promptreg.workflow.records import Desk

    given = _given(click.get_current_context())
    if odd := [name for name in given if name not in TAKEN]:
        raise UsageError(
            f"--since asks no model: it goes without {', '.join(map(_option, odd))}",
            hint="promptreg rot --since 90d [SUITE …] [--prompt P] [--to MODEL] [--report FILE.md]",
        )
    suites = (*given.get("suites", ()), *given.get("more_suites", ()))
    prompts, models = tuple(given.get("prompts", ())), tuple(given.get("models", ()))
    request = HistoryRequest(suites=suites, prompts=prompts, models=models, since=parse_since(since))
    reports: tuple[Path, ...] = given.get("reports", ())
    for path in reports:
        if path.suffix not in ENDINGS:
            raise UsageError(f"no report format for {path}", hint=f"endings of a history: {', '.join(ENDINGS)}")
        refuse_unwritable(path)
    with open_readable() as opened:
        found = history(Desk(registry=opened, now=time.time), request)
    _show(console, found)
    for path in reports:
        write(path, _rendered(found, path.suffix))
        console.note(f"wrote {path}")
    return 0


def _given(context: click.Context) -> dict[str, Any]:
    """What was typed, by the names of the options."""
    typed = click.core.ParameterSource.COMMANDLINE
    return {name: value for name, value in context.params.items() if context.get_parameter_source(name) is typed}


def _option(name: str) -> str:
    return "--" + {"reference": "from", "moves": "move"}.get(name, name.replace("_", "-"))


def parse_since(text: str) -> float | None:
    """Seconds since the epoch of a date, or of so many days, weeks, months or years ago; None for `always`. UsageError else."""
    if text == "always":
        return None
    if found := _SPAN.fullmatch(text.strip()):
        return time.time() - int(found[1]) * _DAYS[found[2]] * DAY_S
    try:
        return parse_date(text)
    except UsageError as fault:
        raise UsageError(fault.message, hint="for example 2026-05-01, 90d, 12w, 6m, 1y or always") from fault


def _show(console: Console, found: History) -> None:
    import shutil

    if console.json:
        emit(_rendered(found, ".json"), colour=False, end="", out=console.out)
        return
    from promptreg.reporters.history import terminal
    from promptreg.reporters.pen import Pen

    pen = Pen(colour=console.colour, width=shutil.get_terminal_size((120, 40)).columns)
    emit(terminal.render(found, pen), colour=console.colour, end="", out=console.out)


def _rendered(found: History, ending: str) -> str:
    if ending == ".json":
        from promptreg.reporters.history.json import as_json

        return json_text(as_json(found)) + "\n"
    from promptreg.reporters.history import markdown

    return markdown.render(found)
