"""Manual: the table of checks, made from the metrics themselves, so that the documentation cannot drift from the code.

A metric's docstring says, in this order: one line with what it answers, notes, a line `option: meaning` for each option
(indented lines go on), and `Reference: …` for its source.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, fields
from enum import Enum
from typing import Any, cast

from promptreg.core.protocols import Metric

HEAD = ("Check", "What it answers", "Options", "Passes at", "Reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What one docstring says. `options` maps each documented option to its meaning."""

    answers: str
    notes: str
    options: Mapping[str, str]
    reference: str


def describe(metrics: Mapping[str, type[Metric]]) -> str:
    """The Markdown table of checks, by name."""
    rows = [_row(name, metrics[name]) for name in sorted(metrics)]
    return "\n".join(_line(row) for row in (HEAD, ("---",) * len(HEAD), *rows)) + "\n"


def entry(metric: type[Metric]) -> Entry:
    """A metric's docstring, read."""
    options = {item.name for item in _options(metric)}
    first, *lines = inspect.cleandoc(metric.__doc__ or "").split("\n")
    found: dict[str, str] = {}
    key = ""
    for line in lines:
        start = re.match(r"(\w+): +(.+)", line)
        if start and start[1] in {*options, "Reference"}:
            key = start[1]
            found[key] = start[2]
        elif line.startswith(" ") or not key:
            found[key] = f"{found.get(key, '')} {line.strip()}".strip()
        else:
            raise ValueError(f"the docstring of {metric.__name__} has a line after its options that is neither: {line!r}")
    notes, reference = found.pop("", ""), found.pop("Reference", "")
    return Entry(answers=first, notes=notes, options=found, reference=reference)


def _row(name: str, metric: type[Metric]) -> tuple[str, ...]:
    said = entry(metric)
    options = [_option(item, metric, said.options.get(item.name, "")) for item in _options(metric)]
    return (
        f"`{name}`",
        f"{said.answers} {said.notes}".strip(),
        "<br>".join(options) or "none",
        f"{metric.threshold:g}",
        said.reference or "promptreg's own",
    )


def _option(item: Field[Any], metric: type[Metric], meaning: str) -> str:
    facts = [] if item.name != metric.short else ["short form"]
    if item.default is MISSING and item.default_factory is MISSING:
        facts.append("needed")
    elif isinstance(item.default, Enum):
        facts.append(f"default: {item.default.value}")
    elif item.default not in (None, "", MISSING, ()):
        facts.append(f"default `{_yaml(item.default)}`")
    told = f" ({', '.join(facts)})" if facts else ""
    return f"`{item.name}`{told}: {meaning}"


def _yaml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _options(metric: type[Metric]) -> list[Field[Any]]:
    return [item for item in fields(cast(Any, metric)) if item.init]


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
