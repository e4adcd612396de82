"""`promptreg rot --since`: what the runs branch says of the past. Asks no model."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from promptreg.cli.console import Console, emit, json_text
from promptreg.cli.dates import parse_date
from promptreg.cli.reports import refuse_unwritable, write
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.history import History

ENDINGS = (".md", ".json")
DAY_S = 86_400
_SPAN = re.compile(r"([0-9]{1,5})([dwmy])")
_DAYS = {"d": 1, "w": 7, "m": 30.4375, "y": 365.25}  # a month is a twelfth of a year


def run_history(
    console: Console,
    since: str,
    *,
    suites: tuple[str, ...],
    prompts: tuple[str, ...],
    models: tuple[str, ...],
    reports: tuple[Path, ...],
    **others: object,
) -> int:
    """Shows the time lines since then, and writes them to *reports*. Exit code 0: nothing is judged. UsageError for *others*."""
    from promptreg.cli.world import open_readable
    from promptreg.workflow.history import HistoryRequest, history
    from promptreg.workflow.records import Desk

    if odd := [name for name, value in others.items() if value]:
        raise UsageError(
            f"--since asks no model: it goes without {', '.join(map(_option, odd))}",
            hint="promptreg rot --since 90d [SUITE …] [--prompt P] [--to MODEL] [--report FILE.md]",
        )
    request = HistoryRequest(suites=suites, prompts=prompts, models=models, since=parse_since(since))
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


def _option(name: str) -> str:
    return "--" + {"reference": "from"}.get(name, name.replace("_", "-"))


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
