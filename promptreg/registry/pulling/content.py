"""What a release of a source holds: a prompt's file and the partials it includes, from objects alone. Knows no tags.

A source is foreign: its tree may name anything. Links, submodules, odd paths, too many or too large files are refused, whether or
not the prompt needs them, since nobody could say what they are for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from promptreg import documents
from promptreg.core.canonical import Digest
from promptreg.core.lock import check_file
from promptreg.core.names import did_you_mean, shown
from promptreg.errors import PromptregError, PullError, UsageError
from promptreg.registry.objects import FILES, FOLDER, LINK, SUBMODULE, Entry
from promptreg.registry.prompts import PROMPTS, VENDOR, is_partial
from promptreg.registry.pulling.cache import Cache
from promptreg.registry.pulling.vendored import text
from promptreg.registry.snapshot import MAX_BYTES, refuse_pointer

_SETTINGS = "promptreg.yaml"
_KINDS = {LINK: "a symbolic link", SUBMODULE: "a submodule"}
_MOST = 2000  # files of one commit that are read
_MOST_BYTES = 16 << 20  # of them together


@dataclass(frozen=True, slots=True)
class Wish:
    """A prompt at a commit of the source."""

    name: str
    commit: str


@dataclass(frozen=True, slots=True)
class Content:
    """Path (from the source's prompts/) to bytes of a prompt and of every partial that it includes; and what it does."""

    files: Mapping[str, bytes]
    behaviour: Digest


def contents(cache: Cache, source: str, wishes: Sequence[Wish]) -> list[Content]:
    """What each of *wishes* is: a prompt that can be parsed, with its partials.

    PullError, names *source*.
    """
    try:
        listings = {commit: _listing(cache, commit) for commit in dict.fromkeys(wish.commit for wish in wishes)}
        needed = [_needed(listings[wish.commit], wish) for wish in wishes]
        cache.bring(entry.oid for files in needed for entry in files.values())
        return [_content(cache, files, f"{source}:{wish.name}") for wish, files in zip(wishes, needed, strict=True)]
    except PullError as fault:
        raise PullError(f"{source}: {fault.message}", where=fault.where, hint=fault.hint) from fault


def _listing(cache: Cache, commit: str) -> dict[str, Entry]:
    """Path (from prompts/) to entry of every file in the prompts/ of the registry that *commit* holds."""
    folder = _folder(cache, commit) + PROMPTS
    found: dict[str, Entry] = {}
    for path, entry in cache.objects.tree(commit, folder.rstrip("/")).items():
        if entry.mode == FOLDER or (own := path.removeprefix(folder)) == path or path.startswith(VENDOR):
            continue
        if entry.mode not in FILES:
            kind = _KINDS.get(entry.mode, f"of mode {entry.mode}")
            raise PullError(f"{shown(path)} is {kind}", hint="only plain files are pulled: tell the source's owners")
        if not any(segment.startswith(".") and segment not in (".", "..", ".git") for segment in own.split("/")):
            _checked(own)
            found[own] = entry
    return found


def _checked(path: str) -> None:
    try:
        check_file(path)
    except UsageError as fault:
        raise PullError(fault.message, hint="tell the source's owners") from fault


def _folder(cache: Cache, commit: str) -> str:
    """Where in its repository the registry lies: at the root, or in the only folder that has its settings."""
    top = cache.objects.tree(commit, deep=False)
    if _SETTINGS in top or PROMPTS.rstrip("/") in top:
        return ""
    every = cache.objects.tree(commit)
    folders = [path.removesuffix(_SETTINGS) for path in every if path.endswith(f"/{_SETTINGS}")]
    if len(folders) != 1:
        problem = "several registries" if folders else "no registry"
        raise PullError(f"there is {problem} at {commit[:12]}", hint="a source has its promptreg.yaml at its root")
    return folders[0]


def _needed(listing: Mapping[str, Entry], wish: Wish) -> Mapping[str, Entry]:
    """The prompt's file, first, and every partial: which of them it includes is known once they are read."""
    path = f"{wish.name}.yaml"
    if path not in listing:
        guess = did_you_mean(path, [each for each in listing if each.endswith(".yaml")])
        raise PullError(
            f"there is no prompts/{path} at {wish.commit[:12]}{guess}", hint="the tag points at another commit than it should"
        )
    found = {path: listing[path], **{each: entry for each, entry in listing.items() if is_partial(each)}}
    if len(found) > _MOST:
        raise PullError(f"it has more than {_MOST:,} partials", hint="tell the source's owners")
    return found


def _content(cache: Cache, files: Mapping[str, Entry], name: str) -> Content:
    from promptreg.core.identity import behaviour_digest, included

    content: dict[str, bytes] = {}
    for path, entry in files.items():
        found = cache.objects.read(entry.oid, MAX_BYTES)
        if found is None or sum(map(len, content.values())) + len(found) > _MOST_BYTES:
            raise PullError(
                f"prompts/{path} is too large", hint=f"a file has at most {MAX_BYTES:,} bytes; tell the source's owners"
            )
        content[path] = found
    own, *partials = content
    try:
        for path in content:
            refuse_pointer(content[path], path)
        texts = {path: text(content[path]) for path in partials}
        prompt = documents.prompt(content[own], f"{name.partition(':')[0]}:prompts/{own}", name, texts)
        kept, behaviour = {own, *included(prompt)}, behaviour_digest(prompt)
    except UnicodeDecodeError as fault:
        raise PullError(f"a partial is not UTF-8: {fault}", hint="tell the source's owners") from fault
    except PromptregError as fault:
        raise PullError(f"{name.partition(':')[2]} cannot be read: {fault.message}", where=fault.where, hint=fault.hint) from fault
    _refuse_twins(kept)
    return Content({path: content[path] for path in content if path in kept}, behaviour)


def _refuse_twins(paths: set[str]) -> None:
    """Where case does not count in file names, one of two would overwrite the other."""
    if len({path.casefold() for path in paths}) < len(paths):
        raise PullError("two of its files differ in upper and lower case only", hint="tell the source's owners")
