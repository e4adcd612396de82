"""The executor: what outlives one run, which is lanes, store, budget and pace. The run itself is `drive`."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from types import TracebackType

from promptreg.core.canonical import Digest
from promptreg.core.plan import Budget
from promptreg.core.run import Call, Completion, Fingerprint, Outcome, Task
from promptreg.errors import PromptregError
from promptreg.execute.clock import Clock
from promptreg.execute.drive import Drive
from promptreg.execute.keeper import Keeper
from promptreg.execute.lane import Lane, Traffic
from promptreg.execute.ledger import Ledger, Spent
from promptreg.execute.pace import Patience
from promptreg.execute.progress import Progress, Silent
from promptreg.store import Store

WINDOW = 512  # tasks under way when nobody says otherwise


@dataclass(slots=True, eq=False)
class Executor:
    """Makes the calls of tasks. *lanes* are keyed by `ModelIdentity.digest`; without a store every run asks anew.

    `on_answer` sees every answer once before it is handed on, known ones too. Use as a context manager, or call `close`.
    """

    lanes: Mapping[Digest, Lane]
    store: InitVar[Store | None] = None
    budget: InitVar[Budget | None] = None
    progress: Progress = field(default_factory=Silent)
    on_answer: Callable[[Call, Completion], None] | None = None
    patience: Patience = field(default_factory=Patience)
    clock: Clock = field(default_factory=Clock)
    chance: Callable[[], float] = random.random
    keeper: Keeper = field(init=False)
    ledger: Ledger = field(init=False)
    traffic: Mapping[Digest, Traffic] = field(init=False)
    _store: Store | None = field(init=False)
    _driving: bool = field(init=False, default=False)

    def __post_init__(self, store: Store | None, budget: Budget | None) -> None:
        self._store = store
        self.keeper = Keeper(store, self.patience.lease_s)
        self.ledger = Ledger(budget or Budget())
        now = self.clock.now()
        self.traffic = {name: Traffic(lane, self.patience, now) for name, lane in self.lanes.items()}

    def run(self, tasks: Iterable[Task], window: int = WINDOW, *, total: int | None = None) -> Generator[Outcome, None, None]:
        """The outcomes of *tasks*, in their order; at most *window* tasks are under way, and nothing starts before the first is
        asked for. A caller that stops early closes the iterator (contextlib.closing): what is in flight gets a moment and is kept.

        Raises Interrupted after Ctrl-C, StoreError, and whatever a task or a provider raises that is the user's to mend.
        """
        if self._driving:
            raise PromptregError("an executor makes one run at a time")
        self._driving = True
        try:
            self.progress.started(total)
            yield from Drive(self, tasks, max(1, window)).outcomes()
        finally:
            self._driving = False

    def known(self, calls: Sequence[Call]) -> Collection[Fingerprint]:
        """Which of the calls cost nothing now, for `core.plan`: stored answers, and all of providers that are not worth storing."""
        found: set[Fingerprint] = set()
        by_age: dict[float | None, list[Fingerprint]] = {}
        for call in calls:
            lane = self.lanes[call.model.digest]
            if lane.provider.stored:
                by_age.setdefault(lane.since, []).append(call.fingerprint)
            else:
                found.add(call.fingerprint)
        if self._store is not None:
            for since, fingerprints in by_age.items():
                found |= self._store.has(fingerprints, since=since)
        return found

    @property
    def spent(self) -> Spent:
        """The account of all runs of this executor."""
        return self.ledger.spent

    def close(self) -> None:
        """Gives back every claim. The lanes' providers belong to whoever made them."""
        self.keeper.let_go()

    def __enter__(self) -> Executor:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
