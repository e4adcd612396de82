"""The world as one frozen value, assembled by the composition roots (`cli`, `pytest_plugin`) and handed to every workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from promptreg.core.protocols import WeightsFile
from promptreg.execute import Progress
from promptreg.plugins import Plugins
from promptreg.registry import Registry
from promptreg.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Everything a workflow may touch. `now` gives seconds since the epoch; `files` is where relative paths in a provider's options
    start, the registry's folder where nobody says otherwise."""

    registry: Registry
    plugins: Plugins
    store: Store | None
    env: Mapping[str, str]
    now: Callable[[], float]
    weights: Callable[[str], WeightsFile]
    progress: Progress
    files: Path | None = None

    @property
    def root(self) -> Path:
        return self.registry.root if self.files is None else self.files
