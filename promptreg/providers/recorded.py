"""Answers from a JSON Lines recording: replay without keys, and other people's published runs (core/recording.py has the format).

Memory holds where each row begins, never the rows: a hundred thousand of them take about 20 MB.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.protocols import ProviderContext
from promptreg.core.recording import Format, KeyedBy, Matched, RowKey, recorded, same_answer
from promptreg.core.run import BASELINE, Call, Completion, Failure
from promptreg.documents.json import decode_json
from promptreg.errors import DataError, UsageError, Where

ROW_LIMIT = 16 * 1024 * 1024  # bytes of one row
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedOptions:
    """The keys of a catalogue entry with `provider: recorded`."""

    recording: str  # a JSON Lines file, relative to the registry
    match: tuple[Matched, ...] = ()  # what must match besides the messages
    case: str | None = None  # the column that holds the case's id, where rows are to be keyed by it
    ignore: tuple[str, ...] = ()  # columns that look like misspelt ones and are not


class Recorded:
    """One model's answers, as one recording holds them."""

    name: ClassVar[str] = "recorded"
    Options: ClassVar[type] = RecordedOptions

    stored = False
    keyed_by: KeyedBy
    matches: frozenset[str]  # what of a call chooses its answer; a gate asks only what the recording was made for
    concurrency = 1  # a look-up takes 30 µs: no worker is worth that

    def __init__(self, spec: ModelSpec, options: RecordedOptions, context: ProviderContext) -> None:
        self._model = spec.model
        self._name = options.recording
        self._format = Format(match=tuple(options.match), case=options.case, ignore=tuple(options.ignore))
        self._lock = threading.Lock()
        with ExitStack() as on_error:
            self._file = on_error.enter_context(
                _opened(context.root / options.recording, options.recording, spec.place("recording"))
            )
            self.keyed_by, self._offsets = self._index(spec)
            on_error.pop_all()
        self.matches = frozenset((self.keyed_by, *options.match))
        self.identity: dict[str, Json] = {"recording": options.recording}
        if options.match:
            self.identity["match"] = list(options.match)

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:  # noqa: ARG002 - a disk has no timeout
        """The recorded answer to *call*'s messages (or case) and sample slot."""
        slot = call.slot % BASELINE  # a recording answers either side
        offset = self._offsets.get(self._format.call_key(call, self.keyed_by, slot=slot))
        if offset is None:
            return self._missing(call)
        completion = recorded(self._row(offset))
        if completion is None:
            return Failure(kind="no_recording", message=f"{self._name} says that {self._model} gave no answer to this call")
        return completion

    def close(self) -> None:
        self._file.close()

    def _missing(self, call: Call) -> Failure:
        asked = f"case '{call.case}'" if self.keyed_by == "case" else f"these messages ({_excerpt(call)})"
        slot = call.slot % BASELINE
        elsewhere = slot and self._format.call_key(call, self.keyed_by, slot=0) in self._offsets
        sample = f", sample {slot}" if elsewhere else ""
        return Failure(kind="no_recording", message=f"{self._name} holds no answer of {self._model} to {asked}{sample}")

    def _row(self, offset: int) -> Mapping[str, Any]:
        with self._lock:
            self._file.seek(offset)
            line = self._file.readline(ROW_LIMIT)
        row: Mapping[str, Any] = decode_json(line)
        return row

    def _index(self, spec: ModelSpec) -> tuple[KeyedBy, dict[RowKey, int]]:
        """Every row of this model by its key, each of them checked. Raises DataError naming file and line."""
        offsets: dict[RowKey, int] = {}
        keyed_by: KeyedBy | None = None
        models: set[str] = set()
        for number, offset, line in _lines(self._file, self._name):
            where = Where(self._name, number)
            row = _decoded(line, where)
            models.add(row["model"])
            if row["model"] != self._model:
                continue
            try:
                keyed_by = self._one_key(row, keyed_by)
                self._enter(offsets, row, offset)
            except UsageError as fault:
                raise DataError(fault.message, where=where, hint=fault.hint) from fault
            except RecursionError as fault:
                raise DataError("the row is nested too deeply", where=where) from fault
        if keyed_by is None:
            raise _no_rows(self._name, spec, models)
        return keyed_by, offsets

    def _one_key(self, row: Mapping[str, Any], before: KeyedBy | None) -> KeyedBy:
        self._format.check_columns(row)
        keyed_by = self._format.keyed_by(row)
        if before not in (None, keyed_by):
            raise DataError(
                f"this row is keyed by {keyed_by}, the rows before it by {before}",
                hint="give every row of a model the same key, or name the case's column with `case:` beside `recording:`",
            )
        return keyed_by

    def _enter(self, offsets: dict[RowKey, int], row: Mapping[str, Any], offset: int) -> None:
        recorded(row)
        first = offsets.setdefault(self._format.row_key(row), offset)
        if first == offset:
            return
        other = self._row(first)
        if not same_answer(row, other):
            differs = [name for name in ("params", "tools", "output_schema") if row.get(name) != other.get(name)]
            raise DataError(
                "an earlier row answers the same call differently",
                hint=f"add `match: [{', '.join(differs)}]` beside `recording:`"
                if differs
                else "number them: `repeat: 0`, `repeat: 1` …",
            )


def _opened(path: Path, name: str, where: Where) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as fault:
        raise UsageError(
            f"the recording {name} cannot be read: {fault.strerror}",
            where=where,
            hint="the path is relative to the registry; `promptreg run --record FILE` writes one",
        ) from fault


def _lines(file: BinaryIO, name: str) -> Iterator[tuple[int, int, bytes]]:
    """Number (from 1), offset and bytes of every line that is not blank."""
    offset = len(_BOM) if file.read(len(_BOM)) == _BOM else 0
    number = 0
    while True:
        file.seek(offset)
        line = file.readline(ROW_LIMIT)
        if not line:
            return
        number += 1
        if len(line) == ROW_LIMIT:
            raise DataError(f"the row is longer than {ROW_LIMIT // 2**20} MiB", where=Where(name, number))
        if line.strip():
            yield number, offset, line
        offset += len(line)


def _decoded(line: bytes, where: Where) -> Mapping[str, Any]:
    try:
        row = decode_json(line)
    except ValueError as fault:
        raise DataError(
            f"the row is not JSON: {fault}", where=where, hint="a recording has one JSON object on each line"
        ) from fault
    if not isinstance(row, dict):
        raise DataError("the row is not a JSON object", where=where)
    if not isinstance(row.get("model"), str):
        raise DataError("the row has no 'model'", where=where, hint="every row names the model that answered")
    return row


def _no_rows(name: str, spec: ModelSpec, models: set[str]) -> DataError:
    known = ", ".join(sorted(models)[:8])
    hint = f"it has: {known}{' …' if len(models) > 8 else ''}" if models else "the file holds no rows"
    return DataError(f"{name} holds no answer of the model '{spec.model}'", where=spec.place("model"), hint=hint)


def _excerpt(call: Call) -> str:
    text = " ".join(call.messages[-1].text.split()) if call.messages else ""
    return repr(text if len(text) <= 60 else text[:59] + "…")
