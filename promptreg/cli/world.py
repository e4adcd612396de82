"""One of the two composition roots: the world of the current directory."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from promptreg.workflow import opening
from promptreg.workflow.opening import open_plugins, untrack

if TYPE_CHECKING:
    from promptreg.cli.console import Console
    from promptreg.registry import Registry
    from promptreg.store import Store
    from promptreg.workflow.check.request import Ground
    from promptreg.workflow.world import World

__all__ = ["open_ground", "open_plugins", "open_readable", "open_registry", "open_world", "store_path", "tracked_store", "untrack"]


def store_path(root: Path) -> Path:
    return opening.store_path(root, os.environ)


def open_registry() -> Registry:
    return opening.open_registry(Path.cwd(), os.environ)


def open_readable() -> Registry:
    return opening.open_readable(Path.cwd(), os.environ)


def tracked_store(opened: Registry) -> list[str]:
    return opening.tracked_store(opened, os.environ)


@contextmanager
def open_world(console: Console, *, stored: bool = True) -> Iterator[World]:
    """The world of the current directory; closes what it opened. With *stored* false nothing is read from or kept in the store."""
    from promptreg.cli.progress import progress_for
    from promptreg.workflow.world import World

    opened = open_registry()
    store = opening.open_store(opened, os.environ) if stored else None
    try:
        with progress_for(console) as progress:
            yield World(
                registry=opened,
                plugins=open_plugins(opened),
                store=store,
                env=os.environ,
                now=time.time,
                weights=partial(opening.find_weights, folder=opened.root, env=os.environ),
                progress=progress,
            )
    finally:
        _close(console, store)


@contextmanager
def open_ground(console: Console, *, stored: bool = True) -> Iterator[Ground]:
    """What a check stands on: the registry and the store, and no plugin yet; closes what it opened."""
    import tempfile

    from promptreg.cli.progress import progress_for
    from promptreg.workflow.check.request import Ground

    opened = open_readable()
    store = opening.open_store(opened, os.environ) if stored else None
    try:
        with progress_for(console) as progress, tempfile.TemporaryDirectory(prefix="promptreg-") as scratch, opened:
            yield Ground(
                registry=opened,
                store=store,
                env=os.environ,
                now=time.time,
                progress=progress,
                open_plugins=open_plugins,
                weights=partial(opening.find_weights, env=os.environ),
                scratch=Path(scratch),
                announce=console.note,
            )
    finally:
        _close(console, store)


def _close(console: Console, store: Store | None) -> None:
    if store is not None:
        if store.gone:
            console.warn(f"{store.path} was taken away while it was in use: answers that came since are not kept")
        store.close()
