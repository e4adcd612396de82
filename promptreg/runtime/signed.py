"""Whether a bundle is signed by one of those whom production trusts; and how a cache keeps the two together in one file."""

from __future__ import annotations

from pathlib import Path

from promptreg.core.bundle import MAX_BYTES as BUNDLE_BYTES
from promptreg.errors import BundleError, BundleUntrusted, Where
from promptreg.signatures import BEGIN, MAX_BYTES, SUFFIX, signer

UNSIGNED_HINT = "`promptreg bundle --sign` writes the signature beside the bundle; publish both"


def check(content: bytes, signature: bytes, signers: bytes, place: str) -> str:
    """Who of *signers* signed *content*, which came from *place*. BundleUntrusted when nobody did."""
    if len(content) > BUNDLE_BYTES:
        raise BundleError(f"the bundle is larger than {BUNDLE_BYTES:,} bytes", where=Where(place))
    if not signature:
        raise BundleUntrusted("the bundle has no signature", where=Where(place), hint=UNSIGNED_HINT)
    if len(signature) > MAX_BYTES:
        raise BundleUntrusted(f"the signature is larger than {MAX_BYTES:,} bytes", where=Where(place), hint=UNSIGNED_HINT)
    return signer(content, signature, signers, place)


def signature_beside(path: Path) -> bytes:
    """The signature of the bundle *path*; nothing when there is none. BundleUntrusted when it cannot be read."""
    beside = path.with_name(path.name + SUFFIX)
    try:
        with beside.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return b""
    except OSError as fault:
        raise BundleUntrusted(f"cannot be read: {fault.strerror}", where=Where(str(beside)), hint=UNSIGNED_HINT) from fault


def joined(content: bytes, signature: bytes) -> bytes:
    """One file of both, so that a cache never holds one without the other. What JSON is cannot hold such a line."""
    return content + b"\n" + signature if signature else content


def parted(kept: bytes) -> tuple[bytes, bytes]:
    """The inverse of `joined`."""
    content, line, rest = kept.partition(b"\n" + BEGIN)
    return content, BEGIN + rest if line else b""
