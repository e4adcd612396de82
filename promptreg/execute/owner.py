"""Who holds a claim: names that tell a later process of the same machine whether the holder still lives. Knows no store."""

from __future__ import annotations

import os
import secrets

SEPARATOR = "|"


def new_owner() -> str:
    """A name of its own: machine, process, and a token that tells several executors of one process apart."""
    return SEPARATOR.join((_machine(), str(os.getpid()), secrets.token_hex(4)))


def is_gone(owner: str) -> bool:
    """Whether *owner* is certainly dead: it lived on this machine and its process is no more. Then nobody waits for its lease."""
    machine, _, rest = owner.partition(SEPARATOR)
    process = rest.partition(SEPARATOR)[0]
    if not process.isdecimal() or not machine or machine != _machine():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _machine() -> str:
    """Empty where processes cannot be looked up: on Windows signal 0 is Ctrl-C. Containers differ by their process namespace."""
    if os.name != "posix":
        return ""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{os.uname().nodename}/{namespace}"
