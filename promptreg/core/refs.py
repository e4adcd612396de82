"""How users name a prompt at a version, and how Git tags name events: one grammar; every parser is the inverse of its writer.

    reference = [SOURCE ":"] NAME ["@" SELECTOR]
    selector  = VERSION | RANGE | "latest" | "greatest" | LABEL | "git:" REVISION | "working"

    NAME@vVERSION        a release           NAME#LABEL#N         a label moves to the tagged commit
    NAME@vVERSION!       its withdrawal      NAME#LABEL!#N        a label is taken away
    NAME@deprecated      the name is going

N counts over the whole artefact. As GTO does, every tag may carry `#N`, and a label's may lack it. A version or range may begin
with v. Knows no repository: what a selector resolves to, `core.releases` says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from promptreg.core.names import LONGEST, NAME, check_name, check_revision, did_you_mean, is_name, shown
from promptreg.core.semver import SEMVER, Range, Version, parse_range, parse_version
from promptreg.errors import UsageError

__all__ = [
    "RESERVED",
    "Exact",
    "Greatest",
    "Label",
    "Latest",
    "Reference",
    "Revision",
    "Selector",
    "Tag",
    "TagKind",
    "TagSelector",
    "Working",
    "check_label",
    "check_name",
    "deprecate_tag",
    "did_you_mean",
    "is_name",
    "label_tag",
    "parse_reference",
    "parse_selector",
    "parse_tag",
    "release_tag",
    "withdraw_tag",
]

RESERVED = ("working", "latest", "greatest", "git", "deprecated")
_SOURCED = re.compile(r"[a-zA-Z0-9](?:[a-zA-Z0-9-_]*[a-zA-Z0-9])?")
_BEGINS_RANGE = frozenset("vxX0123456789^~<>=* ")
_EXACT = re.compile(rf"(v?)({SEMVER})")
_TAG = re.compile(
    rf"(?P<name>{NAME})"
    rf"(?:@v(?P<version>{SEMVER})(?P<withdrawn>!?)|@(?P<deprecated>deprecated)|\#(?P<label>{NAME})(?P<removed>!?))"
    r"(?:\#(?P<counter>[1-9][0-9]{0,17}))?"
)


@dataclass(frozen=True, slots=True)
class Working:
    """The working tree, said aloud."""

    def __str__(self) -> str:
        return "working"


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest release by date."""

    def __str__(self) -> str:
        return "latest"


@dataclass(frozen=True, slots=True)
class Greatest:
    """The greatest release by version."""

    def __str__(self) -> str:
        return "greatest"


@dataclass(frozen=True, slots=True)
class Exact:
    """One version; `v` says whether it was written with that letter."""

    version: Version
    v: bool = False

    def __str__(self) -> str:
        return f"v{self.version}" if self.v else str(self.version)


@dataclass(frozen=True, slots=True)
class Label:
    """What a label points at."""

    label: str

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True, slots=True)
class Revision:
    """Any revision that Git understands, as written."""

    text: str

    def __str__(self) -> str:
        return f"git:{self.text}"


TagSelector: TypeAlias = Exact | Range | Latest | Greatest | Label  # what releases and labels answer
Selector: TypeAlias = TagSelector | Revision | Working


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A prompt, perhaps of a pulled source, perhaps at a version; without a selector it is the working tree's."""

    name: str
    selector: Selector | None = None
    source: str = ""

    def __str__(self) -> str:
        return (f"{self.source}:" if self.source else "") + self.name + (f"@{self.selector}" if self.selector else "")


def parse_reference(text: str) -> Reference:
    """The reference that *text* is. UsageError that says which part is wrong."""
    head, at, selector = text.partition("@")
    source, colon, name = head.rpartition(":")
    if colon and not _SOURCED.fullmatch(source):
        raise UsageError(f"{shown(source)} cannot be the name of a source", hint="a reference is SOURCE:NAME@SELECTOR")
    check_name(name)
    return Reference(name=name, selector=parse_selector(selector) if at else None, source=source)


def parse_selector(text: str) -> Selector:
    """The selector that *text* is. UsageError for what cannot be one."""
    if text.startswith("git:"):
        return Revision(check_revision(text.removeprefix("git:")))
    match text:
        case "working":
            return Working()
        case "latest":
            return Latest()
        case "greatest":
            return Greatest()
        case "":
            raise UsageError("nothing follows the @", hint="write NAME@1.4.0, NAME@production, or NAME alone for the working tree")
        case "git":
            raise UsageError("'git' names no revision", hint="write NAME@git:REVISION, like NAME@git:HEAD~3")
        case "deprecated":
            raise UsageError("'deprecated' selects nothing: it is the mark of a name that is going")
    if found := _EXACT.fullmatch(text):
        return Exact(parse_version(found[2]), v=bool(found[1]))
    if _is_range(text):
        return parse_range(text)
    if is_name(text):
        return Label(text)
    raise _no_selector(text)


def check_label(label: str) -> None:
    """UsageError unless *label* may be a label: a name that no other selector is written like."""
    if not is_name(label) or label in RESERVED or _EXACT.fullmatch(label) or _is_range(label):
        reason = "a word of the grammar" if label in RESERVED else "written like a version" if is_name(label) else "no name"
        raise UsageError(f"{shown(label)} cannot be a label: it is {reason}", hint="labels are words, like production or staging")


# tags ------------------------------------------------------------------------------------------------------------------------


class TagKind(StrEnum):
    """What a tag says happened."""

    RELEASE = "release"
    WITHDRAW = "withdraw"
    LABEL = "label"
    UNLABEL = "unlabel"
    DEPRECATE = "deprecate"


@dataclass(frozen=True, slots=True)
class Tag:
    """The name of an event. Made by `parse_tag` and by the writers below, which refuse what `parse_tag` would not read."""

    kind: TagKind
    name: str
    version: Version | None = None
    label: str = ""
    counter: int | None = None

    def __str__(self) -> str:
        end = f"#{self.counter}" if self.counter else ""
        mark = "!" if self.kind in (TagKind.WITHDRAW, TagKind.UNLABEL) else ""
        if self.version is not None:
            return f"{self.name}@v{self.version}{mark}{end}"
        if self.kind is TagKind.DEPRECATE:
            return f"{self.name}@deprecated{end}"
        return f"{self.name}#{self.label}{mark}{end}"


def parse_tag(text: str) -> Tag | None:
    """The event that the tag *text* names; None for a tag that has nothing to do with a registry (no @ and no #).

    UsageError for one that looks like an event and is none; its hint says how it should be written.
    """
    found = _TAG.fullmatch(text)
    if found is None:
        if "@" not in text and "#" not in text:
            return None
        raise UsageError(f"the tag {shown(text)} names no event", hint=_tag_hint(text))
    counter = int(found["counter"]) if found["counter"] else None
    if len(found["name"]) > LONGEST or "//" in found["name"] or text.endswith(".lock"):
        raise UsageError(f"the tag {shown(text)} names no event", hint="names are at most 200 characters, without '//'")
    if found["version"]:
        kind = TagKind.WITHDRAW if found["withdrawn"] else TagKind.RELEASE
        return Tag(kind, found["name"], version=parse_version(found["version"]), counter=counter)
    if found["deprecated"]:
        return Tag(TagKind.DEPRECATE, found["name"], counter=counter)
    check_label(found["label"])
    return Tag(TagKind.UNLABEL if found["removed"] else TagKind.LABEL, found["name"], label=found["label"], counter=counter)


def release_tag(name: str, version: Version) -> Tag:
    """The tag that releases *name* as *version*. UsageError for what Git cannot store."""
    check_name(name)
    if str(version).endswith(".lock"):
        raise UsageError(f"{version} cannot be released: Git allows no tag that ends in .lock", hint="choose another version")
    return Tag(TagKind.RELEASE, name, version=version)


def withdraw_tag(name: str, version: Version) -> Tag:
    """The tag that withdraws *version* of *name*."""
    check_name(name)
    return Tag(TagKind.WITHDRAW, name, version=version)


def label_tag(name: str, label: str, counter: int, *, remove: bool = False) -> Tag:
    """The *counter*-th label event of *name*: *label* moves to the tagged commit, or is taken away."""
    check_name(name)
    check_label(label)
    if not 1 <= counter < 10**18:
        raise UsageError(f"the counter of a label event is 1 or more, not {counter}")
    return Tag(TagKind.UNLABEL if remove else TagKind.LABEL, name, label=label, counter=counter)


def deprecate_tag(name: str) -> Tag:
    """The tag that deprecates *name*."""
    check_name(name)
    return Tag(TagKind.DEPRECATE, name)


def _is_range(text: str) -> bool:
    if text[:1] not in _BEGINS_RANGE:  # nearly every label: no need to try
        return False
    try:
        parse_range(text)
    except UsageError:
        return False
    return True


def _no_selector(text: str) -> UsageError:
    if text[0] in "^~<>=*" or re.match(r"v?[0-9]+\.", text):
        try:
            parse_range(text)
        except UsageError as fault:
            return UsageError(f"{shown(text)} is neither a version nor a range", hint=fault.hint)
    shorthand = did_you_mean(text.lower(), [*RESERVED[:3], "git:HEAD"])
    hint = "a selector is 1.4.0, ^1.4, latest, greatest, a label, git:REVISION or working"
    return UsageError(f"{shown(text)} is no selector{shorthand}", hint=hint)


def _tag_hint(text: str) -> str:
    name, _, rest = text.partition("@")
    if not is_name(re.split("[@#]", text)[0]):
        return "it begins with no prompt's name"
    if _EXACT.fullmatch(rest):
        return f"a release is tagged {name}@v{rest}"
    return "events are NAME@v1.4.0, NAME@v1.4.0!, NAME#LABEL#N, NAME#LABEL!#N and NAME@deprecated"
