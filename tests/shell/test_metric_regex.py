"""`regex`: a regular expression finds something in the answer."""

from __future__ import annotations

import pytest
from answers import LONG, value

from promptreg.core.protocols import Answer
from promptreg.core.run import Completion
from promptreg.core.suite import Case
from promptreg.errors import Unmeasured
from promptreg.metrics.regex import Regex


@pytest.mark.parametrize(
    ("pattern", "text", "options", "right"),
    [
        (r"\d{4}-\d\d-\d\d", "on 2024-05-17, at noon", {}, True),
        (r"\d{4}-\d\d-\d\d", "on 2024-05-17, at noon", {"full": True}, False),
        (r"\d{4}-\d\d-\d\d", " 2024-05-17\n", {"full": True}, True),
        ("yes", "YES", {}, False),
        ("yes", "YES", {"ignore_case": True}, True),
        ("(?i)yes", "YES", {}, True),
        ("^b", "a\nb", {}, False),
        ("(?m)^b", "a\nb", {}, True),
        ("^$", "", {}, True),
        ("a", "", {}, False),
        (r"\w+", "日本", {"full": True}, True),
        ("y$", "x" * LONG, {}, False),
    ],
)
def test_regex(pattern: str, text: str, options: dict[str, bool], right: bool) -> None:
    assert value(Regex(pattern=pattern, **options), text) == right


@pytest.mark.parametrize("pattern", ["", "(", "a{99999999999999999999}", "[z-a]", "(" * 5000])
def test_a_faulty_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"pattern is empty|not a regular expression"):
        Regex(pattern=pattern)


def test_a_pattern_that_would_run_for_ever_leaves_the_case_unmeasured() -> None:
    metric = Regex(pattern="(x+x+)+y")
    with pytest.raises(Unmeasured, match="took more than"):
        metric.score(Answer(completion=Completion(text="x" * 4000 + "z"), case=Case(id="c", inputs={})))
