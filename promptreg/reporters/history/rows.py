"""A time line as rows of texts and sentences, which every format shows alike. Knows no markup."""

from __future__ import annotations

from collections.abc import Iterator

from promptreg.core.history import Change, Measurement, Point, Timeline, moved
from promptreg.reporters.figures import NONE, percent

HEADERS = ("", "when", "for", "n", "passed", "95 % limits", "prompt", "model", "reported as")
NEWEST = 12  # points shown of each time line besides the change points and the points before them


def shown(line: Timeline) -> Iterator[Point | int]:
    """The points that are worth a row, and between them how many are left out."""
    telling = {len(line.points) - back for back in range(1, NEWEST + 1)} | {0}
    for place, point in enumerate(line.points):
        if point.change is not None and point.change.point:
            telling |= {place - 1, place}
    hidden = 0
    for place, point in enumerate(line.points):
        if place not in telling:
            hidden += 1
            continue
        if hidden:
            yield hidden
            hidden = 0
        yield point


def row(point: Point) -> tuple[str, ...]:
    """The cells of HEADERS. Versions, models and reported names are foreign text."""
    found = point.measurement
    limits = found.limits
    return (
        sign(point),
        found.header.created[:16].replace("T", " "),
        "candidate" if found.candidate else found.header.purpose,
        f"{found.n:,}" + (f" (−{found.missing:,})" if found.missing else ""),
        percent(found.rate),
        NONE if limits is None else f"{100 * limits[0]:.1f} to {100 * limits[1]:.1f}",
        f"{found.version} {found.behaviour12}".strip(),
        found.identity8,
        ", ".join(found.reported) or NONE,
    )


def sign(point: Point) -> str:
    """▼ for a drop beyond chance, ▲ for a gain."""
    change = point.change
    if change is None or not change.point or change.drop is None:
        return ""
    return "▼" if change.drop > 0 else "▲"


def figures(change: Change) -> str:
    """`−48.3 points (95 % limits −56.1 to −39.7), 70 broken, 12 fixed of 145 cases in both, p = 1.2e-11`, p as Holm adjusts it."""
    if change.drop is None or change.lower is None or change.upper is None or change.p_holm is None:
        return "no case is in both"
    limits = f"{_points(-change.upper)} to {_points(-change.lower)}"
    return (
        f"{_points(-change.drop)} points (95 % limits {limits}), {change.broken:,} broken, {change.fixed:,} fixed "
        f"of {change.shared:,} cases in both, p = {change.p_holm:.2g}"
    )


def sentences(before: Measurement, after: Measurement, change: Change) -> Iterator[str]:
    """What changed, then what moved. Holds foreign text."""
    yield figures(change)
    yield from moved(before, after, change)
    if change.unexplained:
        yield "chance is ruled out: something moved that nobody announced; promptreg canary listens for it every night"


def days(before: Measurement, after: Measurement) -> str:
    return f"{before.header.created[:10]} → {after.header.created[:10]}"


def _points(drop: float) -> str:
    return f"{100 * drop:+.1f}".replace("-", "−")
