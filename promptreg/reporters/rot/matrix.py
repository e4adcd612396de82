"""The matrix of a RotReport as texts: a row for each suite, prompt and reference, a column for each model; and words about cells.

Sentences hold words and numbers of our own only; each format escapes the names beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from promptreg.core.drift import Kind
from promptreg.core.rot import Content, RotCell, RotReport, Upgrade
from promptreg.core.verdict import SEVERITY, Comparison, Verdict
from promptreg.reporters.check.numbers import points
from promptreg.reporters.check.words import SIGNS, because, whys
from promptreg.reporters.figures import NONE, plural

POINT = 0.01  # by which content must differ from the answers as given to be told of
ACTIONS = {"safe": "safe to move now", "needs work": "in need of work", "undecided": "undecided", "not measured": "not measured"}
KINDS: dict[Kind, str] = {
    "mismatch": "answers that differ",
    "format": "well-formed answers",
    "wrapping": "wrapped answers (fences, quotes, JSON around a text)",
    "refusal": "refusals",
    "length": "length",
    "tokens": "tokens",
    "latency": "latency",
    "language": "answers in the usual language",
    "tools": "the usual tool calls",
}
UNITS: dict[Kind, str] = {"length": " characters", "tokens": "", "latency": " s"}


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt of one suite. `cells` follow the report's models; None where the suite does not ask that model."""

    suite: str
    prompt: str
    reference: str
    cells: tuple[RotCell | None, ...]


def rows(report: RotReport) -> list[Row]:
    """The matrix, in the order of the report."""
    found: dict[tuple[str, str, str], dict[str, RotCell]] = {}
    for cell in report.cells:
        found.setdefault((cell.suite, cell.prompt, cell.reference), {})[cell.model] = cell
    return [Row(*name, tuple(cells.get(model) for model in report.models)) for name, cells in found.items()]


def short(cell: RotCell | None) -> str:
    """`✗ 90.6→68.8`: the verdict's sign and the scores in per cent; `!` where a mean hides what broke, or answers drifted."""
    if cell is None:
        return NONE
    found = cell.comparison
    sign = SIGNS[cell.gate.verdict]
    if found is None or found.base_score is None or found.head_score is None:
        return sign
    return f"{sign} {100 * found.base_score:.1f}→{100 * found.head_score:.1f}" + (" !" if cell.hidden or cell.alarms else "")


def worst_first(report: RotReport) -> list[RotCell]:
    """Cells of which there is something to say."""
    telling = [cell for cell in report.cells if cell.gate.verdict is not Verdict.PASS or cell.hidden or cell.alarms]
    return sorted(telling, key=lambda cell: -SEVERITY[cell.gate.verdict])


def sentences(cell: RotCell) -> Iterator[str]:
    """What a prompt engineer should know of a cell, most important first."""
    yield from _verdict(cell)
    yield from _content(cell)
    if cell.hidden and cell.comparison is not None:
        yield f"better in the mean, and yet {plural(cell.comparison.broken, 'case')} broke"
    yield from (f"{name} {said}" for name, said in drifts(cell, only_alarms=True))
    ratios = (("cost", cell.cost_ratio), ("latency", cell.latency_ratio), ("tokens", cell.tokens_ratio))
    told = {each.kind for each in cell.alarms}
    if said := [f"{name} ×{_ratio(ratio)}" for name, ratio in ratios if ratio is not None and name not in told]:
        yield ", ".join(said)


def _verdict(cell: RotCell) -> Iterator[str]:
    found = cell.comparison
    if found is None or found.still:
        yield "both names stand for the same model: no answer can differ"
        return
    if found.drop is None or found.verdict is Verdict.UNMEASURED:
        yield because(cell.gate.reason or found.reason or "missing_answers")
        return
    yield _moved(found)
    if cell.gate.verdict is Verdict.PASS and found.note:
        yield found.note
    if found.verdict is Verdict.UNDECIDED:
        needed = f": it needs about {found.needed:,} more cases" if found.needed else ""
        yield f"too little evidence that it is safe, and that it is not{needed}"
    yield from whys(replace(cell.gate, comparisons=(), reason=None))


def _moved(found: Comparison) -> str:
    drop, limits, said = found.drop or 0.0, "", "no change in the mean"
    if drop:
        said = f"a drop of {points(drop)} points" if drop > 0 else f"a gain of {points(-drop)} points"
    if found.lower is not None and found.upper is not None:
        least, most = (found.lower, found.upper) if drop >= 0 else (-found.upper, -found.lower)
        limits = f" (between {points(least)} and {points(most)})"
    missing = f", {found.missing:,} missing" if found.missing else ""
    counts = f"{plural(found.broken, 'case')} broken, {found.fixed:,} fixed, of {found.n:,}{missing}"
    return f"{scores(found)}: {said}{limits}; {counts}"


def _content(cell: RotCell) -> Iterator[str]:
    content = cell.content
    if content is None or content.comparison.drop is None or cell.comparison is None:
        return
    if cell.format_only:
        yield _format(content)
    elif abs(content.comparison.drop - (cell.comparison.drop or 0.0)) >= POINT:
        yield f"unwrapped {scores(content.comparison)}"


def _format(content: Content) -> str:
    told = scores(content.comparison)
    if content.comparison.verdict is Verdict.PASS:
        return f"the wrapping changed, not the content: unwrapped {told}"
    return f"the wrapping changed; of the content no drop is shown: unwrapped {told}"


def drifts(cell: RotCell, *, only_alarms: bool = False) -> Iterator[tuple[str, str]]:
    """Each kind of drift: its name and what was found of it."""
    for result in cell.drift:
        if only_alarms and not result.alarm:
            continue
        name = KINDS[result.kind]
        if result.ratio is not None:
            unit = UNITS[result.kind]
            yield name, f"×{_ratio(result.ratio)} (median {_size(result.base)} → {_size(result.head)}{unit})"
        elif result.kind != "mismatch":
            yield name, f"{_percent(result.base)} → {_percent(result.head)}"
        elif result.base is None:
            yield name, _percent(result.head)
        else:
            yield name, f"{_percent(result.head)}, repeats {_percent(result.base)}"


def money(upgrade: Upgrade) -> str:
    """What the move saves or costs a month."""
    if upgrade.requests is None:
        return ""
    if upgrade.saves_usd is None:
        return "nobody can say what the move saves: give both models a `price` in promptreg.yaml"
    spread = f", spread evenly over {plural(upgrade.prompts, 'prompt')}" if upgrade.prompts > 1 else ""
    unknown = upgrade.prompts - upgrade.priced
    without = f" (without {plural(unknown, 'prompt')} whose cost is not known)" if unknown else ""
    told = f"at {upgrade.requests:,} requests a month{spread}, the move {_saves(upgrade.saves_usd)} a month{without}"
    if upgrade.safe < upgrade.prompts and upgrade.safe_saves_usd is not None:
        told += f"; moving only what is safe now {_saves(upgrade.safe_saves_usd)}"
    return told


def _saves(usd: float) -> str:
    return f"{'saves' if usd >= 0 else 'costs'} ${abs(usd):,.2f}"


def broken_cases(cell: RotCell, most: int) -> Sequence[str]:
    """Ids of broken cases. Foreign texts."""
    found = cell.comparison
    return [change.case for change in found.cases_broken[:most]] if found is not None else []


def scores(found: Comparison) -> str:
    """`83.6 % → 35.2 %`."""
    return f"{_percent(found.base_score)} → {_percent(found.head_score)}"


def _percent(share: float | None) -> str:
    return NONE if share is None else f"{100 * share:.1f} %"


def _ratio(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _size(value: float | None) -> str:
    return NONE if value is None else f"{value:.3g}" if value < 10 else f"{value:,.0f}"
