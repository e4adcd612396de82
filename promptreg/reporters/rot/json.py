"""A RotReport as `promptreg/rot/1`: `gates` as a check gives them, each with what rot adds."""

from __future__ import annotations

from dataclasses import fields

from promptreg.core.canonical import Json
from promptreg.core.drift import DriftResult
from promptreg.core.rot import RotCell, RotReport
from promptreg.core.verdict import Comparison
from promptreg.reporters.check.json import gate_as_json

SCHEMA = "promptreg/rot/1"


def as_json(report: RotReport) -> dict[str, Json]:
    """The one object of `rot --json` and `upgrade --json`."""
    return {
        "schema": SCHEMA,
        "verdict": report.verdict.value,
        "exit_code": int(report.exit_code),
        "headline": report.headline,
        "version": report.version,
        "registry": report.registry,
        "created": report.created,
        "commit": report.commit,
        "dirty": report.dirty,
        "duration_s": report.duration_s,
        "models": list(report.models),
        "gates": [_cell(cell) for cell in report.cells],
        "notes": list(report.notes),
        "calls_made": report.calls_made,
        "calls_known": report.calls_known,
        "cost_usd": report.cost_usd,
    }


def _cell(cell: RotCell) -> dict[str, Json]:
    return {
        **gate_as_json(cell.gate),
        "reference_model": cell.reference,
        "action": cell.action,
        "format_only": cell.format_only,
        "hidden": cell.hidden,
        "content": None if cell.content is None else _content(cell.content),
        "drift": [_drift(each) for each in cell.drift],
        "cost_ratio": cell.cost_ratio,
        "latency_ratio": cell.latency_ratio,
        "tokens_ratio": cell.tokens_ratio,
        "retires": cell.retires,
    }


def _content(found: Comparison) -> dict[str, Json]:
    return {
        "verdict": found.verdict.value,
        "base_score": found.base_score,
        "head_score": found.head_score,
        "drop": found.drop,
        "lower": found.lower,
        "upper": found.upper,
        "broken": found.broken,
        "fixed": found.fixed,
    }


def _drift(result: DriftResult) -> dict[str, Json]:
    return {item.name: getattr(result, item.name) for item in fields(result)}
