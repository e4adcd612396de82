"""The plugin contract, whole, on one page. Built-ins come through the same hooks as strangers.

A plugin is a module with any of these functions, decorated with `@promptreg.hookimpl`. It is found through the entry point
group `promptreg`, or as a file under `plugins/` that promptreg.yaml names.

Each hook returns a mapping from the name users write to a class, or to a `"module:Class"` path that is imported on first use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import pluggy

from promptreg.core.protocols import Metric, Provider, Publisher, Reporter

PROJECT = "promptreg"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Providers: TypeAlias = Mapping[str, "type[Provider] | str"]
Metrics: TypeAlias = Mapping[str, "type[Metric] | str"]
Reporters: TypeAlias = Mapping[str, "type[Reporter] | str"]
Publishers: TypeAlias = Mapping[str, "type[Publisher] | str"]


@hookspec
def promptreg_providers() -> Providers:  # type: ignore[empty-body]
    """Model APIs, by the name that `provider:` uses."""


@hookspec
def promptreg_metrics() -> Metrics:  # type: ignore[empty-body]
    """Metrics, by the name that a check uses."""


@hookspec
def promptreg_reporters() -> Reporters:  # type: ignore[empty-body]
    """Report formats, by file ending (`.md`) or name."""


@hookspec
def promptreg_publishers() -> Publishers:  # type: ignore[empty-body]
    """Destinations and artefacts, by name."""
