"""`assert_not_worse`: a gate's question in a plain test."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.verdict import Verdict
from promptreg.testing import assert_not_worse

PASSING = [True] * 170 + [False] * 30


def outcome(candidate: Any, baseline: Any, **more: Any) -> str:
    try:
        with pytest.warns() if more.get("undecided") == "warn" else _calm():
            return str(assert_not_worse(candidate, baseline, **more).verdict)
    except AssertionError as said:
        return str(said)


class _calm:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> bool:
        return False


def test_the_same_is_not_worse() -> None:
    assert assert_not_worse(PASSING, PASSING).verdict is Verdict.PASS


def test_better_is_not_worse() -> None:
    found = assert_not_worse([True] * 200, PASSING)
    assert (found.verdict, found.drop) == (Verdict.PASS, -0.15)


def test_a_drop_is_told_with_its_limits_and_cases() -> None:
    worse = [False] * 30 + PASSING[30:]
    with pytest.raises(AssertionError) as told:
        assert_not_worse(worse, PASSING)
    assert str(told.value).splitlines()[:2] == [
        "the candidate is worse than the baseline: 70.0 % against 85.0 % over 200 cases",
        "  drop    15.0 points, margin 5.0 points",
    ]
    assert "limits  at least 1" in str(told.value)
    assert "#0, #1, #2, #3, #4 and 25 more; better: 0" in str(told.value)


def test_a_drop_inside_the_margin_passes() -> None:
    worse = [False, *PASSING[1:]]
    assert assert_not_worse(worse, PASSING).verdict is Verdict.PASS
    assert outcome(worse, PASSING, margin=0.0).startswith("too little evidence")


def test_few_cases_decide_nothing_good() -> None:
    assert "no PASS from fewer than 20 cases" in outcome([True] * 5, [True] * 5)
    with pytest.warns(UserWarning, match="too little evidence"):
        assert assert_not_worse([True] * 5, [True] * 5, undecided="warn").verdict is Verdict.UNDECIDED
    assert outcome([False] * 10, [True] * 10).startswith("the candidate is worse")


def test_warning_is_for_doubt_only() -> None:
    with pytest.raises(AssertionError, match="the candidate is worse"):
        assert_not_worse([False] * 30, [True] * 30, undecided="warn")


def test_scores() -> None:
    old = [0.5 + 0.004 * n for n in range(100)]
    assert assert_not_worse(old, old).verdict is Verdict.PASS
    assert outcome([score - 0.2 for score in old], old).startswith("the candidate is worse")
    assert outcome([1, 0] * 40, [1.0, 0.0] * 40, on="passed") == "PASS"


def test_missing_answers_are_no_passes() -> None:
    assert outcome([None] * 10 + PASSING[10:], PASSING).startswith("too many answers are missing")
    assert outcome(PASSING, [None] * 10 + PASSING[10:]).startswith("too many answers are missing")


@pytest.mark.parametrize(
    ("candidate", "baseline", "more", "complaint"),
    [
        ([True] * 3, [True] * 4, {}, "3 results against 4"),
        ([], [], {}, "no cases"),
        ({}, {}, {}, "no cases"),
        ({"a": True}, [True], {}, "one side names its cases"),
        ({"a": True, "b": True}, {"a": True, "c": True}, {}, "only the baseline has c; only the candidate has b"),
        ([1.5], [0.5], {}, "case #0: 1.5 is not between 0 and 1"),
        ([float("nan")], [0.5], {}, "is not between 0 and 1"),
        (["yes"], [True], {}, "'yes' is neither a bool nor a score"),
        ([0.5], [True], {"on": "passed"}, "neither passed nor failed"),
        ([True], [True], {"margin": 5}, "margin is a share"),
        ([True], [True], {"margin": float("nan")}, "margin is a share"),
        ([True], [True], {"alpha": 0}, "alpha is a chance"),
        ([True], [True], {"undecided": "block"}, "undecided is 'fail' or 'warn'"),
    ],
)
def test_what_cannot_be_compared_is_refused(candidate: Any, baseline: Any, more: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        assert_not_worse(candidate, baseline, **more)


RESULTS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60) | st.lists(
    st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=25
)


@given(RESULTS, st.randoms(use_true_random=False))
def test_the_order_of_cases_tells_nothing(results: list[tuple[float, float]], chance: random.Random) -> None:
    named = {f"case {number}": both for number, both in enumerate(results)}
    shuffled = list(named)
    chance.shuffle(shuffled)
    in_order = outcome({name: new for name, (_, new) in named.items()}, {name: old for name, (old, _) in named.items()})
    mixed = outcome({name: named[name][1] for name in shuffled}, {name: named[name][0] for name in reversed(shuffled)})
    assert in_order == mixed


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=20, max_size=60), st.integers(0, 59))
def test_another_loss_never_makes_it_pass(results: list[tuple[bool, bool]], place: int) -> None:
    place %= len(results)
    old, new = [one for one, _ in results], [other for _, other in results]
    old[place], new[place] = True, True
    before = outcome(new, old, margin=0.2)
    new[place] = False
    after = outcome(new, old, margin=0.2)
    assert not (before != "PASS" and after == "PASS")
