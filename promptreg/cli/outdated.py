"""`promptreg outdated`: pulled prompts beside what their sources have now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.console import Console, columns, output_options
from promptreg.cli.sources import described, offline_option, open_yard

if TYPE_CHECKING:
    from promptreg.workflow.pull import Age


@click.command("outdated", short_help="Show pulled prompts that have newer releases.")
@offline_option
@output_options
def command(console: Console, offline: bool) -> None:
    """Show every pulled prompt, what its selector means now, and the greatest release. Changes nothing; the exit code is 0."""
    from promptreg.workflow.pull import outdated

    ages = outdated(open_yard(console, offline=offline))
    console.data(
        {
            "schema": "promptreg/outdated/1",
            "prompts": [
                {
                    **described(age.source, age.locked),
                    "wanted": str(age.wanted.version) if age.wanted else None,
                    "greatest": str(age.greatest.version) if age.greatest else None,
                    "outdated": _outdated(age),
                    "withdrawn": age.withdrawn,
                    "deprecated": age.deprecated or None,
                    "problem": age.problem or None,
                }
                for age in ages
            ],
        }
    )
    rows = [
        (
            f"{age.source}:{age.locked.name}",
            age.locked.selector,
            age.locked.version,
            age.wanted.version if age.wanted else "none",
            age.greatest.version if age.greatest else "none",
            _remarks(age),
        )
        for age in ages
    ]
    headers = ("prompt", "selector", "pulled", "wanted", "greatest", "")
    console.say(columns(headers, rows) if rows else "nothing was pulled yet")


def _outdated(age: Age) -> bool:
    """Whether `update` would change it."""
    return age.wanted is not None and age.wanted.version != age.locked.version


def _remarks(age: Age) -> str:
    remarks = [
        "withdrawn" if age.withdrawn else "",
        "deprecated" if age.deprecated else "",
        age.problem,
        "update" if _outdated(age) else "",
    ]
    return ", ".join(remark for remark in remarks if remark)
