"""`promptreg render`: what the model would see."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts, complete_suites
from promptreg.cli.console import Console, output_options, pairs, printable
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json


@click.command("render", short_help="Show the messages a model would get.")
@click.argument("name", metavar="NAME[@SELECTOR]", shell_complete=complete_prompts)
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="An input; JSON unless declared a string.")
@click.option("--suite", shell_complete=complete_suites, help="Take the inputs from a case of this suite …")
@click.option("--case", "case_id", help="… namely from the case with this id (default: the first).")
@output_options
def command(console: Console, name: str, inputs: tuple[str, ...], suite: str | None, case_id: str | None) -> None:
    """Render the prompt NAME, in its working copy or at a version, to the messages a model would get."""
    from promptreg.cli.world import open_readable
    from promptreg.core.prompt import messages_digest
    from promptreg.core.render import Renderer
    from promptreg.workflow.cases import case_of, read_inputs

    opened = open_readable()
    prompt = opened.prompt(name)
    values: dict[str, Json] = {}
    where = None
    if suite is not None:
        case = case_of(opened, suite, case_id)
        values, where = dict(case.inputs), case.where
    elif case_id is not None:
        raise UsageError("--case needs --suite", hint="say which suite the case is in")
    values.update(read_inputs(prompt.inputs, pairs(inputs, "--input")))
    messages = Renderer(prompt).messages(values, where)
    console.data(
        {
            "schema": "promptreg/render/1",
            "prompt": name,
            "digest": messages_digest(messages),
            "messages": [message.as_json() for message in messages],
        }
    )
    for message in messages:
        whole = message.content
        content = whole if isinstance(whole, str) else json.dumps(message.as_json()["content"], ensure_ascii=False)
        console.say(f"{click.style(message.role, bold=True)}\n{printable(content)}\n")
