"""`promptreg new`: a prompt or a suite to start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, json_text, output_options
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json


@click.group("new")
def command() -> None:
    """Write a new prompt or suite."""


@command.command("prompt")
@click.argument("name")
@output_options
def prompt(console: Console, name: str) -> None:
    """Write prompts/NAME.yaml."""
    from promptreg.cli.scaffold import PROMPT, write_new
    from promptreg.cli.world import open_registry
    from promptreg.registry import check_name

    check_name(name)
    text = PROMPT.format(description="What this prompt is for.", variable="text", text="Summarise in one sentence: {{ text }}")
    _report(console, [str(path) for path in write_new(open_registry().root, {f"prompts/{name}.yaml": text})])


@command.command("suite")
@click.argument("name")
@click.option("--prompt", "prompt_name", required=True, shell_complete=complete_prompts, help="The prompt that the suite tests.")
@output_options
def suite(console: Console, name: str, prompt_name: str) -> None:
    """Write suites/NAME.yaml with a dataset of one case to fill in."""
    from promptreg.cli.scaffold import SUITE, write_new
    from promptreg.cli.world import open_registry
    from promptreg.registry import check_name

    check_name(name)
    opened = open_registry()
    declared = opened.prompt(prompt_name).inputs
    model = opened.settings.defaults.model or next(iter(opened.settings.models), None)
    if model is None:
        raise UsageError("promptreg.yaml names no model", hint="add one under `models:`")
    row: Json = {"id": "first", "inputs": {key: schema.get("default", "…") for key, schema in declared.items()}, "expected": "…"}
    dataset = name.rpartition("/")[2] + ".jsonl"
    text = SUITE.format(description=f"{prompt_name} must stay right.", prompt=prompt_name, model=model, dataset=dataset)
    line = " ".join(part.strip() for part in json_text(row).splitlines()) + "\n"
    files = {f"suites/{name}.yaml": text, f"suites/{name}.jsonl": line}
    _report(console, [str(path) for path in write_new(opened.root, files)])


def _report(console: Console, written: list[str]) -> None:
    console.data({"schema": "promptreg/new/1", "files": list(written)})
    console.say("\n".join(f"wrote {path}" for path in written))
