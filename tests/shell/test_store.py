"""The store: put = get, the oldest counts, nothing is reset in silence, and several processes get along."""

from __future__ import annotations

import itertools
import random
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import Digest
from promptreg.core.run import CallKey, Completion, Fingerprint, Score, Stop, ToolCall, Usage
from promptreg.errors import DataError, StoreError
from promptreg.store import SCHEMA, Store

NOW = 1_000_000.0
KEY = CallKey("sha256:" + "a" * 64)
FIRST = Fingerprint(KEY)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    opened = Store.open(tmp_path / "store.sqlite3", clock)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Iterator[int]]]:
    """One store for all examples of the laws, and numbers that give each example keys of its own."""
    opened = Store.open(tmp_path_factory.mktemp("laws") / "s", lambda: NOW)
    yield opened, itertools.count()
    opened.close()


numbers = st.none() | st.integers(0, 10**6)
names = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]))
completions = st.builds(
    Completion,
    text=texts,
    stop=st.sampled_from(Stop),
    usage=st.builds(Usage, input_tokens=numbers, output_tokens=numbers),
    latency_s=st.none() | st.floats(0, 1e3),
    reported_model=names,
    system_fingerprint=names,
    tool_calls=st.lists(
        st.builds(ToolCall, name=texts, arguments=st.dictionaries(texts, st.integers(0, 9) | texts)), max_size=2
    ).map(tuple),
    logprobs=st.none() | st.lists(st.floats(-10, 0), min_size=1),
    cost_usd=st.none() | st.floats(0, 10),
    scores=st.dictionaries(texts, st.floats(0, 1), max_size=2),
    observed_at=st.floats(1, 2e9),
)


@given(completion=completions, slot=st.integers(0, 50), padding=st.integers(0, 3000))
def test_get_is_put(shared: tuple[Store, Iterator[int]], completion: Completion, slot: int, padding: int) -> None:
    store, numbers = shared
    key = CallKey(f"key {next(numbers)}")
    completion = replace(completion, text=completion.text + "x" * padding)  # plain and deflated values
    store.put(key, slot, completion)
    assert store.known([Fingerprint(key, slot)]) == {Fingerprint(key, slot): completion}
    assert store.known([Fingerprint(key, slot + 1)]) == {}


@given(times=st.lists(st.integers(0, 100), min_size=1, max_size=8, unique=True), since=st.integers(0, 100))
def test_the_oldest_unexpired_observation_counts(shared: tuple[Store, Iterator[int]], times: list[int], since: int) -> None:
    store, numbers = shared
    asked = Fingerprint(CallKey(f"key {next(numbers)}"))
    for moment in times:
        store.put(asked.key, 0, Completion(text=str(moment), observed_at=float(moment)))
    unexpired = [moment for moment in times if moment >= since]
    found = store.known([asked], since=float(since))
    assert [each.text for each in found.values()] == ([str(min(unexpired))] if unexpired else [])
    assert store.has([asked], since=float(since)) == ({asked} if unexpired else set())


def test_an_answer_without_a_time_is_seen_now(store: Store, clock: Clock) -> None:
    store.put(KEY, 0, Completion(text="a"))
    clock.now += 5
    store.put(KEY, 0, Completion(text="b"))
    assert store.known([FIRST])[FIRST] == Completion(text="a", observed_at=NOW)
    assert store.stats()["answers"] == 2


def test_slots(store: Store, clock: Clock) -> None:
    for slot in (4, 0, 0, 2):
        clock.now += 1
        store.put(KEY, slot, Completion(text="a"))
    assert store.slots(KEY) == (0, 2, 4)
    assert store.slots(KEY, since=NOW + 3.5) == (2,)
    assert store.slots(CallKey("other")) == ()


def test_an_answer_that_no_json_can_carry_is_refused(store: Store) -> None:
    with pytest.raises(DataError):
        store.put(KEY, 0, Completion(text="\ud800"))
    assert store.has([FIRST]) == set()


def test_scores_stand_as_first_kept(store: Store) -> None:
    key = Digest("sha256:score")
    assert store.score(key) is None
    store.put_score(key, Score(value=0.25, reason="two of eight"))
    store.put_score(key, Score(value=1.0))
    assert store.score(key) == Score(value=0.25, reason="two of eight")


def test_a_claim_is_exclusive_until_released_or_expired(store: Store, clock: Clock) -> None:
    assert store.claim(FIRST, "a", 10)
    assert store.claim(FIRST, "a", 10)
    assert not store.claim(FIRST, "b", 10)
    store.release(FIRST, "b")
    assert not store.claim(FIRST, "b", 10)
    assert store.claim(Fingerprint(KEY, 1), "b", 10)
    assert store.owners() == {"a", "b"}
    store.release(FIRST, "a")
    assert store.claim(FIRST, "b", 10)
    clock.now += 10
    assert store.owners() == frozenset()
    assert store.claim(FIRST, "a", 10)


def test_a_renewed_lease_holds(store: Store, clock: Clock) -> None:
    store.claim(FIRST, "a", 10)
    clock.now += 9
    store.renew("a", 10)
    clock.now += 9
    assert not store.claim(FIRST, "b", 10)
    store.release_all("a")
    assert store.claim(FIRST, "b", 10)


def test_an_interrupted_batch_keeps_what_was_put(store: Store, tmp_path: Path, clock: Clock) -> None:
    def interrupted() -> None:
        with store.batch():
            store.put(KEY, 0, Completion(text="paid for"))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    other = Store.open(store.path, clock)
    assert other.known([FIRST])[FIRST].text == "paid for"
    other.close()


def test_prune_drops_only_the_old(store: Store, clock: Clock) -> None:
    store.put(KEY, 0, Completion(text="x" * 100_000, observed_at=NOW - 100))
    store.put(KEY, 1, Completion(text="new", observed_at=NOW))
    store.put_score(Digest("s"), Score(value=1.0))
    before = store.stats()["bytes"]
    assert store.prune(older_than=NOW - 50) == 1
    assert store.slots(KEY) == (1,)
    assert store.score(Digest("s")) is not None
    assert store.stats()["bytes"] <= before  # type: ignore[operator]


def test_stats_by_reported_model(store: Store) -> None:
    store.put(KEY, 0, Completion(text="a", reported_model="m-1"))
    store.put(KEY, 1, Completion(text="a", observed_at=5.0))
    found = store.stats()
    assert (found["answers"], found["calls"], found["oldest"], found["newest"]) == (2, 1, 5.0, NOW)
    assert found["models"] == {"m-1": 1, "(unreported)": 1}


def test_a_new_promptreg_directory_is_hidden_from_git(tmp_path: Path) -> None:
    Store.open(tmp_path / "a" / ".promptreg" / "s", lambda: NOW).close()
    assert (tmp_path / "a" / ".promptreg" / ".gitignore").read_text() == "*\n"
    assert not (tmp_path / "a" / ".gitignore").exists()


def test_a_present_promptreg_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / ".promptreg").mkdir()
    Store.open(tmp_path / ".promptreg" / "s", lambda: NOW).close()
    assert not (tmp_path / ".promptreg" / ".gitignore").exists()


def refused(path: Path) -> StoreError:
    with pytest.raises(StoreError) as caught:
        Store.open(path, lambda: NOW)
    assert caught.value.where is not None
    assert caught.value.where.path == str(path)
    assert caught.value.hint
    return caught.value


def test_what_is_no_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b"These are my notes, not a database.\n" * 100)
    assert "damaged" in refused(path).message
    assert path.read_bytes().startswith(b"These are my notes")


def test_somebody_elses_database_is_refused_untouched(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE photos (name)")
    before = path.read_bytes()
    assert "not a store" in refused(path).message
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    Store.open(path, lambda: NOW).close()
    with sqlite3.connect(path) as db:
        db.execute("UPDATE meta SET value = 'promptreg/store/99'")
    db.close()
    fault = refused(path)
    assert "promptreg/store/99" in fault.message
    assert SCHEMA in fault.message


def test_an_unusable_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "cannot be used" in refused(tmp_path / "file" / "s").message
    assert "cannot be used" in refused(tmp_path).message


@pytest.mark.parametrize("place", ["/dev/null", "."])
def test_what_is_no_file_is_refused_and_nothing_is_left_beside_it(place: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no regular file") as fault:
        Store.open(tmp_path / place, Clock())
    assert "PROMPTREG_STORE" in str(fault.value.hint)
    assert not Path(f"{place}-journal").exists()


def test_a_store_that_is_taken_away_is_noticed(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", Clock())
    assert not store.gone
    (tmp_path / "store").unlink()
    assert store.gone
    Store.open(tmp_path / "store", Clock()).close()
    assert store.gone
    store.close()


def test_a_damaged_page_is_reported_when_met(tmp_path: Path) -> None:
    path = tmp_path / "s"
    store = Store.open(path, lambda: NOW)
    with store.batch():
        for slot in range(200):
            store.put(KEY, slot, Completion(text=f"{slot} " * 300))
    store.close()
    content = bytearray(path.read_bytes())
    content[3 * 4096 :] = b"\xa5" * (len(content) - 3 * 4096)
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="damaged"):
        Store.open(path, lambda: NOW).known([Fingerprint(KEY, slot) for slot in range(200)])


def test_a_garbled_value_is_reported(store: Store) -> None:
    store.put(KEY, 0, Completion(text="fine"))
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE observations SET value = ?", (b"x\x9c garbage",))
    db.close()
    with pytest.raises(StoreError, match="damaged"):
        store.known([FIRST])


def test_a_full_disk_is_said_and_what_was_stored_stays(store: Store, clock: Clock) -> None:
    store.put(KEY, 0, Completion(text="kept"))
    store._db.execute("PRAGMA max_page_count = 20")  # SQLite's own way to play a full disk
    noise = random.Random(1)

    def fill() -> None:
        for slot in range(1, 200):
            with store.batch():
                store.put(KEY, slot, Completion(text=noise.randbytes(4000).hex()))

    with pytest.raises(StoreError, match="full") as caught:
        fill()
    assert "room" in str(caught.value.hint)
    assert store.known([FIRST])[FIRST].text == "kept"


WRITER = """
    import sys, time
    from pathlib import Path
    from promptreg.core.run import CallKey, Completion, Fingerprint
    from promptreg.store import Store
    path, name = Path(sys.argv[1]), sys.argv[2]
    store = Store.open(path, time.time)
    won = 0
    for number in range(300):
        key = CallKey(f"key{number}")
        if store.claim(Fingerprint(key), name, 60):
            won += 1
            store.put(key, 0, Completion(text=name))
    print(won)
"""


def test_processes_share_a_new_store(tmp_path: Path) -> None:
    script = textwrap.dedent(WRITER)
    command = [sys.executable, "-c", script, str(tmp_path / "d" / "s")]
    started = [subprocess.Popen([*command, f"p{number}"], stdout=subprocess.PIPE, text=True) for number in range(4)]
    won = [int(process.communicate(timeout=60)[0]) for process in started]
    assert sum(won) == 300
    store = Store.open(tmp_path / "d" / "s", lambda: NOW)
    assert store.stats()["answers"] == 300
    store.close()


def test_a_killed_writer_loses_nothing_committed(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from promptreg.core.run import CallKey, Completion
        from promptreg.store import Store
        store = Store.open(Path(sys.argv[1]), time.time)
        for number in range(10**6):
            with store.batch():
                store.put(CallKey(f"key{number}"), 0, Completion(text="x"))
            print(number, flush=True)
    """)
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "s")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) == 50:
            process.kill()
            break
    said = 50 + len(process.stdout.read().splitlines())
    process.wait()
    process.stdout.close()
    store = Store.open(tmp_path / "s", lambda: NOW)
    keys = [Fingerprint(CallKey(f"key{number}")) for number in range(said)]
    assert len(store.known(keys)) == said
    store.close()
