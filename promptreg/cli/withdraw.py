"""`promptreg withdraw`: a release that nobody shall use any more."""

from __future__ import annotations

import click

from promptreg.cli.acting import act, act_options, told
from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, printable


@click.command("withdraw", short_help="Withdraw a release.")
@click.argument("reference", metavar="NAME@VERSION", shell_complete=complete_prompts)
@click.option("--reason", required=True, help="Why; whoever asks for the version is told.")
@act_options
def command(console: Console, reference: str, reason: str, sign: bool, push: str | None) -> None:
    """Withdraw the release NAME@VERSION: it resolves no more, and stays in the history.

    Refused while a label stands at it. Its number is never used again.
    """
    from promptreg.cli.world import open_registry
    from promptreg.core.refs import release_tag
    from promptreg.workflow.labels import withdraw

    with open_registry() as opened:
        doing = act(opened, push, sign=sign)
        release, made = withdraw(opened, reference, reason, doing)
    console.data(
        {
            "schema": "promptreg/withdrawn/1",
            "prompt": release.name,
            "version": str(release.version),
            "reason": reason.strip(),
            "tags": dict(made),
            "pushed": doing.remote or None,
        }
    )
    console.say(f"{release.name} {release.version} is withdrawn: {printable(reason.strip())}")
    told(console, made, doing, [str(release_tag(release.name, release.version))])
