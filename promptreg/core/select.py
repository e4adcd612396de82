"""Which names a selector means, and which cases a sample holds.

Sees (key, stratum, position) and never rows, so that a caller streams its data twice instead of keeping it.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from promptreg.core.canonical import Digest, Json, canonical
from promptreg.core.names import did_you_mean
from promptreg.core.suite import Case
from promptreg.errors import UsageError, Where

WILD = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Entry:
    """One case of a stream: its pair key (or its cluster's), its stratum, and how many came before it."""

    key: Digest
    stratum: str
    position: int


def matching(patterns: Sequence[str], names: Iterable[str], noun: str, where: Where | None = None) -> tuple[str, ...]:
    """The *names* that any of *patterns* (names or globs) means, in the order of names; all when there are no patterns.

    In a glob `*` and `?` stay within one path segment and `**` spans any number. UsageError for a pattern that means nothing.
    """
    known = tuple(names)
    if not patterns:
        return known
    found: set[str] = set()
    for pattern in patterns:
        hits = [name for name in known if name == pattern] or [name for name in known if glob_matches(pattern, name)]
        if not hits:
            raise _unknown(pattern, known, noun, where)
        found.update(hits)
    return tuple(name for name in known if name in found)


def glob_matches(pattern: str, name: str) -> bool:
    """Whether the glob *pattern* means the path *name*, in time proportional to both (no pattern can make it slow)."""
    segments = name.split("/")
    reached = [True] + [False] * len(segments)  # reached[i]: the pattern so far can eat the first i segments
    for part in pattern.split("/"):
        if part == "**":
            for index in range(len(segments)):
                reached[index + 1] = reached[index + 1] or reached[index]
        else:
            reached = [False] + [reached[index] and fnmatchcase(segment, part) for index, segment in enumerate(segments)]
    return reached[-1]


def order(entries: Iterable[Entry], seed: int | str) -> list[int]:
    """Positions in the order of SHA-256(seed ‖ key); equal keys stay in the order of their positions."""
    start = hashlib.sha256(str(seed).encode())
    return [position for _, position in sorted((_rank(start, entry.key), entry.position) for entry in entries)]


def sample(entries: Iterable[Entry], n: int, seed: int | str) -> frozenset[int]:
    """The positions of a stratified sample of *n* (all, if there are no more).

    Every stratum gives the lowest of its cases by SHA-256(seed ‖ key), as many as its share of n (largest remainder).
    One pass; memory holds at most n entries of each stratum.
    """
    start = hashlib.sha256(str(seed).encode())
    sizes: dict[str, int] = {}
    lowest: dict[str, list[tuple[int, int]]] = {}  # heaps of (-rank, -position): the worst kept one is on top
    for entry in entries:
        sizes[entry.stratum] = sizes.get(entry.stratum, 0) + 1
        heap = lowest.setdefault(entry.stratum, [])
        item = (-_rank(start, entry.key), -entry.position)
        if len(heap) < n:
            heapq.heappush(heap, item)
        else:
            heapq.heappushpop(heap, item)
    shares = apportion(sizes, n)
    return frozenset(-position for stratum, heap in lowest.items() for _, position in heapq.nlargest(shares[stratum], heap))


def apportion(sizes: Mapping[str, int], n: int) -> dict[str, int]:
    """*n* shared out in proportion to *sizes* by largest remainder (Hamilton's method); equal remainders go by name."""
    total = sum(sizes.values())
    if n >= total:
        return dict(sizes)
    shares = {name: n * size // total for name, size in sizes.items()}
    by_remainder = sorted(sizes, key=lambda name: (-(n * sizes[name] % total), name))
    for name in by_remainder[: n - sum(shares.values())]:
        shares[name] += 1
    return shares


def stratum(case: Case, by: str | None) -> str:
    """The stratum or slice of *case* that *by* (`tags.queue`, `inputs.x`, `expected.x`, `expected`, `cluster`) names, as text.

    What a case lacks is a stratum of its own, "".
    """
    if by is None:
        return ""
    first, *path = by.split(".")
    value: Any = {"tags": case.tags, "inputs": case.inputs, "expected": case.expected, "cluster": case.cluster}.get(first)
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return _as_text(value)


def _as_text(value: Json) -> str:
    return "" if value is None else value if isinstance(value, str) else canonical(value).decode()


def _rank(start: Any, key: str) -> int:
    """The first 64 bits of SHA-256(seed ‖ key): a million keys tie with a chance of 3e-8, and then by position."""
    state = start.copy()
    state.update(key.encode())
    return int.from_bytes(state.digest()[:8], "big")


def _unknown(pattern: str, known: Sequence[str], noun: str, where: Where | None) -> UsageError:
    if WILD & set(pattern):
        return UsageError(f"no {noun} matches '{pattern}'", where=where, hint=f"known: {_some(known)}")
    return UsageError(f"unknown {noun} '{pattern}'{did_you_mean(pattern, known)}", where=where, hint=f"known: {_some(known)}")


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:8])
    return f"{shown} and {len(names) - 8} more" if len(names) > 8 else shown or "none"
