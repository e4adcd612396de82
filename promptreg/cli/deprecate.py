"""`promptreg deprecate`: a name that is going."""

from __future__ import annotations

import click

from promptreg.cli.acting import act, act_options, told
from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, printable


@click.command("deprecate", short_help="Say that a prompt is going.")
@click.argument("name", shell_complete=complete_prompts)
@click.option("--replacement", metavar="REFERENCE", default="", help="What to use instead, like support/route@^2.")
@click.option("--reason", required=True, help="Why; whoever uses the prompt is told.")
@act_options
def command(console: Console, name: str, replacement: str, reason: str, sign: bool, push: str | None) -> None:
    """Say that the prompt NAME is going, and what to use instead.

    Its releases and labels go on to resolve; `release --affected` passes it over.
    """
    from promptreg.cli.world import open_registry
    from promptreg.workflow.labels import deprecate

    with open_registry() as opened:
        doing = act(opened, push, sign=sign)
        made = deprecate(opened, name, replacement, reason, doing)
    console.data(
        {
            "schema": "promptreg/deprecated/1",
            "prompt": name,
            "replacement": replacement or None,
            "reason": reason.strip(),
            "tags": dict(made),
            "pushed": doing.remote or None,
        }
    )
    console.say(f"{name} is deprecated" + (f"; use {replacement}" if replacement else "") + f": {printable(reason.strip())}")
    told(console, made, doing)
