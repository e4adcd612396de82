"""History: what the records of one suite × prompt × model say, oldest first, and where it changed. Values in, values out.

History ── Timeline      one suite × prompt × alias
             ├ Point        a Measurement, and its Change since the point before
             └ overall      the Change from the first point to the last: steps too small to be seen alone may add up

A change is tested on the cases that are in both measurements (by their inputs), two-sided: mid-p McNemar, with repeats the
sign-flip permutation test; Holm's procedure runs over the time line. What *moved* there is read from digests, never guessed: the
prompt, the model, the model reported behind an unchanged identity, the checks, the data. An answer that is the same on both sides
and judged otherwise is counted apart: no prompt and no model did that.

What a check measured of a change that nobody merged is shown and left out of the chain (`candidate`). Knows neither Git nor clocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise, takewhile
from typing import Literal, TypeAlias

from promptreg.core.canonical import Digest, Json
from promptreg.core.records import Header, Purpose, Record
from promptreg.core.records.places import short
from promptreg.core.run import BASELINE
from promptreg.core.stats import Interval, pass_interval
from promptreg.core.stats.families import holm
from promptreg.core.stats.paired import mcnemar_midp, tango_lower, tango_upper
from promptreg.core.stats.resampling import lower_limit, sign_flip, upper_limit

ALPHA = 0.05  # of the whole time line, both directions together
# prompt, model, checks: another digest. served: another name was reported behind one identity. data: the same inputs, other rows.
# cases: other inputs, because data came or went, or because only some cases were measured.
Cause: TypeAlias = Literal["prompt", "model", "served", "checks", "data", "cases"]


@dataclass(frozen=True, slots=True)
class Told:
    """One answer: whether it passed (None: it is missing), which text it was, and when it was given (seconds since the epoch)."""

    passed: bool | None
    content: Digest | None = None
    observed_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one command measured of one cell: one record, or several that complete one another on the same day.

    `answers` are by (pair key, slot). `version` is the release that behaves so, empty without one.
    """

    header: Header  # of the newest record
    records: tuple[str, ...]
    datasets: frozenset[Digest]
    answers: Mapping[tuple[Digest, int], Told] = field(repr=False)
    version: str = ""
    candidate: bool = False

    @property
    def units(self) -> dict[Digest, tuple[int, int]]:
        """For each case (answers passed, answers graded)."""
        found: dict[Digest, tuple[int, int]] = {}
        for (pair, _), told in self.answers.items():
            if told.passed is not None:
                passed, n = found.get(pair, (0, 0))
                found[pair] = passed + told.passed, n + 1
        return found

    @property
    def n(self) -> int:
        """Answers graded."""
        return sum(told.passed is not None for told in self.answers.values())

    @property
    def missing(self) -> int:
        return len(self.answers) - self.n

    @property
    def rate(self) -> float | None:
        return sum(bool(told.passed) for told in self.answers.values()) / self.n if self.n else None

    @property
    def limits(self) -> Interval | None:
        """Two-sided 95 %; repeats of a case are one unit."""
        return pass_interval(list(self.units.values())) if self.n else None

    @property
    def oldest(self) -> float | None:
        """When the oldest of its answers was given: "last tested" counts from there."""
        return min((told.observed_at for told in self.answers.values() if told.observed_at is not None), default=None)

    @property
    def reported(self) -> tuple[str, ...]:
        return self.header.reported_models

    @property
    def name(self) -> str:
        """The model as its identity has it, without the alias."""
        facts: Mapping[str, Json] = self.header.facts
        return " ".join(str(facts[key]) for key in ("provider", "model") if key in facts)

    @property
    def behaviour12(self) -> str:
        return short(self.header.cell.behaviour, 12)

    @property
    def identity8(self) -> str:
        return short(self.header.cell.identity, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From one measurement to another. Drops are positive when worse; `lower` and `upper` are the two-sided 95 % limits.

    `shared` cases are in both, of which `broken` got worse and `fixed` better; `rejudged` of these gave the same answers as before.
    `p` is None where no case is shared, `p_holm` is adjusted over the time line.
    """

    causes: tuple[Cause, ...]
    shared: int = 0
    broken: int = 0
    fixed: int = 0
    rejudged: int = 0
    added: int = 0
    gone: int = 0
    drop: float | None = None
    lower: float | None = None
    upper: float | None = None
    p: float | None = None
    p_holm: float | None = None

    @property
    def point(self) -> bool:
        """Whether something changed here, beyond what chance does."""
        return self.p_holm is not None and self.p_holm <= ALPHA

    @property
    def unexplained(self) -> bool:
        """A change while nothing that is recorded moved, but for which cases were asked."""
        return self.point and not set(self.causes) - {"cases"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """`change` is the one since the point before; None for the first and for candidates' own."""

    measurement: Measurement
    change: Change | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    suite: str
    prompt: str
    model: str
    points: tuple[Point, ...]
    overall: Change | None = None

    @property
    def changes(self) -> tuple[tuple[Measurement, Point], ...]:
        """The change points, each with the measurement before it."""
        return tuple(each for each in self.steps if each[1].change is not None and each[1].change.point)

    @property
    def steps(self) -> Iterator[tuple[Measurement, Point]]:
        """Each point that has a change, with the measurement before it."""
        before: Measurement | None = None
        for point in self.points:
            if before is not None and point.change is not None:
                yield before, point
            if not point.measurement.candidate:
                before = point.measurement

    @property
    def ends(self) -> tuple[Measurement, Measurement] | None:
        """The first and the last measurement of the chain."""
        chain = [point.measurement for point in self.points if not point.measurement.candidate]
        return (chain[0], chain[-1]) if len(chain) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Every time line, as of `created`, of records made from `since` on (both ISO 8601; *since* is empty for all)."""

    timelines: tuple[Timeline, ...]
    branch: str
    created: str
    since: str = ""
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """`3 time lines, 41 measurements, 2 changes`."""
        measured = sum(len(line.points) for line in self.timelines)
        changed = sum(len(line.changes) for line in self.timelines)
        parts = ((len(self.timelines), "time line"), (measured, "measurement"), (changed, "change"))
        return ", ".join(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in parts)


# from records -----------------------------------------------------------------------------------------------------------------


def measurement(identifier: str, record: Record) -> Measurement:
    """*record*, without its texts."""
    answers: dict[tuple[Digest, int], Told] = {}
    for answer in record.answers:
        done = answer.completion
        content = answer.content
        if content is None and done is not None:
            content = done.content_digest()
        answers[answer.pair, answer.slot] = Told(answer.passed, content, None if done is None else done.observed_at)
    dataset = record.header.dataset_digest
    return Measurement(header=record.header, records=(identifier,), datasets=frozenset([dataset]), answers=answers)


def timelines(found: Iterable[Measurement], versions: Mapping[tuple[str, Digest], str]) -> tuple[Timeline, ...]:
    """One time line for each suite × prompt × alias, sorted by these names.

    *versions* names the behaviours that are or were in use, by (prompt, behaviour): a release's version, "" for the working copy.
    """
    cells: dict[tuple[str, str, str], list[Measurement]] = {}
    for each in found:
        cell = each.header.cell
        cells.setdefault((cell.suite, cell.prompt, cell.alias), []).append(each)
    return tuple(_timeline(key, members, versions) for key, members in sorted(cells.items()))


def _timeline(key: tuple[str, str, str], found: list[Measurement], versions: Mapping[tuple[str, Digest], str]) -> Timeline:
    suite, prompt, model = key
    merged = joined(sorted(found, key=lambda each: (each.header.created, each.oldest or 0.0, each.records)))
    used = {behaviour for name, behaviour in versions if name == prompt} | {
        each.header.cell.behaviour for each in merged if _in_use(each)
    }
    told = [
        replace(
            each,
            version=versions.get((prompt, each.header.cell.behaviour), ""),
            candidate=each.header.cell.behaviour not in used,
        )
        for each in merged
    ]
    chain = [each for each in told if not each.candidate]
    changes = [change(before, after) for before, after in pairwise(chain)]
    overall = [change(chain[0], chain[-1])] if len(chain) > 2 else []
    adjusted = _adjusted([*changes, *overall])
    following = iter([None, *adjusted[: len(changes)]])
    points = tuple(Point(measurement=each, change=None if each.candidate else next(following)) for each in told)
    return Timeline(suite=suite, prompt=prompt, model=model, points=points, overall=adjusted[-1] if overall else None)


def _in_use(found: Measurement) -> bool:
    """Whether the behaviour was once more than what a check was asked about: it was run, or others were held against it."""
    return found.header.purpose != "check" or any(slot >= BASELINE for _, slot in found.answers)


def joined(found: Sequence[Measurement]) -> list[Measurement]:
    """*found*, oldest first, with those in one that have the same facts on the same day and no answer in common."""
    out: list[Measurement] = []
    for each in found:
        today = takewhile(lambda place: out[place].header.created[:10] == each.header.created[:10], range(len(out) - 1, -1, -1))  # noqa: B023
        same = next((place for place in today if _facts(out[place]) == _facts(each)), None)
        if same is None or out[same].answers.keys() & each.answers.keys():
            out.append(each)
            continue
        old = out[same]
        out[same] = replace(
            old,
            header=each.header,
            records=old.records + each.records,
            datasets=old.datasets | each.datasets,
            answers={**old.answers, **each.answers},
        )
    return out


def _facts(found: Measurement) -> tuple[object, ...]:
    header = found.header
    purpose: Purpose = header.purpose
    day = header.created[:10]
    return day, purpose, header.cell, header.reported_models, header.checks_digest


# changes ----------------------------------------------------------------------------------------------------------------------


def change(before: Measurement, after: Measurement) -> Change:
    """What changed from *before* to *after*; `p` is not adjusted yet."""
    old, new = before.units, after.units
    shared = [pair for pair in old if pair in new]
    drops = {pair: old[pair][0] / old[pair][1] - new[pair][0] / new[pair][1] for pair in shared}
    moved = [pair for pair, drop in drops.items() if drop]
    texts = (_texts(before, moved), _texts(after, moved))
    found = Change(
        causes=causes(before, after),
        shared=len(shared),
        broken=sum(drop > 0 for drop in drops.values()),
        fixed=sum(drop < 0 for drop in drops.values()),
        rejudged=sum(bool(texts[0][pair]) and texts[0][pair] == texts[1][pair] for pair in moved),
        added=len(new) - len(shared),
        gone=len(old) - len(shared),
    )
    single = all(old[pair][1] == new[pair][1] == 1 for pair in shared)
    return _tested(found, list(drops.values()), single=single) if shared else found


def _tested(found: Change, drops: list[float], *, single: bool) -> Change:
    drop, n = sum(drops) / len(drops), len(drops)
    if single:
        broken, fixed = found.broken, found.fixed
        p = _two_sided(mcnemar_midp(broken, fixed), mcnemar_midp(fixed, broken))
        limits = tango_lower(broken, fixed, n, ALPHA / 2), tango_upper(broken, fixed, n, ALPHA / 2)
    else:
        clusters = [(each, 1) for each in drops]
        p = _two_sided(sign_flip(clusters, "history"), sign_flip([(-each, 1) for each in drops], "history"))
        limits = lower_limit(clusters, ALPHA / 2, "history"), upper_limit(clusters, ALPHA / 2, "history")
    return replace(found, drop=drop, lower=limits[0], upper=limits[1], p=p)


def _two_sided(worse: float, better: float) -> float:
    return min(1.0, 2 * min(worse, better))


def _texts(found: Measurement, pairs: Iterable[Digest]) -> dict[Digest, frozenset[Digest]]:
    """The answers to each of *pairs*; empty where one of them is not known."""
    texts: dict[Digest, set[Digest | None]] = {pair: set() for pair in pairs}
    for (pair, _), told in found.answers.items():
        if pair in texts and told.passed is not None:
            texts[pair].add(told.content)
    return {pair: frozenset() if None in every else frozenset(text for text in every if text) for pair, every in texts.items()}


def causes(before: Measurement, after: Measurement) -> tuple[Cause, ...]:
    """What is recorded to have moved."""
    one, other = before.header, after.header
    found: list[Cause] = []
    if one.cell.behaviour != other.cell.behaviour:
        found.append("prompt")
    if one.cell.identity != other.cell.identity:
        found.append("model")
    elif before.reported and after.reported and set(before.reported) != set(after.reported):
        found.append("served")
    if one.checks_digest != other.checks_digest:
        found.append("checks")
    inputs = ({pair for pair, _ in each.answers} for each in (before, after))
    if len(set(map(frozenset, inputs))) > 1:
        found.append("cases")
    elif before.datasets != after.datasets and len(before.datasets) == len(after.datasets) == 1:
        found.append("data")
    return tuple(found)


def _adjusted(changes: Sequence[Change]) -> list[Change]:
    tested = [each.p for each in changes if each.p is not None]
    adjusted = iter(holm(tested))
    return [replace(each, p_holm=next(adjusted)) if each.p is not None else each for each in changes]


# words ------------------------------------------------------------------------------------------------------------------------


def moved(before: Measurement, after: Measurement, found: Change) -> tuple[str, ...]:
    """What moved, one phrase for each cause; the strongest statement first."""
    said = [_said(cause, before, after, found) for cause in found.causes if cause != "cases"]
    if found.rejudged:
        both = found.broken + found.fixed
        said.append(f"{found.rejudged:,} of {both:,} changed cases gave the same answer, which was judged otherwise")
    if not said:
        said.append("nothing that is recorded moved")
    if "cases" in found.causes:
        said.append(_said("cases", before, after, found))
    return tuple(said)


def _said(cause: Cause, before: Measurement, after: Measurement, found: Change) -> str:
    match cause:
        case "prompt":
            return f"the prompt changed: {prompt_name(before)} → {prompt_name(after)}"
        case "model":
            return f"the model changed: {before.name} ({before.identity8}) → {after.name} ({after.identity8})"
        case "served":
            names = f"{', '.join(before.reported)} → {', '.join(after.reported)}"
            return f"the model behind an unchanged name changed: it reported {names}"
        case "checks":
            return "the checks changed"
        case "data":
            return "the data changed: the same inputs, other rows"
        case "cases":
            return f"{found.added:,} cases are only after, {found.gone:,} only before; they take no part in the comparison"


def prompt_name(found: Measurement) -> str:
    """The version, or the beginning of the behaviour digest."""
    return found.version or found.behaviour12
