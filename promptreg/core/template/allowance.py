"""How much one rendering may do: work, text and nesting, counted without a clock, and the few operations on text that can explode.

The same template over the same variables spends the same, on every machine, so that "endless" is a property of the template.
Knows nothing of Jinja, prompts or files. Raises `TooMuch`, which the door turns into a TemplateError.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

STEP = 10  # one iteration, call, filter or operator, in units of work
WORK = 1_000_000  # units in one rendering: 100,000 steps, about half a second of Python at worst
CHARACTERS = (
    32  # characters handled for one unit: text is copied at memory speed, and WORK then bounds memory to about 32 MB of text
)
TEXT = 4 * 1024 * 1024  # characters of any one text, and of the result: the longest model contexts (1M tokens) hold about as many
ITEMS = 100_000  # entries of one list or range
PAD = 10_000  # the widest field, indent or precision: more is an attack or a slip
BITS = 4096  # of an integer; arithmetic on longer ones is quadratic and no prompt needs it
DEPTH = 40  # macros, includes and recursive loops inside each other; Python's own limit would depend on the caller's stack
NESTING = 100  # lists and mappings inside each other

_CONVERSION = re.compile(
    r"%(?:\((?P<key>[^()]*)\))?(?P<flags>[#0\- +]*)(?P<width>\*|\d*)(?:\.(?P<precision>\*|\d*))?(?P<kind>[diouxXeEfFgGcrsa%])"
)


class TooMuch(Exception):
    """A template asks for more than one rendering may do. Not a ValueError, so that no filter's own handling swallows it."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Shown:
    """Text that stands for a list or a mapping, so that `%r` and `%s` agree on it as they do in Python."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class Allowance:
    """What is left of one rendering. One object belongs to one rendering in one thread."""

    __slots__ = ("depth", "left", "written")

    def __init__(self) -> None:
        self.left = WORK
        self.written = 0
        self.depth = 0

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise TooMuch(
                f"the template does not come to an end within {WORK // STEP:,} steps",
                "shorten its loops or its recursion, or give it less data",
            )

    def write(self, length: int) -> None:
        """Counts text that goes to the output or into the buffer of a macro or block, in characters."""
        self.written += length
        self.spend(length // CHARACTERS)
        if self.written > 4 * TEXT:  # text is counted again at each macro or block it passes through
            raise TooMuch(f"the template writes more than {4 * TEXT:,} characters", "shorten its loops or its data")

    def room(self, length: int) -> None:
        """Refuses, before it is made, a text of more than TEXT characters; else charges for it."""
        if length > TEXT:
            raise TooMuch(f"a text would be longer than {TEXT:,} characters", "repeat, pad or join less")
        self.spend(length // CHARACTERS)

    def entries(self, count: int) -> None:
        """Refuses, before it is made, a list of more than ITEMS entries; else charges for it."""
        if count > ITEMS:
            raise TooMuch(f"a list would have more than {ITEMS:,} entries", "build a shorter one")
        self.spend(count)

    def pad(self, width: Any) -> int:
        """A field width, indent or precision that is small enough."""
        if not isinstance(width, int):
            raise TypeError(f"a width must be a whole number, not {type(width).__name__}")
        if abs(width) > PAD:
            raise TooMuch(f"a width of {width:,} is larger than {PAD:,}", "pad less") if abs(width) < 10**18 else _wide()
        return int(width)

    def enter(self) -> None:
        self.depth += 1
        if self.depth > DEPTH:
            raise TooMuch(
                f"macros, includes or recursive loops stand more than {DEPTH} deep inside each other",
                "does one of them call itself without an end?",
            )

    def leave(self) -> None:
        self.depth -= 1

    def made(self, value: Any) -> Any:
        """Charges for a fresh value by its outer size, and passes it on."""
        if isinstance(value, str):
            self.room(len(value))
        elif isinstance(value, (list, tuple, dict)):
            self.entries(len(value))
        elif isinstance(value, int):
            whole(value)
        return value

    def weigh(self, value: Any) -> int:
        """Charges for every entry of a nested value; answers about how many characters its text has.

        A list that holds another one twice costs twice: what a comparison or a print would do is what is counted.
        """
        if isinstance(value, str):
            self.spend(len(value) // CHARACTERS)
            return len(value)
        if not isinstance(value, (list, tuple, Mapping, range)):
            return _scalar_size(value)
        size = 0
        todo: list[tuple[Any, int]] = [(value, 1)]
        while todo:
            item, depth = todo.pop()
            self.spend(len(item) + 1)
            size += 2 + 2 * len(item)
            if depth > NESTING:
                raise TooMuch(f"lists stand more than {NESTING} deep inside each other", "flatten the data")
            if isinstance(item, range):
                size += 8 * len(item)
                continue
            if isinstance(item, Mapping):
                size += sum(map(_scalar_size, item)) + 2 * len(item)
                item = item.values()
            for child in item:
                if isinstance(child, (list, tuple, Mapping, range)):
                    todo.append((child, depth + 1))
                else:
                    size += _scalar_size(child)
            if size > 2 * TEXT:
                self.room(size)
        self.spend(size // CHARACTERS)
        return size

    def show(self, value: Any) -> str:
        """What `{{ value }}` prints. Raises TypeError for what has no text of its own (an address in memory is no prompt)."""
        if isinstance(value, str):
            return str(value)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(whole(value))
        if isinstance(value, (list, tuple, dict, Mapping, range)):
            self.room(self.weigh(value))
            return str(value)
        _scalar_size(value)
        return str(value)

    def join(self, texts: Iterable[Any], separator: str = "") -> str:
        """str.join over shown values, its size checked as it grows."""
        pieces: list[str] = []
        size = 0
        for text in texts:
            piece = self.show(text)
            size += len(piece) + len(separator)
            self.spend(1)
            if size > TEXT:
                self.room(size)
            pieces.append(piece)
        self.room(size)
        return separator.join(pieces)

    def replace(self, text: str, old: str, new: str, count: int = -1) -> str:
        found = text.count(old)
        times = found if count < 0 else min(found, count)
        self.room(len(text) + times * max(0, len(new) - len(old)))
        self.spend(len(text) // CHARACTERS)
        return text.replace(old, new, count)

    def repeat(self, value: Sequence[Any], times: int) -> Any:
        if isinstance(value, str):
            self.room(len(value) * max(0, times))
        else:
            self.entries(len(value) * max(0, times))
        return value * times  # type: ignore[operator]

    def percent(self, template: str, values: Any) -> str:
        """printf-style formatting, piece by piece, so that no width and no repetition makes a text longer than TEXT."""
        named = values if isinstance(values, Mapping) else None
        rest = list(values) if isinstance(values, tuple) else [values]
        pieces: list[str] = []
        size = end = 0
        while (start := template.find("%", end)) >= 0:
            found = _CONVERSION.match(template, start)
            if found is None:
                raise ValueError(f"unsupported format {template[start : start + 10]!r}")
            pieces.append(template[end:start])
            pieces.append(self._convert(found, named, rest))
            size += len(pieces[-1]) + start - end
            self.spend(STEP)
            if size > TEXT:
                self.room(size)
            end = found.end()
        if named is None and rest:
            raise TypeError("not all arguments converted during string formatting")
        pieces.append(template[end:])
        self.room(size + len(template) - end)
        return "".join(pieces)

    def _convert(self, found: re.Match[str], named: Mapping[str, Any] | None, rest: list[Any]) -> str:
        width, precision, kind = found["width"], found["precision"], found["kind"]
        if "*" in (width, precision):
            raise ValueError("'*' as a width is not supported")
        for number in (width, precision):
            if number:
                self.pad(int(number[-20:]) if len(number) < 20 else 10**18)
        if kind == "%":
            return "%"
        if found["key"] is not None:
            if named is None:
                raise TypeError("format requires a mapping")
            value = named[found["key"]]
        elif rest:
            value = rest.pop(0)
        else:
            raise TypeError("not enough arguments for format string")
        flags = "%" + found["flags"] + (width or "") + (f".{precision}" if precision is not None else "") + kind
        return flags % (self.plain(value),)

    def plain(self, value: Any) -> Any:
        """A scalar as it is; a list or mapping as its text; TypeError for anything else."""
        if isinstance(value, (list, tuple, Mapping, range)):
            return Shown(self.show(value))
        if isinstance(value, int):
            return whole(value)
        _scalar_size(value)
        return value

    def tojson(self, value: Any, indent: int | None = None) -> str:
        """JSON with sorted keys and no escapes but JSON's own, its size checked as it grows."""
        size = self.weigh(value)
        if indent is not None and self.pad(indent) > 16:
            raise TooMuch("an indent of more than 16 is not a readable JSON", "indent less")
        encoder = json.JSONEncoder(ensure_ascii=False, sort_keys=True, indent=indent, allow_nan=False)
        if indent is None and 6 * size <= TEXT:  # no escape is longer than \\u0000
            return encoder.encode(value)
        pieces: list[str] = []
        size = 0
        for piece in encoder.iterencode(value):
            size += len(piece)
            if size > TEXT:
                self.room(size)
            pieces.append(piece)
        self.room(size)
        return "".join(pieces)

    def power(self, base: Any, exponent: Any) -> Any:
        if (
            isinstance(base, int)
            and isinstance(exponent, int)
            and abs(base) > 1
            and base.bit_length() * max(0, exponent) > 2 * BITS
        ):
            raise _long()
        return whole(base**exponent)


def whole(value: Any) -> Any:
    """An integer of at most BITS bits, or any other value, unchanged."""
    if isinstance(value, int) and value.bit_length() > BITS:
        raise _long()
    return value


def key(value: Any) -> Any:
    """A mapping key: text, a number, a truth value or none. (Hashing nested tuples can cost without bound.)"""
    if value is None or isinstance(value, (str, int, float)):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be a key")


def _long() -> TooMuch:
    return TooMuch(f"an integer would be longer than {BITS} bits", "calculate with smaller numbers")


def _wide() -> TooMuch:
    return TooMuch(f"a width is larger than {PAD:,}", "pad less")


def _scalar_size(value: Any) -> int:
    if isinstance(value, str):
        return len(value) + 2
    if value is None or isinstance(value, (bool, float)):
        return 8
    if isinstance(value, int):
        return 8 + int(whole(value)).bit_length() // 3
    bool(value)  # an undefined value complains here, by its name
    raise TypeError(f"a value of the kind {_called(value)!r} has no text of its own")


def _called(value: Any) -> str:
    name = type(value).__name__
    return {"Macro": "macro", "Namespace": "namespace", "LoopContext": "loop", "TemplateModule": "import", "partial": "method"}.get(
        name, name
    )
