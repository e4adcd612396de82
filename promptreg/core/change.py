"""What changed between two versions of a prompt, and how large a step of the version that asks for. Knows no tags and no Git.

    major   an input removed, made required, or accepting less or other values; a field of the answer removed, retyped, or no
            longer certain; an answer that changes between text and JSON; a tool removed, or its parameters changed so
    minor   a new optional input, or one that accepts more; a new field of the answer; a new tool
    patch   texts, partials, parameters, descriptions that a model reads
    none    the behaviour digest is the same

What a caller gives must still be accepted; what a caller gets must still be understood. So an input may widen, an answer may not:
a new value in its enum is one that nobody's code handles yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, TypeAlias

from promptreg.core.canonical import Json
from promptreg.core.identity import behaviour
from promptreg.core.prompt import Prompt
from promptreg.core.semver import Version
from promptreg.core.widening import bare, covers, same

Kind: TypeAlias = Literal["added", "removed", "changed"]
_FIELDS = ("properties", "required")


class Bump(IntEnum):
    """How large a step is."""

    NONE = 0
    PATCH = 1
    MINOR = 2
    MAJOR = 3

    def __str__(self) -> str:
        return self.name.lower()


BUMPS: Mapping[str, Bump] = {str(bump): bump for bump in (Bump.MAJOR, Bump.MINOR, Bump.PATCH)}


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """One difference: the step it asks for, the (dotted) part of the prompt, and a sentence for people."""

    bump: Bump
    key: str
    kind: Kind
    message: str

    def as_json(self) -> dict[str, Json]:
        return {"bump": str(self.bump), "key": self.key, "kind": self.kind, "message": self.message}


@dataclass(frozen=True, slots=True)
class Change:
    """All differences, the largest first. None: the two behave the same."""

    reasons: tuple[Reason, ...]

    @property
    def floor(self) -> Bump:
        """The smallest step that is honest."""
        return max((reason.bump for reason in self.reasons), default=Bump.NONE)


def change(old: Prompt, new: Prompt) -> Change:
    """What changed from *old* to *new*. Raises TemplateError."""
    before, after = behaviour(old), behaviour(new)
    if same(before, after):
        return Change(())
    found = [
        *_inputs(old.inputs, new.inputs),
        *_output(old.output_schema, new.output_schema),
        *_tools(old.tools, new.tools),
        *_messages(_mappings(before["messages"]), _mappings(after["messages"])),
        *_entries(_mapping(before["partials"]), _mapping(after["partials"]), "partials", "the partial '{}'"),
        *_entries(_mapping(before["params"]), _mapping(after["params"]), "params", "the parameter '{}'"),
    ]
    return Change(tuple(sorted(found, key=lambda reason: -reason.bump)))


def least(previous: Version, floor: Bump) -> Version:
    """The lowest version after *previous* that *floor* allows.

    Below 1.0.0 a new minor says what a new major says later (as npm's ranges have it), and so it does for additions.
    """
    if floor is Bump.MAJOR and previous.major:
        return Version(previous.major + 1, 0, 0)
    if floor >= Bump.MINOR:
        return Version(previous.major, previous.minor + 1, 0)
    return Version(previous.major, previous.minor, previous.patch + (0 if previous.prerelease else 1))


def step(previous: Version, bump: Bump) -> Version:
    """The version one *bump* after *previous*, as somebody who says `--bump` means it."""
    return Version(previous.major + 1, 0, 0) if bump is Bump.MAJOR else least(previous, bump)


# inputs ----------------------------------------------------------------------------------------------------------------------


def _inputs(old: Mapping[str, Mapping[str, Json]], new: Mapping[str, Mapping[str, Json]]) -> Iterator[Reason]:
    for name in sorted(old.keys() | new.keys()):
        key = f"inputs.{name}"
        if name not in new:
            yield Reason(Bump.MAJOR, key, "removed", f"the input '{name}' is removed")
        elif name not in old:
            optional = "default" in new[name]
            size, noun = (Bump.MINOR, "optional") if optional else (Bump.MAJOR, "required")
            yield Reason(size, key, "added", f"the {noun} input '{name}' is new")
        else:
            yield from _input(name, old[name], new[name])


def _input(name: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Reason]:
    key = f"inputs.{name}"
    if "default" in old and "default" not in new:
        yield Reason(Bump.MAJOR, key, "changed", f"the input '{name}' is required now")
    elif "default" in new and "default" not in old:
        yield Reason(Bump.MINOR, key, "changed", f"the input '{name}' is optional now")
    elif not same(old.get("default"), new.get("default")):
        yield Reason(Bump.PATCH, key, "changed", f"the input '{name}' has another default")
    if not same(bare(old), bare(new)):
        if covers(new, old):
            yield Reason(Bump.MINOR, key, "changed", f"the input '{name}' accepts more")
        else:
            less = covers(old, new)
            yield Reason(Bump.MAJOR, key, "changed", f"the input '{name}' accepts {'less' if less else 'other values'}")
    elif not same(_without(old, "default"), _without(new, "default")):
        yield Reason(Bump.PATCH, key, "changed", f"the input '{name}' is described otherwise")


# answers ---------------------------------------------------------------------------------------------------------------------


def _output(old: Mapping[str, Json] | None, new: Mapping[str, Json] | None) -> Iterator[Reason]:
    if old is None and new is not None:
        yield Reason(Bump.MAJOR, "output.schema", "added", "the answer was free text and is JSON now")
    elif old is not None and new is None:
        yield Reason(Bump.MAJOR, "output.schema", "removed", "the answer was JSON and is free text now")
    elif old is not None:
        yield from _given(old, new, "output.schema", "the answer")


def _given(old: Json, new: Json, key: str, what: str) -> Iterator[Reason]:
    """How *what* a caller gets from the model differs, field by field."""
    if same(bare(old), bare(new)):
        if not same(old, new):
            yield Reason(Bump.PATCH, key, "changed", f"{what} is described otherwise")
        return
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        yield Reason(Bump.MAJOR, key, "changed", f"{what} has another type")
        return
    if "items" in old and "items" in new and same(bare(_without(old, "items")), bare(_without(new, "items"))):
        yield from _given(old["items"], new["items"], f"{key}.items", f"each item of {what}")
        return
    if not same(bare(_without(old, *_FIELDS)), bare(_without(new, *_FIELDS))):
        yield Reason(Bump.MAJOR, key, "changed", f"{what} {_retyped(old, new)}")
    yield from _given_fields(old, new, key, what)


def _retyped(old: Mapping[str, Json], new: Mapping[str, Json]) -> str:
    if not same(old.get("type"), new.get("type")):
        return "has another type"
    return "may have fewer values" if covers(old, new) else "may have more values" if covers(new, old) else "may have other values"


def _given_fields(old: Mapping[str, Json], new: Mapping[str, Json], key: str, what: str) -> Iterator[Reason]:
    before, after = _mapping(old.get("properties")), _mapping(new.get("properties"))
    certain, sure = set(_names(old.get("required"))), set(_names(new.get("required")))
    for name in sorted(before.keys() | after.keys() | certain | sure):
        place, field = f"{key}.properties.{name}", f"the field '{name}' of {what}"
        if name in before and name not in after:
            yield Reason(Bump.MAJOR, place, "removed", f"{field} is removed")
        elif name in after and name not in before:
            yield Reason(Bump.MINOR, place, "added", f"{field} is new")
        else:
            if name in before:
                yield from _given(before[name], after[name], place, field)
            if name in certain and name not in sure:
                yield Reason(Bump.MAJOR, f"{key}.required.{name}", "removed", f"{field} may be missing now")
            elif name in sure and name not in certain:
                yield Reason(Bump.MINOR, f"{key}.required.{name}", "added", f"{field} is always there now")


def _tools(old: Sequence[Mapping[str, Json]], new: Sequence[Mapping[str, Json]]) -> Iterator[Reason]:
    before, after = _named(old), _named(new)
    for name in sorted(before.keys() | after.keys()):
        key = f"tools.{name}"
        if name not in after:
            yield Reason(Bump.MAJOR, key, "removed", f"the tool '{name}' is removed")
        elif name not in before:
            yield Reason(Bump.MINOR, key, "added", f"the tool '{name}' is new")
        elif not same(before[name], after[name]):
            yield from _tool(name, before[name], after[name])
    if list(before) != list(after) and before.keys() == after.keys():
        yield Reason(Bump.PATCH, "tools", "changed", "the tools stand in another order")


def _tool(name: str, old: Mapping[str, Json], new: Mapping[str, Json]) -> Iterator[Reason]:
    before, after = _function(old), _function(new)
    yield from _given(before.get("parameters", {}), after.get("parameters", {}), f"tools.{name}", f"the call of '{name}'")
    if not same(_without(before, "parameters"), _without(after, "parameters")) or not same(_outside(old), _outside(new)):
        yield Reason(Bump.PATCH, f"tools.{name}", "changed", f"the tool '{name}' is described otherwise")


def _named(tools: Sequence[Mapping[str, Json]]) -> dict[str, Mapping[str, Json]]:
    """Tools by name; a second one of a name, and one without, by its place."""
    found: dict[str, Mapping[str, Json]] = {}
    for place, tool in enumerate(tools, 1):
        name = _function(tool).get("name")
        found[name if isinstance(name, str) and name not in found else f"number {place}"] = tool
    return found


def _function(tool: Mapping[str, Json]) -> Mapping[str, Json]:
    inner = tool.get("function")
    return inner if isinstance(inner, Mapping) else tool


def _outside(tool: Mapping[str, Json]) -> Json:
    return _without(tool, "function") if isinstance(tool.get("function"), Mapping) else {}


# texts -----------------------------------------------------------------------------------------------------------------------


def _messages(old: Sequence[Mapping[str, Json]], new: Sequence[Mapping[str, Json]]) -> Iterator[Reason]:
    for place in range(max(len(old), len(new))):
        key, either = f"messages[{place}]", (new if place < len(new) else old)[place]
        what = f"message {place + 1} ({either['role']})"
        if place >= len(new):
            yield Reason(Bump.PATCH, key, "removed", f"{what} is removed")
        elif place >= len(old):
            yield Reason(Bump.PATCH, key, "added", f"{what} is new")
        elif old[place]["role"] != new[place]["role"]:
            yield Reason(Bump.PATCH, key, "changed", f"message {place + 1} has another role: {new[place]['role']}")
        elif not same(dict(old[place]), dict(new[place])):
            yield Reason(Bump.PATCH, key, "changed", f"{what} has another text")


def _entries(old: Mapping[str, Json], new: Mapping[str, Json], key: str, what: str) -> Iterator[Reason]:
    for name in sorted(old.keys() | new.keys()):
        place, called = f"{key}.{name}", what.format(name)
        if name not in new:
            yield Reason(Bump.PATCH, place, "removed", f"{called} is removed")
        elif name not in old:
            yield Reason(Bump.PATCH, place, "added", f"{called} is new")
        elif not same(old[name], new[name]):
            yield Reason(Bump.PATCH, place, "changed", f"{called} changed")


def _without(mapping: Mapping[str, Json], *keys: str) -> dict[str, Json]:
    return {key: value for key, value in mapping.items() if key not in keys}


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Json) -> list[Mapping[str, Json]]:
    return [_mapping(each) for each in value] if isinstance(value, (list, tuple)) else []


def _names(value: Json) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, (list, tuple)) else []
