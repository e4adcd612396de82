"""Where a command runs: the environment, and GitHub's own account of the event, which lies in a file. `core.ci` reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from promptreg.core.canonical import Json
from promptreg.core.ci import Surroundings, surroundings
from promptreg.errors import UsageError, Where

LIMIT = 32 << 20  # bytes of an event; GitHub cuts them at 25 MB


def read_surroundings(env: Mapping[str, str]) -> Surroundings:
    """What *env* and the event's file say. UsageError for an event that cannot be read: nobody could tell whose change this is."""
    return surroundings(env, read_event(env))


def read_event(env: Mapping[str, str]) -> Json:
    """The event's JSON at GitHub, None elsewhere. UsageError for a file that is not one."""
    path = env.get("GITHUB_EVENT_PATH", "").strip()
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            event: Json = json.loads(file.read(LIMIT))
    except (OSError, ValueError, RecursionError) as fault:
        raise UsageError("the event of this job cannot be read", where=Where(path), hint="GITHUB_EVENT_PATH names it") from fault
    return event
