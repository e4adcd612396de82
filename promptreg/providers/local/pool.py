"""Engines and who may talk to them: a call takes a seat, and gives it back. Knows no request and no answer."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Final

from promptreg.providers.local.serving import Serving

GRACE_S: Final = 30.0  # for a chunk of a large model's prompt; a small one's takes a fraction of a second


def shared_start(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@dataclass(slots=True, eq=False)
class Engine:
    """A running server, and how many calls it is working on."""

    server: Any
    busy: int = 0


@dataclass(slots=True, eq=False)
class Seat:
    """One of an engine's slots: the question whose tokens its cache holds, and how many those are (0: not known)."""

    engine: Engine
    slot: int
    question: str = ""
    tokens: int = 0
    taken: bool = False
    turn: int = 0  # when it was last given away

    def worth(self, question: str) -> tuple[int, int, int]:
        """What speaks for this seat: an idle engine, then a cache that holds much of the question, then long disuse."""
        shared = shared_start(self.question, question)
        return (-self.engine.busy, shared if shared * 4 > len(question) else 0, -self.turn)


class Pool:
    """Up to *size* engines, each with `batch` seats to be taken at once; whoever finds none free waits."""

    def __init__(self, serving: Serving, size: int) -> None:
        self._serving, self._size, self._batch = serving, size, serving.serve.batch
        self.capacity = size * self._batch
        self.closed = False
        self._seats: list[Seat] = []
        self._engines = 0  # running or starting
        self._workers: list[threading.Thread] = []
        self._turn = 0
        self._change = threading.Condition()

    def take(self, question: str) -> Seat | None:
        """The free seat that suits the question best; None once the pool is closed."""
        with self._change:
            while not self.closed:
                free = [seat for seat in self._seats if not seat.taken and seat.engine.busy < self._batch]
                if free:
                    return self._give_away(max(free, key=lambda seat: seat.worth(question)))
                if self._engines < self._size:
                    self._engines += 1
                    break
                self._change.wait()
            else:
                return None
        return self._add()

    def _give_away(self, seat: Seat) -> Seat:
        self._turn += 1
        seat.taken, seat.turn = True, self._turn
        seat.engine.busy += 1
        return seat

    def _add(self) -> Seat | None:
        """Starts an engine outside the lock: the others go on answering meanwhile."""
        server = None
        seats: list[Seat] = []
        try:
            server = self._serving.start()
        finally:
            with self._change:
                if server is None or self.closed:
                    self._engines -= 1
                    server = None
                else:
                    engine = Engine(server)
                    seats = [Seat(engine, slot) for slot in range(self._serving.slots)]
                    self._seats += seats
                    self._give_away(seats[0])
                self._change.notify_all()
        return seats[0] if seats else None

    def give(self, seat: Seat) -> None:
        with self._change:
            seat.taken = False
            seat.engine.busy -= 1
            self._change.notify_all()

    def work(self, worker: threading.Thread) -> bool:
        """Starts a thread that talks to an engine, and which `close` waits for; False once the pool is closed."""
        with self._change:
            if not self.closed:
                # Known before it starts: Ctrl-C may come in the middle of starting.
                self._workers = [other for other in self._workers if other.is_alive()] + [worker]
                worker.start()
            return not self.closed

    def close(self) -> None:
        """Ends the calls under way, waits for their threads, and destroys the engines here and now.

        An engine that was still computing, or that the last thread to name it destroyed, while the process ends takes it down with
        a segmentation fault.
        """
        with self._change:
            self.closed = True
            self._change.notify_all()
            self._change.wait_for(lambda: not any(seat.taken for seat in self._seats), GRACE_S)
            workers, engines = list(self._workers), {id(seat.engine): seat.engine for seat in self._seats}
        for worker in workers:
            if worker.is_alive():
                worker.join(GRACE_S)
        for engine in engines.values():
            engine.server = None
        with self._change:
            self._seats.clear()
