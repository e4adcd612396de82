"""One run, driven from one thread: tasks in, outcomes out, in order.

    admit ─▶ think ─▶ look up ─▶ send ─▶ (workers) ─▶ settle ─▶ think …

Every turn does all of it for as many as are there, so that look-ups and transactions are shared. An answer is committed before any
task sees it. The truth about calls in flight is in `Traffic.running`, not in the queue of events: an interrupt between two
instructions can lose an event, never an answer.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count, islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from promptreg.core.plan import estimate
from promptreg.core.run import Call, Completion, Failure, Outcome, Recall, Received, Remember, Score, Task
from promptreg.errors import Interrupted, PromptregError
from promptreg.execute.flight import LAST_POLL_S, Entry, Flight
from promptreg.execute.lane import Traffic
from promptreg.execute.ledger import May
from promptreg.execute.workers import Attempt, Crew, ask

if TYPE_CHECKING:
    from promptreg.execute.executor import Executor

ADMITTED_TOGETHER = 64  # tasks begun before the first calls go out


class Drive:
    """The state of one run."""

    def __init__(self, executor: Executor, tasks: Iterable[Task], window: int) -> None:
        self._x = executor
        self._source: Iterator[Task] | None = iter(tasks)
        self._window = window
        self._line: deque[Entry] = deque()
        self._flights: dict[object, Flight] = {}
        self._answered: deque[tuple[Entry, Received | None]] = deque()
        self._asked: list[tuple[Entry, Call]] = []
        self._later: list[tuple[float, int, Flight]] = []  # a heap: retries, and calls that another process is making
        self._order = count()
        self._events: SimpleQueue[Attempt] = SimpleQueue()
        self._held_back = False  # the budget has a call wait for the price of others
        self._over = False

    def outcomes(self) -> Iterator[Outcome]:
        """Yields until the tasks are used up. However it ends, what was received is kept."""
        try:
            while self._admit() or self._line:
                self._think()
                self._send()
                while self._line and (outcome := self._line[0].outcome) is not None:
                    self._line.popleft()
                    self._x.progress.finished(outcome)
                    yield outcome
                if self._line and not self._answered:
                    self._receive(wait=self._source is None or len(self._line) >= self._window)
        except KeyboardInterrupt as stop:
            self._wind_down()
            kept = self._x.ledger.answers
            raise Interrupted(f"interrupted; {kept:,} answers received so far are kept", hint="run it again to go on") from stop
        finally:
            self._wind_down()

    def _admit(self) -> bool:
        """Takes some more tasks into the line, if it has room; whether it did."""
        room = min(self._window - len(self._line), ADMITTED_TOGETHER)
        if room <= 0 or self._source is None:
            return False
        fresh = [Entry(task) for task in islice(self._source, room)]
        if len(fresh) < room:
            self._source = None
        self._line.extend(fresh)
        self._answered.extend((entry, None) for entry in fresh)
        return bool(fresh)

    # ── tasks ──

    def _think(self) -> None:
        """Hands answers to their tasks and looks up what they ask for, until all of them wait for a provider or are done."""
        while self._answered or self._asked:
            while self._answered:
                entry, received = self._answered.popleft()
                self._advance(entry, received)
            asked, self._asked = self._asked, []
            if asked:
                self._look_up(asked)
        self._x.keeper.flush()

    def _advance(self, entry: Entry, answer: Received | Score | None) -> None:
        """Runs one task up to its next call or its end."""
        try:
            while True:
                request = entry.task.send(answer)
                if isinstance(request, Call):
                    self._asked.append((entry, request))
                    return
                answer = self._recall(request)
        except StopIteration as end:
            entry.outcome = end.value

    def _recall(self, request: Recall | Remember) -> Score | None:
        if isinstance(request, Recall):
            return self._x.keeper.score(request.key)
        self._x.keeper.remember(request.key, request.score)
        return None

    # ── what is known ──

    def _look_up(self, asked: Sequence[tuple[Entry, Call]]) -> None:
        """Answers what is known, joins what is in flight, makes the rest ready."""
        fresh = []
        for entry, call in asked:
            traffic = self._traffic(call)
            fingerprint = call.fingerprint
            flight = self._flights.get(fingerprint)
            if traffic.inline:
                self._answer_inline(entry, call, traffic)
            elif flight is not None:
                flight.waiting.append(entry)
            else:
                flight = self._flights[fingerprint] = Flight(call, fingerprint, traffic, [entry])
                fresh.append(flight)
        for flight in self._unknown(fresh):
            if flight.traffic.counts_tokens:
                flight.tokens = estimate(flight.call)
                flight.usd = flight.tokens.usd(flight.traffic.lane.price) if flight.traffic.stored else 0.0
            flight.traffic.ready.append(flight)

    def _traffic(self, call: Call) -> Traffic:
        try:
            return self._x.traffic[call.model.digest]
        except KeyError:
            raise PromptregError(f"a call names a model that has no lane: {dict(call.model.facts)}") from None

    def _answer_inline(self, entry: Entry, call: Call, traffic: Traffic) -> None:
        result = ask(traffic.lane.provider, call, traffic.lane.timeout_s)
        if isinstance(result, PromptregError):
            raise result
        if isinstance(result, Failure):
            self._x.ledger.failed += 1
        elif self._x.on_answer is not None:
            self._x.on_answer(call, result)
        self._tell(entry, call, result, known=True)

    def _unknown(self, flights: Sequence[Flight]) -> list[Flight]:
        """Those without an answer; the others are answered."""
        found = self._x.keeper.known(flights) if flights else {}
        for flight in flights:
            if flight.fingerprint in found:
                self._answer(flight, found[flight.fingerprint], known=True)
        return [flight for flight in flights if flight.fingerprint not in found]

    # ── answers ──

    def _answer(self, flight: Flight, result: Completion | Failure, *, known: bool, usd: float | None = None) -> None:
        """The flight is over: everybody who waited hears of it."""
        del self._flights[flight.fingerprint]
        if isinstance(result, Completion) and self._x.on_answer is not None:
            self._x.on_answer(flight.call, result)
        for entry in flight.waiting:
            self._tell(entry, flight.call, result, known=known, usd=usd)
            known = True  # it was asked for once; the others find it there

    def _tell(self, entry: Entry, call: Call, result: Completion | Failure, *, known: bool, usd: float | None = None) -> None:
        self._answered.append((entry, Received(result=result, known=known and isinstance(result, Completion))))
        if isinstance(result, Failure):
            self._x.progress.call_failed(call, result)
        elif known:
            self._x.ledger.known += 1
            self._x.progress.call_known(call, result)
        else:
            self._x.progress.call_made(call, result, usd)

    def _give_up(self, flights: Sequence[tuple[Flight, Failure]]) -> None:
        """No answer for these, and no further try."""
        self._x.keeper.keep((), [flight for flight, _ in flights if flight.claimed])
        for flight, failure in flights:
            self._settle_price(flight)
            if flight.sent and failure.kind == "no_recording":
                self._x.ledger.not_asked()
            self._x.ledger.failed += 1
            self._answer(flight, failure, known=False)

    def _settle_price(self, flight: Flight) -> None:
        if flight.sent:
            self._x.ledger.settled(flight.usd)

    # ── sending ──

    def _send(self) -> None:
        now = self._x.clock.now()
        self._held_back = False
        for traffic in self._x.traffic.values():
            if traffic.breaker.down is not None and traffic.breaker.wait_s(now) > 0:
                self._abandon(traffic, traffic.breaker.down)
            elif traffic.ready:
                self._send_lane(traffic, now)

    def _send_lane(self, traffic: Traffic, now: float) -> None:
        while traffic.ready:
            first = traffic.ready[0]
            may = self._may(first)
            room = min(traffic.room, len(traffic.ready))
            if isinstance(may, Failure):
                self._give_up([(traffic.ready.popleft(), may)])
                continue
            if may == "wait" or not room or traffic.wait_s(first.tokens, now) > 0:
                return
            if not self._send_some([traffic.ready.popleft() for _ in range(room)], traffic, now):
                return

    def _may(self, flight: Flight) -> May:
        """The budget's word. What was sent once is paid for, so that its retries may go."""
        may = "go" if flight.sent or not flight.traffic.stored else self._x.ledger.may(flight.usd)
        self._held_back |= may == "wait"
        return may

    def _send_some(self, flights: list[Flight], traffic: Traffic, now: float) -> bool:
        """Claims and sends what may go; whether all of it went or found its answer, so that more may follow."""
        claimed = self._x.keeper.claim(flights)
        for flight, completion in claimed.known:
            self._answer(flight, completion, known=True)
        for flight in claimed.elsewhere:
            self._postpone(flight, now + flight.poll_s)
            flight.poll_s = min(2 * flight.poll_s, LAST_POLL_S)
        mine = deque(claimed.mine)
        while mine:
            may = self._may(mine[0])
            if isinstance(may, Failure):
                self._give_up([(mine.popleft(), may)])
            elif may == "wait" or traffic.wait_s(mine[0].tokens, now) > 0:
                traffic.ready.extendleft(reversed(mine))
                return False
            else:
                self._begin(mine.popleft(), now)
        return True

    def _begin(self, flight: Flight, now: float) -> None:
        traffic = flight.traffic
        if traffic.stored and not flight.sent:
            self._x.ledger.sent(flight.usd)
            flight.sent = True
        traffic.take(flight.tokens, now)
        timeout_s = traffic.lane.timeout_s
        deadline = now + timeout_s + self._x.patience.deadline_grace_s
        attempt = Attempt(flight, flight.call, timeout_s, now, deadline, traffic.breaker.send())
        flight.attempt = attempt
        traffic.running[attempt] = None
        if traffic.crew is None:
            traffic.crew = Crew(traffic.lane.provider, self._events, self._x.clock.now)
        traffic.crew.give(attempt)

    def _postpone(self, flight: Flight, due: float) -> None:
        heapq.heappush(self._later, (due, next(self._order), flight))

    def _abandon(self, traffic: Traffic, failure: Failure) -> None:
        """The provider is down: what waits for it, fails."""
        waiting = [flight for _, _, flight in self._later if flight.traffic is traffic]
        if waiting:
            self._later = [each for each in self._later if each[2].traffic is not traffic]
            heapq.heapify(self._later)
        waiting.extend(traffic.ready)
        traffic.ready.clear()
        if waiting:
            self._give_up([(flight, failure) for flight in waiting])

    # ── receiving ──

    def _receive(self, *, wait: bool) -> None:
        """Takes what workers report, gives up what hangs, wakes what is due; waits for the first of these if told to."""
        clock = self._x.clock
        now = clock.now()
        arrived = self._arrived()
        if not arrived and wait:
            first = clock.wait(self._events, self._wait_s(now), self._running())
            arrived = [] if first is None else [first, *self._arrived()]
        now = clock.now()
        results = [(attempt, attempt.result) for attempt in arrived if self._back(attempt)]
        self._settle([(attempt, result) for attempt, result in results if result is not None], now)
        self._settle(self._hung(now), now)
        self._wake(now)
        self._x.keeper.renew(now)

    def _arrived(self) -> list[Attempt]:
        out = []
        try:
            while True:
                out.append(self._events.get_nowait())
        except Empty:
            return out

    def _back(self, attempt: Attempt) -> bool:
        """The worker is free again; whether its attempt still counts."""
        crew = attempt.flight.traffic.crew
        if crew is not None:
            crew.returned()
        return attempt.flight.attempt is attempt

    def _hung(self, now: float) -> list[tuple[Attempt, Failure]]:
        """Attempts beyond their deadline; those of a lane began in order and have one timeout, so the first tells."""
        out = []
        for traffic in self._x.traffic.values():
            for attempt in traffic.running:
                if attempt.deadline > now:
                    break
                if attempt.result is None:
                    message = f"no answer within {attempt.timeout_s:g} seconds, and the provider did not come back"
                    out.append((attempt, Failure(kind="timeout", message=message, retryable=True)))
        return out

    def _settle(self, results: Sequence[tuple[Attempt, Completion | Failure | PromptregError]], now: float) -> None:
        """Books what came back: answers are committed, then told; failures are tried again or end the flight."""
        answers = [(attempt, self._observed(attempt, result)) for attempt, result in results if isinstance(result, Completion)]
        failures = [(attempt, result) for attempt, result in results if isinstance(result, Failure)]
        if answers:
            flights = [attempt.flight for attempt, _ in answers]
            refused = self._x.keeper.keep([(attempt.flight, answer) for attempt, answer in answers], flights)
            for attempt, answer in answers:
                if attempt.flight in refused:
                    failures.append((attempt, Failure(kind="garbled", message=refused[attempt.flight].message)))
                else:
                    self._succeeded(attempt, answer, now)
        given_up = [(attempt.flight, failure) for attempt, failure in failures if not self._try_again(attempt, failure, now)]
        if given_up:
            self._give_up(given_up)
        for attempt, result in results:
            if isinstance(result, PromptregError):
                attempt.flight.traffic.landed(attempt)
                raise result

    def _observed(self, attempt: Attempt, completion: Completion) -> Completion:
        """With the time it was received and how long it took, where the provider does not say."""
        if completion.observed_at is None or completion.latency_s is None:
            seen = self._x.clock.wall() if completion.observed_at is None else completion.observed_at
            took = attempt.latency_s if completion.latency_s is None else completion.latency_s
            completion = attempt.result = replace(completion, observed_at=seen, latency_s=took)
        return completion

    def _succeeded(self, attempt: Attempt, completion: Completion, now: float) -> None:
        flight, traffic = attempt.flight, attempt.flight.traffic
        traffic.landed(attempt)
        traffic.succeeded(flight.tokens, completion, now)
        self._settle_price(flight)
        usd = self._x.ledger.received(completion, traffic.lane.price) if traffic.stored else None
        self._answer(flight, completion, known=not traffic.stored, usd=usd)

    def _try_again(self, attempt: Attempt, failure: Failure, now: float) -> bool:
        """Postpones another try; False if there is none."""
        flight, traffic = attempt.flight, attempt.flight.traffic
        traffic.landed(attempt)
        traffic.failed(attempt, failure, now)
        delay = traffic.delay_s(flight, failure, self._x.chance)
        if delay is None:
            return False
        self._x.ledger.retries += 1
        self._x.progress.retrying(flight.call, failure, delay)
        self._postpone(flight, now + delay)
        return True

    def _wake(self, now: float) -> None:
        """What is due goes back among the ready, unless another process has found its answer meanwhile."""
        due = []
        while self._later and self._later[0][0] <= now:
            due.append(heapq.heappop(self._later)[2])
        elsewhere = [flight for flight in due if not flight.claimed and flight.traffic.stored]
        if elsewhere:
            self._x.keeper.bury()
            self._unknown(elsewhere)
        for flight in due:
            if flight.fingerprint in self._flights:
                flight.traffic.ready.appendleft(flight)

    # ── waiting and ending ──

    def _running(self) -> int:
        return sum(traffic.crew.busy for traffic in self._x.traffic.values() if traffic.crew is not None)

    def _wait_s(self, now: float) -> float:
        """Seconds until something is due by itself."""
        wait = self._x.keeper.renew_s
        if self._later:
            wait = min(wait, self._later[0][0] - now)
        for traffic in self._x.traffic.values():
            if traffic.running:
                wait = min(wait, next(iter(traffic.running)).deadline - now)
            if traffic.ready and traffic.room and not self._held_back:
                wait = min(wait, traffic.wait_s(traffic.ready[0].tokens, now))
        return max(0.0, wait)

    def _wind_down(self) -> None:
        """Keeps what has come, gives what is in flight a short grace, sends the workers home. Does so once."""
        if self._over:
            return
        self._over = True
        try:
            self._await_grace()
            self._keep_all()
            self._x.keeper.flush()
        finally:
            for flight in self._flights.values():
                self._settle_price(flight)
            for traffic in self._x.traffic.values():
                traffic.clear()
            self._x.keeper.let_go()

    def _await_grace(self) -> None:
        clock = self._x.clock
        end = clock.now() + self._x.patience.grace_s
        try:
            while (left := end - clock.now()) > 0 and self._outstanding():
                clock.wait(self._events, left, self._running())
        except KeyboardInterrupt:
            return  # who presses Ctrl-C twice does not want to wait

    def _outstanding(self) -> bool:
        return any(attempt.result is None for traffic in self._x.traffic.values() for attempt in traffic.running)

    def _keep_all(self) -> None:
        """Answers that no task will see any more; the next run finds them."""
        landed = [attempt for traffic in self._x.traffic.values() for attempt in traffic.running]
        answers = [(each, self._observed(each, each.result)) for each in landed if isinstance(each.result, Completion)]
        self._x.keeper.keep([(each.flight, answer) for each, answer in answers], [])
        for each, answer in answers:
            usd = self._x.ledger.received(answer, each.flight.traffic.lane.price)
            self._x.progress.call_made(each.call, answer, usd)
            if self._x.on_answer is not None:
                self._x.on_answer(each.call, answer)
