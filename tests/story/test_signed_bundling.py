"""Somebody signs a bundle, and somebody else checks it before it goes to production."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import PROMPT, User
from repositories import git

from promptreg.cli.bundle import write_signed
from promptreg.errors import BundleUntrusted, UsageError
from promptreg.runtime import Registry
from promptreg.testing import RepositoryBuilder

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
ADA = "ada@example.org"


@pytest.fixture
def ada(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "ada"
    path.parent.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", ADA, "-f", str(path)], check=True)
    (path.parent / "signers").write_text(f"{ADA} {path.with_suffix('.pub').read_text()}")
    return path


@pytest.fixture
def released(user: User) -> User:
    built = RepositoryBuilder(user.root)
    built.write("promptreg.yaml", "registry: acme/prompts\nmodels:\n  echo: {provider: echo, model: echo}\n")
    built.write("prompts/triage.yaml", PROMPT)
    built.commit("one")
    built.tag("triage@v1.0.0", "A release.\n")
    return user


def test_a_bundle_is_signed_checked_and_read(released: User, ada: Path) -> None:
    said = released("bundle", "-o", "out/prompts.json", "--sign", str(ada))
    assert said.code == 0, said.err
    assert "wrote out/prompts.json.sig" in said.err
    assert sorted(os.listdir(released.root / "out")) == ["prompts.json", "prompts.json.sig"]
    signers = str(ada.parent / "signers")
    assert Registry.open(released.root / "out/prompts.json", signers=signers).get("triage").version == "1.0.0"
    checked = released("verify", "out/prompts.json", "--signers", signers)
    assert checked.code == 0, checked.err
    assert ADA in checked.out
    answer = released("verify", "out/prompts.json", "--json").json
    assert (answer["signed_by"], answer["versions"]) == (None, 1)
    assert answer["digest"] in checked.out


def test_git_says_whose_key_signs(released: User, ada: Path) -> None:
    said = released("bundle", "--sign", "-o", "prompts.json")
    assert (said.code, "git signs with openpgp" in said.err) == (2, True)
    git(released.root, "config", "gpg.format", "ssh")
    said = released("bundle", "-o", "prompts.json", "--sign")
    assert (said.code, "git knows no key" in said.err) == (2, True)
    for key in (str(ada), f"{ada}.pub", os.path.relpath(ada, released.root)):
        git(released.root, "config", "user.signingKey", key)
        answer = released("bundle", "-o", "prompts.json", "--sign", "--json").json
        assert answer["signature"] == "prompts.json.sig"
        assert Registry.open(released.root / "prompts.json", signers=ada.parent / "signers").names() == ("triage",)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--sign", "triage@1.0.0"), "--sign took the prompt 'triage@1.0.0' for a key"),
        (("--sign", "lost"), "there is no key 'lost'"),
        (("--sign", "prompts/triage.yaml"), "cannot sign the bundle"),
        (("--sign", "ssh-ed25519 AAAA"), "cannot sign the bundle"),
    ],
)
def test_what_cannot_sign_leaves_the_old_files(released: User, arguments: tuple[str, ...], words: str) -> None:
    released.write("prompts.json", "old")
    released.write("prompts.json.sig", "old too")
    said = released("bundle", "-o", "prompts.json", *arguments)
    assert said.code == 2
    assert words in said.err
    assert (released.read("prompts.json"), released.read("prompts.json.sig")) == ("old", "old too")


@pytest.mark.parametrize("before", [None, b"old"])
def test_both_files_are_written_or_none(tmp_path: Path, ada: Path, before: bytes | None) -> None:
    path, beside = tmp_path / "prompts.json", tmp_path / "prompts.json.sig"
    path.mkdir()  # no file can take its place
    if before is not None:
        beside.write_bytes(before)
    with pytest.raises(UsageError, match=r"prompts\.json is no regular file"):
        write_signed(path, b"{}", str(ada))
    assert (beside.read_bytes() if beside.exists() else None) == before
    assert {entry.name for entry in tmp_path.iterdir()} == {"keys", "prompts.json", *(["prompts.json.sig"] if before else [])}


def test_an_unsigned_bundle_says_that_the_old_signature_is_not_its_own(released: User, ada: Path) -> None:
    released("bundle", "-o", "prompts.json", "--sign", str(ada))
    assert "from before" in released("bundle", "-o", "prompts.json", "--working").err
    with pytest.raises(BundleUntrusted, match="does not fit"):
        Registry.open(released.root / "prompts.json", signers=ada.parent / "signers")


def test_verify_tells_each_fault(released: User, ada: Path) -> None:
    signers = str(ada.parent / "signers")
    released("bundle", "-o", "prompts.json")
    for words in ("has no signature", "does not fit"):
        said = released("verify", "prompts.json", "--signers", signers)
        assert (said.code, words in said.err) == (2, True)
        released("bundle", "-o", "other.json", "--working", "--sign", str(ada))
        shutil.copy(released.root / "other.json.sig", released.root / "prompts.json.sig")
    released.edit("prompts.json", "1.0.0", "1.0.1")
    said = released("verify", "prompts.json")
    assert (said.code, "not what its digest says" in said.err) == (2, True)
    assert released("verify", "prompts.json", "--offline").code == 2


def test_verify_of_a_bundle_needs_no_registry(released: User, ada: Path, tmp_path: Path) -> None:
    released("bundle", "-o", str(tmp_path / "prompts.json"), "--sign", str(ada))
    elsewhere = User(tmp_path, released._capsys)
    assert elsewhere("verify", "prompts.json", "--signers", "keys/signers").code == 0
