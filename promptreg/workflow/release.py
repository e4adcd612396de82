"""Releases: what changed since the last one decides the version, a gate whether it may be made, the tag keeps what is known of it.

Nothing is ever moved or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from promptreg import __version__
from promptreg.core.change import Bump, Change, Reason, change, least, step
from promptreg.core.evidence import Evidence, message, one_line, said
from promptreg.core.refs import check_name, release_tag
from promptreg.core.releases import Artefact, Release
from promptreg.core.resolve import Resolution
from promptreg.core.semver import Version
from promptreg.documents.evidence import evidence_block
from promptreg.errors import ConflictError, UsageError
from promptreg.registry import Registry
from promptreg.registry.writing import Draft
from promptreg.workflow.events import Act, by_whom, prepared, record_events
from promptreg.workflow.lint import lint
from promptreg.workflow.standing import changed_since
from promptreg.workflow.world import World

if TYPE_CHECKING:  # the gate is imported when a release asks for it
    from promptreg.workflow.check.request import Ground
    from promptreg.workflow.gated import Candidate, Proof

FIRST = Version(1, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRequest:
    """What to release: *name*, or (empty) all that changed since their last release; as *version*, or one *bump* further."""

    name: str = ""
    bump: Bump | None = None
    version: Version | None = None
    text: str = ""
    no_gate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A release that can be made. *change* is None for a first one."""

    version: Version
    resolution: Resolution
    previous: Release | None
    change: Change | None

    @property
    def name(self) -> str:
        return self.resolution.reference.name

    @property
    def tag(self) -> str:
        return str(release_tag(self.name, self.version))

    @property
    def floor(self) -> str:
        return "first" if self.change is None else str(self.change.floor)


def plan_release(world: World, request: ReleaseRequest, act: Act) -> tuple[Planned, ...]:
    """What *request* would release. UsageError for a dirty tree, a failing lint, too small a step, and nothing to do."""
    registry = world.registry
    _refuse_odd_texts(request)
    prepared(registry, act)
    committed = _committed(registry)
    planned = [_one(registry, committed, request)] if request.name else _affected(registry, committed)
    _refuse_lint(world, [each.name for each in planned])
    return tuple(planned)


def prove(ground: Ground, planned: Sequence[Planned]) -> dict[str, Proof]:
    """What the gate says of each of *planned*, by tag. Asks models for what is not known, and leaves it on the runs branch."""
    from promptreg.workflow.gated import judge_release

    return {each.tag: judge_release(ground, candidate(each)) for each in planned}


def release(
    registry: Registry, planned: Sequence[Planned], request: ReleaseRequest, act: Act, proofs: Mapping[str, Proof]
) -> Mapping[str, str]:
    """Makes the tags of *planned*, all or none; name to object id. ConflictError when somebody was faster.

    *proofs* (by tag) is what the gate said, empty where `no_gate` says why none was asked; none of them may refuse.
    """
    drafts = [_draft(each, request, proofs.get(each.tag)) for each in planned]
    return record_events(registry, drafts, act)


def candidate(planned: Planned) -> Candidate:
    """*planned* as the gate looks at it."""
    from promptreg.workflow.gated import Candidate

    commit = planned.resolution.commit
    assert commit is not None
    return Candidate(name=planned.name, head=commit, behaviour=planned.resolution.behaviour, previous=planned.previous)


# which version ---------------------------------------------------------------------------------------------------------------


def _one(registry: Registry, committed: Registry, request: ReleaseRequest) -> Planned:
    artefact = registry.state.artefact(request.name)
    resolution = _at_head(committed, request.name)
    _refuse_second_on_commit(artefact, resolution)
    previous = _previous(artefact, request.version)
    found = _change(registry, previous, resolution)
    if found is not None and found.floor is Bump.NONE and request.bump is None and request.version is None:
        assert previous is not None
        raise UsageError(
            f"{request.name} behaves as {previous.version} does: there is nothing to release",
            hint="--bump patch releases it anyway",
        )
    version = _version(artefact, previous, found, request)
    return Planned(version=version, resolution=resolution, previous=previous, change=found)


def _at_head(committed: Registry, name: str) -> Resolution:
    """The prompt as HEAD holds it, with the commit that it is released at."""
    return replace(committed.resolve(name), commit=committed.snapshot.commit)


def _affected(registry: Registry, committed: Registry) -> list[Planned]:
    """Every released prompt that behaves otherwise than its last release, and every prompt that has none."""
    state = registry.state
    names = [name for name in committed.prompt_names() if state.artefact(name).deprecation is None]
    last = {name: release for name in names if (release := _previous(state.artefact(name), None))}
    changed = changed_since(committed, last)
    found: list[Planned] = []
    for name in names:
        if name in last and name not in changed:
            continue
        resolution = _at_head(committed, name)
        difference = _change(registry, last.get(name), resolution)
        _refuse_second_on_commit(state.artefact(name), resolution)
        version = _version(state.artefact(name), last.get(name), difference, ReleaseRequest())
        found.append(Planned(version=version, resolution=resolution, previous=last.get(name), change=difference))
    return found


def _previous(artefact: Artefact, wanted: Version | None) -> Release | None:
    """The greatest live release that is no prerelease; below *wanted*, if that is given."""
    below = [one for one in artefact.live if not one.version.prerelease and (wanted is None or one.version < wanted)]
    return below[-1] if below else None


def _change(registry: Registry, previous: Release | None, resolution: Resolution) -> Change | None:
    if previous is None:
        return None
    name = resolution.reference.name
    try:
        return change(registry.prompt(f"{name}@git:{previous.commit}"), resolution.prompt)
    except UsageError as fault:
        message = f"{previous.version} cannot be compared with: {fault.message}"
        return Change((Reason(Bump.MAJOR, "", "changed", message),))


def _version(artefact: Artefact, previous: Release | None, found: Change | None, request: ReleaseRequest) -> Version:
    floor = Bump.PATCH if found is None else max(found.floor, Bump.PATCH)
    version = request.version or _next(artefact, previous, request.bump or floor, floor)
    if taken := next((one for one in artefact.releases.values() if one.version.precedence == version.precedence), None):
        raise _taken(taken)
    if previous is not None and found is not None and version.triple < (lowest := least(previous.version, found.floor)).triple:
        raise _too_small(artefact.name, previous.version, lowest, found)
    return version


def _next(artefact: Artefact, previous: Release | None, bump: Bump, floor: Bump) -> Version:
    """One *bump* after *previous*; numbers that were ever used, also by a release that was withdrawn, are passed over."""
    used = {one.version.precedence for one in artefact.releases.values()}
    if previous is None:
        started = [one.version for one in artefact.live]
        version = Version(*max(started).triple) if started else FIRST
    else:
        version = least(previous.version, floor) if bump is floor else step(previous.version, bump)
    while version.precedence in used:
        version = step(version, Bump.PATCH if previous is None else bump)
    return version


def _too_small(name: str, previous: Version, lowest: Version, found: Change) -> UsageError:
    first = next(reason for reason in found.reasons if reason.bump is found.floor)
    more = sum(reason.bump is found.floor for reason in found.reasons) - 1
    return UsageError(
        f"{name} needs a {found.floor} step after {previous}: {first.message}" + (f", and {more} more" if more else ""),
        hint=f"{lowest} is the lowest version that says so; promptreg release {name} --dry-run shows what changed",
    )


def _taken(taken: Release) -> ConflictError:
    if taken.withdrawn is not None:
        said_so = f"{taken.version} was released and withdrawn ({by_whom(taken.withdrawn)})"
        return ConflictError(f"{taken.name} {said_so}", hint="a version means one thing for ever: release another one")
    return ConflictError(
        f"{taken.name} {taken.version} is released ({by_whom(taken.event)})",
        hint="a version means one thing for ever: release another one",
    )


def _refuse_second_on_commit(artefact: Artefact, resolution: Resolution) -> None:
    here = next((one for one in artefact.live if one.commit == resolution.commit), None)
    if here is not None:
        raise UsageError(
            f"{artefact.name} {here.version} is this very commit",
            hint=f"promptreg promote {artefact.name}@{here.version} LABEL moves a label to it; a new version needs a new commit",
        )


# what is released ------------------------------------------------------------------------------------------------------------


def _committed(registry: Registry) -> Registry:
    """The registry at HEAD. UsageError if the working tree differs from it."""
    commit, dirty = registry.head()
    if commit is None:
        raise UsageError("nothing is committed yet", hint="git commit: a release is a commit")
    if dirty:
        raise UsageError(
            "there are uncommitted changes under the registry's own files", hint="git status; then commit, or put them away"
        )
    return registry.at(commit)


def _refuse_lint(world: World, names: Sequence[str]) -> None:
    if not names:
        return
    errors = [finding for finding in lint(world, names) if finding.level == "error"]
    if errors:
        faults = [UsageError(f"{each.message} [{each.rule}]", where=each.where, hint=each.hint or None) for each in errors]
        raise UsageError(faults[0].message, where=faults[0].where, hint=faults[0].hint, more=tuple(faults[1:]))


def _refuse_odd_texts(request: ReleaseRequest) -> None:
    if request.name:
        check_name(request.name)
    if request.text:
        said(request.text, "--message")
    if request.no_gate:
        one_line(request.no_gate, "--no-gate")


# what the tag says -----------------------------------------------------------------------------------------------------------


def _draft(planned: Planned, request: ReleaseRequest, proof: Proof | None) -> Draft:
    commit = planned.resolution.commit
    assert commit is not None
    evidence = Evidence(
        name=planned.name,
        version=planned.version,
        previous=planned.previous.version if planned.previous else None,
        change=planned.floor,
        behaviour=planned.resolution.behaviour,
        source=planned.resolution.source,
        promptreg=__version__,
        verdict=proof.verdict if proof else "none",
        accepted=_plain(proof.accepted) if proof else "",
        no_gate=one_line(request.no_gate, "--no-gate") if request.no_gate else "",
        measured=proof.measured if proof else (),
    )
    return Draft(ref=planned.tag, commit=commit, message=message(_text(planned, request), evidence_block(evidence)))


def _text(planned: Planned, request: ReleaseRequest) -> str:
    head = said(request.text, "--message") if request.text else f"Release {planned.name} {planned.version}"
    reasons = planned.change.reasons if planned.change else ()
    return "\n".join([head, *([""] if reasons else []), *(f"{reason.bump}: {_plain(reason.message)}" for reason in reasons)])


def _plain(text: str) -> str:
    """*text*, which may hold what a prompt's file says, on one printable line."""
    return "".join(character if character.isprintable() else " " for character in text)[:500]
