"""`promptreg demote`: a label is taken away."""

from __future__ import annotations

import click

from promptreg.cli.acting import act, act_options
from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console


@click.command("demote", short_help="Take a label away.")
@click.argument("name", shell_complete=complete_prompts)
@click.argument("label")
@act_options
def command(console: Console, name: str, label: str, sign: bool, push: str | None) -> None:
    """Take LABEL away from NAME: it stands at no version any more.

    To move it back one version, use `rollback`.
    """
    from promptreg.cli.promote import tell_moved
    from promptreg.cli.world import open_registry
    from promptreg.workflow.labels import demote

    with open_registry() as opened:
        doing = act(opened, push, sign=sign)
        moved = demote(opened, name, label, doing)
    tell_moved(console, moved, doing)
