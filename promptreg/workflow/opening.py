"""What both composition roots (`cli` and `pytest_plugin`) open alike: the registry, its store, its plugins, its weights."""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from promptreg import datasets, registry
from promptreg.errors import UsageError, Where

if TYPE_CHECKING:
    from promptreg import plugins
    from promptreg.core.protocols import WeightsFile
    from promptreg.registry import Registry
    from promptreg.store import Store

STORE = Path(".promptreg") / "store.sqlite3"


def store_path(root: Path, env: Mapping[str, str]) -> Path:
    """`PROMPTREG_STORE`, else `.promptreg/store.sqlite3` beside promptreg.yaml."""
    return Path(env.get("PROMPTREG_STORE") or root / STORE)


def open_registry(start: Path, env: Mapping[str, str]) -> Registry:
    return registry.open_registry(start, read_cases=datasets.read, env=env)


def open_readable(here: Path, env: Mapping[str, str]) -> Registry:
    """The registry at *here*; in a bare repository, which has no working copies, as HEAD holds it. For commands that only read.

    A bare repository that lies within a working tree is passed over: it came with a clone, and its settings are a stranger's.
    """
    if registry.is_bare(here) and registry.toplevel(here) is None:
        return registry.open_repository(here, "HEAD", read_cases=datasets.read, env=env)
    return open_registry(here, env)


def open_store(opened: Registry, env: Mapping[str, str]) -> Store:
    """The store of answers. UsageError when Git tracks it: then answers that nobody's model gave can come with a commit."""
    from promptreg.store import Store

    path = store_path(opened.root, env)
    if tracked := tracked_store(opened, env):
        raise UsageError(
            f"Git tracks the store of answers ({tracked[0]}): a commit could bring answers that no model gave",
            where=Where(os.path.relpath(path)),
            hint=untrack(tracked),
        )
    return Store.open(path, time.time)


def tracked_store(opened: Registry, env: Mapping[str, str]) -> list[str]:
    """The files of the store that Git tracks: of its folder, if that is `.promptreg`; else itself and its journals."""
    path = store_path(opened.root, env)
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


def find_weights(name: str, folder: Path, env: Mapping[str, str]) -> WeightsFile:
    """The weights that *name* means, in the catalogue or below *folder*."""
    from promptreg import weights

    return weights.resolve(name, root=folder, env=env)
