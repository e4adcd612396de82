"""`promptreg check`: is this change worse than what it changes?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts, complete_suites
from promptreg.cli.console import Console, emit, output_options, tell
from promptreg.cli.reports import refuse_unwritable, reporter_for, secrets_of, write
from promptreg.cli.run import show_plan
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.verdict import CheckReport
    from promptreg.workflow.check.request import Ground


@click.command("check", short_help="Judge a change against what it changes.")
@click.argument("suites", nargs=-1, shell_complete=complete_suites)
@click.option("--base", metavar="REV", help="Compare with the merge base of REV and head. [default: what this will be merged into]")
@click.option("--head", metavar="REV", help="The change. [default: the working tree; in CI, HEAD]")
@click.option("--suite", "more_suites", multiple=True, shell_complete=complete_suites, help="Only this suite or glob.")
@click.option("-p", "--prompt", "prompts", multiple=True, shell_complete=complete_prompts, help="Only this prompt.")
@click.option("--fetch", is_flag=True, help="Fetch first what a shallow clone lacks: history, tags, the runs branch.")
@click.option("--explain", is_flag=True, help="Say of every suite what changed, or that nothing did.")
@click.option("--dry-run", is_flag=True, help="Print what would be called, and stop.")
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@click.option("--no-store", is_flag=True, help="Neither use nor keep answers on this machine.")
@click.option(
    "--runs",
    type=click.Choice(["off", "read", "write", "push"]),
    default="read",
    show_default=True,
    help="The runs branch: use its answers, also leave ours there, also push them.",
)
@click.option("--mode", type=click.Choice(["fixed", "sequential", "hybrid"]), help="Instead of what the policies say.")
@click.option("--target", type=click.Choice(["population", "golden"]), help="Instead of what the policies say.")
@click.option("--undecided", type=click.Choice(["warn", "block"]), help="Instead of what the policies say.")
@click.option("--accept", metavar="REASON", default="", help="Record that a drop is intended (not in a pull request's own job).")
@click.option("--trust-head", is_flag=True, help="Take code, keys and endpoints from head, too (not in a pull request's own job).")
@click.option(
    "--report",
    "reports",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Also write a .md, .html, .json, .xml or .sarif.",
)
@click.option("--summary", type=click.Path(path_type=Path), help="Append the report, as Markdown, to FILE (GITHUB_STEP_SUMMARY).")
@click.option("--annotations", is_flag=True, help="Print GitHub annotations at the prompts' own lines, on stderr.")
@output_options
def command(console: Console, **options: object) -> int:
    """Judge the change in the working tree (in CI: the pull request) against its merge base, by SUITES or all that it affects.

    Exit code 0: PASS, nothing affected, or too little evidence under `undecided: warn`; 1: FAIL, a drop is shown; 4: no verdict
    could be reached.
    """
    return _check(console, **options)  # type: ignore[arg-type]


def _check(
    console: Console,
    *,
    suites: tuple[str, ...],
    more_suites: tuple[str, ...],
    explain: bool,
    dry_run: bool,
    no_store: bool,
    undecided: str | None,
    reports: tuple[Path, ...],
    summary: Path | None,
    annotations: bool,
    **options: object,
) -> int:
    from promptreg import plugins
    from promptreg.cli.world import open_ground
    from promptreg.reporters.check import masked, render_check, shows_checks
    from promptreg.workflow.check.check import check, plan_check
    from promptreg.workflow.check.request import CheckRequest

    undecided_blocks = None if undecided is None else undecided == "block"
    request = CheckRequest(suites=(*suites, *more_suites), undecided_blocks=undecided_blocks, **options)  # type: ignore[arg-type]
    installed = plugins.load() if reports else None
    formats = [shows_checks(reporter_for(installed, path), str(path)) for path in reports] if installed else []
    for path in (*reports, *([summary] if summary and not summary.exists() else [])):
        refuse_unwritable(path)
    with open_ground(console, stored=not no_store) as ground:
        if dry_run:
            show_plan(console, plan_check(ground, request))
            return 0
        found = check(ground, request)
        report = masked(found, _secrets(ground, found))
    texts = [render_check(reporter(), report) for reporter in formats]
    show(console, report, explain=explain)
    for path, text in zip(reports, texts, strict=True):
        write(path, text)
        console.note(f"wrote {path}")
    if summary is not None:
        _append(summary, report)
    if annotations:
        from promptreg.reporters.check.annotations import annotate

        tell(annotate(report).rstrip())
    return int(report.exit_code)


def _secrets(ground: Ground, report: CheckReport) -> tuple[str, ...]:
    """What no report may show: base's keys, which were used, whatever head calls them; and those that head may use."""
    from promptreg.workflow.check.sides import KEY_NAMES

    sides = [ground.registry, *([ground.registry.at(report.base.commit)] if report.base.commit else [])]
    allowed = (ground.env.get(name.strip(), "") for name in ground.env.get(KEY_NAMES, "").split(","))
    found = {secret for side in sides for secret in secrets_of(side.settings, ground.env)}
    return tuple(sorted({*found, *filter(None, allowed)}))


def show(console: Console, report: CheckReport, *, explain: bool = False) -> None:
    """The report on stdout, as one JSON object or as tables."""
    import shutil

    if console.json:
        from promptreg.reporters.json import Json

        emit(Json().render_check(report), colour=False, end="", out=console.out)
        return
    from promptreg.reporters.terminal import Terminal

    width = shutil.get_terminal_size((120, 40)).columns
    terminal = Terminal(colour=console.colour, width=width, explain=explain)
    emit(terminal.render_check(report), colour=console.colour, end="", out=console.out)


def _append(path: Path, report: CheckReport) -> None:
    from promptreg.reporters.check import markdown

    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(markdown.summary(report))
    except OSError as fault:
        raise UsageError(f"{path} cannot be written: {fault.strerror}", hint="name another file") from fault
