"""`promptreg labels`: where labels stand, and who moved them there."""

from __future__ import annotations

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, columns, output_options


@click.command("labels", short_help="Show where labels stand, and who moved them when.")
@click.argument("names", nargs=-1, shell_complete=complete_prompts)
@output_options
def command(console: Console, names: tuple[str, ...]) -> None:
    """Show the labels of NAMES (of all prompts without any): the version, who moved them, when, and whether the move is signed."""
    from promptreg.cli.world import open_registry
    from promptreg.core.names import check_name
    from promptreg.workflow.events import Act, moment, prepared
    from promptreg.workflow.labels import label_rows

    for name in names:
        check_name(name)
    with open_registry() as opened:
        prepared(opened, Act())
        found = label_rows(opened, names)
        settings = opened.settings
    console.data(
        {
            "schema": "promptreg/labels/1",
            "allowed": [{"label": name, "signers": list(settings.label_signers.get(name, ()))} for name in settings.labels],
            "labels": [
                {
                    "prompt": name,
                    "label": move.label,
                    "version": str(move.version) if move.version else None,
                    "problem": move.problem or None,
                    "by": move.event.by.tagger,
                    "email": move.event.by.email,
                    "time": move.event.time,
                    "signed": move.event.by.signed,
                    "tag": move.event.by.ref,
                }
                for name, move in found
            ],
        }
    )
    rows = [
        (
            name,
            move.label,
            str(move.version or "unknown"),
            move.event.by.tagger,
            moment(move.event.time),
            "signed" if move.event.by.signed else "–",
        )
        for name, move in found
    ]
    if rows:
        console.say(columns(("prompt", "label", "version", "moved by", "at", "signature"), rows))
    else:
        console.say("no label stands anywhere; promptreg promote NAME@VERSION LABEL moves one")
    for name, move in found:
        if move.problem:
            console.note(f"warning: the tag '{move.event.by.ref}' {move.problem}")
        elif settings.label_signers.get(move.label) and not move.event.by.signed:
            console.note(f"warning: '{move.label}' of {name} must be signed, and the tag '{move.event.by.ref}' is not")
