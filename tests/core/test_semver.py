"""SemVer 2.0's order and npm's ranges."""

from __future__ import annotations

import pytest
from hypothesis import given
from versions import FINAL, VERSIONS

from promptreg.core.semver import LONGEST, Version, parse_range, parse_version
from promptreg.errors import UsageError


@given(VERSIONS)
def test_a_version_is_what_it_writes(version: Version) -> None:
    assert parse_version(str(version)) == version


@given(VERSIONS, VERSIONS, VERSIONS)
def test_the_order_is_total(one: Version, two: Version, three: Version) -> None:
    assert (one < two) + (one == two) + (one > two) == 1
    if one <= two <= three:
        assert one <= three


def test_precedence_is_semvers_own_example() -> None:
    written = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1"]
    written += ["1.0.0", "1.0.0+1", "1.0.0+build", "1.0.1", "1.2.0", "1.10.0", "2.0.0"]
    versions = [parse_version(text) for text in written]
    mixed = versions[::2] + versions[1::2]
    assert sorted(mixed) == versions
    assert versions[7].precedence == versions[8].precedence == versions[9].precedence


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("1.4", "did you mean '1.4.0'?"),
        ("v1.4.0", "did you mean '1.4.0'?"),
        ("01.2.3", "did you mean '1.2.3'?"),
        ("1.2.3-01", "MAJOR.MINOR.PATCH"),
        ("1.2.3-", "MAJOR.MINOR.PATCH"),
        ("1.2.3+", "MAJOR.MINOR.PATCH"),
        ("1.2.3-a..b", "MAJOR.MINOR.PATCH"),
        ("1.2.3\n", "MAJOR.MINOR.PATCH"),
        ("١.٢.٣", "MAJOR.MINOR.PATCH"),
        ("1.2.3.4", "MAJOR.MINOR.PATCH"),
        ("", "MAJOR.MINOR.PATCH"),
        ("9" * 6000 + ".0.0", "MAJOR.MINOR.PATCH"),
        ("1.0.0-" + "a" * LONGEST, "MAJOR.MINOR.PATCH"),
    ],
)
def test_no_versions(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match="is not a version") as caught:
        parse_version(text)
    if not text.endswith("\n"):
        assert hint in (caught.value.hint or "")
    assert len(str(caught.value)) < 120


RANGES = [  # text, versions inside, versions outside
    ("^1.2.3", "1.2.3 1.2.4 1.9.0", "1.2.2 2.0.0 2.0.0-rc.1 1.3.0-rc.1"),
    ("^0.2.3", "0.2.3 0.2.9", "0.2.2 0.3.0 1.0.0"),
    ("^0.0.3", "0.0.3", "0.0.2 0.0.4 0.1.0"),
    ("^0.0", "0.0.0 0.0.9", "0.1.0"),
    ("^0", "0.0.0 0.9.9", "1.0.0"),
    ("^0.x", "0.0.0 0.9.9", "1.0.0"),
    ("^1.4", "1.4.0 1.99.0", "1.3.9 2.0.0"),
    ("^v1.4", "1.4.0", "2.0.0"),
    ("^*", "0.0.0 9.9.9", "1.0.0-a"),
    ("^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-rc 1.2.3 1.9.9", "1.2.3-beta.1 1.2.4-beta.3 2.0.0-0"),
    ("~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0 1.3.0-0"),
    ("~1.2", "1.2.0 1.2.9", "1.3.0"),
    ("~1", "1.0.0 1.9.9", "2.0.0 0.9.9"),
    ("~> 1.2", "1.2.7", "1.3.0"),
    ("~0", "0.9.0", "1.0.0"),
    ("~1.2.3-rc.1", "1.2.3-rc.1 1.2.3", "1.2.4-rc.2 1.3.0"),
    ("1", "1.0.0 1.9.9", "2.0.0 0.9.0 2.0.0-0"),
    ("1.x", "1.0.0 1.9.9", "2.0.0"),
    ("1.2.*", "1.2.0 1.2.9", "1.3.0"),
    ("1.x.x", "1.0.0 1.9.9", "2.0.0"),
    ("v1.2", "1.2.0", "1.3.0"),
    ("*", "0.0.0 5.0.0", "1.0.0-rc.1"),
    ("X", "0.0.0 5.0.0", "1.0.0-rc.1"),
    (">1", "2.0.0", "1.9.9 1.0.0 2.0.0-rc.1"),
    (">1.2", "1.3.0", "1.2.9"),
    (">1.2.3", "1.2.4 2.0.0", "1.2.3 1.2.4-rc.1"),
    (">1.2.3-a", "1.2.3-b 1.2.3 1.2.4", "1.2.3-a 1.2.4-b"),
    (">=1.2", "1.2.0", "1.1.9"),
    ("<1.2", "1.1.9", "1.2.0 1.2.0-rc.1"),
    ("<1.2.3", "1.2.2", "1.2.3 1.2.3-rc.1"),
    ("<=1.2", "1.2.9", "1.3.0"),
    ("<=1", "1.9.9", "2.0.0"),
    ("<=1.2.3", "1.2.3 1.2.3+build", "1.2.4"),
    (">*", "", "0.0.0 1.0.0"),
    ("<x", "", "0.0.0 1.0.0"),
    (">=*", "0.0.0", "1.0.0-rc"),
    ("=1.2.3", "1.2.3 1.2.3+b", "1.2.4 1.2.3-rc"),
    ("= v1.2.3", "1.2.3", "1.2.4"),
    ("=1.2", "1.2.7", "1.3.0"),
    (">=1,<2", "1.0.0 1.9.9", "2.0.0"),
    (">=1, <2", "1.0.0 1.9.9", "2.0.0"),
    (">=1 <2", "1.0.0 1.9.9", "2.0.0"),
    (">= 1.0.0 < 1.5.0", "1.4.9", "1.5.0"),
    ("1.2 - 2.3.4", "1.2.0 2.3.4", "2.3.5 1.1.9"),
    ("1.2.3 - 2.3", "1.2.3 2.3.9", "2.4.0 2.4.0-0 1.2.2"),
    ("1.2.3 - 2", "2.9.9", "3.0.0"),
    ("* - 2", "0.0.0 2.9.9", "3.0.0"),
    ("1 - *", "1.0.0 9.0.0", "0.9.0"),
    ("1.2.3-a - 1.2.4", "1.2.3-b 1.2.3 1.2.4", "1.2.4-a"),
    ("^1.2 || ^3", "1.2.0 3.4.5", "2.0.0 1.1.0"),
    ("1.0.0||2.0.0", "1.0.0 2.0.0", "1.0.1"),
    ("<1.0.0 || >=2.0.0-rc.1", "0.9.0 2.0.0-rc.2 2.0.0", "1.0.0 2.0.1-rc.1"),
    ("1.2.3+build.5", "1.2.3 1.2.3+other", "1.2.4"),
]


@pytest.mark.parametrize(("text", "inside", "outside"), RANGES, ids=[text for text, *_ in RANGES])
def test_ranges(text: str, inside: str, outside: str) -> None:
    found = parse_range(text)
    assert str(found) == text
    assert [version for version in inside.split() if parse_version(version) not in found] == []
    assert [version for version in outside.split() if parse_version(version) in found] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "^",
        "1.2.3.4",
        ">=",
        "1 ||",
        "|| 1",
        "1,,2",
        ",1",
        "1,",
        "1.2.x-a",
        "^1 ",
        " ^1",
        "x-y",
        "1.x.3",
        "^x.1",
        "1 -2.0",
        "٣",
        "01",
    ],
)
def test_no_ranges(text: str) -> None:
    with pytest.raises(UsageError, match="is not a range of versions"):
        parse_range(text)


def test_long_ranges_are_refused_at_once() -> None:
    for text in (" " * 100_000, ">" * 100_000, "1 " * 100_000, "^" + "9" * 5000, "1 - " * 5000):
        with pytest.raises(UsageError, match="is not a range"):
            parse_range(text)


@given(FINAL, FINAL)
def test_caret_keeps_the_leftmost_number_that_counts(base: Version, version: Version) -> None:
    place = next((place for place, number in enumerate(base.triple) if number), 2)
    expected = version >= base and version.triple[: place + 1] == base.triple[: place + 1]
    assert (version in parse_range(f"^{base}")) == expected


@given(FINAL, FINAL)
def test_tilde_keeps_the_minor(base: Version, version: Version) -> None:
    assert (version in parse_range(f"~{base}")) == (version >= base and version.triple[:2] == base.triple[:2])


@given(VERSIONS, VERSIONS, VERSIONS)
def test_a_prerelease_is_in_only_if_its_triple_is_named_so(low: Version, high: Version, version: Version) -> None:
    if version in parse_range(f">={low} <={high}"):
        assert low.precedence <= version.precedence <= high.precedence
        assert not version.prerelease or any(bound.prerelease and bound.triple == version.triple for bound in (low, high))
