"""Records out of bytes that a stranger may have written. Part of `records`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar, get_args

from promptreg.core.canonical import Digest, Json, canonical, digest
from promptreg.core.records.places import ACCEPTED, MANIFESTS, RUNS, VERDICTS
from promptreg.core.records.values import (
    Acceptance,
    Cell,
    CheckScore,
    Header,
    Kept,
    Manifest,
    Purpose,
    Record,
    Recorded,
    VerdictRecord,
)
from promptreg.core.records.writing import ACCEPTANCE, PRUNED, RECORD, VERDICT, path_of
from promptreg.core.run import CallKey, Completion, FailureKind, Stop
from promptreg.core.settings import Retention
from promptreg.core.verdict import Verdict
from promptreg.errors import DataError, PromptregError, Where

T = TypeVar("T")

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_SLOTS = 1 << 31  # more samples of one case than anybody takes
_LONGEST = 4096  # characters of a name, an author, a case's id
_SUSPICIOUS = re.compile(rb"\\u[dD][89a-fA-F]|[0-9][eE][+]?[0-9]{3}|[0-9]{300}")  # may be half a character, or infinite
_TIMES = 1e11  # seconds since the epoch, the year 5138: what is later is no time


def decode(path: str, content: bytes) -> Kept:
    """What the file *content* at *path* says. DataError unless writing it would make just this path."""
    kind = path.partition("/")[0]
    found: Kept
    if kind == RUNS:
        found = _record(path, content)
    elif kind in _READERS:
        found = _READERS[kind](_Fields.of(content.removesuffix(b"\n"), Where(path)))
    else:
        raise DataError("this is no record", where=Where(path))
    if path_of(found, content) != path:
        raise DataError("the record does not fit its path: it was altered, or put in another's place", where=Where(path))
    return found


def decode_header(path: str, content: bytes) -> Header:
    """The header alone, for lists. DataError as `decode` says; the answers are not looked at."""
    header = _header(_Fields.of(content.partition(b"\n")[0], Where(path, 1)))
    if path_of(Record(header=header), content) != path:
        raise DataError("the record does not fit its path: it was altered, or put in another's place", where=Where(path))
    return header


def _record(path: str, content: bytes) -> Record:
    if not content.endswith(b"\n"):
        raise DataError("the record is cut off", where=Where(path))
    first, *rest = content[:-1].split(b"\n")
    header = _header(_Fields.of(first, Where(path, 1)))
    lines = (_Fields.of(line, Where(path, number)) for number, line in enumerate(rest, 2))
    return Record(header=header, answers=tuple(map(_recorded, lines)))


class _Fields:
    """One JSON object that a stranger may have written. Getters raise DataError, at its line, for what is not as it should be."""

    __slots__ = ("raw", "where")

    def __init__(self, raw: Mapping[str, Any], where: Where) -> None:
        self.raw = raw
        self.where = where

    @classmethod
    def of(cls, line: bytes, where: Where) -> _Fields:
        try:
            raw = json.loads(line, parse_constant=_refuse)
            if _SUSPICIOUS.search(line):
                canonical(raw)
        except (ValueError, RecursionError, PromptregError) as fault:
            raise DataError(f"this line is no JSON: {fault}", where=where) from fault
        if not isinstance(raw, dict):
            raise DataError("this line is no JSON object", where=where)
        return cls(raw, where)

    def odd(self, key: str, wanted: str) -> DataError:
        return DataError(f"{wanted} is wanted here", where=replace(self.where, key=key))

    def text(self, key: str, default: str | None = None, longest: int = _LONGEST) -> str:
        value = self.raw.get(key, default)
        if not isinstance(value, str) or len(value) > longest:
            raise self.odd(key, "text")
        return value

    def number(self, key: str, least: float = -math.inf, greatest: float = math.inf) -> float | None:
        value = self.raw.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= greatest:
            raise self.odd(key, "a number in its range")
        return value

    def count(self, key: str) -> int | None:
        value = self.number(key, 0, _SLOTS)
        if value is not None and not isinstance(value, int):
            raise self.odd(key, "a whole number")
        return value

    def flag(self, key: str) -> bool | None:
        value = self.raw.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.odd(key, "true or false")
        return value

    def digest(self, key: str) -> Digest:
        value = self.raw.get(key)
        if not isinstance(value, str) or not _DIGEST.fullmatch(value):
            raise self.odd(key, "a digest (sha256:…)")
        return Digest(value)

    def one_of(self, key: str, known: Iterable[T]) -> T:
        value = self.raw.get(key)
        for each in known:
            if isinstance(value, str) and value == each:
                return each
        raise self.odd(key, "one of the known words")

    def object(self, key: str) -> Mapping[str, Json]:
        value = self.raw.get(key, {})
        if not isinstance(value, dict):
            raise self.odd(key, "an object")
        return value

    def objects(self, key: str) -> list[_Fields]:
        value = self.raw.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.odd(key, "a list of objects")
        return [_Fields(each, replace(self.where, key=key)) for each in value]

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.raw.get(key, [])
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.odd(key, "a list of texts")
        return tuple(value)

    def moment(self, key: str) -> str:
        value = self.text(key)
        if not _MOMENT.fullmatch(value):
            raise self.odd(key, "a time like 2026-05-01T12:00:00Z")
        return value

    def schema(self, known: str) -> None:
        said = self.raw.get("schema")
        if said != known:
            later = isinstance(said, str) and said.startswith(known.rpartition("/")[0] + "/")
            raise DataError(
                f"its schema is {str(said)[:80]!a}; this promptreg reads {known}",
                where=self.where,
                hint="a later promptreg wrote it: upgrade this one" if later else None,
            )


def _refuse(constant: str) -> Json:
    raise ValueError(f"{constant} is not JSON")


def _header(fields: _Fields) -> Header:
    fields.schema(RECORD)
    cell = Cell(
        suite=fields.text("suite"),
        prompt=fields.text("prompt"),
        behaviour=fields.digest("behaviour"),
        alias=fields.text("model"),
        identity=fields.digest("identity"),
    )
    facts = fields.object("facts")
    if digest("promptreg/model/1", facts) != cell.identity:
        raise DataError("the model's facts are not those of its identity", where=fields.where)
    return Header(
        cell=cell,
        facts=facts,
        suite_digest=fields.digest("suite_digest"),
        dataset_digest=fields.digest("dataset_digest"),
        checks_digest=fields.digest("checks_digest"),
        params=fields.object("params"),
        reported_models=fields.texts("reported_models"),
        version=fields.text("version"),
        author=fields.text("author"),
        created=fields.moment("created"),
        seed=fields.text("seed"),
        retention=fields.one_of("retention", get_args(Retention)),
        purpose=fields.one_of("purpose", get_args(Purpose)),
    )


def _recorded(fields: _Fields) -> Recorded:
    slot = fields.count("slot")
    if slot is None:
        raise fields.odd("slot", "a whole number")
    raw = fields.raw
    failure: FailureKind | None = fields.one_of("failure", get_args(FailureKind)) if raw.get("failure") is not None else None
    completion = None if raw.get("completion") is None else _completion(_Fields(fields.object("completion"), fields.where))
    return Recorded(
        case=fields.text("case"),
        pair=fields.digest("pair"),
        slot=slot,
        call=CallKey(fields.digest("call")),
        completion=completion,
        content=None if raw.get("content") is None else fields.digest("content"),
        passed=fields.flag("passed"),
        score=fields.number("score", 0, 1),
        checks=tuple(_check_score(one) for one in fields.objects("checks")),
        cost_usd=fields.number("cost_usd", 0),
        failure=failure,
    )


def _check_score(fields: _Fields) -> CheckScore:
    value, passed = fields.number("value", 0, 1), fields.flag("passed")
    if value is None or passed is None:
        raise fields.odd("value", "a value and whether it passed")
    return CheckScore(label=fields.text("label"), value=value, passed=passed)


def _completion(fields: _Fields) -> Completion:
    """As `Completion.from_json`, of a stranger's object."""
    usage = _Fields(fields.object("usage"), fields.where)
    for key in ("input_tokens", "output_tokens"):
        usage.count(key)
    for key in ("latency_s", "cost_usd"):
        fields.number(key, 0)
    fields.number("observed_at", 0, _TIMES)
    for key in ("reported_model", "system_fingerprint"):
        fields.text(key, "")
    scores = _Fields(fields.object("scores"), fields.where)
    if any(scores.number(name) is None for name in scores.raw):
        raise fields.odd("scores", "a number for each name")
    fields.text("text", longest=1 << 28)
    fields.one_of("stop", [stop.value for stop in Stop])
    for call in fields.objects("tool_calls"):
        call.text("name")
        if call.raw.keys() != {"name", "arguments"}:
            raise fields.odd("tool_calls", "name and arguments")
    return Completion.from_json(fields.raw)


def _verdict(fields: _Fields) -> VerdictRecord:
    fields.schema(VERDICT)
    digests = _Fields(fields.object("digests"), fields.where)
    return VerdictRecord(
        prompt=fields.text("prompt"),
        behaviour=fields.digest("behaviour"),
        suite=fields.text("suite"),
        model=fields.text("model"),
        verdict=fields.one_of("verdict", Verdict),
        base=fields.text("base"),
        head=fields.text("head"),
        digests={name: digests.digest(name) for name in digests.raw},
        gate=fields.object("gate"),
        version=fields.text("version"),
        author=fields.text("author"),
        created=fields.moment("created"),
    )


def _acceptance(fields: _Fields) -> Acceptance:
    fields.schema(ACCEPTANCE)
    return Acceptance(
        prompt=fields.text("prompt"),
        behaviour=fields.digest("behaviour"),
        suite=fields.text("suite"),
        model=fields.text("model"),
        base=fields.text("base"),
        reason=fields.text("reason", longest=1 << 16),
        author=fields.text("author"),
        created=fields.moment("created"),
        verdict=None if fields.raw.get("verdict") is None else fields.digest("verdict"),
        change=None if fields.raw.get("change") is None else fields.digest("change"),
    )


def _manifest(fields: _Fields) -> Manifest:
    fields.schema(PRUNED)
    return Manifest(
        dropped=fields.texts("dropped"),
        author=fields.text("author"),
        created=fields.moment("created"),
        reason=fields.text("reason", longest=1 << 16),
    )


_READERS: Mapping[str, Callable[[_Fields], Kept]] = {VERDICTS: _verdict, ACCEPTED: _acceptance, MANIFESTS: _manifest}
