"""Which suites a change could concern: told from paths and bytes, before anything is parsed. Sure about those it passes over.

A suite is passed over when neither it, nor its dataset, nor a prompt it could mean, nor a partial of one, nor the settings changed.
What cannot be told from the bytes (globs, escapes) counts as concerned; rendering decides later what really is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from promptreg.registry import Registry
from promptreg.registry.changes import Changes
from promptreg.registry.prompts import PROMPTS, is_partial, is_pulled
from promptreg.registry.registry import SETTINGS, SUITES
from promptreg.workflow.check.sides import files_of

LOCK = "promptreg.lock"
DATA = (".jsonl", ".csv", ".yaml", ".yml")
UNCLEAR = re.compile(rb"[*?\\]|[\w/-]\[|\][\w/-]")  # a glob, or an escape that could spell any name


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What changed, as names. `prompts` holds those whose file or partials changed, at either revision."""

    changes: Changes
    settings: bool  # promptreg.yaml, or a file that it names
    prompts: frozenset[str]
    renamed: Mapping[str, str]  # prompt in head → prompt in base
    partials: frozenset[str]  # include paths

    @property
    def paths(self) -> frozenset[str]:
        return self.changes.paths

    @property
    def anything(self) -> bool:
        return self.settings or bool(self.prompts) or any(_own(path) for path in self.paths)


def reach(base: Registry, head: Registry, changes: Changes) -> Reach:
    """What the changed paths mean."""
    paths = changes.paths
    named = {SETTINGS, LOCK, *files_of(base.settings), *files_of(head.settings)}
    settings = any(changes.touches(path) for path in named)
    partials = {path.removeprefix(PROMPTS) for path in paths if path.startswith(PROMPTS) and is_partial(path)}
    prompts = {name for path in paths if (name := _prompt(path))}
    for registry in (base, head) if partials else ():
        prompts |= _including(registry, partials)
    return Reach(
        changes=changes,
        settings=settings,
        prompts=frozenset(prompts),
        renamed={new: old for path, was in changes.renamed.items() if (new := _prompt(path)) and (old := _prompt(was))},
        partials=frozenset(partials),
    )


def concerned(base: Registry, head: Registry, reached: Reach) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(suites that could be concerned, the others), sorted, of both revisions."""
    names = sorted({*base.suite_names(), *head.suite_names()})
    if reached.settings:
        return tuple(names), ()
    needles = [*reached.prompts, *(path.rpartition("/")[2] for path in reached.paths if _is_data(path))]
    named = re.compile(b"(?<![\\w/-])(?:" + b"|".join(re.escape(needle.encode()) for needle in needles) + b")(?![\\w/-])")
    chosen = [name for name in names if _touched(name, base, head, reached, named)] if needles else []
    kept = set(chosen)
    return tuple(chosen), tuple(name for name in names if name not in kept)


def _touched(name: str, base: Registry, head: Registry, reached: Reach, named: re.Pattern[bytes]) -> bool:
    path = f"{SUITES}{name}.yaml"
    if path in reached.paths:
        return True
    source = (head if name in head.suite_names() else base).snapshot.read(path)  # the same bytes at both
    return named.search(source) is not None or (bool(reached.prompts) and UNCLEAR.search(_prompts_of(source)) is not None)


def _prompts_of(source: bytes) -> bytes:
    """The part of a suite's file that names its prompts: all before `checks:` or `cases:`, if they come first."""
    ends = [end for key in (b"\nchecks:", b"\ncases:") if (end := source.find(key)) >= 0]
    start = source.find(b"prompts:")
    return source if not ends or start < 0 or start > min(ends) or source.find(b"prompts:", min(ends)) >= 0 else source[: min(ends)]


def _including(registry: Registry, partials: Iterable[str]) -> set[str]:
    """Prompts of *registry* that could include one of *partials*, directly or through others."""
    reached = {path.encode() for path in partials}
    texts = {path: text.encode() for path, text in registry.partials.items()}
    grown = True
    while grown:
        more = {path.encode() for path, text in texts.items() if path.encode() not in reached and _mentions(text, reached)}
        reached |= more
        grown = bool(more)
    return {name for name in registry.prompt_names() if _mentions(registry.source(name), reached)}


def _mentions(text: bytes, paths: Iterable[bytes]) -> bool:
    return b"\\" in text or any(path in text for path in paths)


def _prompt(path: str) -> str:
    """The prompt whose file *path* is; empty for any other."""
    inside = path.startswith(PROMPTS) and path.endswith(".yaml") and not is_pulled(path)
    return path.removeprefix(PROMPTS).removesuffix(".yaml") if inside else ""


def _own(path: str) -> bool:
    return path.startswith((PROMPTS, SUITES)) or path in (SETTINGS, LOCK) or _is_data(path)


def _is_data(path: str) -> bool:
    """Whether *path* could be a suite's dataset, which may lie anywhere; a folder's link stands for all in it."""
    return path.startswith(SUITES) or path.endswith(DATA) or "." not in path.rpartition("/")[2]
