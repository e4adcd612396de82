"""Whether prompts still behave as they were released: told from object ids where the bytes are the same, else from digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

from promptreg.core.identity import behaviour_digest, included
from promptreg.core.prompt import Prompt
from promptreg.core.releases import Release
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.registry.prompts import PROMPTS


def changed_since(registry: Registry, last: Mapping[str, Release]) -> frozenset[str]:
    """The names among *last* whose prompt in *registry* behaves otherwise than that release does, or cannot be compared with it."""
    prompts = {name: registry.prompt(name) for name in last}
    files = {name: list(_files(prompt)) for name, prompt in prompts.items()}
    places = [(last[name].commit, path) for name, paths in files.items() for path in paths]
    there = dict(zip(places, registry.history.oids(places), strict=True)) if places else {}
    same = {
        name: all(there[last[name].commit, path] == _oid(registry, path, last[name].commit) for path in paths)
        for name, paths in files.items()
    }
    return frozenset(name for name, is_same in same.items() if not is_same and _differs(registry, prompts[name], last[name]))


def _files(prompt: Prompt) -> Iterator[str]:
    """All files that *prompt* is made of."""
    yield f"{PROMPTS}{prompt.name}.yaml"
    yield from (PROMPTS + path for path in (included(prompt) if prompt.partials else ()))


def _oid(registry: Registry, path: str, commit: str) -> str:
    """The id that the bytes of *path* have in a repository like the one of *commit*."""
    content = registry.snapshot.read(path)
    algorithm = hashlib.sha1 if len(commit) == 40 else hashlib.sha256  # Git's own ids, for a comparison only
    return algorithm(b"blob %d\0" % len(content) + content).hexdigest()


def _differs(registry: Registry, prompt: Prompt, release: Release) -> bool:
    try:
        return behaviour_digest(registry.prompt(f"{prompt.name}@git:{release.commit}")) != behaviour_digest(prompt)
    except UsageError:
        return True
