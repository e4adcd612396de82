"""promptreg.lock: what was pulled from where, bound by digests, so that nothing can change unseen.

    {"digest": …, "schema": "promptreg/lock/1",
     "sources": {SOURCE: {"url", "prompts": {NAME: {"selector", "version", "tag", "tag_object", "commit", "time", "signer",
                                                    "source_digest", "files": {PATH: DIGEST}}}}}}

`digest` covers all else. PATH counts from the source's prompts/. The text is canonical JSON with its keys sorted, one to a line, so
that pull requests show what changed; reading refuses any other text. Knows neither Git nor files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from promptreg.core.canonical import Digest, Json, digest
from promptreg.core.names import check_name, shown
from promptreg.core.refs import TagKind, TagSelector, parse_selector, parse_tag
from promptreg.core.semver import Version, parse_version
from promptreg.core.sources import check_source_name, check_url
from promptreg.errors import LockTampered, UsageError, Where

LOCK = "promptreg.lock"
SCHEMA = "promptreg/lock/1"
MAX_BYTES = 8 << 20  # of one lock: thousands of prompts
_AGAIN = "take the lock from Git again (git checkout promptreg.lock), or delete it and pull again"
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SEGMENT = re.compile(r"[^\x00-\x1f\x7f/\\:]+")
_LONGEST_PATH = 400
_KEYS = ("selector", "version", "tag", "tag_object", "commit", "time", "signer", "source_digest", "files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One pulled prompt. `signer` is who was found to have signed its tag, None when nobody had to. `time` is the tag's own."""

    name: str
    selector: str
    version: Version
    tag: str
    tag_object: str
    commit: str
    time: int
    signer: str | None
    files: Mapping[str, Digest]
    source_digest: Digest

    @property
    def path(self) -> str:
        """The prompt's own file, from the source's prompts/."""
        return f"{self.name}.yaml"

    @property
    def folder(self) -> str:
        """Where its files lie below the source's folder; an include root of its own. No two versions share one."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSource:
    """One source: its address, and what was pulled from it, by name."""

    url: str
    prompts: Mapping[str, Locked] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """All that was pulled, by the name of its source."""

    sources: Mapping[str, LockedSource] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, Locked]]:
        """(source, prompt), sorted."""
        return ((name, source.prompts[each]) for name, source in sorted(self.sources.items()) for each in sorted(source.prompts))

    def find(self, source: str, name: str) -> Locked | None:
        return self.sources[source].prompts.get(name) if source in self.sources else None

    def having(self, source: str, url: str, prompts: Sequence[Locked]) -> Lock:
        """This lock with *prompts* of *source*, which is at *url*, added or replaced."""
        old = self.sources.get(source, LockedSource(url=url))
        new = LockedSource(url=url, prompts={**old.prompts, **{each.name: each for each in prompts}})
        return replace(self, sources={**self.sources, source: new})

    def without(self, source: str, name: str) -> Lock:
        """This lock without one prompt; a source that gave no other goes, too."""
        old = self.sources[source]
        left = {each: locked for each, locked in old.prompts.items() if each != name}
        others = {each: value for each, value in self.sources.items() if each != source}
        return replace(self, sources={**others, source: replace(old, prompts=left)} if left else others)


def check_selector(text: str) -> TagSelector:
    """The selector that *text* is. UsageError for one that no tag answers."""
    from promptreg.core.refs import Revision, Working

    selector = parse_selector(text)
    if isinstance(selector, (Revision, Working)):
        raise UsageError(f"{shown(text)} is not a release", hint="pull by version, range, label, latest or greatest")
    return selector


def check_file(path: str) -> None:
    """UsageError unless *path* is one that a pulled file may have: relative, plain, with nothing hidden."""
    segments = path.split("/")
    bad = any(not _SEGMENT.fullmatch(each) or each.startswith(".") or each.endswith((".", " ")) for each in segments)
    if bad or len(path) > _LONGEST_PATH or not path.isprintable():
        raise UsageError(f"{shown(path)} is not a path that a pulled file may have", hint="the source must rename it")


# writing ---------------------------------------------------------------------------------------------------------------------


def write_lock(lock: Lock) -> bytes:
    """The text of *lock*; `read_lock` is its inverse."""
    value: dict[str, Json] = {"schema": SCHEMA, "sources": {name: _source(source) for name, source in lock.sources.items()}}
    text = json.dumps({"digest": digest(SCHEMA, value), **value}, ensure_ascii=False, indent=2, sort_keys=True)
    return text.encode() + b"\n"


def _source(source: LockedSource) -> dict[str, Json]:
    return {"url": source.url, "prompts": {name: _locked(each) for name, each in source.prompts.items()}}


def _locked(each: Locked) -> dict[str, Json]:
    return {
        "selector": each.selector,
        "version": str(each.version),
        "tag": each.tag,
        "tag_object": each.tag_object,
        "commit": each.commit,
        "time": each.time,
        "signer": each.signer,
        "source_digest": each.source_digest,
        "files": dict(each.files),
    }


# reading ---------------------------------------------------------------------------------------------------------------------


def read_lock(content: bytes, path: str = LOCK) -> Lock:
    """The lock that *content* is. LockTampered for all that `write_lock` would not have written; line ends may be Windows'."""
    try:
        if len(content) > MAX_BYTES:
            raise UsageError(f"it is larger than {MAX_BYTES:,} bytes")
        raw = _object(json.loads(content.decode("utf-8")), "", ("digest", "schema", "sources"))
        if raw["schema"] != SCHEMA:
            hint = f"{SCHEMA} is read here; a newer promptreg may have written it"
            raise LockTampered(f"its schema is {shown(str(raw['schema']))}", hint=hint)
        if raw["digest"] != digest(SCHEMA, {"schema": SCHEMA, "sources": raw["sources"]}):
            raise UsageError("it was changed after it was written: its digest does not fit")
        lock = _read(_mapping(raw["sources"], "sources"))
        if write_lock(lock) != content.replace(b"\r\n", b"\n"):
            raise UsageError("it is not written as promptreg writes it")
    except (ValueError, RecursionError, UsageError) as fault:
        message = fault.message if isinstance(fault, UsageError) else f"it is not JSON: {str(fault)[:200]}"
        hint = (fault.hint if isinstance(fault, LockTampered) else None) or _AGAIN
        raise LockTampered(f"the lock cannot be trusted: {message}", where=Where(path), hint=hint) from fault
    return lock


def _read(sources: Mapping[str, Any]) -> Lock:
    found: dict[str, LockedSource] = {}
    for name, value in sources.items():
        check_source_name(name)
        raw = _object(value, name, ("url", "prompts"))
        prompts = _mapping(raw["prompts"], name)
        found[name] = LockedSource(
            url=check_url(_text(raw, "url", name)),
            prompts={each: _read_one(each, prompts[each], f"{name}:{each}") for each in prompts},
        )
    return Lock(sources=found)


def _read_one(name: str, value: Any, place: str) -> Locked:
    from promptreg.core.identity import source_of_digests  # brings Jinja

    check_name(name)
    raw = _object(value, place, _KEYS)
    version = parse_version(_text(raw, "version", place))
    tag = parse_tag(_text(raw, "tag", place))
    if tag is None or (tag.kind, tag.name, tag.version) != (TagKind.RELEASE, name, version):
        raise UsageError(f"{place}: its tag is of another release")
    check_selector(_text(raw, "selector", place))
    files = {path: Digest(_text(raw["files"], path, place, _DIGEST)) for path in _mapping(raw["files"], place)}
    for each in files:
        check_file(each)
    if raw["signer"] is not None:
        _text(raw, "signer", place)
    if type(raw["time"]) is not int:
        raise UsageError(f"{place}: 'time' is not a whole number")
    partials = {path: found for path, found in files.items() if path != f"{name}.yaml"}
    if len(partials) == len(files) or raw["source_digest"] != source_of_digests(files[f"{name}.yaml"], partials):
        raise UsageError(f"{place}: its digest is not that of its files")
    return Locked(
        name=name,
        selector=raw["selector"],
        version=version,
        tag=raw["tag"],
        tag_object=_text(raw, "tag_object", place, _OID),
        commit=_text(raw, "commit", place, _OID),
        time=raw["time"],
        signer=raw["signer"],
        files=files,
        source_digest=raw["source_digest"],
    )


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UsageError(f"{place or 'the lock'}: an object is wanted")
    return value


def _object(value: Any, place: str, keys: Sequence[str]) -> Mapping[str, Any]:
    found = _mapping(value, place)
    if odd := sorted(found.keys() ^ set(keys)):
        raise UsageError(f"{place or 'the lock'}: {'unknown' if odd[0] in found else 'missing'} key {shown(odd[0])}")
    return found


def _text(raw: Mapping[str, Any], key: str, place: str, pattern: re.Pattern[str] | None = None) -> str:
    value = raw[key]
    if not isinstance(value, str) or not value.isprintable() or (pattern is not None and not pattern.fullmatch(value)):
        raise UsageError(f"{place}: {shown(key)} is not what it should be")
    return value
