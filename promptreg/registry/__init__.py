"""Where prompts and suites lie: a folder with promptreg.yaml, usually in Git. The door to Git; knows no meaning of prompts."""

from __future__ import annotations

from promptreg.core.names import check_name
from promptreg.registry.registry import Registry, open_registry, open_repository, open_revision
from promptreg.registry.snapshot import Snapshot, WorkingTree

__all__ = [
    "Registry",
    "Snapshot",
    "WorkingTree",
    "check_name",
    "open_registry",
    "open_repository",
    "open_revision",
]
