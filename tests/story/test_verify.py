"""Sources that lie, and locks that were touched: each has its own error, nothing is written, and nothing of theirs runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Said, User
from repositories import blob, commit_tree, git, mktree
from test_pull import files, pulled

from promptreg.core.canonical import digest
from promptreg.core.lock import SCHEMA
from promptreg.testing import RepositoryBuilder

SIGNED = "support/triage@v2.0.0"


def refused(said: Said, reason: str) -> str:
    assert said.code == 2, said.out
    assert said.json["reason"] == reason, said.err
    assert said.json["errors"][0]["hint"]
    return str(said.json["errors"][0]["message"])


@pytest.fixture
def here(acme: RepositoryBuilder, consumer: User) -> User:
    pulled(consumer("pull", "../acme", "support/triage@1.0.0", "greet", "--json"))
    assert consumer("verify").code == 0
    return consumer


# files, lock, tags ------------------------------------------------------------------------------------------------------------

TONE = "prompts/vendor/acme/support/triage@1.0.0/support/_tone.jinja"


def changed(user: User) -> None:
    user.write(TONE, "Be kinD.\n")


def missing(user: User) -> None:
    (user.root / TONE).unlink()


def linked(user: User) -> None:
    (user.root / TONE).unlink()
    user.write("tone.txt", "Be kind!\n")
    (user.root / TONE).symlink_to(user.root / "tone.txt")


def added(user: User) -> None:
    user.write("prompts/vendor/acme/support/triage@1.0.0/support/_more.jinja", "x")


def tampered(user: User) -> None:
    user.edit("promptreg.lock", '"selector": "1.0.0"', '"selector": "1.0.1"')


def redigested(user: User) -> None:
    """Another file, and a lock that agrees with it in all its digests."""
    from promptreg.core.canonical import Digest, digest_bytes
    from promptreg.core.identity import source_of_digests

    user.write(TONE, "Be evil.\n")
    raw = json.loads(user.read("promptreg.lock"))
    each = raw["sources"]["acme"]["prompts"]["support/triage"]
    each["files"]["support/_tone.jinja"] = digest_bytes(b"Be evil.\n")
    own = Digest(each["files"]["support/triage.yaml"])
    each["source_digest"] = source_of_digests(own, {"support/_tone.jinja": each["files"]["support/_tone.jinja"]})
    raw["digest"] = digest(SCHEMA, {"schema": SCHEMA, "sources": raw["sources"]})
    user.write("promptreg.lock", json.dumps(raw, ensure_ascii=False, indent=2, sort_keys=True) + "\n")


@pytest.mark.parametrize(
    ("touch", "reason", "message"),
    [
        (changed, "file_changed", "is not the file that was pulled"),
        (missing, "file_missing", "is missing"),
        (linked, "file_changed", "is not the file that was pulled"),
        (added, "file_changed", "is unknown to the lock"),
        (tampered, "lock_tampered", "its digest does not fit"),
        (redigested, "lock_tampered", "are not those of support/triage@v1.0.0"),
    ],
)
def test_what_was_touched_here(touch: Callable[[User], None], reason: str, message: str, here: User) -> None:
    touch(here)
    before = files(here)
    assert message in refused(here("verify", "--json"), reason)
    assert files(here) == before
    if touch not in (added, redigested):
        assert here("render", "acme:support/triage", "-i", "ticket=x").code == 2
    if touch is not missing:
        assert here("pull", "--locked").code == 2
        assert files(here) == before


def test_everything_that_is_wrong_is_told_at_once(here: User) -> None:
    changed(here)
    added(here)
    git(here.root.parent / "acme", "tag", "-d", "greet@v1.0.0")
    reasons = [each["reason"] for each in here("verify", "--json").json["errors"]]
    assert reasons == ["file_changed", "file_changed", "tag_moved"]


@pytest.mark.parametrize(
    "line", [("verify",), ("pull",), ("pull", "--locked"), ("update",), ("pull", "acme", "support/triage@1.0.0")]
)
def test_a_moved_tag(line: tuple[str, ...], here: User, acme: RepositoryBuilder) -> None:
    acme.write("prompts/support/_tone.jinja", "Be evil.\n").commit()
    acme.git("tag", "-f", "-a", "-m", "moved", "support/triage@v1.0.0")
    before = files(here)
    assert "was moved" in refused(here(*line, "--json"), "tag_moved")
    assert files(here) == before
    assert here("drop", "acme:support/triage").code == 0
    assert here("pull", "acme", "support/triage@1.0.0").code == 0


def test_a_deleted_tag(here: User, acme: RepositoryBuilder) -> None:
    acme.git("tag", "-d", "support/triage@v1.0.0")
    assert "has no tag" in refused(here("verify", "--json"), "tag_moved")


def test_a_tag_under_another_name(here: User, acme: RepositoryBuilder) -> None:
    """A real tag object, perhaps signed, served as another version."""
    acme.git("update-ref", "refs/tags/support/triage@v3.0.0", acme.git("rev-parse", "refs/tags/support/triage@v1.0.0"))
    before = files(here)
    assert "is 'support/triage@v1.0.0'" in refused(here("pull", "acme", "support/triage@3.0.0", "--json"), "tag_forged")
    assert files(here) == before


def test_evidence_of_another_prompt(here: User, acme: RepositoryBuilder) -> None:
    acme.tag("greet@v2.0.0", f"release\n\n---\nbehaviour: sha256:{'0' * 64}\n")
    assert "vouches for sha256:0000" in refused(here("pull", "acme", "greet", "--json"), "tag_forged")


# signatures -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("ada", "eve"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(tmp_path / name)], check=True)
        public = (tmp_path / f"{name}.pub").read_text()
        (tmp_path / f"{name}.signers").write_text(f"{name}@example.org {public}")
    return tmp_path


def sign(acme: RepositoryBuilder, tag: str, key: Path, *options: str) -> None:
    acme.git("-c", "gpg.format=ssh", "-c", f"user.signingKey={key}", "tag", "-f", "-s", "-m", "signed", *options, "--", tag)


def require(user: User, *paths: str) -> None:
    user.write("promptreg.yaml", user.read("promptreg.yaml") + f"sources: {{acme: {{url: ../acme, signers: {list(paths)}}}}}\n")


def test_signed_by_whom_the_settings_name(acme: RepositoryBuilder, consumer: User, keys: Path) -> None:
    sign(acme, SIGNED, keys / "ada")
    consumer.write("keys/signers", (keys / "ada.signers").read_bytes())
    require(consumer, "keys/signers")
    assert consumer("pull", "acme", "support/triage@2").code == 0
    assert '"signer": "ada@example.org SHA256:' in consumer.read("promptreg.lock")
    said = consumer("verify", "--json")
    assert said.json["prompts"][0]["signed_by"].startswith("ada@example.org")
    assert consumer("pull", "--locked").code == 0


def unsigned(acme: RepositoryBuilder, keys: Path) -> None:
    acme.tag(SIGNED)


def by_eve(acme: RepositoryBuilder, keys: Path) -> None:
    sign(acme, SIGNED, keys / "eve")


def forged(acme: RepositoryBuilder, keys: Path) -> None:
    """Ada's signature under other words."""
    sign(acme, SIGNED, keys / "ada")
    content = git(acme.root, "cat-file", "tag", SIGNED).replace("\nsigned\n", "\nsigned by Ada\n") + "\n"
    oid = git(acme.root, "hash-object", "-t", "tag", "-w", "--stdin", stdin=content.encode())
    acme.git("update-ref", f"refs/tags/{SIGNED}", oid)


@pytest.mark.parametrize(("make", "reason"), [(unsigned, "tag_unsigned"), (by_eve, "unknown_signer"), (forged, "tag_forged")])
def test_bad_signatures(
    make: Callable[[RepositoryBuilder, Path], None],
    reason: str,
    acme: RepositoryBuilder,
    consumer: User,
    keys: Path,
) -> None:
    make(acme, keys)
    consumer.write("keys/signers", (keys / "ada.signers").read_bytes())
    require(consumer, "keys/signers")
    before = files(consumer)
    refused(consumer("pull", "acme", "support/triage@2.0.0", "--json"), reason)
    assert files(consumer) == before
    consumer.write("promptreg.yaml", consumer.read("promptreg.yaml").partition("sources:")[0])
    assert consumer("pull", "../acme", "support/triage@2.0.0").code == 0
    refused(consumer("verify", "--signers", str(keys / "ada.signers"), "--json"), reason)


def test_the_label_that_decides_must_be_signed_too(acme: RepositoryBuilder, consumer: User, keys: Path) -> None:
    sign(acme, SIGNED, keys / "ada")
    sign(acme, "support/triage#production#2", keys / "ada")
    signers = ("--signers", str(keys / "ada.signers"))
    assert consumer("pull", "../acme", "support/triage@production", *signers).code == 0
    acme.tag("support/triage#production#3")
    refused(consumer("update", *signers, "--json"), "tag_unsigned")


def test_a_signer_in_the_lock_needs_somebody_to_check_by(acme: RepositoryBuilder, consumer: User, keys: Path) -> None:
    sign(acme, SIGNED, keys / "ada")
    assert consumer("pull", "../acme", "support/triage@2", "--signers", str(keys / "ada.signers")).code == 0
    assert "nobody is named to check it by" in refused(consumer("verify", "--json"), "unverified")
    assert consumer("verify", "--signers", str(keys / "ada.signers")).code == 0


def test_signers_are_those_of_the_trusted_commit(acme: RepositoryBuilder, consumer: User, keys: Path) -> None:
    """A pull request that brings its own signers convinces nobody."""
    consumer.write("keys/signers", (keys / "ada.signers").read_bytes())
    require(consumer, "keys/signers")
    git(consumer.root, "init", "-q")
    git(consumer.root, "add", "promptreg.yaml", "keys", "prompts")
    git(consumer.root, "commit", "-qm", "base")
    sign(acme, SIGNED, keys / "eve")
    consumer.write("keys/signers", (keys / "eve.signers").read_bytes())
    assert consumer("pull", "acme", "support/triage@2").code == 0
    assert consumer("verify").code == 0
    refused(consumer("verify", "--trusted", "HEAD", "--json"), "unknown_signer")


def test_what_must_be_signed_and_cannot_be_seen(acme: RepositoryBuilder, consumer: User, keys: Path) -> None:
    sign(acme, SIGNED, keys / "ada")
    signers = ("--signers", str(keys / "ada.signers"))
    assert consumer("pull", "../acme", "support/triage@2", *signers).code == 0
    shutil.rmtree(acme.root)
    assert consumer("verify", *signers).code == 0  # the cache has it
    shutil.rmtree(os.environ["PROMPTREG_CACHE"])
    refused(consumer("verify", *signers, "--json"), "unverified")


@pytest.fixture
def gnupg(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Ada's and Eve's OpenPGP keys. The folder's name must be short: gpg-agent's socket lies there."""
    home = Path(tempfile.mkdtemp(prefix="gpg-"))
    monkeypatch.setenv("GNUPGHOME", str(home))
    for name in ("ada", "eve"):
        generate = [
            "gpg",
            "--batch",
            "-q",
            "--passphrase",
            "",
            "--quick-generate-key",
            f"{name} <{name}@example.org>",
            "ed25519",
            "sign",
            "never",
        ]
        subprocess.run(generate, check=True, capture_output=True)
        with open(home / f"{name}.asc", "wb") as file:
            subprocess.run(["gpg", "--armor", "--export", f"{name}@example.org"], check=True, stdout=file)
    yield home
    subprocess.run(["gpgconf", "--kill", "all"], check=False)
    shutil.rmtree(home, ignore_errors=True)


def test_gpg(acme: RepositoryBuilder, consumer: User, gnupg: Path, keys: Path) -> None:
    acme.git("-c", "user.signingKey=ada@example.org", "tag", "-s", "-m", "signed", SIGNED)
    ada, eve, ssh = (str(gnupg / "ada.asc"), str(gnupg / "eve.asc"), str(keys / "ada.signers"))
    assert consumer("pull", "../acme", "support/triage@2", "--signers", ada).code == 0
    assert "ada@example.org" in consumer.read("promptreg.lock")
    assert consumer("verify", "--signers", eve, "--signers", ada).code == 0
    refused(consumer("verify", "--signers", eve, "--json"), "unknown_signer")
    refused(consumer("verify", "--signers", ssh, "--json"), "unknown_signer")  # the user's own ring, which has Ada, does not count


@pytest.mark.parametrize("content", [b"", b"# nobody\n", b"\0\0"])
def test_signers_that_name_nobody(content: bytes, here: User) -> None:
    here.write("nobody", content)
    assert "no signer is named here" in here("verify", "--signers", "nobody").err


# hostile sources --------------------------------------------------------------------------------------------------------------


def hostile(acme: RepositoryBuilder, *entries: tuple[str, str, str]) -> None:
    """evil 1.0.0, whose prompts/ holds a prompt and *entries* (mode, object, name)."""
    good = blob(acme.root, b"messages: [{role: user, content: Hi.}]\n")
    prompts = mktree(acme.root, sorted([("100644", good, "evil.yaml"), *entries], key=lambda entry: entry[2]))
    settings = blob(acme.root, b"registry: evil\n")
    commit = commit_tree(acme.root, mktree(acme.root, [("40000", prompts, "prompts"), ("100644", settings, "promptreg.yaml")]))
    acme.git("tag", "-a", "-m", "evil", "evil@v1.0.0", commit)


@pytest.mark.parametrize(
    ("mode", "name", "message"),
    [
        ("120000", "link.yaml", "is a symbolic link"),
        ("160000", "sub", "is a submodule"),
        ("100644", "..", "not a path that a pulled file may have"),
        ("100644", "a\\..\\b", "not a path that a pulled file may have"),
        ("100644", ".git", "not a path that a pulled file may have"),
        ("100644", "a\nb", "not a path that a pulled file may have"),
    ],
)
def test_trees_that_are_refused(mode: str, name: str, message: str, here: User, acme: RepositoryBuilder) -> None:
    oid = git(acme.root, "rev-parse", "HEAD") if mode == "160000" else blob(acme.root, b"/etc/passwd")
    hostile(acme, (mode, oid, name))
    before = files(here)
    said = here("pull", "acme", "evil")
    assert said.code == 2
    assert message in said.err
    assert files(here) == before


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("prompts/evil.yaml", b"#" * (2 << 20), "is too large"),
        ("prompts/evil.yaml", b"messages: 5\n", "cannot be read"),
        ("prompts/evil.yaml", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "LFS"),
        ("prompts/_p.jinja", b"\xff\xfe", "not UTF-8"),
        ("prompts/evil.yaml", b"messages: [{role: user, content: '{% include \"../../etc/passwd\" %}'}]\n", "not a path inside"),
    ],
)
def test_files_that_are_refused(path: str, content: bytes, message: str, here: User, acme: RepositoryBuilder) -> None:
    acme.write("prompts/evil.yaml", "messages: [{role: user, content: '{% include \"_p.jinja\" %}'}]\n").write(
        "prompts/_p.jinja", "x"
    )
    acme.write(path, content).commit()
    acme.tag("evil@v1.0.0")
    before = files(here)
    said = here("pull", "acme", "evil")
    assert said.code == 2
    assert message in said.err
    assert files(here) == before


def test_nothing_of_theirs_runs(here: User, acme: RepositoryBuilder, tmp_path: Path) -> None:
    """Hooks, filters, a file-system monitor, an SSH command, replacements: all would leave a mark."""
    mark = tmp_path / "mark"
    acme.write(".gitattributes", "* filter=evil diff=evil\n").write("prompts/.gitattributes", "* filter=evil\n")
    acme.write(".gitmodules", f'[submodule "x"]\n\tpath = x\n\turl = ext::sh -c "touch {mark}"\n').commit()
    for hook in ("post-checkout", "pre-receive", "reference-transaction", "post-merge", "fsmonitor-watchman"):
        path = acme.root / ".git" / "hooks" / hook
        path.write_text(f"#!/bin/sh\ntouch {mark}\n")
        path.chmod(0o755)
    programs = (
        "filter.evil.smudge",
        "filter.evil.process",
        "core.fsmonitor",
        "core.sshCommand",
        "uploadpack.packObjectsHook",
        "diff.external",
    )
    for key in programs:
        git(acme.root, "config", key, f"touch {mark}")
    git(acme.root, "-c", "core.hooksPath=/dev/null", "tag", "-a", "-m", "x", "support/triage@v5.0.0")
    mark.unlink(missing_ok=True)
    assert here("pull", "acme", "support/triage@5.0.0").code == 0
    assert here("verify").code == 0
    assert not mark.exists()
    assert ".gitattributes" not in {path.name for path in (here.root / "prompts/vendor/acme").rglob("*")}


@pytest.mark.parametrize(
    "ref", ["--upload-pack=touch mark", "support/triage@--upload-pack=x", "-x@v1.0.0", "support/triage@v1.0.0'; id"]
)
def test_tags_that_look_like_options(ref: str, here: User, acme: RepositoryBuilder) -> None:
    path = acme.root / ".git" / "refs" / "tags" / ref
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(acme.git("rev-parse", "refs/tags/greet@v1.0.0") + "\n")
    here("pull", "acme", ref)
    assert here("pull", "acme", "support/triage@latest").code == 0
    assert here("verify").code == 0
    assert not list(here.root.rglob("mark"))


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c 'touch mark'",
        "--upload-pack=touch mark",
        "-oProxyCommand=touch mark",
        "ssh://-oProxyCommand=touch/x",
        "fd::7",
        "http://x/y",
    ],
)
def test_addresses_that_are_commands(url: str, consumer: User) -> None:
    before = files(consumer)
    assert consumer("pull", "--", url, "greet").code == 2
    consumer.write("promptreg.yaml", consumer.read("promptreg.yaml") + f'sources: {{x: {{url: "{url}"}}}}\n')
    said = consumer("pull", "x", "greet")
    assert said.code == 2
    assert "promptreg.yaml:" in said.err
    assert not (consumer.root / "mark").exists()
    assert files(consumer) == before


def test_secrets_in_addresses_are_kept_nowhere(consumer: User, tmp_path: Path) -> None:
    said = consumer("pull", "https://ada:hunter2@127.0.0.1:1/x", "greet", "--json")
    assert said.code == 2
    assert "hunter2" not in said.out + said.err
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert not kept


def test_a_link_here_leads_nothing_out(acme: RepositoryBuilder, consumer: User, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (consumer.root / "prompts" / "vendor").symlink_to(tmp_path / "outside")
    assert "is not a folder" in consumer("pull", "../acme", "greet").err
    assert not list((tmp_path / "outside").iterdir())
