"""Lays pulled files below prompts/vendor/ and binds them by the lock: all, or nothing that anybody would read.

A prompt's files lie in a folder of their version, made aside and renamed into place; then one rename replaces the lock, which alone
says what counts; then what it no longer names is removed. Killed at any moment, the old lock with the old files stands, or the new.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from promptreg.core.canonical import digest_bytes
from promptreg.core.lock import LOCK, Lock, Locked, write_lock
from promptreg.errors import PullError, Where
from promptreg.registry.prompts import VENDOR
from promptreg.registry.pulling.exclusive import alone
from promptreg.registry.pulling.vendored import folder_of

_ASIDE = ".pulling-"
_ATTRIBUTES = b"# written by promptreg: the lock holds the digest of every byte\n* -text -filter -ident\n"


@dataclass(frozen=True, slots=True)
class Parcel:
    """A pulled prompt and its files, path to bytes."""

    source: str
    locked: Locked
    files: Mapping[str, bytes]


@contextmanager
def pulling(root: Path) -> Iterator[None]:
    """While held, no other process pulls into the registry at *root*; what one that was killed left aside is removed."""
    folder = root / ".promptreg"
    folder.mkdir(exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="ascii")
    with alone(folder / "pull.lock"):
        for left in (root / VENDOR).glob(f"{_ASIDE}*"):
            shutil.rmtree(left, ignore_errors=True)
        yield


def lay(root: Path, old: Lock, new: Lock, parcels: Sequence[Parcel]) -> None:
    """Makes *new* the lock of the registry at *root*, with the files of *parcels*. PullError where links stand in the way."""
    vendor = root / VENDOR
    for parcel in parcels:
        _refuse_links(root, folder_of(parcel.source, parcel.locked))
    vendor.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=vendor, prefix=_ASIDE) as aside:
        placed: list[tuple[Path, Path | None]] = []
        try:
            for number, parcel in enumerate(parcels):
                _place(root, Path(aside, str(number)), parcel, placed)
            _attributes(vendor, Path(aside))
            _replace(root / LOCK, write_lock(new))
        except BaseException:
            _take_back(placed, Path(aside))
            raise
    kept = {folder_of(source, each) for source, each in new}
    for source, each in old:
        if (folder := folder_of(source, each)) not in kept:
            _remove(root, folder)


def _place(root: Path, aside: Path, parcel: Parcel, placed: list[tuple[Path, Path | None]]) -> None:
    """Notes in *placed* each folder that came, and where the one that stood there went."""
    target = root / folder_of(parcel.source, parcel.locked)
    if _same(target, parcel.files):
        return
    new = aside / "new"
    for path, content in parcel.files.items():
        (new / path).parent.mkdir(parents=True, exist_ok=True)
        (new / path).write_bytes(content)
    gone = None
    if target.exists():
        gone = aside / "old"
        os.rename(target, gone)
    placed.append((target, gone))
    target.parent.mkdir(parents=True, exist_ok=True)
    os.rename(new, target)


def _take_back(placed: Sequence[tuple[Path, Path | None]], aside: Path) -> None:
    for number, (target, gone) in enumerate(reversed(placed)):
        if target.exists():
            os.rename(target, aside / f"taken-back-{number}")
        if gone is not None:
            os.rename(gone, target)
        else:
            _prune(target.parent)


def _same(folder: Path, files: Mapping[str, bytes]) -> bool:
    if not folder.is_dir():
        return False
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}
    return found.keys() == files.keys() and all(
        not path.is_symlink() and digest_bytes(path.read_bytes()) == digest_bytes(files[name]) for name, path in found.items()
    )


def _attributes(vendor: Path, aside: Path) -> None:
    """Keeps the reader's own git from changing line ends below prompts/vendor/: digests are of bytes."""
    target = vendor / ".gitattributes"
    if not os.path.lexists(target):
        (aside / "attributes").write_bytes(_ATTRIBUTES)
        os.rename(aside / "attributes", target)


def _replace(path: Path, content: bytes) -> None:
    """A reader of *path* sees the old file or the new one, whole, also after a power cut."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o644)  # mkstemp's are for the owner alone
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _remove(root: Path, folder: str) -> None:
    """Removes a version that the lock no longer names, and the folders that it leaves empty."""
    _refuse_links(root, folder)
    shutil.rmtree(root / folder, ignore_errors=True)
    _prune((root / folder).parent)


def _prune(folder: Path) -> None:
    """Removes *folder* and those above it while they are empty, up to prompts/vendor/."""
    while folder.name != "vendor":
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _refuse_links(root: Path, folder: str) -> None:
    """PullError when a link stands in the way: what is written must stay below prompts/vendor/."""
    here = root
    for part in folder.rstrip("/").split("/"):
        here = here / part
        if here.is_symlink() or (here.exists() and not here.is_dir()):
            shown = here.relative_to(root).as_posix()
            raise PullError(f"{shown} is not a folder", where=Where(shown), hint="pulled files are written there: move it away")
