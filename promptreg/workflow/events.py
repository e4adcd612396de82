"""What all events share: tags are read whole before anything is decided, and again after something was written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from promptreg.core.releases import Event, State
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.registry.plumbing import SHALLOW_HINT
from promptreg.registry.writing import Draft, Sending, fetch_tags, record


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """How events are made: *sign* says to sign them in any case; *remote* is where they go, empty for nowhere."""

    sign: bool = False
    remote: str = ""


def prepared(registry: Registry, act: Act) -> State:
    """The state that a decision may stand on: of all tags, also of those that the remote has. UsageError in a shallow clone."""
    history = registry.history
    if history.git.is_shallow:
        raise UsageError("releases and labels need all tags, and this is a shallow clone", hint=SHALLOW_HINT)
    if act.remote:
        fetch_tags(history.git, act.remote)
        history.forget()
    return history.state


def record_events(registry: Registry, drafts: Sequence[Draft], act: Act, along: Sequence[str] = ()) -> Mapping[str, str]:
    """Makes the tags, all or none; name to object id. What the tags say is read anew afterwards, also when somebody was faster."""
    if not drafts:
        return {}
    try:
        return record(registry.history.git, drafts, Sending(sign=act.sign, remote=act.remote, along=tuple(along)))
    finally:
        registry.history.forget()


def by_whom(event: Event) -> str:
    """`Ada <ada@example.org>, 2026-05-01 12:00 UTC`."""
    who = f"{event.by.tagger or 'somebody'} <{event.by.email}>" if event.by.email else event.by.tagger or "somebody"
    return f"{who}, {moment(event.time)}"


def moment(seconds: int) -> str:
    """When, to the second, in UTC."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "an impossible date"
