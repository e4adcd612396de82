"""The machine's part of a tag's message: YAML that one line each can hold, so that also simpler readers than ours can read it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Literal

from promptreg.core.canonical import Digest, Json
from promptreg.core.evidence import EVIDENCE, Evidence, Measurement
from promptreg.core.semver import Version, parse_version
from promptreg.documents.shapes import Rule, convert
from promptreg.documents.yaml import read_yaml
from promptreg.errors import DocumentError, Where

_DIGEST = r"sha256:[0-9a-f]{64}"
# What every YAML reader takes for this very text. A version has two dots, so that nobody reads a number.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_./@^~-]*(?::[A-Za-z0-9]+)?|[0-9]+\.[0-9]+\.[0-9]+(?:[-+][A-Za-z0-9.+-]+)?")
_NOT_TEXT = frozenset(("true", "false", "yes", "no", "on", "off", "y", "n", "null"))


def machine_block(entries: Mapping[str, Json]) -> str:
    """*entries* as one `key: value` line each; the inverse of reading it as YAML."""
    return "".join(f"{key}: {_value(value)}\n" for key, value in entries.items())


def _value(value: Json) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)


def evidence_block(evidence: Evidence) -> str:
    """*evidence* as it stands in a tag."""
    entries: dict[str, Json] = {
        "schema": EVIDENCE,
        "event": "release",
        "name": evidence.name,
        "version": str(evidence.version),
        "previous": str(evidence.previous) if evidence.previous else None,
        "change": evidence.change,
        "behaviour": evidence.behaviour,
        "source": evidence.source,
        "verdict": evidence.verdict,
        "accepted": evidence.accepted or None,
        "no_gate": evidence.no_gate or None,
        "measured": [measurement_as_json(each) for each in evidence.measured],
        "promptreg": evidence.promptreg,
    }
    return machine_block({key: value for key, value in entries.items() if value is not None})


def measurement_as_json(measurement: Measurement) -> dict[str, Json]:
    """What differs from the defaults, so that a tag is not longer than what it says."""
    out: dict[str, Json] = {}
    for item in fields(Measurement):
        value = getattr(measurement, item.name)
        if value is None or value == item.default:
            continue
        out[item.name] = str(value) if isinstance(value, Version) else list(value) if isinstance(value, tuple) else value
    return out


_Hash = Annotated[str, Rule(pattern=_DIGEST, looks="sha256:…")]
_Share = Annotated[float, Rule(ge=0, le=1)]
_Difference = Annotated[float, Rule(ge=-1, le=1)]
_Record = Annotated[str, Rule(pattern=r"[0-9a-f]{16}", looks="the id of a record")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementShape:
    """What one suite measured on one model."""

    suite: str
    model: str
    suite_digest: _Hash
    n: Annotated[int, Rule(ge=0)]
    score: _Share | None = None
    lower: _Share | None = None
    upper: _Share | None = None
    dataset_digest: _Hash | None = None
    reported_models: tuple[str, ...] = ()
    verdict: str = ""
    on: Literal["passed", "score"] = "passed"
    checks_digest: _Hash | None = None
    policy_digest: _Hash | None = None
    identity: _Hash | None = None
    against: str | None = None
    drop: _Difference | None = None
    drop_lower: _Difference | None = None
    drop_upper: _Difference | None = None
    margin: _Share | None = None
    mode: str = ""
    floor: _Share | None = None
    records: tuple[_Record, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceShape:
    """The block of a release's tag."""

    name: str
    version: str
    change: str
    behaviour: Annotated[str, Rule(pattern=_DIGEST, looks="sha256:…")]
    source: Annotated[str, Rule(pattern=_DIGEST, looks="sha256:…")]
    promptreg: str
    verdict: str = "none"
    previous: str | None = None
    accepted: str = ""
    no_gate: str = ""
    measured: tuple[MeasurementShape, ...] = ()


_KEYS = frozenset(EvidenceShape.__dataclass_fields__)
_MEASURED = frozenset(MeasurementShape.__dataclass_fields__)


def evidence(block: str, tag: str) -> Evidence | None:
    """The evidence in the block of the tag *tag*; None where there is none, or one of a later promptreg.

    Keys that are not known yet are passed over. DocumentError for what calls itself evidence and is none.
    """
    place = f"tag {tag}"
    if not re.search(rf"^schema: {re.escape(EVIDENCE)}$", block, re.MULTILINE):
        return None
    document = read_yaml(block.encode("utf-8", "replace"), place)
    if not isinstance(document.value, Mapping):
        raise DocumentError("the evidence is no mapping", where=Where(place))
    raw = {key: value for key, value in document.value.items() if key in _KEYS}
    if isinstance(rows := raw.get("measured"), list):
        raw["measured"] = [_known(row) for row in rows]
    shape = convert(raw, EvidenceShape, document.place, written=document.written)
    return Evidence(
        name=shape.name,
        version=parse_version(shape.version),
        previous=parse_version(shape.previous) if shape.previous else None,
        change=shape.change,
        behaviour=Digest(shape.behaviour),
        source=Digest(shape.source),
        promptreg=shape.promptreg,
        verdict=shape.verdict,
        accepted=shape.accepted,
        no_gate=shape.no_gate,
        measured=tuple(map(_measurement, shape.measured)),
    )


def _known(row: Json) -> Json:
    return {key: value for key, value in row.items() if key in _MEASURED} if isinstance(row, Mapping) else row


def _measurement(shape: MeasurementShape) -> Measurement:
    values = {name: getattr(shape, name) for name in _MEASURED}
    return Measurement(**{**values, "against": parse_version(shape.against) if shape.against else None})
