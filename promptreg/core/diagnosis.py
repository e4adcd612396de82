"""What `promptreg doctor` says of a machine, a repository and a registry: one finding each, with the remedy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Level: TypeAlias = Literal["error", "warning", "note", "ok"]
LEVELS: tuple[Level, ...] = ("error", "warning", "note", "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """*level*: `error` (something will fail), `warning` (something may), `note` (worth knowing), `ok`. `remedy` is what to type."""

    level: Level
    rule: str
    message: str
    remedy: str = ""
