"""What a check is asked for, and what of the world it stands on. No plugin is loaded yet: whose code runs, trust decides first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypeAlias

from promptreg.core.protocols import WeightsFile
from promptreg.core.suite import Policy
from promptreg.core.verdict import Mode
from promptreg.execute import Progress
from promptreg.plugins import Plugins
from promptreg.registry import Registry
from promptreg.store import Store

RunsMode: TypeAlias = Literal["off", "read", "write", "push"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """*base* and *head* as the user wrote them, None for the defaults; empty *suites* and *prompts* mean all."""

    base: str | None = None
    head: str | None = None
    suites: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    fetch: bool = False
    trust_head: bool = False
    accept: str = ""
    runs: RunsMode = "read"
    concurrency: int | None = None
    undecided_blocks: bool | None = None  # None: as each policy says
    mode: Mode | None = None
    target: Literal["population", "golden"] | None = None
    anchor: bool = True  # False: base is itself the last release

    def adapt(self, policy: Policy | None) -> Policy:
        """*policy* as this check holds to it. What is asked for here holds for base's policies and head's alike."""
        found = policy or Policy()
        return replace(found, mode=self.mode or found.mode, target=self.target or found.target)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """The world of a check. `open_plugins` loads those that a registry's settings name from below a folder; `weights` likewise.

    `scratch` is an empty folder for what is taken out of Git.
    """

    registry: Registry
    store: Store | None
    env: Mapping[str, str]
    now: Callable[[], float]
    progress: Progress
    open_plugins: Callable[[Registry, Path], Plugins]
    weights: Callable[[str, Path], WeightsFile]
    scratch: Path
    announce: Callable[[str], None]
