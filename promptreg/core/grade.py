"""Grade: a case as one generator. It asks for its own call, then for its metrics' calls, and returns an Outcome.

It knows neither who answers nor when: `execute` drives it, and so does a list in a test.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import Enum
from typing import Any, TypeAlias, TypeVar

from promptreg.core.canonical import Digest, Json, digest
from promptreg.core.catalogue import Price, cost
from promptreg.core.check import Check
from promptreg.core.prompt import messages_digest
from promptreg.core.protocols import Answer, Grading, Metric
from promptreg.core.run import (
    Call,
    CheckResult,
    Completion,
    Failure,
    ModelIdentity,
    Outcome,
    Recall,
    Received,
    Remember,
    Score,
    Task,
)
from promptreg.core.suite import Case
from promptreg.errors import PromptregError, Unmeasured, UsageError

NEVER_ASKED = frozenset({"no_recording", "budget", "provider_down"})  # failures that cost nobody a call

_T = TypeVar("_T")
_Asking: TypeAlias = Generator[Call | Recall | Remember, Received | Score | None, _T]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One sample of one case on one model: what to ask and how to judge the answer."""

    prompt: str
    model: str  # the alias
    case: Case
    call: Call
    checks: tuple[Check, ...]
    price: Price | None = None
    metrics: tuple[Metric, ...] = ()  # of the checks, their options rendered for this case; empty: `grade` renders them
    judge_slot: int = 0  # added to the slots of the metrics' own calls; other than 0, scores are neither recalled nor remembered


@dataclass(slots=True)
class _Calls:
    """How many calls of one case were answered anew, and how many from what was known."""

    made: int = 0
    known: int = 0


def grade(job: Job) -> Task:
    """Asks, scores, and returns what became of the case.

    Options are rendered before anybody is asked, so that a faulty row costs nothing: it raises UsageError at the first step.
    """
    metrics = job.metrics or [check.for_case(job.case) for check in job.checks]
    calls = _Calls()
    received = yield from _ask(job.call, calls)
    if isinstance(received, Failure):
        return _outcome(job, calls, failure=received)
    price = cost(job.price, received)
    answer = Answer(
        completion=received, case=job.case, messages=job.call.messages, cost_usd=price, output_schema=job.call.output_schema
    )
    results: list[CheckResult] = []
    for check, metric in zip(job.checks, metrics, strict=True):
        found = yield from _score(check, metric, answer, calls, job.judge_slot)
        if isinstance(found, Failure):
            failure = replace(found, message=f"check '{check.label}': {found.message}")
            return _outcome(job, calls, completion=received, cost_usd=price, failure=failure)
        results.append(check.result(found))
    return _outcome(
        job,
        calls,
        completion=received,
        cost_usd=price,
        checks=tuple(results),
        passed=all(result.passed for result in results if result.required),
        score=_mean(results) if results else None,
    )


def score_key(metric: Metric, answer: Answer) -> Digest:
    """The identity of a score: the metric with its rendered options, and what of the answer a stored score may depend on.

    That is its text, stop and tool calls, the messages, the case's inputs, expected answer and tags, and the output schema. Fields
    that a metric declares with `compare=False` take no part; a judge's model takes part by its identity.
    """
    case = answer.case
    facts: dict[str, Json] = {
        "metric": metric.name,
        "version": metric.version,
        "options": _fact(metric),
        "completion": answer.completion.content_digest(),
        "messages": messages_digest(answer.messages),
        "case": {"inputs": case.inputs, "expected": case.expected, "tags": case.tags},
        "output_schema": answer.output_schema,
    }
    return digest("promptreg/score/1", facts)


def _outcome(job: Job, calls: _Calls, **found: Any) -> Outcome:
    return Outcome(
        prompt=job.prompt, model=job.model, case=job.case, call=job.call, calls_made=calls.made, calls_known=calls.known, **found
    )


def _mean(results: Sequence[CheckResult]) -> float:
    return math.fsum(result.weight * result.value for result in results) / math.fsum(result.weight for result in results)


def _ask(call: Call, calls: _Calls) -> _Asking[Completion | Failure]:
    received = yield call
    assert isinstance(received, Received)
    if received.known:
        calls.known += 1
    elif not (isinstance(received.result, Failure) and received.result.kind in NEVER_ASKED):
        calls.made += 1
    return received.result


def _score(check: Check, metric: Metric, answer: Answer, calls: _Calls, shift: int) -> _Asking[Score | Failure]:
    """A metric's finding, from the store where such findings are worth storing. With a *shift* it is found anew, and not kept: the
    score of an answer is the one that was found first."""
    if shift or not metric.cached:
        return (yield from _drive(check, metric, answer, calls, shift))
    key = score_key(metric, answer)
    stored = yield Recall(key)
    if isinstance(stored, Score):
        return stored
    found = yield from _drive(check, metric, answer, calls, shift)
    if isinstance(found, Score):
        yield Remember(key, found)
    return found


def _drive(check: Check, metric: Metric, answer: Answer, calls: _Calls, shift: int) -> _Asking[Score | Failure]:
    """Passes a metric's calls on, *shift* slots further, and its answers back, until it finds a score or a call fails."""
    grading = _grading(metric, answer)
    step = _step(check, grading, None)
    while isinstance(step, Call):
        received = yield from _ask(replace(step, slot=step.slot + shift) if shift else step, calls)
        if isinstance(received, Failure):
            return received
        step = _step(check, grading, received)
    return step


def _grading(metric: Metric, answer: Answer) -> Grading:
    """Every metric as a generator, also one that just returns its Score."""
    found = metric.score(answer)
    return (yield from found) if isinstance(found, Generator) else found


def _step(check: Check, grading: Grading, received: Completion | None) -> Call | Score | Failure:
    """Runs a metric up to its next call or its score. What it raises is the plugin's fault, unless it names the user's."""
    name = check.spec.metric
    try:
        asked: object = next(grading) if received is None else grading.send(received)
        return asked if isinstance(asked, Call) else _fault(f"metric '{name}' asked for {_kind(asked)}, not a Call")
    except StopIteration as end:
        return _sound(name, end.value)
    except Unmeasured as fault:
        return Failure(kind="unmeasured", message=fault.message)
    except UsageError:
        raise
    except (Exception, SystemExit) as fault:  # noqa: BLE001  the plugin call
        return _fault(f"metric '{name}' raised {type(fault).__name__}: {fault}")


def _sound(name: str, found: object) -> Score | Failure:
    if not isinstance(found, Score):
        return _fault(f"metric '{name}' returned {_kind(found)}, not a Score")
    value: object = found.value
    if not isinstance(value, (int, float)) or not 0 <= value <= 1:
        return _fault(f"metric '{name}' returned the value {value!r}, which is not within 0 and 1")
    return found if isinstance(value, float) else replace(found, value=float(value))


def _fault(message: str) -> Failure:
    return Failure(kind="plugin", message=message)


def _kind(value: object) -> str:
    return f"a {type(value).__name__}"


def _fact(value: object) -> Json:
    """An option as JSON. Raises PromptregError for what has no lasting form."""
    if isinstance(value, ModelIdentity):
        return value.digest
    if isinstance(value, Enum):
        return {"enum": _fact(value.value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(name): _fact(item) for name, item in value.items()}
    if isinstance(value, Sequence):
        return [_fact(item) for item in value]
    if is_dataclass(value):
        return {item.name: _fact(getattr(value, item.name)) for item in fields(value) if item.compare}
    raise PromptregError(
        f"an option of the type {type(value).__name__} has no identity", hint="declare the field with compare=False"
    )
