"""Calls → completions: concurrency, retries, rate limits, budget; the only place in the house where two things happen at once.

*Execute* in the sentence. It drives tasks (`core.run.Task`) and answers what they ask: from the store when the answer is known,
else from a provider. It knows no suite, no prompt and no metric. One thread drives: it alone touches tasks, store, budget and
progress; worker threads do nothing but call providers.
"""

from __future__ import annotations

from promptreg.core.plan import Budget
from promptreg.execute.clock import Clock
from promptreg.execute.executor import Executor
from promptreg.execute.lane import TIMEOUT_S, Lane
from promptreg.execute.ledger import Spent
from promptreg.execute.pace import Patience
from promptreg.execute.progress import Progress, Silent

__all__ = ["TIMEOUT_S", "Budget", "Clock", "Executor", "Lane", "Patience", "Progress", "Silent", "Spent"]
