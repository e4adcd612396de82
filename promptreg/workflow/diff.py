"""Two references to a prompt, held beside each other; and what a model would see of the difference over a suite's data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from promptreg.core.change import Bump, change
from promptreg.core.difference import Difference, TextChange, difference, rendered_changes
from promptreg.core.prompt import Message, Prompt
from promptreg.core.refs import Reference, Revision, parse_reference
from promptreg.core.render import Renderer
from promptreg.core.suite import Case
from promptreg.errors import UsageError
from promptreg.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedCase:
    """A case that the two render differently; `problem` says which of them cannot render it, and why."""

    case: str
    where: str
    changes: tuple[TextChange, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """Counts over a suite's cases, and the first few that differ. `one_side` and `neither` count what could not be rendered."""

    suite: str
    same: int
    different: int
    one_side: int
    neither: int
    shown: tuple[RenderedCase, ...]

    @property
    def cases(self) -> int:
        return self.same + self.different + self.one_side + self.neither


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was compared, as references that name both sides, and the result. `step`: what a release of it would need."""

    before: Reference
    after: Reference
    difference: Difference
    step: Bump
    rendered: Rendered | None = None

    @property
    def any(self) -> bool:
        rendered = self.rendered
        return self.difference.any or (rendered is not None and rendered.different + rendered.one_side > 0)


def diff(registry: Registry, one: str, other: str | None, *, suite: str | None = None, show: int = 3) -> Compared:
    """Compares *one* with *other* (default: the working copy; `@SELECTOR` alone is of the same name).

    A name alone on both sides compares the last commit with the working copy. Of *suite*'s cases at most *show* are kept.
    """
    before, after = _sides(one, other)
    old, new = registry.prompt(str(before)), registry.prompt(str(after))
    rendered = None if suite is None else _rendered(registry, suite, old, new, show)
    return Compared(before=before, after=after, difference=difference(old, new), step=change(old, new).floor, rendered=rendered)


def _sides(one: str, other: str | None) -> tuple[Reference, Reference]:
    before = parse_reference(one)
    if other is None:
        after = replace(before, selector=None)
    elif other.startswith("@"):
        after = parse_reference(f"{one.partition('@')[0]}{other}")
    else:
        after = parse_reference(other)
    if before == after and before.selector is None:
        before = replace(before, selector=Revision("HEAD"))
    return before, after


def _rendered(registry: Registry, suite: str, old: Prompt, new: Prompt, show: int) -> Rendered:
    counts = {"same": 0, "different": 0, "one_side": 0, "neither": 0}
    shown: list[RenderedCase] = []
    for word, found in _cases(registry.cases(registry.suite(suite)), Renderer(old), Renderer(new)):
        counts[word] += 1
        if found is not None and len(shown) < show:
            shown.append(found)
    if not any(counts.values()):
        raise UsageError(f"suite '{suite}' has no cases", hint="add some: promptreg case add")
    return Rendered(suite=suite, **counts, shown=tuple(shown))


def _cases(cases: Iterator[Case], old: Renderer, new: Renderer) -> Iterator[tuple[str, RenderedCase | None]]:
    for case in cases:
        before, after = _messages(old, case), _messages(new, case)
        place = str(case.where or "")
        if isinstance(before, UsageError) and isinstance(after, UsageError):
            yield "neither", None
        elif isinstance(before, UsageError):
            yield (
                "one_side",
                RenderedCase(case=case.id, where=place, problem=f"only the new one renders it; the old one: {before.message}"),
            )
        elif isinstance(after, UsageError):
            yield (
                "one_side",
                RenderedCase(case=case.id, where=place, problem=f"only the old one renders it; the new one: {after.message}"),
            )
        elif before == after:
            yield "same", None
        else:
            yield "different", RenderedCase(case=case.id, where=place, changes=rendered_changes(before, after))


def _messages(renderer: Renderer, case: Case) -> tuple[Message, ...] | UsageError:
    try:
        return renderer.messages(case.inputs, case.where)
    except UsageError as fault:
        return fault
