"""`promptreg baseline`: several answers to every case of what is merged, for changes to be compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models, complete_prompts, complete_suites
from promptreg.cli.console import Console, columns, count, output_options, printable
from promptreg.cli.dates import date, iso
from promptreg.cli.run import money, show_plan

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.flaky import Baseline
    from promptreg.workflow.baseline import Baselines

MOST = 1000  # repeats; a typing error should not cost a fortune
PROMPTS = click.option(
    "-p",
    "--prompt",
    "prompts",
    multiple=True,
    shell_complete=complete_prompts,
    help="Only this prompt, glob, or version (NAME@1.4.0).",
)
MODELS = click.option(
    "-m", "--model", "models", multiple=True, shell_complete=complete_models, help="Instead of the suite's models."
)


@click.group("baseline", short_help="Repeated answers that changes are compared with.")
def command() -> None:
    """Repeated answers to the cases of what is merged: a change is compared with all of them, not with one lucky run."""


@command.command("refresh", short_help="Ask for repeats that are lacking.")
@click.argument("suites", nargs=-1, shell_complete=complete_suites)
@PROMPTS
@MODELS
@click.option(
    "--repeats", type=click.IntRange(1, MOST), default=5, show_default=True, help="How many answers every case is to have."
)
@click.option(
    "--max-age",
    "max_age_days",
    metavar="DAYS",
    type=click.FloatRange(min=0, min_open=True),
    help="Ask for more where answers are older. [default: as long as the model's max_age says]",
)
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@click.option("--dry-run", is_flag=True, help="Print the calls, tokens and price, and stop.")
@click.option("--push", is_flag=True, help="Push the runs branch to origin.")
@output_options
def refresh(console: Console, *, dry_run: bool, **options: object) -> int:
    """Ask for the repeats that SUITES (all by default) lack at HEAD, and leave them on the runs branch.

    What is answered is never asked again. Needs a clean working tree, and is refused in a pull request's own job. Exit code 4:
    answers are missing.
    """
    from promptreg.cli.world import open_world
    from promptreg.workflow.baseline import RefreshRequest, plan_refresh
    from promptreg.workflow.baseline import refresh as refresh_baselines
    from promptreg.workflow.preparation import Choice

    choice = Choice(**{name: options.pop(name) for name in ("suites", "prompts", "models")})  # type: ignore[arg-type]
    request = RefreshRequest(choice=choice, **options)  # type: ignore[arg-type]
    with open_world(console) as world:
        if dry_run:
            show_plan(console, plan_refresh(world, request))
            return 0
        done = refresh_baselines(world, request)
    _tell(console, done, refreshed=_refreshed(done, pushed=request.push))
    if not console.json:
        spent = done.spent
        cost = f", {money(spent.usd)}" if spent.usd else ""
        console.say(f"\n{count(spent.calls_made, 'call')} made, {spent.calls_known:,} known{cost}")
    if done.missing:
        console.warn(f"{count(done.missing, 'answer')} missing: the same command asks for them again")
    if done.records and not request.push:
        console.note("publish with: promptreg runs push")
    return int(done.exit_code)


@command.command("show", short_help="How many repeats there are.")
@click.argument("suites", nargs=-1, shell_complete=complete_suites)
@PROMPTS
@MODELS
@output_options
def show(console: Console, suites: tuple[str, ...], prompts: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Show how many repeats every case of SUITES (all by default) has, how old they are, and how much they differ. Asks nobody."""
    from promptreg.cli.world import open_world
    from promptreg.workflow.baseline import baselines
    from promptreg.workflow.preparation import Choice

    with open_world(console) as world:
        found = baselines(world, Choice(suites=suites, prompts=prompts, models=models))
    _tell(console, found)
    if not any(each.answers for each in found.baselines):
        console.note("no repeats are known: promptreg baseline refresh asks for them")


def _tell(console: Console, found: Baselines, *, refreshed: Json = None) -> None:
    console.data(
        {
            "schema": "promptreg/baseline/1",
            "commit": found.commit,
            "baselines": [as_json(each) for each in found.baselines],
            "refreshed": refreshed,
            "notes": list(found.notes),
        }
    )
    if found.baselines:
        head = ("suite", "prompt", "model", "cases", "repeats", "disagree", "flaky", "oldest", "newest", "reported")
        console.say(columns(head, map(_row, found.baselines)))
    for note in found.notes:
        console.note(printable(note))


def _row(each: Baseline) -> tuple[object, ...]:
    repeats = f"{each.least}" if each.least == each.most else f"{each.least}–{each.most}"
    return (
        each.suite,
        each.prompt,
        each.model,
        f"{len(each.cases):,}",
        repeats,
        percent(each.discordance),
        len(each.flaky),
        *("–" if moment is None else date(moment)[:10] for moment in (each.oldest, each.newest)),
        ", ".join(each.reported_models) or "–",
    )


def as_json(each: Baseline) -> dict[str, Json]:
    """One baseline, with its moments as ISO 8601."""
    from promptreg.core.flaky import as_json as told

    moments = {"oldest": each.oldest, "newest": each.newest}
    return {**told(each), **{name: None if moment is None else iso(moment) for name, moment in moments.items()}}


def _refreshed(done: Baselines, *, pushed: bool) -> Json:
    spent = done.spent
    return {
        "exit_code": int(done.exit_code),
        "calls_made": spent.calls_made,
        "calls_known": spent.calls_known,
        "missing": done.missing,
        "cost_usd": spent.usd or None,
        "records": list(done.records),
        "pushed": pushed,
        "duration_s": done.duration_s,
    }


def percent(share: float | None) -> str:
    """A share as `4.2%`; `–` where it is not known."""
    return "–" if share is None else f"{share:.1%}"
