"""When two suites measure the same, two policies judge alike, and two data sets hold the same cases."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg import documents
from promptreg.core.canonical import digest
from promptreg.core.identity import DatasetFold, checks_digest, dataset_digest, policy_digest, suite_digest
from promptreg.core.suite import Case, CheckSpec, Limit, Policy, Quarantine, Require, Slices, Suite, pair_key

SUITE = """\
description: Triage must stay right.
prompts: [triage, greet]
models: [small, big]
dataset: triage.jsonl
sample: {n: 4, seed: 7, by: tags.queue}
repeats: 2
checks:
  - exact: "{{ expected.queue }}"
  - metric: one_of
    labels: ["yes", "no"]
    threshold: 0.5
    weight: 2
    name: verdict
  - not_contains: 1.10
gate: {floor: 0.8}
"""


def suite(text: str = SUITE) -> Suite:
    return documents.suite(text.encode(), "suites/triage.yaml", "triage")


def changed(old: str, new: str) -> Suite:
    assert old in SUITE
    return suite(SUITE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Triage must stay right.", "It must."),
        ("[triage, greet]", "[greet, triage]"),
        ("[small, big]", "[big, small]"),
        ("{n: 4, seed: 7, by: tags.queue}", "{by: tags.queue, seed: 7, n: 4}"),
        ("gate: {floor: 0.8}", "gate: {floor: 0.5, margin: 0.3}\nquarantine: [{case: a, owner: o, until: 2027-01-31}]"),
        ("name: verdict", "name: another"),
        ("threshold: 0.5", "threshold: 0.50"),
        ('  - exact: "{{ expected.queue }}"\n', ""),  # and put back at the end, below
    ],
)
def test_what_changes_nothing_that_is_measured(old: str, new: str) -> None:
    other = changed(old, new)
    if not new:
        other = suite(SUITE.replace(old, "").replace("gate:", f"{old}gate:"))
    assert suite_digest(other) == suite_digest(suite())
    assert checks_digest(other.checks) == checks_digest(suite().checks)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("[triage, greet]", "[triage]"),
        ("[small, big]", "[small]"),
        ("triage.jsonl", "other.jsonl"),
        ("n: 4", "n: 5"),
        ("seed: 7", "seed: 8"),
        ("tags.queue", "tags.language"),
        ("repeats: 2", "repeats: 3"),
    ],
)
def test_what_is_measured(old: str, new: str) -> None:
    other = changed(old, new)
    assert suite_digest(other) != suite_digest(suite())
    assert checks_digest(other.checks) == checks_digest(suite().checks)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("expected.queue", "expected.other"),
        ("metric: one_of", "metric: not_one_of"),
        ('"no"]', '"never"]'),
        ("threshold: 0.5", "threshold: 0.6"),
        ("weight: 2", "weight: 3"),
        ("weight: 2", "required: false"),
        ("not_contains: 1.10", "not_contains: 1.1"),
        ("not_contains: 1.10", "contains: 1.10"),
        ("  - not_contains: 1.10\n", ""),
        ("  - not_contains: 1.10\n", "  - not_contains: 1.10\n  - not_contains: 1.10\n"),
    ],
)
def test_what_the_checks_say(old: str, new: str) -> None:
    other = changed(old, new)
    assert checks_digest(other.checks) != checks_digest(suite().checks)
    assert suite_digest(other) != suite_digest(suite())


def test_a_suite_that_moves_keeps_its_digest() -> None:
    moved = replace(suite(), name="elsewhere")
    assert suite_digest(moved) == suite_digest(suite())


OTHER = Policy(
    on="score",
    margin=0.1,
    alpha=0.1,
    mode="fixed",
    target="golden",
    anchor="none",
    undecided="block",
    floor=0.5,
    guard={"cost": Limit(amount=0.1, relative=True)},
    slices=Slices(by=("tags.queue",)),
    batch=16,
    min_cases=10,
    max_missing=0.5,
    power=0.8,
)


@pytest.mark.parametrize("name", [item.name for item in fields(Policy)])
def test_every_key_of_a_policy_counts(name: str) -> None:
    other = replace(Policy(), **{name: getattr(OTHER, name)})
    assert other != Policy(), f"{name} needs another value in OTHER"
    assert policy_digest(other) != policy_digest(Policy())


def test_no_policy_is_the_default_one_and_quarantine_counts_by_case_and_day() -> None:
    entry = Quarantine(case="a", owner="@ada", until="2027-01-31")
    later, other = replace(entry, until="2027-02-28"), replace(entry, case="b")
    assert policy_digest(None) == policy_digest(Policy())
    assert policy_digest(None, [entry]) == policy_digest(None, [replace(entry, owner="@bob", reason="wavers")])
    assert policy_digest(None, [entry, other]) == policy_digest(None, [other, entry])
    assert len({policy_digest(None, [each] if each else []) for each in (None, entry, later, other)}) == 4
    relative = Policy(guard={"cost": Limit(amount=0.02, relative=True)})
    assert policy_digest(relative) != policy_digest(Policy(guard={"cost": Limit(amount=0.02, relative=False)}))


CASE = Case(id="a", inputs={"x": 1}, expected="one", tags={"queue": "q"}, cluster="c")


@pytest.mark.parametrize(
    "other",
    [
        replace(CASE, inputs={"x": 2}),
        replace(CASE, expected="two"),
        replace(CASE, tags={"queue": "r"}),
        replace(CASE, cluster=None),
        replace(CASE, id="b"),
    ],
)
def test_what_of_a_case_counts(other: Case) -> None:
    assert dataset_digest([other]) != dataset_digest([CASE])


def test_require_does_not_count_as_no_gate_looks_at_it() -> None:
    assert dataset_digest([replace(CASE, require=Require(k=1, of=2))]) == dataset_digest([CASE])


CASES = st.lists(st.builds(Case, id=st.text(max_size=3), inputs=st.dictionaries(st.text(max_size=2), st.integers())), max_size=6)


@given(CASES, st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_count(cases: list[Case], random: object) -> None:
    shuffled = list(cases)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert dataset_digest(shuffled) == dataset_digest(cases)


@given(CASES)
def test_a_dataset_digest_is_a_digest_like_any_other(cases: list[Case]) -> None:
    rows = [digest("promptreg/row/1", [pair_key(c.inputs), c.expected, c.tags, c.cluster, c.id]) for c in cases]
    assert dataset_digest(cases) == digest("promptreg/dataset/1", sorted(rows))


@given(CASES)
def test_a_case_more_is_another_dataset(cases: list[Case]) -> None:
    fold = DatasetFold()
    for case in cases:
        fold.add(case)
    before = fold.digest()
    fold.add(CASE)
    assert before == dataset_digest(cases)
    assert fold.digest() == dataset_digest([CASE, *cases]) != before


def test_digests_are_pinned_as_records_hold_them_for_years() -> None:
    assert checks_digest([CheckSpec(metric="exact")]) == "sha256:1e10d9344dcf789b5830520936651d7aff943ab4f23b219c13d997e706abea4b"
    assert policy_digest(None) == "sha256:a66d9ac14bad8bff76eb62491aafd57746c4a3878ea3e80156fbd3eb36395d6a"
    assert dataset_digest([CASE]) == "sha256:3639ba561aec36cfd6c530670dc76f0d641ee350ce48e2e971fa68d47d8637d1"
    assert suite_digest(suite()) == "sha256:8652e805080124f38ca3c8ce104501b4a59231951a49e34d435fbc80396bb5ab"
