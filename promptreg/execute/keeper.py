"""The store's side of a run: what is known, whose call it is, what must be kept. Knows no provider and no pace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptreg.core.canonical import Digest
from promptreg.core.run import Completion, Fingerprint, Score
from promptreg.errors import DataError
from promptreg.execute.flight import Flight
from promptreg.execute.owner import is_gone, new_owner
from promptreg.store import Store


@dataclass(frozen=True, slots=True)
class Claimed:
    """What became of flights that were to be claimed."""

    mine: list[Flight]
    known: list[tuple[Flight, Completion]]
    elsewhere: list[Flight]


class Keeper:
    """One owner's dealings with a store, or with none."""

    def __init__(self, store: Store | None, lease_s: float) -> None:
        self._store = store
        self._owner = new_owner()
        self._lease_s = lease_s
        self._held = 0
        self._claimed = False
        self._renew_at = float("-inf")
        self._scores: dict[Digest, Score] = {}

    def known(self, flights: Sequence[Flight]) -> dict[Fingerprint, Completion]:
        """Answers that are there already."""
        stored = [flight for flight in flights if flight.traffic.stored]
        found: dict[Fingerprint, Completion] = {}
        if self._store is not None:
            for since in {flight.traffic.lane.since for flight in stored}:
                names = [flight.fingerprint for flight in stored if flight.traffic.lane.since == since]
                found.update(self._store.known(names, since=since))
        return found

    def claim(self, flights: Sequence[Flight]) -> Claimed:
        """Claims what is not claimed yet. A holder may have answered and let go since the last look: hence another look."""
        store = self._store
        if store is None or all(flight.claimed or not flight.traffic.stored for flight in flights):
            return Claimed(list(flights), [], [])
        out = Claimed([], [], [])
        self._claimed = True  # before the first claim: an interrupt may come before anything else is written down
        with store.batch():
            found = self.known([flight for flight in flights if not flight.claimed])
            for flight in flights:
                if flight.fingerprint in found:
                    out.known.append((flight, found[flight.fingerprint]))
                elif flight.claimed or not flight.traffic.stored or store.claim(flight.fingerprint, self._owner, self._lease_s):
                    self._held += flight.traffic.stored and not flight.claimed
                    flight.claimed = flight.traffic.stored
                    out.mine.append(flight)
                else:
                    out.elsewhere.append(flight)
        return out

    def bury(self) -> bool:
        """Lets go what dead processes of this machine held; whether there were any."""
        store = self._store
        gone = [] if store is None else [owner for owner in store.owners() if is_gone(owner)]
        for owner in gone:
            store.release_all(owner)  # type: ignore[union-attr]
        return bool(gone)

    def keep(self, answers: Sequence[tuple[Flight, Completion]], ended: Sequence[Flight]) -> dict[Flight, DataError]:
        """Commits the answers, and gives back the claims of all that *ended*, in one transaction. Returns what cannot be kept."""
        store = self._store
        refused: dict[Flight, DataError] = {}
        if store is None or not (answers or ended):
            return refused
        with store.batch():
            for flight, completion in answers:
                try:
                    if flight.traffic.stored:
                        store.put(flight.call.key, flight.call.slot, completion)
                except DataError as fault:
                    refused[flight] = fault
            for flight in ended:
                if flight.claimed:
                    store.release(flight.fingerprint, self._owner)
                    flight.claimed = False
                    self._held -= 1
        return refused

    def score(self, key: Digest) -> Score | None:
        if self._store is None:
            return None
        return self._scores.get(key) or self._store.score(key)

    def remember(self, key: Digest, score: Score) -> None:
        """Kept at the next `flush`: a transaction each would cost more than most metrics."""
        if self._store is not None:
            self._scores[key] = score

    def flush(self) -> None:
        if self._scores and self._store is not None:
            with self._store.batch():
                for key, score in self._scores.items():
                    self._store.put_score(key, score)
            self._scores.clear()

    def renew(self, now: float) -> None:
        """Begins the leases anew when a third of their time has passed."""
        if self._held and self._store is not None and now >= self._renew_at:
            self._store.renew(self._owner, self._lease_s)
            self._renew_at = now + self._lease_s / 3

    @property
    def renew_s(self) -> float:
        """How long a run may sleep without losing its leases."""
        return self._lease_s / 3 if self._held else float("inf")

    def let_go(self) -> None:
        """Gives back everything, and leaves no transaction open."""
        if self._store is not None:
            self._store.commit()
            if self._claimed:
                self._store.release_all(self._owner)
            self._claimed = False
            self._held = 0
