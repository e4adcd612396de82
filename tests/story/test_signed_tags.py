"""Tags signed by keys made here, checked by git itself; labels that only some may move."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import User
from repositories import git
from test_releasing import SETTINGS, TRIAGE, commit, ok, refused, standing

UNGATED = ("--no-gate", "a test of tags")

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
ALICE = "alice@example.com"


def key(folder: Path, name: str) -> Path:
    path = folder / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path)], check=True)
    return path


@pytest.fixture
def signing(user: User, tmp_path: Path) -> User:
    """A registry whose clone signs with alice's SSH key, and knows her; the key is configured in this clone only."""
    alice = key(tmp_path, "alice")
    (tmp_path / "signers").write_text(f"{ALICE} {alice.with_suffix('.pub').read_text()}")
    user.write("promptreg.yaml", SETTINGS.replace("production]", f"{{name: production, signers: [{ALICE}]}}]"))
    user.write("prompts/dates.yaml", TRIAGE)
    git(user.root, "init", "-q")
    for name, value in (
        ("gpg.format", "ssh"),
        ("user.signingKey", str(alice)),
        ("gpg.ssh.allowedSignersFile", str(tmp_path / "signers")),
    ):
        git(user.root, "config", name, value)
    return commit(user)


def verified(user: User, tag: str) -> bool:
    done = subprocess.run(["git", "verify-tag", tag], cwd=user.root, capture_output=True, text=True, check=False)
    return done.returncode == 0 and f'Good "git" signature for {ALICE}' in done.stderr


def test_a_release_is_signed_when_asked_or_when_git_signs_all(signing: User) -> None:
    ok(signing, "release", *UNGATED, "dates", "-m", "Signed\n# with a hash")
    assert not verified(signing, "dates@v1.0.0")
    signing.edit("prompts/dates.yaml", "Sort", "Day")
    commit(signing)
    ok(signing, "release", *UNGATED, "dates", "--sign")
    assert verified(signing, "dates@v1.0.1")
    git(signing.root, "config", "tag.gpgSign", "true")
    signing.edit("prompts/dates.yaml", "Day", "Month")
    commit(signing)
    ok(signing, "release", *UNGATED, "dates")
    assert verified(signing, "dates@v1.0.2")
    assert "promptreg: 0" in git(signing.root, "for-each-ref", "--format=%(contents:body)", "refs/tags/dates@v1.0.2")


def test_a_label_with_signers_is_signed_by_one_of_them(signing: User) -> None:
    ok(signing, "release", *UNGATED, "dates")
    ok(signing, "promote", "dates@1.0.0", "production")
    assert verified(signing, "dates#production#1")
    assert "signed" in ok(signing, "labels")
    ok(signing, "promote", "dates@1.0.0", "staging")
    assert not verified(signing, "dates#staging#2")
    ok(signing, "demote", "dates", "production")
    assert verified(signing, "dates#production!#3")


def test_nobody_else_moves_it(signing: User, tmp_path: Path) -> None:
    ok(signing, "release", *UNGATED, "dates")
    mallory = key(tmp_path, "mallory")
    git(signing.root, "config", "user.signingKey", str(mallory))
    assert "git does not vouch for your signature" in refused(signing, "promote", "dates@1.0.0", "production")
    with (tmp_path / "signers").open("a") as file:
        file.write(f"mallory@example.com {mallory.with_suffix('.pub').read_text()}")
    assert f"moved only by {ALICE}, not by mallory@example.com" in refused(signing, "promote", "dates@1.0.0", "production")
    git(signing.root, "config", "user.signingKey", str(tmp_path / "lost"))
    assert "'dates#production#1' was not signed" in refused(signing, "promote", "dates@1.0.0", "production")
    signing.edit("prompts/dates.yaml", "Sort", "Day")
    commit(signing)
    assert "'dates@v1.0.1' was not signed" in refused(signing, "release", *UNGATED, "dates", "--sign")
    git(signing.root, "config", "tag.gpgSign", "true")
    assert "'dates@v1.0.1' was not signed" in refused(signing, "release", *UNGATED, "dates")
    git(signing.root, "config", "tag.gpgSign", "false")
    git(signing.root, "config", "--unset", "gpg.ssh.allowedSignersFile")
    git(signing.root, "config", "user.signingKey", str(tmp_path / "alice"))
    assert "allowedSignersFile" in refused(signing, "promote", "dates@1.0.0", "production")
    assert standing(signing) == {}


def test_an_unsigned_move_from_elsewhere_is_told_of(signing: User) -> None:
    ok(signing, "release", *UNGATED, "dates")
    git(signing.root, "tag", "-a", "-m", "mine now", "dates#production#1", "dates@v1.0.0^{}")
    assert "'production' of dates must be signed, and the tag 'dates#production#1' is not" in signing("labels").err


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not installed")
def test_openpgp_signs_too(user: User, tmp_path: Path) -> None:
    home = tmp_path / "g"
    home.mkdir(mode=0o700)
    env = {"GNUPGHOME": str(home)}
    subprocess.run(
        ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-gen-key", f"Alice <{ALICE}>", "ed25519", "sign"],
        env={**os.environ, **env},
        check=True,
        capture_output=True,
    )
    user.write("promptreg.yaml", SETTINGS.replace("production]", f"{{name: production, signers: [{ALICE}]}}]"))
    user.write("prompts/dates.yaml", TRIAGE)
    git(user.root, "init", "-q")
    git(user.root, "config", "user.signingKey", ALICE)
    commit(user)
    for words in (("release", *UNGATED, "dates", "--sign"), ("promote", "dates@1.0.0", "production")):
        said = user.process(*words, env=env)
        assert said.code == 0, said.err
    for tag in ("dates@v1.0.0", "dates#production#1"):
        git(user.root, "verify-tag", tag, GNUPGHOME=str(home))
    subprocess.run(["gpgconf", "--kill", "all"], env={**os.environ, **env}, check=False, capture_output=True)
