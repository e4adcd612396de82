"""Versions and ranges of them: SemVer 2.0's order and npm's dialect of ranges. Knows no names, tags or releases.

    range      = part ("||" part)*
    part       = partial " - " partial | comparator (" " | ",") comparator …
    comparator = ["^" | "~" | ">" | ">=" | "<" | "<=" | "="] partial
    partial    = ["v"] (number | "x" | "X" | "*") [. … [. … ["-" prerelease] ["+" build]]]

Unlike npm: a comma may stand between comparators (a shell needs no quotes for it); an empty part is an error (it would mean "any
version", which nobody types on purpose), and so is a number after a wildcard, everywhere.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptreg.errors import UsageError

LONGEST = 256  # characters of a version, as npm has it; longer ones are an attack on whoever sorts them
MOST = 2048  # characters of a range
_NUMBER = r"0|[1-9][0-9]*"
_PRERELEASE = r"(?:(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)"
_BUILD = r"(?:[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)"
SEMVER = rf"(?:{_NUMBER})\.(?:{_NUMBER})\.(?:{_NUMBER})(?:-{_PRERELEASE})?(?:\+{_BUILD})?"
_VERSION = re.compile(rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_PRERELEASE}))?(?:\+({_BUILD}))?")
_X = rf"(?:{_NUMBER}|[xX*])"
_PARTIAL = rf"v?(?:{_X})(?:\.(?:{_X})(?:\.(?:{_X})(?:-{_PRERELEASE})?(?:\+{_BUILD})?)?)?"
_PARTS = re.compile(rf"v?({_X})(?:\.({_X})(?:\.({_X})(?:-({_PRERELEASE}))?(?:\+{_BUILD})?)?)?")
_HYPHEN = re.compile(rf" *({_PARTIAL}) +- +({_PARTIAL}) *")
_COMPARATOR = re.compile(rf" *(~>?|\^|<=|>=|<|>|=)? *({_PARTIAL})(?: *,(?= *[^ ])| +|$)")

Operator: TypeAlias = Literal["<", "<=", ">", ">=", "="]


@functools.total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A SemVer 2.0 version. The order is total: where SemVer has no precedence (build metadata), the text decides."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""
    build: str = ""

    def __str__(self) -> str:
        text = f"{self.major}.{self.minor}.{self.patch}"
        return text + (f"-{self.prerelease}" if self.prerelease else "") + (f"+{self.build}" if self.build else "")

    @property
    def triple(self) -> tuple[int, int, int]:
        return self.major, self.minor, self.patch

    @property
    def precedence(self) -> tuple[object, ...]:
        """What SemVer 2.0, section 11, compares: build metadata takes no part."""
        identifiers = self.prerelease.split(".") if self.prerelease else []
        ranks = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in identifiers)
        return *self.triple, not identifiers, ranks

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return (*self.precedence, self.build) < (*other.precedence, other.build)


def parse_version(text: str) -> Version:
    """The version that *text* is, without a leading v. UsageError for anything else."""
    found = _VERSION.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        raise UsageError(f"{_quoted(text)} is not a version", hint=_version_hint(text))
    major, minor, patch, prerelease, build = found.groups()
    return Version(int(major), int(minor), int(patch), prerelease or "", build or "")


def _version_hint(text: str) -> str:
    bare = text.strip().lstrip("vV=")
    numbers = bare.split(".")
    if all(part.isascii() and part.isdigit() and len(part) < 10 for part in numbers) and len(numbers) <= 3:
        return f"did you mean '{'.'.join(str(int(part)) for part in [*numbers, '0', '0'][:3])}'?"
    return "a version is MAJOR.MINOR.PATCH, like 1.4.0 or 2.0.0-rc.1 (semver.org)"


@dataclass(frozen=True, slots=True)
class Comparator:
    """One bound of a range."""

    operator: Operator
    version: Version

    def admits(self, version: Version) -> bool:
        ours, theirs = version.precedence, self.version.precedence
        if self.operator == "=":
            return ours == theirs
        if self.operator in (">", ">="):
            return ours > theirs or (self.operator == ">=" and ours == theirs)
        return ours < theirs or (self.operator == "<=" and ours == theirs)


Bounds: TypeAlias = tuple[Comparator, ...]  # all must admit; none: any version


@dataclass(frozen=True, slots=True)
class Range:
    """A set of versions, and the text that said it. A version with a prerelease is in only if a bound names its very triple so."""

    text: str
    alternatives: tuple[Bounds, ...]

    def __str__(self) -> str:
        return self.text

    def __contains__(self, version: Version) -> bool:
        return any(_admits(bounds, version) for bounds in self.alternatives)


def _admits(bounds: Bounds, version: Version) -> bool:
    if not all(bound.admits(version) for bound in bounds):
        return False
    named = (bound.version for bound in bounds if bound.version.prerelease)
    return not version.prerelease or any(bound.triple == version.triple for bound in named)


def parse_range(text: str) -> Range:
    """The range that *text* says. UsageError for what is none."""
    if len(text) > MOST or text != text.strip(" "):
        raise UsageError(f"{_quoted(text)} is not a range of versions", hint="a range is short and has no spaces around it")
    return Range(text, tuple(_alternative(part, text) for part in text.split("||")))


def _alternative(text: str, whole: str) -> Bounds:
    if hyphen := _HYPHEN.fullmatch(text):
        return (*_at_least(_partial(hyphen[1], whole)), *_at_most(_partial(hyphen[2], whole)))
    bounds: list[Comparator] = []
    position = 0
    stripped = text.strip(" ")
    while position < len(stripped) or not stripped:
        found = _COMPARATOR.match(stripped, position)
        if found is None:
            raise UsageError(
                f"{_quoted(whole)} is not a range of versions", hint="ranges are written ^1.4, ~1.4, 1.x, '>=1,<2' or '1.2 - 1.6'"
            )
        bounds += _bounds(found[1] or "=", _partial(found[2], whole))
        position = found.end()
    return tuple(bounds)


@dataclass(frozen=True, slots=True)
class _Partial:
    """A version of which only the first `known` numbers are given."""

    known: int
    floor: Version

    def after(self, place: int) -> Version:
        """The lowest version of all whose number at *place* (0 to 2) is one higher."""
        major, minor, patch = (
            number if at < place else number + 1 if at == place else 0 for at, number in enumerate(self.floor.triple)
        )
        return Version(major, minor, patch, "0")


_NOTHING = (Comparator("<", Version(0, 0, 0, prerelease="0")),)


def _partial(text: str, whole: str) -> _Partial:
    found = _PARTS.fullmatch(text)
    assert found is not None
    *numbers, prerelease = found.groups()
    known = next((place for place, number in enumerate(numbers) if number is None or number in "xX*"), 3)
    if any(number is not None and number not in "xX*" for number in numbers[known:]):
        raise UsageError(f"{_quoted(whole)} is not a range of versions", hint="no number can follow a wildcard: 1.x, not 1.x.3")
    if len(text) > LONGEST or (prerelease and known < 3):
        raise UsageError(f"{_quoted(whole)} is not a range of versions", hint="a prerelease needs all three numbers: ^1.4.0-rc.1")
    major, minor, patch = (int(number) if place < known else 0 for place, number in enumerate(numbers))
    return _Partial(known, Version(major, minor, patch, prerelease or ""))


def _bounds(operator: str, partial: _Partial) -> Bounds:
    if partial.known == 0:
        return _NOTHING if operator in ("<", ">") else ()
    if operator == "^":
        first = next((place for place in range(partial.known) if partial.floor.triple[place]), partial.known - 1)
        return (*_at_least(partial), Comparator("<", partial.after(first)))
    if operator in ("~", "~>"):
        return (*_at_least(partial), Comparator("<", partial.after(min(partial.known - 1, 1))))
    return _plain(operator, partial)


def _plain(operator: str, partial: _Partial) -> Bounds:
    if operator == ">=":
        return _at_least(partial)
    if operator == "<=":
        return _at_most(partial)
    if operator == "<":
        return (Comparator("<", partial.floor if partial.known == 3 else _first(partial.floor)),)
    if operator == ">":
        return (Comparator(">", partial.floor) if partial.known == 3 else Comparator(">=", _next(partial)),)
    if partial.known == 3:
        return (Comparator("=", partial.floor),)
    return (*_at_least(partial), Comparator("<", partial.after(partial.known - 1)))


def _at_least(partial: _Partial) -> Bounds:
    return (Comparator(">=", partial.floor),) if partial.known else ()


def _at_most(partial: _Partial) -> Bounds:
    if partial.known == 0:
        return ()
    if partial.known == 3:
        return (Comparator("<=", partial.floor),)
    return (Comparator("<", partial.after(partial.known - 1)),)


def _next(partial: _Partial) -> Version:
    return Version(*partial.after(partial.known - 1).triple)


def _first(version: Version) -> Version:
    return Version(*version.triple, "0")


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= 60 else text[:60] + "…")
