"""A History as `promptreg/history/1`. Rates and drops are fractions, a positive drop is worse; times are ISO 8601 or seconds."""

from __future__ import annotations

from promptreg.core.canonical import Json
from promptreg.core.history import Change, History, Measurement, Timeline, moved

SCHEMA = "promptreg/history/1"


def as_json(history: History) -> dict[str, Json]:
    """The one object of `rot --since … --json`."""
    return {
        "schema": SCHEMA,
        "headline": history.headline,
        "branch": history.branch,
        "created": history.created,
        "since": history.since or None,
        "timelines": [_timeline(line) for line in history.timelines],
        "notes": list(history.notes),
    }


def _timeline(line: Timeline) -> dict[str, Json]:
    steps = {id(point): before for before, point in line.steps}
    return {
        "suite": line.suite,
        "prompt": line.prompt,
        "model": line.model,
        "points": [
            {
                **_measurement(point.measurement),
                "change": None
                if point.change is None
                else {
                    **_change(point.change),
                    "moved": list(moved(steps[id(point)], point.measurement, point.change)),
                },
            }
            for point in line.points
        ],
        "overall": None if line.overall is None else _change(line.overall),
    }


def _measurement(found: Measurement) -> dict[str, Json]:
    limits = found.limits
    return {
        "created": found.header.created,
        "purpose": found.header.purpose,
        "candidate": found.candidate,
        "n": found.n,
        "missing": found.missing,
        "pass_rate": found.rate,
        "lower": None if limits is None else limits[0],
        "upper": None if limits is None else limits[1],
        "oldest_answer": found.oldest,
        "version": found.version or None,
        "behaviour": found.header.cell.behaviour,
        "identity": found.header.cell.identity,
        "facts": dict(found.header.facts),
        "reported_models": list(found.reported),
        "checks_digest": found.header.checks_digest,
        "dataset_digests": sorted(found.datasets),
        "records": list(found.records),
    }


def _change(change: Change) -> dict[str, Json]:
    return {
        "significant": change.point,
        "causes": list(change.causes),
        "unexplained": change.unexplained,
        "shared": change.shared,
        "broken": change.broken,
        "fixed": change.fixed,
        "rejudged": change.rejudged,
        "added": change.added,
        "gone": change.gone,
        "drop": change.drop,
        "lower": change.lower,
        "upper": change.upper,
        "p": change.p,
        "p_holm": change.p_holm,
    }
