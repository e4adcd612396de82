"""`exact`: the answer is the expected text."""

from __future__ import annotations

import pytest
from answers import LONG, value

from promptreg.metrics.exact import Exact


@pytest.mark.parametrize(
    ("expected", "text", "options", "right"),
    [
        ("billing", "billing", {}, True),
        ("billing", "  billing\n", {}, True),
        (" billing ", "billing", {}, True),
        ("billing", "Billing", {}, False),
        ("billing", "Billing", {"ignore_case": True}, True),
        ("straße", "STRASSE", {"ignore_case": True}, True),
        ("two words", "two\n\n  words", {}, False),
        ("two words", "two\n\n  words", {"squash_space": True}, True),
        ("billing", "billing.", {}, False),
        ("billing", "", {}, False),
        ("", "", {}, True),
        ("", " \n", {}, True),
        ("日本", "日本", {}, True),
        ("é", "e\u0301", {}, False),  # another spelling of é: exact means exact
        (42, "42", {}, True),
        (42, "42.0", {}, False),
        (0.5, "0.5", {}, True),
        (True, "true", {}, True),
        (True, "1", {}, False),
        ("billing", "x" * LONG, {}, False),
    ],
)
def test_exact(expected: object, text: str, options: dict[str, bool], right: bool) -> None:
    assert value(Exact(expected=expected, **options), text) == right


@pytest.mark.parametrize("expected", [None, ["a"], {"queue": "billing"}])
def test_an_expected_answer_that_is_no_text_is_refused(expected: object) -> None:
    with pytest.raises(ValueError, match="'expected' is"):
        Exact(expected=expected)
