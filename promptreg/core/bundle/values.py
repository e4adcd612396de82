"""Prompts by name and version, as a bundle holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from promptreg.core.canonical import Digest
from promptreg.core.prompt import Prompt
from promptreg.core.semver import Version

SCHEMA = "promptreg/bundle/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """One prompt at one version; None is a working copy. `time` is the release's, in seconds since the epoch."""

    prompt: Prompt
    source: Digest
    behaviour: Digest
    version: Version | None = None
    time: int | None = None
    commit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """All that a bundle has of one name: versions ascending, after a working copy; labels of versions that it has.

    `deprecated` is None, or the reason and a replacement (or "").
    """

    versions: tuple[Bundled, ...]
    labels: Mapping[str, Version] = field(default_factory=dict)
    deprecated: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Prompts by name, and the registry they come from. `digest` is that of the file it was read from."""

    shelves: Mapping[str, Shelf]
    registry: str = ""
    digest: Digest = field(default=Digest(""), compare=False)
