"""References → released prompts, from a bundle that is read once, or kept fresh behind the caller's back."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from promptreg.core.bundle import MAX_BYTES, Bundle, unpacked
from promptreg.core.bundle.choosing import choose
from promptreg.errors import BundleError, PromptregError, UsageError, Where
from promptreg.runtime.released import ReleasedPrompt

if TYPE_CHECKING:
    from promptreg.runtime.remote import Remote

MAX_AGE_S = 60.0
TIMEOUT_S = 10.0
_KEPT = 4096  # references of one bundle that are remembered; callers who make them up do not fill the memory


class _Loaded:
    """A bundle and what was already asked of it. Replaced whole, never changed but for its memory."""

    __slots__ = ("_known", "bundle")

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._known: dict[str, ReleasedPrompt] = {}

    def get(self, reference: str) -> ReleasedPrompt:
        found = self._known.get(reference)
        if found is None:
            name, bundled = choose(self.bundle, reference)
            title = name if bundled.version is None else f"{name}@{bundled.version}"
            found = self._known.get(title) or ReleasedPrompt(name, bundled, self.bundle.shelves[name])
            if len(self._known) < _KEPT:
                self._known[title] = self._known[reference] = found
        return found


class Registry:
    """Released prompts by reference. Safe in several threads, and after a fork."""

    def __init__(self, bundle: Bundle, remote: Remote | None = None) -> None:
        self._loaded = _Loaded(bundle)
        self._remote = remote

    @classmethod
    def open(
        cls,
        source: str | os.PathLike[str],
        *,
        digest: str | None = None,
        signers: str | os.PathLike[str] | None = None,
        max_age_s: float | None = MAX_AGE_S,
        timeout_s: float = TIMEOUT_S,
        cache: str | os.PathLike[str] | None = None,
        headers: Mapping[str, str] | None = None,
        on_error: Callable[[PromptregError], object] | None = None,
    ) -> Registry:
        """The registry that the bundle *source*, a file or an https URL, holds. BundleError when there is no good one.

        *digest* pins the bundle. *signers* is a file of SSH's allowed signers, one of whom must have signed the very bytes; the
        signature lies beside them, under the same name with `.sig` after it; BundleUntrusted otherwise. The rest is for URLs: a
        bundle older than *max_age_s* seconds (None: never) is asked for again in the background, while `get` answers from the
        one that is there; *timeout_s* is the longest wait for a first one, and for each further; *cache* is a file that keeps
        the last good bundle for a start without network; *headers* go to the URL's own host only. What goes wrong later is told
        to *on_error*, or else logged, and the last good bundle stays.
        """
        text = os.fspath(source)
        trusted = None if signers is None else Path(signers).absolute()
        if "://" not in text:
            return cls(_read(Path(text), digest, trusted))
        from promptreg.runtime.remote import Remote

        remote = Remote(
            text,
            expected=digest,
            signers=trusted,
            max_age_s=None if digest else max_age_s,
            timeout_s=timeout_s,
            cache=None if cache is None else Path(cache),
            headers=headers or {},
            on_error=on_error,
        )
        registry = cls(remote.first(), remote)
        remote.adopt = registry._adopt
        if remote.newest is not None:  # it came late, after the cached one was taken
            registry._adopt(remote.newest)
        return registry

    def get(self, reference: str) -> ReleasedPrompt:
        """The prompt that NAME or NAME@SELECTOR means: 1.4.0, ^1.4, latest, greatest, a label, working. Never waits for a network.

        NAME alone is its greatest release, or the working copy where there is no release. UsageError that says what there is.
        """
        if self._remote is not None:
            self._remote.nudge()
        return self._loaded.get(reference)

    def names(self) -> tuple[str, ...]:
        """All prompts, sorted."""
        return tuple(sorted(self._loaded.bundle.shelves))

    @property
    def digest(self) -> str:
        """That of the bundle which answers now."""
        return self._loaded.bundle.digest

    def refresh(self) -> bool:
        """Asks the URL now and waits; whether there was a new bundle. BundleError when there was no good one."""
        if self._remote is None:
            raise UsageError("this bundle was not opened from a URL", hint="open the file again")
        before = self.digest
        self._remote.refresh()
        return self.digest != before

    def _adopt(self, bundle: Bundle) -> None:
        if bundle.digest != self.digest:
            self._loaded = _Loaded(bundle)


def _read(path: Path, digest: str | None, signers: Path | None) -> Bundle:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as fault:
        hint = "`promptreg bundle -o` writes one"
        raise BundleError(f"cannot be read: {fault.strerror}", where=Where(str(path)), hint=hint) from fault
    if signers is not None:
        from promptreg.runtime.signed import check, signature_beside
        from promptreg.signatures import read_signers

        check(content, signature_beside(path), read_signers(signers), str(path))
    return unpacked(content, str(path), digest)


def open_tree(path: str | os.PathLike[str] = ".") -> Registry:
    """The working copies of the registry that holds *path*, bundled in memory: for development and tests. Runs no Git."""
    from dataclasses import replace

    from promptreg import registry
    from promptreg.core.bundle import packed
    from promptreg.core.bundle.binding import bind
    from promptreg.core.releases import fold

    tree = registry.open_registry(Path(path), read_cases=lambda _file, _path: iter(()), env={})
    bundle = bind(tree.settings.registry, (tree.resolve(name) for name in tree.prompt_names()), fold(()))
    return Registry(replace(bundle, digest=packed(bundle)[1]))
