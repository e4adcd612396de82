"""The values that the runs branch holds. Part of `records`, whose docstring says where each lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from promptreg.core.canonical import Digest, Json, canonical, digest_bytes
from promptreg.core.records.places import RUNS, quoted, short
from promptreg.core.records.redaction import redacted, redacted_json
from promptreg.core.run import CallKey, Completion, FailureKind, Outcome, ToolCall
from promptreg.core.settings import Retention
from promptreg.core.suite import pair_key
from promptreg.core.verdict import Verdict
from promptreg.errors import UsageError

Purpose: TypeAlias = Literal["run", "check", "baseline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What answers are of: a suite's prompt, as it behaves, on a model, as it is. The alias only pairs base with head."""

    suite: str
    prompt: str
    behaviour: Digest
    alias: str
    identity: Digest

    @property
    def folder(self) -> str:
        """Where its records lie."""
        parts = (RUNS, quoted(self.suite), quoted(self.prompt), short(self.behaviour, 12))
        return "/".join((*parts, f"{quoted(self.alias)}-{short(self.identity, 8)}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckScore:
    """What one check said of an answer: its value after threshold and negation."""

    label: str
    value: float
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One sample of one case. Below full retention `content` is the digest of the answer, and `completion` has no or another text.

    `failure` says why no verdict of the case is known; then `completion` may be None.
    """

    case: str
    pair: Digest
    slot: int
    call: CallKey
    completion: Completion | None = None
    content: Digest | None = None
    passed: bool | None = None
    score: float | None = None
    checks: tuple[CheckScore, ...] = ()
    cost_usd: float | None = None
    failure: FailureKind | None = None

    @classmethod
    def of(cls, outcome: Outcome, retention: Retention) -> Recorded:
        """*outcome* as it is kept under *retention*. An answer that no JSON can carry is kept as a digest of what can be."""
        completion = outcome.completion
        kept, content = (None, None) if completion is None else _kept(completion, retention)
        return cls(
            case=outcome.case.id,
            pair=pair_key(outcome.case.inputs),
            slot=outcome.call.slot,
            call=outcome.call.key,
            completion=kept,
            content=content,
            passed=outcome.passed,
            score=outcome.score,
            checks=tuple(CheckScore(label=one.label, value=one.value, passed=one.passed) for one in outcome.checks),
            cost_usd=outcome.cost_usd,
            failure=outcome.failure.kind if outcome.failure else None,
        )

    @property
    def observation(self) -> tuple[CallKey, int, float | None]:
        """What names the answer in a store."""
        return self.call, self.slot, self.completion.observed_at if self.completion else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a record says before its first answer. `facts` are the model's identity, `params` the prompt's, `seed` the order's."""

    cell: Cell
    facts: Mapping[str, Json]
    suite_digest: Digest
    dataset_digest: Digest
    checks_digest: Digest
    params: Mapping[str, Json] = field(default_factory=dict)
    reported_models: tuple[str, ...] = ()
    version: str
    author: str
    created: str
    seed: str = ""
    retention: Retention = "full"
    purpose: Purpose = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One measurement: what was asked of one cell, and what came of it."""

    header: Header
    answers: tuple[Recorded, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictRecord:
    """A gate's verdict on exactly this behaviour. `digests` names what it rests on; `gate` is the gate as `check --json` has it."""

    prompt: str
    behaviour: Digest
    suite: str
    model: str
    verdict: Verdict
    base: str  # commits; empty where there is none
    head: str
    digests: Mapping[str, Digest]
    gate: Mapping[str, Json]
    version: str
    author: str
    created: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Somebody in a trusted context took a drop on purpose. `verdict` is the digest of the verdict's file, where there is one;
    `change` that of all that was compared: what is accepted of one base, model or suite is not of another."""

    prompt: str
    behaviour: Digest  # of head
    suite: str
    model: str
    base: str  # the commit
    reason: str
    author: str
    created: str
    verdict: Digest | None = None
    change: Digest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was dropped from the branch, by whom and when; paths of records."""

    dropped: tuple[str, ...]
    author: str
    created: str
    reason: str = ""


Kept: TypeAlias = Record | VerdictRecord | Acceptance | Manifest


def _kept(completion: Completion, retention: Retention) -> tuple[Completion, Digest | None]:
    """What of *completion* is kept, and the digest of the whole where that is less."""
    if retention == "full" and _is_json(completion.as_json()):
        return completion, None
    bare, content = replace(completion, text="", tool_calls=(), logprobs=None), _content(completion)
    if retention != "redacted":
        return bare, content
    text = completion.text.encode("utf-8", "replace").decode()  # half a character is no text
    calls = tuple(ToolCall(name=call.name, arguments=redacted_json(call.arguments)) for call in completion.tool_calls)
    return replace(bare, text=redacted(text), tool_calls=calls if _is_json([call.arguments for call in calls]) else ()), content


def _is_json(value: Json) -> bool:
    try:
        canonical(value)
    except UsageError:
        return False
    return True


def _content(completion: Completion) -> Digest:
    try:
        return completion.content_digest()
    except UsageError:
        return digest_bytes(completion.text.encode("utf-8", "surrogatepass"))
