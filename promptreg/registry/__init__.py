"""Where prompts and suites lie: a folder with promptreg.yaml, usually in Git. The door to Git; knows no meaning of prompts."""

from __future__ import annotations

from promptreg.core.names import check_name
from promptreg.registry.plumbing import is_bare, toplevel
from promptreg.registry.registry import Registry, open_registry, open_repository, open_revision
from promptreg.registry.snapshot import Snapshot, WorkingTree

__all__ = [
    "Registry",
    "Snapshot",
    "WorkingTree",
    "check_name",
    "is_bare",
    "open_registry",
    "open_repository",
    "open_revision",
    "toplevel",
]
