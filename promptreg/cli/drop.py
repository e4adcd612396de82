"""`promptreg drop`: pulled prompts go."""

from __future__ import annotations

import click

from promptreg.cli.console import Console, count, output_options
from promptreg.cli.sources import described, open_yard


@click.command("drop", short_help="Remove pulled prompts.")
@click.argument("names", nargs=-1, required=True, metavar="[SOURCE:]NAME...")
@output_options
def command(console: Console, names: tuple[str, ...]) -> None:
    """Take pulled prompts out of promptreg.lock and delete their files below prompts/vendor/."""
    from promptreg.workflow.pull import drop

    gone = drop(open_yard(console), names)
    console.data({"schema": "promptreg/drop/1", "prompts": [described(source, each) for source, each in gone]})
    console.note(f"dropped {count(len(gone), 'prompt')}: {', '.join(f'{source}:{each.name}' for source, each in gone)}")
