"""Drift: each kind is found where it is, is silent where nothing changed, and neither side nor order is favoured."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptreg.core.drift import ALPHA, KINDS, RATIOS, UNREPEATED, Drift, DriftResult, Kind, normal
from promptreg.core.pair import Graded, Pair, Unit

SIZES = (20, 40, 60, 80, 120, 200)
NOISY = {"answer": ("yes", "no", "да", "`yes`", "I can't help with that"), "tools": ("", "search", "search twice")}


def graded(**fields: object) -> Graded:
    whole = Graded(passed=True, score=1.0, length=40, tokens=10, latency_s=0.5, well_formed=True, answer="a plain answer")
    return replace(whole, **fields)  # type: ignore[arg-type]


def missing() -> Graded:
    return Graded(passed=None, score=None, failure="timeout")


def unit(base: Sequence[Graded], head: Sequence[Graded], case: str = "c") -> Unit:
    return Unit(case, [Pair(case=case, base=tuple(base), head=tuple(head))])


def found(units: Sequence[Unit], **options: object) -> dict[Kind, DriftResult]:
    drift = Drift(**options)  # type: ignore[arg-type]
    for each in units:
        drift.add(each)
    return {result.kind: result for result in drift.results()}


def drawn(chance: random.Random, **fields: object) -> Graded:
    """An answer of a model that does a bit of everything."""
    noisy = graded(
        length=chance.choice(SIZES),
        tokens=chance.choice(SIZES),
        latency_s=chance.choice(SIZES) / 100,
        well_formed=chance.random() < 0.8,
        refused=chance.random() < 0.1,
        answer=chance.choice(NOISY["answer"]),
        tools=chance.choice(NOISY["tools"]),
    )
    return replace(noisy, **fields)  # type: ignore[arg-type]


def night(seed: int, cases: int = 40, repeats: int = 1, **head: object) -> list[Unit]:
    """Answers of one model to *cases*, twice; the second time with *head*."""
    chance = random.Random(seed)
    return [
        unit([drawn(chance) for _ in range(repeats)], [drawn(chance, **head) for _ in range(repeats)], str(case))
        for case in range(cases)
    ]


# --- what is found ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("format", {"well_formed": False}),
        ("wrapping", {"answer": "```python\nf()\n```"}),
        ("refusal", {"refused": True}),
        ("length", {"length": 4}),
        ("tokens", {"tokens": 4_000}),
        ("latency", {"latency_s": 5.0}),
        ("language", {"answer": "простой ответ"}),
        ("tools", {"tools": '[{"arguments":["city"],"name":"weather"}]'}),
        ("mismatch", {"answer": "quite another answer"}),
    ],
)
def test_a_real_change_of_each_kind_is_found_among_noise(kind: Kind, change: dict[str, object]) -> None:
    results = found(night(1, repeats=2, **change))
    assert results[kind].alarm, results[kind]
    assert results[kind].n == 40
    silent = {"format", "refusal", "length", "tokens", "latency", "tools"} - {kind}
    assert not [each for each in silent if results[each].alarm]


def test_a_result_says_what_was_and_what_is() -> None:
    base = [graded(length=600, tokens=150, latency_s=2.0, answer=f"step by step {n}") for n in range(30)]
    head = [graded(length=4, tokens=2, latency_s=0.1, answer="yes", well_formed=n % 3 > 0) for n in range(30)]
    results = found([unit([one], [other], str(n)) for n, (one, other) in enumerate(zip(base, head, strict=True))])
    length = results["length"]
    assert (length.base, length.head) == (600, 4)
    assert length.ratio == pytest.approx(5 / 601)
    assert results["latency"].ratio == pytest.approx(0.101 / 2.001)
    assert (results["format"].base, results["format"].head) == (1.0, pytest.approx(2 / 3))
    assert results["mismatch"] == DriftResult(kind="mismatch", n=30, head=1.0, note=UNREPEATED)
    assert "refusal" not in results
    assert "language" not in results


def test_a_change_that_is_shown_and_small_alarms_nobody() -> None:
    results = found([unit([graded(length=100)], [graded(length=120)], str(n)) for n in range(200)])
    assert results["length"].p is not None
    assert results["length"].p < ALPHA
    assert not results["length"].alarm


def test_refusals_are_those_of_the_provider_and_those_in_words() -> None:
    units = [unit([graded()], [graded(refused=n % 2 == 0, answer="I must decline." if n % 2 else "…")], str(n)) for n in range(20)]
    assert found(units)["refusal"].head == 0.5
    assert found(units, refuses=lambda text: "decline" in text)["refusal"].head == 1.0


def test_what_a_check_read_decides_what_differs() -> None:
    """Chains of thought always differ; the label at their end may not."""
    units = [
        unit([graded(answer=f"because {n}", read="x")], [graded(answer=f"since {n}", read="x" if n else "y")], str(n))
        for n in range(10)
    ]
    assert found(units)["mismatch"].head == pytest.approx(0.1)


def test_repeats_tell_noise_from_change() -> None:
    """Every answer is unique: without repeats that looks like a change, with them it is none."""
    fresh = iter(range(10_000))
    units = [unit(*([graded(answer=str(next(fresh))) for _ in range(2)] for _ in range(2)), case=str(n)) for n in range(50)]
    mismatch = found(units)["mismatch"]
    assert (mismatch.base, mismatch.head, mismatch.alarm) == (1.0, 1.0, False)


def test_stored_repeats_of_one_side_are_enough() -> None:
    units = [unit([graded(answer="a"), graded(answer="a")], [graded(answer="b")], str(n)) for n in range(30)]
    mismatch = found(units)["mismatch"]
    assert (mismatch.base, mismatch.head, mismatch.alarm) == (0.0, 1.0, True)


def test_a_cluster_counts_once() -> None:
    """Forty cases about one document are one observation, however large."""
    pairs = [Pair(case=str(n), base=(graded(),), head=(graded(well_formed=False),)) for n in range(40)]
    whole = found([Unit("document", pairs)])["format"]
    apart = found([Unit(pair.case, [pair]) for pair in pairs])["format"]
    assert (whole.n, apart.n) == (40, 40)
    assert not whole.alarm
    assert apart.alarm


# --- what says nothing --------------------------------------------------------------------------------------------------------


def test_nothing_comes_of_nothing() -> None:
    assert found([]) == {}
    assert found([Unit("empty", [])]) == {}
    assert found([unit([missing()], [graded()]), unit([graded()], [missing()]), unit([], [])]) == {}


def test_pairs_that_are_the_same_by_nature_say_nothing() -> None:
    same = Unit("c", [Pair(case="c", base=(graded(),), head=(graded(),), same=True)])
    assert found([same]) == {}


def test_what_is_not_known_is_not_compared() -> None:
    bare = Graded(passed=True, score=1.0, answer="1234")
    assert set(found([unit([bare], [bare])])) == {"mismatch"}
    half = unit([graded(latency_s=None, well_formed=None)], [graded()])
    assert set(found([half])) == {"mismatch", "length", "tokens"}


def test_all_the_same_answers_show_nothing() -> None:
    results = found([unit([graded()] * 3, [graded()] * 3, str(n)) for n in range(30)])
    assert not any(each.alarm for each in results.values())
    assert (results["mismatch"].base, results["mismatch"].head) == (0.0, 0.0)
    assert results["length"].ratio == 1.0


def test_one_case_alarms_nobody() -> None:
    results = found(
        [unit([graded()] * 2, [graded(length=1, tokens=90_000, well_formed=False, refused=True, answer="```\nx\n```")] * 2)]
    )
    assert results["format"].head == 0.0
    assert not any(each.alarm for each in results.values())


def test_a_missing_repeat_leaves_the_others() -> None:
    results = found([unit([graded(), missing()], [graded(), graded(length=80)], str(n)) for n in range(5)])
    assert results["length"].ratio == 1.0
    assert results["mismatch"].note == UNREPEATED


def test_an_empty_answer_and_an_instant_one_have_a_size() -> None:
    results = found([unit([graded(length=0, tokens=0, latency_s=0.0)], [graded(length=0, tokens=0, latency_s=0.0)])])
    assert {results[kind].ratio for kind in RATIOS} == {1.0}


# --- laws ---------------------------------------------------------------------------------------------------------------------


def swapped(units: Sequence[Unit]) -> list[Unit]:
    return [Unit(each.key, [replace(pair, base=pair.head, head=pair.base) for pair in each.pairs]) for each in units]


@pytest.mark.parametrize("repeats", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_swapping_the_sides_mirrors_every_kind(seed: int, repeats: int) -> None:
    units = night(seed, cases=24, repeats=repeats, well_formed=True, length=80)
    one, other = found(units), found(swapped(units))
    assert one.keys() == other.keys()
    for kind in one:
        assert one[kind].p == other[kind].p, kind
        if one[kind].ratio is not None:
            assert one[kind].ratio == pytest.approx(1 / (other[kind].ratio or math.nan))
        if kind != "mismatch":
            assert (one[kind].base, one[kind].head) == (other[kind].head, other[kind].base)


@pytest.mark.parametrize("seed", range(4))
def test_the_order_of_the_cases_plays_no_part(seed: int) -> None:
    units = night(seed, cases=24, repeats=2, length=80)
    mixed = units[:]
    random.Random(seed).shuffle(mixed)
    one, other = found(units), found(mixed)
    for kind in one:
        assert (one[kind].p, one[kind].ratio, one[kind].alarm) == (other[kind].p, other[kind].ratio, other[kind].alarm), kind


@settings(max_examples=60)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12), st.text(max_size=4), st.text(max_size=4)), max_size=12))
def test_any_texts_give_figures_that_can_be_read(rows: list[tuple[str, str, str, str]]) -> None:
    units = [
        unit([graded(answer=one, tools=tool)], [graded(answer=two, tools=other)], str(at))
        for at, (one, two, tool, other) in enumerate(rows)
    ]
    for result in found(units).values():
        assert result.p is None or 0 <= result.p <= 1
        if result.kind not in RATIOS:
            assert all(share is None or 0 <= share <= 1 for share in (result.base, result.head))


@pytest.mark.parametrize("repeats", [1, 2])
def test_where_nothing_changed_hardly_anything_alarms(repeats: int) -> None:
    """Over all kinds together, as Holm promises; what is shown counts here, however small."""
    nights = 200
    shown = 0
    for seed in range(nights):
        results = found(night(seed, cases=24, repeats=repeats), seed=str(seed))
        assert len(results) >= len(KINDS) - 1
        shown += any(each.p is not None and each.p <= ALPHA for each in results.values())
    assert shown / nights <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / nights)


def test_changes_between_cases_that_go_both_ways_are_noise() -> None:
    """Tools that are chosen anew every time: many answers differ, and nothing changed."""
    chance = random.Random(3)
    units = [unit([graded(tools=chance.choice("abcd"))], [graded(tools=chance.choice("abcd"))], str(case)) for case in range(400)]
    tools = found(units)["tools"]
    assert tools.p is not None
    assert tools.p > ALPHA
    assert not tools.alarm


def test_a_tool_that_is_called_instead_of_another_is_found_though_cases_call_many() -> None:
    names = [f"tool {n % 7}" for n in range(140)]
    units = [
        unit([graded(tools=name)], [graded(tools="other" if name == "tool 3" else name)], str(n)) for n, name in enumerate(names)
    ]
    assert found(units)["tools"].alarm


# --- hostile texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["```\n" * 200_000, "Ω" * 1_000_000, "\ud800" * 1_000_000, " " * 1_000_000, "\x00" * 1_000_000])
def test_long_and_odd_answers_are_only_long(text: str) -> None:
    results = found([unit([graded(answer=text, tools=text)], [graded(answer="x", tools="y")], str(n)) for n in range(3)])
    assert results["mismatch"].head == 1.0


def test_normal_overlooks_case_and_spacing() -> None:
    assert normal(" The\n Answer ") == normal("the answer")


KEEPS: dict[str, Callable[[Graded], Graded]] = {
    "length": lambda one: replace(one, length=None),
    "tokens": lambda one: replace(one, tokens=None),
    "latency": lambda one: replace(one, latency_s=None),
    "format": lambda one: replace(one, well_formed=None),
}


@pytest.mark.parametrize("kind", KEEPS)
def test_a_kind_that_nobody_measured_takes_no_share_of_alpha(kind: Kind) -> None:
    units = [unit([KEEPS[kind](graded())], [KEEPS[kind](graded(answer="```\nx\n```"))], str(n)) for n in range(20)]
    assert kind not in found(units)
