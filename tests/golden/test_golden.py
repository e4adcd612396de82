"""Fixed reports in every format, as they were last read by a person; `pytest --refresh-golden` rewrites the files."""

from __future__ import annotations

from collections.abc import Callable

import checked
import pytest
import rotted
import samples

from promptreg.core.protocols import CheckReporter, Reporter, RotReporter
from promptreg.reporters.check.annotations import annotate
from promptreg.reporters.html import Html
from promptreg.reporters.json import Json
from promptreg.reporters.junit import JUnit
from promptreg.reporters.markdown import Markdown
from promptreg.reporters.sarif import Sarif
from promptreg.reporters.terminal import Terminal

REPORTERS: dict[str, Reporter] = {
    "run.txt": Terminal(width=132),
    "run-narrow.txt": Terminal(width=72),
    "run-colour.txt": Terminal(width=132, colour=True),
    "run.md": Markdown(),
    "run.html": Html(),
    "run.json": Json(),
    "run.xml": JUnit(),
    "run.sarif": Sarif(),
}
CHECKED: dict[str, CheckReporter] = {
    ".txt": Terminal(width=132),
    ".md": Markdown(),
    ".html": Html(),
    ".json": Json(),
    ".xml": JUnit(),
    ".sarif": Sarif(),
}
ROTTED: dict[str, RotReporter] = {".txt": Terminal(width=132), ".md": Markdown(), ".html": Html(), ".json": Json()}
ROTTED_OTHERWISE: dict[str, RotReporter] = {
    "rot-matrix-narrow.txt": Terminal(width=60),
    "rot-matrix-colour.txt": Terminal(width=132, colour=True),
}
SPECIAL: dict[str, CheckReporter] = {
    "check-fail-narrow.txt": Terminal(width=72),
    "check-fail-colour.txt": Terminal(width=132, colour=True),
    "check-fail-explain.txt": Terminal(width=132, explain=True),
    "check-fail-summary.md": Markdown(compact=True),
}


@pytest.mark.parametrize("name", REPORTERS)
def test_reports_are_as_they_were(name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, REPORTERS[name].render(samples.report()))


@pytest.mark.parametrize("suffix", CHECKED)
@pytest.mark.parametrize("report", checked.REPORTS)
def test_checks_are_told_as_they_were(report: str, suffix: str, golden: Callable[[str, str], None]) -> None:
    golden(f"check-{report}{suffix}", CHECKED[suffix].render_check(checked.REPORTS[report]()))


@pytest.mark.parametrize("name", SPECIAL)
def test_a_failed_check_is_told_in_other_shapes_as_it_was(name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, SPECIAL[name].render_check(checked.failing()))


@pytest.mark.parametrize("report", checked.REPORTS)
def test_annotations_are_as_they_were(report: str, golden: Callable[[str, str], None]) -> None:
    golden(f"check-{report}-annotations.txt", annotate(checked.REPORTS[report]()))


@pytest.mark.parametrize("suffix", ROTTED)
@pytest.mark.parametrize("report", rotted.REPORTS)
def test_a_matrix_is_told_as_it_was(report: str, suffix: str, golden: Callable[[str, str], None]) -> None:
    golden(f"rot-{report}{suffix}", ROTTED[suffix].render_rot(rotted.REPORTS[report]()))


@pytest.mark.parametrize("name", ROTTED_OTHERWISE)
def test_a_matrix_is_told_in_other_shapes_as_it_was(name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, ROTTED_OTHERWISE[name].render_rot(rotted.report()))
