"""Hypothesis strategies for versions, for any test below."""

from __future__ import annotations

from hypothesis import strategies as st

from promptreg.core.semver import Version

NUMBERS = st.integers(0, 12)
IDENTIFIER = st.one_of(NUMBERS.map(str), st.from_regex(r"[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,3}", fullmatch=True))
DOTTED = st.lists(IDENTIFIER, max_size=3).map(".".join)
BUILDS = st.lists(st.from_regex(r"[0-9A-Za-z-]{1,3}", fullmatch=True), max_size=2).map(".".join)
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS, DOTTED, BUILDS)
FINAL = st.builds(Version, NUMBERS, NUMBERS, NUMBERS)
