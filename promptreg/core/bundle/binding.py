"""What references resolved to, and what the tags say of those names → a bundle. Knows neither Git nor files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

from promptreg.core.bundle.values import Bundle, Bundled, Shelf
from promptreg.core.identity import included
from promptreg.core.releases import Artefact, State
from promptreg.core.resolve import Resolution
from promptreg.core.semver import Version
from promptreg.errors import UsageError


def bind(registry: str, resolutions: Iterable[Resolution], state: State) -> Bundle:
    """The bundle of all *resolutions* (a version that comes twice is bound once), with the labels of the versions in it.

    UsageError for a Git revision that no release names: production could not say what it runs.
    """
    found: dict[str, dict[Version | None, Bundled]] = defaultdict(dict)
    for each in resolutions:
        reference = each.reference
        if each.commit is not None and each.release is None:
            raise UsageError(f"{reference} is no release", hint="bundle a release (NAME@1.4.0) or the working copy (NAME)")
        name = f"{reference.source}:{reference.name}" if reference.source else reference.name
        bundled = _bundled(each)
        found[name][bundled.version] = bundled
    shelves = {name: _shelf(versions, state.artefact(name)) for name, versions in sorted(found.items())}
    return Bundle(shelves=shelves, registry=registry)


def wanted(artefact: Artefact, *, every: bool = False) -> tuple[Version, ...]:
    """The releases of a name that a bundle of everything holds: those that a label, `latest` or `greatest` means; or *every* one.

    A name that has only prereleases without a label gives its last one.
    """
    live = {release.version for release in artefact.live}
    if every or not live:
        return tuple(sorted(live))
    named = {move.version for move in artefact.labels.values()}
    named |= {release.version for release in (artefact.latest, artefact.greatest) if release is not None}
    return tuple(sorted(live & named or {max(live)}))


def _bundled(resolution: Resolution) -> Bundled:
    release = resolution.release
    partials = {path: resolution.prompt.partials[path] for path in included(resolution.prompt)}
    return Bundled(
        prompt=replace(resolution.prompt, partials=partials),
        source=resolution.source,
        behaviour=resolution.behaviour,
        version=release.version if release else None,
        time=release.event.time if release else None,
        commit=resolution.commit or "",
    )


def _shelf(versions: dict[Version | None, Bundled], artefact: Artefact) -> Shelf:
    working = [versions[None]] if None in versions else []
    released = sorted(version for version in versions if version is not None)
    labels = {
        label: move.version for label, move in artefact.labels.items() if move.version in versions and move.version is not None
    }
    going = artefact.deprecation
    return Shelf(
        versions=(*working, *(versions[version] for version in released)),
        labels=labels,
        deprecated=(going.reason, going.replacement) if going else None,
    )
