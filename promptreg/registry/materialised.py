"""Files of one revision, written to a folder of this machine for those who need a path: Python for plugins, providers for their
recordings, adapters and weights. So what a pull request holds in their place is never read. Runs no filter and no hook.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from promptreg.errors import UsageError, Where
from promptreg.registry.registry import Registry
from promptreg.registry.snapshot import Snapshot, checked_path

MOST_FILES = 10_000  # plugins and recordings are few; a folder with more was named by mistake
MOST_BYTES = 8 << 30  # of all files together: a disk is not filled by one line of promptreg.yaml
_BLOCK = 1 << 20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def materialise(registry: Registry, paths: Iterable[str], folder: Path) -> None:
    """Writes *paths* (files and whole folders, from the registry's root) as *registry* has them below *folder*, at the same paths.

    *folder* must be nobody else's, and the files not be there yet. Links within the repository become the files that they lead to,
    and names that begin with a dot are passed over in folders, as wherever a registry is read. UsageError for a path that is
    missing, leads out of the repository, is a Git LFS pointer or a submodule, and for too much of it all; what was written until
    then stays.
    """
    left = MOST_BYTES
    for count, path in enumerate(dict.fromkeys(_files(registry.snapshot, paths))):
        if count == MOST_FILES:
            raise UsageError(
                f"more than {MOST_FILES:,} files are named as code and recordings", hint="name single files or folders"
            )
        with registry.snapshot.open(path) as source, _created(folder, path) as target:
            left -= _copy(source, target, left, registry.snapshot.place(path))


def _files(snapshot: Snapshot, paths: Iterable[str]) -> Iterator[str]:
    """Every file that *paths* mean, folders unrolled."""
    for path in paths:
        plain = path.rstrip("/")
        checked_path(plain)
        yield from snapshot.paths(plain) or (plain,)


@contextlib.contextmanager
def _created(folder: Path, path: str) -> Iterator[BinaryIO]:
    try:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(target, _NEW, 0o600), "wb") as file:
            yield file
    except OSError as fault:
        hint = "free some space, or set TMPDIR; two names that differ only in case need a file system that tells them apart"
        raise UsageError(f"{path} cannot be written to {folder}: {fault.strerror or fault}", hint=hint) from fault


def _copy(source: BinaryIO, target: BinaryIO, limit: int, place: str) -> int:
    """Copies all of *source* in blocks; how many bytes that were. UsageError beyond *limit*."""
    copied = 0
    while block := source.read(_BLOCK):
        copied += len(block)
        if copied > limit:
            message = f"code and recordings are larger than {MOST_BYTES:,} bytes together"
            raise UsageError(message, where=Where(place), hint="keep weights outside of Git: promptreg models pull")
        target.write(block)
    return copied
