"""The history of one cell: what is one measurement, where it changed, and what moved there."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import Digest, digest_bytes
from promptreg.core.history import ALPHA, Change, Measurement, Timeline, causes, change, joined, measurement, moved, timelines
from promptreg.core.records import Cell, Header, Record, Recorded
from promptreg.core.run import BASELINE, CallKey, Completion
from promptreg.core.stats.paired import mcnemar_midp
from promptreg.core.suite import pair_key


def of(text: str) -> Digest:
    return digest_bytes(text.encode())


CELL = Cell(suite="s", prompt="p", behaviour=of("one"), alias="big", identity=of("model"))
HEADER = Header(
    cell=CELL,
    facts={"provider": "openai", "model": "big-1"},
    suite_digest=of("suite"),
    dataset_digest=of("data"),
    checks_digest=of("checks"),
    reported_models=("big-1-a",),
    version="0",
    author="Ada",
    created="2026-05-01T00:00:00Z",
)


def made(passes: Mapping[int, Any], *, slot: int = 0, text: str = "", behaviour: str = "one", **changes: Any) -> Measurement:
    """One record: whether each case passed; a list is of repeats. Answers say whether they passed, unless *text* says otherwise."""
    answers = [
        Recorded(
            case=f"c{case}",
            pair=pair_key({"x": case}),
            slot=slot + number,
            call=CallKey(of(f"call {case}")),
            completion=None if passed is None else Completion(text=text or f"{passed}", observed_at=1000.0 + case),
            passed=passed,
        )
        for case, found in passes.items()
        for number, passed in enumerate(found if isinstance(found, list) else [found])
    ]
    header = replace(HEADER, cell=replace(CELL, behaviour=of(behaviour)), **changes)
    return measurement(header.created, Record(header=header, answers=tuple(answers)))


def day(number: int) -> str:
    return f"2026-05-{number:02d}T00:00:00Z"


def line(*found: Measurement, versions: Mapping[tuple[str, Digest], str] | None = None) -> Timeline:
    (only,) = timelines(found, versions or {})
    return only


def test_a_measurement_counts_what_is_known() -> None:
    found = made({0: True, 1: False, 2: None, 3: [True, False]})
    assert (found.n, found.missing, found.rate, found.oldest) == (4, 1, 0.5, 1000.0)
    lower, upper = found.limits or (1, 0)
    assert 0 <= lower < 0.5 < upper <= 1
    nothing = made({0: None})
    assert (nothing.n, nothing.rate, nothing.limits, nothing.oldest) == (0, None, None, None)


counts = st.integers(0, 30)


@given(counts, counts, counts)
def test_a_change_is_mcnemars_two_sided_and_mirrors(broken: int, fixed: int, same: int) -> None:
    before = {n: n < broken or n >= broken + fixed for n in range(broken + fixed + same)}
    after = {n: n >= broken for n in range(broken + fixed + same)}
    found, back = change(made(before), made(after)), change(made(after), made(before))
    assert (found.broken, found.fixed, found.shared) == (broken, fixed, len(before)) == (back.fixed, back.broken, back.shared)
    if before:
        assert found.p == back.p == min(1.0, 2 * mcnemar_midp(max(broken, fixed), min(broken, fixed)))
        assert found.drop == pytest.approx((broken - fixed) / len(before))
        assert (found.lower, found.upper) == pytest.approx((-(back.upper or 0), -(back.lower or 0)))
        assert (found.lower or 0) - 1e-9 <= (found.drop or 0) <= (found.upper or 0) + 1e-9
    else:
        assert (found.p, found.drop) == (None, None)


def test_repeats_are_one_case() -> None:
    before = made({n: [True] * 5 for n in range(12)}, slot=BASELINE)
    after = made({n: [True, False] for n in range(12)})
    found = change(before, after)
    assert (found.shared, found.broken, found.drop) == (12, 12, 0.5)
    assert found.p == pytest.approx(2 / 2**12)


def test_only_cases_in_both_are_compared() -> None:
    found = change(made({0: True, 1: True}), made({1: True, 2: False, 3: False}))
    assert (found.shared, found.added, found.gone, found.drop, found.causes) == (1, 2, 1, 0.0, ("cases",))
    nothing = change(made({0: True}), made({1: False}))
    assert (nothing.shared, nothing.p, nothing.point) == (0, None, False)


@pytest.mark.parametrize(
    ("changes", "cause", "said"),
    [
        ({"behaviour": "two"}, "prompt", "the prompt changed"),
        ({"reported_models": ("big-1-b",)}, "served", "it reported big-1-a → big-1-b"),
        ({"checks_digest": of("stricter")}, "checks", "the checks changed"),
        ({"dataset_digest": of("other rows")}, "data", "the same inputs, other rows"),
    ],
)
def test_what_moved_is_read_from_digests(changes: dict[str, Any], cause: str, said: str) -> None:
    before, after = made({0: True}), made({0: True}, **changes)
    assert causes(before, after) == (cause,)
    assert said in moved(before, after, change(before, after))[0]


def test_another_identity_is_another_model_whatever_it_reports() -> None:
    before = made({0: True})
    header = replace(before.header, cell=replace(CELL, identity=of("other")), facts={"model": "big-2"}, reported_models=("z",))
    after = replace(before, header=header)
    assert causes(before, after) == ("model",)
    assert "the model changed: openai big-1" in moved(before, after, change(before, after))[0]


def test_who_reports_nothing_tells_nothing() -> None:
    assert causes(made({0: True}), made({0: True}, reported_models=())) == ()


def test_the_same_answers_judged_otherwise_are_told_apart() -> None:
    before = made(dict.fromkeys(range(8), True), text="billing")
    same, other = made(dict.fromkeys(range(8), False), text="billing"), made(dict.fromkeys(range(8), False), text="no")
    assert (change(before, same).rejudged, change(before, other).rejudged) == (8, 0)
    (first, *_) = moved(before, same, change(before, same))
    assert first == "8 of 8 changed cases gave the same answer, which was judged otherwise"
    assert moved(before, other, change(before, other)) == ("nothing that is recorded moved",)


def test_records_that_complete_one_another_are_one_measurement() -> None:
    parts = [made({0: True}), made({1: False}), made({0: False}, slot=1)]
    (whole,) = joined(parts)
    assert (whole.n, len(whole.records)) == (3, 3)
    assert len(joined([*parts, made({0: False})])) == 2, "an answer that is there twice is another measurement"
    for other in ({"created": day(2)}, {"purpose": "check"}, {"behaviour": "two"}, {"reported_models": ("x",)}):
        assert len(joined([made({0: True}), made({1: True}, **other)])) == 2  # type: ignore[arg-type]


def test_a_candidate_is_shown_and_left_out_of_the_chain() -> None:
    good, bad = dict.fromkeys(range(20), True), dict.fromkeys(range(20), False)
    found = line(
        made(good, created=day(1)),
        made(bad, created=day(2), purpose="check", behaviour="two"),
        made(good, created=day(3)),
    )
    assert [point.measurement.candidate for point in found.points] == [False, True, False]
    assert [point.change is None for point in found.points] == [True, True, False]
    assert not found.changes
    assert found.overall is None
    released = line(
        made(good, created=day(1)),
        made(bad, created=day(2), purpose="check", behaviour="two"),
        versions={("p", of("two")): "1.0.0"},
    )
    assert released.points[1].measurement.version == "1.0.0"
    assert [(before.header.created, point.measurement.header.created) for before, point in released.changes] == [(day(1), day(2))]


def test_small_steps_add_up_over_the_whole_line() -> None:
    steps = [made({n: n >= 4 * number for n in range(40)}, created=day(number + 1)) for number in range(4)]
    found = line(*steps)
    assert not found.changes
    assert found.overall is not None
    assert found.overall.point
    assert found.ends == (found.points[0].measurement, found.points[-1].measurement)


def test_timelines_are_sorted_and_apart() -> None:
    other = made({0: True})
    other = replace(other, header=replace(other.header, cell=replace(CELL, alias="a")))
    assert [found.model for found in timelines([made({0: True}), other], {})] == ["a", "big"]
    assert timelines([], {}) == ()


def test_a_line_without_any_change_rarely_shows_one() -> None:
    """Ten nights of a flaky prompt, many times: the promised share of lines with a false change point."""
    chance, lines = random.Random(7), 200
    false = 0
    for _ in range(lines):
        flaky = {n: chance.choice((0.0, 0.05, 0.5, 0.95, 1.0)) for n in range(30)}
        nights = [made({n: chance.random() < rate for n, rate in flaky.items()}, created=day(1 + night)) for night in range(10)]
        found = line(*nights)
        false += bool(found.changes) or (found.overall is not None and found.overall.point)
    assert false <= lines * ALPHA + 3 * (lines * ALPHA * (1 - ALPHA)) ** 0.5


def test_a_change_that_nobody_tested_is_no_point() -> None:
    assert not Change(causes=()).point
    assert not Change(causes=(), p=0.001).point, "it was not adjusted"
