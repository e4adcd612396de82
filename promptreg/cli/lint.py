"""`promptreg lint`: what can be known without a model."""

from __future__ import annotations

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, count, output_options, printable
from promptreg.errors import ExitCode

COLOURS = {"error": "red", "warning": "yellow", "note": "blue"}


@click.command("lint", short_help="Check prompts, suites and data without a model.")
@click.argument("patterns", nargs=-1, shell_complete=complete_prompts)
@output_options
def command(console: Console, patterns: tuple[str, ...]) -> int:
    """Check prompts (all, or those that match PATTERNS), suites and every row of their data without calling a model.

    Exit code 2 when there is an error; warnings and notes do not fail.
    """
    from promptreg.cli.world import open_world
    from promptreg.workflow.lint import lint

    with open_world(console, stored=False) as world:
        findings = lint(world, patterns)
    console.data(
        {
            "schema": "promptreg/lint/1",
            "findings": [
                {
                    "level": finding.level,
                    "rule": finding.rule,
                    "message": finding.message,
                    "path": finding.where.path,
                    "line": finding.where.line,
                    "column": finding.where.column,
                    "hint": finding.hint,
                }
                for finding in findings
            ],
        }
    )
    for finding in findings:
        level = click.style(f"{finding.level}:", fg=COLOURS[finding.level], bold=True)
        console.say(f"{level} {printable(finding.message)} [{finding.rule}]\n  at {printable(str(finding.where))}")
        if finding.hint:
            console.say(f"  hint: {printable(finding.hint)}")
    errors = sum(finding.level == "error" for finding in findings)
    console.note(f"{count(errors, 'error')}, {count(len(findings) - errors, 'other finding')}")
    return ExitCode.USAGE if errors else ExitCode.OK
