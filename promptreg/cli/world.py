"""One of the two composition roots: opens the registry, the store and the plugins of this directory."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from promptreg import datasets, registry
from promptreg.errors import UsageError, Where

if TYPE_CHECKING:
    from promptreg import plugins
    from promptreg.cli.console import Console
    from promptreg.core.protocols import WeightsFile
    from promptreg.registry import Registry
    from promptreg.store import Store
    from promptreg.workflow.check.request import Ground
    from promptreg.workflow.world import World

STORE = Path(".promptreg") / "store.sqlite3"


def store_path(root: Path) -> Path:
    """`PROMPTREG_STORE`, else `.promptreg/store.sqlite3` beside promptreg.yaml."""
    return Path(os.environ.get("PROMPTREG_STORE") or root / STORE)


def open_registry() -> Registry:
    return registry.open_registry(Path.cwd(), read_cases=datasets.read, env=os.environ)


def open_readable() -> Registry:
    """The registry here; in a bare repository, which has no working copies, as HEAD holds it. For commands that only read.

    A bare repository that lies within a working tree is passed over: it came with a clone, and its settings are a stranger's.
    """
    here = Path.cwd()
    if registry.is_bare(here) and registry.toplevel(here) is None:
        return registry.open_repository(here, "HEAD", read_cases=datasets.read, env=os.environ)
    return open_registry()


def open_store(opened: Registry) -> Store:
    """The store of answers. UsageError when Git tracks it: then answers that nobody's model gave can come with a commit."""
    from promptreg.store import Store

    path = store_path(opened.root)
    if tracked := tracked_store(opened):
        raise UsageError(
            f"Git tracks the store of answers ({tracked[0]}): a commit could bring answers that no model gave",
            where=Where(os.path.relpath(path)),
            hint=untrack(tracked),
        )
    return Store.open(path, time.time)


def tracked_store(opened: Registry) -> list[str]:
    """The files of the store that Git tracks: of its folder, if that is `.promptreg`; else itself and its journals."""
    path = store_path(opened.root)
    if path == opened.root / STORE:
        return opened.tracked(path.parent)
    return [found for end in ("", "-wal", "-shm", "-journal") for found in opened.tracked(path.with_name(path.name + end))]


def untrack(paths: Sequence[str]) -> str:
    """The command that takes *paths* (from the repository's root) out of Git and of the working tree."""
    named = " ".join(shlex.quote(f":(top,literal){path}") for path in paths)
    return f"git rm -f --quiet {named} && git commit -m 'The store is not for Git'"


def open_plugins(opened: Registry, folder: Path | None = None) -> plugins.Plugins:
    """Installed plugins and the registry's own, from below *folder* (by default its root).

    UsageError at the line of promptreg.yaml that names what cannot be read.
    """
    from promptreg import plugins

    local = []
    for index, name in enumerate(opened.settings.plugins):
        where = opened.settings.place(f"plugins[{index}]")
        path = (folder or opened.root) / name
        try:
            opened.snapshot.open(f"{name}/__init__.py" if path.is_dir() else name).close()
        except UsageError as fault:
            raise UsageError(f"the plugin {name}: {fault.message}", where=where, hint=fault.hint or plugins.MEND) from fault
        local.append(plugins.LocalPlugin(name=name, path=path, where=where))
    return plugins.load(local)


@contextmanager
def open_world(console: Console, *, stored: bool = True) -> Iterator[World]:
    """The world of the current directory; closes what it opened. With *stored* false nothing is read from or kept in the store."""
    from promptreg.cli.progress import progress_for
    from promptreg.workflow.world import World

    opened = open_registry()
    store = open_store(opened) if stored else None

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
        _close(console, store)


@contextmanager
def open_ground(console: Console, *, stored: bool = True) -> Iterator[Ground]:
    """What a check stands on: the registry and the store, and no plugin yet; closes what it opened."""
    import tempfile

    from promptreg import weights
    from promptreg.cli.progress import progress_for
    from promptreg.workflow.check.request import Ground

    opened = open_readable()
    store = open_store(opened) if stored else None
    try:
        with progress_for(console) as progress, tempfile.TemporaryDirectory(prefix="promptreg-") as scratch, opened:
            yield Ground(
                registry=opened,
                store=store,
                env=os.environ,
                now=time.time,
                progress=progress,
                open_plugins=open_plugins,
                weights=lambda name, folder: weights.resolve(name, root=folder, env=os.environ),
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
