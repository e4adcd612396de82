"""What a template may call of a text or a mapping: Python's own methods, those that can grow charged before they compute.

Knows the Allowance, and of the sandbox only that format() reads attributes through it.
"""

# ruff: noqa: SIM905  long lists of names are read as prose
from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jinja2.sandbox import SandboxedEnvironment, SandboxedFormatter

from promptreg.core.template import allowance as limit
from promptreg.core.template.allowance import Allowance

_PLAIN = frozenset(
    "capitalize casefold count endswith find index isalnum isalpha isascii isdecimal isdigit isidentifier islower "
    "isnumeric isprintable isspace istitle isupper lower lstrip partition removeprefix removesuffix rfind rindex "
    "rpartition rsplit rstrip split splitlines startswith strip swapcase title upper".split()
)
MAPPING = frozenset(["get", "items", "keys", "values"])


def compared(allowance: Allowance, value: Any) -> Any:
    """The value, its weight charged: comparing reads it whole."""
    if isinstance(value, (str, list, tuple, Mapping)):
        allowance.weigh(value)
    return value


def call_text(sandbox: SandboxedEnvironment, allowance: Allowance, text: str, name: str, *args: Any, **kwargs: Any) -> Any:
    """`text.name(…)`, for a name in TEXT. Raises TooMuch, and what the method raises."""
    allowance.spend(len(text) // limit.CHARACTERS)
    for arg in args:
        compared(allowance, arg)
    if name in ("format", "format_map"):
        return (
            _format(sandbox, allowance, text, *args, **kwargs) if name == "format" else _format_map(sandbox, allowance, text, *args)
        )
    if name in _GROWERS:
        return _GROWERS[name](allowance, text, *args, **kwargs)
    return allowance.made(getattr(text, name)(*args, **kwargs))


def call_mapping(allowance: Allowance, mapping: Mapping[Any, Any], name: str, *args: Any) -> Any:
    """`mapping.name(…)`, for a name in MAPPING; entries come as a list, not as a view."""
    if name == "get":
        if not 1 <= len(args) <= 2:
            raise TypeError("get() takes a key and perhaps a default")
        return mapping.get(limit.key(args[0]), *args[1:])
    if args:
        raise TypeError(f"{name}() takes no arguments")
    allowance.entries(len(mapping))
    return list(getattr(mapping, name)())


def _center(allowance: Allowance, text: str, width: int, *fill: str) -> str:
    return text.center(allowance.pad(width), *fill)


def _ljust(allowance: Allowance, text: str, width: int, *fill: str) -> str:
    return text.ljust(allowance.pad(width), *fill)


def _rjust(allowance: Allowance, text: str, width: int, *fill: str) -> str:
    return text.rjust(allowance.pad(width), *fill)


def _zfill(allowance: Allowance, text: str, width: int) -> str:
    return text.zfill(allowance.pad(width))


def _expandtabs(allowance: Allowance, text: str, tabsize: int = 8) -> str:
    allowance.room(len(text) + text.count("\t") * max(0, allowance.pad(tabsize)))
    return text.expandtabs(tabsize)


def _replace(allowance: Allowance, text: str, old: str, new: str, count: int = -1) -> str:
    return allowance.replace(text, old, new, count)


def _join(allowance: Allowance, text: str, texts: Any) -> str:
    return allowance.join(texts, text)


def _format(sandbox: SandboxedEnvironment, allowance: Allowance, text: str, *args: Any, **kwargs: Any) -> str:
    return str(allowance.made(_Format(sandbox, allowance).vformat(text, args, kwargs)))


def _format_map(sandbox: SandboxedEnvironment, allowance: Allowance, text: str, values: Mapping[str, Any]) -> str:
    return _format(sandbox, allowance, text, **values)


_GROWERS: Mapping[str, Callable[..., str]] = {
    "center": _center,
    "expandtabs": _expandtabs,
    "join": _join,
    "ljust": _ljust,
    "replace": _replace,
    "rjust": _rjust,
    "zfill": _zfill,
}
TEXT = _PLAIN | _GROWERS.keys() | {"format", "format_map"}


class _Format(SandboxedFormatter):
    """str.format with allowed attributes only, small widths, and the size of the result counted as it grows."""

    def __init__(self, sandbox: SandboxedEnvironment, allowance: Allowance) -> None:
        super().__init__(sandbox)
        self._allowance = allowance
        self._size = 0

    def format_field(self, value: Any, format_spec: str) -> str:
        digits = "".join(sign if sign.isdigit() else " " for sign in format_spec).split()
        for number in digits:
            self._allowance.pad(int(number) if len(number) < 10 else 10**18)
        self._allowance.spend(limit.STEP)
        plain = self._allowance.plain(value)
        text = plain.text if isinstance(plain, limit.Shown) and not format_spec else format(plain, format_spec)
        self._size += len(text)
        self._allowance.room(self._size)
        return text

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        if conversion is None:
            return value
        shown = self._allowance.plain(value)
        if isinstance(shown, str):
            self._allowance.room(len(shown) * 10)  # the longest escape, \U0001f600
        return super().convert_field(shown, conversion)
