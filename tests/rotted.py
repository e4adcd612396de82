"""Rot reports that several test files share: a matrix with every kind of cell, an upgrade, and one whose every text is hostile."""

from __future__ import annotations

from dataclasses import replace

import samples

from promptreg.core.drift import DriftResult
from promptreg.core.rot import Content, RotCell, RotReport, upgrade
from promptreg.core.verdict import Comparison, GuardResult, Verdict
from promptreg.errors import ExitCode
from promptreg.testing import sample_case, sample_comparison, sample_gate

LENGTH = DriftResult(kind="length", n=300, base=638.0, head=4.0, ratio=0.0078, p=0.0002, alarm=True)
MISMATCH = DriftResult(kind="mismatch", n=300, head=0.62, note="no repeats to hold it against: reported, not alarmed")
WRAPPING = DriftResult(kind="wrapping", n=300, base=0.0, head=0.88, p=1e-9, alarm=True)
TOKENS = DriftResult(kind="tokens", n=300, base=88.0, head=80.0, ratio=0.91, p=0.2)


def cell(model: str, comparison: Comparison, *, suite: str = "triage", prompt: str = "support/triage", **fields: object) -> RotCell:
    gate_fields = {name: fields.pop(name) for name in ("guards", "reason", "needed") if name in fields}
    gate = sample_gate(
        replace(comparison, model=model, prompt=prompt), suite=suite, mode="fixed", changed=("model",), **gate_fields
    )
    whole = RotCell(suite=suite, prompt=prompt, model=model, reference="big-3", gate=gate)
    return replace(whole, **fields)  # type: ignore[arg-type]


def worse() -> RotCell:
    broken = (sample_case(), sample_case("t-031", "bug", "The queue is: other."))
    found = sample_comparison(
        Verdict.FAIL,
        base_score=0.836,
        head_score=0.352,
        drop=0.484,
        lower=0.439,
        upper=0.527,
        broken=151,
        fixed=6,
        p_harm=1e-12,
        p_fixed=1e-12,
        cases_broken=broken,
    )
    return cell("big-4", found, drift=(MISMATCH, LENGTH, TOKENS), cost_usd=0.0004, reference_cost_usd=0.001, latency_ratio=0.31)


def rewrapped() -> RotCell:
    given = sample_comparison(
        Verdict.FAIL, base_score=0.52, head_score=0.1, drop=0.42, lower=0.28, upper=0.55, n=50, broken=23, fixed=2, p_harm=1e-5
    )
    content = replace(given, verdict=Verdict.PASS, head_score=0.7, drop=-0.18, broken=2, fixed=11, p_harm=0.99)
    told = Content(comparison=content, wrapped=(0.0, 0.82), wrapping=0.6, p=0.0002)
    return cell("big-4", given, suite="code", prompt="code/solve", content=told, drift=(WRAPPING,))


def safe() -> RotCell:
    return cell("small-2", sample_comparison(), tokens_ratio=1.02, cost_usd=0.0001, reference_cost_usd=0.001, retires="2027-01-14")


def hidden() -> RotCell:
    gained = sample_comparison(
        base_score=0.496, head_score=0.762, drop=-0.266, lower=-0.31, upper=-0.22, broken=46, fixed=126, n=300
    )
    return cell("small-2", gained, suite="code", prompt="code/solve")


def undecided() -> RotCell:
    doubt = sample_comparison(
        Verdict.UNDECIDED, base_score=0.9, head_score=0.87, drop=0.03, lower=-0.02, upper=0.08, n=60, broken=4, fixed=2, needed=240
    )
    return cell("big-4", doubt, suite="dates", prompt="extract/date", needed=240)


def unmeasured() -> RotCell:
    gone = sample_comparison(
        Verdict.UNMEASURED,
        base_score=None,
        head_score=None,
        drop=None,
        lower=None,
        upper=None,
        n=300,
        missing=300,
        reason="provider_down",
    )
    return cell("small-2", gone, suite="dates", prompt="extract/date", reason="provider_down")


def report(*cells: RotCell) -> RotReport:
    found = cells or (worse(), safe(), rewrapped(), hidden(), undecided(), unmeasured())
    return RotReport(
        cells=found,
        models=tuple(dict.fromkeys(each.model for each in found)),
        created="2024-05-17T12:00:00Z",
        version="0.1.0",
        registry="acme/prompts",
        commit="4f2c9d1e8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d",
        dirty=False,
        notes=("some records keep no whole answers: these are asked for again",),
        duration_s=83.4,
        calls_made=1417,
        calls_known=60,
        cost_usd=1.0412,
        exit_code=ExitCode.REGRESSION,
    )


def moved() -> RotReport:
    """The decision view of one move."""
    dear = GuardResult(guard="cost", limit="+10%", base=0.001, head=0.0012, increase=0.2, p=0.001, verdict=Verdict.FAIL)
    guarded = cell("big-4", sample_comparison(), suite="tone", prompt="tone/german", guards=(dear,))
    guarded = replace(guarded, gate=replace(guarded.gate, verdict=Verdict.FAIL))
    fine = cell("big-4", sample_comparison(), suite="faq", prompt="faq/answer", cost_usd=0.0002, reference_cost_usd=0.001)
    cells = (fine, worse(), guarded, undecided())
    return replace(report(*cells), upgrade=upgrade(cells, "big-3", "big-4", 100_000))


def hostile() -> RotReport:
    bad = samples.HOSTILE
    case = sample_case(bad, bad, bad, reason=bad)
    found = sample_comparison(
        Verdict.FAIL, broken=1, drop=0.5, base_score=1.0, head_score=0.5, note=bad, revision=bad, cases_broken=(case,)
    )
    one = cell(bad, found, suite=bad, prompt=bad, retires=bad, drift=(replace(MISMATCH, note=bad), LENGTH))
    one = replace(one, reference=bad, gate=replace(one.gate, note=bad))
    whole = replace(report(one), registry=bad, version=bad, commit=bad, notes=(bad,), created=bad)
    return replace(whole, upgrade=upgrade((one,), bad, bad, 10))


REPORTS = {"matrix": report, "upgrade": moved, "hostile": hostile}
