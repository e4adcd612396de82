"""`promptreg rot`: every prompt on other models, held against a reference model on the same cases."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models, complete_prompts, complete_suites
from promptreg.cli.console import Console, emit, json_text, output_options
from promptreg.cli.reports import refuse_unwritable, write
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.rot import RotReport

ENDINGS = (".md", ".html", ".json")


@click.command("rot", short_help="Every prompt on other models: what rotted?")
@click.argument("suites", nargs=-1, shell_complete=complete_suites)
@click.option(
    "--from", "reference", metavar="MODEL", default="", shell_complete=complete_models, help="What others are held against."
)
@click.option("--to", "models", metavar="MODEL", multiple=True, shell_complete=complete_models, help="A model to hold against it.")
@click.option("-p", "--prompt", "prompts", multiple=True, shell_complete=complete_prompts, help="Only this prompt.")
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@click.option("--undecided", type=click.Choice(["warn", "block"]), help="Instead of what the policies say.")
@click.option("--dry-run", is_flag=True, help="Print the calls, tokens and price of the matrix, and stop.")
@click.option("--report", "reports", multiple=True, type=click.Path(path_type=Path), help="Also write a .md, .html or .json file.")
@click.option("--since", metavar="WHEN", help="Ask nobody: show what was recorded since a date, 90d, 12w, 6m, 1y or always.")
@output_options
def command(console: Console, *, since: str | None, **options: object) -> int:
    """Run SUITES (all by default) on several models and say for each prompt whether another model is worse than the reference.

    Without --from the reference is each suite's first model, without --to the others are the suite's. Every case is measured on
    both models and compared in pairs. Exit code 0: no drop is shown; 1: some prompt got worse; 4: no verdict could be reached.

    With --since the runs branch is shown as time lines, with the points where scores changed and what moved there: the prompt, the
    model, the model behind an unchanged name, data or checks. SUITES, --prompt and --to choose among them; the exit code is 0.
    """
    if since is not None:
        from promptreg.cli.past import run_history

        return run_history(console, since, **options)  # type: ignore[arg-type]
    return run_rot(console, **options)  # type: ignore[arg-type]


def run_rot(
    console: Console,
    *,
    suites: tuple[str, ...],
    reference: str,
    models: tuple[str, ...],
    prompts: tuple[str, ...],
    concurrency: int | None,
    undecided: str | None,
    dry_run: bool,
    reports: tuple[Path, ...],
) -> int:
    from promptreg.cli.run import show_plan
    from promptreg.cli.world import open_world
    from promptreg.workflow.rot import RotRequest, plan_rot, rot

    for path in reports:
        refuse_odd_ending(path)
        refuse_unwritable(path)
    request = RotRequest(
        reference=reference,
        models=models,
        suites=suites,
        prompts=prompts,
        concurrency=concurrency,
        undecided_blocks=None if undecided is None else undecided == "block",
    )
    with open_world(console) as world:
        if dry_run:
            show_plan(console, plan_rot(world, request))
            return 0
        report = rot(world, request)
    show(console, report)
    for path in reports:
        write(path, rendered(report, path.suffix))
        console.note(f"wrote {path}")
    return int(report.exit_code)


def refuse_odd_ending(path: Path) -> None:
    """UsageError unless a matrix can be written as *path*'s ending says."""
    if path.suffix not in ENDINGS:
        raise UsageError(f"no report format for {path}", hint=f"endings: {', '.join(ENDINGS)}")


def show(console: Console, report: RotReport) -> None:
    """The matrix on stdout, as one JSON object or as a table."""
    import shutil

    if console.json:
        emit(rendered(report, ".json"), colour=False, end="", out=console.out)
        return
    from promptreg.reporters.pen import Pen
    from promptreg.reporters.rot import terminal

    pen = Pen(colour=console.colour, width=shutil.get_terminal_size((120, 40)).columns)
    emit(terminal.render(report, pen), colour=console.colour, end="", out=console.out)


def rendered(report: RotReport, ending: str) -> str:
    """*report* in the format of *ending*."""
    if ending == ".json":
        from promptreg.reporters.rot.json import as_json

        return json_text(as_json(report)) + "\n"
    if ending == ".html":
        from promptreg.reporters.rot import html

        return html.render(report)
    from promptreg.reporters.rot import markdown

    return markdown.render(report)
