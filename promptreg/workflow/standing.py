"""Whether prompts still behave as they were released: told from object ids where the bytes are the same, else from digests."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping

from promptreg.core.identity import behaviour_digest, included
from promptreg.core.releases import Release
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.registry.prompts import PROMPTS, Prompts


def changed_since(registry: Registry, last: Mapping[str, Release]) -> frozenset[str]:
    """The names among *last* whose prompt in *registry* behaves otherwise than that release does, or cannot be compared with it."""
    if not last:
        return frozenset()
    commits = {release.commit for release in last.values()}
    partials = [PROMPTS + path for path in registry.partial_paths()]
    here = _oids(registry, [*partials, *map(_path, last)], len(next(iter(commits))))
    places = [(release.commit, _path(name)) for name, release in last.items()]
    places += [(commit, path) for commit in commits for path in partials]
    there = dict(zip(places, registry.history.oids(places), strict=True))
    kept = {commit for commit in commits if all(there[commit, path] == here[path] for path in partials)}

    def same(name: str, commit: str) -> bool:
        if there[commit, _path(name)] != here[_path(name)]:
            return False
        try:
            return commit in kept or all(there[commit, path] == here[path] for path in _included(registry, name))
        except UsageError:
            return False

    at = functools.cache(lambda commit: Prompts(registry.history.revision(commit)))
    otherwise = (name for name, release in last.items() if not same(name, release.commit))
    return frozenset(name for name in otherwise if _differs(registry, at(last[name].commit), name))


def _path(name: str) -> str:
    return f"{PROMPTS}{name}.yaml"


def _included(registry: Registry, name: str) -> list[str]:
    return [PROMPTS + path for path in included(registry.prompt(name))]


def _oids(registry: Registry, paths: Iterable[str], digits: int) -> dict[str, str]:
    """The ids that the bytes of files have in a repository whose ids have that many *digits*."""
    algorithm = hashlib.sha1 if digits == 40 else hashlib.sha256  # Git's own ids, for a comparison only
    contents = ((path, registry.snapshot.read(path)) for path in paths)
    return {path: algorithm(b"blob %d\0" % len(content) + content).hexdigest() for path, content in contents}


def _differs(registry: Registry, released: Prompts, name: str) -> bool:
    try:
        return behaviour_digest(released.prompt(name)) != behaviour_digest(registry.prompt(name))
    except UsageError:
        return True
