"""Files that a command's report goes to. The plugin for pytest writes them, too, so that they are written in `workflow`."""

from __future__ import annotations

from promptreg.workflow.reports import refuse_unwritable, reporter_for, secrets_of, write

__all__ = ["refuse_unwritable", "reporter_for", "secrets_of", "write"]
