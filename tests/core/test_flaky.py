"""What repeats tell of a baseline, against tables, laws and simulated data whose truth is known."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.flaky import (
    Baseline,
    BaselineTally,
    Components,
    Repeats,
    as_json,
    components,
    discordance,
    flaky_anywhere,
    quarantine_line,
    watched,
)
from promptreg.core.prompt import Message
from promptreg.core.run import BASELINE, Call, Completion, Failure, ModelIdentity, Outcome
from promptreg.core.suite import Case, Quarantine

MODEL = ModelIdentity(facts={"provider": "fake", "model": "m"})
ENTRY = Quarantine(case="c", owner="@ada", until="2026-12-31")
values = st.floats(0, 1, allow_nan=False)


def outcome(case: str, slot: int, text: str | None = "yes", passed: bool | None = True, **answer: object) -> Outcome:
    """One repeat; without a text it has no answer, without a verdict nobody could judge it."""
    call = Call(model=MODEL, messages=(Message(role="user", content=case),), slot=BASELINE + slot)
    known = None if text is None else Completion(text=text, **answer)  # type: ignore[arg-type]
    judged = passed if text is not None else None
    return Outcome(
        prompt="p",
        model="m",
        case=Case(id=case, inputs={"q": case}),
        call=call,
        completion=known,
        failure=Failure(kind="timeout", message="") if judged is None else None,
        passed=judged,
        score=None if judged is None else float(judged),
    )


def told(*outcomes: Outcome) -> Baseline:
    tally = BaselineTally("s", "p", "m")
    for each in outcomes:
        tally.add(each)
    return tally.baseline()


def cell(**cases: str) -> Baseline:
    """`cell(a="10")`: case a passed, then failed."""
    found = (Repeats(case=name, passes=tuple(mark == "1" for mark in marks)) for name, marks in cases.items())
    return Baseline(suite="s", prompt="p", model="m", cases=tuple(found))


# discordance ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("repeats", "expected"),
    [
        ([], None),
        ([[True]], None),
        ([[True], [False]], None),
        ([[True, True], [False, False]], 0.0),
        ([[True, False]], 1.0),
        ([[True, False, True]], 2 / 3),
        ([[True, False], [True, True]], 0.5),
        ([[True, False], [True]], 1.0),
        ([[True, True, True, False, False], [True] * 5], 0.3),
        ([[0.2, 0.8]], 0.36),
    ],
)
def test_discordance(repeats: Sequence[Sequence[float]], expected: float | None) -> None:
    assert discordance(repeats) == (None if expected is None else pytest.approx(expected, abs=1e-12))


@given(st.lists(st.lists(values, min_size=2, max_size=6), min_size=1, max_size=6))
def test_discordance_is_the_mean_squared_difference_over_all_pairs(repeats: list[list[float]]) -> None:
    by_pairs = []
    for case in repeats:
        pairs = list(itertools.combinations(case, 2))
        by_pairs.append(sum((one - other) ** 2 for one, other in pairs) / len(pairs))
    assert discordance(repeats) == pytest.approx(sum(by_pairs) / len(by_pairs), abs=1e-9)


@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=6), max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_repeats_and_cases_and_their_direction_change_nothing(
    repeats: list[list[bool]], chance: random.Random
) -> None:
    shuffled = [chance.sample(case, len(case)) for case in chance.sample(repeats, len(repeats))]
    mirrored = [[not passed for passed in case] for case in repeats]
    assert discordance(shuffled) == pytest.approx(discordance(repeats))
    assert discordance(mirrored) == pytest.approx(discordance(repeats))


@pytest.mark.parametrize("k", [2, 5, 9])
def test_discordance_has_no_bias_whatever_the_number_of_repeats(k: int) -> None:
    chance, rate, cases = random.Random(k), 0.8, 20_000
    found = discordance([[chance.random() < rate for _ in range(k)] for _ in range(cases)])
    assert found == pytest.approx(2 * rate * (1 - rate), abs=4 * (0.5 / cases) ** 0.5)


# components -------------------------------------------------------------------------------------------------------------------


def test_components_of_a_table_done_by_hand() -> None:
    found = components([[[1.0, 3.0], [5.0, 7.0]], [[2.0, 2.0], [4.0, 4.0]]])
    # within: 2 + 2 + 0 + 0 over 8 - 4; between: 2·(2² + 2²) + 2·(1 + 1) = 20 over 4 - 2; n0 = 2
    assert found == Components(judge=1.0, answer=4.5, cases=2, answers=4, judgements=8)
    assert found.judge_share == pytest.approx(1 / 5.5)


@pytest.mark.parametrize(
    ("cases", "judge", "answer"),
    [
        ([], None, None),
        ([[[1.0]]], None, None),
        ([[[1.0], [0.0]]], None, None),  # each judged once: nobody can tell
        ([[[1.0, 0.0]]], 0.5, None),  # one answer to each case
        ([[[1.0, 0.0], [0.0, 1.0]]], 0.5, 0.0),  # less between than within: no variance is below 0
        ([[[1.0, 1.0], [0.0, 0.0]]], 0.0, 0.5),
        ([[[], [1.0, 1.0], [0.0, 0.0]], [[]]], 0.0, 0.5),  # what has no judgement takes no part
    ],
)
def test_components_say_what_the_data_can_tell(cases: list[list[list[float]]], judge: float | None, answer: float | None) -> None:
    found = components(cases)
    assert (found.judge, found.answer) == (
        None if judge is None else pytest.approx(judge),
        None if answer is None else pytest.approx(answer),
    )
    assert found.judge_share is None or 0 <= found.judge_share <= 1


@pytest.mark.parametrize(("judge", "answer"), [(0.3, 0.0), (0.0, 0.3), (0.1, 0.4), (0.4, 0.1)])
@pytest.mark.parametrize("balanced", [True, False])
def test_components_find_what_was_put_in(judge: float, answer: float, balanced: bool) -> None:
    chance = random.Random(f"{judge}/{answer}/{balanced}")
    cases = []
    for _ in range(1500):
        centre = chance.gauss(0, 5)  # cases differ a lot, and that is neither's doing
        answers = [centre + chance.gauss(0, answer) for _ in range(4 if balanced else chance.choice((1, 2, 5)))]
        cases.append([[mean + chance.gauss(0, judge) for _ in range(3 if balanced else chance.choice((1, 3)))] for mean in answers])
    found = components(cases)
    assert found.judge == pytest.approx(judge**2, abs=0.012)
    assert found.answer == pytest.approx(answer**2, abs=0.012)


@given(st.lists(st.lists(st.lists(values, min_size=2, max_size=3), min_size=2, max_size=3), min_size=1, max_size=4), values)
def test_components_do_not_see_where_a_case_lies(cases: list[list[list[float]]], shift: float) -> None:
    moved = [[[value + shift * (number + 1) for value in answer] for answer in case] for number, case in enumerate(cases)]
    one, other = components(cases), components(moved)
    assert other.judge == pytest.approx(one.judge, abs=1e-9)
    assert other.answer == pytest.approx(one.answer, abs=1e-9)


# the fold ---------------------------------------------------------------------------------------------------------------------


def test_a_baseline_counts_what_a_check_can_use() -> None:
    found = told(
        *(outcome("a", slot) for slot in range(3)),
        outcome("b", 0),
        outcome("b", 1, None),
        outcome("b", 2, passed=False),
        outcome("c", 0, passed=None),
    )
    a, b, c = found.cases
    assert (a.usable, a.answers, a.missing) == (3, 3, 0)
    assert (b.usable, b.answers, b.missing, b.passed, len(b.passes)) == (1, 2, 1, 1, 2), "a gap ends what a check can use"
    assert (c.usable, c.answers, c.missing, c.passes) == (1, 1, 1, ()), "an answer that no judge has judged is an answer"
    assert (found.least, found.most, found.answers, found.missing) == (1, 3, 6, 2)
    assert [each.case for each in found.flaky] == ["b"]


def test_a_case_without_an_answer_has_none() -> None:
    tally = BaselineTally("s", "p", "m")
    tally.untouched("a", None)
    tally.untouched("b", None)
    tally.add(outcome("b", 0, observed_at=5.0, reported_model="m-1"))
    found = tally.baseline()
    assert [each.usable for each in found.cases] == [0, 1]
    assert (found.least, found.oldest, found.newest, found.reported_models) == (0, 5.0, 5.0, ("m-1",))
    assert not found.identical
    assert BaselineTally("s", "p", "m").baseline().least == 0


@pytest.mark.parametrize(
    ("texts", "identical"),
    [(("x", "x", "x"), True), (("x", "y", "x"), False), (("x",), False), ((), False), (("\ud800", "\ud800"), True)],
)
def test_identical_needs_two_repeats_that_say_the_same(texts: Sequence[str], identical: bool) -> None:
    found = told(*(outcome("a", slot, text) for slot, text in enumerate(texts)))
    assert found.identical is identical


def test_flaky_cases_come_with_the_most_undecided_first() -> None:
    found = cell(always="11111", never="00000", once="10", seldom="10000", half="1100", often="11110")
    assert [each.case for each in found.flaky] == ["half", "once", "often", "seldom"]
    assert as_json(found)["flaky"] == 4


def test_the_oldest_and_newest_answers_are_told() -> None:
    found = told(*(outcome("a", slot, observed_at=moment) for slot, moment in enumerate((5.0, 2.0, 9.0))))
    assert (found.oldest, found.newest) == (2.0, 9.0)


# quarantine -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cells", "healed"),
    [
        ([cell(c="11111")], True),
        ([cell(c="11111"), cell(c="1111111")], True),
        ([cell(c="1111")], False),  # too few to tell: of cases that pass 3 times in 4 so do a third
        ([cell(c="11110")], False),
        ([cell(c="11111"), cell(c="00000")], False),
        ([cell(other="11111")], False),
        ([], False),
    ],
)
def test_healed_is_what_passes_enough_repeats_everywhere(cells: list[Baseline], healed: bool) -> None:
    assert watched("s", ENTRY, 3, cells).healed is healed


@pytest.mark.parametrize(("days", "state"), [(3, "held"), (0, "held"), (-1, "expired")])
def test_an_entry_holds_through_its_last_day(days: int, state: str) -> None:
    assert watched("s", ENTRY, days, []).state == state


def test_a_case_that_is_flaky_twice_is_told_of_once() -> None:
    assert flaky_anywhere([cell(a="10", b="11"), cell(a="110")]) == {"a": "passed 1 of 2 (p on m), passed 2 of 3 (p on m)"}


NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(NAME, NAME, st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_suggested_line_is_yaml_that_says_the_same_and_nothing_else(case: str, owner: str, reason: str) -> None:
    line = quarantine_line(Quarantine(case=case, owner=owner, until="2026-12-31", reason=reason))
    assert line.isprintable()
    facts = {"case": case, "owner": owner, "until": "2026-12-31", **({"reason": reason} if reason else {})}
    assert yaml.safe_load("quarantine:\n" + line) == {"quarantine": [facts]}
