"""One fixed report in every format, as it was last read by a person; `pytest --refresh-golden` rewrites the files."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import samples

from promptreg.core.protocols import Reporter
from promptreg.reporters.html import Html
from promptreg.reporters.json import Json
from promptreg.reporters.junit import JUnit
from promptreg.reporters.markdown import Markdown
from promptreg.reporters.terminal import Terminal

REPORTERS: dict[str, Reporter] = {
    "run.txt": Terminal(width=132),
    "run-narrow.txt": Terminal(width=72),
    "run-colour.txt": Terminal(width=132, colour=True),
    "run.md": Markdown(),
    "run.html": Html(),
    "run.json": Json(),
    "run.xml": JUnit(),
}


@pytest.mark.parametrize("name", REPORTERS)
def test_reports_are_as_they_were(name: str, golden: Callable[[str, str], None]) -> None:
    golden(name, REPORTERS[name].render(samples.report()))
