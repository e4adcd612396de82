"""`promptreg run`: render, call, grade, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models, complete_prompts, complete_suites
from promptreg.cli.console import Console, columns, emit, output_options
from promptreg.cli.reports import refuse_unwritable, reporter_for, write
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.plan import Plan
    from promptreg.core.report import Report
    from promptreg.workflow.records import RunsMode
    from promptreg.workflow.run import RunRequest

FROM_STORE = "-"


@click.command("run", short_help="Run suites and print what held.")
@click.argument("suites", nargs=-1, shell_complete=complete_suites)
@click.option(
    "-p",
    "--prompt",
    "prompts",
    multiple=True,
    shell_complete=complete_prompts,
    help="Only this prompt, glob, or version (NAME@1.4.0).",
)
@click.option("-m", "--model", "models", multiple=True, shell_complete=complete_models, help="Instead of the suite's models.")
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@click.option("--repeats", type=click.IntRange(min=1), help="Samples of each case instead of the suite's number.")
@click.option("--record", type=click.Path(path_type=Path, dir_okay=False), help="Write every answer to FILE, a recording.")
@click.option(
    "--replay",
    is_flag=False,
    flag_value=FROM_STORE,
    metavar="[FILE]",
    help="Ask no model: answers come from FILE, or without one from the store.",
)
@click.option("--dry-run", is_flag=True, help="Print the calls, tokens and price of the run, and stop.")
@click.option("--no-store", is_flag=True, help="Neither use nor keep answers on this machine.")
@click.option(
    "--runs",
    type=click.Choice(["off", "read", "write", "push"]),
    default="read",
    show_default=True,
    help="The runs branch: use its answers, also leave ours there, also push them.",
)
@click.option(
    "--report", "reports", multiple=True, type=click.Path(path_type=Path), help="Also write a .md, .html, .json or .xml file."
)
@output_options
def command(console: Console, dry_run: bool, no_store: bool, reports: tuple[Path, ...], **options: object) -> int:
    """Run SUITES (all by default; names or globs) and print what held.

    Answers already known are not paid for again. Exit code 1: a floor is broken, or a case failed in a suite without
    a floor; 4: answers are missing.
    """
    from promptreg.cli.world import open_world
    from promptreg.workflow.run import plan_run, run

    with open_world(console, stored=not no_store) as world:
        formats = [reporter_for(world.plugins, path) for path in reports]
        request = _request(**options)  # type: ignore[arg-type]
        if dry_run:
            show_plan(console, plan_run(world, request))
            return 0
        for path in (*reports, *([request.record] if request.record else [])):
            refuse_unwritable(path)
        report = run(world, request)
        try:
            for path, reporter in zip(reports, formats, strict=True):
                write(path, reporter().render(report))
        except UsageError:
            if not console.json:  # there the error is the one object
                show_report(console, report)
            raise
    show_report(console, report)
    for path in reports:
        console.note(f"wrote {path}")
    return report.exit_code


def _request(
    suites: tuple[str, ...],
    prompts: tuple[str, ...],
    models: tuple[str, ...],
    concurrency: int | None,
    repeats: int | None,
    record: Path | None,
    replay: str | None,
    runs: RunsMode,
) -> RunRequest:
    from promptreg.workflow.preparation import Choice
    from promptreg.workflow.run import RunRequest

    recording = Path(replay) if replay not in (None, FROM_STORE) else None
    if recording is not None and not recording.is_file():
        hint = "`promptreg run --record FILE` writes one; to replay from the store, put --replay last"
        raise UsageError(f"there is no recording {recording}", hint=hint)
    return RunRequest(
        choice=Choice(suites=suites, prompts=prompts, models=models, repeats=repeats),
        concurrency=concurrency,
        record=record,
        replay=replay is not None,
        recording=recording,
        runs=runs,
    )


def show_report(console: Console, report: Report) -> None:
    """The report on stdout, as one JSON object or as tables."""
    import shutil

    if console.json:
        from promptreg.reporters.json import Json

        emit(Json().render(report), colour=False, end="", out=console.out)
    else:
        from promptreg.reporters.terminal import Terminal

        width = shutil.get_terminal_size((120, 40)).columns
        emit(Terminal(colour=console.colour, width=width).render(report), colour=console.colour, end="", out=console.out)


def show_plan(console: Console, plan: Plan) -> None:
    """What a run would ask for, and what of it is not known yet."""
    console.data({"schema": "promptreg/plan/1", **plan.as_json()})
    rows = [
        (each.model, each.wanted, each.known, each.missing, each.input_tokens, each.output_tokens, money(each.usd))
        for each in plan.lines
    ]
    console.say(columns(("model", "wanted", "known", "to call", "tokens in", "tokens out ≤", "price ≤"), rows))
    console.say("Token counts are estimates at four characters a token.")


def money(usd: float | None) -> str:
    return "–" if usd is None else f"${usd:.4f}"
