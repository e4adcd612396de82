"""`promptreg log`: what happened to a prompt."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, output_options, printable
from promptreg.cli.dates import date, iso

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.timeline import Moment

COLOURS = {"release": "green", "label": "cyan", "unlabel": "cyan", "withdrawal": "red", "deprecation": "red", "working": "yellow"}
SHOWN = 20
WORDS = {
    "release": "released {version}",
    "withdrawal": "withdrew {version}",
    "label": "{label} → {version}",
    "unlabel": "{label} taken from {version}",
    "deprecation": "deprecated",
    "start": "history is cut off here",
    "working": "working copy",
}


@click.command("log", short_help="Show what happened to a prompt: releases, labels, changes.")
@click.argument("name", metavar="NAME[@SELECTOR]", shell_complete=complete_prompts)
@click.option("-n", "--number", "limit", default=SHOWN, show_default=True, type=click.IntRange(0), help="How many; 0: all.")
@output_options
def command(console: Console, name: str, limit: int) -> None:
    """Show the history of the prompt NAME, newest first: releases, label moves, and commits that changed its rendering.

    A commit counts when the model could get other messages after it, also when it touched a partial only; a comment or a new
    description does not count. With a selector, the history up to that version.
    """
    from promptreg.cli.world import open_readable
    from promptreg.workflow.log import log

    shown: list[Json] = []
    more = False
    with open_readable() as opened:
        for index, moment in enumerate(islice(log(opened, name), limit + 1 if limit else None)):
            more = 0 < limit == index
            if not more:
                shown += [_as_json(moment)] if console.json else []
                console.say(_line(moment))
        shallow = opened.history.git.is_shallow
    console.data({"schema": "promptreg/log/1", "prompt": name, "moments": shown, "more": more, "shallow": shallow})
    if more:
        console.note(f"there is more: -n {2 * limit} shows twice as much, -n 0 all")
    if shallow:
        from promptreg.registry.plumbing import SHALLOW_HINT

        console.note(f"this clone is shallow: history ends early, and tags may be missing; {SHALLOW_HINT}")


def _line(moment: Moment) -> str:
    what = WORDS.get(moment.kind, moment.kind + " ({version})" if moment.version else moment.kind)
    told = printable(what.format(version=moment.version or "?", label=moment.label))
    when = "" if moment.kind == "working" else date(moment.time)
    said = ": ".join(printable(part) for part in (moment.who, moment.subject) if part)
    return f"{when:16}  {moment.commit[:10]:10}  {click.style(f'{told:<24}', fg=COLOURS.get(moment.kind))}  {said}".rstrip()


def _as_json(moment: Moment) -> dict[str, Json]:
    return {
        "kind": moment.kind,
        "time": None if moment.kind == "working" else iso(moment.time),
        "author": moment.who,
        "email": moment.email,
        "version": moment.version or None,
        "label": moment.label or None,
        "commit": moment.commit or None,
        "tag": moment.tag or None,
        "subject": moment.subject,
    }
