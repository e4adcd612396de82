"""JSON Schemas: of what users write, so that editors complete keys and show what they mean; and of what `--json` prints."""

from __future__ import annotations

from typing import Any

from promptreg.core.canonical import Json
from promptreg.core.names import did_you_mean
from promptreg.documents.check import check_schema
from promptreg.documents.describe import json_schema
from promptreg.documents.prompt import PromptShape
from promptreg.documents.rot import rot_schema
from promptreg.documents.rows import CaseShape
from promptreg.documents.settings import SettingsShape
from promptreg.documents.suite import SuiteShape
from promptreg.errors import UsageError

_SHAPES: dict[str, Any] = {"prompt": PromptShape, "suite": SuiteShape, "settings": SettingsShape, "case": CaseShape}
_PRINTED = {"check": check_schema, "rot": rot_schema}
SCHEMA_KINDS = (*_SHAPES, *_PRINTED)


def schema(kind: str) -> dict[str, Json]:
    """The JSON Schema (draft 2020-12) of a *kind* of SCHEMA_KINDS. UsageError for another."""
    if kind not in SCHEMA_KINDS:
        raise UsageError(f"no schema for '{kind}'{did_you_mean(kind, SCHEMA_KINDS)}", hint=f"kinds: {', '.join(SCHEMA_KINDS)}")
    described = _PRINTED[kind]() if kind in _PRINTED else json_schema(_SHAPES[kind])
    found: dict[str, Json] = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"promptreg {kind}", **described}
    if kind == "suite":  # exactly one source of cases
        found["oneOf"] = [{"required": ["dataset"]}, {"required": ["cases"]}]
    return found
