"""What the shell offers when TAB is pressed: the names of this registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptreg.errors import PromptregError

if TYPE_CHECKING:
    import click

    from promptreg.registry import Registry


def complete_prompts(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    opened = _registry()
    return [] if opened is None else [name for name in opened.prompt_names() if name.startswith(incomplete)]


def complete_suites(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    opened = _registry()
    return [] if opened is None else [name for name in opened.suite_names() if name.startswith(incomplete)]


def complete_models(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:  # noqa: ARG001
    opened = _registry()
    return [] if opened is None else [name for name in opened.settings.models if name.startswith(incomplete)]


def _registry() -> Registry | None:
    """None where there is nothing to offer: a completion must never print an error into the user's line."""
    from promptreg.cli.world import open_registry

    try:
        return open_registry()
    except PromptregError:
        return None
