"""One format per file for what rot says: a RotReport in, text out. `matrix` is what they all show: prompts × models.

A reporter that can show it has `render_rot(report)`; a plugin's need not.
"""

from __future__ import annotations

from typing import Any, cast

from promptreg.core.protocols import RotReporter
from promptreg.errors import UsageError
from promptreg.reporters.check.masking import masked

__all__ = ["masked", "shows_rot"]


def shows_rot(reporter: type[Any], asked: str) -> type[RotReporter]:
    """*reporter* if it can show a matrix, else UsageError; *asked* is what the user wrote to get it. Ask before calls are paid."""
    if not callable(getattr(reporter, "render_rot", None)):
        name = getattr(reporter, "name", reporter.__name__)
        message = f"the report format '{name}', asked for by {asked}, shows no matrix of models"
        raise UsageError(message, hint="choose .md, .html or .json; or give the plugin's reporter a method render_rot")
    return cast("type[RotReporter]", reporter)
