"""`--record` and `--replay`: answers into a file, and runs that ask nobody."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Literal

from promptreg import documents
from promptreg.core.canonical import Digest, Json
from promptreg.core.protocols import Provider
from promptreg.core.recording import recording_row
from promptreg.core.run import Call, Completion, Failure
from promptreg.errors import Interrupted, UsageError


class Recorder:
    """Writes every answer of a run to one recording, under each alias of the model that gave it.

    The rows go to a neighbour of the file, which takes its place when the run is over, complete or interrupted: an old
    recording is never half overwritten, and a run that fails, or ends before its first answer, leaves it as it was.
    """

    def __init__(self, path: Path, aliases: Mapping[Digest, Sequence[str]]) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        self._aliases = aliases  # by model identity digest: two aliases of one model share its answers
        self._seen: set[str] = set()

    def __enter__(self) -> Recorder:
        if self._path.exists() and not self._path.is_file():
            raise UsageError(
                f"{self._path} is no regular file", hint="a recording takes its file's place when it is whole: name a file"
            )
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._part.open("wb")
        return self

    def add(self, call: Call, completion: Completion) -> None:
        """One row for each alias; an answer that several cases share is written once."""
        name = f"{call.key}/{call.slot}"
        if name not in self._seen:
            self._seen.add(name)
            for alias in self._aliases[call.model.digest]:
                row = documents.encode_json(recording_row(call, completion, alias)) + b"\n"
                with self._faults():
                    self._file.write(row)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            with self._faults():
                self._file.close()
                if error is None or (self._seen and isinstance(error, Interrupted | KeyboardInterrupt)):
                    os.replace(self._part, self._path)
        except UsageError:
            if error is None:
                raise  # else the error that came first says more
        finally:
            self._part.unlink(missing_ok=True)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            hint = "make room, or name another file; answers that the store has are not asked for again"
            raise UsageError(f"{self._path} cannot be written: {fault.strerror}", hint=hint) from fault


class Offline:
    """A provider that is never asked: in a replay, what the store does not know is missing."""

    name: ClassVar[str] = "offline"
    Options: ClassVar[type] = object

    def __init__(self, real: Provider) -> None:
        self._real = real
        self.identity: Mapping[str, Json] = real.identity
        self.stored = real.stored
        self.keyed_by: Literal["messages", "case"] = real.keyed_by
        self.concurrency = real.concurrency

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:  # noqa: ARG002
        return Failure(kind="no_recording", message="no answer is known, and a replay asks nobody")

    def close(self) -> None:
        self._real.close()


def offline(provider: Provider) -> Provider:
    """*provider* as a replay sees it: recordings answer for themselves, all others are silent."""
    return provider if not provider.stored else Offline(provider)
