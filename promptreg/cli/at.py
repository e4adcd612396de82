"""`promptreg at`: what labels meant at another time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from promptreg.cli.console import Console, columns, output_options
from promptreg.cli.dates import date, iso, parse_date
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.timeline import Standing


@click.command("at", short_help="Show what labels meant at a time.")
@click.argument("moment", metavar="TIME")
@click.argument("patterns", metavar="[NAME]...", nargs=-1)
@output_options
def command(console: Console, moment: str, patterns: tuple[str, ...]) -> None:
    """Show what each label meant at TIME, like 2026-05-01T12:00 (UTC unless it says a zone): version, commit and tag.

    For all prompts, or those that match NAME (globs). Times are those of the tags, by the clocks of those who made them.
    """
    from promptreg.cli.world import open_readable
    from promptreg.core.select import matching
    from promptreg.core.timeline import standings
    from promptreg.registry.plumbing import SHALLOW_HINT

    when = parse_date(moment)
    with open_readable() as opened:
        if opened.history.git.is_shallow:
            raise UsageError("the past of labels cannot be known in a shallow clone: tags may be missing", hint=SHALLOW_HINT)
        state = opened.state
    then = state.at(when)
    names = matching(patterns, state.names, "released prompt") if patterns else state.names
    found = [standing for name in names for standing in standings(then, name)]
    console.data({"schema": "promptreg/at/1", "time": iso(when), "labels": [_as_json(standing) for standing in found]})
    if found:
        console.say(columns(("prompt", "label", "version", "commit", "tag", "since", "by"), map(_row, found)))
    else:
        console.say(f"nothing was released before {date(when)} UTC")
    if when > time.time():
        console.note("this time is yet to come: shown is what holds now")


def _row(standing: Standing) -> tuple[str, ...]:
    release, since = standing.release, standing.since
    version = "–" if release is None else str(release.version)
    by = "" if since is None else since.by.tagger
    return (
        standing.name,
        standing.label,
        f"{version} ({standing.problem})" if standing.problem else version,
        "–" if release is None else release.commit[:10],
        "–" if release is None else release.event.by.ref,
        "" if since is None else date(since.time),
        by,
    )


def _as_json(standing: Standing) -> dict[str, Json]:
    release, since = standing.release, standing.since
    return {
        "prompt": standing.name,
        "label": standing.label,
        "version": None if release is None else str(release.version),
        "commit": None if release is None else release.commit,
        "tag": None if release is None else release.event.by.ref,
        "since": None if since is None else iso(since.time),
        "by": None if since is None else since.by.tagger,
        "problem": standing.problem or None,
    }
