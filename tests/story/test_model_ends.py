"""Somebody whose models will be shut down: lists them, refreshes what is known, and is warned by lint."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import User

from promptreg.core.lifecycle import DAY_S, date_of, today
from promptreg.testing import Fault, LoopbackServer
from promptreg.testing.server import Request

YAML = """\
registry: acme/prompts
models:
  big: {provider: openai, model: acme-big-2025-01-01}
  twin: {provider: openai, model: acme-big-2025-01-01, retires: %s}
  own: {provider: echo, model: echo}
"""


def in_days(days: int) -> str:
    return date_of(int(time.time() // DAY_S) + days)


def feed(*models: dict[str, Any]) -> dict[str, Any]:
    return {"spec": "model-eol/0.1", "publisher": "openai", "generated": f"{today(time.time())}T00:00:00Z", "models": [*models]}


BIG = {"id": "acme-big-2025-01-01", "shutdown": in_days(60), "replacement": "acme-big-2"}


@pytest.fixture
def somebody(user: User) -> User:
    user.write("promptreg.yaml", YAML % in_days(400))
    user.write("prompts/greet.yaml", "messages: [{role: user, content: Hello.}]\n")
    user.write("feed.json", json.dumps(feed(BIG, {"id": "acme-big-2"}, {"id": "foreign", "shutdown": in_days(1)})))
    return user


def ends(user: User) -> dict[str, Any]:
    listed = user("models", "list", "--json")
    assert listed.code == 0
    assert listed.json["schema"] == "promptreg/models/1"
    return {each["alias"]: each["end_of_life"] for each in listed.json["models"]}


def test_a_refresh_keeps_what_is_of_these_models_and_touches_nothing_else(somebody: User) -> None:
    before = somebody.read("promptreg.yaml")
    assert ends(somebody)["big"]["date"] is None
    said = somebody("models", "refresh", "--from", "feed.json")
    assert said.code == 0, said.err
    assert re.search(rf"^big: no date published → {in_days(60)} \(\d+ days\), replaced by acme-big-2$", said.out, re.MULTILINE)
    lock = somebody.read("models.lock.json")
    assert "acme-big-2025-01-01" in lock
    assert '"model":"acme-big-2"' in lock, "the replacement's own end is worth knowing"
    assert "foreign" not in lock
    assert somebody.read("promptreg.yaml") == before
    known = ends(somebody)
    assert (known["big"]["date"], known["big"]["level"], known["big"]["replacement"]) == (in_days(60), "warning", "acme-big-2")
    assert (known["twin"]["date"], known["twin"]["disagree"]) == (in_days(60), True), "retires wins over nothing"
    assert known["own"]["date"] is None
    again = somebody("models", "refresh", "--from", "feed.json", "--json")
    assert (again.json["changed"], again.json["written"]) == ([], False)
    assert somebody.read("models.lock.json") == lock
    assert not list(somebody.root.glob(".models*")), "no half-written file stays"


def test_a_dry_run_writes_nothing(somebody: User) -> None:
    said = somebody("models", "refresh", "--from", "feed.json", "--dry-run", "--json")
    assert said.code == 0
    assert [each["alias"] for each in said.json["changed"]] == ["big", "twin"]
    assert said.json["changed"][0]["after"]["date"] == in_days(60)
    assert not (somebody.root / "models.lock.json").exists()


def test_a_newer_word_of_a_source_replaces_its_older_one(somebody: User) -> None:
    somebody("models", "refresh", "--from", "feed.json")
    somebody.write("newer.json", json.dumps(feed(BIG | {"shutdown": in_days(200)})))
    somebody.write("api.json", json.dumps({"object": "list", "data": [{"id": BIG["id"], "shutdown_date": in_days(100)}]}))
    somebody("models", "refresh", "--from", "api.json")
    assert ends(somebody)["big"]["date"] == in_days(60), "the earliest of two sources"
    lock = somebody.read("models.lock.json").replace(today(time.time()), in_days(-9))
    facts = json.loads(lock)["facts"]
    rewrite(somebody, facts)
    somebody("models", "refresh", "--from", "newer.json")
    assert ends(somebody)["big"]["date"] == in_days(100), "the feed has taken its date back"


def rewrite(user: User, facts: list[dict[str, Any]]) -> None:
    """models.lock.json with *facts*, as promptreg would have written it."""
    from promptreg.core.canonical import canonical, digest

    head = f'{{\n"schema": "promptreg/models-lock/1",\n"digest": "{digest("promptreg/models-lock/1", facts)}",\n"facts": [\n'
    user.write("models.lock.json", head + ",\n".join(canonical(each).decode() for each in facts) + "\n]\n}\n")


@pytest.mark.parametrize(
    ("days", "level", "code"), [(400, None, 0), (150, "note", 0), (60, "warning", 0), (10, "error", 2), (-5, "error", 2)]
)
def test_lint_warns_by_the_days_that_are_left(somebody: User, days: int, level: str | None, code: int) -> None:
    somebody.write("feed.json", json.dumps(feed(BIG | {"shutdown": in_days(days)})))
    somebody("models", "refresh", "--from", "feed.json")
    said = somebody("lint", "--json")
    found = [each for each in said.json["findings"] if each["rule"] == "model-retires"]
    assert [each["level"] for each in found] == ([] if level is None else [level] * 2)
    assert all(each["path"] == "promptreg.yaml" and each["line"] in (3, 4) and "acme-big-2" in each["hint"] for each in found)
    assert said.code == code


def test_lint_of_some_prompts_is_about_their_models(somebody: User) -> None:
    somebody.write(
        "suites/greet.yaml", "prompts: [greet]\nmodels: [own]\ncases: [{id: a, inputs: {}}]\nchecks: [{contains: Hello}]\n"
    )
    somebody("models", "refresh", "--from", "feed.json")
    rules = [each["rule"] for each in somebody("lint", "greet", "--json").json["findings"]]
    assert "model-retires" not in rules
    rules = [each["rule"] for each in somebody("lint", "--json").json["findings"]]
    assert rules.count("model-retires") == 2


@pytest.mark.parametrize(
    "turn", [lambda text: text.replace(in_days(60), in_days(600)), lambda text: text[:200], lambda _text: "<<<<<<< HEAD\n"]
)
def test_a_lock_that_was_turned_stops_everybody_who_reads_it(somebody: User, turn: Callable[[str], str]) -> None:
    somebody("models", "refresh", "--from", "feed.json")
    turned = turn(somebody.read("models.lock.json"))
    somebody.write("models.lock.json", turned)
    for command in (("models", "list"), ("models", "show", "own"), ("models", "refresh", "--from", "feed.json")):
        said = somebody(*command)
        assert said.code == 2
        assert "models.lock.json" in said.err
        assert "delete the file and run: promptreg models refresh" in said.err
    linted = somebody("lint", "--json")
    assert linted.code == 2
    assert [each["path"] for each in linted.json["findings"] if each["level"] == "error"] == ["models.lock.json"]
    assert somebody.read("models.lock.json") == turned, "nobody mends it unasked"


def test_nobody_speaks_for_tomorrow(somebody: User) -> None:
    somebody("models", "refresh", "--from", "feed.json")
    facts = json.loads(somebody.read("models.lock.json"))["facts"]
    rewrite(somebody, [each | {"fetched_at": in_days(3000)} for each in facts])
    (somebody.root / "models.lock.json").rename(somebody.root / "theirs.json")
    somebody("models", "refresh", "--from", "theirs.json")
    [source] = ends(somebody)["big"]["sources"]
    assert source["fetched_at"] == today(time.time()), "a later word must still be able to replace it"


def test_what_lies_here_has_no_end(somebody: User) -> None:
    rows = {line.split()[0]: line for line in somebody("models", "list").out.splitlines() if line}
    assert rows["own"].split() == ["own", "echo", "echo", "–", "–"]
    assert rows["big"].endswith("no date published")


def test_show_has_every_source(somebody: User) -> None:
    somebody("models", "refresh", "--from", "feed.json")
    somebody.edit("promptreg.yaml", "provider: echo, model: echo", f"provider: echo, model: echo, retires: {in_days(20)}")
    shown = somebody("models", "show", "own", "--json").json
    assert shown["schema"] == "promptreg/model/1"
    assert shown["identity"].startswith("sha256:")
    assert [(each["source"], each["date"]) for each in shown["end_of_life"]["sources"]] == [("registry", in_days(20))]
    assert shown["end_of_life"]["level"] == "error"


def test_what_ships_is_known_without_asking_anybody(user: User) -> None:
    user.write(
        "promptreg.yaml", "models: {old: {provider: openai, model: gpt-4-0613}, here: {provider: recorded, model: gpt-4-0613}}\n"
    )
    known = ends(user)
    assert (known["old"]["date"], known["old"]["replacement"]) == ("2026-10-23", "gpt-5.6-sol")
    assert all(each["shipped"] and each["fetched_at"] for each in known["old"]["sources"])
    assert known["here"]["date"] is None, "a recording is not shut down"
    listed = user("models", "list")
    assert "2026-10-23" in listed.out
    assert "(30 / 60)" in listed.out
    assert "prices in parentheses are published ones" in listed.err


# the network ------------------------------------------------------------------------------------------------------------------


def answering(
    value: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Callable[[Request], tuple[int, dict[str, str], Any]]:
    return lambda _request: (status, headers or {}, value)


def test_a_feed_comes_from_an_address(somebody: User) -> None:
    with LoopbackServer(api=answering(feed(BIG))) as server:
        said = somebody("models", "refresh", "--from", f"{server.url}/openai.json?raw=1")
        assert said.code == 0, said.err
        [request] = server.received
    assert (request.method, request.path) == ("GET", "/v1/openai.json?raw=1")
    assert "authorization" not in request.headers
    assert ends(somebody)["big"]["date"] == in_days(60)


@pytest.mark.parametrize(
    ("api", "words"),
    [
        (answering({"error": {"message": "no \u001b[31mfeed"}}, 404), "answered 404"),
        (answering({}, 302, {"Location": "https://elsewhere.example/feed"}), "leads to 'https://elsewhere.example/feed'"),
        (answering({"a": 1}), "nobody here knows this format"),
        (answering(feed(BIG | {"shutdown": "2027-02-30"})), "no day of the calendar"),
    ],
)
def test_a_feed_that_is_none_leaves_everything_as_it_was(somebody: User, api: Any, words: str) -> None:
    with LoopbackServer(api=api) as server:
        said = somebody("models", "refresh", "--from", "feed.json", "--from", f"{server.url}/x.json")
        assert server.requests == 1, "nobody follows a redirect"
    assert said.code == 2
    assert words in said.err
    assert "\x1b" not in said.err
    assert not (somebody.root / "models.lock.json").exists()


@pytest.mark.parametrize(
    "fault", [Fault(kind="drop"), Fault(kind="truncate"), Fault(kind="garbage"), Fault(kind="status", status=500)]
)
def test_a_server_that_fails_is_no_feed(somebody: User, fault: Fault) -> None:
    with LoopbackServer(api=answering(feed(BIG)), faults=lambda _number: fault) as server:
        said = somebody("models", "refresh", "--from", f"{server.url}/x.json")
    assert said.code == 2
    assert not (somebody.root / "models.lock.json").exists()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("http://example.com/feed.json", "is not https"),
        ("ftp://example.com/feed.json", "is not https"),
        ("https://me:secret@example.com/feed.json", "holds a login"),
        ("https:///feed.json", "is not an address"),
        ("https://[::1/feed.json", "is not an address"),
        ("https://exa mple.com/", "is not an address"),
        ("nowhere.json", "cannot read 'nowhere.json'"),
        (".", "cannot read '.'"),
    ],
)
def test_odd_sources_are_refused(somebody: User, source: str, words: str) -> None:
    said = somebody("models", "refresh", "--from", source)
    assert said.code == 2
    assert words in said.err
    assert "secret" not in said.err


def test_without_a_source_the_hosts_themselves_are_asked(somebody: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIG_KEY", "sk-this-is-the-key-of-a-test")
    rows = [{"id": "acme-big-2025-01-01", "object": "model", "shutdown_date": in_days(60)}]
    with LoopbackServer(api=answering({"object": "list", "data": rows})) as server:
        entry = f'provider: openai, model: acme-big-2025-01-01, base_url: "{server.url}", api_key_env: BIG_KEY'
        down = 'provider: openai, model: x, base_url: "http://127.0.0.1:9/v1"'
        somebody.write("promptreg.yaml", f"models:\n  big: {{{entry}}}\n  other: {{{entry}, max_age: 3d}}\n  down: {{{down}}}\n")
        said = somebody("models", "refresh", "--json")
        assert said.code == 0, said.err
        [request] = server.received
        assert (request.method, request.path) == ("GET", "/v1/models")
        assert request.headers["authorization"] == "Bearer sk-this-is-the-key-of-a-test"
        assert [each["alias"] for each in said.json["changed"]] == ["big", "other"]
        assert len(said.json["faults"]) == 1
        assert "warning: " in said.err
        known = ends(somebody)
        assert known["big"]["date"] == in_days(60)
        assert known["big"]["sources"][0]["channel"] == f"127.0.0.1:{server.port}"
        monkeypatch.delenv("BIG_KEY")
        keyless = somebody("models", "refresh")
        assert keyless.code == 2
        assert "BIG_KEY is not set" in keyless.err
    assert "sk-this" not in somebody.read("models.lock.json")


def test_a_registry_of_local_models_has_nobody_to_ask(user: User) -> None:
    user.write("promptreg.yaml", "models: {own: {provider: echo, model: echo}}\n")
    said = user("models", "refresh")
    assert said.code == 2
    assert "--from FILE" in said.err


def test_the_lock_of_another_registry_is_a_source(somebody: User, tmp_path: Path) -> None:
    somebody("models", "refresh", "--from", "feed.json")
    (tmp_path / "theirs.json").write_text(somebody.read("models.lock.json"))
    (somebody.root / "models.lock.json").unlink()
    somebody("models", "refresh", "--from", str(tmp_path / "theirs.json"))
    assert ends(somebody)["big"]["date"] == in_days(60)
