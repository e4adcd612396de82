"""What was spent, and whether the budget allows more. Knows no time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptreg.core.catalogue import Price, cost
from promptreg.core.plan import Budget
from promptreg.core.run import Completion, Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """A run's account. `usd` and tokens are those of answers received now, as far as they are known."""

    calls_made: int = 0  # calls that were sent to a provider, each counted once however often it was retried
    calls_known: int = 0  # requests answered without asking anybody
    calls_failed: int = 0  # calls that ended without an answer
    retries: int = 0
    usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


May: TypeAlias = Literal["go", "wait"] | Failure


class Ledger:
    """The running account of an executor, under a budget. Calls in flight are reserved at their estimate."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.made = self.known = self.failed = self.retries = 0
        self.answers = 0
        self._usd = 0.0
        self._reserved = 0.0
        self._input = self._output = 0

    def may(self, estimate_usd: float) -> May:
        """Whether a first try may go out now, should wait for the price of those in flight, or is refused."""
        allowed = self.budget
        if allowed.calls is not None and self.made >= allowed.calls:
            return Failure(kind="budget", message=f"the budget of {allowed.calls:,} calls is used up")
        if allowed.usd is None or self._usd + self._reserved + estimate_usd <= allowed.usd:
            return "go"
        if self._reserved > 0 and self._usd + estimate_usd <= allowed.usd:
            return "wait"
        return Failure(kind="budget", message=f"the budget of ${allowed.usd:.4f} is used up (${self._usd:.4f} spent)")

    def sent(self, estimate_usd: float) -> None:
        self.made += 1
        self._reserved += estimate_usd

    def not_asked(self) -> None:
        """The provider turned out to be a replay that knows no answer: nobody was asked."""
        self.made -= 1

    def settled(self, estimate_usd: float) -> None:
        """A call that was sent has ended: its reservation with it."""
        self._reserved = max(0.0, self._reserved - estimate_usd)

    def received(self, completion: Completion, price: Price | None) -> float | None:
        """Books an answer; its price in dollars, if known."""
        usd = cost(price, completion)
        self.answers += 1
        self._usd += usd or 0.0
        self._input += completion.usage.input_tokens or 0
        self._output += completion.usage.output_tokens or 0
        return usd

    @property
    def spent(self) -> Spent:
        return Spent(
            calls_made=self.made,
            calls_known=self.known,
            calls_failed=self.failed,
            retries=self.retries,
            usd=self._usd,
            input_tokens=self._input,
            output_tokens=self._output,
        )
