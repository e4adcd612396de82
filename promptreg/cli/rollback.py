"""`promptreg rollback`: a label moves back."""

from __future__ import annotations

import click

from promptreg.cli.acting import act, act_options
from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console


@click.command("rollback", short_help="Move a label back to the version before.")
@click.argument("name", shell_complete=complete_prompts)
@click.argument("label")
@act_options
def command(console: Console, name: str, label: str, sign: bool, push: str | None) -> None:
    """Move LABEL of NAME back to the version that it stood at before; once more, to the one before that.

    A new event says so; nothing is taken out of the history. Versions that were withdrawn are passed over.
    """
    from promptreg.cli.promote import tell_moved
    from promptreg.cli.world import open_registry
    from promptreg.workflow.labels import rollback

    with open_registry() as opened:
        doing = act(opened, push, sign=sign)
        moved = rollback(opened, name, label, doing)
    tell_moved(console, moved, doing)
