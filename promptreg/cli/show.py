"""`promptreg show`: one prompt, whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, output_options, printable

if TYPE_CHECKING:
    from promptreg.core.prompt import Prompt
    from promptreg.core.releases import Release
    from promptreg.core.tested import Tested
    from promptreg.registry import Registry


@click.command("show", short_help="Show one prompt, whole.")
@click.argument("name", metavar="NAME[@SELECTOR]", shell_complete=complete_prompts)
@output_options
def command(console: Console, name: str) -> None:
    """Show the prompt NAME, in its working copy or at a version: its inputs, messages, parameters, and the partials it includes.

    Where something is recorded on the runs branch of exactly this: when each suite last tested it on each model.
    """
    from promptreg.cli.freshness import as_json, cell_json
    from promptreg.cli.world import open_readable
    from promptreg.core.prompt import content_json

    with open_readable() as opened:
        prompt = opened.prompt(name)
        release = _release(opened, name)
        found = _tested(opened, prompt)
    messages = [{"role": message.role, "content": content_json(message.content)} for message in prompt.messages]
    console.data(
        {
            "schema": "promptreg/show/1",
            "prompt": prompt.name,
            "path": prompt.where.path,
            "version": None if release is None else str(release.version),
            "commit": None if release is None else release.commit,
            "description": prompt.description,
            "owners": list(prompt.owners),
            "inputs": {key: dict(schema) for key, schema in prompt.inputs.items()},
            "messages": messages,
            "params": prompt.params.as_json(),
            "output_schema": prompt.output_schema,
            "tools": list(prompt.tools),
            "trust": dict(prompt.trust),
            **as_json(found),
            "tested": [] if found is None else [cell_json(cell) for cell in found.cells],
        }
    )
    heading = click.style(prompt.name if release is None else f"{prompt.name}@{release.version}", bold=True)
    console.say(f"{heading}  {prompt.where.path}" + (f"\n{printable(prompt.description)}" if prompt.description else ""))
    for key, schema in prompt.inputs.items():
        kind = schema.get("type", "any")
        default = "" if "default" not in schema else f" = {schema['default']!r}"
        console.say(f"  {key}: {kind}{default}" + (" (untrusted)" if prompt.trust.get(key) == "untrusted" else ""))
    if params := prompt.params.as_json():
        console.say("  params: " + ", ".join(f"{key}={value}" for key, value in params.items()))
    if found is not None:
        _say_tested(console, found)
    for message in messages:
        console.say(f"\n{click.style(str(message['role']), bold=True)}\n{printable(str(message['content']))}")


def _tested(opened: Registry, prompt: Prompt) -> Tested | None:
    """When what is shown was last tested; None where nothing of it is recorded, and for prompts of other registries."""
    import time

    from promptreg.workflow.tested import covering, last_tests

    if ":" in prompt.name:
        return None
    name = prompt.name.partition("@")[0]
    return last_tests(opened, time.time(), [prompt], lambda: covering(opened, name)).get(name)


def _say_tested(console: Console, found: Tested) -> None:
    from promptreg.cli.freshness import day, percent

    for cell in found.cells:
        why = f": {cell.reason}" if cell.reason and cell.last_tested is not None else ""
        risk = "" if cell.risk is None else f", rot risk {percent(cell.risk)}"
        console.say(printable(f"  tested by {cell.suite} on {cell.model}: {day(cell.last_tested)} ({cell.freshness}{why}{risk})"))


def _release(opened: Registry, name: str) -> Release | None:
    """The release that *name* means; None for a working copy or a revision."""
    from promptreg.core.refs import Revision, Working, parse_reference

    asked = parse_reference(name)
    unreleased = not asked.source and isinstance(asked.selector, Revision | Working | None)
    return None if unreleased else opened.release(name)
