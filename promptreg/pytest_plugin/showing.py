"""What a failing item shows: the prompt's messages, the answer, each check's reason and a diff. Never a Python traceback.

Answers are foreign text: hidden characters are made visible, and no answer is longer than somebody reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptreg.core.diff import word_diff
from promptreg.core.excerpt import expected_text, one_line, visible
from promptreg.core.run import Outcome
from promptreg.errors import PromptregError

SHOWN = 4_000  # characters of one message or answer
LINES = 60  # of them
MESSAGES = 12
SAMPLES = 3
REASON = 400
MARKS = {"same": ("", ""), "gone": ("[-", "-]"), "new": ("{+", "+}")}


def told(fault: PromptregError) -> str:
    """An error as the command line shows it: what, where, what to do; all of them."""
    return "\n".join(_complaint(fault))


def _complaint(fault: PromptregError) -> Iterator[str]:
    for each in (fault, *fault.more):
        yield f"error: {visible(each.message)}"
        if each.where is not None:
            yield f"  at {visible(str(each.where))}"
        if each.hint:
            yield f"  hint: {visible(each.hint)}"


def failing(outcomes: Sequence[Outcome]) -> str:
    """Why these samples of one case failed."""
    return "\n".join(line for outcome in outcomes[:SAMPLES] for line in _sample(outcome)) + _more(
        len(outcomes) - SAMPLES, "samples"
    )


def broken(outcomes: Sequence[Outcome]) -> str:
    """Why these samples of one case have no verdict."""
    first = outcomes[0]
    where = f" ({first.case.where})" if first.case.where else ""
    failures = [each.failure for each in outcomes if each.failure]
    said = [f"{failure.kind}: {one_line(failure.message, REASON)}" for failure in failures] or ["a check could not be measured"]
    return visible(f"no answer of {first.model} to the case '{first.case.id}'{where}\n" + "\n".join(dict.fromkeys(said)))


def _sample(outcome: Outcome) -> Iterator[str]:
    case = outcome.case
    slot = f", sample {outcome.call.slot + 1}" if outcome.call.slot else ""
    yield visible(f"{outcome.prompt} on {outcome.model}, case '{case.id}'{slot}" + (f" ({case.where})" if case.where else ""))
    for message in outcome.call.messages[:MESSAGES]:
        yield from _block(message.role, message.text)
    if len(outcome.call.messages) > MESSAGES:
        yield _more(len(outcome.call.messages) - MESSAGES, "messages").lstrip()
    answer = outcome.completion.text if outcome.completion else ""
    yield from _block("answer", answer)
    for check in outcome.checks:
        sign = "✓" if check.passed else "✗" if check.required else "–"
        yield f"{sign} {one_line(check.label, REASON)}: {one_line(check.reason, REASON) or f'{check.value:.3g}'}"
    yield from _difference(outcome, answer)


def _difference(outcome: Outcome, answer: str) -> Iterator[str]:
    if outcome.case.expected is None:
        return
    pieces = word_diff(expected_text(outcome.case.expected, answer)[:SHOWN], answer[:SHOWN])
    yield from _block("expected → answer", "".join(MARKS[piece.kind][0] + piece.text + MARKS[piece.kind][1] for piece in pieces))


def _block(title: str, text: str) -> Iterator[str]:
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]} … [{len(text) - SHOWN:,} more characters]"
    lines = visible(cut).split("\n")
    yield f"{title}:"
    for line in lines[:LINES]:
        yield f"  │ {line}"
    if len(lines) > LINES:
        yield f"  │ … [{len(lines) - LINES:,} more lines]"


def _more(count: int, noun: str) -> str:
    return f"\nand {count} more {noun}" if count > 0 else ""
