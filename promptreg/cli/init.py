"""`promptreg init`: a registry that passes lint and run at once."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from promptreg.cli.console import Console, output_options, printable


@click.command("init", short_help="Start a registry that lints and runs at once.")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option("--model", type=click.Choice(["echo", "smollm2"]), default="echo", show_default=True, help="The suite's model.")
@click.option("--git", "as_repository", is_flag=True, help="Also make it a Git repository, with a first commit.")
@output_options
def command(console: Console, directory: Path, model: str, as_repository: bool) -> None:
    """Start a registry in DIRECTORY: settings, one prompt, one suite with its data.

    The echo model needs nothing; smollm2 is a real small language model that runs on this machine.
    """
    from promptreg.cli.scaffold import first_registry, write_new
    from promptreg.registry.beginning import begin, refuse_repository

    directory.mkdir(parents=True, exist_ok=True)
    if as_repository:
        refuse_repository(directory)
    name = directory.resolve().name or "prompts"
    written = write_new(directory, first_registry(name, model))
    commit = begin(directory, written, "A registry of prompts", os.environ, time.time()) if as_repository else None
    console.data({"schema": "promptreg/init/1", "files": [str(path) for path in written], "commit": commit})
    console.say("\n".join(f"wrote {path}" for path in written))
    if commit is not None:
        console.say(f"committed {commit[:12]}")
    enter = "" if directory.resolve() == Path.cwd() else f"cd {printable(str(directory))}, "
    then = "" if commit else f"; and git add, git commit{_git_hint(directory)}"
    console.note(f"next: {enter}promptreg lint, promptreg run{then}")


def _git_hint(directory: Path) -> str:
    inside = any((parent / ".git").exists() for parent in (directory.resolve(), *directory.resolve().parents))
    return "" if inside else " (git init first: releases and comparisons live in Git)"
