"""For plugin authors and promptreg's own tests: a fake provider, an honest server, repositories, sample reports, the contracts."""

from __future__ import annotations

from promptreg.testing.checks import sample_case, sample_check, sample_comparison, sample_gate
from promptreg.testing.contracts import call_for, failure_contract, provider_contract
from promptreg.testing.fake import FakeProvider
from promptreg.testing.repository import RepositoryBuilder, small_registry
from promptreg.testing.server import Fault, LoopbackServer, Request, some_faults
from promptreg.testing.worse import assert_not_worse

__all__ = [
    "FakeProvider",
    "Fault",
    "LoopbackServer",
    "RepositoryBuilder",
    "Request",
    "assert_not_worse",
    "call_for",
    "failure_contract",
    "provider_contract",
    "sample_case",
    "sample_check",
    "sample_comparison",
    "sample_gate",
    "small_registry",
    "some_faults",
]
