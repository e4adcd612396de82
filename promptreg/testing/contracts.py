"""What every plugin must keep to, as functions that a plugin's own tests call."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import is_dataclass

from promptreg.core.canonical import canonical
from promptreg.core.prompt import Message
from promptreg.core.protocols import Provider
from promptreg.core.run import Call, Completion, Failure, ModelIdentity


def call_for(provider: Provider, text: str = "Say hello.", *, case: str = "case-1", slot: int = 0) -> Call:
    """A one-message call as `plan` would make it for *provider*."""
    identity = ModelIdentity(facts={"provider": provider.name, "model": "contract", **provider.identity})
    keyed = case if provider.keyed_by == "case" else None
    return Call(model=identity, messages=(Message(role="user", content=text),), case=keyed, slot=slot)


def provider_contract(
    provider: Provider, *, call: Call | None = None, timeout_s: float = 30.0, secrets: tuple[str, ...] = ()
) -> None:
    """Asserts what `execute` relies on. *call* must be one that the provider answers; it is made five times, four of them at once.

    *secrets* are keys the provider was given: none may show in its repr, its identity or its answers.
    """
    asked = call or call_for(provider)
    _describes_itself(provider)
    results = [provider.complete(asked, timeout_s), *_at_once(provider, asked, timeout_s)]
    for result in results:
        assert isinstance(result, Completion), f"{provider.name}: {result}"
        assert Completion.from_json(result.as_json()) == result, "a completion must survive being written and read"
        canonical(result.as_json())
        assert result.latency_s is None or result.latency_s >= 0
    shown = f"{provider!r} {provider} {provider.identity} {results} {vars(type(provider))}"
    assert not [secret for secret in secrets if secret in shown], "a key is shown"
    provider.close()
    provider.close()  # closing twice is fine


def failure_contract(result: Completion | Failure, *, secrets: tuple[str, ...] = ()) -> Failure:
    """Asserts that *result* is a failure fit for a report; returns it."""
    assert isinstance(result, Failure), f"expected a failure, got {result}"
    assert result.message
    assert "\n" not in result.message, "a failure's message is one line"
    assert result.retry_after_s is None or result.retry_after_s >= 0
    assert not [secret for secret in secrets if secret in repr(result)], "a key is shown"
    return result


def _describes_itself(provider: Provider) -> None:
    assert provider.name
    assert is_dataclass(provider.Options), "Options must be a dataclass"
    assert isinstance(provider.identity, Mapping)
    assert not {"provider", "model"} & set(provider.identity), "provider and model are added by promptreg"
    canonical(provider.identity)
    assert provider.keyed_by in ("messages", "case")
    assert isinstance(provider.stored, bool)
    assert provider.concurrency >= 1


def _at_once(provider: Provider, call: Call, timeout_s: float) -> list[Completion | Failure]:
    results: list[Completion | Failure] = []
    threads = [threading.Thread(target=lambda: results.append(provider.complete(call, timeout_s))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout_s)
    assert len(results) == len(threads), "complete() must return, from several threads at once, and never raise"
    return results
