"""A CheckReport as `promptreg/check/1` for other tools. `promptreg schema check` prints the schema of what is made here.

Rates, scores, drops and limits are fractions; a positive drop is worse. Keys are added, never renamed.
"""

from __future__ import annotations

from promptreg.core.canonical import Json as Value
from promptreg.core.verdict import (
    CaseChange,
    CheckReport,
    Comparison,
    Finding,
    FloorResult,
    GateReport,
    GuardResult,
    Side,
    SliceResult,
)
from promptreg.errors import Where

SCHEMA = "promptreg/check/1"


def as_json(report: CheckReport) -> dict[str, Value]:
    """The one object of `check --json` and of check.json."""
    return {
        "schema": SCHEMA,
        "verdict": report.verdict.value,
        "exit_code": int(report.exit_code),
        "headline": report.headline,
        "accepted": report.accepted,
        "version": report.version,
        "registry": report.registry,
        "created": report.created,
        "duration_s": report.duration_s,
        "base": _side(report.base),
        "head": _side(report.head),
        "gates": [gate_as_json(gate) for gate in report.gates],
        "findings": [_finding(finding) for finding in report.findings],
        "unaffected": [{"suite": each.suite, "why": each.why, "gates": each.gates} for each in report.unaffected],
        "notes": list(report.notes),
        "calls_made": report.calls_made,
        "calls_known": report.calls_known,
        "calls_saved": report.calls_saved,
        "cost_usd": report.cost_usd,
    }


def gate_as_json(gate: GateReport) -> dict[str, Value]:
    """One gate, as it stands in `gates`."""
    return {
        "suite": gate.suite,
        "prompt": gate.prompt,
        "model": gate.model,
        "verdict": gate.verdict.value,
        "reason": gate.reason,
        "accepted": gate.accepted or None,
        "note": gate.note,
        "mode": gate.mode,
        "changed": list(gate.changed),
        "new": gate.new,
        "where": _where(gate.where),
        "references": [_reference(comparison) for comparison in gate.comparisons],
        "margin": gate.margin,
        "alpha": gate.alpha,
        "mde": gate.mde,
        "needed": gate.needed,
        "expected_calls": gate.expected_calls,
        "calls_made": gate.calls_made,
        "calls_saved": gate.calls_saved,
        "cost_usd": gate.cost_usd,
        "floor": _floor(gate.floor) if gate.floor else None,
        "guards": [_guard(guard) for guard in gate.guards],
        "slices": [_slice(part) for part in gate.slices],
        "quarantined": [_case(case) for case in gate.quarantined],
    }


def _side(side: Side) -> dict[str, Value]:
    return {"revision": side.revision, "commit": side.commit, "dirty": side.dirty}


def _where(where: Where | None) -> Value:
    return None if where is None else {"path": where.path, "line": where.line, "column": where.column, "key": where.key}


def _reference(comparison: Comparison) -> dict[str, Value]:
    return {
        "kind": comparison.kind,
        "revision": comparison.revision,
        "suite_from": comparison.suite_from,
        "policy_from": comparison.policy_from,
        "prompt": comparison.prompt,
        "model": comparison.model,
        "verdict": comparison.verdict.value,
        "reason": comparison.reason,
        "n": comparison.n,
        "units": comparison.units,
        "planned": comparison.planned,
        "unchanged": comparison.unchanged,
        "missing": comparison.missing,
        "excluded": comparison.excluded,
        "broken": comparison.broken,
        "fixed": comparison.fixed,
        "base_score": comparison.base_score,
        "head_score": comparison.head_score,
        "drop": comparison.drop,
        "lower": comparison.lower,
        "upper": comparison.upper,
        "limit_kind": comparison.limit_kind,
        "margin": comparison.margin,
        "alpha": comparison.alpha,
        "p_harm": comparison.p_harm,
        "p_fixed": comparison.p_fixed,
        "e_fail": comparison.e_fail,
        "e_pass": comparison.e_pass,
        "gained": comparison.gained,
        "discordance": comparison.discordance,
        "noise": comparison.noise,
        "repeats_base": comparison.repeats_base,
        "repeats_head": comparison.repeats_head,
        "needed": comparison.needed,
        "note": comparison.note,
        "cases_broken": [case.case for case in comparison.cases_broken],
        "cases_fixed": [case.case for case in comparison.cases_fixed],
        "cases": [_case(case) for case in (*comparison.cases_broken, *comparison.cases_fixed)],
    }


def _case(case: CaseChange) -> dict[str, Value]:
    return {
        "case": case.case,
        "where": _where(case.where),
        "base_answer": case.base_answer,
        "head_answer": case.head_answer,
        "expected": case.expected,
        "reason": case.reason,
        "drop": case.drop,
        "flaky": case.flaky,
        "quarantined": case.quarantined,
    }


def _floor(floor: FloorResult) -> dict[str, Value]:
    return {
        "floor": floor.floor,
        "on": floor.on,
        "score": floor.score,
        "lower": floor.lower,
        "upper": floor.upper,
        "n": floor.n,
        "verdict": floor.verdict.value,
        "note": floor.note,
    }


def _guard(guard: GuardResult) -> dict[str, Value]:
    return {
        "guard": guard.guard,
        "limit": guard.limit,
        "base": guard.base,
        "head": guard.head,
        "increase": guard.increase,
        "p": guard.p,
        "verdict": guard.verdict.value,
        "note": guard.note,
    }


def _slice(part: SliceResult) -> dict[str, Value]:
    return {
        "by": part.by,
        "value": part.value,
        "n": part.n,
        "base_score": part.base_score,
        "head_score": part.head_score,
        "drop": part.drop,
        "p": part.p,
        "mde": part.mde,
        "verdict": part.verdict.value,
        "blocks": part.blocks,
    }


def _finding(finding: Finding) -> dict[str, Value]:
    return {
        "verdict": finding.verdict.value,
        "reason": finding.reason,
        "prompt": finding.prompt or None,
        "message": finding.message,
        "where": _where(finding.where),
        "hint": finding.hint,
        "accepted": finding.accepted or None,
    }
