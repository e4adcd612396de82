"""`promptreg completion SHELL`: the script that teaches a shell our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "fish", "zsh")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
def command(shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(promptreg completion bash)"   in ~/.bashrc
    zsh:   eval "$(promptreg completion zsh)"    in ~/.zshrc
    fish:  promptreg completion fish > ~/.config/fish/completions/promptreg.fish
    """
    from promptreg.cli import cli

    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(cli, {}, "promptreg", "_PROMPTREG_COMPLETE").source())
