"""`promptreg upgrade`: which prompts can move from one model to another now, and what that saves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models, complete_suites
from promptreg.cli.console import Console, columns, count, output_options, printable
from promptreg.cli.reports import refuse_unwritable, write
from promptreg.cli.rot import refuse_odd_ending, rendered

if TYPE_CHECKING:
    from promptreg.core.rot import RotCell, RotReport


@click.command("upgrade", short_help="Which prompts can move to another model now?")
@click.argument("old", shell_complete=complete_models)
@click.argument("new", shell_complete=complete_models)
@click.option("--suite", "suites", multiple=True, shell_complete=complete_suites, help="Only this suite or glob.")
@click.option(
    "--requests-per-month", "requests", type=click.IntRange(min=1), metavar="N", help="To say what the move saves or costs."
)
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@click.option("--undecided", type=click.Choice(["warn", "block"]), help="Instead of what the policies say.")
@click.option("--dry-run", is_flag=True, help="Print the calls, tokens and price, and stop.")
@click.option("--report", "reports", multiple=True, type=click.Path(path_type=Path), help="Also write a .md, .html or .json file.")
@output_options
def command(
    console: Console,
    old: str,
    new: str,
    suites: tuple[str, ...],
    requests: int | None,
    concurrency: int | None,
    undecided: str | None,
    dry_run: bool,
    reports: tuple[Path, ...],
) -> int:
    """Run every suite that names the model OLD on NEW as well, and sort its prompts: safe to move now, in need of work, undecided.

    Exit code 0: no drop is shown; 1: some prompt got worse; 4: no verdict could be reached.
    """
    from promptreg.cli.run import show_plan
    from promptreg.cli.world import open_world
    from promptreg.workflow.rot import RotRequest, plan_rot, rot

    for path in reports:
        refuse_odd_ending(path)
        refuse_unwritable(path)
    request = RotRequest(
        reference=old,
        models=(new,),
        suites=suites,
        concurrency=concurrency,
        undecided_blocks=None if undecided is None else undecided == "block",
        naming=True,
    )
    with open_world(console) as world:
        if dry_run:
            show_plan(console, plan_rot(world, request))
            return 0
        report = rot(world, request)
    _show(console, report, (old, new), requests)
    for path in reports:
        write(path, rendered(report, path.suffix))
        console.note(f"wrote {path}")
    return int(report.exit_code)


def _show(console: Console, report: RotReport, move: tuple[str, str], requests: int | None) -> None:
    from promptreg.core.rot import monthly
    from promptreg.reporters.rot.json import as_json

    saved = monthly(report.cells, requests) if requests else None
    if console.json:
        found = as_json(report)
        found.update({"from": move[0], "to": move[1], "requests_per_month": requests, "saves_usd_per_month": saved})
        console.data(found)
        return
    from promptreg.core.rot import ACTIONS

    for action in ACTIONS.values():
        cells = [cell for cell in report.cells if cell.action == action]
        if cells:
            console.say(f"{action}: {count(len(cells), 'prompt')}")
            console.say(_table(cells))
            console.say()
    console.say(f"{report.verdict}  {report.headline}")
    if requests:
        console.say(_money(saved, requests))


def _table(cells: list[RotCell]) -> str:
    from promptreg.reporters.rot.matrix import broken_cases, sentences

    rows = []
    for cell in cells:
        first, *more = list(sentences(cell)) or [""]
        rows.append((f"  {cell.suite}", cell.prompt, first))
        rows += [("", "", sentence) for sentence in more]
        if cell.action == "needs work" and (cases := broken_cases(cell, 8)):
            rows.append(("", "", "broken: " + ", ".join(map(printable, cases))))
    return "\n".join(columns(("  suite", "prompt", "what was found"), rows).splitlines()[1:])


def _money(saved: float | None, requests: int) -> str:
    if saved is None:
        return "Nobody can say what the move saves: give both models a `price` in promptreg.yaml."
    what = "saves" if saved >= 0 else "costs"
    return f"At {requests:,} requests a month the move {what} ${abs(saved):,.2f} a month."
