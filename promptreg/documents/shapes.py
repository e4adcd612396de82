"""Plain values → frozen dataclasses, or every complaint at once, each with its place and a "did you mean".

Works for any frozen dataclass: the shapes of the house's own files, and the options of a plugin's metric or provider.
`describe` derives JSON Schemas from the same types and rules. Knows no file kind.
"""

from __future__ import annotations

import math
import re
import types
import typing
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, get_args, get_origin

from promptreg.core.canonical import Json
from promptreg.core.names import did_you_mean
from promptreg.documents.yaml import dotted
from promptreg.errors import DocumentError, PromptregError, UsageError, Where

T = TypeVar("T")
Place = Callable[[str], Where]
_BAD: Final = object()  # "already complained"
_NONE = type(None)
_REMEDIES: Final = {"true or false": "write true or false", "text": "put it in quotes", "a mapping": "write lines of `key: value`"}
MAX_GUESSES = 100  # comparing words is slow; a file with more mistakes is no prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a key means, and what its value must keep to. Stands in `Annotated[int, Rule(doc=…, ge=1)]`.

    `looks` says in words what `pattern` (matched whole) asks for. `schema` makes the JSON Schema where none can be derived.
    """

    doc: str = ""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    pattern: str | None = None
    looks: str = ""
    filled: bool = False  # text, a list or a mapping that may not be empty
    unique: bool = False  # a list without repetitions
    schema: Callable[[], dict[str, Json]] | None = None


def convert(raw: Json, target: type[T], place: Place, *, written: Mapping[str, str] | None = None) -> T:
    """*raw* as the frozen dataclass *target*; *place* says where a dotted key stands.

    *written* maps dotted keys to the text of scalars that YAML reads as something else than text: it is what a `str` receives.
    Raises DocumentError; all further complaints are in its `more`.
    """
    shaper = Shaper(place, written or {})
    value = shaper.build(raw, target)
    shaper.finish()
    assert isinstance(value, target)
    return value


class Shaper:
    """Builds values and gathers complaints; `finish` raises them all as one error."""

    def __init__(
        self, place: Place, written: Mapping[str, str], *, error: type[UsageError] = DocumentError, nulls: bool = True
    ) -> None:
        self.place = place
        self.nulls = nulls  # False: a key left empty is a complaint, not "as if it were not there"
        self.written = written
        self.error = error
        self.complaints: list[PromptregError] = []

    def complain(self, message: str, key: str = "", hint: str | None = None) -> None:
        self.complaints.append(self.error(message, where=self.place(key), hint=hint))

    def finish(self) -> None:
        if self.complaints:
            ordered = sorted(self.complaints, key=lambda fault: (fault.where.line, fault.where.column) if fault.where else (0, 0))
            first = ordered[0]
            raise self.error(first.message, where=first.where, hint=first.hint, more=tuple(ordered[1:]))

    def build(self, raw: Json, target: type[T], key: str = "") -> T | None:
        """*raw* as *target*; None when there was a complaint."""
        value = self._object(raw, target, key)
        return None if value is _BAD else value

    def _object(self, raw: Json, target: type[Any], key: str) -> Any:
        if not isinstance(raw, Mapping):
            return self._expected("a mapping", raw, key)
        known = keys_of(typing.cast(Hashable, target))
        values: dict[str, Any] = {}
        for name in raw:
            if name not in known:
                self._unknown(name, raw, known, key)
        for name, (item, kind) in known.items():
            if name in raw:
                values[item.name] = self.value(raw[name], kind, dotted(key, name))
            elif item.default is MISSING and item.default_factory is MISSING:
                values[item.name] = self._missing(name, raw, known, key)
        if any(value is _BAD for value in values.values()):
            return _BAD
        return self._made(target, values, key)

    def _made(self, target: type[Any], values: dict[str, Any], key: str) -> Any:
        try:
            return target(**values)
        except PromptregError as fault:
            self.complain(fault.message, key, fault.hint)
        except (ValueError, TypeError) as fault:  # a plugin's __post_init__ speaks of the user's value
            self.complain(str(fault), key)
        return _BAD

    def _unknown(self, name: str, raw: Mapping[str, Json], known: Mapping[str, Any], key: str) -> None:
        hint = f"known keys: {', '.join(known)}" if known else "no keys are known here"
        absent = [other for other in known if other not in raw]
        guess = did_you_mean(name, absent) if len(self.complaints) < MAX_GUESSES else ""
        self.complain(f"unknown key '{name}'{guess}", dotted(key, name), hint)

    def _missing(self, name: str, raw: Mapping[str, Json], known: Mapping[str, Any], key: str) -> Any:
        from difflib import get_close_matches

        strangers = [other for other in raw if other not in known]
        if not get_close_matches(name, strangers, n=1, cutoff=0.6):  # else the unknown key's complaint says it all
            self.complain(f"missing key '{name}'", key, f"add '{name}:'")
        return _BAD

    def value(self, raw: Any, kind: Any, key: str) -> Any:
        """*raw* as the type *kind*, or _BAD after a complaint."""
        kind = plain_type(kind)
        origin = get_origin(kind)
        if origin is Annotated:
            inner, *rules = get_args(kind)
            return self._ruled(self.value(raw, inner, key), rules, key)
        if kind is Any or kind is object:
            return raw
        if origin in (typing.Union, types.UnionType):
            return self._union(raw, get_args(kind), key)
        if origin is Literal:
            return self._literal(raw, get_args(kind), key)
        if is_dataclass(kind):
            return self._object(raw, typing.cast("type[Any]", kind), key)
        if origin is not None or kind in CONTAINERS:
            return self._container(raw, origin or kind, get_args(kind), key)
        return self._scalar(raw, kind, key)

    def _scalar(self, raw: Any, kind: Any, key: str) -> Any:
        if kind is str or kind is Path:
            text = self._text(raw, key)
            return self._expected("text", raw, key) if text is None else kind(text)
        if isinstance(kind, type) and issubclass(kind, Enum):
            found = self._literal(raw, tuple(member.value for member in kind), key)
            return _BAD if found is _BAD else kind(found)
        if kind is bool or kind is _NONE:
            return raw if isinstance(raw, kind) else self._expected(_SAY[kind], raw, key)
        if kind is int:
            return raw if isinstance(raw, int) and not isinstance(raw, bool) else self._expected(_SAY[kind], raw, key)
        if kind is float:
            return float(raw) if _is_number(raw) else self._expected(_SAY[kind], raw, key)
        raise TypeError(f"options of the type {kind!r} cannot be read from a file")

    def _text(self, raw: Any, key: str) -> str | None:
        """Text as the user wrote it; None if it is none. An empty or null value is not text."""
        if isinstance(raw, str):
            return raw
        return self.written.get(key) if isinstance(raw, (bool, int, float)) else None

    def _literal(self, raw: Any, allowed: tuple[Any, ...], key: str) -> Any:
        text = self._text(raw, key)
        for value in allowed:
            if (type(value) is type(raw) and value == raw) or (text is not None and value == text):
                return value
        words = [value for value in allowed if isinstance(value, str)]
        guess = did_you_mean(text, words) if text else ""
        said = f"'{raw}'" if isinstance(raw, str) else _say(raw)
        self.complain(f"{said} is not one of {', '.join(map(str, allowed))}{guess}", key)
        return _BAD

    def _union(self, raw: Any, kinds: tuple[Any, ...], key: str) -> Any:
        """The first member that *raw* has the outward form of; scalars before text, so that `str | float` keeps 0.5 a number."""
        kinds = kinds if self.nulls else tuple(kind for kind in kinds if kind is not _NONE)
        fitting = [kind for kind in kinds if _fits(raw, kind)]
        if not fitting and self._text(raw, key) is not None:
            fitting = [kind for kind in kinds if _fits("", kind)]
        if not fitting:
            return self._expected(" or ".join(dict.fromkeys(_name(kind) for kind in kinds if kind is not _NONE)), raw, key)
        for kind in fitting[:-1]:
            trial = Shaper(self.place, self.written, error=self.error, nulls=self.nulls)
            value = trial.value(raw, kind, key)
            if not trial.complaints:
                return value
        return self.value(raw, fitting[-1], key)

    def _container(self, raw: Any, kind: Any, args: tuple[Any, ...], key: str) -> Any:
        if issubclass(kind, Mapping):
            return self._mapping(raw, args, key)
        if isinstance(raw, str) or not isinstance(raw, Sequence):
            return self._expected("a list", raw, key)
        if kind is tuple and args and args[-1] is not ...:
            kinds = args
            if len(raw) != len(kinds):
                return self._expected(f"a list of {len(kinds)}", raw, key)
        else:
            kinds = (args[0] if args else Any,) * len(raw)
        items = [self.value(item, inner, dotted(key, index)) for index, (item, inner) in enumerate(zip(raw, kinds, strict=True))]
        if any(item is _BAD for item in items):
            return _BAD
        return tuple(items) if kind is tuple or kind not in (list, set, frozenset) else kind(items)

    def _mapping(self, raw: Any, args: tuple[Any, ...], key: str) -> Any:
        if not isinstance(raw, Mapping):
            return self._expected("a mapping", raw, key)
        inner = args[1] if args else Any
        entries = {name: self.value(item, inner, dotted(key, name)) for name, item in raw.items()}
        names = (
            [self._literal(name, get_args(args[0]), dotted(key, name)) for name in raw]
            if args and get_origin(args[0]) is Literal
            else []
        )
        return _BAD if any(item is _BAD for item in (*entries.values(), *names)) else entries

    def _ruled(self, value: Any, rules: Sequence[Any], key: str) -> Any:
        if value is _BAD or value is None:
            return value
        for rule in rules:
            if isinstance(rule, Rule) and (fault := _broken(rule, value)):
                self.complain(fault, key)
                return _BAD
        return value

    def _expected(self, what: str, raw: Any, key: str) -> Any:
        hint = _REMEDIES.get(what) if raw is not None or what == "a mapping" else None
        self.complain(f"expected {what}, found {_say(raw)}", key, hint)
        return _BAD


def _broken(rule: Rule, value: Any) -> str:
    """What *value* breaks of *rule*, in words; "" if nothing."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _out_of_bounds(rule, value)
    if rule.filled and hasattr(value, "__len__") and not value:
        return "must not be empty"
    if rule.pattern and isinstance(value, str) and not re.fullmatch(rule.pattern, value):
        return f"'{value[:60]}' must be {rule.looks}"
    if rule.unique and isinstance(value, tuple):
        seen: set[Any] = set()
        return next((f"'{item}' stands twice" for item in value if item in seen or seen.add(item)), "")  # type: ignore[func-returns-value]
    return ""


def _out_of_bounds(rule: Rule, value: float) -> str:
    if rule.ge is not None and value < rule.ge:
        return f"{value} is too small; at least {rule.ge}"
    if rule.gt is not None and value <= rule.gt:
        return f"{value} is too small; it must be above {rule.gt}"
    if rule.le is not None and value > rule.le:
        return f"{value} is too large; at most {rule.le}"
    if rule.lt is not None and value >= rule.lt:
        return f"{value} is too large; it must be below {rule.lt}"
    return ""


CONTAINERS = (tuple, list, set, frozenset, dict, Mapping, Sequence)
_SAY: Mapping[Any, str] = {
    str: "text",
    Path: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    _NONE: "nothing",
}


def _is_number(raw: Any) -> bool:
    """Whether *raw* is a number that a finite float can stand for."""
    try:
        return isinstance(raw, (int, float)) and not isinstance(raw, bool) and math.isfinite(raw)
    except OverflowError:  # an integer beyond 1e308
        return False


def _say(raw: Any) -> str:
    if raw is None:
        return "nothing"
    if isinstance(raw, str):
        return f"the text '{raw[:40]}'" if raw else "empty text"
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, (int, float)):
        return f"the number {raw}"
    return "a mapping" if isinstance(raw, Mapping) else f"a list of {len(raw)}" if isinstance(raw, Sequence) else type(raw).__name__


def _name(kind: Any) -> str:
    kind = plain_type(kind)
    origin = get_origin(kind)
    if origin is Annotated:
        return _name(get_args(kind)[0])
    if origin is Literal:
        return " or ".join(map(str, get_args(kind)))
    if is_dataclass(kind) or (isinstance(origin or kind, type) and issubclass(origin or kind, Mapping)):
        return "a mapping"
    return "a list" if (origin or kind) in CONTAINERS else _SAY.get(kind, str(kind))


def _fits(raw: Any, kind: Any) -> bool:
    """Whether *raw* has the outward form of *kind*: scalar by scalar, list, mapping."""
    kind = plain_type(kind)
    origin = get_origin(kind)
    if origin is Annotated:
        return _fits(raw, get_args(kind)[0])
    if kind is Any or kind is object:
        return True
    if origin is Literal:
        return any(type(value) is type(raw) for value in get_args(kind))
    if is_dataclass(kind):
        return isinstance(raw, Mapping)
    bare = origin or kind
    if isinstance(bare, type) and issubclass(bare, Mapping):
        return isinstance(raw, Mapping)
    if bare in CONTAINERS:
        return isinstance(raw, Sequence) and not isinstance(raw, str)
    if bare is Path or (isinstance(bare, type) and issubclass(bare, Enum)):
        return isinstance(raw, str)
    if bare is float:
        return isinstance(raw, (int, float)) and not isinstance(raw, bool)
    return type(raw) is bare


def plain_type(kind: Any) -> Any:
    """Without NewType and `type X = …` around it."""
    while True:
        if isinstance(kind, NewType):
            kind = kind.__supertype__
        elif hasattr(kind, "__value__"):
            kind = kind.__value__
        else:
            return kind


@lru_cache(maxsize=256)
def keys_of(target: Hashable) -> Mapping[str, tuple[Field[Any], Any]]:
    """The keys that *target* reads, with field and type. `metadata={"key": …}` renames one that is no Python name."""
    # The recursive alias Json is written as text; Any stands for it, with the names its text uses.
    names: dict[str, Any] = {"Json": Any, "Sequence": Sequence, "Mapping": Mapping}
    assert isinstance(target, type)
    assert is_dataclass(target)
    hints = typing.get_type_hints(target, localns=names, include_extras=True)
    return {item.metadata.get("key", item.name): (item, hints[item.name]) for item in fields(target) if item.init}
