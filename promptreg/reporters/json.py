"""A Report as `promptreg/run/1` for other tools: keys in one fixed order, `schema` first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from promptreg.core.canonical import Json as Value
from promptreg.core.report import Cell, FailedCase, Report
from promptreg.core.rot import RotReport
from promptreg.core.run import CheckResult
from promptreg.core.verdict import CheckReport
from promptreg.reporters.check.masking import masked
from promptreg.reporters.objects import object_text

SCHEMA = "promptreg/run/1"


@dataclass(frozen=True, slots=True)
class Json:
    """For programs: one object; keys are added, never renamed."""

    name: ClassVar[str] = "json"
    suffix: ClassVar[str] = ".json"

    def render(self, report: Report) -> str:
        return object_text(as_json(report))

    def render_check(self, report: CheckReport, secrets: Sequence[str] = ()) -> str:
        from promptreg.reporters.check.json import as_json

        return object_text(as_json(masked(report, secrets)))

    def render_rot(self, report: RotReport) -> str:
        from promptreg.reporters.rot.json import as_json

        return object_text(as_json(report))


def as_json(report: Report) -> dict[str, Value]:
    """The one object of `run --json` and of report.json."""
    return {
        "schema": SCHEMA,
        "verdict": report.status,
        "exit_code": report.exit_code,
        "version": report.version,
        "registry": report.registry,
        "commit": report.commit,
        "dirty": report.dirty,
        "created": report.created,
        "duration_s": report.duration_s,
        "calls_made": report.calls_made,
        "calls_known": report.calls_known,
        "cost_usd": report.spent_usd,
        "notes": list(report.notes),
        "suites": [_cell(cell) for cell in report.cells],
    }


def _cell(cell: Cell) -> dict[str, Value]:
    return {
        "suite": cell.suite,
        "prompt": cell.prompt,
        "model": cell.model,
        "status": cell.status,
        "reason": cell.reason,
        "n": cell.n,
        "errors": cell.errors,
        "passed": cell.passed,
        "pass_rate": cell.pass_rate,
        "lower": cell.lower,
        "upper": cell.upper,
        "score": cell.score,
        "floor": cell.floor,
        "floor_on": cell.floor_on,
        "checks": {
            label: {"n": check.n, "passed": check.passed, "mean": check.mean}
            for label, check in zip(_labels([check.label for check in cell.checks]), cell.checks, strict=True)
        },
        "slices": [
            {"by": part.by, "value": part.value, "n": part.n, "passed": part.passed, "lower": part.lower, "upper": part.upper}
            for part in cell.slices
        ],
        "cost_usd": cell.cost_usd,
        "latency_p50_s": cell.latency_p50_s,
        "latency_p95_s": cell.latency_p95_s,
        "tokens": {"input": cell.input_tokens, "output": cell.output_tokens},
        "calls_made": cell.calls_made,
        "calls_known": cell.calls_known,
        "refusals": cell.refusals,
        "reported_models": list(cell.reported_models),
        "failures_total": cell.failed_total,
        "failures": [_failed(case) for case in cell.failed],
        "missing": [
            {"case": missing.case, "slot": missing.slot, "kind": missing.kind, "message": missing.message}
            for missing in cell.missing
        ],
    }


def _failed(case: FailedCase) -> dict[str, Value]:
    return {
        "case": case.case,
        "slot": case.slot,
        "where": str(case.where or ""),
        "messages": [message.as_json() for message in case.messages],
        "expected": case.expected,
        "answer": case.answer,
        "checks": [_check(check) for check in case.checks],
    }


def _check(check: CheckResult) -> dict[str, Value]:
    return {
        "check": check.label,
        "metric": check.metric,
        "passed": check.passed,
        "required": check.required,
        "value": check.value,
        "raw": check.raw,
        "reason": check.reason,
    }


def _labels(labels: list[str]) -> list[str]:
    """Labels as object keys: the second `contains` of a suite is `contains#2`."""
    seen: dict[str, int] = {}
    out = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        out.append(label if seen[label] == 1 else f"{label}#{seen[label]}")
    return out
