"""`promptreg plugins`: every provider, metric, reporter and publisher on offer, and where it comes from."""

from __future__ import annotations

import click

from promptreg.cli.console import Console, columns, output_options
from promptreg.errors import NoRegistryError


@click.command("plugins", short_help="List the plugins on offer.")
@output_options
def command(console: Console) -> None:
    """List the plugins on offer: built-in, installed, and the registry's own."""
    from promptreg import plugins
    from promptreg.cli.world import open_plugins, open_registry

    try:
        found = open_plugins(open_registry())
    except NoRegistryError as error:
        console.note(f"outside a registry ({error.message}): only installed plugins are listed")
        found = plugins.load()
    rows = [(entry.kind, entry.name, entry.origin) for entry in found.entries()]
    listed = [{"kind": kind, "name": name, "origin": origin} for kind, name, origin in rows]
    console.data({"schema": "promptreg/plugins/1", "plugins": listed})
    console.say(columns(("kind", "name", "from"), rows))
