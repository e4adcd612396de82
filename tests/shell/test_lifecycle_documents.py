"""models.lock.json and what others publish about the ends of models: what is read, and what is refused, with file and line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import digest
from promptreg.core.catalogue import Price
from promptreg.core.lifecycle import Fact, day_number
from promptreg.documents.feeds import MAX_FEED_BYTES, Feed, read_feed
from promptreg.documents.lifecycle import MAX_LOCK_BYTES, SCHEMA, read_models_lock, write_models_lock
from promptreg.errors import DocumentError
from promptreg.workflow.catalogue import shipped

FEED = Feed(path="feed.json", fetched_at="2026-11-20")
FACT = Fact(
    channel="openai",
    model="big-1",
    source="litellm",
    edition="1.2",
    fetched_at="2026-11-20",
    date="2027-01-14",
    precision="exact",
    replacement="big-2",
    price=Price(input=2.5, output=10.0),
    notice_days=60,
)
PLAIN = Fact(channel="openai", model="small", source="api", edition="", fetched_at="2026-11-20", precision="none")


def read(value: Any, feed: Feed = FEED, **options: Any) -> tuple[Fact, ...]:
    return read_feed(json.dumps(value, **options).encode(), feed)


def said(facts: tuple[Fact, ...]) -> list[tuple[str, str, str | None, str]]:
    return [(each.channel, each.model, each.date, each.precision) for each in facts]


# the lock ---------------------------------------------------------------------------------------------------------------------


def test_a_lock_reads_back_and_is_one_fact_to_a_line() -> None:
    text = write_models_lock([FACT, PLAIN])
    assert read_models_lock(text) == (FACT, PLAIN)
    lines = text.decode().splitlines()
    assert len(lines) == 4 + 2 + 2
    assert json.loads(lines[5]) == {
        "channel": "openai",
        "edition": "",
        "fetched_at": "2026-11-20",
        "model": "small",
        "precision": "none",
        "source": "api",
    }
    assert read_models_lock(text.replace(b"\n", b"\r\n")) == (FACT, PLAIN)
    assert read_models_lock(write_models_lock([])) == ()


NAMES = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FFF, categories=("L", "N", "P", "S")), min_size=1, max_size=20)
PRICES = st.floats(0, 1e5).map(lambda usd: round(usd, 6))


@given(
    st.lists(
        st.builds(
            replace,
            st.sampled_from([FACT, PLAIN]),
            model=NAMES,
            channel=NAMES,
            price=st.one_of(st.none(), st.builds(Price, input=PRICES, output=PRICES)),
        ),
        max_size=6,
    )
)
def test_writing_and_reading_are_inverse_and_the_order_does_not_count(facts: list[Fact]) -> None:
    text = write_models_lock(facts)
    assert set(read_models_lock(text)) == set(facts)
    assert write_models_lock(reversed(facts)) == text
    assert write_models_lock(read_models_lock(text)) == text


TURNED: list[tuple[str, str, str, int]] = [
    ('"date":"2027-01-14"', '"date":"2028-01-14"', "its digest does not fit", 3),
    ('"date":"2027-01-14"', '"date":"2027-02-30"', "no day of the calendar", 5),
    ('"date":"2027-01-14"', '"date":"soon"', "is not a date", 5),
    ('"date":"2027-01-14"', '"date":20270114', "is not a date", 5),
    ('"date":"2027-01-14",', "", "precision 'exact' does not fit no date", 5),
    ('"precision":"none"', '"precision":"maybe"', "must be one of", 6),
    ('"source":"api"', '"source":"registry"', "must be one of", 6),
    ('"source":"api"', '"source":["api"]', "must be one of", 6),
    ('"model":"small"', '"model":""', "not the name of a model", 6),
    ('"model":"small"', '"model":"a\\u001b[31m"', "not the name of a model", 6),
    ('"input":2.5', '"input":-1', "no price", 5),
    ('"input":2.5', '"input":true', "no price", 5),
    ('"input":2.5', '"in":2.5', "'input' and 'output'", 5),
    ('"notice_days":60', '"notice_days":99999', "no number of days", 5),
    ('"channel":"openai","edition":""', '"colour":1,"channel":"openai","edition":""', "known keys only", 6),
    ('"fetched_at":"2026-11-20","model":"small"', '"model":"small"', "is not a date", 6),
    (SCHEMA, "promptreg/models-lock/2", "its schema is 'promptreg/models-lock/2'", 2),
    ('"facts"', '"fact"', "no list of facts", 0),
    ("},\n{", "},\n<<<<<<< HEAD\n{", "it is not JSON", 6),
    ("},\n{", "}, {", "not written as promptreg writes it", 0),
]


@pytest.mark.parametrize(("old", "new", "words", "line"), TURNED)
def test_a_lock_that_was_turned_is_refused_where_it_was(old: str, new: str, words: str, line: int) -> None:
    text = write_models_lock([FACT, PLAIN]).decode()
    assert old in text
    with pytest.raises(DocumentError, match=words) as caught:
        read_models_lock(text.replace(old, new).encode(), "models.lock.json")
    where = caught.value.where
    assert where is not None
    assert (where.path, where.line) == ("models.lock.json", line)
    assert caught.value.hint


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b'{"schema": 3}', b"[" * 100_000, b" " * (MAX_LOCK_BYTES + 1)])
def test_what_is_no_lock_at_all_is_refused(text: bytes) -> None:
    with pytest.raises(DocumentError):
        read_models_lock(text)


def test_the_digest_is_over_the_facts() -> None:
    raw = json.loads(write_models_lock([FACT]))
    assert raw["digest"] == digest(SCHEMA, raw["facts"])


# what ships -------------------------------------------------------------------------------------------------------------------


def test_the_shipped_snapshot_is_whole_and_names_its_sources() -> None:
    facts = shipped()
    assert len(facts) > 100
    assert all(each.shipped and each.edition and each.source in ("litellm", "page") for each in facts)
    assert {"openai", "anthropic", "google", "azure", "aws-bedrock"} <= {each.channel for each in facts}
    assert all(day_number(each.fetched_at) <= day_number("2026-11-20") for each in facts)
    assert all(0 <= each.price.input <= each.price.output for each in facts if each.price), "dollars per million tokens"
    assert len({each.key for each in facts if each.source == "litellm"}) == sum(each.source == "litellm" for each in facts)


def test_the_package_data_says_where_it_is_from() -> None:
    note = (Path(__file__).parents[2] / "promptreg" / "data" / "README.md").read_text("utf-8")
    editions = {each.edition for each in shipped() if each.source == "litellm"}
    assert all(f"litellm {edition}" in note for edition in editions)
    assert "MIT" in note


# OpenAI -----------------------------------------------------------------------------------------------------------------------


def test_openai_says_a_day_or_that_there_is_none() -> None:
    rows = [
        {"id": "gpt-x-2025-01-01", "object": "model", "owned_by": "openai", "shutdown_date": "2027-01-14"},
        {"id": "gpt-y", "object": "model", "shutdown_date": None},
        {"id": "own", "object": "model"},
    ]
    found = read({"object": "list", "data": rows})
    assert said(found) == [("openai", "gpt-x-2025-01-01", "2027-01-14", "exact"), ("openai", "gpt-y", None, "none")]
    assert {each.source for each in found} == {"api"}
    assert said(read(rows[0])) == said(found)[:1]


# Bedrock ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time", "day"),
    [
        ("2027-01-14T00:00:00Z", "2027-01-14"),
        ("2027-01-14T00:00:00+09:00", "2027-01-13"),
        ("2027-01-14T23:30:00-05:00", "2027-01-15"),
        ("2027-01-14", "2027-01-14"),
        (1799884800, "2027-01-14"),
        (1799884800.5, "2027-01-14"),
    ],
)
def test_bedrock_tells_times(time: Any, day: str) -> None:
    row = {"modelId": "amazon.nova-x-v1:0", "modelLifecycle": {"status": "LEGACY", "endOfLifeTime": time}}
    assert said(read({"modelSummaries": [row]})) == [("aws-bedrock", "amazon.nova-x-v1:0", day, "exact")]
    assert said(read({"modelDetails": row})) == [("aws-bedrock", "amazon.nova-x-v1:0", day, "exact")]


def test_a_model_that_bedrock_keeps_has_no_end() -> None:
    rows = [{"modelId": "a.b", "modelLifecycle": {"status": "ACTIVE"}}, {"modelId": "a.c"}]
    assert said(read({"modelSummaries": rows})) == [("aws-bedrock", "a.b", None, "none")]


# model-eol --------------------------------------------------------------------------------------------------------------------


def eol(*models: Any, **rest: Any) -> dict[str, Any]:
    head = {"spec": "model-eol/0.1", "publisher": "openai", "generated": "2026-08-18T00:47:44.930Z"}
    return {**head, "models": list(models), **rest}


def test_a_feed_speaks_of_aliases_channels_and_what_is_not_scheduled() -> None:
    there = {"via": "azure-ai-foundry", "shutdown": "2027-06-01", "date_precision": "earliest"}
    found = read(
        eol(
            {"id": "x-1", "aliases": ["x"], "announced": "2026-04-22", "shutdown": "2026-12-11", "replacement": "y-1"},
            {"id": "y-1", "distributions": [there, {"via": "vertex-ai"}], "replacement_options": ["z-2", "z-1"]},
            {"id": "z-1", "announced": "2026-08-01"},
            policy={"min_notice_days": 60, "source": "https://example.com"},
        )
    )
    assert said(found) == [
        ("openai", "x-1", "2026-12-11", "exact"),
        ("openai", "x", "2026-12-11", "exact"),
        ("openai", "y-1", None, "none"),
        ("azure", "y-1", "2027-06-01", "earliest"),
        ("openai", "z-1", None, "silent"),
    ]
    assert {each.fetched_at for each in found} == {"2026-08-18"}, "the day on which it was made"
    assert [each.replacement for each in found] == ["y-1", "y-1", "z-2", "z-2", None]
    assert found[2].notice_days == 60


def test_a_feed_from_the_future_is_of_today() -> None:
    assert read(eol({"id": "x"}, generated="2099-01-01T00:00:00Z"))[0].fetched_at == "2026-11-20"


# litellm ----------------------------------------------------------------------------------------------------------------------

TABLE = {
    "sample_spec": {"litellm_provider": "one of …", "deprecation_date": "date when …", "input_cost_per_token": 0},
    "x-1": {
        "litellm_provider": "openai",
        "deprecation_date": "2027-01-14",
        "input_cost_per_token": 5e-08,
        "output_cost_per_token": 1e-4,
    },
    "azure/x-1": {"litellm_provider": "azure", "deprecation_date": "2027-04-14"},
    "gemini/g-1": {"litellm_provider": "gemini", "deprecation_date": "2027-05-07"},
    "vertex_ai/c@20250101": {"litellm_provider": "vertex_ai-anthropic_models", "deprecation_date": "2027-05-08"},
    "bedrock/us-east-1/a.b-v1:0": {"litellm_provider": "bedrock_converse", "deprecation_date": "2027-05-09"},
    "silent": {"litellm_provider": "openai", "mode": "image"},
}


def test_the_table_has_prices_and_days() -> None:
    found = read(TABLE, replace(FEED, path="wheels/litellm-1.109.1/prices.json"))
    assert said(found) == [
        ("openai", "x-1", "2027-01-14", "exact"),
        ("azure", "x-1", "2027-04-14", "exact"),
        ("google", "g-1", "2027-05-07", "earliest"),
        ("vertex", "c@20250101", "2027-05-08", "earliest"),
        ("aws-bedrock", "a.b-v1:0", "2027-05-09", "exact"),
    ]
    assert found[0].price == Price(input=0.05, output=100.0)
    assert {each.edition for each in found} == {"1.109.1"}
    assert read(TABLE)[0].edition == "2026-11-20"


# what is refused --------------------------------------------------------------------------------------------------------------

HOSTILE: list[tuple[Any, str, int]] = [
    ([], "nobody here knows this format", 0),
    ({}, "nobody here knows this format", 0),
    ({"models": []}, "nobody here knows this format", 0),
    ({"spec": "model-eol/9", "models": []}, "model-eol/0.1 is read here", 2),
    (eol({"id": "x", "shutdown": "2027-02-30"}), "'x': '2027-02-30' is no day", 7),
    (eol({"id": "x", "shutdown": "next spring"}), "is not a date", 7),
    (eol({"id": "x", "shutdown": 20270114}), "is not a date", 7),
    (eol({"id": "x", "shutdown": "2027-01-14", "date_precision": "vague"}), "neither exact nor earliest", 7),
    (eol({"id": "x\u001b[2J"}), "not the name of a model", 7),
    (eol({"id": "x" * 1000}), "not the name of a model", 7),
    (eol({"id": ["x"]}), "not the name of a model", 0),
    (eol("x"), "an object is wanted", 0),
    (eol({"id": "x", "aliases": [3]}), "'x': .* not the name", 7),
    (eol({"id": "x", "aliases": "abc"}), "a list of at most", 0),
    (eol(generated="yesterday"), "'generated' must be a time", 4),
    (eol(policy={"min_notice_days": -1}), "no number of days", 0),
    ({"object": "list", "data": [{"id": "x", "shutdown_date": "14/01/2027"}]}, "'x': .* is not a date", 5),
    ({"object": "list", "data": "all"}, "a list of at most", 0),
    ({"object": "list", "data": [{}] * 50_001}, "at most 50,000", 0),
    ({"modelSummaries": [{"modelId": "x", "modelLifecycle": {"endOfLifeTime": "soon"}}]}, "'x': 'soon' is no time", 4),
    ({"modelSummaries": [{"modelId": "x", "modelLifecycle": {"endOfLifeTime": 1e300}}]}, "is no time", 4),
    ({"modelSummaries": [{"modelId": "x", "modelLifecycle": "over"}]}, "an object is wanted", 4),
    ({"modelDetails": {"modelId": "x", "modelLifecycle": {"endOfLifeTime": -1}}}, "is not a date", 3),
    ({"x": {"litellm_provider": "openai", "deprecation_date": "2027-1-1"}}, "'x': '2027-1-1' is not a date", 2),
    ({"x": {"litellm_provider": "openai", "input_cost_per_token": -1e-6, "output_cost_per_token": 0}}, "no price", 2),
    ({"x": {"litellm_provider": "openai", "input_cost_per_token": 2.5, "output_cost_per_token": 10}}, "no price", 2),
    ({"x": {"litellm_provider": "openai", "input_cost_per_token": "1e-6", "output_cost_per_token": 0}}, "no price", 2),
    ({"x": {"litellm_provider": 7}}, "not the name", 2),
]


@pytest.mark.parametrize(("value", "words", "line"), HOSTILE)
def test_hostile_feeds_are_refused_with_file_and_line(value: Any, words: str, line: int) -> None:
    with pytest.raises(DocumentError, match=words) as caught:
        read(value, indent=1)
    assert caught.value.where is not None
    assert (caught.value.where.path, caught.value.where.line) == ("feed.json", line)
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("text", [b"", b"<html>", b"\xff\xfe", b'{"a": NaN}', b"{" * 100_000, b" " * (MAX_FEED_BYTES + 1)])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(DocumentError):
        read_feed(text, FEED)


def test_broken_json_is_told_with_its_line() -> None:
    with pytest.raises(DocumentError, match="it is not JSON") as caught:
        read_feed(b'{\n"spec": "model-eol/0.1",\n"models": [,]\n}', FEED)
    assert caught.value.where is not None
    assert caught.value.where.line == 3


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    *("spec", "publisher", "generated", "models", "id", "aliases", "shutdown", "distributions", "via", "policy"),
                    *("object", "data", "shutdown_date", "modelSummaries", "modelDetails", "modelId", "modelLifecycle", "schema"),
                    *("endOfLifeTime", "sample_spec", "litellm_provider", "deprecation_date", "input_cost_per_token", "facts"),
                    *("min_notice_days", "replacement", "replacement_options", "output_cost_per_token", "digest", "announced"),
                ]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from([{}, {"spec": "model-eol/0.1", "publisher": "p", "generated": "2026-01-01"}, {"object": "list"}]))
def test_any_json_is_read_or_refused(value: Any, head: dict[str, Any]) -> None:
    whole = {**value, **head} if isinstance(value, dict) else value
    try:
        found = read(whole)
    except DocumentError:
        return
    assert read_models_lock(write_models_lock(found)) is not None, "what was taken can be kept"
