"""`promptreg list`: the prompts of the registry, and what covers them."""

from __future__ import annotations

import click

from promptreg.cli.console import Console, columns, output_options


@click.command("list", short_help="List prompts and the suites that test them.")
@click.argument("patterns", nargs=-1)
@output_options
def command(console: Console, patterns: tuple[str, ...]) -> None:
    """List prompts (all, or those that match PATTERNS) with their inputs and the suites that test them."""
    from promptreg.cli.world import open_readable
    from promptreg.core.select import matching

    opened = open_readable()
    names = matching(patterns, opened.prompt_names(), "prompt")
    suites = [opened.suite(name) for name in opened.suite_names()]
    tested = {suite.name: matching(suite.prompts, opened.prompt_names(), "prompt", suite.place("prompts")) for suite in suites}
    covered = {name: [suite for suite, prompts in tested.items() if name in prompts] for name in names}
    prompts = [opened.prompt(name) for name in names]
    console.data(
        {
            "schema": "promptreg/list/1",
            "prompts": [
                {
                    "prompt": prompt.name,
                    "description": prompt.description,
                    "inputs": list(prompt.inputs),
                    "suites": covered[prompt.name],
                }
                for prompt in prompts
            ],
        }
    )
    rows = [(prompt.name, ", ".join(prompt.inputs), ", ".join(covered[prompt.name]) or "untested") for prompt in prompts]
    console.say(columns(("prompt", "inputs", "suites"), rows))
