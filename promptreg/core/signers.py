"""Which labels may be moved, and by whose signature. Reads what `git verify-tag --raw` said; knows no Git.

Whether a signature is good, git's exit code says; its words only tell whose it is (for an unknown SSH key git prints "Good", and
fails).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from promptreg.core.names import did_you_mean
from promptreg.errors import UsageError, Where

_SSH = re.compile(r'^Good "git" signature for (\S+) with \S+ key (\S+)$', re.MULTILINE)
_GPG = re.compile(r"^\[GNUPG:\] GOODSIG [0-9A-F]+ (.*)$", re.MULTILINE)
_FINGERPRINT = re.compile(r"^\[GNUPG:\] VALIDSIG ([0-9A-F]+)(?: .*? ([0-9A-F]+))?$", re.MULTILINE)
_EMAIL = re.compile(r"<([^<>]+)>\s*$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A label of the allow-list; *signers*, if any, are principals, e-mail addresses or key fingerprints that must have signed."""

    name: str
    signers: tuple[str, ...] = ()


def rule_for(label: str, rules: Sequence[Rule], where: Where) -> Rule:
    """The rule of *label*. UsageError when it is not on the list."""
    found = next((rule for rule in rules if rule.name == label), None)
    if found is not None:
        return found
    names = [rule.name for rule in rules]
    if not names:
        raise UsageError("no label is allowed here", where=where, hint=f"add 'labels: [{label}]' to promptreg.yaml")
    hint = f"labels: {', '.join(names)}; promptreg.yaml lists them"
    raise UsageError(f"the label '{label}' is not allowed{did_you_mean(label, names)}", where=where, hint=hint)


def signed_by(text: str) -> tuple[str, ...]:
    """All that *text*, git's words about a good signature, calls the signer: principal, e-mail address, fingerprints."""
    names: list[str] = []
    for principal, key in _SSH.findall(text):
        names += [principal, key]
    for user in _GPG.findall(text):
        names += _EMAIL.findall(user)
    for fingerprints in _FINGERPRINT.findall(text):
        names += [each for each in fingerprints if each]
    return tuple(names)


def refuse_unsigned(rule: Rule, ref: str, good: bool, text: str) -> None:
    """UsageError unless the signature of the tag *ref*, which git found *good*, is by one of the rule's signers."""
    if not rule.signers:
        return
    wanted = ", ".join(rule.signers)
    if not good:
        reason = _reason(text)
        hint = "git must know the key: gpg.ssh.allowedSignersFile for SSH keys, the keyring for OpenPGP"
        raise UsageError(f"'{rule.name}' is moved only by {wanted}; git does not vouch for your signature{reason}", hint=hint)
    found = signed_by(text)
    if not {each.lower() for each in found} & {each.lower() for each in rule.signers}:
        signer = found[0] if found else "somebody unknown"
        raise UsageError(f"'{rule.name}' is moved only by {wanted}, not by {signer}", hint=f"ask one of them to tag {ref}")


def _reason(text: str) -> str:
    lines = [line.removeprefix("error: ") for line in text.splitlines() if line and not line.startswith(("[GNUPG:]", "Good "))]
    return f": {lines[0]}" if lines else ""
