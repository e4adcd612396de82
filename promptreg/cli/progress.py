"""What a person sees of a long run: one living line on a terminal, a plain line now and then in CI, nothing when quiet."""

from __future__ import annotations

import contextlib
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from promptreg.cli.console import Console, count, tell

if TYPE_CHECKING:
    from promptreg.core.run import Call, Completion, Failure, Outcome
    from promptreg.execute import Progress

REDRAW_S = 0.1  # a terminal needs no more, and drawing costs time
LINE_S = 10.0  # between two plain lines in a log
QUIET_FIRST_S = 2.0  # a run that is over by then needs no line in a log
WIDTH = 24


@contextmanager
def progress_for(console: Console) -> Iterator[Progress]:
    """The watcher that fits this console; leaves the terminal's line clean."""
    from promptreg.execute import Silent

    if console.quiet:
        yield Silent()
        return
    watcher = Watcher(live=console.live)
    try:
        yield watcher
    finally:
        watcher.clear()


@dataclass(slots=True)
class Counts:
    total: int | None = None
    done: int = 0
    made: int = 0
    known: int = 0
    failed: int = 0
    retries: int = 0
    usd: float = 0.0


class Watcher:
    """Counts what `execute` tells and draws it."""

    def __init__(self, *, live: bool) -> None:
        self._live = live
        self._counts = Counts()
        self._began = self._drawn = time.monotonic()
        self._last_retry = ""

    def started(self, total: int | None) -> None:
        self._counts.total = total
        self._began = time.monotonic()

    def call_made(self, call: Call, completion: Completion, usd: float | None) -> None:  # noqa: ARG002
        self._counts.made += 1
        self._counts.usd += usd or 0.0
        self._draw()

    def call_known(self, call: Call, completion: Completion) -> None:  # noqa: ARG002
        self._counts.known += 1

    def call_failed(self, call: Call, failure: Failure) -> None:  # noqa: ARG002
        self._counts.failed += 1
        self._draw()

    def retrying(self, call: Call, failure: Failure, delay_s: float) -> None:  # noqa: ARG002
        self._counts.retries += 1
        self._draw()

    def finished(self, outcome: Outcome) -> None:  # noqa: ARG002
        self._counts.done += 1
        self._draw()

    def clear(self) -> None:
        """Takes the living line away."""
        if self._live:
            _draw_over("")

    def _draw(self) -> None:
        now = time.monotonic()
        if self._live and now - self._drawn >= REDRAW_S:
            self._drawn = now
            room = shutil.get_terminal_size().columns - 1  # a line that wraps cannot be taken away again
            _draw_over(self._line(now)[:room])
        elif not self._live and now - self._began >= QUIET_FIRST_S and now - self._drawn >= LINE_S:
            self._drawn = now
            tell(self._line(now))

    def _line(self, now: float) -> str:
        counts = self._counts
        parts = []
        if counts.total:
            share = counts.done / counts.total
            if self._live:
                filled = round(WIDTH * share)
                parts.append("━" * filled + "─" * (WIDTH - filled))
            parts.append(f"{counts.done:,}/{counts.total:,}")
        else:
            parts.append(f"{counts.done:,} done")
        parts.append(count(counts.made, "call"))
        if counts.known:
            parts.append(f"{counts.known:,} known")
        if counts.failed:
            parts.append(f"{counts.failed:,} failed")
        if counts.retries:
            parts.append(f"{counts.retries:,} retries")
        if counts.usd:
            parts.append(f"${counts.usd:.4f}")
        if counts.total and counts.done and counts.done < counts.total:
            left = (now - self._began) * (counts.total - counts.done) / counts.done
            parts.append(f"{clock(left)} left")
        return "  ".join(parts)


def clock(seconds: float) -> str:
    """1:05 or 2:03:04."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def _draw_over(line: str) -> None:
    """The living line anew. A terminal that went away takes no answer with it."""
    with contextlib.suppress(OSError):
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)
        sys.stderr.flush()
