"""One of the two composition roots: opens the registry, the store and the plugins of this directory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from promptreg import datasets, plugins, registry
from promptreg.workflow import World

if TYPE_CHECKING:
    from promptreg.cli.console import Console
    from promptreg.core.protocols import WeightsFile
    from promptreg.registry import Registry

STORE = Path(".promptreg") / "store.sqlite3"


def store_path(root: Path) -> Path:
    """`PROMPTREG_STORE`, else `.promptreg/store.sqlite3` beside promptreg.yaml."""
    return Path(os.environ.get("PROMPTREG_STORE") or root / STORE)


def open_registry() -> Registry:
    return registry.open_registry(Path.cwd(), read_cases=datasets.read, env=os.environ)


def open_plugins(opened: Registry) -> plugins.Plugins:
    return plugins.load([opened.root / path for path in opened.settings.plugins])


@contextmanager
def open_world(console: Console, *, stored: bool = True) -> Iterator[World]:
    """The world of the current directory; closes what it opened. With *stored* false nothing is read from or kept in the store."""
    from promptreg.cli.progress import progress_for
    from promptreg.store import Store

    opened = open_registry()
    store = Store.open(store_path(opened.root), time.time) if stored else None

    def find_weights(name: str) -> WeightsFile:
        from promptreg import weights

        return weights.resolve(name, root=opened.root, env=os.environ)

    try:
        with progress_for(console) as progress:
            yield World(
                registry=opened,
                plugins=open_plugins(opened),
                store=store,
                env=os.environ,
                now=time.time,
                weights=find_weights,
                progress=progress,
            )
    finally:
        if store is not None:
            store.close()
