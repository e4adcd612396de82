"""One batch: all calls that the selected items need, made together on a thread of its own while the items report one by one.

The items wait for their own answers only. Knows no pytest.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeVar

from promptreg.core.grade import Job, grade
from promptreg.core.run import Outcome, Task
from promptreg.errors import Interrupted
from promptreg.execute import Executor
from promptreg.execute.clock import Clock

Event = TypeVar("Event")

WINDOW_PER_CALL = 4  # as `run`: enough that no model waits for another's
STOP_S = 10.0  # how long the end of a session waits for calls in flight, which the executor itself gives three seconds
LOOK_S = 0.1  # how soon a batch that waits for a model hears that nobody wants its answer any more


class Stoppable(Clock):
    """A clock that ends a run as Ctrl-C does, once *stop* was called: what has come is kept, what is in flight gets a moment."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._told = False

    def stop(self) -> None:
        self._stop.set()

    @property
    def stopping(self) -> bool:
        return self._stop.is_set()

    def wait(self, events: SimpleQueue[Event], timeout_s: float, running: int) -> Event | None:
        found = super().wait(events, min(timeout_s, LOOK_S), running)
        if found is None and self._stop.is_set() and not self._told:
            self._told = True  # the grace that follows waits, too
            raise KeyboardInterrupt
        return found


@dataclass(slots=True)
class _Slot:
    """The samples of one item: how many there will be, and those that have come."""

    wanted: int
    outcomes: list[Outcome] = field(default_factory=list)


class Batch:
    """`start`, then `result(key)` for each; `stop` when nobody wants more. *saw* is told each outcome, from the batch's thread.

    *clock* is the executor's.
    """

    def __init__(
        self,
        executor: Executor,
        clock: Stoppable,
        jobs: Mapping[Hashable, Sequence[Job]],
        saw: Callable[[Hashable, Outcome], None],
    ) -> None:
        self._executor = executor
        self._clock = clock
        self._jobs = dict(jobs)
        self._saw = saw
        self._slots = {key: _Slot(len(each)) for key, each in jobs.items()}
        self._arrived = threading.Condition()
        self._fault: BaseException | None = None
        self._over = False
        self._thread = threading.Thread(target=self._run, name="promptreg", daemon=True)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._slots

    def start(self) -> None:
        self._thread.start()

    @property
    def fault(self) -> BaseException | None:
        """What stopped the batch before its end, once it has ended."""
        if self._fault is None and any(len(slot.outcomes) < slot.wanted for slot in self._slots.values()):
            return Interrupted("the session ended before all answers came")
        return self._fault

    def result(self, key: Hashable) -> Sequence[Outcome]:
        """All samples of *key*, once they are there. Raises what stopped the batch."""
        slot = self._slots[key]
        with self._arrived:
            self._arrived.wait_for(lambda: len(slot.outcomes) >= slot.wanted or self._over)
            if len(slot.outcomes) < slot.wanted:
                raise self._fault or Interrupted("the session ended before this answer came")
            return tuple(slot.outcomes)

    def wait(self) -> None:
        """Until every answer is there. Raises what stopped the batch."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._over)
        if self._fault is not None:
            raise self._fault

    def stop(self) -> bool:
        """Asks for no more; what is in flight gets a moment, and is kept. Whether the batch has ended."""
        self._clock.stop()
        if self._thread.ident is not None:
            self._thread.join(STOP_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        owners: deque[Hashable] = deque()
        try:
            window = WINDOW_PER_CALL * sum(lane.concurrency for lane in self._executor.lanes.values())
            with closing(self._executor.run(self._tasks(owners), window)) as outcomes:
                for outcome in outcomes:
                    self._take(owners.popleft(), outcome)
                    if self._clock.stopping:
                        break
        except BaseException as fault:  # noqa: BLE001  told to whoever waits, on the thread that can raise it
            self._fault = fault
        finally:
            with self._arrived:
                self._over = True
                self._arrived.notify_all()

    def _tasks(self, owners: deque[Hashable]) -> Iterator[Task]:
        for key, jobs in self._jobs.items():
            for job in jobs:
                if self._clock.stopping:
                    return
                owners.append(key)
                yield grade(job)

    def _take(self, key: Hashable, outcome: Outcome) -> None:
        self._saw(key, outcome)
        with self._arrived:
            self._slots[key].outcomes.append(outcome)
            self._arrived.notify_all()
