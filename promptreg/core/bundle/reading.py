"""JSON → a bundle and its prompts, or a BundleError that names the path of what is missing, unknown, forged or of a wrong type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from promptreg.core.bundle.values import Bundle, Bundled, Shelf
from promptreg.core.bundle.writing import text_digest
from promptreg.core.canonical import Digest
from promptreg.core.prompt import ROLES, Content, MessageTemplate, Parameters, Part, Prompt
from promptreg.core.refs import check_label, is_name, parse_reference
from promptreg.core.semver import Version, parse_version
from promptreg.errors import BundleError, UsageError, Where

SHOWN = 80  # characters of foreign text that an error quotes
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TRUST = ("trusted", "untrusted")
_NUMBER = (int, float)
_PARAMETERS: Mapping[str, tuple[type, ...]] = {
    "temperature": _NUMBER,
    "top_p": _NUMBER,
    "top_k": (int,),
    "max_tokens": (int,),
    "seed": (int,),
    "stop": (list, tuple),
    "presence_penalty": _NUMBER,
    "frequency_penalty": _NUMBER,
    "extra": (dict,),
}
assert _PARAMETERS.keys() == {each.name for each in fields(Parameters)}


_KINDS = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "text",
    type(None): "null",
}


def fault(path: str, message: str, key: str = "", hint: str | None = None) -> BundleError:
    return BundleError(message, where=Where(path, key=key), hint=hint)


def shown(value: object) -> str:
    """Foreign text as an error may quote it."""
    text = str(value)
    return ascii(text if len(text) <= SHOWN else text[:SHOWN] + "…")


def decoded(text: str) -> Any:
    """The JSON value that *text* says. UsageError for what is none: also for a key that stands twice, and for NaN."""
    try:
        return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"not JSON: {str(error)[:200]}", hint="make or fetch the bundle again") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


@dataclass(frozen=True, slots=True)
class _Place:
    """A value of the file and its dotted key; every question about it raises BundleError there."""

    value: Any
    path: str
    key: str = ""

    def wrong(self, message: str, hint: str | None = None) -> BundleError:
        return fault(self.path, message, self.key, hint)

    def of(self, *kinds: type) -> Any:
        """The value, which must be of one of *kinds*; true and false are no numbers."""
        if not isinstance(self.value, kinds) or isinstance(self.value, bool):
            raise self.wrong(f"is {_KINDS[type(self.value)]}, which it cannot be")
        return self.value

    def members(self, needed: tuple[str, ...] = (), optional: tuple[str, ...] = ()) -> dict[str, _Place]:
        """The members of an object that has *needed*, perhaps some *optional*, and nothing else."""
        found = self.table()
        for name in needed:
            if name not in found:
                raise self.inner(name, None).wrong("is missing")
        for name, place in found.items():
            if name not in needed and name not in optional:
                raise place.wrong("is an unknown key", hint="a newer promptreg may know it: upgrade, or bundle again")
        return found

    def table(self) -> dict[str, _Place]:
        return {name: self.inner(name, value) for name, value in self.of(dict).items()}

    def items(self) -> list[_Place]:
        return [_Place(value, self.path, f"{self.key}[{at}]") for at, value in enumerate(self.of(list))]

    def inner(self, name: str, value: Any) -> _Place:
        safe = name if len(name) <= SHOWN and name.isprintable() else shown(name)
        return _Place(value, self.path, f"{self.key}.{safe}" if self.key else safe)

    def exact(self) -> _Place:
        """What stands here; or what its JSON text says."""
        return _Place(self.checked(decoded, self.value), self.path, self.key) if isinstance(self.value, str) else self

    def text(self, *among: str, pattern: re.Pattern[str] | None = None) -> str:
        """The text here; one of *among*, or one that *pattern* matches, if either is given."""
        value: str = self.of(str)
        if (among and value not in among) or (pattern and not pattern.fullmatch(value)):
            raise self.wrong(f"cannot be {shown(value)}")
        return value

    def checked(self, check: Callable[[str], Any], text: str) -> Any:
        """What *check* makes of *text*; its UsageError becomes one of this place."""
        try:
            return check(text)
        except UsageError as error:
            raise self.wrong(error.message, error.hint) from error


def read_content(raw: Mapping[str, Any], path: str, found: Digest) -> Bundle:
    """The bundle whose JSON, less its digest, is *raw*."""
    top = _Place(raw, path).members(("schema", "registry", "partials", "prompts"))
    texts = {key: place.text() for key, place in top["partials"].table().items()}
    for key, text in texts.items():
        if key != text_digest(text):
            raise top["partials"].inner(key, text).wrong("is not the text that the digest says")
    shelves = {name: _shelf(name, place, texts) for name, place in top["prompts"].table().items()}
    used = {text for shelf in shelves.values() for each in shelf.versions for text in each.prompt.partials.values()}
    for key, text in texts.items():
        if text not in used:
            raise top["partials"].inner(key, text).wrong("no prompt includes it")
    return Bundle(shelves=shelves, registry=top["registry"].text(), digest=found)


def _shelf(name: str, place: _Place, texts: Mapping[str, str]) -> Shelf:
    place.checked(_check_name, name)
    members = place.members(("versions",), ("labels", "deprecated"))
    versions = tuple(_bundled(name, each, texts) for each in members["versions"].items())
    known: list[Version] = [each.version for each in versions if each.version is not None]
    if not versions or len(known) < len(versions) - 1 or (len(known) < len(versions) and versions[0].version is not None):
        raise members["versions"].wrong("must be a working copy, releases, or both in this order")
    if any(one >= other for one, other in pairwise(known)):
        raise members["versions"].wrong("must ascend, each version once")
    return Shelf(
        versions=versions,
        labels=_labels(members["labels"], known) if "labels" in members else {},
        deprecated=_deprecated(members["deprecated"]) if "deprecated" in members else None,
    )


def _check_name(name: str) -> None:
    """A prompt's name; that of a pulled one has its source before it."""
    if not is_name(name) and (parsed := parse_reference(name)).selector is not None:
        raise UsageError(f"{shown(name)} cannot be a name: it has a selector", hint=f"the name is {parsed.name}")


def _labels(place: _Place, known: list[Version]) -> dict[str, Version]:
    versions = {str(version): version for version in known}
    found = {}
    for label, pointer in place.table().items():
        pointer.checked(check_label, label)
        if pointer.text() not in versions:
            raise pointer.wrong(f"points at {shown(pointer.value)}, which is not in the bundle")
        found[label] = versions[pointer.value]
    return found


def _deprecated(place: _Place) -> tuple[str, str]:
    members = place.members(("reason", "replacement"))
    replacement = members["replacement"].text()
    if replacement:
        members["replacement"].checked(parse_reference, replacement)
    return members["reason"].text(), replacement


def _bundled(name: str, place: _Place, texts: Mapping[str, str]) -> Bundled:
    members = place.members(("prompt", "source", "behaviour"), ("version", "time", "commit"))
    written = members.get("version")
    version = written.checked(parse_version, written.text()) if written else None
    return Bundled(
        prompt=read_prompt(members["prompt"], name, name if version is None else f"{name}@{version}", texts),
        source=Digest(members["source"].text(pattern=_DIGEST)),
        behaviour=Digest(members["behaviour"].text(pattern=_DIGEST)),
        version=version,
        time=members["time"].of(int) if "time" in members else None,
        commit=members["commit"].text(pattern=_COMMIT) if "commit" in members else "",
    )


# prompts ---------------------------------------------------------------------------------------------------------------------

_EXACT = ("inputs", "params", "output", "tools")
_OPTIONAL = ("description", "owners", "inputs", "params", "output", "tools", "trust", "partials")


def read_prompt(place: _Place, name: str, title: str, texts: Mapping[str, str]) -> Prompt:
    """The prompt here; its errors will say *title* (name and version) for the file that it no longer has."""
    members = place.members(("messages",), _OPTIONAL)
    members |= {key: members[key].exact() for key in _EXACT if key in members}
    inputs = {key: each.of(dict) for key, each in _table(members, "inputs").items()}
    trust = {key: each.text(*_TRUST) for key, each in _table(members, "trust").items()}
    messages = members["messages"].items()
    if not messages:
        raise members["messages"].wrong("is empty")
    for key, each in _table(members, "trust").items():
        if key not in inputs:
            raise each.wrong("is no input")
    return Prompt(
        name=name,
        messages=tuple(_message(each, title) for each in messages),
        inputs=inputs,
        params=_parameters(members["params"]) if "params" in members else Parameters(),
        output_schema=members["output"].of(dict) if "output" in members else None,
        tools=tuple(each.of(dict) for each in _items(members, "tools")),
        trust=trust,  # type: ignore[arg-type]  # checked to be one of _TRUST
        description=members["description"].text() if "description" in members else "",
        owners=tuple(each.text() for each in _items(members, "owners")),
        partials={path: _partial(each, texts) for path, each in _table(members, "partials").items()},
        where=Where(title),
    )


def _table(members: Mapping[str, _Place], key: str) -> dict[str, _Place]:
    return members[key].table() if key in members else {}


def _items(members: Mapping[str, _Place], key: str) -> list[_Place]:
    return members[key].items() if key in members else []


def _partial(place: _Place, texts: Mapping[str, str]) -> str:
    if place.text() not in texts:
        raise place.wrong("is the digest of no partial of the bundle")
    return texts[place.value]


def _message(place: _Place, title: str) -> MessageTemplate:
    members = place.members(("role", "content"))
    content = members["content"]
    told: Content = content.of(str, list) if isinstance(content.value, str) else tuple(_part(each) for each in content.items())
    where = Where(title, key=content.key.partition(".prompt.")[2])
    return MessageTemplate(role=members["role"].text(*ROLES), content=told, where=where)  # type: ignore[arg-type]  # one of ROLES


def _part(place: _Place) -> Part:
    kind = place.table().get("type", place.inner("type", None)).text("text", "image")
    key = "text" if kind == "text" else "source"
    return Part(type=kind, value=place.members(("type", key))[key].text())  # type: ignore[arg-type]  # one of the two


def _parameters(place: _Place) -> Parameters:
    found: dict[str, Any] = {}
    for key, each in place.members((), tuple(_PARAMETERS)).items():
        value = each.of(*_PARAMETERS[key])
        found[key] = tuple(item.text() for item in each.items()) if key == "stop" else value
    return Parameters(**found)
