"""The JSON Schema of what `promptreg check --json` prints, for who reads it. What is written is in the reporters' room."""

from __future__ import annotations

from typing import get_args

from promptreg.core.canonical import Json
from promptreg.core.verdict import Changed, GuardName, LimitKind, Mode, Origin, ReferenceKind, Verdict
from promptreg.errors import ExitCode, Reason

TEXT: Json = {"type": "string"}
FLAG: Json = {"type": "boolean"}
COUNT: Json = {"type": "integer", "minimum": 0}
NUMBER: Json = {"type": "number"}
MAYBE: Json = {"type": ["number", "null"], "description": "null: not known, or not measured"}
MAYBE_COUNT: Json = {"type": ["integer", "null"], "minimum": 0}
MAYBE_TEXT: Json = {"type": ["string", "null"]}
SHARE: Json = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
P: Json = {"type": ["number", "null"], "minimum": 0, "maximum": 1}
VERDICT: Json = {"enum": [verdict.value for verdict in Verdict]}
REASON: Json = {"enum": [*get_args(Reason), None], "description": "why there is no verdict, when UNMEASURED"}
DROP: Json = {"type": ["number", "null"], "description": "a fraction; positive is worse"}
WHERE: Json = {"anyOf": [{"$ref": "#/$defs/where"}, {"type": "null"}]}


def check_schema() -> dict[str, Json]:
    """Of promptreg/check/1. Every key named is there; keys may be added, so that others are allowed."""
    return {
        "description": "What promptreg check says. Rates, drops and limits are fractions; limits are one-sided, at 1 - alpha.",
        **as_object(
            {
                "schema": said({"const": "promptreg/check/1"}, "names this format"),
                "verdict": said(VERDICT, "over the whole change"),
                "exit_code": said({"enum": [int(code) for code in ExitCode]}, "what the process told its caller"),
                "headline": said(TEXT, "the result in one line"),
                "accepted": said(FLAG, "whether somebody accepted what would have failed"),
                "version": said(TEXT, "of promptreg"),
                "registry": said(TEXT, "its name"),
                "created": said(TEXT, "ISO 8601, UTC"),
                "duration_s": said(NUMBER, "seconds"),
                "base": said({"$ref": "#/$defs/side"}, "what the change is held against"),
                "head": said({"$ref": "#/$defs/side"}, "the change"),
                "gates": said(_list("gate"), "one for each suite, prompt and model that the change concerns"),
                "findings": said(_list("finding"), "what no single gate can say"),
                "unaffected": said(_list("unaffected"), "suites that the change does not concern, and why"),
                "notes": said({"type": "array", "items": TEXT}, "worth knowing"),
                "calls_made": said(COUNT, "calls that were sent to a model"),
                "calls_known": said(COUNT, "answers that were there already"),
                "calls_saved": said(COUNT, "calls that measuring everything anew would have made besides"),
                "cost_usd": said(MAYBE, "US dollars spent now; null: not known"),
            }
        ),
        "$defs": {name: as_object(keys) for name, keys in _PARTS.items()},
    }


def said(schema: Json, description: str) -> Json:
    """*schema* with what it means."""
    assert isinstance(schema, dict)
    return {**schema, "description": description}


def _list(name: str) -> Json:
    return {"type": "array", "items": {"$ref": f"#/$defs/{name}"}}


def as_object(keys: dict[str, Json]) -> dict[str, Json]:
    """An object that has all of *keys*, and may have others."""
    return {"type": "object", "properties": keys, "required": list(keys)}


_PARTS: dict[str, dict[str, Json]] = {
    "side": {"revision": TEXT, "commit": MAYBE_TEXT, "dirty": FLAG},
    "where": {"path": TEXT, "line": COUNT, "column": COUNT, "key": TEXT},
    "gate": {
        "suite": TEXT,
        "prompt": TEXT,
        "model": TEXT,
        "verdict": VERDICT,
        "reason": REASON,
        "accepted": {"type": ["string", "null"], "description": "the reason given by who accepted it"},
        "note": TEXT,
        "mode": {"enum": list(get_args(Mode))},
        "changed": {"type": "array", "items": {"enum": list(get_args(Changed))}},
        "new": {"type": "boolean", "description": "it exists only in head"},
        "where": WHERE,
        "references": _list("reference"),
        "margin": NUMBER,
        "alpha": NUMBER,
        "mde": {"type": ["number", "null"], "description": "the smallest drop that it would show with the planned power"},
        "needed": MAYBE_COUNT,
        "expected_calls": MAYBE_COUNT,
        "calls_made": COUNT,
        "calls_saved": COUNT,
        "cost_usd": MAYBE,
        "floor": {"anyOf": [{"$ref": "#/$defs/floor"}, {"type": "null"}]},
        "guards": _list("guard"),
        "slices": _list("slice"),
        "quarantined": _list("case"),
    },
    "reference": {
        "kind": {"enum": list(get_args(ReferenceKind))},
        "revision": TEXT,
        "suite_from": {"enum": list(get_args(Origin))},
        "policy_from": {"enum": list(get_args(Origin))},
        "prompt": TEXT,
        "model": TEXT,
        "verdict": VERDICT,
        "reason": REASON,
        "n": {"type": "integer", "minimum": 0, "description": "cases that were measured"},
        "units": {"type": "integer", "minimum": 0, "description": "clusters that were measured"},
        "planned": {"type": "integer", "minimum": 0, "description": "clusters there were; more than units: it stopped early"},
        "unchanged": COUNT,
        "missing": COUNT,
        "excluded": COUNT,
        "broken": COUNT,
        "fixed": COUNT,
        "base_score": SHARE,
        "head_score": SHARE,
        "drop": DROP,
        "lower": DROP,
        "upper": DROP,
        "limit_kind": {"enum": list(get_args(LimitKind))},
        "margin": NUMBER,
        "alpha": NUMBER,
        "p_harm": P,
        "p_fixed": P,
        "e_fail": {"type": ["number", "null"], "description": "the greatest e-value for FAIL; null: beyond any number"},
        "e_pass": {"type": ["number", "null"], "description": "the greatest e-value for PASS; null: beyond any number"},
        "gained": {"type": "boolean", "description": "an improvement is shown"},
        "discordance": SHARE,
        "noise": SHARE,
        "repeats_base": COUNT,
        "repeats_head": COUNT,
        "needed": MAYBE_COUNT,
        "note": TEXT,
        "cases_broken": {"type": "array", "items": TEXT, "description": "ids of the first few"},
        "cases_fixed": {"type": "array", "items": TEXT, "description": "ids of the first few"},
        "cases": _list("case"),
    },
    "case": {
        "case": TEXT,
        "where": WHERE,
        "base_answer": TEXT,
        "head_answer": TEXT,
        "expected": TEXT,
        "reason": TEXT,
        "drop": NUMBER,
        "flaky": FLAG,
        "quarantined": FLAG,
    },
    "floor": {
        "floor": NUMBER,
        "on": {"enum": ["passed", "score"]},
        "score": SHARE,
        "lower": MAYBE,
        "upper": MAYBE,
        "n": COUNT,
        "verdict": VERDICT,
        "note": TEXT,
    },
    "guard": {
        "guard": {"enum": list(get_args(GuardName))},
        "limit": {"type": "string", "description": "as it was written: +10%, +2pt"},
        "base": MAYBE,
        "head": MAYBE,
        "increase": {"type": ["number", "null"], "description": "a fraction of base for %, a difference of rates for pt"},
        "p": P,
        "verdict": VERDICT,
        "note": TEXT,
    },
    "slice": {
        "by": TEXT,
        "value": TEXT,
        "n": COUNT,
        "base_score": SHARE,
        "head_score": SHARE,
        "drop": DROP,
        "p": P,
        "mde": MAYBE,
        "verdict": VERDICT,
        "blocks": FLAG,
    },
    "finding": {
        "verdict": VERDICT,
        "reason": REASON,
        "prompt": MAYBE_TEXT,
        "message": TEXT,
        "where": WHERE,
        "hint": TEXT,
        "accepted": MAYBE_TEXT,
    },
    "unaffected": {"suite": TEXT, "why": TEXT, "gates": COUNT},
}
