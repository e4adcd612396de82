"""Ends of life: days and levels, what several sources say of one model, and how old a measurement may be."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.catalogue import ModelSpec, Price
from promptreg.core.lifecycle import (
    DAY_S,
    Fact,
    Life,
    as_json,
    channel,
    date_of,
    day_number,
    days_to,
    freshness,
    in_words,
    is_pinned,
    level,
    life,
    newest,
    plain_name,
    risk,
    speaks_of,
    today,
)
from promptreg.core.lint import retirement
from promptreg.errors import UsageError, Where

NOW = day_number("2026-11-20") * DAY_S + 3600.0
DAYS = st.dates(date(2000, 1, 1), date(2199, 12, 31))


def fact(date: str | None = "2027-01-14", source: Any = "litellm", **rest: Any) -> Fact:
    values: dict[str, Any] = {
        "channel": "openai",
        "model": "big-2025-01-01",
        "source": source,
        "edition": "1",
        "fetched_at": "2026-11-01",
        "date": date,
        "precision": "silent" if date is None else "exact",
    }
    return Fact(**{**values, **rest})


def spec(**rest: Any) -> ModelSpec:
    return ModelSpec(**{"alias": "big", "provider": "openai", "model": "big-2025-01-01", **rest})


# days -------------------------------------------------------------------------------------------------------------------------


@given(DAYS)
def test_days_are_those_of_the_calendar(day: date) -> None:
    number = (day - date(1970, 1, 1)).days
    assert day_number(day.isoformat()) == number
    assert date_of(number) == day.isoformat()


@given(DAYS, DAYS, st.floats(0, DAY_S - 1))
def test_days_to_an_end_do_not_depend_on_the_hour(end: date, day: date, second: float) -> None:
    assert days_to(end.isoformat(), day_number(day.isoformat()) * DAY_S + second) == (end - day).days


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2027-02-29",
        "2027-13-01",
        "2027-00-10",
        "2027-01-00",
        "1999-01-01",
        "2200-01-01",
        "2027-1-1",
        "٢٠٢٧-٠١-١٤",
        "2027-01-14 ",
    ],
)
def test_what_is_no_day_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        day_number(text)


def test_today_is_of_utc() -> None:
    assert today(0.0) == "1970-01-01"
    assert today(DAY_S - 0.5) == "1970-01-01"
    assert today(float(DAY_S)) == "1970-01-02"


@pytest.mark.parametrize(
    ("days", "wanted"),
    [
        (4000, "ok"),
        (181, "ok"),
        (180, "plan"),
        (91, "plan"),
        (90, "warning"),
        (30, "warning"),
        (29, "error"),
        (1, "error"),
        (0, "past"),
        (-1, "past"),
        (-4000, "past"),
    ],
)
def test_levels(days: int, wanted: str) -> None:
    end = (date(2026, 11, 20) + timedelta(days=days)).isoformat()
    assert level(end, NOW) == wanted


def test_no_date_is_no_alarm() -> None:
    assert level(None, NOW) == "ok"


@given(DAYS, DAYS, st.integers(0, 1000))
def test_time_only_makes_it_worse(end: date, day: date, later: int) -> None:
    order = ("ok", "plan", "warning", "error", "past")
    now = day_number(day.isoformat()) * DAY_S
    assert order.index(level(end.isoformat(), now)) <= order.index(level(end.isoformat(), now + later * DAY_S))


# measurements -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "pinned", "wanted"),
    [
        (0, True, "fresh"),
        (30, True, "fresh"),
        (30.1, True, "ageing"),
        (90, True, "ageing"),
        (90.1, True, "stale"),
        (15, False, "fresh"),
        (15.1, False, "ageing"),
        (45, False, "ageing"),
        (45.1, False, "stale"),
        (-3, True, "fresh"),  # a clock that ran ahead
    ],
)
def test_freshness(days: float, pinned: bool, wanted: str) -> None:
    assert freshness(NOW - days * DAY_S, NOW, pinned) == wanted


@pytest.mark.parametrize("pinned", [True, False])
def test_what_was_never_tested_is_stale(pinned: bool) -> None:
    assert freshness(None, NOW, pinned) == "stale"


@pytest.mark.parametrize(
    ("fails", "months", "age", "wanted"),
    [
        (0, 0, 0, 0.0),
        (0, 0, 1, 1 - math.exp(-0.05)),  # no history: half a FAIL in ten months
        (0, 0, 12, 1 - math.exp(-0.6)),
        (3, 2, 6, 1 - math.exp(-6 * 3.5 / 12)),
        (0, 90, 1, 1 - math.exp(-0.005)),
        (-1, -5, -2, 0.0),
    ],
)
def test_risk(fails: int, months: float, age: float, wanted: float) -> None:
    assert risk(fails, months, age) == pytest.approx(wanted)


@given(st.integers(0, 50), st.floats(0, 200), st.floats(0, 200), st.floats(0, 50))
def test_risk_is_a_chance_that_grows_with_age_and_with_fails(fails: int, months: float, age: float, more: float) -> None:
    base = risk(fails, months, age)
    assert 0 <= base <= 1
    assert risk(fails, months, age + more) >= base
    assert risk(fails + 1, months, age) >= base
    assert risk(fails, months + more, age) <= base


@pytest.mark.parametrize(
    ("provider", "model", "pinned"),
    [
        ("openai", "gpt-4o-2024-08-06", True),
        ("openai", "gpt-4-0613", True),
        ("openai", "gpt-4-1106-preview", True),
        ("openai", "gpt-4o", False),
        ("openai", "gpt-5.1", False),
        ("openai", "chat-latest", False),
        ("anthropic", "claude-sonnet-4-5-20250929", True),
        ("anthropic", "claude-sonnet-4-5", False),
        ("llm", "anthropic.claude-3-haiku-20240307-v1:0", True),
        ("llm", "claude-sonnet-4@20250514", True),
        ("llm", "gemini-2.5-flash-preview-05-20", True),
        ("llm", "gemini-2.5-flash", False),
        ("local", "smollm2-135m-instruct", True),
        ("recorded", "gpt-4", True),
    ],
)
def test_dated_names_are_pinned(provider: str, model: str, pinned: bool) -> None:
    assert is_pinned(spec(provider=provider, model=model)) is pinned


# whose facts they are ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "base_url", "wanted"),
    [
        ("openai", None, "openai"),
        ("openai", "https://api.openai.com/v1", "openai"),
        ("openai", "https://EU.api.openai.com/v1/", "openai"),
        ("openai", "https://acme.openai.azure.com/openai/v1", "azure"),
        ("openai", "https://generativelanguage.googleapis.com/v1beta/openai", "google"),
        ("openai", "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1", "aws-bedrock"),
        ("openai", "https://notopenai.com/v1", "notopenai.com"),
        ("openai", "https://openai.com.evil.example/v1", "openai.com.evil.example"),
        ("openai", "http://127.0.0.1:8000/v1", "127.0.0.1:8000"),
        ("openai", "http://[::1", ""),
        ("anthropic", None, "anthropic"),
        ("llm", None, ""),
        ("local", None, None),
        ("echo", None, None),
        ("recorded", None, None),
    ],
)
def test_channels(provider: str, base_url: str | None, wanted: str | None) -> None:
    assert channel(spec(provider=provider, options={} if base_url is None else {"base_url": base_url})) == wanted


@pytest.mark.parametrize(
    ("where", "one", "other"),
    [
        ("aws-bedrock", "us.anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307"),
        ("aws-bedrock", "anthropic.claude-3-haiku-20240307-v1:0", "global.anthropic.claude-3-haiku-20240307-v1:0"),
        ("vertex", "claude-sonnet-4@20250514", "claude-sonnet-4-20250514"),
        ("vertex", "publishers/google/models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("google", "models/gemini-2.5-pro", "gemini-2.5-pro"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::abc", "ft:gpt-4o-2024-08-06"),
    ],
)
def test_spellings_of_one_name(where: str, one: str, other: str) -> None:
    assert plain_name(where, one) == plain_name(where, other)


@pytest.mark.parametrize(
    ("where", "one", "other"),
    [
        ("aws-bedrock", "anthropic.claude-3-5-sonnet-20240620-v1:0", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("aws-bedrock", "amazon.titan-embed-text-v1", "amazon.titan-embed-text-v2:0"),
        ("openai", "gpt-4o", "gpt-4o-mini"),
        ("openai", "ft:gpt-4o-2024-08-06:acme::abc", "gpt-4o-2024-08-06"),
    ],
)
def test_names_of_two_models(where: str, one: str, other: str) -> None:
    assert plain_name(where, one) != plain_name(where, other)


def test_other_hosts_have_other_clocks() -> None:
    azure = spec(options={"base_url": "https://acme.openai.azure.com/openai/v1"})
    proxy = spec(options={"base_url": "http://127.0.0.1:4000/v1"})
    assert not speaks_of(fact(), azure)
    assert speaks_of(fact(channel="azure"), azure)
    assert speaks_of(fact(channel="127.0.0.1:4000"), proxy)
    assert speaks_of(fact(), proxy), "a proxy that offers OpenAI's name offers OpenAI's model"
    assert not speaks_of(fact(channel="together_ai"), proxy), "open weights on a server of one's own are shut down by nobody else"
    assert not speaks_of(fact(), spec(provider="recorded")), "a recording is not shut down"


# several sources --------------------------------------------------------------------------------------------------------------


def test_the_earliest_date_counts_and_the_others_are_shown() -> None:
    found = life(spec(retires="2027-03-01"), [fact("2027-01-14"), fact("2027-02-01", "model-eol"), fact("2027-01-20", "api")])
    assert (found.date, found.disagree, found.sources) == ("2027-01-14", True, ("litellm 1",))
    assert [each.source for each in found.facts] == ["api", "model-eol", "litellm", "registry"]
    assert "sources differ" in in_words(found, NOW)


def test_the_registry_own_date_is_one_of_them() -> None:
    found = life(spec(retires="2026-12-24"), [fact("2027-01-14")])
    assert (found.date, found.sources, found.disagree) == ("2026-12-24", ("promptreg.yaml",), True)
    assert life(spec(provider="recorded", retires="2026-12-24"), [fact("2020-01-14")]).date == "2026-12-24"


def test_replacement_and_price_come_from_the_first_in_order_that_has_one() -> None:
    cheap, dear = Price(input=1, output=2), Price(input=3, output=4)
    said = [
        fact(source="litellm", replacement="c", price=cheap),
        fact(source="model-eol", replacement="b", price=dear),
        fact(source="api"),
    ]
    found = life(spec(), said)
    assert (found.replacement, found.price, found.disagree) == ("b", dear, False)


def test_a_newer_word_of_the_same_speaker_replaces_the_older() -> None:
    old = fact("2026-06-17", "page", fetched_at="2026-01-05", shipped=True)
    new = fact("2026-12-01", "api", fetched_at="2026-11-10")
    assert life(spec(), [new, old]).date == "2026-12-01", "the provider postponed it"
    other = fact("2026-06-17", "litellm", fetched_at="2026-01-05")
    assert life(spec(), [new, other]).date == "2026-06-17", "litellm has not taken it back"


def test_what_was_refreshed_here_replaces_what_shipped_on_that_day() -> None:
    ships, here = fact("2026-12-01", shipped=True), fact("2027-02-01")
    assert life(spec(), [ships, here]).date == life(spec(), [here, ships]).date == "2027-02-01"
    assert life(spec(), [here, replace(ships, fetched_at="2026-11-02")]).date == "2026-12-01", "an update of promptreg is newer"


def test_none_scheduled_contradicts_only_what_it_could_have_known() -> None:
    none = fact(None, "model-eol", precision="none", fetched_at="2026-08-18")
    later = fact("2027-01-14", "litellm", fetched_at="2026-11-01")
    assert not life(spec(), [none, later]).disagree
    assert life(spec(), [replace(none, fetched_at="2026-11-01"), later]).disagree
    assert life(spec(), [replace(none, fetched_at="2026-11-02"), later]).disagree
    assert life(spec(), [replace(none, fetched_at="2026-11-02"), later]).date == "2027-01-14"


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ([], "no date published"),
        ([fact(None)], "no date published"),
        ([fact(None, "api", precision="none")], "none scheduled"),
        ([fact(None, "model-eol", precision="none", notice_days=60)], "none scheduled, not before 2026-12-31"),
        ([fact(None, "model-eol", precision="none", notice_days=5)], "none scheduled"),  # a promise that has run out
        ([fact("2027-01-14")], "2027-01-14 (55 days)"),
        ([fact("2026-11-21")], "2026-11-21 (1 day)"),
        ([fact("2026-11-20")], "2026-11-20 (today)"),
        ([fact("2026-11-01")], "2026-11-01 (over)"),
        ([fact("2027-01-14", precision="earliest")], "not before 2027-01-14 (55 days)"),
    ],
)
def test_the_end_in_words(facts: list[Fact], words: str) -> None:
    assert in_words(life(spec(), facts), NOW) == words


def test_a_lower_bound_that_is_over_warns_and_is_no_error() -> None:
    bound = fact("2026-10-01", precision="earliest")
    assert life(spec(), [bound]).level(NOW) == "warning"
    assert life(spec(), [bound, fact("2026-10-01", "model-eol")]).level(NOW) == "past", "somebody says that it has happened"
    assert life(spec(), [replace(bound, date="2027-04-01")]).level(NOW) == "plan"
    assert life(spec(), [bound, fact("2026-12-01", "api")]).level(NOW) == "error", "the bound hides no firm day"
    assert life(spec(), [bound, fact("2027-12-01", "api")]).level(NOW) == "warning"
    assert life(spec(), [replace(bound, date="2026-12-01"), fact("2027-02-01", "api")]).level(NOW) == "warning"


FACTS = st.builds(
    fact,
    st.one_of(st.none(), DAYS.map(date.isoformat)),
    st.sampled_from(["api", "page", "model-eol", "litellm"]),
    channel=st.sampled_from(["openai", "azure"]),
    fetched_at=DAYS.map(date.isoformat),
)


@given(st.lists(FACTS, max_size=8), st.randoms(use_true_random=False))
def test_the_order_of_the_facts_does_not_count(facts: list[Fact], chance: Any) -> None:
    mixed = list(facts)
    chance.shuffle(mixed)
    one, other = life(spec(), facts), life(spec(), mixed)
    assert (one.date, one.disagree, one.precision) == (other.date, other.disagree, other.precision)


@given(st.lists(FACTS, max_size=8), FACTS)
def test_another_source_never_makes_the_end_later(facts: list[Fact], more: Fact) -> None:
    """Unless it is the newer word of one that has spoken."""
    if any(each.key == more.key for each in facts):
        return
    before, after = life(spec(), facts).date, life(spec(), [*facts, more]).date
    assert before is None or (after is not None and after <= before)


@given(st.lists(FACTS, max_size=8))
def test_what_is_kept_is_kept_again(facts: list[Fact]) -> None:
    kept = newest(facts)
    assert newest(kept) == kept
    assert len({each.key for each in kept}) == len(kept)
    assert {each.key for each in kept} == {each.key for each in facts}


def test_what_ships_says_how_old_it_is() -> None:
    assert fact(shipped=True).name == "litellm 1 (shipped, read 2026-11-01)"
    assert fact(source="api", edition="2026-11-01").name == "openai API 2026-11-01"
    assert fact(source="page", edition="example.com/ends").name == "openai page example.com/ends"


def test_json_holds_every_source() -> None:
    found = as_json(life(spec(retires="2027-03-01"), [fact(price=Price(input=1, output=2), shipped=True)]), NOW)
    assert (found["date"], found["days"], found["level"], found["disagree"]) == ("2027-01-14", 55, "warning", True)
    sources: Any = found["sources"]
    assert [(each["source"], each["date"], each["shipped"]) for each in sources] == [
        ("litellm", "2027-01-14", True),
        ("registry", "2027-03-01", False),
    ]
    assert sources[0]["price"] == {"input": 1, "output": 2}


# lint -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "wanted"),
    [("2027-06-01", None), ("2027-05-01", "note"), ("2027-01-14", "warning"), ("2026-12-01", "error"), ("2026-11-01", "error")],
)
def test_lint_warns_by_the_days_that_are_left(end: str, wanted: str | None) -> None:
    found = list(retirement(spec(), life(spec(), [fact(end, replacement="big-2")]), NOW))
    assert [each.level for each in found] == ([] if wanted is None else [wanted])
    assert all(end in each.message and "'big-2'" in each.hint and each.rule == "model-retires" for each in found)


def test_lint_says_who_says_what() -> None:
    place, entry = Where("promptreg.yaml", 3, 9), Where("promptreg.yaml", 3)
    mine = spec(retires="2026-12-24", marks={"retires": place}, where=entry)
    [found] = retirement(mine, life(mine, [fact("2027-01-14", fetched_at="2026-11-19")]), NOW)
    assert "2026-12-24 (34 days, sources differ), says promptreg.yaml; litellm 1 says 2027-01-14" in found.message
    assert found.where == place
    assert "names no replacement" in found.hint
    [found] = retirement(mine, life(mine, [fact("2026-12-01")]), NOW)
    assert found.where == entry, "not the registry's own date"


def test_nothing_is_said_of_what_has_no_date() -> None:
    assert list(retirement(spec(), Life(), NOW)) == []
