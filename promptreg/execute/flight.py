"""A task under way, and a call on its way from being asked for to being answered. Plain records of the driving thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from promptreg.core.plan import Tokens
from promptreg.core.run import Call, Fingerprint, Outcome, Task

if TYPE_CHECKING:
    from promptreg.execute.lane import Traffic
    from promptreg.execute.workers import Attempt

FIRST_POLL_S = 0.05  # how soon to look again for an answer that another process is getting
LAST_POLL_S = 1.0
NOTHING = Tokens(0, 0)


@dataclass(slots=True, eq=False)
class Entry:
    """A task in line, and its outcome once it has one."""

    task: Task
    outcome: Outcome | None = None


@dataclass(slots=True, eq=False)
class Flight:
    """One call, however many tasks wait for it and however often it is tried."""

    call: Call
    fingerprint: Fingerprint
    traffic: Traffic
    waiting: list[Entry]
    tokens: Tokens = NOTHING
    usd: float = 0.0  # estimated, and reserved while the call is out
    tries: int = 0
    refusals: int = 0
    sent: bool = False
    claimed: bool = False
    poll_s: float = FIRST_POLL_S
    attempt: Attempt | None = field(default=None)
