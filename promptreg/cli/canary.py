"""`promptreg canary`: has the model behind a name changed?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models, complete_prompts, complete_suites
from promptreg.cli.console import Console, columns, count, output_options

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.workflow.canary import Canary, Watch


@click.command("canary", short_help="Has the model behind a name changed?")
@click.argument("suites", nargs=-1, shell_complete=complete_suites)
@click.option("-p", "--prompt", "prompts", multiple=True, shell_complete=complete_prompts, help="Only this prompt.")
@click.option("-m", "--model", "models", multiple=True, shell_complete=complete_models, help="Instead of the suites' models.")
@click.option("--cases", type=click.IntRange(min=1), default=60, show_default=True, help="Cases of each suite, the same every day.")
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@click.option("--dry-run", is_flag=True, help="Print the calls, tokens and price, and stop.")
@output_options
def command(
    console: Console,
    suites: tuple[str, ...],
    prompts: tuple[str, ...],
    models: tuple[str, ...],
    cases: int,
    concurrency: int | None,
    dry_run: bool,
) -> int:
    """Ask some cases of SUITES (all by default) again today, and compare with the stored repeats: without golden answers.

    Needs repeats (promptreg baseline refresh). A prompt on a model that did not change gives a false alarm in a quarter of nightly
    runs with a chance of 5 % at most. Exit code 0: nothing unusual; 1: an alarm; 4: nothing could be judged.
    """
    from promptreg.cli.run import show_plan
    from promptreg.cli.world import open_world
    from promptreg.workflow.canary import CanaryRequest, canary, plan_canary
    from promptreg.workflow.preparation import Choice

    choice = Choice(suites=suites, prompts=prompts, models=models)
    request = CanaryRequest(choice=choice, cases=cases, concurrency=concurrency)
    with open_world(console) as world:
        if dry_run:
            show_plan(console, plan_canary(world, request))
            return 0
        found = canary(world, request)
    _show(console, found)
    return int(found.exit_code)


def _show(console: Console, found: Canary) -> None:
    console.data(
        {
            "schema": "promptreg/canary/1",
            "day": found.day,
            "alpha": found.alpha,
            "exit_code": int(found.exit_code),
            "watches": [as_json(each) for each in found.watches],
            "notes": list(found.notes),
            "calls_made": found.spent.calls_made,
            "calls_known": found.spent.calls_known,
            "duration_s": found.duration_s,
        }
    )
    rows = [
        (
            _sign(each),
            each.suite,
            each.prompt,
            each.model,
            f"{each.differing:,} of {each.cases:,}",
            f"{each.repeats:,}",
            _evidence(each),
            _names(each),
        )
        for each in found.watches
    ]
    console.say(columns(("", "suite", "prompt", "model", "new answers", "repeats", "evidence", "reported model"), rows))
    console.say()
    alarms = [each for each in found.watches if each.alarm]
    for each in alarms:
        kinds = ", ".join(sign.kind for sign in each.signs if sign.alarm)
        console.say(f"{each.suite} · {each.prompt} · {each.model}: the answers are not what they were ({kinds})")
    if not alarms and found.exit_code == 0:
        console.say("nothing unusual")
    elif not alarms:
        console.say("nothing could be judged: promptreg baseline refresh asks for repeats")
    console.note(f"{count(found.spent.calls_made, 'call')} made, {found.spent.calls_known:,} known")
    for note in found.notes:
        console.note(f"note: {note}")


def _sign(watch: Watch) -> str:
    return "✗ alarm" if watch.alarm else "? no repeats" if not watch.judged else "! new name" if watch.moved else "✓"


def _evidence(watch: Watch) -> str:
    """The strongest kind, as a power of ten against what an alarm takes."""
    best = max(watch.signs, key=lambda sign: sign.log_e, default=None)
    if best is None:
        return "–"
    return f"{best.kind} 10^{best.log_e / math.log(10):.1f} of 10^{best.threshold / math.log(10):.1f}"


def _names(watch: Watch) -> str:
    before, tonight = ", ".join(watch.before) or "–", ", ".join(watch.tonight) or "–"
    return f"{before} → {tonight}" if watch.moved else tonight


def as_json(watch: Watch) -> dict[str, Json]:
    return {
        "suite": watch.suite,
        "prompt": watch.prompt,
        "model": watch.model,
        "alarm": watch.alarm,
        "judged": watch.judged,
        "moved": watch.moved,
        "cases": watch.cases,
        "differing": watch.differing,
        "repeats": watch.repeats,
        "missing": watch.missing,
        "reported_before": list(watch.before),
        "reported_tonight": list(watch.tonight),
        "signs": [
            {"kind": sign.kind, "log_e": sign.log_e, "threshold": sign.threshold, "n": sign.n, "alarm": sign.alarm}
            for sign in watch.signs
        ],
    }
