"""Who may move a label: read from what git says of a signature."""

from __future__ import annotations

import pytest

from promptreg.core.signers import Rule, refuse_unsigned, rule_for, signed_by
from promptreg.errors import UsageError, Where

SSH = 'Good "git" signature for alice@example.com with ED25519 key SHA256:abc/DEF+1\n'
GPG = """\
[GNUPG:] NEWSIG bob@example.com
[GNUPG:] GOODSIG 0123456789ABCDEF Bob Builder (work) <bob@example.com>
[GNUPG:] VALIDSIG AAAA1111 2026-01-01 1767225600 0 4 0 22 10 00 BBBB2222
"""
UNKNOWN = 'Good "git" signature with ED25519 key SHA256:abc\nerror: No principal matched.\n'
WHERE = Where("promptreg.yaml", 3)


def test_who_signed_is_read_from_both_kinds() -> None:
    assert signed_by(SSH) == ("alice@example.com", "SHA256:abc/DEF+1")
    assert signed_by(GPG) == ("bob@example.com", "AAAA1111", "BBBB2222")
    assert signed_by(UNKNOWN) == ()


@pytest.mark.parametrize(
    ("signers", "good", "text"),
    [
        ((), False, ""),
        (("alice@example.com",), True, SSH),
        (("ALICE@example.com", "x"), True, SSH),
        (("SHA256:abc/DEF+1",), True, SSH),
        (("bob@example.com",), True, GPG),
        (("bbbb2222",), True, GPG),
    ],
)
def test_a_listed_signer_may(signers: tuple[str, ...], good: bool, text: str) -> None:
    refuse_unsigned(Rule(name="production", signers=signers), "a#production#1", good, text)


@pytest.mark.parametrize(
    ("signers", "good", "text", "complaint"),
    [
        (("alice@example.com",), False, SSH, "git does not vouch"),
        (("alice@example.com",), False, UNKNOWN, "No principal matched"),
        (("alice@example.com",), True, GPG, "not by bob@example.com"),
        (("Bob Builder",), True, GPG, "not by bob@example.com"),
        (("alice@example.com",), True, "", "not by somebody unknown"),
        (("alice@example.com",), True, "Good signature from alice@example.com", "not by somebody unknown"),
    ],
)
def test_nobody_else_may(signers: tuple[str, ...], good: bool, text: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_unsigned(Rule(name="production", signers=signers), "a#production#1", good, text)
    assert complaint in caught.value.message


def test_labels_are_allow_listed() -> None:
    rules = [Rule(name="staging"), Rule(name="production", signers=("a",))]
    assert rule_for("production", rules, WHERE) is rules[1]
    with pytest.raises(UsageError, match="did you mean 'staging'"):
        rule_for("stagin", rules, WHERE)
    with pytest.raises(UsageError) as caught:
        rule_for("production", [], WHERE)
    assert caught.value.hint == "add 'labels: [production]' to promptreg.yaml"
