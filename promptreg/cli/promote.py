"""`promptreg promote`: a label moves to a release."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.acting import act, act_options, told
from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console

if TYPE_CHECKING:
    from promptreg.workflow.events import Act
    from promptreg.workflow.labels import Moved


@click.command("promote", short_help="Move a label to a release.")
@click.argument("reference", metavar="NAME@SELECTOR", shell_complete=complete_prompts)
@click.argument("label")
@act_options
def command(console: Console, reference: str, label: str, sign: bool, push: str | None) -> None:
    """Move LABEL to the release that NAME@SELECTOR means, like `promote support/triage@1.4.0 production`.

    The labels that exist stand under `labels` in promptreg.yaml, some perhaps with the signers who may move them.
    """
    from promptreg.cli.world import open_registry
    from promptreg.workflow.labels import promote

    with open_registry() as opened:
        doing = act(opened, push, sign=sign)
        moved = promote(opened, reference, label, doing)
        going = opened.state.artefact(moved.name).deprecation
    if going is not None:
        console.note(f"note: {moved.name} is deprecated" + (f"; use {going.replacement}" if going.replacement else ""))
    tell_moved(console, moved, doing)


def tell_moved(console: Console, moved: Moved, doing: Act) -> None:
    """The way of a label, for people and machines."""
    old, new = (str(version) if version else None for version in (moved.old, moved.new))
    console.data(
        {
            "schema": "promptreg/moved/1",
            "prompt": moved.name,
            "label": moved.label,
            "from": old,
            "to": new,
            "tags": dict(moved.made),
            "pushed": doing.remote or None if moved.made else None,
        }
    )
    if not moved.made:
        console.say(f"{moved.name}  {moved.label}  is {new} already")
    else:
        console.say(f"{moved.name}  {moved.label}  {old or 'nothing'} → {new or 'nothing'}")
        told(console, moved.made, doing, moved.along)
