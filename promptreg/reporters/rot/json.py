"""A RotReport as `promptreg/rot/1`: `gates` as a check gives them, each with what rot adds. `promptreg schema rot` has the schema.

Rates, scores, drops and limits are fractions; a positive drop is worse. Keys are added, never renamed.
"""

from __future__ import annotations

from dataclasses import fields

from promptreg.core.canonical import Json
from promptreg.core.drift import DriftResult
from promptreg.core.rot import Content, RotCell, RotReport, Upgrade
from promptreg.reporters.check.json import gate_as_json

SCHEMA = "promptreg/rot/1"
JUDGED = ("base_score", "head_score", "drop", "lower", "upper", "broken", "fixed", "p_harm")


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
        "upgrade": None if report.upgrade is None else _upgrade(report.upgrade),
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
        "answer_cost_usd": cell.cost_usd,
        "reference_answer_cost_usd": cell.reference_cost_usd,
        "retires": cell.retires,
    }


def _content(content: Content) -> dict[str, Json]:
    found = content.comparison
    return {
        "verdict": found.verdict.value,
        **{name: getattr(found, name) for name in JUDGED},
        "wrapped_base": content.wrapped[0],
        "wrapped_head": content.wrapped[1],
        "wrapping": content.wrapping,
        "p_wrapping": content.p,
    }


def _drift(result: DriftResult) -> dict[str, Json]:
    return {item.name: getattr(result, item.name) for item in fields(result)}


def _upgrade(upgrade: Upgrade) -> dict[str, Json]:
    return {
        "from": upgrade.old,
        "to": upgrade.new,
        "requests_per_month": upgrade.requests,
        "prompts": upgrade.prompts,
        "priced": upgrade.priced,
        "saves_usd_per_month": upgrade.saves_usd,
        "safe": upgrade.safe,
        "safe_saves_usd_per_month": upgrade.safe_saves_usd,
    }
