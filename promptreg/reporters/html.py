"""A Report as one HTML file: no script, no request, a strict content security policy; readable in the dark, on paper, by ear.

Markup stands in *.html.jinja, looks in *.css; what they draw is computed here, and in check/html.py for checks. Jinja escapes
every value, and hidden characters are made visible before.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from promptreg.core.diff import Piece
from promptreg.core.excerpt import cut, one_line, visible
from promptreg.core.report import Cell, FailedCase, Report
from promptreg.core.rot import RotReport
from promptreg.core.verdict import CheckReport
from promptreg.reporters import figures
from promptreg.reporters.check.masking import masked

NAME = 200  # characters
TEXT = 4_000
PLOT = 200  # width of the plot in SVG units: two for each percent
INSET = 6  # room for a dot at either end
TICKS = (0, 25, 50, 75, 100)


@dataclass(frozen=True, slots=True)
class Html:
    """For people; attach it to a build or send it by mail."""

    name: ClassVar[str] = "html"
    suffix: ClassVar[str] = ".html"

    def render(self, report: Report) -> str:
        return _page(
            "report",
            report=report,
            suites=list(figures.suites(report)),
            sliced=[(cell, list(figures.slices(cell))) for cell in report.cells if cell.slices],
            unfolded=next((cell for cell in figures.troubled(report.cells) if cell.status != "ok"), None),
            status=report.status,
            plot=plot,
            at=_at,
            excerpts=_diff,
            ticks=TICKS,
            width=PLOT + 2 * INSET,
        )

    def render_check(self, report: CheckReport, secrets: Sequence[str] = ()) -> str:
        from promptreg.reporters.check.html import values

        return _page("check", **values(masked(report, secrets)))

    def render_rot(self, report: RotReport) -> str:
        from promptreg.reporters.rot.html import values

        return _page("rot", **values(report))


def _page(kind: str, **values: object) -> str:
    """A page of *kind* (its template and, if it needs one beside the report's, its style), with *values* to draw."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    css = "".join((folder / f"{name}.css").read_text("utf-8") for name in dict.fromkeys(("report", kind)))
    environment = Environment(
        loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(name=_name, text=_text)
    page = environment.get_template(f"{kind}.html.jinja").render(
        figures=figures,
        css=Markup(css),  # noqa: S704  our own file, and the policy names its digest
        style_digest=_digest(css),
        **values,
    )
    return page.rstrip() + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Where a cell's dot, its interval and its floor stand, in SVG units; and what they say aloud."""

    dot: float
    lower: float
    upper: float
    floor: float | None
    label: str


def plot(cell: Cell) -> Plot | None:
    """None where nothing was measured."""
    if cell.pass_rate is None or cell.lower is None or cell.upper is None:
        return None
    floor = cell.floor if cell.floor_on == "passed" else None
    label = f"pass rate {figures.percent(cell.pass_rate)}, 95 % interval {figures.interval(cell)} %"
    if floor is not None:
        label += f", floor {figures.percent(floor)}"
    return Plot(
        dot=_at(100 * cell.pass_rate),
        lower=_at(100 * cell.lower),
        upper=_at(100 * cell.upper),
        floor=None if floor is None else _at(100 * floor),
        label=label,
    )


def _at(percent: float) -> float:
    return round(INSET + PLOT * percent / 100, 2)


def _diff(case: FailedCase) -> Iterator[Piece]:
    return iter(figures.answer_diff(case, TEXT))


def _name(text: str) -> str:
    return one_line(text, NAME)


def _text(text: str) -> str:
    return cut(visible(text), TEXT)


def _digest(css: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(css.encode()).digest()).decode()
