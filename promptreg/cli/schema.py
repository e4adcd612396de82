"""`promptreg schema KIND`: the JSON Schema of a file kind, for editors."""

from __future__ import annotations

import click

from promptreg.cli.console import json_text
from promptreg.errors import UsageError


@click.command("schema")
@click.argument("kind", required=False)
def command(kind: str | None) -> None:
    """Print the JSON Schema of a file KIND; without one, list the kinds.

    Editors use it through the first line of a file: `# yaml-language-server: $schema=prompt.schema.json`.
    """
    from promptreg import documents

    if kind is None:
        click.echo("\n".join(documents.SCHEMA_KINDS))
    elif kind in documents.SCHEMA_KINDS:
        click.echo(json_text(documents.schema(kind)))
    else:
        raise UsageError(f"no schema for '{kind}'", hint=f"kinds: {', '.join(documents.SCHEMA_KINDS)}")
