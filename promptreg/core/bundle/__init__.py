"""What production gets: prompts at their released versions, with labels and digests, as one canonical JSON file.

    {"digest": …, "schema": "promptreg/bundle/1", "registry": …,
     "partials": {DIGEST: text},
     "prompts": {NAME: {"labels": {LABEL: VERSION}, "deprecated": {"reason", "replacement"},
                        "versions": [{"version", "time", "commit", "source", "behaviour", "prompt": {…}}]}}}

What is empty is left out; a version that is left out is a working copy. `digest` covers all else; the text of a partial is held
once. A prompt's `inputs`, `params`, `output` and `tools` are JSON text where sorting their keys would change what a model sees.
Reading is fail-closed: every key, name and digest is checked before anybody gets a prompt. Knows neither Git, files nor the
network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from promptreg.core.bundle.reading import decoded, fault, read_content, shown
from promptreg.core.bundle.values import SCHEMA, Bundle, Bundled, Shelf
from promptreg.core.bundle.writing import content_json
from promptreg.core.canonical import Digest, Json, canonical, digest, digest_bytes
from promptreg.errors import BundleError, UsageError

__all__ = ["MAX_BYTES", "SCHEMA", "Bundle", "Bundled", "Shelf", "check_behaviour", "packed", "unpacked"]

MAX_BYTES = 64 << 20  # of one bundle: ten thousand long prompts
_AGAIN = "make or fetch it again"
_HEAD = '{"digest":"%s",'
_DIGEST_LENGTH = len("sha256:") + 64


def packed(bundle: Bundle) -> tuple[bytes, Digest]:
    """The canonical JSON of *bundle*, and its digest. BundleError for a value that `unpacked` would refuse."""
    content = content_json(bundle)
    found = digest(SCHEMA, content)
    read_content(content, "<bundle>", found)
    return canonical({"digest": found, **content}), found


def unpacked(content: bytes, path: str, expected: str | None = None) -> Bundle:
    """The bundle that *content*, found at *path*, is. BundleError unless it is whole, and the one whose digest is *expected*."""
    if len(content) > MAX_BYTES:
        raise fault(path, f"the bundle is larger than {MAX_BYTES:,} bytes")
    raw = _decoded(content, path)
    if raw.get("schema") != SCHEMA:
        said = f"its schema is {shown(raw['schema'])}" if isinstance(raw.get("schema"), str) else "it names no schema"
        raise fault(path, f"not a bundle that this promptreg reads: {said}", hint=f"{SCHEMA} is read; upgrade, or bundle again")
    claimed = raw.pop("digest", None)
    if not isinstance(claimed, str) or claimed != _digest(content, claimed, raw, path):
        raise fault(path, "the bundle is not what its digest says: it was changed or cut short", "digest", _AGAIN)
    if expected is not None and claimed != expected:
        hint = "`promptreg bundle` prints the digest to pin"
        raise fault(path, f"the bundle's digest is {claimed}, not {shown(expected)}", "digest", hint)
    return read_content(raw, path, Digest(claimed))


def _digest(content: bytes, claimed: str, raw: Mapping[str, Json], path: str) -> Digest:
    """From the bytes as `packed` wrote them, which is fast; a bundle that somebody reformatted is made canonical again."""
    head = (_HEAD % claimed).encode("utf-8", "replace")
    if len(claimed) == _DIGEST_LENGTH and content.startswith(head):
        found = digest_bytes(f'["{SCHEMA}",{{'.encode() + content[len(head) :] + b"]")
        if found == claimed:
            return found
    try:
        return digest(SCHEMA, raw)
    except (UsageError, RecursionError) as error:
        raise fault(path, f"not a bundle: {error}", hint=_AGAIN) from error


def _decoded(content: bytes, path: str) -> dict[str, Any]:
    try:
        raw = decoded(content.decode("utf-8"))
    except (UnicodeDecodeError, UsageError) as error:
        raise fault(path, f"not a bundle: {error}", hint=_AGAIN) from error
    if not isinstance(raw, dict):
        raise fault(path, "not a bundle: its JSON is no object", hint=_AGAIN)
    return raw


def check_behaviour(bundle: Bundle, path: str) -> list[BundleError]:
    """Prompts whose behaviour digest is not that of their content. Needs Jinja, so reading does not ask it."""
    from promptreg.core.identity import behaviour_digest

    faults = []
    for name, shelf in bundle.shelves.items():
        for at, each in enumerate(shelf.versions):
            if behaviour_digest(each.prompt) != each.behaviour:
                faults.append(fault(path, "is not the prompt's behaviour digest", f"prompts.{name}.versions[{at}].behaviour"))
    return faults
