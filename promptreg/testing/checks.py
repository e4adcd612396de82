"""Samples of what a check says, for tests of reporters: whole values, of which a test names the fields it is about."""

from __future__ import annotations

from dataclasses import replace

from promptreg.core.diff import word_diff
from promptreg.core.verdict import CaseChange, CheckReport, Comparison, Finding, GateReport, Side, Verdict, worst
from promptreg.errors import ExitCode, Where


def sample_case(case: str = "t-007", base: str = "billing", head: str = "bug", **fields: object) -> CaseChange:
    """A case whose answer went from *base* to *head*."""
    whole = CaseChange(
        case=case,
        where=Where("suites/triage.jsonl", 7),
        base_answer=base,
        head_answer=head,
        expected=base,
        reason=f"exact: expected '{base}', got '{head}'",
        diff=word_diff(base, head),
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


def sample_comparison(verdict: Verdict = Verdict.PASS, **fields: object) -> Comparison:
    """A comparison with the merge base over 300 cases, without a difference unless *fields* say one."""
    whole = Comparison(
        kind="base",
        revision="1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b",
        suite_from="base",
        policy_from="base",
        prompt="support/triage",
        model="small",
        verdict=verdict,
        n=300,
        units=300,
        planned=300,
        base_score=0.9,
        head_score=0.9,
        drop=0.0,
        lower=-0.021,
        upper=0.021,
        limit_kind="tango",
        discordance=0.02,
        broken=3,
        fixed=3,
        p_harm=0.66,
        p_fixed=0.66,
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


def sample_gate(*comparisons: Comparison, **fields: object) -> GateReport:
    """A gate of *comparisons* (one that PASSes, if none is given), with their gravest verdict."""
    compared = comparisons or (sample_comparison(),)
    whole = GateReport(
        suite="triage",
        prompt=compared[0].prompt,
        model=compared[0].model,
        verdict=worst(comparison.verdict for comparison in compared),
        mode="hybrid",
        margin=0.05,
        alpha=0.05,
        changed=("template",),
        reason=compared[0].reason,
        comparisons=compared,
        mde=0.048,
        needed=compared[0].needed,
        expected_calls=300,
        calls_made=300,
        calls_saved=300,
        cost_usd=0.0123,
        where=Where("prompts/support/triage.yaml", 3),
    )
    return replace(whole, **fields)  # type: ignore[arg-type]


def sample_check(*gates: GateReport, findings: tuple[Finding, ...] = (), **fields: object) -> CheckReport:
    """A check of *gates* and *findings*, with their gravest verdict and its exit code."""
    verdict = worst([*(gate.verdict for gate in gates), *(finding.verdict for finding in findings)])
    codes = {Verdict.FAIL: ExitCode.REGRESSION, Verdict.UNMEASURED: ExitCode.UNMEASURED}
    whole = CheckReport(
        verdict=verdict,
        exit_code=codes.get(verdict, ExitCode.OK),
        base=Side(revision="origin/main", commit="1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b"),
        head=Side(revision="HEAD", commit="4f2c9d1e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d"),
        created="2024-05-17T12:00:00Z",
        version="0.1.0",
        registry="acme/prompts",
        gates=gates,
        findings=findings,
        duration_s=83.4,
        calls_made=sum(gate.calls_made for gate in gates),
        calls_known=60,
        calls_saved=sum(gate.calls_saved for gate in gates),
        cost_usd=0.0412,
    )
    return replace(whole, **fields)  # type: ignore[arg-type]
