"""Completions by fingerprint and scores by content, in one SQLite file that several processes may share.

Serves *plan* (what is known) and *execute* (what was received) in the sentence. It knows no provider, no suite and no price; it
keeps observations (call key, slot, time, reported model) and never overwrites one, so that a verdict can always read the oldest.

Values are JSON, the longer ones deflated. The journal is a write-ahead log with synchronous=NORMAL: a killed process loses nothing
that was committed; a machine that loses power may lose the last moments, never the file. A write-ahead log needs memory that its
users share, so the file must lie on a local disk: on NFS give every machine a store of its own.

All methods may be called from any thread, one at a time: a lock sees to it.
"""

from __future__ import annotations

import sqlite3
import stat
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import RLock
from typing import Any

from promptreg.core.canonical import Digest, Json
from promptreg.core.run import CallKey, Completion, Fingerprint, Score
from promptreg.documents import decode_json, encode_json
from promptreg.errors import DataError, StoreError, Where

SCHEMA = "promptreg/store/1"
BUSY_S = 30.0  # how long a writer waits for another process; the worst single write of 4 processes measured here was 0.13 s
DEFLATE_FROM = 1024  # bytes; below, deflating costs more time (40 µs, most of it zlib's set-up) than the disk is worth
VALUE_LIMIT = 256 * 1024 * 1024  # bytes of one inflated value; a deflate bomb stops here
ALWAYS = float("-inf")

TABLES = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE observations (
    call_key TEXT NOT NULL, slot INTEGER NOT NULL, observed_at REAL NOT NULL, reported_model TEXT, value BLOB NOT NULL,
    UNIQUE (call_key, slot, observed_at)
);
CREATE TABLE scores (score_key TEXT PRIMARY KEY, value REAL NOT NULL, reason TEXT NOT NULL, scored_at REAL NOT NULL);
CREATE TABLE claims (
    call_key TEXT NOT NULL, slot INTEGER NOT NULL, owner TEXT NOT NULL, expires REAL NOT NULL, PRIMARY KEY (call_key, slot)
) WITHOUT ROWID;
"""
KNOWN = "SELECT {} FROM observations WHERE call_key = ? AND slot = ? AND observed_at >= ? ORDER BY observed_at LIMIT 1"
CLAIM = """
INSERT INTO claims VALUES (?, ?, ?, ?) ON CONFLICT (call_key, slot) DO UPDATE SET owner = excluded.owner, expires = excluded.expires
WHERE claims.owner = excluded.owner OR claims.expires <= ?
"""


class Batch:
    """`with store.batch():`; inner ones join the outermost.

    An interrupt can come between any two calls. So the depth is written last on the way in and first on the way out, without a call
    in between: a transaction that is open at depth 0 is one that an interrupt left, and the next batch commits it.
    """

    __slots__ = ("_depth", "_store")

    def __init__(self, store: Store) -> None:
        self._store = store
        self._depth = 0

    def __enter__(self) -> None:
        self._store._lock.acquire()
        try:
            if not self._depth:
                self._store.commit()
                self._store._run("BEGIN IMMEDIATE")
            self._depth += 1
        except BaseException:
            self._store._lock.release()
            raise

    def __exit__(self, kind: object, fault: object, trace: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                self._store.commit()  # after a full disk there is nothing to commit: SQLite has rolled back
        finally:
            self._store._lock.release()


class Store:
    """The store of one registry; `Store.open` makes or opens it. Every method raises StoreError, with path and remedy."""

    def __init__(self, path: Path, db: sqlite3.Connection, clock: Callable[[], float]) -> None:
        self.path = path
        self._db = db
        self._clock = clock
        self._lock = RLock()
        self._faults = _Faults(path)
        self._batch = Batch(self)
        self._closed = False
        self._file = _file_of(path)

    @classmethod
    def open(cls, path: Path, clock: Callable[[], float]) -> Store:
        """The store at *path*, created with its directory when absent; *clock* gives seconds since the epoch."""
        with _Faults(path), ExitStack() as on_error:
            _refuse_devices(path)
            _make_directory(path.parent)
            db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            on_error.callback(db.close)
            _prepare(db, path)
            on_error.pop_all()
        return cls(path, db, clock)

    def known(self, fingerprints: Sequence[Fingerprint], *, since: float | None = None) -> dict[Fingerprint, Completion]:
        """For each fingerprint that has one, its oldest observation not older than *since* (seconds since the epoch)."""
        found: dict[Fingerprint, Completion] = {}
        for fingerprint, (value,) in self._oldest("value", fingerprints, since):
            found[fingerprint] = self._completion(value)
        return found

    def has(self, fingerprints: Sequence[Fingerprint], *, since: float | None = None) -> set[Fingerprint]:
        """Which of the fingerprints `known` would answer, without reading the answers."""
        return {fingerprint for fingerprint, _ in self._oldest("1", fingerprints, since)}

    def slots(self, call_key: CallKey, *, since: float | None = None) -> tuple[int, ...]:
        """The sample slots of *call_key* that hold an observation, ascending."""
        query = "SELECT DISTINCT slot FROM observations WHERE call_key = ? AND observed_at >= ? ORDER BY slot"
        return tuple(row[0] for row in self._rows(query, (call_key, _after(since))))

    def put(self, call_key: CallKey, slot: int, completion: Completion) -> None:
        """Keep one observation. Without `observed_at` it counts as seen now. DataError if its text is no Unicode text."""
        if completion.observed_at is None:
            completion = replace(completion, observed_at=self._clock())
        try:
            value = _deflate(encode_json(completion.as_json()))
        except (ValueError, TypeError) as fault:
            raise DataError(f"an answer cannot be written as JSON: {fault}") from fault
        row = (call_key, slot, completion.observed_at, completion.reported_model, value)
        self._run("INSERT OR IGNORE INTO observations VALUES (?, ?, ?, ?, ?)", row)

    def score(self, key: Digest) -> Score | None:
        """The stored score, or None."""
        rows = self._rows("SELECT value, reason FROM scores WHERE score_key = ?", (key,))
        return Score(value=rows[0][0], reason=rows[0][1]) if rows else None

    def put_score(self, key: Digest, score: Score) -> None:
        """Keep a score; the first one kept under a key stands."""
        self._run("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)", (key, score.value, score.reason, self._clock()))

    def claim(self, fingerprint: Fingerprint, owner: str, lease_s: float) -> bool:
        """Whether *owner* may make this call now: nobody else holds it, or its lease of *lease_s* seconds has ended."""
        now = self._clock()
        with self.batch():
            return self._run(CLAIM, (fingerprint.key, fingerprint.slot, owner, now + lease_s, now)) > 0

    def renew(self, owner: str, lease_s: float) -> None:
        """Begin the leases of all that *owner* holds anew."""
        self._run("UPDATE claims SET expires = ? WHERE owner = ?", (self._clock() + lease_s, owner))

    def release(self, fingerprint: Fingerprint, owner: str) -> None:
        """Give one claim back, if it is still *owner*'s."""
        query = "DELETE FROM claims WHERE call_key = ? AND slot = ? AND owner = ?"
        self._run(query, (fingerprint.key, fingerprint.slot, owner))

    def release_all(self, owner: str) -> None:
        """Give back everything *owner* holds."""
        self._run("DELETE FROM claims WHERE owner = ?", (owner,))

    def owners(self) -> frozenset[str]:
        """Who holds a claim whose lease has not ended."""
        return frozenset(row[0] for row in self._rows("SELECT DISTINCT owner FROM claims WHERE expires > ?", (self._clock(),)))

    def stats(self) -> dict[str, Json]:
        """What the store holds: answers, distinct calls, scores, bytes on disk, the oldest and newest answer, answers by model."""
        count, calls, oldest, newest = self._rows(
            "SELECT count(*), count(DISTINCT call_key), min(observed_at), max(observed_at) FROM observations"
        )[0]
        models = self._rows("SELECT coalesce(reported_model, ''), count(*) FROM observations GROUP BY 1 ORDER BY 2 DESC, 1")
        files = (self.path, self.path.with_name(self.path.name + "-wal"))
        return {
            "answers": count,
            "calls": calls,
            "scores": self._rows("SELECT count(*) FROM scores")[0][0],
            "bytes": sum(file.stat().st_size for file in files if file.exists()),
            "oldest": oldest,
            "newest": newest,
            "models": {name or "(unreported)": number for name, number in models},
        }

    def prune(self, *, older_than: float) -> int:
        """Drop answers and scores from before *older_than* (seconds since the epoch); the number of answers dropped."""
        with self.batch():
            dropped = self._run("DELETE FROM observations WHERE observed_at < ?", (older_than,))
            self._run("DELETE FROM scores WHERE scored_at < ?", (older_than,))
        self._shrink()
        return dropped

    def batch(self) -> Batch:
        """Everything inside is one transaction, nobody else writing meanwhile. Ends with a commit even when interrupted: each
        statement stands for itself, and an answer that was paid for is kept."""
        return self._batch

    def commit(self) -> None:
        """Ends a transaction that an interrupt left open; otherwise does nothing."""
        with self._lock:
            if self._db.in_transaction:
                self._run("COMMIT")

    @property
    def gone(self) -> bool:
        """Whether somebody took the file away, or put another in its place: what is put here will not be found again."""
        return _file_of(self.path) != self._file

    def close(self) -> None:
        """Let go of the file; further use is an error. Closing twice is fine."""
        with self._lock, self._faults:
            if not self._closed:
                self._closed = True
                self.commit()
                self._db.close()

    def _oldest(
        self, column: str, fingerprints: Sequence[Fingerprint], since: float | None
    ) -> Iterable[tuple[Fingerprint, tuple[bytes]]]:
        # One indexed look-up for each is as fast as one large query (7 µs), and knows no limit on the number of variables.
        query, after = KNOWN.format(column), _after(since)
        with self._lock, self._faults:
            execute = self._db.execute
            rows = [(each, execute(query, (each.key, each.slot, after)).fetchone()) for each in fingerprints]
        return ((each, row) for each, row in rows if row is not None)

    def _completion(self, value: bytes) -> Completion:
        try:
            return Completion.from_json(decode_json(_inflate(value)))
        except (zlib.error, ValueError, KeyError, TypeError, AttributeError) as fault:
            raise _damaged(self.path, "an answer in it cannot be read") from fault

    def _run(self, query: str, values: tuple[object, ...] = ()) -> int:
        with self._lock, self._faults:
            return self._db.execute(query, values).rowcount

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        with self._lock, self._faults:
            return self._db.execute(query, values).fetchall()

    def _shrink(self) -> None:
        try:
            self._run("VACUUM")
            self._run("PRAGMA wal_checkpoint(TRUNCATE)")
        except StoreError as fault:
            if not (isinstance(fault.__cause__, sqlite3.Error) and _code(fault.__cause__) == sqlite3.SQLITE_BUSY):
                raise  # while another process reads, the room is reused instead of given back


def _after(since: float | None) -> float:
    return ALWAYS if since is None else since


def _deflate(text: bytes) -> bytes:
    return text if len(text) < DEFLATE_FROM else zlib.compress(text, 1)


def _inflate(value: bytes) -> bytes:
    if value.startswith(b"{"):  # no deflated value does
        return value
    inflater = zlib.decompressobj()
    text = inflater.decompress(value, VALUE_LIMIT)
    if not inflater.eof:
        raise ValueError("it is cut off or too large")
    return text


def _file_of(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _refuse_devices(path: Path) -> None:
    """SQLite would write its journals beside /dev/null."""
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise _unusable(path, "it is no regular file")


def _make_directory(directory: Path) -> None:
    """With its parents; a new `.promptreg` tells Git to look away."""
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    if directory.name == ".promptreg":
        (directory / ".gitignore").write_text("*\n", encoding="ascii")


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Look before anything is written: a file that is not ours stays as it is."""
    if _schema(db, path) is None:
        _write_ahead(db)
        db.execute("BEGIN IMMEDIATE")
        if _schema(db, path) is None:  # another process may have been faster
            for statement in TABLES.split(";"):
                db.execute(statement)
            db.execute("INSERT INTO meta VALUES ('schema', ?)", (SCHEMA,))
        db.execute("COMMIT")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute("DELETE FROM claims WHERE expires < 0")  # a file that cannot be written should say so now, not after the first call


def _schema(db: sqlite3.Connection, path: Path) -> str | None:
    """Our schema if the file has it, None if the file is empty; StoreError for anything else."""
    tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return None
    row = db.execute("SELECT value FROM meta WHERE name = 'schema'").fetchone() if "meta" in tables else None
    if row is None or not str(row[0]).startswith("promptreg/store/"):
        raise StoreError(
            "this database is not a store of promptreg", where=Where(str(path)), hint="name another file by PROMPTREG_STORE"
        )
    if row[0] != SCHEMA:
        raise StoreError(
            f"the store has the schema {row[0]}; this promptreg reads {SCHEMA}",
            where=Where(str(path)),
            hint="use the promptreg that wrote it (upgrade this one), or name another file by PROMPTREG_STORE",
        )
    return SCHEMA


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switching the journal needs the file alone, and SQLite does not wait for that by itself."""
    for _ in range(int(BUSY_S * 100)):
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as fault:
            if _code(fault) != sqlite3.SQLITE_BUSY:
                raise
            time.sleep(0.01)
    db.execute("PRAGMA journal_mode=WAL")


class _Faults:
    """SQLite's and the system's complaints as StoreError: what, where, and what to do."""

    __slots__ = ("path",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, fault: BaseException | None, trace: object) -> None:
        if isinstance(fault, sqlite3.Error):
            raise _explained(self.path, fault) from fault
        if isinstance(fault, OSError):
            raise _unusable(self.path, fault.strerror or str(fault)) from fault


def _explained(path: Path, fault: sqlite3.Error) -> StoreError:
    code = _code(fault)
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return _damaged(path, str(fault))
    if code == sqlite3.SQLITE_FULL:
        hint = "make room and run the same command again; every answer stored so far is kept"
        return StoreError("the disk of the store is full", where=Where(str(path)), hint=hint)
    if code == sqlite3.SQLITE_BUSY:
        hint = "another process is writing to it: wait for that one to end, then run again"
        return StoreError(f"the store stayed locked for {BUSY_S:.0f} seconds", where=Where(str(path)), hint=hint)
    return _unusable(path, str(fault))


def _unusable(path: Path, reason: str) -> StoreError:
    hint = "make its folder writable, name another file by PROMPTREG_STORE, or run with --no-store"
    return StoreError(f"the store cannot be used: {reason}", where=Where(str(path)), hint=hint)


def _damaged(path: Path, reason: str) -> StoreError:
    hint = f"restore it from a copy, or move it away (mv '{path}' '{path}.damaged'): its answers will then be asked for anew"
    return StoreError(f"the store is damaged: {reason}", where=Where(str(path)), hint=hint)


def _code(fault: sqlite3.Error) -> int:
    return int(getattr(fault, "sqlite_errorcode", 0) or 0) & 0xFF  # the primary code, without its extension
