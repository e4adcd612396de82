"""`promptreg cache`: what the store holds, and how to make it smaller."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import click

from promptreg.cli.console import Console, columns, count, output_options
from promptreg.errors import UsageError

SECONDS = {"h": 3600, "d": 86400, "w": 7 * 86400}


@click.group("cache")
def command() -> None:
    """The answers kept on this machine."""


@command.command("path")
@output_options
def path(console: Console) -> None:
    """Print where the store is."""
    from promptreg.cli.world import open_registry, store_path

    where = store_path(open_registry().root)
    console.data({"schema": "promptreg/cache/1", "path": str(where)})
    console.say(str(where))


@command.command("stats")
@output_options
def stats(console: Console) -> None:
    """Show how many answers and scores are kept, and their size."""
    from promptreg.cli.world import open_registry, store_path
    from promptreg.store import Store

    where = store_path(open_registry().root)
    store = Store.open(where, time.time)
    try:
        figures = store.stats()
    finally:
        store.close()
    console.data({"schema": "promptreg/cache/1", "path": str(where), **figures})
    console.say(columns(("", str(where)), [(name, _shown(name, value)) for name, value in figures.items()]))


def _shown(name: str, value: object) -> str:
    if value is None or value == {}:
        return "–"
    if name in ("oldest", "newest") and isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC).isoformat(" ", "seconds").replace("+00:00", " UTC")
    if isinstance(value, Mapping):
        return ", ".join(f"{model} {answers:,}" for model, answers in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


@command.command("prune")
@click.option("--older-than", "age", metavar="AGE", required=True, help="Drop answers older than this: 12h, 30d, 8w.")
@output_options
def prune(console: Console, age: str) -> None:
    """Drop old answers. A later run pays for them again."""
    from promptreg.cli.world import open_registry, store_path
    from promptreg.store import Store

    match = re.fullmatch(r"(\d+)([hdw])", age)
    if not match:
        raise UsageError(f"'{age}' is no age", hint="for example --older-than 30d")
    store = Store.open(store_path(open_registry().root), time.time)
    try:
        dropped = store.prune(older_than=time.time() - int(match[1]) * SECONDS[match[2]])
    finally:
        store.close()
    console.data({"schema": "promptreg/cache/1", "dropped": dropped})
    console.say(f"dropped {count(dropped, 'answer')}")
