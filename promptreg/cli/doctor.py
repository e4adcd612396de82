"""`promptreg doctor`: what is wrong here, and what to type."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.console import Console, count, output_options, printable
from promptreg.errors import ExitCode, PromptregError

if TYPE_CHECKING:
    from promptreg.core.diagnosis import Diagnosis
    from promptreg.registry import Registry

REFUSED = ("safe-directory", "repository", "broken-repository")
COLOURS = {"error": "red", "warning": "yellow", "note": "blue", "ok": "green"}


@click.command("doctor", short_help="Find what is wrong here, and how to mend it.")
@output_options
def command(console: Console) -> int:
    """Examine this machine, its Git, the repository, the registry, its models and its store; say for each finding what to type.

    Keys are told of by name only, never by value. Nothing is changed and nothing is fetched. With --quiet only what can be mended.
    Exit code 2 when there is an error; warnings and notes do not fail.
    """
    from promptreg.core.diagnosis import LEVELS

    found = sorted(_found(), key=lambda diagnosis: LEVELS.index(diagnosis.level))
    console.data(
        {
            "schema": "promptreg/doctor/1",
            "findings": [
                {"level": each.level, "rule": each.rule, "message": each.message, "remedy": each.remedy or None} for each in found
            ],
        }
    )
    for each in found:
        if console.quiet and each.level == "ok":
            continue
        level = click.style(f"{each.level}:", fg=COLOURS[each.level], bold=True)
        console.say(f"{level} {printable(each.message)} [{each.rule}]")
        if each.remedy:
            console.say(f"  remedy: {printable(each.remedy)}")
    errors, warnings = (sum(each.level == level for each in found) for level in ("error", "warning"))
    console.note(f"{count(errors, 'error')}, {count(warnings, 'warning')}")
    return ExitCode.USAGE if errors else ExitCode.OK


def _found() -> Iterator[Diagnosis]:
    """Everything, from the ground up. What cannot be opened is a finding, and what rests on it is left out."""
    from promptreg.cli import clashes
    from promptreg.registry.condition import examine
    from promptreg.workflow.doctor import Machine, as_diagnosis, examine_machine

    here = Path.cwd()
    yield from examine_machine(Machine(python=sys.version_info[:3], clashes=list(clashes()), env=os.environ))
    try:
        opened = _opened()
    except PromptregError as fault:
        yield from examine(here, os.environ, ())
        yield from as_diagnosis("registry", fault)
        return
    with opened:
        found = list(examine(opened.root, os.environ, ("prompts", "suites"), sorted(opened.settings.label_signers)))
        yield from found
        yield from _registry(opened, refused=any(each.level == "error" and each.rule in REFUSED for each in found))


def _opened() -> Registry:
    from promptreg.cli.world import open_readable

    return open_readable()


def _registry(opened: Registry, *, refused: bool) -> Iterator[Diagnosis]:
    """What lies in the registry; when git *refused* to look at it, nobody can say whose the store is."""
    from promptreg.cli.world import store_path, tracked_store, untrack
    from promptreg.workflow.doctor import as_diagnosis, examine_registry, examine_store

    try:
        yield from examine_registry(opened, os.environ)
        if opened.snapshot.commit is None and not refused:
            tracked = tracked_store(opened)
            yield from examine_store(store_path(opened.root), tracked, untrack(tracked) if tracked else "")
    except PromptregError as fault:
        yield from as_diagnosis("registry", fault)
