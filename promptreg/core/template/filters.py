"""The filters and tests a prompt may use, each charged to the rendering's Allowance; growers are bounded before they grow.

An allow-list: no `random` (chance), `attr`, `xmlattr`, `urlize`, `pprint`, `striptags`. Differences from Jinja's own: what Jinja
answers lazily (`map`, `select` …) is a list here, `tojson` writes plain JSON without HTML escapes, `escape` gives plain text.
"""

from __future__ import annotations

import functools
import html
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeAlias
from urllib.parse import quote

from jinja2 import Environment, pass_environment
from jinja2.filters import FILTERS as DEFAULT_FILTERS
from jinja2.filters import make_attrgetter, sync_do_slice
from jinja2.tests import TESTS as DEFAULT_TESTS

from promptreg.core.template.allowance import BITS, CHARACTERS, STEP, Allowance, TooMuch, whole

Spending: TypeAlias = "Callable[[], Allowance]"

_TEXTS = ("capitalize", "lower", "upper", "title", "trim", "truncate", "wordcount")  # at most a few times as long as their text
_LISTS = ("list", "items", "map", "reject", "rejectattr", "reverse", "select", "selectattr")
_DEEP = ("dictsort", "groupby", "max", "min", "sort", "unique")  # these compare entries, however nested
_PICKS = ("count", "default", "d", "first", "last", "length", "float")  # nothing new is made
_TESTS = (
    "odd", "even", "divisibleby", "defined", "undefined", "none", "boolean", "false", "true", "integer", "float", "lower", "upper",
    "string", "mapping", "number", "sequence", "iterable", "in", "==", "eq", "equalto", "!=", "ne", ">", "gt", "greaterthan", "ge",
    ">=", "<", "lt", "lessthan", "<=", "le",
)  # fmt: skip
_CHEAP_TESTS = frozenset({"defined", "undefined", "none", "boolean", "false", "true", "integer", "float", "mapping", "number"})
_SLOW = 4  # characters for one unit of work where Python, not C, walks the text


def filters(spending: Spending) -> dict[str, Callable[..., Any]]:
    """All filters by name. *spending* answers the allowance of the rendering that runs in this thread."""
    out: dict[str, Callable[..., Any]] = {}
    for names, charge in ((_TEXTS, _charge_text), (_LISTS, _charge_list), (_DEEP, _charge_deep), (_PICKS, _charge_nothing)):
        for name in names:
            out[name] = _charged(DEFAULT_FILTERS[name], spending, charge, made=charge in (_charge_text, _charge_list))
    for name, function in _BOUNDED.items():
        out[name] = _bounded(function, spending)
    return out


def tests(spending: Spending) -> dict[str, Callable[..., Any]]:
    """All tests by name."""
    known: Mapping[str, Any] = DEFAULT_TESTS
    return {name: _tested(name, known[name], spending) for name in _TESTS}


def _tested(name: str, function: Callable[..., Any], spending: Spending) -> Callable[..., Any]:
    @functools.wraps(function)
    def test(*args: Any, **kwargs: Any) -> Any:
        allowance = spending()
        allowance.spend(STEP)
        if name not in _CHEAP_TESTS:
            for arg in args:
                _weigh_plain(allowance, arg)
        return function(*args, **kwargs)

    return test


def _charged(
    function: Callable[..., Any], spending: Spending, charge: Callable[[Allowance, Any], Any], *, made: bool
) -> Callable[..., Any]:
    """Jinja's own filter, its value charged before and its result after; lazy results become lists."""
    first = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        allowance = spending()
        allowance.spend(STEP)
        if len(args) > first:
            args = (*args[:first], charge(allowance, args[first]), *args[first + 1 :])
        result = function(*args, **kwargs)
        if isinstance(result, Iterator):
            result = list(result)
        return allowance.made(result) if made else result

    return run


def _charge_text(allowance: Allowance, value: Any) -> str:
    text = allowance.show(value)
    allowance.spend(len(text) // _SLOW)
    return text


def _charge_list(allowance: Allowance, value: Any) -> Any:
    if hasattr(value, "__len__"):
        allowance.spend(len(value))
    return value


def _charge_deep(allowance: Allowance, value: Any) -> Any:
    _weigh_plain(allowance, value)
    return value


def _charge_nothing(allowance: Allowance, value: Any) -> Any:  # noqa: ARG001
    return value


def _weigh_plain(allowance: Allowance, value: Any) -> None:
    if isinstance(value, (str, list, tuple, dict)):
        allowance.weigh(value)


def _bounded(function: Callable[..., Any], spending: Spending) -> Callable[..., Any]:
    """One of our own filters: it takes the allowance first, or the environment and then the allowance."""
    if hasattr(function, "jinja_pass_arg"):

        @pass_environment
        def run_with_environment(environment: Environment, *args: Any, **kwargs: Any) -> Any:
            allowance = spending()
            allowance.spend(STEP)
            return function(environment, allowance, *args, **kwargs)

        return run_with_environment

    def run(*args: Any, **kwargs: Any) -> Any:
        allowance = spending()
        allowance.spend(STEP)
        return allowance.made(function(allowance, *args, **kwargs))

    return run


def _batch(allowance: Allowance, value: Any, linecount: int, fill_with: Any = None) -> list[Any]:
    allowance.spend(allowance.pad(linecount) + len(value))
    return list(DEFAULT_FILTERS["batch"](value, linecount, fill_with))


def _slice(allowance: Allowance, value: Any, slices: int, fill_with: Any = None) -> list[Any]:
    allowance.spend(allowance.pad(slices) + len(value))
    return list(sync_do_slice(value, slices, fill_with))


def _center(allowance: Allowance, value: Any, width: int = 80) -> str:
    return allowance.show(value).center(allowance.pad(width))


def _format(allowance: Allowance, value: Any, *args: Any, **kwargs: Any) -> str:
    if args and kwargs:
        raise TypeError("format takes either positional or keyword arguments")
    return allowance.percent(allowance.show(value), kwargs or args)


def _indent(allowance: Allowance, value: Any, width: int | str = 4, first: bool = False, blank: bool = False) -> str:
    text = allowance.show(value)
    by = len(width) if isinstance(width, str) else allowance.pad(width)
    allowance.room(len(text) + (len(text.splitlines()) + 1) * by)
    return str(DEFAULT_FILTERS["indent"](text, width, first, blank))


@pass_environment
def _wordwrap(
    environment: Environment,
    allowance: Allowance,
    value: Any,
    width: int = 79,
    break_long_words: bool = True,
    wrapstring: str | None = None,
    break_on_hyphens: bool = True,
) -> str:
    text = allowance.show(value)
    allowance.spend(len(text))  # textwrap walks every word in Python
    allowance.room(len(text) + (len(text) + 1) * len(wrapstring or "\n"))
    return str(DEFAULT_FILTERS["wordwrap"](environment, text, allowance.pad(width), break_long_words, wrapstring, break_on_hyphens))


@pass_environment
def _join(environment: Environment, allowance: Allowance, value: Any, d: Any = "", attribute: str | int | None = None) -> str:
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return allowance.join(value, allowance.show(d))


@pass_environment
def _sum(environment: Environment, allowance: Allowance, value: Any, attribute: str | int | None = None, start: Any = 0) -> Any:
    if attribute is not None:
        value = map(make_attrgetter(environment, attribute), value)
    return _add_up(allowance, value, start)


def _add_up(allowance: Allowance, numbers: Iterable[Any], total: Any) -> Any:
    for number in numbers:
        allowance.spend(1)
        if not (isinstance(number, (int, float)) and isinstance(total, (int, float))):
            raise TypeError("sum adds numbers only")
        total = whole(whole(total) + whole(number))
    return total


def _replace(allowance: Allowance, value: Any, old: Any, new: Any, count: int | None = None) -> str:
    return allowance.replace(allowance.show(value), allowance.show(old), allowance.show(new), -1 if count is None else count)


def _round(allowance: Allowance, value: Any, precision: Any = 0, method: str = "common") -> Any:  # noqa: ARG001
    if not isinstance(precision, int) or abs(precision) > 100:  # 10**precision is computed
        raise TooMuch("round takes a precision between -100 and 100", "round to fewer digits")
    return DEFAULT_FILTERS["round"](whole(value), precision, method)


def _int(allowance: Allowance, value: Any, default: Any = 0, base: int = 10) -> Any:  # noqa: ARG001
    if isinstance(value, str) and len(value) > BITS:
        return default  # longer than any number we calculate with
    return DEFAULT_FILTERS["int"](value, default, base)


def _abs(allowance: Allowance, value: Any) -> Any:  # noqa: ARG001
    return abs(whole(value))


def _string(allowance: Allowance, value: Any) -> str:
    return allowance.show(value)


def _escape(allowance: Allowance, value: Any) -> str:
    text = allowance.show(value)
    allowance.room(len(text) + 5 * sum(text.count(sign) for sign in "&<>'\""))  # &quot; is the longest
    return html.escape(text)


def _tojson(allowance: Allowance, value: Any, indent: int | None = None) -> str:
    return allowance.tojson(value, indent)


def _urlencode(allowance: Allowance, value: Any) -> str:
    text = allowance.show(value)
    allowance.room(12 * len(text))  # four bytes of three signs each
    allowance.spend(len(text) // CHARACTERS)
    return quote(text, safe="/")


_BOUNDED: dict[str, Callable[..., Any]] = {
    "abs": _abs,
    "batch": _batch,
    "center": _center,
    "e": _escape,
    "escape": _escape,
    "forceescape": _escape,
    "format": _format,
    "indent": _indent,
    "int": _int,
    "join": _join,
    "replace": _replace,
    "round": _round,
    "safe": _string,
    "slice": _slice,
    "string": _string,
    "sum": _sum,
    "tojson": _tojson,
    "urlencode": _urlencode,
    "wordwrap": _wordwrap,
}
