"""The error tree. Each branch owns one exit code, and every error says what, where and what to do.

    PromptregError            3  our bug, unless a branch below says otherwise
    ├── UsageError            2  the user can fix it: flags, settings, revision
    │   ├── NoRegistryError   2  there is no promptreg.yaml here or above
    │   ├── DocumentError     2  a YAML file is not what its format says
    │   ├── DataError         2  a dataset or a recording has a faulty row
    │   ├── TemplateError     2  a template is faulty, endless, or lacks a variable
    │   ├── StoreError        2  the store is corrupt, too new, or cannot be written
    │   ├── BundleError       2  a bundle cannot be fetched, is not what its digest says, or is of another format
    │   │   └── BundleUntrusted 2  a bundle's signature is missing, does not fit it, or is by nobody among the signers
    │   ├── PullError         2  a source cannot be reached, or offers what is not taken: links, submodules, odd names, too much
    │   ├── TrustError        2  what was pulled is not what the lock, its tag or its signature says, or nobody can tell
    │   │   ├── LockTampered  2  promptreg.lock is not what its own digest says
    │   │   ├── FileChanged   2  a pulled file is not the one that the lock names, or is unknown to it
    │   │   │   └── FileMissing 2  a pulled file that the lock names is not there
    │   │   ├── TagMoved      2  the source has another object under the tag that the lock names
    │   │   ├── TagForged     2  a tag says other than its object does, or its signature does not fit it
    │   │   ├── TagUnsigned   2  a tag of a source whose signers are named has no signature
    │   │   └── UnknownSigner 2  a tag is signed by somebody who is not among the source's signers
    │   ├── ConflictError     2  somebody else tagged the same event first; doing it again works
    │   └── WeightsError      2  model weights are missing, not accepted, or not the pinned bytes
    ├── Unmeasured            4  no verdict could be reached
    │   └── BudgetExceeded    4  the plan costs more than the budget allows
    └── Interrupted         130  Ctrl-C; what was paid for is kept

A regression (exit code 1) is a verdict, never an exception. A provider's failure is data (`core.run.Failure`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar, Literal, TypeAlias

Reason: TypeAlias = Literal[
    "provider_down",
    "missing_answers",
    "model_moved",
    "budget",
    "coverage",
    "judge_changed",
    "no_suite",
    "no_recording",
    "untrusted_change",
]  # why there is no verdict: all there are, for programs that read `--json`


class ExitCode(IntEnum):
    """What a process tells its caller, like diff(1): 0 same, 1 different, more is trouble."""

    OK = 0
    REGRESSION = 1
    USAGE = 2
    INTERNAL = 3
    UNMEASURED = 4
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a file the user wrote; lines and columns count from 1, 0 means unknown."""

    path: str
    line: int = 0
    column: int = 0
    key: str = ""

    def __str__(self) -> str:
        place = self.path
        if self.line:
            place += f":{self.line}" + (f":{self.column}" if self.column else "")
        return f"{place}, key '{self.key}'" if self.key else place


class PromptregError(Exception):
    """One complaint: *message*, *where* it is and a *hint* how to mend it; *more* holds further complaints of the same reading."""

    exit_code: ClassVar[ExitCode] = ExitCode.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        where: Where | None = None,
        hint: str | None = None,
        more: tuple[PromptregError, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint
        self.more = more

    def __str__(self) -> str:
        return self.message if self.where is None else f"{self.where}: {self.message}"


class UsageError(PromptregError):
    """The user can fix it."""

    exit_code = ExitCode.USAGE


class NoRegistryError(UsageError):
    """There is no promptreg.yaml here or above."""


class DocumentError(UsageError):
    """A YAML file is not what its format says."""


class DataError(UsageError):
    """A dataset or a recording has a faulty row."""


class TemplateError(UsageError):
    """A template is faulty, endless, or lacks a variable."""


class StoreError(UsageError):
    """The store is corrupt, written by a newer promptreg, or cannot be written."""


class BundleError(UsageError):
    """A bundle cannot be fetched, is not what its digest says, or is of another format."""


class BundleUntrusted(BundleError):
    """A bundle's signature is missing, does not fit it, or is by nobody among the signers; or nobody can tell."""


class PullError(UsageError):
    """A source cannot be reached, or offers what is not taken: links, submodules, odd names, too much."""


class TrustError(UsageError):
    """What was pulled is not what the lock, its tag or its signature says, or nobody can tell."""

    reason: ClassVar[str] = "unverified"


class LockTampered(TrustError):
    """promptreg.lock is not what its own digest says, or not as promptreg writes it."""

    reason = "lock_tampered"


class FileChanged(TrustError):
    """A pulled file is not the one that the lock names, or is unknown to it."""

    reason = "file_changed"


class FileMissing(FileChanged):
    """A pulled file that the lock names is not there."""

    reason = "file_missing"


class TagMoved(TrustError):
    """The source has another object under the tag that the lock names, or none."""

    reason = "tag_moved"


class TagForged(TrustError):
    """A tag says other than its object does, or its signature does not fit it."""

    reason = "tag_forged"


class TagUnsigned(TrustError):
    """A tag of a source whose signers are named has no signature."""

    reason = "tag_unsigned"


class UnknownSigner(TrustError):
    """A tag is signed by somebody who is not among the source's signers."""

    reason = "unknown_signer"


class ConflictError(UsageError):
    """Somebody else tagged the same event first; doing it again works."""


class WeightsError(UsageError):
    """Model weights are missing, their terms not accepted, or not the pinned bytes."""


class Unmeasured(PromptregError):
    """No verdict could be reached; *reason* is one word for programs."""

    exit_code = ExitCode.UNMEASURED

    def __init__(self, message: str, *, reason: Reason, where: Where | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=where, hint=hint)
        self.reason = reason


class BudgetExceeded(Unmeasured):
    """The plan costs more than the budget allows, or the run has spent it."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, reason="budget", hint=hint)


class Interrupted(PromptregError):
    """Ctrl-C; what was paid for is kept."""

    exit_code = ExitCode.INTERRUPTED
