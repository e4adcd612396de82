"""`promptreg rot`: every prompt on other models, held against a reference model on the same cases."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models, complete_prompts, complete_suites
from promptreg.cli.console import Console, emit, output_options
from promptreg.cli.reports import refuse_unwritable, reporter_for, secrets_of, write
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.rot import RotReport
    from promptreg.workflow.rot import RotRequest
    from promptreg.workflow.world import World


@click.command("rot", short_help="Every prompt on other models: what rotted?")
@click.argument("suites", nargs=-1, shell_complete=complete_suites)
@click.option(
    "--from", "reference", metavar="MODEL", default="", shell_complete=complete_models, help="What the others are held against."
)
@click.option("--to", "models", metavar="MODEL", multiple=True, shell_complete=complete_models, help="A model to hold against it.")
@click.option(
    "--move",
    "moves",
    nargs=2,
    metavar="OLD NEW",
    multiple=True,
    shell_complete=complete_models,
    help="Hold NEW against OLD, instead of --from and --to; may be given several times.",
)
@click.option("--suite", "more_suites", multiple=True, shell_complete=complete_suites, help="Only this suite or glob.")
@click.option("-p", "--prompt", "prompts", multiple=True, shell_complete=complete_prompts, help="Only this prompt or glob.")
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@click.option("--undecided", type=click.Choice(["warn", "block"]), help="Instead of what the policies say.")
@click.option("--dry-run", is_flag=True, help="Print the calls, tokens and price of the matrix, and stop.")
@click.option("--no-store", is_flag=True, help="Neither use nor keep answers on this machine.")
@click.option(
    "--runs",
    type=click.Choice(["off", "read", "write", "push"]),
    default="read",
    show_default=True,
    help="The runs branch: use its answers, also leave ours there, also push them.",
)
@click.option("--report", "reports", multiple=True, type=click.Path(path_type=Path), help="Also write a .md, .html or .json file.")
@click.option("--within-budget", is_flag=True, help="Measure what the budget allows, prompts that may have rotted most first.")
@click.option("--since", metavar="WHEN", help="Ask nobody: show what was recorded since a date, 90d, 12w, 6m, 1y or always.")
@output_options
def command(
    console: Console,
    suites: tuple[str, ...],
    more_suites: tuple[str, ...],
    undecided: str | None,
    dry_run: bool,
    no_store: bool,
    reports: tuple[Path, ...],
    within_budget: bool,
    since: str | None,
    **options: object,
) -> int:
    """Run SUITES (all by default) on several models and say for each prompt whether another model is worse than the reference.

    Without --from the reference is each suite's first model, without --to the others are the suite's. Every case is measured on
    both models and compared in pairs. Exit code 0: no drop is shown; 1: some prompt got worse; 4: no verdict could be reached.

    With --since the runs branch is shown as time lines, with the points where scores changed and what moved there: the prompt, the
    model, the model behind an unchanged name, data or checks. SUITES, --prompt and --to choose among them; the exit code is 0.
    """
    if since is not None:
        from promptreg.cli.past import run_history

        return run_history(console, since)
    from promptreg.workflow.rot import RotRequest, rot

    request = RotRequest(suites=(*suites, *more_suites), undecided_blocks=blocks(undecided), **options)  # type: ignore[arg-type]
    if request.moves and (request.reference or request.models):
        raise UsageError("--move names both models, --from and --to do it otherwise", hint="use the one or the other")
    measured = rot
    if within_budget:
        from promptreg.workflow.affordable import rot_within_budget as measured
    return measure(console, request, measured, dry_run=dry_run, stored=not no_store, reports=reports)


def blocks(undecided: str | None) -> bool | None:
    """What `--undecided` asks for; None: what the policies say."""
    return None if undecided is None else undecided == "block"


def measure(
    console: Console,
    request: RotRequest,
    measured: Callable[[World, RotRequest], RotReport],
    *,
    dry_run: bool,
    stored: bool,
    reports: tuple[Path, ...],
) -> int:
    """Plans or measures *request*, shows the report with its secrets masked, and writes it to *reports*; the exit code."""
    from promptreg.cli.run import show_plan
    from promptreg.cli.world import open_world
    from promptreg.reporters.rot import masked, shows_rot
    from promptreg.workflow.rot import plan_rot

    with open_world(console, stored=stored) as world:
        formats = [shows_rot(reporter_for(world.plugins, path), str(path)) for path in reports]
        if dry_run:
            show_plan(console, plan_rot(world, request))
            return 0
        for path in reports:
            refuse_unwritable(path)
        found = measured(world, request)
        report = masked(found, secrets_of(world.registry.settings, world.env))
    texts = [reporter().render_rot(report) for reporter in formats]
    show(console, report)
    for path, text in zip(reports, texts, strict=True):
        write(path, text)
        console.note(f"wrote {path}")
    return int(report.exit_code)


def show(console: Console, report: RotReport) -> None:
    """The report on stdout, as one JSON object or as tables."""
    import shutil

    if console.json:
        from promptreg.reporters.json import Json

        emit(Json().render_rot(report), colour=False, end="", out=console.out)
        return
    from promptreg.reporters.terminal import Terminal

    width = shutil.get_terminal_size((120, 40)).columns
    emit(Terminal(colour=console.colour, width=width).render_rot(report), colour=console.colour, end="", out=console.out)
