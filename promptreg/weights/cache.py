"""The user's cache of weights, and what is remembered of other files.

It holds, for each model, `<name>-<digest12>.gguf` and beside it `….gguf.json`: the digest with the size and time of the file it was
computed from. Digests of files elsewhere are remembered in `digests/`, by path, size, time and inode.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from promptreg.core.protocols import WeightsFile
from promptreg.errors import WeightsError
from promptreg.weights.catalogue import Download


def cache_folder(env: Mapping[str, str]) -> Path:
    """Where weights are kept: `$PROMPTREG_CACHE/weights`, else the platform's user cache for promptreg."""
    chosen = env.get("PROMPTREG_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "weights"
    import platformdirs

    return platformdirs.user_cache_path("promptreg") / "weights"


def cached(wanted: Download, folder: Path, *, mend: bool = False) -> WeightsFile | None:
    """The cached file if it is there and is what was pinned; with *mend*, a changed one counts as absent instead of refused."""
    path = place(wanted, folder)
    if not path.is_file():
        return None
    digest = f"sha256:{wanted.sha256}"
    if _note(path).get("stamp") == _stamp(path):
        return WeightsFile(path=path, digest=digest)
    if sha256_of(path) == wanted.sha256:
        annotate(path, digest)
        return WeightsFile(path=path, digest=digest)
    if mend:
        return None
    raise WeightsError(
        f"{path} has changed since it was fetched: its bytes are not those of '{wanted.name}'",
        hint=f"run: promptreg models pull {wanted.name} (it replaces the file)",
    )


def place(wanted: Download, folder: Path) -> Path:
    return folder / f"{wanted.name}-{wanted.sha256[:12]}.gguf"


def _stamp(path: Path) -> list[int]:
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _note(path: Path) -> dict[str, object]:
    """What stands in the sidecar; nothing if it is absent or unreadable (then the bytes are hashed again)."""
    try:
        note = json.loads(Path(f"{path}.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) and note.get("schema") == "promptreg/weights/1" else {}


def annotate(path: Path, digest: str) -> None:
    """Writes the sidecar; a cache that cannot be written costs another hashing, nothing else."""
    note = {"schema": "promptreg/weights/1", "digest": digest, "stamp": _stamp(path)}
    _try_write(Path(f"{path}.json"), json.dumps(note).encode())


def remembered_digest(path: Path, folder: Path) -> str:
    """`sha256:…` of any file, hashed once for each path, size, time and inode."""
    try:
        facts = path.stat()
        known_by = json.dumps([str(path), facts.st_size, facts.st_mtime_ns, facts.st_ino])
        memory = folder / "digests" / hashlib.sha256(known_by.encode("utf-8", "surrogatepass")).hexdigest()
        try:
            remembered = memory.read_text("ascii")
        except (OSError, ValueError):
            remembered = ""
        if re.fullmatch(r"sha256:[0-9a-f]{64}", remembered):
            return remembered
        digest = f"sha256:{sha256_of(path)}"
    except OSError as fault:
        raise WeightsError(
            f"{path} cannot be read: {fault.strerror or fault}", hint="check the file and its permissions"
        ) from fault
    _try_write(memory, digest.encode())
    return digest


def _try_write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".new-", delete=False) as new:
            new.write(content)
        os.replace(new.name, path)
    except OSError:
        return


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock(path: Path, waiting: Callable[[], None]) -> Iterator[bool]:
    """Holds the only right to fetch, across processes, and says whether it does: where files cannot be locked, the atomic replace
    alone must do."""
    try:
        import fcntl
    except ImportError:  # Windows: two fetches at worst, each whole
        yield False
        return
    with path.open("ab") as file:
        held = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            held = False
        yield held
