"""The only door to urllib3: one JSON request out, one reply back, or a Failure that says what went wrong.

Part of *execute* in the sentence. It knows no model API and no prompt. It makes each request exactly once: retries, rate limits and
budgets belong to `execute`. It follows no redirect, because a redirect could carry a key to another host.
"""

from __future__ import annotations

from promptreg.http.endpoint import Address, Endpoint, endpoint
from promptreg.http.replies import Reply, complaint
from promptreg.http.transport import Http

__all__ = ["Address", "Endpoint", "Http", "Reply", "complaint", "endpoint"]
