"""Check reports that several test files share: one for each way a check can end, and one whose every text is hostile."""

from __future__ import annotations

from dataclasses import replace

import samples

from promptreg.core.diff import Piece, word_diff
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
    Unaffected,
    Verdict,
)
from promptreg.errors import ExitCode, Where
from promptreg.testing import sample_case, sample_check, sample_comparison, sample_gate

SECRET = "sk-proj-4uX+9/Zq==\\n"
QUIET = (
    Unaffected(suite="dates", why="nothing it asks, checks or demands changed", gates=2),
    Unaffected(suite="tone/german", why="its prompts have new comments only", gates=1),
)


def passing() -> CheckReport:
    """All PASS: one gate by many cases, one that stopped early."""
    early = sample_comparison(
        n=120,
        units=120,
        planned=400,
        limit_kind="e-process",
        lower=-0.03,
        upper=0.04,
        e_pass=24.5,
        e_fail=0.4,
        p_fixed=1.0,
        p_harm=1.0,
    )
    return sample_check(
        sample_gate(),
        sample_gate(replace(early, model="big", gained=True), calls_made=120, calls_saved=280, changed=("partial", "params")),
        unaffected=QUIET,
    )


def failed_gate() -> GateReport:
    told = "The queue is: other. The customer reports a button that does nothing since the update."
    broken = (
        sample_case(),
        sample_case("t-031", "bug", told, where=Where("suites/triage.jsonl", 31)),
        sample_case("t-044", "other", "bug", flaky=True, drop=0.6),
        sample_case("t-050", "", "", expected="bug", reason="exact: its text was not kept", diff=()),
    )
    base = sample_comparison(
        Verdict.FAIL,
        base_score=0.92,
        head_score=0.858,
        drop=0.062,
        lower=0.021,
        upper=0.103,
        broken=24,
        fixed=5,
        p_harm=0.0006,
        p_fixed=0.0006,
        discordance=0.097,
        noise=0.02,
        repeats_base=5,
        missing=2,
        excluded=4,
        unchanged=40,
        e_fail=61.2,
        e_pass=0.01,
        cases_broken=broken,
        cases_fixed=(sample_case("t-102", "bug", "billing", expected="billing", reason="", drop=-1.0),),
    )
    anchor = replace(
        base,
        kind="anchor",
        revision="1.4.0",
        verdict=Verdict.UNDECIDED,
        drop=0.03,
        lower=-0.012,
        upper=0.07,
        p_harm=0.18,
        needed=240,
    )
    judged_twice = replace(base, suite_from="head", policy_from="head", cases_broken=broken[:2], note="8 cases exist only in head")
    return sample_gate(
        base,
        judged_twice,
        anchor,
        changed=("template", "data"),
        floor=FloorResult(floor=0.9, on="passed", score=0.858, lower=0.82, upper=0.889, verdict=Verdict.FAIL, n=300),
        guards=(
            GuardResult(guard="cost", limit="+10%", base=0.0021, head=0.0029, increase=0.381, p=0.0001, verdict=Verdict.FAIL),
            GuardResult(guard="refusal", limit="+2pt", base=0.01, head=0.02, increase=0.01, p=0.71, verdict=Verdict.PASS),
            GuardResult(
                guard="latency_p95",
                limit="+25%",
                base=None,
                head=0.412,
                increase=None,
                p=None,
                verdict=Verdict.PASS,
                note="not compared: base was not called in this check",
            ),
        ),
        slices=(
            SliceResult(
                by="tags.queue",
                value="billing",
                n=90,
                base_score=0.95,
                head_score=0.80,
                drop=0.15,
                p=0.0009,
                mde=0.09,
                verdict=Verdict.FAIL,
                blocks=True,
            ),
            SliceResult(
                by="tags.queue",
                value="bug",
                n=210,
                base_score=0.91,
                head_score=0.88,
                drop=0.03,
                p=0.4,
                mde=None,
                verdict=Verdict.PASS,
            ),
        ),
        quarantined=(sample_case("t-199", "other", "bug", quarantined=True),),
        note="the suite's cases and the prompt changed together",
    )


def undecided_gate() -> GateReport:
    doubt = sample_comparison(
        Verdict.UNDECIDED,
        prompt="support/reply",
        base_score=0.88,
        head_score=0.85,
        drop=0.03,
        lower=-0.01,
        upper=0.07,
        broken=6,
        fixed=2,
        n=130,
        units=100,
        planned=100,
        limit_kind="t+bootstrap",
        needed=240,
        discordance=0.08,
    )
    return sample_gate(doubt, suite="replies", where=Where("prompts/support/reply.yaml", 12))


def unmeasured_gate() -> GateReport:
    nothing = Comparison(
        kind="base",
        revision="1a2b3c4d",
        suite_from="base",
        policy_from="base",
        prompt="extract/dates",
        model="big",
        verdict=Verdict.UNMEASURED,
        planned=120,
        reason="provider_down",
        note="HTTP 503 after 5 tries",
    )
    return sample_gate(
        nothing, suite="dates", where=Where("prompts/extract/dates.yaml"), mde=None, calls_made=0, calls_saved=0, cost_usd=None
    )


def failing() -> CheckReport:
    """FAIL with everything: all verdicts, both references, floor, guards, slices, findings, notes."""
    return sample_check(
        sample_gate(),
        undecided_gate(),
        failed_gate(),
        unmeasured_gate(),
        findings=findings(),
        unaffected=QUIET,
        notes=("the anchor of support/new is absent: it has no release yet", "model big retires on 2027-01-14"),
        head=Side(revision="working tree", commit="4f2c9d1e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d", dirty=True),
    )


def findings() -> tuple[Finding, ...]:
    return (
        Finding(
            verdict=Verdict.UNMEASURED,
            message="no suite covers support/new",
            reason="no_suite",
            where=Where("prompts/support/new.yaml", 1),
            hint="write suites/new.yaml, or set uncovered: warn",
            prompt="support/new",
        ),
        Finding(
            verdict=Verdict.UNMEASURED,
            message="the endpoint of model big changed",
            reason="untrusted_change",
            where=Where("promptreg.yaml", 8, 3, "models.big.base_url"),
        ),
    )


def undecided() -> CheckReport:
    return sample_check(sample_gate(), undecided_gate())


def unmeasured() -> CheckReport:
    return sample_check(unmeasured_gate(), findings=findings())


def nothing() -> CheckReport:
    return sample_check(unaffected=QUIET, calls_known=0, cost_usd=0.0, duration_s=0.42)


def accepted() -> CheckReport:
    """A FAIL and a finding that somebody takes responsibility for."""
    reason = "shorter answers are wanted, see the ticket"
    found = replace(findings()[0], accepted=reason)
    return sample_check(replace(failed_gate(), accepted=reason), findings=(found,), accepted=True, exit_code=ExitCode.OK)


def hostile() -> CheckReport:
    """Everything a stranger could have written tries to get out."""
    bad = samples.HOSTILE
    long = bad + "long " * 20_000
    case = CaseChange(
        case=bad,
        where=Where(bad),
        base_answer=bad,
        head_answer=long,
        expected=bad,
        reason=bad,
        diff=(*word_diff(bad, long), Piece("gone", bad), Piece("new", "-}[-")),
        flaky=False,
    )
    comparison = sample_comparison(
        Verdict.FAIL,
        revision=bad,
        prompt=bad,
        model=bad,
        note=bad,
        broken=2,
        fixed=1,
        cases_broken=(case, replace(case, case="::warning::x", flaky=True)),
        cases_fixed=(case,),
    )
    gate = sample_gate(
        comparison,
        suite=bad,
        note=bad,
        accepted=bad,
        where=Where(bad, 3),
        quarantined=(replace(case, quarantined=True),),
        floor=FloorResult(floor=0.9, on="score", score=0.5, lower=0.4, upper=0.6, verdict=Verdict.FAIL, n=4, note=bad),
        guards=(GuardResult(guard="cost", limit=bad, base=1, head=2, increase=1, p=0.1, verdict=Verdict.UNDECIDED, note=bad),),
        slices=(SliceResult(by=bad, value=bad, n=4, base_score=1, head_score=0, drop=1, p=0.01, mde=0.5, verdict=Verdict.FAIL),),
    )
    finding = Finding(verdict=Verdict.FAIL, message=bad, where=Where(bad, 2, 3, bad), hint=bad, prompt=bad, accepted=bad)
    return sample_check(
        gate,
        replace(gate, accepted="", verdict=Verdict.UNMEASURED, where=None),
        findings=(finding, replace(finding, accepted="", verdict=Verdict.UNMEASURED)),
        unaffected=(Unaffected(suite=bad, why=bad, gates=1),),
        notes=(bad,),
        base=Side(revision=bad, commit=bad),
        head=Side(revision=bad, commit=None, dirty=True),
        version=bad,
        registry=bad,
        accepted=True,
    )


REPORTS = {
    "pass": passing,
    "fail": failing,
    "undecided": undecided,
    "unmeasured": unmeasured,
    "nothing": nothing,
    "accepted": accepted,
    "hostile": hostile,
}
