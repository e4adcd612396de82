"""What a registry says of itself in promptreg.yaml: its models, plugins, labels and budget."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from promptreg.core.catalogue import ModelSpec
from promptreg.core.plan import Budget
from promptreg.errors import Where

# full: as it came; redacted: with what looks like a secret or a person masked; digest: its SHA-256 only. Below `full` the records
# can be neither cache nor replay.
Retention: TypeAlias = Literal["full", "digest", "redacted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What a suite gets when it does not say."""

    model: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Where measurements are recorded in Git, and how much of an answer's text is kept there."""

    branch: str = "promptreg/runs"
    retention: Retention = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A foreign registry that prompts are pulled from. With `signers` (key files, from the root) its tags must be signed."""

    url: str
    signers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """promptreg.yaml, parsed. `models` maps aliases to catalogue entries; `plugins` are paths from the registry's root."""

    registry: str = ""
    plugins: tuple[str, ...] = ()
    models: Mapping[str, ModelSpec] = field(default_factory=dict)
    defaults: Defaults = field(default_factory=Defaults)
    labels: tuple[str, ...] = ()
    label_signers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # who must have signed a move, label by label
    uncovered: Literal["block", "warn"] = "block"
    runs: Runs = field(default_factory=Runs)
    budget: Budget = field(default_factory=Budget)
    sources: Mapping[str, Source] = field(default_factory=dict)
    where: Where = field(default=Where("promptreg.yaml"), compare=False)
    marks: Mapping[str, Where] = field(default_factory=dict, compare=False)

    def place(self, key: str) -> Where:
        """Where *key* (dotted) stands in the file, or the file itself."""
        return self.marks.get(key, self.where)
