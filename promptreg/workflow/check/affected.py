"""Which suites a change could concern: told from paths and bytes, before anything is parsed. Sure about those it passes over.

A suite is passed over when neither it, nor its dataset, nor a prompt it could mean, nor a partial of one, nor the settings changed.
What cannot be told from the bytes (globs, escapes, a dataset's name written oddly) counts as concerned; rendering decides later
what really is.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from promptreg.core.lock import LOCK
from promptreg.registry import Registry
from promptreg.registry.changes import Changes
from promptreg.registry.prompts import PROMPTS, is_partial, is_pulled
from promptreg.registry.pulling.vendored import folder_of
from promptreg.registry.registry import SETTINGS, SUITES
from promptreg.workflow.check.sides import files_of

UNCLEAR = re.compile(rb"[*?\\]|[\w/\"'-]\[|\][\w/-]")  # a glob, or an escape that could spell any name
WORD = re.compile(rb"[\w/-]+")  # what could be a prompt's name
JOINED = re.compile(rb"\\|[\"']\s*[\"']")  # an escape, or texts side by side, one to a template: any path
ODD = re.compile(rb"[\s'\"]")  # in a partial's path: YAML may write it in several ways
PULLED = re.compile(rb"[\w-]:[^\s]")  # SOURCE:NAME
# the key as nearly all write it; an indented or empty line behind it may go on with the name
DATASET = re.compile(rb"^dataset:[ \t]+([\"']?)([\w./-]+)\1[ \t]*(?:#.*)?\r?(?:\n(?=[^ \t\r\n])|\n?\Z)", re.MULTILINE)
SPELT = re.compile(rb"\\[xuU\r\n]")  # by such escapes a key could be written otherwise


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What changed, as names. `prompts` holds those whose file or partials changed, at either revision."""

    changes: Changes
    settings: bool  # promptreg.yaml, or a file that it names
    prompts: frozenset[str]  # of pulled ones, SOURCE:NAME
    renamed: Mapping[str, str]  # prompt in head → prompt in base

    @property
    def paths(self) -> frozenset[str]:
        return self.changes.paths

    @property
    def anything(self) -> bool:
        return bool(self.paths)

    @property
    def elsewhere(self) -> bool:
        """Whether anything changed that is no prompt and no partial: then it may be a suite's data."""
        return any(not _prompt(path) and not (path.startswith(PROMPTS) and is_partial(path)) for path in self.paths)


def reach(base: Registry, head: Registry, changes: Changes) -> Reach:
    """What the changed paths mean."""
    paths = changes.paths
    named = {SETTINGS, LOCK, *files_of(base.settings), *files_of(head.settings)}
    own = [path for path in paths if path.startswith(PROMPTS) and not is_pulled(path)]
    prompts = {name for path in own if (name := _prompt(path))}
    partials = {path.removeprefix(PROMPTS) for path in own if is_partial(path)}
    for registry in (base, head) if partials else ():
        prompts |= _including(registry, partials)
    if LOCK in paths or any(is_pulled(path) for path in paths):
        prompts |= _pulled(base, head, changes)
    return Reach(
        changes=changes,
        settings=any(changes.touches(path) for path in named),
        prompts=frozenset(prompts),
        renamed={new: old for path, was in changes.renamed.items() if (new := _prompt(path)) and (old := _prompt(was))},
    )


def _pulled(base: Registry, head: Registry, changes: Changes) -> set[str]:
    """Pulled prompts that the locks hold otherwise, or whose files changed behind the lock's back."""
    before, after = ({f"{source}:{each.name}": (source, each) for source, each in side.pulled.lock} for side in (base, head))
    touched = {name for name, (source, each) in after.items() if changes.touches(folder_of(source, each).rstrip("/"))}
    return touched | {name for name in {*before, *after} if before.get(name) != after.get(name)}


def concerned(base: Registry, head: Registry, reached: Reach) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(suites that could be concerned, the others), sorted, of both revisions."""
    names = sorted({*base.suite_names(), *head.suite_names()})
    if reached.settings:
        return tuple(names), ()
    prompts = frozenset(name.encode() for name in reached.prompts)
    elsewhere = reached.elsewhere
    chosen = [name for name in names if _touched(name, (base, head), reached, prompts, elsewhere=elsewhere)]
    kept = set(chosen)
    return tuple(chosen), tuple(name for name in names if name not in kept)


def _touched(
    name: str, registries: tuple[Registry, Registry], reached: Reach, prompts: frozenset[bytes], *, elsewhere: bool
) -> bool:
    path = f"{SUITES}{name}.yaml"
    if path in reached.paths:
        return True
    base, head = registries
    source = (head if name in head.suite_names() else base).snapshot.read(path)  # the same bytes at both
    if prompts:
        said = _prompts_of(source)
        if not prompts.isdisjoint(WORD.findall(source)) or UNCLEAR.search(said) or PULLED.search(said):
            return True
    return elsewhere and _data_changed(source, posixpath.dirname(path), reached.changes)


def _data_changed(source: bytes, folder: str, changes: Changes) -> bool:
    """Whether the data of a suite could be other than before; they may lie anywhere."""
    found = DATASET.findall(source)
    if SPELT.search(source) or source.count(b"dataset") != len(found) or len(found) > 1:
        return True
    return any(changes.touches(posixpath.normpath(posixpath.join(folder, path.decode()))) for _, path in found)


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
    return JOINED.search(text) is not None or any(path in text or ODD.search(path) is not None for path in paths)


def _prompt(path: str) -> str:
    """The prompt whose file *path* is; empty for any other."""
    inside = path.startswith(PROMPTS) and path.endswith(".yaml") and not is_pulled(path)
    return path.removeprefix(PROMPTS).removesuffix(".yaml") if inside else ""
