"""Where prompts and suites lie: a folder with promptreg.yaml, usually in Git. The door to Git; knows no meaning of prompts."""

from __future__ import annotations

from promptreg.registry.registry import Registry, check_name, open_registry
from promptreg.registry.snapshot import Snapshot, WorkingTree

__all__ = ["Registry", "Snapshot", "WorkingTree", "check_name", "open_registry"]
