"""Prompts of other registries: pulled, brought up to date, and verified. Says what happened; prints nothing.

Nothing is written unless everything fits: the tag is the one that the lock knows, it says what it is taken for, it is signed by
whom the settings name, and its files are prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from promptreg.core.canonical import digest_bytes
from promptreg.core.identity import source_of_digests
from promptreg.core.lock import Lock, Locked, LockedSource, check_selector
from promptreg.core.refs import Exact, Label, TagSelector
from promptreg.core.releases import Artefact, Release, State, TagObject, entry
from promptreg.core.resolve import resolve
from promptreg.core.select import matching
from promptreg.errors import FileMissing, LockTampered, PromptregError, PullError, TagForged, TagMoved, TrustError, UsageError
from promptreg.registry import Registry
from promptreg.registry.pulling.cache import Cache
from promptreg.registry.pulling.content import Content, Wish, contents
from promptreg.registry.pulling.signatures import Signers, check_tag, signer
from promptreg.registry.pulling.vendored import Vendored
from promptreg.registry.pulling.writing import Parcel, lay, pulling

_MOVED = "a release never changes: ask the source's owners; to take theirs all the same, promptreg drop it and pull it again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """What pulling needs of the world. *signers* gives who must have signed a source's tags, or None; *note* takes remarks."""

    registry: Registry
    cache: Path
    env: Mapping[str, str]
    signers: Callable[[str], Signers | None]
    note: Callable[[str], None]
    offline: bool = False

    @property
    def root(self) -> Path:
        return self.registry.root

    def vendored(self) -> Vendored:
        """What lies here now; read anew."""
        return Vendored(self.registry.snapshot)

    def url(self, source: str, lock: Lock) -> str:
        """Where *source* is: the settings say it, else the lock."""
        named = self.registry.settings.sources.get(source)
        if named is not None:
            return named.url
        if source in lock.sources:
            return lock.sources[source].url
        raise UsageError(f"no source '{source}' is known", hint="promptreg pull URL NAME pulls from a new one")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One prompt before and after; None before it was pulled."""

    source: str
    before: Locked | None
    after: Locked


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """One pulled prompt beside what its source has now. `problem` says why its selector means nothing there any more."""

    source: str
    locked: Locked
    wanted: Release | None
    greatest: Release | None
    withdrawn: bool = False
    deprecated: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One pulled prompt that is as the lock says. *tag* is whether its tag was seen, too."""

    source: str
    locked: Locked
    tag: bool
    signer: str | None = None


# pulling ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Want:
    """A prompt to pull: by its selector, or (*locked*) exactly what the lock says."""

    name: str
    selector: str
    locked: Locked | None = None

    @property
    def parsed(self) -> TagSelector:
        return Exact(self.locked.version) if self.locked else check_selector(self.selector)


def pull(yard: Yard, source: str, url: str, wanted: Sequence[tuple[str, str]]) -> list[Change]:
    """Pulls *wanted* (name, selector) from *source*, which is at *url*. All or nothing."""
    with pulling(yard.root):
        old = yard.vendored().lock
        if source in old.sources and old.sources[source].url != url and source not in yard.registry.settings.sources:
            hint = f"name the new one: --as NAME; or write its address into promptreg.yaml, under sources.{source}.url"
            raise UsageError(f"'{source}' is the source at {old.sources[source].url}", hint=hint)
        parcels = _gather(yard, source, url, [_Want(name, selector) for name, selector in wanted], old)
        new = old.having(source, url, [parcel.locked for parcel in parcels])
        lay(yard.root, old, new, parcels)
        return [Change(source=source, before=old.find(source, each.locked.name), after=each.locked) for each in parcels]


def pull_again(yard: Yard, *, locked: bool = False) -> list[Change]:
    """Brings all that the lock names at the versions that it names. With *locked*, the lock and the files here must fit already.

    Otherwise files that were changed are replaced, and the lock follows the settings (addresses, signers).
    """
    with pulling(yard.root):
        vendored = yard.vendored()
        old = vendored.lock
        if locked:
            _refuse_difference(yard, vendored)
        new, parcels = old, []
        for source, known in sorted(old.sources.items()):
            url = yard.url(source, old)
            wants = [_Want(each.name, each.selector, each) for _, each in sorted(known.prompts.items())]
            found = _gather(yard, source, url, wants, old)
            new = new.having(source, url, [parcel.locked for parcel in found])
            parcels += found
        if locked and new != old:
            raise UsageError("the lock would change", hint="promptreg pull writes who signed, and where sources are now")
        lay(yard.root, old, new, parcels)
        return [Change(source=each.source, before=each.locked, after=each.locked) for each in parcels]


def update(yard: Yard, patterns: Sequence[str] = ()) -> list[Change]:
    """Resolves the selectors of what was pulled (all, or what *patterns* name) anew, and pulls what they mean now."""
    with pulling(yard.root):
        old = yard.vendored().lock
        chosen = _matching(old, patterns)
        new, parcels = old, []
        for source in dict.fromkeys(source for source, _ in chosen):
            url = yard.url(source, old)
            found = _gather(yard, source, url, [_Want(each.name, each.selector) for at, each in chosen if at == source], old)
            new = new.having(source, url, [parcel.locked for parcel in found])
            parcels += found
        if parcels:
            lay(yard.root, old, new, parcels)
        return [Change(source=one.source, before=old.find(one.source, one.locked.name), after=one.locked) for one in parcels]


def drop(yard: Yard, patterns: Sequence[str]) -> list[tuple[str, Locked]]:
    """Takes what *patterns* name out of the lock, and deletes its files."""
    with pulling(yard.root):
        old = new = yard.vendored().lock
        chosen = _matching(old, patterns)
        for source, each in chosen:
            new = new.without(source, each.name)
        lay(yard.root, old, new, ())
        return chosen


def _matching(lock: Lock, patterns: Sequence[str]) -> list[tuple[str, Locked]]:
    """What *patterns*, with or without their source, mean; all without any."""
    every = {f"{source}:{each.name}": (source, each) for source, each in lock}
    full = [found for pattern in patterns for found in _with_source(pattern, every)]
    return [every[name] for name in matching(full, every, "pulled prompt")]


def _with_source(pattern: str, every: Mapping[str, object]) -> list[str]:
    return [pattern] if ":" in pattern else [name for name in every if name.partition(":")[2] == pattern] or [pattern]


def _refuse_difference(yard: Yard, vendored: Vendored) -> None:
    """UsageError when the settings name another address than the lock, or a file here is not the lock's. Missing ones may come."""
    for source, known in vendored.lock.sources.items():
        if (url := yard.url(source, vendored.lock)) != known.url:
            raise UsageError(
                f"the lock has {source} at {known.url}, promptreg.yaml at {url}", hint="promptreg pull follows the settings"
            )
    _raise_all([fault for fault in vendored.faults() if not isinstance(fault, FileMissing)])


def _gather(yard: Yard, source: str, url: str, wants: Sequence[_Want], old: Lock) -> list[Parcel]:
    """All that *wants* mean, fetched and checked; nothing is written here."""
    signers = yard.signers(source)
    with _cache(yard, url) as cache:
        _fetch(yard, cache, source, wants)
        state = cache.state([want.name for want in wants])
        found = [_found(state, source, want, old) for want in wants]
        who = [
            _checked(cache, state, want, tag, release, signers, yard.env) for want, (tag, release) in zip(wants, found, strict=True)
        ]
        files = contents(cache, source, [Wish(want.name, release.commit) for want, (_, release) in zip(wants, found, strict=True)])
    every = zip(wants, found, who, files, strict=True)
    return [_parcel(source, want, release, by, each) for want, (_, release), by, each in every]


def _fetch(yard: Yard, cache: Cache, source: str, wants: Sequence[_Want]) -> bool:
    """Whether the source was reached; else what the cache has is used, and a note says so. PullError when it has nothing."""
    wanted: dict[str, list[TagSelector]] = {}
    for want in wants:
        wanted.setdefault(want.name, []).append(want.parsed)
    if yard.offline:
        if not cache.warm:
            raise PullError(f"nothing of {source} is in the cache", hint="leave out --offline once")
        return False
    try:
        cache.fetch(wanted)
    except PullError as fault:
        if not cache.warm:
            raise
        yard.note(f"{source}: {fault.message}; used what was fetched before")
        return False
    return True


def _found(state: State, source: str, want: _Want, old: Lock) -> tuple[TagObject, Release]:
    """The tag and release that *want* means. TagMoved when the lock knows another object under that tag."""
    try:
        release = _as_locked(state, want.locked) if want.locked else resolve(state, want.name, want.parsed)
    except TrustError:
        raise
    except UsageError as fault:
        hint = fault.hint if state.names else f"git ls-remote --tags shows what {source} has"
        raise PullError(f"{source}: {fault.message}", hint=hint) from fault
    known = old.find(source, want.name)
    if known is not None and known.version == release.version and known.tag_object != release.event.by.oid:
        raise _moved(source, known, release.event.by.oid)
    return release.event.by, release


def _as_locked(state: State, locked: Locked) -> Release:
    tag = next((tag for tag in state.tags if tag.ref == locked.tag), None)
    if tag is None:
        raise TagMoved(f"the source has no tag '{locked.tag}' any more", hint=_MOVED)
    if tag.oid != locked.tag_object:
        raise TagMoved(f"the tag '{locked.tag}' was moved: it was {locked.tag_object[:12]}, and is {tag.oid[:12]}", hint=_MOVED)
    return state.artefact(locked.name).releases[locked.version]


def _moved(source: str, known: Locked, now: str) -> TagMoved:
    return TagMoved(f"{source}: the tag '{known.tag}' was moved: it was {known.tag_object[:12]}, and is {now[:12]}", hint=_MOVED)


def _checked(
    cache: Cache, state: State, want: _Want, tag: TagObject, release: Release, signers: Signers | None, env: Mapping[str, str]
) -> str | None:
    """Who signed. The tag that moved a label is checked, too, where that label decided."""
    check_tag(cache.git, tag.oid, tag.ref, release.commit)
    deciding = [tag]
    if isinstance(want.parsed, Label):
        moved = state.artefact(want.name).labels[want.parsed.label].event.by
        check_tag(cache.git, moved.oid, moved.ref, release.commit)
        deciding.insert(0, moved)
    return [signer(cache.git, each.oid, each.ref, signers, env) for each in deciding][-1] if signers else None


def _parcel(source: str, want: _Want, release: Release, by: str | None, content: Content) -> Parcel:
    _refuse_other_behaviour(release, content)
    files = content.files
    digests = {path: digest_bytes(content) for path, content in files.items()}
    own = f"{want.name}.yaml"
    locked = Locked(
        name=want.name,
        selector=want.selector,
        version=release.version,
        tag=release.event.by.ref,
        tag_object=release.event.by.oid,
        commit=release.commit,
        time=release.event.time,
        signer=by,
        files=digests,
        source_digest=source_of_digests(digests[own], {path: each for path, each in digests.items() if path != own}),
    )
    if want.locked is not None and (locked.files, locked.commit) != (want.locked.files, want.locked.commit):
        raise _false_digests(source, want.locked)
    return Parcel(source, locked, files)


def _refuse_other_behaviour(release: Release, content: Content) -> None:
    """TagForged when the tag's evidence was measured on another prompt than the one that the tag marks."""
    said = entry(release.event.by.body, "behaviour")
    if said and said != content.behaviour:
        message = f"the tag '{release.event.by.ref}' vouches for {said[:19]}, and marks {content.behaviour[:19]}"
        raise TagForged(message, hint="its evidence is of another prompt: ask the source's owners")


def _false_digests(source: str, locked: Locked) -> LockTampered:
    message = f"the lock's digests of {source}:{locked.name} are not those of {locked.tag}"
    return LockTampered(message, hint="somebody wrote them by hand: take the lock from Git again, or pull anew")


@contextmanager
def _cache(yard: Yard, url: str) -> Iterator[Cache]:
    cache = Cache(yard.cache, url, yard.root, yard.env)
    with cache.alone():
        try:
            yield cache
        finally:
            cache.close()


# looking ---------------------------------------------------------------------------------------------------------------------


def outdated(yard: Yard) -> list[Age]:
    """All that was pulled beside what its source has now. Nothing but the cache is written."""
    lock = yard.vendored().lock
    found: list[Age] = []
    for source, known in sorted(lock.sources.items()):
        wants = [_Want(each.name, each.selector) for _, each in sorted(known.prompts.items())]
        with _cache(yard, yard.url(source, lock)) as cache:
            _fetch(yard, cache, source, [replace(want, selector="latest") for want in wants])
            state = cache.state([want.name for want in wants])
        found += [_age(source, known.prompts[want.name], state, want) for want in wants]
    return found


def _age(source: str, locked: Locked, state: State, want: _Want) -> Age:
    artefact: Artefact = state.artefact(want.name)
    here = artefact.releases.get(locked.version)
    wanted, problem = None, ""
    try:
        wanted = resolve(state, want.name, want.parsed)
    except UsageError as fault:
        problem = fault.message
    going = artefact.deprecation
    return Age(
        source=source,
        locked=locked,
        wanted=wanted,
        greatest=artefact.greatest,
        withdrawn=here is not None and here.withdrawn is not None,
        deprecated=(going.replacement or going.reason or "deprecated") if going else "",
        problem=problem,
    )


# verifying -------------------------------------------------------------------------------------------------------------------


def verify(yard: Yard) -> list[Verified]:
    """Everything that was pulled, checked anew: files, lock, tags, signatures. Raises all that is wrong; writes nothing.

    Tags are checked where their source can be reached or is in the cache; without either, a note says so, unless somebody must
    have signed: then nobody can tell, which is an error.
    """
    vendored = yard.vendored()
    lock = vendored.lock
    faults: list[PromptregError] = list(vendored.faults())
    found: list[Verified] = []
    for source, known in sorted(lock.sources.items()):
        for locked, result in _verified(yard, source, known, yard.url(source, lock)):
            if isinstance(result, PromptregError):
                faults.append(result)
            else:
                found.append(Verified(source=source, locked=locked, tag=result[0], signer=result[1]))
    _raise_all(faults)
    return found


def _verified(
    yard: Yard, source: str, known: LockedSource, url: str
) -> Iterator[tuple[Locked, PromptregError | tuple[bool, str | None]]]:
    wants = [_Want(each.name, each.selector, each) for _, each in sorted(known.prompts.items())]
    with _cache(yard, url) as cache:
        try:
            reached = _fetch(yard, cache, source, wants)
        except PullError as fault:
            yard.note(f"{source}: {fault.message}; its tags are not checked")
            for want in wants:
                yield _locked(want), _untold(yard, source, _locked(want)) or (False, None)
            return
        state = cache.state([want.name for want in wants])
        for want in wants:
            yield _locked(want), _verified_one(yard, source, cache, state, want, reached=reached)


def _verified_one(
    yard: Yard, source: str, cache: Cache, state: State, want: _Want, *, reached: bool
) -> PromptregError | tuple[bool, str | None]:
    locked = _locked(want)
    if not reached and locked.tag not in {tag.ref for tag in state.tags}:
        yard.note(f"{source}: the tag of {want.name} is not in the cache, and not checked")
        return _untold(yard, source, locked) or (False, None)
    try:
        release = _as_locked(state, locked)
        check_tag(cache.git, locked.tag_object, locked.tag, locked.commit)
        signers = yard.signers(source)
        if signers is None and (fault := _untold(yard, source, locked)):
            return fault
        by = signer(cache.git, locked.tag_object, locked.tag, signers, yard.env) if signers else None
        (content,) = contents(cache, source, [Wish(locked.name, locked.commit)])
        _parcel(source, want, release, by, content)
    except (TrustError, PullError) as fault:
        return fault
    return True, by


def _untold(yard: Yard, source: str, locked: Locked) -> TrustError | None:
    """What is said of a tag whose signature matters and cannot be checked."""
    if yard.signers(source) is not None:
        return TrustError(
            f"{source}:{locked.name}: its tag cannot be seen, and must be signed", hint="reach the source, or warm the cache"
        )
    if locked.signer is not None:
        message = f"{source}:{locked.name} was pulled as signed by {locked.signer}, and nobody is named to check it by"
        return TrustError(message, hint=f"--signers FILE, or sources.{source}.signers in promptreg.yaml")
    return None


def _locked(want: _Want) -> Locked:
    assert want.locked is not None
    return want.locked


def _raise_all(faults: Sequence[PromptregError]) -> None:
    if faults:
        first, *rest = faults
        raise type(first)(first.message, where=first.where, hint=first.hint, more=tuple(rest))
