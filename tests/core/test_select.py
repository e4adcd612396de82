"""Selection: names by glob, and stratified samples that barely move when data grow."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import Digest
from promptreg.core.select import Entry, apportion, glob_matches, matching, order, sample, stratum
from promptreg.core.suite import Case
from promptreg.errors import UsageError, Where

NAMES = ("dates", "support/refund", "support/triage", "support/eu/triage")


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), NAMES),
        (("dates",), ("dates",)),
        (("support/*",), ("support/refund", "support/triage")),
        (("support/**",), ("support/refund", "support/triage", "support/eu/triage")),
        (("**/triage",), ("support/triage", "support/eu/triage")),
        (("**",), NAMES),
        (("*",), ("dates",)),
        (("d?tes", "support/[rx]*"), ("dates", "support/refund")),
        (("support/triage", "support/*", "support/triage"), ("support/refund", "support/triage")),
    ],
)
def test_patterns_mean_names_in_the_order_of_names(patterns: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert matching(patterns, NAMES, "prompt") == expected


def test_a_pattern_that_means_nothing_is_an_error_with_a_guess() -> None:
    where = Where("suites/a.yaml", 2, 1)
    with pytest.raises(UsageError, match=r"unknown prompt 'support/triag'; did you mean 'support/triage'\?") as caught:
        matching(["dates", "support/triag"], NAMES, "prompt", where)
    assert caught.value.where == where
    with pytest.raises(UsageError, match=r"no prompt matches 'sales/\*'") as caught:
        matching(["sales/*"], NAMES, "prompt")
    assert "dates" in (caught.value.hint or "")


def test_a_hostile_glob_is_not_slow() -> None:
    assert not glob_matches("/".join(["**"] * 300 + ["x"]), "/".join("a" * 300))
    assert not glob_matches("a*" * 40 + "b", "a" * 200)


def entries(sizes: dict[str, int]) -> list[Entry]:
    keys = [(Digest(f"sha256:{name}{index}"), name) for name, size in sizes.items() for index in range(size)]
    return [Entry(key, name, position) for position, (key, name) in enumerate(keys)]


def test_order_is_by_sha256_of_seed_and_key() -> None:
    rows = entries({"a": 20})
    by_hand = sorted(rows, key=lambda row: hashlib.sha256(b"7" + row.key.encode()).digest())
    assert order(rows, 7) == [row.position for row in by_hand]
    assert order(rows, 8) != order(rows, 7)


def test_a_sample_is_the_lowest_of_each_stratum() -> None:
    rows = entries({"big": 60, "small": 20})
    chosen = sample(rows, 8, 3)
    places = order(rows, 3)
    big = [position for position in places if rows[position].stratum == "big"][:6]
    small = [position for position in places if rows[position].stratum == "small"][:2]
    assert chosen == frozenset(big + small)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 250), st.integers())
def test_a_sample_is_within_one_of_proportional_and_ignores_order(sizes: dict[str, int], n: int, seed: int) -> None:
    rows = entries(sizes)
    chosen = sample(rows, n, seed)
    total = sum(sizes.values())
    assert len(chosen) == min(n, total)
    for name, size in sizes.items():
        taken = sum(rows[position].stratum == name for position in chosen)
        assert abs(taken - size * min(n, total) / total) < 1
    shuffled = rows.copy()
    random.Random(0).shuffle(shuffled)
    assert sample(shuffled, n, seed) == chosen


@given(st.integers(5, 60), st.integers(1, 20), st.integers(0, 10**6))
def test_adding_a_row_displaces_at_most_one(size: int, n: int, seed: int) -> None:
    rows = entries({"": size})
    grown = [*rows, Entry(Digest(f"sha256:new{seed}"), "", size)]
    assert len(sample(rows, n, seed) - sample(grown, n, seed)) <= 1


@given(st.dictionaries(st.text(max_size=2), st.integers(0, 1000), min_size=1), st.integers(0, 2000))
def test_shares_add_up_and_never_exceed_a_size(sizes: dict[str, int], n: int) -> None:
    shares = apportion(sizes, n)
    assert sum(shares.values()) == min(n, sum(sizes.values()))
    assert all(0 <= shares[name] <= sizes[name] for name in sizes)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (None, ""),
        ("tags.queue", "bug"),
        ("tags.absent", ""),
        ("inputs.n", "3"),
        ("expected.queue", "bug"),
        ("expected", '{"queue":"bug"}'),
        ("expected.queue.deeper", ""),
        ("cluster", "thread-1"),
    ],
)
def test_strata(by: str | None, expected: str) -> None:
    case = Case(id="x", inputs={"n": 3}, expected={"queue": "bug"}, tags={"queue": "bug"}, cluster="thread-1")
    assert stratum(case, by) == expected


def test_the_beginning_of_a_name_is_a_near_miss() -> None:
    with pytest.raises(UsageError, match="unknown prompt 'sum'; did you mean 'summarise/article'") as caught:
        matching(["sum"], ["greet", "summarise/article"], "prompt")
    assert caught.value.hint == "known: greet, summarise/article"
