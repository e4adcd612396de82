"""What a failing item shows: the prompt's messages, the answer, each check's reason and a diff. Never a Python traceback."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from promptreg.core.diff import word_diff
from promptreg.core.excerpt import one_line, visible
from promptreg.core.run import Outcome

SHOWN = 4_000  # characters of one message or answer
MARKS = {"same": ("", ""), "gone": ("[-", "-]"), "new": ("{+", "+}")}


def failing(outcomes: Sequence[Outcome]) -> str:
    """Why these samples of one case failed."""
    return "\n".join(line for outcome in outcomes[:3] for line in _sample(outcome)) + _more(len(outcomes) - 3)


def broken(outcomes: Sequence[Outcome]) -> str:
    """Why these samples of one case have no verdict."""
    kinds = [f"{outcome.failure.kind}: {one_line(outcome.failure.message, 400)}" for outcome in outcomes if outcome.failure]
    where = f" ({outcomes[0].case.where})" if outcomes[0].case.where else ""
    return visible(f"no answer to the case '{outcomes[0].case.id}'{where}\n" + "\n".join(dict.fromkeys(kinds)))


def _sample(outcome: Outcome) -> Iterator[str]:
    case = outcome.case
    slot = f", sample {outcome.call.slot + 1}" if outcome.call.slot else ""
    yield visible(f"{outcome.prompt} on {outcome.model}, case '{case.id}'{slot}" + (f" ({case.where})" if case.where else ""))
    for message in outcome.call.messages:
        yield from _block(message.role, message.text)
    answer = outcome.completion.text if outcome.completion else ""
    yield from _block("answer", answer)
    for check in outcome.checks:
        sign = "✓" if check.passed else "✗" if check.required else "–"
        yield visible(f"{sign} {check.label}: {one_line(check.reason, 400) or f'{check.value:.3g}'}")
    yield from _difference(outcome, answer)


def _difference(outcome: Outcome, answer: str) -> Iterator[str]:
    expected = outcome.case.expected
    if expected is None:
        return
    text = expected if isinstance(expected, str) else json.dumps(expected, ensure_ascii=False)
    pieces = word_diff(text[:SHOWN], answer[:SHOWN])
    yield from _block("expected → answer", "".join(MARKS[piece.kind][0] + piece.text + MARKS[piece.kind][1] for piece in pieces))


def _block(title: str, text: str) -> Iterator[str]:
    cut = text if len(text) <= SHOWN else f"{text[:SHOWN]} … [{len(text) - SHOWN:,} more characters]"
    yield f"{title}:"
    for line in cut.splitlines() or [""]:
        yield f"  │ {visible(line)}"


def _more(count: int) -> str:
    return f"\nand {count} more samples" if count > 0 else ""
