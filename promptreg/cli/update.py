"""`promptreg update`: pulled prompts at what their selectors mean now."""

from __future__ import annotations

from pathlib import Path

import click

from promptreg.cli.console import Console, output_options
from promptreg.cli.sources import open_yard, show_changes, signers_option


@click.command("update", short_help="Bring pulled prompts up to date.")
@click.argument("names", nargs=-1, metavar="[[SOURCE:]NAME]...")
@signers_option
@output_options
def command(console: Console, names: tuple[str, ...], signers: tuple[Path, ...]) -> None:
    """Resolve the selectors of pulled prompts (all, or NAMES) anew, and pull what they mean now.

    A selector is kept as it was asked for: `promptreg pull SOURCE NAME@SELECTOR` gives another.
    """
    from promptreg.workflow.pull import update

    show_changes(console, update(open_yard(console, signers=signers), names))
