"""`promptreg schema KIND`: the JSON Schema of a file kind, for editors, or of what `check --json` and `rot --json` print."""

from __future__ import annotations

import click

from promptreg.cli.console import Console, json_text, output_options
from promptreg.errors import UsageError


@click.command("schema", short_help="Print a file kind's JSON Schema, for editors.")
@click.argument("kind", required=False)
@output_options
def command(console: Console, kind: str | None) -> None:
    """Print the JSON Schema of a file KIND, or of what `check --json` (`check`), `rot --json` and `upgrade --json` (`rot`)
    print; without one, list the kinds.

    The text is the schema itself; --json wraps it like all other results. Editors use it through the first line of a
    file: `# yaml-language-server: $schema=prompt.schema.json`.
    """
    from promptreg import documents

    if kind is None:
        console.data({"schema": "promptreg/schema/1", "kinds": list(documents.SCHEMA_KINDS)})
        console.say("\n".join(documents.SCHEMA_KINDS))
    elif kind in documents.SCHEMA_KINDS:
        console.data({"schema": "promptreg/schema/1", "kind": kind, "json_schema": documents.schema(kind)})
        console.say(json_text(documents.schema(kind)))
    else:
        raise UsageError(f"no schema for '{kind}'", hint=f"kinds: {', '.join(documents.SCHEMA_KINDS)}")
