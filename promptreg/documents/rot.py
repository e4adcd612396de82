"""The JSON Schema of what `rot --json` and `upgrade --json` print, for who reads it. What is written is in the reporters' room."""

from __future__ import annotations

from typing import cast, get_args

from promptreg.core.canonical import Json
from promptreg.core.drift import KINDS
from promptreg.core.rot import Action
from promptreg.documents.check import (
    COUNT,
    DROP,
    FLAG,
    MAYBE,
    MAYBE_COUNT,
    MAYBE_TEXT,
    SHARE,
    TEXT,
    VERDICT,
    P,
    as_object,
    check_schema,
    said,
)

KEPT = ("verdict", "exit_code", "headline", "version", "registry", "created", "duration_s", "notes", "calls_made", "calls_known")
PARTS = ("where", "reference", "case", "floor", "guard", "slice")


def rot_schema() -> dict[str, Json]:
    """Of promptreg/rot/1. Every key named is there; keys may be added, so that others are allowed."""
    check = check_schema()
    whole = cast("dict[str, Json]", check["properties"])
    parts = cast("dict[str, Json]", check["$defs"])
    gate = cast("dict[str, dict[str, Json]]", parts["gate"])["properties"]
    keys: dict[str, Json] = {
        "schema": said({"const": "promptreg/rot/1"}, "names this format"),
        **{name: whole[name] for name in KEPT},
        "commit": said(MAYBE_TEXT, "that was measured; null outside of Git"),
        "dirty": said(FLAG, "whether files differ from it"),
        "models": said({"type": "array", "items": TEXT}, "the columns of the matrix"),
        "gates": said({"type": "array", "items": {"$ref": "#/$defs/cell"}}, "the cells: suite × prompt × model"),
        "upgrade": said(_maybe("upgrade"), "of `upgrade` alone, else null"),
        "cost_usd": whole["cost_usd"],
    }
    found: dict[str, Json] = {name: parts[name] for name in PARTS}
    found |= {
        "cell": as_object({**gate, **_CELL}),
        "content": as_object(_CONTENT),
        "drift": as_object(_DRIFT),
        "upgrade": as_object(_UPGRADE),
    }
    described = "What promptreg rot and upgrade say. Rates, drops and limits are fractions; limits are one-sided, at 1 - alpha."
    return {"description": described, **as_object(keys), "$defs": found}


def _maybe(name: str) -> Json:
    return {"anyOf": [{"$ref": f"#/$defs/{name}"}, {"type": "null"}]}


_CELL: dict[str, Json] = {
    "reference_model": said(TEXT, "what it is held against"),
    "action": said({"enum": list(get_args(Action))}, "what the verdict means for moving to this model"),
    "format_only": said(FLAG, "a drop is shown as answers are given, none unwrapped, and the wrapping makes the difference"),
    "hidden": said(FLAG, "the mean rose, and many cases broke"),
    "content": said(_maybe("content"), "the answers judged unwrapped; null where nothing was wrapped, or a check asks a model"),
    "drift": said({"type": "array", "items": {"$ref": "#/$defs/drift"}}, "what changed apart from right or wrong"),
    "cost_ratio": MAYBE,
    "latency_ratio": said(MAYBE, "the median; null unless both were asked just now"),
    "tokens_ratio": MAYBE,
    "answer_cost_usd": said(MAYBE, "of one answer, in the mean"),
    "reference_answer_cost_usd": MAYBE,
    "retires": said(MAYBE_TEXT, "ISO date"),
}
_CONTENT: dict[str, Json] = {
    "verdict": VERDICT,
    "base_score": SHARE,
    "head_score": SHARE,
    "drop": DROP,
    "lower": DROP,
    "upper": DROP,
    "broken": COUNT,
    "fixed": COUNT,
    "p_harm": P,
    "wrapped_base": said(SHARE, "of the answers"),
    "wrapped_head": SHARE,
    "wrapping": said({"type": "number"}, "how much more its wrapping costs this model than the reference"),
    "p_wrapping": P,
}
_DRIFT: dict[str, Json] = {
    "kind": {"enum": list(KINDS)},
    "n": said(COUNT, "cases"),
    "base": said(MAYBE, "a rate, or a median; of a mismatch: how often repeats of one side differ"),
    "head": MAYBE,
    "ratio": said(MAYBE, "the median of head over base, of sizes"),
    "p": said(P, "two-sided, corrected over the kinds; null: reported, not tested"),
    "alarm": said(FLAG, "shown, and large enough to matter"),
    "note": TEXT,
}
_UPGRADE: dict[str, Json] = {
    "from": TEXT,
    "to": TEXT,
    "requests_per_month": MAYBE_COUNT,
    "prompts": COUNT,
    "priced": said(COUNT, "prompts whose cost is known on both models"),
    "saves_usd_per_month": said(MAYBE, "moving all that are priced; negative: costs"),
    "safe": said(COUNT, "prompts that can move now"),
    "safe_saves_usd_per_month": said(MAYBE, "moving those alone"),
}
