"""The history that the runs branch holds: its records as time lines, with the releases whose behaviour they are of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from promptreg.core.canonical import Digest
from promptreg.core.history import History, Measurement, measurement, timelines
from promptreg.core.identity import behaviour_digest
from promptreg.core.names import unversioned
from promptreg.core.records import Place, Record, decode, place
from promptreg.core.records.places import RUNS
from promptreg.core.releases import block
from promptreg.core.select import matching
from promptreg.documents.evidence import evidence
from promptreg.errors import DataError, UsageError
from promptreg.registry import Registry
from promptreg.workflow.records import MOMENT, Archive, Ground
from promptreg.workflow.runs import archive_of, identifier


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRequest:
    """Which records: names or globs, all where empty; *since* is in seconds since the epoch."""

    suites: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    since: float | None = None


def history(ground: Ground, request: HistoryRequest) -> History:
    """The time lines of what is recorded. UsageError outside of Git, without records, and for names that none is of.

    What is damaged is passed over, and told in the notes.
    """
    notes: list[str] = []
    archive = archive_of(ground, notes.append)
    places = _wanted(archive, request)
    found = list(_measurements(archive, places))
    versions = _versions(ground.registry, sorted({each.header.cell.prompt for each in found}))
    return History(
        timelines=timelines(found, versions),
        branch=archive.branch.name,
        created=archive.moment,
        since="" if request.since is None else _moment(request.since),
        notes=tuple(notes),
    )


def _wanted(archive: Archive, request: HistoryRequest) -> list[Place]:
    name = archive.branch.name
    places = [found for path in archive.branch.paths(RUNS) if (found := place(path))]
    if not places:
        hint = "promptreg run --runs write (or baseline refresh) leaves records there; promptreg runs fetch brings those of others"
        raise UsageError(f"nothing is recorded on {name}: there is no history yet", hint=hint)
    suites = set(matching(request.suites, sorted({found.suite for found in places}), "recorded suite"))
    asked = tuple(map(unversioned, request.prompts))
    prompts = set(matching(asked, sorted({found.prompt for found in places}), "recorded prompt"))
    models = set(matching(request.models, sorted({_alias(found) for found in places}), "recorded model"))
    chosen = [found for found in places if found.suite in suites and found.prompt in prompts and _alias(found) in models]
    if not chosen:
        raise UsageError(
            "no record is of these suites, prompts and models together", hint="promptreg runs list shows what there is"
        )
    since = "" if request.since is None else _moment(request.since).replace("-", "").replace(":", "")
    recent = [found for found in chosen if found.moment >= since]
    if not recent:
        newest = max(found.moment for found in chosen)
        day = f"{newest[:4]}-{newest[4:6]}-{newest[6:8]}"
        raise UsageError(f"nothing was recorded since {_moment(request.since or 0)}", hint=f"the newest record is of {day}")
    return recent


def _alias(found: Place) -> str:
    return found.model.rpartition("-")[0]


def _measurements(archive: Archive, places: list[Place]) -> Iterator[Measurement]:
    """One at a time, so that no more than one record's texts are in memory."""
    for path, content in archive.branch.read([found.path for found in places]):
        try:
            value = decode(path, content)
        except DataError as fault:
            archive.note(f"{archive.branch.name}: {fault}: passed over")
            continue
        if isinstance(value, Record):
            yield measurement(identifier(path), value)


def _versions(registry: Registry, prompts: list[str]) -> Mapping[tuple[str, Digest], str]:
    """(prompt, behaviour) of releases and of the working copy; of several releases that behave alike, the first."""
    found: dict[tuple[str, Digest], str] = {}
    for name in prompts:
        for release in registry.state.artefact(name).releases.values():
            digest = _released(registry, name, str(release.version), release.event.by.body, release.event.by.ref)
            if digest is not None:
                found.setdefault((name, digest), str(release.version))
        if name in registry.prompt_names():
            try:
                found.setdefault((name, behaviour_digest(registry.prompt(name))), "")
            except UsageError:
                continue  # it cannot be read now: no record is of what it is now
    return found


def _released(registry: Registry, name: str, version: str, body: str, ref: str) -> Digest | None:
    """The behaviour of a release: as its tag says, or, where it says nothing, as its commit has it. None if neither can be read."""
    try:
        said = evidence(block(body), ref)
    except UsageError:
        said = None
    if said is not None:
        return said.behaviour
    try:
        return registry.resolve(f"{name}@{version}").behaviour
    except UsageError:
        return None


def _moment(seconds: float) -> str:
    """ISO 8601; UsageError for what no calendar holds."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime(MOMENT)
    except (ValueError, OverflowError, OSError) as fault:
        raise UsageError("this time lies outside of the calendar", hint="choose a year from 1970 on") from fault
