"""Values that several test files share: one fixed Report with every kind of cell, and one whose every text is hostile."""

from __future__ import annotations

from dataclasses import replace

from promptreg.core.canonical import Json
from promptreg.core.prompt import Message, Part
from promptreg.core.report import Cell, CheckSummary, FailedCase, MissingCase, Report, SliceSummary
from promptreg.core.run import CheckResult
from promptreg.core.stats import wilson
from promptreg.errors import Where

SYSTEM = "You sort tickets into one of: billing, bug, other.\nAnswer with the queue and nothing else."


def check(label: str, reason: str, *, passed: bool = False, required: bool = True) -> CheckResult:
    value = float(passed)
    return CheckResult(
        label=label, metric=label, value=value, raw=value, passed=passed, required=required, weight=1.0, reason=reason
    )


def failed(case: str, line: int, ticket: str, expected: Json, answer: str, reason: str) -> FailedCase:
    return FailedCase(
        case=case,
        slot=0,
        where=Where("suites/triage.jsonl", line),
        messages=(Message(role="system", content=SYSTEM), Message(role="user", content=ticket)),
        expected=expected,
        answer=answer,
        checks=(check("exact", reason), check("word_count", "3 words, at most 8", passed=True, required=False)),
    )


def cell(suite: str, prompt: str, model: str, passed: int, n: int, **changes: object) -> Cell:
    lower, upper = wilson(passed, n) if n else (None, None)
    whole = Cell(
        suite=suite,
        prompt=prompt,
        model=model,
        status="ok",
        n=n,
        errors=0,
        passed=passed,
        pass_rate=passed / n if n else None,
        lower=lower,
        upper=upper,
        score=passed / n if n else None,
        floor=None,
        checks=(CheckSummary(label="exact", n=n, passed=passed, mean=passed / n),) if n else (),
        cost_usd=None,
        latency_p50_s=0.184,
        latency_p95_s=0.412,
        input_tokens=n * 71,
        output_tokens=n * 4,
        calls_made=n,
        calls_known=0,
        refusals=0,
        reported_models=(model,),
        failed=(),
        failed_total=n - passed,
        missing=(),
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


SLICES = (
    SliceSummary(by="tags.queue", value="billing", n=25, passed=24, lower=0.805, upper=0.993),
    SliceSummary(by="tags.queue", value="bug", n=35, passed=32, lower=0.776, upper=0.970),
)


def report() -> Report:
    """Two suites, two prompts, three models: passing, failing, unmeasured, free and paid, one cell with more than is listed."""
    triage = (
        failed("t-007", 7, "I was charged twice this month.", {"queue": "billing"}, "bug", "expected 'billing', got 'bug'"),
        failed(
            "t-031",
            31,
            "The export button does nothing since the update.",
            {"queue": "bug"},
            "The queue is: other. The customer reports a button.",
            "expected 'bug', got 'The queue is: other. The customer reports a button.'",
        ),
    )
    dates = FailedCase(
        case="d-012",
        slot=1,
        where=Where("suites/dates.yaml", 88, 5),
        messages=(
            Message(
                role="user",
                content=(Part(type="text", value="When is this?"), Part(type="image", value="https://example.com/a.png")),
            ),
        ),
        expected={"year": 2024, "month": 5, "day": 17},
        answer='{"year": 2024, "month": 17, "day": 5}',
        checks=(check("json", "$.month: 17 is greater than the maximum of 12"), check("exact", "month and day are exchanged")),
    )
    return Report(
        cells=(
            cell(
                "triage",
                "support/triage",
                "smollm2",
                46,
                60,
                status="failed",
                floor=0.8,
                reason="46 of 60 passed, 76.67 %: below the floor of 80 %",
                failed=triage,
            ),
            cell("triage", "support/triage", "smollm2-kv4", 51, 60, floor=0.8, failed=triage[:1], calls_made=0, calls_known=60),
            cell("triage", "support/triage-few-shot", "smollm2", 56, 60, floor=0.8, failed=triage[1:], slices=SLICES),
            cell("triage", "support/triage-few-shot", "smollm2-kv4", 55, 60, floor=0.8),
            cell("dates", "extract/dates", "smollm2", 120, 120, latency_p50_s=0.9, latency_p95_s=1.31),
            cell(
                "dates",
                "extract/dates",
                "gpt-4o-2024-08-06",
                110,
                117,
                status="unmeasured",
                reason="3 of 120 answers missing",
                errors=3,
                cost_usd=0.0412,
                failed=(dates,),
                missing=(
                    MissingCase(case="d-044", slot=0, kind="rate_limit", message="HTTP 429 after 5 tries"),
                    MissingCase(case="d-045", slot=0, kind="rate_limit", message="HTTP 429 after 5 tries"),
                    MissingCase(case="d-101", slot=0, kind="timeout", message="no answer within 60 s"),
                ),
            ),
        ),
        exit_code=1,
        created="2024-05-17T12:00:00Z",
        version="0.1.0",
        registry="acme/prompts",
        commit="4f2c9d1e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d",
        dirty=True,
        duration_s=83.4,
        calls_made=417,
        calls_known=60,
        spent_usd=0.0412,
        notes=("model gpt-4o-2024-08-06 retires on 2027-01-14",),
    )


HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(2)> \x1b[31mred\x1b]8;;http://evil.example\x07 \u202egnp.exe\n"
    "::error::injected\n##[error]injected\n```\n````\n# Heading\n| a | b |\n@octocat #1 https://evil.example www.evil.example\n"
    "]]> --> "
    "{{ 7*7 }} </details></textarea> &amp; $x$ `code` \\ ![x](http://evil.example/x.png) [y](javascript:alert(1)) \ud800 \x00"
)


def hostile() -> Report:
    """A report in which everything a stranger could have written tries to get out."""
    bad = FailedCase(
        case=HOSTILE,
        slot=0,
        where=Where(HOSTILE),
        messages=(Message(role="user", content=HOSTILE),),
        expected={"a": HOSTILE, "b": HOSTILE},
        answer=HOSTILE + "long " * 20_000,
        checks=(check(HOSTILE, HOSTILE), check("exact", "=cmd|' /C calc'!A0")),
    )
    missing = MissingCase(case=HOSTILE, slot=0, kind="server", message=HOSTILE)
    hurt = cell(HOSTILE, HOSTILE, HOSTILE, 3, 4, status="failed", reason=HOSTILE, errors=1, failed=(bad,), missing=(missing,))
    hurt = replace(hurt, slices=(SliceSummary(by=HOSTILE, value=HOSTILE, n=4, passed=3, lower=0.3, upper=0.95),))
    return replace(report(), cells=(hurt,), registry=HOSTILE, notes=(HOSTILE,), commit=HOSTILE, version=HOSTILE)


def empty() -> Report:
    """Nothing was answered: the provider was down."""
    down = cell("triage", "p", "m", 0, 0, status="unmeasured", reason="2 of 2 answers missing", errors=2)
    gone = tuple(MissingCase(case=name, slot=0, kind="provider_down", message="connection refused") for name in ("a", "b"))
    nothing = replace(down, missing=gone, latency_p50_s=None, latency_p95_s=None, input_tokens=None, output_tokens=None)
    return replace(report(), cells=(nothing,), exit_code=4, commit=None, notes=(), spent_usd=None)
