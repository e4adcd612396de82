"""What happened to one prompt, as a list of moments. Knows the events of tags; commits are told it by those who read them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptreg.core.releases import Artefact, Event, Move, Release, State

Kind: TypeAlias = Literal[
    "release", "withdrawal", "label", "unlabel", "deprecation", "added", "changed", "broken", "removed", "start", "working"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One thing that happened. `time` is seconds since the epoch; fields that do not apply are empty.

    `start`: history is cut off here (a shallow clone). `working`: the working copy renders differently from the last commit.
    """

    kind: Kind
    time: int
    who: str = ""
    email: str = ""
    version: str = ""
    label: str = ""
    commit: str = ""
    tag: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a label, `latest` or `greatest` meant: a release, and since when; `problem` says why there is none."""

    name: str
    label: str
    release: Release | None
    since: Event | None
    problem: str = ""


def moments(artefact: Artefact) -> list[Moment]:
    """Releases, withdrawals, label moves and the deprecation of *artefact*, newest first."""
    found: list[Moment] = []
    for release in artefact.releases.values():
        found.append(_moment("release", release.event, version=str(release.version)))
        if release.withdrawn is not None:
            found.append(_moment("withdrawal", release.withdrawn, version=str(release.version)))
    for moves in artefact.moves.values():
        found += [_moved(move) for move in moves]
    if artefact.deprecation is not None:
        found.append(_moment("deprecation", artefact.deprecation.event))
    # Of one second, what was released first was labelled after: the older of the two is the release.
    return sorted(found, key=lambda moment: (moment.time, moment.kind != "release", moment.tag), reverse=True)


def standings(state: State, name: str) -> Iterator[Standing]:
    """What each label of *name* means in *state*, then `latest` and `greatest`; nothing for a name without releases."""
    artefact = state.artefact(name)
    for label, move in artefact.labels.items():
        release = artefact.releases.get(move.version) if move.version is not None else None
        problem = move.problem or ("withdrawn" if release is not None and release.withdrawn is not None else "")
        yield Standing(name=name, label=label, release=release, since=move.event, problem=problem)
    for word, found in (("latest", artefact.latest), ("greatest", artefact.greatest)):
        if found is not None:
            yield Standing(name=name, label=word, release=found, since=found.event)


def _moved(move: Move) -> Moment:
    version = "" if move.version is None else str(move.version)
    return _moment("unlabel" if move.removed else "label", move.event, version=version, label=move.label)


def _moment(kind: Kind, event: Event, *, version: str = "", label: str = "") -> Moment:
    by = event.by
    return Moment(
        kind=kind,
        time=event.time,
        who=by.tagger,
        email=by.email,
        version=version,
        label=label,
        commit=by.commit,
        tag=by.ref,
        subject=by.body.strip().partition("\n")[0].strip(),
    )
