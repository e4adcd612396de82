"""Whether a tag object is the release that it is taken for, and who signed it. Believes git's exit code, never its words.

Keys come from the caller, who knows which are trusted: neither the source's nor the user's own key rings count.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from promptreg.core.signers import signed_by
from promptreg.errors import TagForged, TagUnsigned, UnknownSigner, UsageError, Where
from promptreg.registry.plumbing import Git

_ARMOR = b"-----BEGIN PGP PUBLIC KEY BLOCK-----"
_SIGNED = (
    b"-----BEGIN SSH SIGNATURE-----",
    b"-----BEGIN PGP SIGNATURE-----",
    b"-----BEGIN PGP MESSAGE-----",
    b"-----BEGIN SIGNED MESSAGE-----",
)
_UNKNOWN = ("No principal matched", "NO_PUBKEY", "no principal", "unable to find signing key")
_MOST = 1 << 20  # bytes of a tag
_FORGED = "do not use it; ask the source's owners what happened"


@dataclass(frozen=True, slots=True)
class Signers:
    """Who may sign: lines of SSH's allowed signers, and OpenPGP public keys. `shown` says where they were read."""

    ssh: bytes = b""
    keys: tuple[bytes, ...] = ()
    shown: str = ""


def signers_of(files: Sequence[tuple[str, bytes]]) -> Signers:
    """The signers that key files (path, content) name: armoured OpenPGP keys, or SSH allowed signers. UsageError for others."""
    ssh: list[bytes] = []
    keys: list[bytes] = []
    for path, content in files:
        if _ARMOR in content:
            keys.append(content)
        elif any(line.strip() and not line.startswith(b"#") for line in content.splitlines()) and b"\0" not in content:
            ssh.append(content.rstrip(b"\n") + b"\n")
        else:
            hint = "write lines like `ada@example.org ssh-ed25519 AAAA…`, or gpg --armor --export ada@example.org"
            raise UsageError("no signer is named here", where=Where(path), hint=hint)
    return Signers(b"".join(ssh), tuple(keys), ", ".join(path for path, _ in files))


def check_tag(git: Git, oid: str, tag: str, commit: str) -> None:
    """TagForged unless the tag object *oid* says itself that it is *tag* and marks *commit*: a tag can be served under any name."""
    header = _content(git, oid, tag).partition(b"\n\n")[0].decode("utf-8", "replace").split("\n")
    said = dict(reversed([line.partition(" ")[::2] for line in header]))  # the first of each counts
    if said.get("tag") != tag:
        raise TagForged(f"the tag object behind '{tag}' is {said.get('tag', 'without a name')!a}", hint=_FORGED)
    if (said.get("type"), said.get("object")) != ("commit", commit):
        raise TagForged(f"the tag '{tag}' marks {said.get('object', 'nothing')[:12]}, not {commit[:12]}", hint=_FORGED)


def signer(git: Git, oid: str, tag: str, signers: Signers, env: Mapping[str, str]) -> str:
    """Who signed the tag object *oid*, of those that *signers* name. TagUnsigned, TagForged or UnknownSigner otherwise."""
    if not any(line in _SIGNED for line in _content(git, oid, tag).splitlines()):
        raise TagUnsigned(f"the tag '{tag}' has no signature", hint=f"its source's tags must be signed: {signers.shown}")
    with _rings(signers, env) as (options, own):
        answer = Git(git.folder, {**env, **own}, bare=True).run(*options, "verify-tag", "--raw", oid, refuse=False)
    said = answer.text + "\n" + answer.complaint
    if answer.code == 0:
        names = signed_by(said)
        return f"{names[0]} {names[-1]}" if len(names) > 1 else names[0] if names else "a known signer"
    if any(words in said for words in _UNKNOWN):
        raise UnknownSigner(f"the tag '{tag}' is signed by nobody in {signers.shown}", hint="if the key is right, add it there")
    raise TagForged(f"the signature of the tag '{tag}' does not fit it", hint=_FORGED)


@contextmanager
def _rings(signers: Signers, env: Mapping[str, str]) -> Iterator[tuple[list[str], dict[str, str]]]:
    """Options and variables with which git knows *signers* and nobody else."""
    with tempfile.TemporaryDirectory(prefix="promptreg-signers-") as folder:
        allowed, home = Path(folder, "allowed"), Path(folder, "gnupg")
        allowed.write_bytes(signers.ssh)
        home.mkdir(mode=0o700)
        own = {"GNUPGHOME": str(home)}
        for key in signers.keys:
            _import(key, {**env, **own})
        yield ["-c", f"gpg.ssh.allowedSignersFile={allowed}", "-c", "gpg.minTrustLevel=undefined"], own


def _import(key: bytes, env: Mapping[str, str]) -> None:
    command = ["gpg", "--batch", "--quiet", "--no-autostart", "--import"]
    try:
        done = subprocess.run(command, env=dict(env), input=key, capture_output=True, check=False)
    except FileNotFoundError:
        raise UsageError("there is no gpg here, which must check OpenPGP signatures", hint="install gnupg") from None
    if done.returncode != 0:
        raise UsageError("an OpenPGP key cannot be read", hint="gpg --armor --export KEY writes such a file")


def _content(git: Git, oid: str, tag: str) -> bytes:
    answer = git.run("cat-file", "tag", oid, refuse=False)
    if answer.code != 0 or len(answer.output) > _MOST:
        raise TagForged(f"'{tag}' is no tag object that can be read", hint=_FORGED)
    return answer.output
