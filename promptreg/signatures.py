"""SSH signatures of bundles: made and checked by `ssh-keygen -Y`, whose exit code alone is believed, never its words.

Stands between a bundle's bytes and whoever reads them, in production too: needs no Git, and nothing but OpenSSH 8.2 or newer.
Knows bytes and keys, no prompts.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from promptreg.errors import BundleUntrusted, UsageError, Where

PROGRAM = "ssh-keygen"
NAMESPACE = "promptreg-bundle"  # a signature of a commit, a tag or a file is none of a bundle
SUFFIX = ".sig"
MAX_BYTES = 1 << 16  # of one signature; those of RSA keys with certificates have some thousand
BEGIN = b"-----BEGIN SSH SIGNATURE-----"
_PATIENCE_S = 60.0
_MISSING = "install OpenSSH 8.2 or newer (Debian: apt install openssh-client)"
_AGAIN = "take the bundle and its signature from where they were made, both of the same moment; or sign again"


def sign(content: bytes, key: str) -> bytes:
    """The armoured signature of *content* by *key*: a private key's path; a public key's, or its text, when an agent has it.

    UsageError when the key cannot sign.
    """
    literal = key.removeprefix("key::")
    with tempfile.TemporaryDirectory(prefix="promptreg-key-") as folder:
        named = Path(key).expanduser().absolute()
        if is_literal(key):
            named = Path(folder, "key.pub")
            named.write_text(f"{literal}\n", encoding="utf-8")
        try:
            done = _run(["sign", "-n", NAMESPACE, "-f", str(named)], content)
        except FileNotFoundError:
            raise UsageError("there is no ssh-keygen here, which signs bundles", hint=_MISSING) from None
        if done.returncode == 0 and done.stdout.startswith(BEGIN) and _fits(content, done.stdout, Path(folder)):
            return done.stdout
    said = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if not line.startswith("Signing ")]
    reason = f": {ascii(said[-1])[1:-1]}" if said else ""
    raise UsageError(f"{literal} cannot sign the bundle{reason}", hint="name an SSH key, or load it into ssh-agent")


def is_literal(key: str) -> bool:
    """Whether *key* is a public key itself, as git's user.signingKey may be, and not a path."""
    return key.startswith(("key::", "ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-"))


def read_signers(path: Path) -> bytes:
    """The lines of SSH's allowed signers that the file *path* holds. UsageError when it names nobody."""
    try:
        content = path.read_bytes()
    except OSError as fault:
        raise UsageError(f"cannot be read: {fault.strerror}", where=Where(str(path)), hint="name the file of signers") from fault
    named = any(line.strip() and not line.lstrip().startswith(b"#") for line in content.splitlines())
    if not named or b"\0" in content:
        hint = "write lines like `ada@example.org ssh-ed25519 AAAA…`"
        raise UsageError("no signer is named here", where=Where(str(path)), hint=hint)
    return content


def signer(content: bytes, signature: bytes, signers: bytes, place: str) -> str:
    """Who of *signers* signed *content*, which came from *place*. BundleUntrusted when nobody did, or nobody can tell."""
    try:
        with tempfile.TemporaryDirectory(prefix="promptreg-signers-") as folder:
            found, fits = _principals(content, signature, signers, Path(folder))
    except subprocess.TimeoutExpired:
        raise _untrusted("ssh-keygen did not say in time whether the bundle's signature is good", place, _AGAIN) from None
    except OSError as fault:
        if fault.filename == PROGRAM:
            raise _untrusted("there is no ssh-keygen here, which must check the bundle's signature", place, _MISSING) from None
        raise _untrusted(
            f"the bundle's signature cannot be checked: {fault.strerror}", place, "is there a temporary folder?"
        ) from fault
    if isinstance(found, str):
        return found
    if not fits:
        raise _untrusted("the bundle's signature does not fit it", place, _AGAIN)
    if found:
        what = f"the bundle is signed by {ascii(found[0])[1:-1]}, who may not sign bundles, or not any more"
        raise _untrusted(what, place, "namespaces, valid-after and valid-before stand beside the key among the signers")
    raise _untrusted("the bundle is signed by nobody among the signers", place, "if the key is right, add it there")


def _principals(content: bytes, signature: bytes, signers: bytes, folder: Path) -> tuple[str | list[str], bool]:
    """Who signed; or who among *signers* has the key, although it is not good here, and whether the signature fits at all."""
    allowed, detached = folder / "allowed", folder / "signature"
    allowed.write_bytes(signers)
    detached.write_bytes(signature)
    found = _run(["find-principals", "-f", str(allowed), "-s", str(detached)], b"")
    principals = [each for each in os.fsdecode(found.stdout).splitlines() if each] if found.returncode == 0 else []
    for principal in principals:
        options = ["verify", "-n", NAMESPACE, "-f", str(allowed), "-s", str(detached), "-I", principal]
        if _run(options, content).returncode == 0:
            return principal, True
    return principals, _fits(content, signature, folder)


def _fits(content: bytes, signature: bytes, folder: Path) -> bool:
    """Whether *signature* is one of *content*, whoever made it."""
    detached = folder / "made"
    detached.write_bytes(signature)
    return _run(["check-novalidate", "-n", NAMESPACE, "-s", str(detached)], content).returncode == 0


def _run(arguments: list[str], content: bytes) -> subprocess.CompletedProcess[bytes]:
    """OSError that names PROGRAM when it cannot be started. Only who signs may be asked for a passphrase, and is waited for."""
    patience = None if arguments[0] == "sign" else _PATIENCE_S
    return subprocess.run([PROGRAM, "-Y", *arguments], input=content, capture_output=True, check=False, timeout=patience)


def _untrusted(message: str, place: str, hint: str) -> BundleUntrusted:
    return BundleUntrusted(message, where=Where(place), hint=hint)
