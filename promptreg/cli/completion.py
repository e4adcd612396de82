"""`promptreg completion SHELL`: the script that teaches a shell our commands."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from promptreg.cli.console import Console, output_options

SHELLS = ("bash", "fish", "zsh")


@click.command("completion")
@click.argument("shell", type=click.Choice(SHELLS))
@output_options
def command(console: Console, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash:  eval "$(promptreg completion bash)"   in ~/.bashrc
    zsh:   eval "$(promptreg completion zsh)"    in ~/.zshrc
    fish:  promptreg completion fish > ~/.config/fish/completions/promptreg.fish
    """
    from promptreg.cli import cli

    script = get_completion_class(shell)
    assert script is not None
    source = script(cli, {}, "promptreg", "_PROMPTREG_COMPLETE").source()
    console.data({"schema": "promptreg/completion/1", "shell": shell, "script": source})
    console.say(source)
