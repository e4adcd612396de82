"""The SSH key that git is configured to sign with, for what is no tag. Knows no prompts, and reads no key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from promptreg.errors import UsageError
from promptreg.registry.plumbing import Git, is_bare, toplevel
from promptreg.signatures import is_literal

_HINT = "promptreg bundle --sign=KEY; or git config gpg.format ssh && git config user.signingKey ~/.ssh/id_ed25519.pub"


def ssh_key(start: Path, env: Mapping[str, str]) -> str:
    """user.signingKey as *start* sees it: a path, or a public key itself. UsageError unless git signs with SSH keys."""
    top = toplevel(start)
    git = Git(top or start, env, bare=top is None and is_bare(start))
    form = git.run("config", "--get", "gpg.format").text or "openpgp"
    key = git.run("config", "--get", "user.signingKey").text
    if form != "ssh":
        raise UsageError(f"git signs with {form} here, and bundles are signed with SSH keys", hint=_HINT)
    if not key:
        raise UsageError("git knows no key to sign with", hint=_HINT)
    if is_literal(key):
        return key
    return str(git.folder / Path(key).expanduser())
