"""One format per file, for what a check says: a CheckReport in, text out. `words` is what all say, `masking` what none may.

A reporter that can show a check has `render_check(report)`; a plugin's need not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from promptreg.core.protocols import CheckReporter
from promptreg.core.verdict import CheckReport
from promptreg.errors import UsageError
from promptreg.reporters.check.masking import masked

__all__ = ["masked", "render_check", "shows_checks"]


def shows_checks(reporter: type[Any], asked: str) -> type[CheckReporter]:
    """*reporter* if it can show a check, else UsageError; *asked* is what the user wrote to get it. Ask before calls are paid."""
    if not callable(getattr(reporter, "render_check", None)):
        name = getattr(reporter, "name", reporter.__name__)
        message = f"the report format '{name}', asked for by {asked}, shows runs and no checks"
        raise UsageError(
            message, hint="choose .md, .html, .json, .xml or .sarif; or give the plugin's reporter a method render_check"
        )
    return cast("type[CheckReporter]", reporter)


def render_check(reporter: CheckReporter, report: CheckReport, secrets: Sequence[str] = ()) -> str:
    """What *reporter*, built in or a plugin's, makes of *report*; it never gets to see a secret."""
    return reporter.render_check(masked(report, secrets))
