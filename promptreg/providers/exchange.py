"""One request to a chat API and what its reply means, the same for all that speak JSON over HTTP.

Knows no single API: a provider brings the request's body and the reading of a reply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.protocols import ProviderContext
from promptreg.core.run import Completion, Failure
from promptreg.http import Endpoint, Http, Reply, complaint
from promptreg.providers import wire

CONNECTIONS = 256  # at least as many as anybody asks for at once; each is opened only when needed
REFUSED = frozenset({400, 413, 422})  # statuses by which a server refuses this very request


@dataclass(frozen=True, slots=True)
class Exchange:
    """An endpoint and the connections to it. Safe to use from several threads at once."""

    endpoint: Endpoint
    http: Http

    @classmethod
    def of(cls, endpoint: Endpoint, spec: ModelSpec, context: ProviderContext) -> Exchange:
        return cls(endpoint, Http(max(CONNECTIONS, spec.limits.concurrency or 0), context.env))

    def identity(self) -> dict[str, Json]:
        """What of the address can change an answer."""
        facts: dict[str, Json] = {"origin": self.endpoint.origin}
        if self.endpoint.literal:
            facts["headers"] = dict(self.endpoint.literal)
        return facts

    def ask(
        self, body: Callable[[], Mapping[str, Any]], read: Callable[[Mapping[str, Any], float], Completion], timeout_s: float
    ) -> Completion | Failure:
        """One request, one answer. Nothing of the far side raises.

        *body* raises ValueError for what the API cannot say; *read* gets a reply's object and the seconds it took, and raises
        Garbled for one that is no answer.
        """
        try:
            asked = body()
        except ValueError as fault:
            return Failure(kind="request", message=str(fault))
        reply = self.endpoint.post(self.http, wire.encode(asked), timeout_s)
        if isinstance(reply, Failure):
            return reply
        if reply.status != 200:
            unanswerable = wire.unanswerable(*complaint(reply.body)) if reply.status in REFUSED else None
            return unanswerable or self.endpoint.failure(reply)
        try:
            return read(wire.decode(reply.body), reply.elapsed_s)
        except wire.Garbled as fault:
            return Failure(kind="garbled", message=self._garbled(fault, reply), retryable=True)

    def _garbled(self, fault: wire.Garbled, reply: Reply) -> str:
        """With the server's own words, where it says 200 and means an error."""
        said = complaint(reply.body)[0] if b'"error"' in reply.body else ""
        return f"{fault}: {self.endpoint.masked(said)}" if said else str(fault)
