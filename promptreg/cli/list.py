"""`promptreg list`: the prompts of the registry, their releases and labels, and what covers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.console import Console, columns, output_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from promptreg.core.releases import Artefact
    from promptreg.core.suite import Suite
    from promptreg.registry import Registry


@click.command("list", short_help="List prompts, their releases, and the suites that test them.")
@click.argument("patterns", nargs=-1)
@output_options
def command(console: Console, patterns: tuple[str, ...]) -> None:
    """List prompts (all, or those that match PATTERNS) with their inputs and the suites that test them.

    Where prompts are released: also the greatest version, the labels, and whether the working copy behaves otherwise than that
    version (`changed`). Where something is recorded on the runs branch: when the prompt, as it is now, was last tested, whether
    that is fresh, ageing or stale, and how likely it has rotted since.
    """
    from promptreg.cli.freshness import as_json, columns_of, last_tests_of
    from promptreg.cli.world import open_readable
    from promptreg.core.names import unversioned
    from promptreg.core.select import matching

    with open_readable() as opened:
        names = matching(patterns, opened.prompt_names(), "prompt")
        suites = [opened.suite(name) for name in opened.suite_names()]
        tested = {suite.name: set(map(unversioned, _prompts(opened, suite))) for suite in suites}
        covered = {name: [suite for suite, prompts in tested.items() if name in prompts] for name in names}
        prompts = [opened.prompt(name) for name in names]
        artefacts = {name: opened.state.artefact(name) for name in names}
        states = _states(opened, artefacts)
        found = last_tests_of(opened, prompts, {name: [each for each in suites if each.name in covered[name]] for name in names})
    console.data(
        {
            "schema": "promptreg/list/1",
            "prompts": [
                {
                    "prompt": prompt.name,
                    "description": prompt.description,
                    "inputs": list(prompt.inputs),
                    "suites": covered[prompt.name],
                    "version": _version(artefacts[prompt.name]) or None,
                    "labels": dict(_labels(artefacts[prompt.name])),
                    "state": states[prompt.name],
                    "deprecated": artefacts[prompt.name].deprecation is not None,
                    **as_json(found.get(prompt.name)),
                }
                for prompt in prompts
            ],
        }
    )
    released = any(artefact.releases for artefact in artefacts.values())
    rows: list[Sequence[str]] = []
    for prompt in prompts:
        known = artefacts[prompt.name]
        labels = ", ".join(f"{label} {version}" for label, version in _labels(known)) or "–"
        going = " (deprecated)" if known.deprecation else ""
        standing = (_version(known) or "–", labels, states[prompt.name] + going) if released else ()
        fresh = columns_of(found.get(prompt.name)) if found else ()
        rows.append((prompt.name, *standing, *fresh, ", ".join(prompt.inputs), ", ".join(covered[prompt.name]) or "untested"))
    shown = (*(("version", "labels", "state") if released else ()), *(("tested", "", "rot risk") if found else ()))
    console.say(columns(("prompt", *shown, "inputs", "suites"), rows))


def _states(opened: Registry, artefacts: dict[str, Artefact]) -> dict[str, str]:
    """`unreleased`, or whether the prompt is `changed` or the `same` since its greatest release."""
    from promptreg.workflow.standing import changed_since

    greatest = {name: last for name, artefact in artefacts.items() if (last := artefact.greatest)}
    changed = changed_since(opened, greatest)
    return {name: "unreleased" if name not in greatest else "changed" if name in changed else "same" for name in artefacts}


def _version(artefact: Artefact) -> str:
    return str(artefact.greatest.version) if artefact.greatest else ""


def _labels(artefact: Artefact) -> list[tuple[str, str]]:
    return [(label, str(move.version or "unknown")) for label, move in artefact.labels.items()]


def _prompts(opened: Registry, suite: Suite) -> tuple[str, ...]:
    return opened.prompts_matching(suite.prompts, suite.place("prompts"))
