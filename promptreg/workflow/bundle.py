"""Resolves references and binds what they mean into one bundle for production."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptreg.core.bundle import Bundle
from promptreg.core.bundle.binding import bind, wanted
from promptreg.errors import UsageError
from promptreg.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleRequest:
    """What to bundle: these references; or, when there are none, all prompts.

    Of each prompt: the releases that a label, `latest` or `greatest` means; with *every*, all that stand; with *working*, its
    working copy instead.
    """

    references: Sequence[str] = ()
    every: bool = False
    working: bool = False


def bundle(registry: Registry, request: BundleRequest) -> Bundle:
    """The bundle that *request* asks for. UsageError for what cannot be resolved, and when there would be nothing in it."""
    references = tuple(request.references) or _everything(registry, request)
    if not references:
        raise UsageError(
            "nothing is released here" if not request.working else "there is no prompt here",
            hint="release a prompt, or bundle the working tree with --working",
        )
    return bind(registry.settings.registry, (registry.resolve(reference) for reference in references), registry.state)


def _everything(registry: Registry, request: BundleRequest) -> tuple[str, ...]:
    if request.working:
        return registry.prompt_names()
    state = registry.state
    return tuple(f"{name}@{version}" for name in state.names for version in wanted(state.artefact(name), every=request.every))
