"""The canary's alarm: its false-alarm rate by simulation, and that it hears what changed."""

from __future__ import annotations

import math
import random

import pytest

from promptreg.core.canary import ALPHA, KINDS, LEAST, Heard, Night, threshold

NOISES = (0.0, 0.1, 0.5)


def answer(chance: random.Random, case: int, noise: float, *, longer: float = 1.0) -> Heard:
    """One answer of a model that says something else with probability *noise*."""
    said = chance.randrange(1_000_000) if chance.random() < noise else case
    return Heard(text=f"answer {said} " + "x" * int(longer * (20 + case % 7)))


def night(
    chance: random.Random, noise: float, *, repeats: int = 5, cases: int = 30, changed: float = 0.0, longer: float = 1.0
) -> Night:
    found = Night()
    for case in range(cases):
        stored = [answer(chance, case, noise) for _ in range(repeats)]
        tonight = answer(chance, case + 500_000, 0.0) if chance.random() < changed else answer(chance, case, noise, longer=longer)
        found.add(stored, tonight)
    return found


@pytest.mark.parametrize("noise", NOISES)
def test_the_mean_e_value_of_a_case_is_one_where_nothing_changed(noise: float) -> None:
    chance = random.Random(f"mean {noise}")
    values = []
    for _ in range(4000):
        (sign,) = [each for each in night(chance, noise, cases=1).signs() if each.kind == "mismatch"]
        values.append(math.exp(sign.log_e))
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    assert abs(mean - 1) <= 3 * deviation / math.sqrt(len(values)) + 1e-9


@pytest.mark.parametrize("noise", NOISES)
def test_a_quarter_without_a_change_alarms_no_more_often_than_promised(noise: float) -> None:
    """A quarter of nights over the same repeats, many times over."""
    chance = random.Random(f"quarter {noise}")
    quarters, alarms = 150, 0
    for _ in range(quarters):
        stored = [[answer(chance, case, noise) for _ in range(5)] for case in range(10)]
        alarmed = False
        for _ in range(30):
            found = Night(nights=30)
            for case, repeats in enumerate(stored):
                found.add(repeats, answer(chance, case, noise))
            alarmed = alarmed or any(sign.alarm for sign in found.signs())
        alarms += alarmed
    assert alarms / quarters <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / quarters)


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_changed_model_is_heard_the_first_night(noise: float) -> None:
    chance = random.Random(f"changed {noise}")
    heard = sum(
        any(sign.alarm and sign.kind == "mismatch" for sign in night(chance, noise, changed=0.8).signs()) for _ in range(50)
    )
    assert heard >= 48


def test_longer_answers_are_heard() -> None:
    chance = random.Random("longer")
    signs = {sign.kind: sign for sign in night(chance, 0.0, longer=4.0).signs()}
    assert signs["length"].alarm


def test_refusals_are_heard() -> None:
    found = Night()
    for _ in range(30):
        found.add([Heard(text="yes")] * 5, Heard(text="yes", refused=True))
    assert {sign.kind for sign in found.signs() if sign.alarm} == {"refusal"}


def test_a_lost_form_is_heard_and_only_where_one_is_demanded() -> None:
    found = Night()
    for _ in range(30):
        found.add([Heard(text="{}", well_formed=True)] * 5, Heard(text="{}", well_formed=False))
    assert {sign.kind for sign in found.signs() if sign.alarm} == {"format"}
    other = Night()
    other.add([Heard(text="a")] * 2, Heard(text="a"))
    assert "format" not in {sign.kind for sign in other.signs()}


def test_without_repeats_nothing_is_judged() -> None:
    found = Night()
    found.add([Heard(text="a")], Heard(text="b"))
    found.add([], Heard(text="b"))
    assert found.signs() == ()
    assert (found.cases, found.unjudged, found.differing) == (2, 2, 1)


def test_the_order_of_the_repeats_changes_nothing() -> None:
    texts = ["a", "a", "b", "c"]
    one, other = Night(), Night()
    one.add([Heard(text=text) for text in texts], Heard(text="d"))
    other.add([Heard(text=text) for text in reversed(texts)], Heard(text="d"))
    assert one.signs() == other.signs()


def test_one_case_alone_can_never_alarm() -> None:
    most = 6 * (1 + LEAST) / (1 + 6 * LEAST)
    assert math.log(most) < threshold()
    assert threshold() == pytest.approx(math.log(92 * len(KINDS) / ALPHA))
