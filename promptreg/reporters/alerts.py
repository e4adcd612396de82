"""SARIF's frame, which the reports of runs and of checks share: results at lines of files, each known again from run to run.

Fingerprints are made of names, not of numbers or lines, so that the same trouble stays one alert.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import quote

from promptreg.core.canonical import Json as Value
from promptreg.core.excerpt import cut, one_line, visible
from promptreg.errors import Where
from promptreg.reporters.objects import object_text

Level: TypeAlias = Literal["error", "warning", "note"]

TEXT = 1_000  # characters of a message
PATH = 1_000
RESULTS = 5_000  # of one run: what GitHub shows of it, of 25,000 that it takes
SETTINGS = Where("promptreg.yaml")  # where what has no place is shown: GitHub refuses results without one
_LINK = re.compile(r"[\[\]\\]")  # `[text](address)` in a message is a link


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One thing to show: which rule it breaks, where, and by which names it is known again."""

    rule: str
    level: Level
    message: str
    where: Where | None
    names: tuple[str, ...]
    accepted: str = ""


def document(results: Iterable[Result], rules: Mapping[str, str], version: str) -> str:
    """The whole file."""
    order = list(rules)
    shown = list(results)[:RESULTS]
    driver: dict[str, Value] = {
        "name": "promptreg",
        "version": visible(version),
        "rules": [{"id": rule, "name": rule, "shortDescription": {"text": text}} for rule, text in rules.items()],
    }
    run: dict[str, Value] = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(result, order) for result in shown],
    }
    return object_text({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]})


def _result(result: Result, rules: list[str]) -> dict[str, Value]:
    where = result.where or SETTINGS
    region: dict[str, Value] = {"startLine": max(1, where.line)}
    if where.column:
        region["startColumn"] = where.column
    place: dict[str, Value] = {
        "artifactLocation": {"uri": quote(one_line(where.path, PATH).lstrip("/")), "uriBaseId": "%SRCROOT%"},
        "region": region,
    }
    key = hashlib.sha256("\0".join((result.rule, *result.names)).encode("utf-8", "surrogatepass")).hexdigest()
    out: dict[str, Value] = {
        "ruleId": result.rule,
        "ruleIndex": rules.index(result.rule),
        "level": result.level,
        "message": {"text": _LINK.sub(r"\\\g<0>", cut(visible(result.message), TEXT))},
        "locations": [{"physicalLocation": place}],
        "partialFingerprints": {"promptreg/v1": key},
    }
    if result.accepted:
        justification = cut(visible(result.accepted), TEXT)
        out["suppressions"] = [{"kind": "external", "status": "accepted", "justification": justification}]
    return out
