"""One batch: all calls that the selected items need, made together on a thread of its own while the items report one by one.

The items wait for their own answers only. Knows no pytest.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeAlias

from promptreg.core.grade import Job, grade
from promptreg.core.run import Outcome, Task
from promptreg.execute import Executor

Saw: TypeAlias = Callable[[Hashable, Outcome], None]

WINDOW_PER_CALL = 4  # as `run`: enough that no model waits for another's
STOP_S = 10.0  # how long the end of a session waits for calls in flight


@dataclass(slots=True)
class _Slot:
    """The samples of one item: how many there will be, and those that have come."""

    wanted: int
    outcomes: list[Outcome] = field(default_factory=list)


class Batch:
    """`start`, then `result(key)` for each; `stop` when nobody wants more. *saw* is told each outcome, from the batch's thread."""

    def __init__(
        self, executor: Executor, jobs: Mapping[Hashable, Sequence[Job]], saw: Callable[[Hashable, Outcome], None]
    ) -> None:
        self._executor = executor
        self._jobs = jobs
        self._saw = saw
        self._slots = {key: _Slot(len(each)) for key, each in jobs.items()}
        self._arrived = threading.Condition()
        self._fault: BaseException | None = None
        self._over = self._stopping = False
        self._thread = threading.Thread(target=self._run, name="promptreg", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def result(self, key: Hashable) -> Sequence[Outcome]:
        """All samples of *key*, once they are there. Raises what stopped the batch."""
        slot = self._slots[key]
        with self._arrived:
            self._arrived.wait_for(lambda: len(slot.outcomes) >= slot.wanted or self._over)
            if len(slot.outcomes) < slot.wanted:
                raise self._fault or RuntimeError("the batch was stopped before this answer came")
            return slot.outcomes

    def wait(self) -> None:
        """Until every answer is there. Raises what stopped the batch."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._over)
        if self._fault is not None:
            raise self._fault

    def stop(self) -> None:
        """Asks for no more; what is in flight gets a moment, and is kept."""
        self._stopping = True
        if self._thread.ident is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        owners: deque[Hashable] = deque()
        try:
            window = WINDOW_PER_CALL * sum(lane.concurrency for lane in self._executor.lanes.values())
            with closing(self._executor.run(self._tasks(owners), window)) as outcomes:
                for outcome in outcomes:
                    self._take(owners.popleft(), outcome)
                    if self._stopping:
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
                if self._stopping:
                    return
                owners.append(key)
                yield grade(job)

    def _take(self, key: Hashable, outcome: Outcome) -> None:
        self._saw(key, outcome)
        with self._arrived:
            self._slots[key].outcomes.append(outcome)
            self._arrived.notify_all()
