"""YAML and JSON text → checked values, or every complaint with file, line, column and key; and JSON Schemas for editors.

Reads bytes that somebody else opened: knows no disk, no Git, no metric and no provider.
"""

from __future__ import annotations

from promptreg.documents.describe import json_schema
from promptreg.documents.json import decode_json, encode_json
from promptreg.documents.prompt import prompt
from promptreg.documents.rows import case_id, read_case
from promptreg.documents.schemas import SCHEMA_KINDS, schema
from promptreg.documents.settings import settings
from promptreg.documents.shapes import Rule, convert
from promptreg.documents.suite import suite
from promptreg.documents.yaml import MAX_BYTES, Document, below, dotted, is_yaml_list, read_yaml, read_yaml_rows

__all__ = [
    "MAX_BYTES",
    "SCHEMA_KINDS",
    "Document",
    "Rule",
    "below",
    "case_id",
    "convert",
    "decode_json",
    "dotted",
    "encode_json",
    "is_yaml_list",
    "json_schema",
    "prompt",
    "read_case",
    "read_yaml",
    "read_yaml_rows",
    "schema",
    "settings",
    "suite",
]
