"""What of a pull request is believed: its data, under base's code, keys and rules (SEMANTICS, trust; docs/design/trust.md).

Data are prompts, cases, and of promptreg.yaml what SETTINGS and MODEL below call head's. All else could run the author's code with
the project's keys, send them elsewhere, or loosen the author's own gate: it is base's. Whatever head has otherwise is a Distrust,
and leaves the change unmeasured until a trusted context judges it. Knows no Git and reads no file.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

from promptreg.core.canonical import Json, canonical
from promptreg.core.catalogue import ModelSpec
from promptreg.core.names import shown
from promptreg.core.settings import Settings
from promptreg.errors import UsageError, Where

# head: data. base: taken from base, and a difference is told. quiet: base's too, but it says only how answers are come by, so that
# nobody has to be told. place: where things stand in head's file, for messages. A key that is missing here is base's.
Whose: TypeAlias = Literal["head", "base", "quiet", "models", "place"]

SETTINGS: Mapping[str, Whose] = {
    "registry": "head",
    "plugins": "base",
    "models": "models",
    "defaults": "head",
    "labels": "base",
    "label_signers": "base",
    "uncovered": "base",
    "runs": "base",
    "budget": "base",
    "sources": "base",
    "where": "place",
    "marks": "place",
}
MODEL: Mapping[str, Whose] = {
    "alias": "head",
    "provider": "base",
    "model": "head",  # unless it names weights or an address: `_names_code`
    "options": "base",
    "price": "head",
    "context": "head",
    "retires": "head",
    "max_age_days": "quiet",  # a short age would make each check ask anew, until an answer passes
    "limits": "quiet",
    "where": "place",
    "marks": "place",
    "written": "place",
}
WHY: Mapping[str, str] = {
    "plugins": "which says whose code runs",
    "labels": "which says what may be released to whom",
    "label_signers": "which says whose signature counts",
    "uncovered": "which says what a change without a test does",
    "runs": "which says where results are kept, and how much of them",
    "budget": "which says what may be spent",
    "sources": "which says whose prompts are pulled",
    "provider": "which says whose code is called",
    "model": "which names weights or an address",
    "api_key_env": "which says what secret is sent",
}
WHY_ELSE = "which its author does not decide"
WHY_OPTION = "which says where calls go and how they are served"
HINT = "merge it by itself first, or judge it where you would run its code with your keys: promptreg check --trust-head"
HINT_KEY = "if pull requests may use this key, name it in the variable PROMPTREG_KEY_NAMES of the job"
KEY = "api_key_env"
_OWN_FOLDERS = frozenset(("", ".", "prompts", "suites"))  # a text that happens to be one of these names no file of a provider
_SPECIAL = re.compile(r'[.\[\]"]')
_PATHLIKE = re.compile(r"[./~\\]|.*(?:\\|://|/$|\.gguf$)", re.IGNORECASE | re.DOTALL)
_CATALOGUE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # what pinned weights are called; a path has a slash


@dataclass(frozen=True, slots=True, kw_only=True)
class Distrust:
    """One thing that head has otherwise than base and that was taken from base.

    `key` is dotted, like `models.big.base_url`; `alias` the model it concerns, empty for the whole registry.
    """

    key: str
    alias: str
    message: str
    where: Where | None
    hint: str = HINT


def trusted_settings(base: Settings, head: Settings, *, allowed: Collection[str] = ()) -> tuple[Settings, tuple[Distrust, ...]]:
    """*head*'s data under *base*'s code, keys and rules, and what differs of the latter.

    A model that is new in head is kept if base has one with the same provider and options, else left out. *allowed* are names of
    environment variables that pull requests may use as keys; it must come from outside of the repository.
    """
    distrusts = [*_settings_distrusts(base, head)]
    models: dict[str, ModelSpec] = {}
    for alias, spec in head.models.items():
        found, more = _trusted_model(base.models, spec, allowed)
        distrusts += more
        if found is not None:
            models[alias] = found
    taken = {
        item.name: getattr(base, item.name) for item in fields(Settings) if SETTINGS.get(item.name, "base") in ("base", "quiet")
    }
    return replace(head, models=models, **taken), tuple(distrusts)


def executable_files(base: Settings, head: Settings, paths: Collection[str]) -> tuple[Distrust, ...]:
    """What of *paths* (those that differ, from the registry's root) base's settings name as code, recording, adapter or key file.

    Only what head's settings name as well: a line that changed is told by `trusted_settings`.
    """
    return tuple(dict.fromkeys((*_plugin_files(base, head, paths), *_model_files(base, head, paths), *_signers(base, head, paths))))


def _plugin_files(base: Settings, head: Settings, paths: Collection[str]) -> Iterator[Distrust]:
    for index, plugin in enumerate(head.plugins):
        if plugin in base.plugins and (path := _changed(plugin, paths)):
            yield _file("plugins", "", path, f"code of the plugin {shown(plugin)}", head.place(f"plugins[{index}]"))


def _model_files(base: Settings, head: Settings, paths: Collection[str]) -> Iterator[Distrust]:
    for alias, spec in base.models.items():
        other = head.models.get(alias)
        if other is None:
            continue
        for named in _texts([spec.model, spec.options, list(spec.written.values())]):
            if posixpath.normpath(named) not in _OWN_FOLDERS and (path := _changed(named, paths)):
                yield _file(_key(alias, ""), alias, path, f"which the model {shown(alias)} may read", other.where)


def _signers(base: Settings, head: Settings, paths: Collection[str]) -> Iterator[Distrust]:
    for name, source in base.sources.items():
        for signer in source.signers if name in head.sources else ():
            if path := _changed(signer, paths):
                what = f"which says whose signature counts for the source {shown(name)}"
                yield _file("sources", "", path, what, head.place("sources"))


def _settings_distrusts(base: Settings, head: Settings) -> Iterator[Distrust]:
    told: set[str] = set()
    for item in fields(Settings):
        key = "labels" if item.name == "label_signers" else item.name
        if SETTINGS.get(item.name, "base") != "base" or key in told or _said(base, item.name) == _said(head, item.name):
            continue
        told.add(key)
        message = f"the pull request changes '{key}' of promptreg.yaml, {WHY.get(key, WHY_ELSE)}"
        yield Distrust(key=key, alias="", message=message, where=head.place(key))


def _said(settings: Settings, name: str) -> Any:
    """What *settings* say under *name*, so that equal values say the same: of labels, the order says nothing."""
    return sorted(settings.labels) if name == "labels" else getattr(settings, name)


def _trusted_model(
    known: Mapping[str, ModelSpec], spec: ModelSpec, allowed: Collection[str]
) -> tuple[ModelSpec | None, tuple[Distrust, ...]]:
    """*spec* under base's code, or base's own entry where they differ in code; None for a new one that base does not vouch for."""
    before = known.get(spec.alias)
    if before is None:
        for other in known.values():
            if not any(_differences(other, spec, allowed)):
                return _under(other, spec), ()
        message = f"the model {shown(spec.alias)} is new, and base has none with its provider and options"
        return None, (Distrust(key=_key(spec.alias, ""), alias=spec.alias, message=message, where=spec.where),)
    distrusts = tuple(_distrust(spec, name, hint) for name, hint in _differences(before, spec, allowed))
    return (before if distrusts else _under(before, spec)), distrusts


def _under(base: ModelSpec, head: ModelSpec) -> ModelSpec:
    """*head*'s entry with base's quiet keys; in all that is base's, the two are the same."""
    quiet = {item.name: getattr(base, item.name) for item in fields(ModelSpec) if MODEL.get(item.name, "base") == "quiet"}
    return replace(head, **quiet)


def _differences(base: ModelSpec, head: ModelSpec, allowed: Collection[str]) -> Iterator[tuple[str, str]]:
    """(key, hint) of what is base's to say and that *head* says otherwise."""
    for item in fields(ModelSpec):
        whose = MODEL.get(item.name, "base")
        if item.name != "options" and whose == "base" and getattr(base, item.name) != getattr(head, item.name):
            yield item.name, HINT
    if base.model != head.model and (_names_code(base) or _names_code(head)):
        yield "model", HINT
    for name in sorted({*base.options, *head.options}):
        if _same_option(base, head, name) or (name == KEY and _text(head.options.get(KEY)) in allowed):
            continue
        yield name, HINT_KEY if name == KEY and name in head.options else HINT


def _same_option(base: ModelSpec, head: ModelSpec, name: str) -> bool:
    """Whether both have the option *name*, or neither; with one value, written alike where that may count (1.10 reads as 1.1)."""
    if (name in base.options) != (name in head.options):
        return False
    same = _equal(base.options.get(name), head.options.get(name))
    return same and _written(base, name) == _written(head, name)


def _written(spec: ModelSpec, name: str) -> dict[str, str]:
    """How the scalars of an option are written, unless as canonical JSON would write them."""
    own = f"[{json.dumps(name)}]" if _SPECIAL.search(name) or not name else name
    inside = (own, f"{own}.", f"{own}[")
    return {key: text for key, text in spec.written.items() if (key == own or key.startswith(inside[1:])) and not _plain(text)}


def _plain(text: str) -> bool:
    try:
        return canonical(json.loads(text)).decode() == text
    except (ValueError, UsageError, RecursionError):
        return False


def _names_code(spec: ModelSpec) -> bool:
    """Whether the name of the model is more than a name: weights on a disk, an address, or, for `llm`, whose host gets the key."""
    if spec.provider == "local":
        return _CATALOGUE_NAME.fullmatch(spec.model) is None or _PATHLIKE.match(spec.model) is not None
    return _PATHLIKE.match(spec.model) is not None or (spec.provider == "llm" and KEY in spec.options)


def _distrust(spec: ModelSpec, name: str, hint: str) -> Distrust:
    key = _key(spec.alias, name)
    message = f"the pull request changes {shown(key)} of promptreg.yaml, {WHY.get(name, WHY_OPTION)}"
    return Distrust(key=key, alias=spec.alias, message=message, where=spec.place(name), hint=hint)


def _file(key: str, alias: str, path: str, what: str, where: Where | None) -> Distrust:
    return Distrust(key=key, alias=alias, message=f"the pull request changes the file {shown(path)}, {what}", where=where)


def _changed(named: str, paths: Collection[str]) -> str:
    """The first of *paths* that is *named*, lies in it, or is a link on the way to it; empty for none."""
    wanted = posixpath.normpath(named)
    if wanted in paths:
        return wanted
    return min((path for path in paths if path.startswith(f"{wanted}/") or wanted.startswith(f"{path}/")), default="")


def _texts(value: Json) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _text(value: Json) -> str:
    return value if isinstance(value, str) else ""


def _equal(one: Json, other: Json) -> bool:
    """Whether two values say the same: 1 is not true, the order of keys is nothing. What JSON cannot say must look the same."""
    try:
        return canonical(one) == canonical(other)
    except UsageError:
        return repr(one) == repr(other)


def _key(alias: str, name: str) -> str:
    """The dotted key of *name* (or of the whole entry) of a model, as `documents` writes it."""
    key = f"models[{json.dumps(alias)}]" if _SPECIAL.search(alias) else f"models.{alias}"
    if not name:
        return key
    return f"{key}[{json.dumps(name)}]" if _SPECIAL.search(name) else f"{key}.{name}"
