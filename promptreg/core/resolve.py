"""Which release a selector means; an error says what could have been asked for. Knows neither Git nor files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptreg.core.canonical import Digest
from promptreg.core.names import did_you_mean
from promptreg.core.prompt import Prompt
from promptreg.core.refs import RESERVED, Exact, Greatest, Label, Latest, Reference, TagSelector
from promptreg.core.releases import Artefact, Release, State
from promptreg.core.semver import Range
from promptreg.errors import UsageError

SHOWN = 8  # releases that an error lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What a reference means now. `commit` is None in the working tree, `release` where no tag was asked."""

    reference: Reference
    prompt: Prompt
    source: Digest
    behaviour: Digest
    commit: str | None = None
    release: Release | None = None


def resolve(state: State, name: str, selector: TagSelector) -> Release:
    """The release of *name* that *selector* means. UsageError that says what exists."""
    artefact = state.artefact(name)
    match selector:
        case Exact():
            return _exact(artefact, selector, state)
        case Range():
            return _chosen(artefact, [one for one in artefact.live if one.version in selector], str(selector), state)
        case Latest() | Greatest():
            found = artefact.latest if isinstance(selector, Latest) else artefact.greatest
            return _chosen(artefact, [found] if found else [], str(selector), state)
        case Label():
            return _labelled(artefact, selector.label, state)


def _exact(artefact: Artefact, selector: Exact, state: State) -> Release:
    """The very version; one that differs in build metadata only, if it is the only one and none was named."""
    wanted = selector.version
    same = [one for one in artefact.releases.values() if one.version.precedence == wanted.precedence]
    named = [one for one in same if one.version == wanted] or ([] if wanted.build else same)
    found = _chosen(artefact, named, str(selector), state)
    if len(named) > 1:
        versions = ", ".join(str(one.version) for one in named)
        raise UsageError(f"{artefact.name}@{selector} is ambiguous: {versions}", hint="name the build, too")
    return _standing(found, f"{artefact.name}@{selector}", artefact)


def _labelled(artefact: Artefact, label: str, state: State) -> Release:
    move = artefact.labels.get(label)
    if move is None:
        raise _no_label(artefact, label, state)
    if move.version is None:
        raise UsageError(
            f"{artefact.name}@{label} cannot be resolved: the tag '{move.event.by.ref}' {move.problem}",
            hint="fetch all tags (git fetch --tags), or move the label again",
        )
    return _standing(artefact.releases[move.version], f"{artefact.name}@{label}", artefact)


def _standing(release: Release, asked: str, artefact: Artefact) -> Release:
    if release.withdrawn is None:
        return release
    reason = release.withdrawn.by.body.strip().partition("\n")[0].strip()
    raise UsageError(
        f"{asked} is {release.version}, which {release.withdrawn.by.tagger or 'somebody'} withdrew"
        + (f": {reason}" if reason else ""),
        hint=_existing(artefact),
    )


def _chosen(artefact: Artefact, found: Sequence[Release], asked: str, state: State) -> Release:
    if found:
        return found[-1]
    if not artefact.releases:
        raise _no_release(artefact.name, state)
    raise UsageError(f"{artefact.name} has no release {asked}{_close(asked, artefact)}", hint=_existing(artefact))


def _no_release(name: str, state: State) -> UsageError:
    known = [other for other in state.names if state.artefact(other).releases]
    return UsageError(f"{name} has no releases{did_you_mean(name, known)}", hint=f"promptreg release {name} makes the first")


def _no_label(artefact: Artefact, label: str, state: State) -> UsageError:
    if not artefact.releases:
        return _no_release(artefact.name, state)
    if moves := artefact.moves.get(label):
        by = moves[-1].event.by.tagger or "somebody"
        return UsageError(f"{artefact.name} has no label '{label}' any more: {by} removed it", hint=_existing(artefact))
    guess = did_you_mean(label, [*artefact.labels, *RESERVED[:3]])
    return UsageError(f"{artefact.name} has no label '{label}'{guess}", hint=_existing(artefact))


def _existing(artefact: Artefact) -> str:
    """What could be asked for instead."""
    live = [str(release.version) for release in reversed(artefact.live)]
    more = f" and {len(live) - SHOWN} more" if len(live) > SHOWN else ""
    labels = ", ".join(artefact.labels)
    return f"releases: {', '.join(live[:SHOWN]) or 'none that stands'}{more}" + (f"; labels: {labels}" if labels else "")


def _close(asked: str, artefact: Artefact) -> str:
    live = artefact.live
    if live and all(release.version.prerelease for release in live):
        return ": there are only prereleases, which must be named"
    return did_you_mean(asked, [str(release.version) for release in live]) if asked[0] in "v0123456789" else ""
