"""Pulled prompts as a registry's snapshot holds them: read through the lock, every byte checked. Knows no source and no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property

from promptreg import documents
from promptreg.core.canonical import digest_bytes
from promptreg.core.lock import LOCK, MAX_BYTES, Lock, Locked, check_selector, read_lock
from promptreg.core.names import did_you_mean
from promptreg.core.prompt import Prompt
from promptreg.core.refs import Exact, Reference, parse_tag
from promptreg.core.releases import Event, Release, TagObject
from promptreg.core.resolve import Resolution
from promptreg.core.semver import Range
from promptreg.errors import FileChanged, FileMissing, UsageError, Where
from promptreg.registry.prompts import VENDOR, is_pulled
from promptreg.registry.snapshot import Snapshot

_AGAIN = "promptreg pull brings it again; keep changes in prompts of your own"


class Vendored:
    """What the lock of *snapshot* names. The lock is read once; LockTampered when it cannot be trusted."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    @cached_property
    def lock(self) -> Lock:
        """Empty where nothing was pulled."""
        return read_lock(self._snapshot.read(LOCK, MAX_BYTES), self._snapshot.place(LOCK)) if self._snapshot.has(LOCK) else Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """SOURCE:NAME of all, sorted."""
        return tuple(f"{source}:{each.name}" for source, each in self.lock)

    def prompt(self, asked: Reference) -> Prompt:
        """The pulled prompt that *asked* means, named SOURCE:NAME. UsageError if there is none, FileChanged if it was touched."""
        each = self.find(asked)
        files = self.files(asked.source, each)
        partials = {path: text(content) for path, content in files.items() if path != each.path}
        place = self._snapshot.place(folder_of(asked.source, each) + each.path)
        return documents.prompt(files[each.path], place, f"{asked.source}:{each.name}", partials)

    def resolve(self, asked: Reference) -> Resolution:
        """As `Registry.resolve`: what the lock says stands for the release."""
        from promptreg.core.identity import behaviour_digest

        each, prompt = self.find(asked), self.prompt(asked)
        return Resolution(
            reference=asked,
            prompt=prompt,
            source=each.source_digest,
            behaviour=behaviour_digest(prompt),
            commit=each.commit,
            release=_release(each),
        )

    def release(self, asked: Reference) -> Release:
        """The release that was pulled as *asked*, as far as the lock tells of it."""
        return _release(self.find(asked))

    def find(self, asked: Reference) -> Locked:
        """What the lock says of *asked*. UsageError when nothing, or another version, was pulled."""
        known = self.lock.sources
        if asked.source not in known:
            hint = f"pulled: {', '.join(known)}" if known else "promptreg pull URL NAME brings prompts of other registries"
            raise UsageError(f"no source '{asked.source}' has been pulled{did_you_mean(asked.source, known)}", hint=hint)
        each = known[asked.source].prompts.get(asked.name)
        if each is None:
            names = known[asked.source].prompts
            raise UsageError(
                f"'{asked.name}' was not pulled from {asked.source}{did_you_mean(asked.name, names)}",
                hint=f"pulled: {', '.join(sorted(names))}; promptreg pull {asked.source} {asked.name} brings it",
            )
        if not _agrees(each, asked):
            raise UsageError(
                f"{asked.source}:{asked.name} was pulled at {each.version} ({each.selector}), not at {asked.selector}",
                hint=f"promptreg pull {asked.source} '{asked.name}@{asked.selector}' brings that one",
            )
        return each

    def files(self, source: str, each: Locked) -> Mapping[str, bytes]:
        """Path to bytes of all files of a pulled prompt, which are those that the lock names. FileChanged otherwise."""
        return {path: self._file(folder_of(source, each) + path, digest) for path, digest in each.files.items()}

    def _file(self, path: str, digest: str) -> bytes:
        if not self._snapshot.has(path):
            raise FileMissing(f"{path} is missing: it was pulled before", where=self._where(path), hint=_AGAIN)
        try:
            content = self._snapshot.read(path)
        except UsageError as fault:
            raise FileChanged(f"{path}: {fault.message}", where=self._where(path), hint=_AGAIN) from fault
        if digest_bytes(content) != digest:
            raise FileChanged(f"{path} is not the file that was pulled: it was changed", where=self._where(path), hint=_AGAIN)
        return content

    def faults(self) -> Iterator[FileChanged]:
        """Everything below prompts/vendor/ that is not as the lock says, each file by itself."""
        wanted: set[str] = set()
        for source, each in self.lock:
            for path, digest in each.files.items():
                wanted.add(folder_of(source, each) + path)
                try:
                    self._file(folder_of(source, each) + path, digest)
                except FileChanged as fault:
                    yield fault
        for path in self._snapshot.paths(VENDOR.rstrip("/")):
            if is_pulled(path) and path not in wanted:
                yield FileChanged(f"{path} is unknown to the lock", where=self._where(path), hint="nobody pulled it: delete it")

    def _where(self, path: str) -> Where:
        return Where(self._snapshot.place(path))


def folder_of(source: str, each: Locked) -> str:
    """Where the files of a pulled prompt lie, below promptreg.yaml."""
    return f"{VENDOR}{source}/{each.folder}/"


def _release(each: Locked) -> Release:
    """The release that the lock names."""
    tag = parse_tag(each.tag)
    assert tag is not None
    event = Event(tag, TagObject(each.tag, each.tag_object, each.commit, time=each.time, signed=each.signer is not None))
    return Release(name=each.name, version=each.version, commit=each.commit, event=event)


def text(content: bytes) -> str:
    """A partial's text."""
    return content.decode("utf-8-sig")


def _agrees(each: Locked, asked: Reference) -> bool:
    """Whether the version that was pulled is one that *asked* means, as far as the lock can tell."""
    if asked.selector is None or str(asked.selector) == each.selector:
        return True
    match check_selector(str(asked.selector)):
        case Exact(version):
            return version == each.version or (not version.build and version.precedence == each.version.precedence)
        case Range() as wanted:
            return each.version in wanted
    return False
