"""`promptreg upgrade`: which prompts can move from one model to another now, and what that saves."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from promptreg.cli.complete import complete_models, complete_prompts, complete_suites
from promptreg.cli.console import Console, output_options
from promptreg.cli.rot import blocks, measure
from promptreg.errors import UsageError


@click.command("upgrade", short_help="Which prompts can move to another model now?")
@click.argument("old", shell_complete=complete_models)
@click.argument("new", shell_complete=complete_models)
@click.option("--suite", "suites", multiple=True, shell_complete=complete_suites, help="Only this suite or glob.")
@click.option("-p", "--prompt", "prompts", multiple=True, shell_complete=complete_prompts, help="Only this prompt or glob.")
@click.option(
    "--requests-per-month",
    "requests",
    type=click.IntRange(min=1),
    metavar="N",
    help="Of all prompts together: to say what the move saves or costs.",
)
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@click.option("--undecided", type=click.Choice(["warn", "block"]), help="Instead of what the policies say.")
@click.option("--dry-run", is_flag=True, help="Print the calls, tokens and price, and stop.")
@click.option("--no-store", is_flag=True, help="Neither use nor keep answers on this machine.")
@click.option(
    "--runs",
    type=click.Choice(["off", "read", "write", "push"]),
    default="read",
    show_default=True,
    help="The runs branch: use its answers, also leave ours there, also push them.",
)
@click.option("--report", "reports", multiple=True, type=click.Path(path_type=Path), help="Also write a .md, .html or .json file.")
@output_options
def command(
    console: Console,
    old: str,
    new: str,
    requests: int | None,
    undecided: str | None,
    dry_run: bool,
    no_store: bool,
    reports: tuple[Path, ...],
    **options: object,
) -> int:
    """Run every suite that names the model OLD on NEW as well, and sort its prompts: safe to move now, in need of work, undecided.

    Exit code 0: no drop is shown; 1: some prompt got worse; 4: no verdict could be reached.
    """
    from promptreg.workflow.rot import RotRequest, upgrade

    if old == new:
        raise UsageError(f"'{old}' is both models", hint="name the one that prompts move to")
    request = RotRequest(
        reference=old,
        models=(new,),
        naming=True,
        undecided_blocks=blocks(undecided),
        **options,  # type: ignore[arg-type]
    )
    measured = partial(upgrade, requests_per_month=requests)
    return measure(console, request, measured, dry_run=dry_run, stored=not no_store, reports=reports)
