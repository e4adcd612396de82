"""Signed bundles: keys made here, files and a server, and everybody who would like to be believed."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_runtime import Server, bundle, eventually, send, spy, until, version

from promptreg import signatures
from promptreg.errors import BundleError, BundleUntrusted, PromptregError, UsageError
from promptreg.runtime import Registry
from promptreg.runtime.remote import signature_url
from promptreg.runtime.signed import joined, parted

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
ADA = "ada@example.org"


class Keys:
    """Two key pairs: ada's is among the signers, eve's is not."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("ada", "eve"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)], check=True)
        self.signers = folder / "signers"
        self.trust(f"{ADA} {self.public('ada')}")

    def public(self, name: str) -> str:
        return (self.folder / f"{name}.pub").read_text()

    def trust(self, lines: str) -> None:
        self.signers.write_text(f"# who may sign\n{lines}")

    def sign(self, content: bytes, name: str = "ada") -> bytes:
        return signatures.sign(content, str(self.folder / name))

    def foreign(self, content: bytes, namespace: str) -> bytes:
        command = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(self.folder / "ada")]
        return subprocess.run(command, input=content, check=True, capture_output=True).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def keys(made: Keys) -> Iterator[Keys]:
    yield made
    made.trust(f"{ADA} {made.public('ada')}")


@pytest.fixture
def path(tmp_path: Path, keys: Keys) -> Path:
    file = tmp_path / "prompts.json"
    file.write_bytes(bundle("1.0.0"))
    beside(file).write_bytes(keys.sign(file.read_bytes()))
    return file


def beside(file: Path) -> Path:
    return file.with_name(file.name + ".sig")


def test_a_signed_bundle_opens(path: Path, keys: Keys) -> None:
    assert version(Registry.open(path, signers=keys.signers)) == "1.0.0"
    assert signatures.signer(path.read_bytes(), beside(path).read_bytes(), keys.signers.read_bytes(), "x") == ADA


def test_without_signers_nobody_asks_for_a_signature_and_nobody_pays(path: Path) -> None:
    beside(path).unlink()
    assert version(Registry.open(path)) == "1.0.0"
    loaded, _ = spy(f"from promptreg.runtime import Registry\nRegistry.open({str(path)!r}).get('triage')")
    assert not loaded & {"subprocess", "tempfile"}


ATTACKS: dict[str, tuple[Callable[[Keys, bytes], bytes | None], str]] = {
    "none": (lambda keys, content: None, "has no signature"),
    "empty": (lambda keys, content: b"", "has no signature"),
    "of another bundle": (lambda keys, content: keys.sign(bundle("2.0.0")), "does not fit"),
    "for git": (lambda keys, content: keys.foreign(content, "git"), "does not fit"),
    "for files": (lambda keys, content: keys.foreign(content, "file"), "does not fit"),
    "cut short": (lambda keys, content: keys.sign(content)[:150], "does not fit"),
    "without an end": (lambda keys, content: keys.sign(content).rpartition(b"-----END")[0], "does not fit"),
    "with a changed letter": (lambda keys, content: flipped(keys.sign(content)), "does not fit|by nobody"),
    "garbage": (lambda keys, content: b"\0" * 500, "does not fit"),
    "words that git prints": (lambda keys, content: f'Good "promptreg-bundle" signature for {ADA}\n'.encode(), "does not fit"),
    "endless": (lambda keys, content: keys.sign(content) + b"\n" * (1 << 17), "larger than"),
    "by somebody else": (lambda keys, content: keys.sign(content, "eve"), "by nobody among the signers"),
}


def flipped(signature: bytes) -> bytes:
    lines = signature.splitlines(keepends=True)
    middle = lines[-3]
    lines[-3] = (b"B" if middle[:1] == b"A" else b"A") + middle[1:]
    return b"".join(lines)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_bad_signature_is_refused(path: Path, keys: Keys, attack: str) -> None:
    make, words = ATTACKS[attack]
    signature = make(keys, path.read_bytes())
    beside(path).unlink() if signature is None else beside(path).write_bytes(signature)
    with pytest.raises(BundleUntrusted, match=words) as caught:
        Registry.open(path, signers=keys.signers)
    assert caught.value.hint
    assert str(path) in str(caught.value)


def test_a_bundle_of_other_bytes_is_refused_although_its_digest_is_right(path: Path, keys: Keys) -> None:
    path.write_bytes(path.read_bytes() + b"\n")
    assert version(Registry.open(path)) == "1.0.0"
    with pytest.raises(BundleUntrusted, match="does not fit"):
        Registry.open(path, signers=keys.signers)


@pytest.mark.parametrize("options", ['namespaces="git" ', 'valid-before="20200101" ', 'valid-after="20990101" '])
def test_a_key_counts_only_for_what_and_when_it_is_trusted(path: Path, keys: Keys, options: str) -> None:
    keys.trust(f"{ADA} {options}{keys.public('ada')}")
    with pytest.raises(BundleUntrusted, match=r"who may not sign bundles|by nobody"):
        Registry.open(path, signers=keys.signers)


def test_a_key_that_is_trusted_for_bundles_counts(path: Path, keys: Keys) -> None:
    keys.trust(f'eve@example.org {keys.public("eve")}*@example.org namespaces="git,promptreg-bundle" {keys.public("ada")}')
    assert version(Registry.open(path, signers=keys.signers)) == "1.0.0"


@pytest.mark.parametrize("content", ["", "# nobody yet\n\n", None])
def test_a_file_that_names_nobody_trusts_nobody(path: Path, keys: Keys, content: str | None) -> None:
    keys.signers.unlink() if content is None else keys.signers.write_text(content)
    with pytest.raises(UsageError, match=r"no signer is named|cannot be read"):
        Registry.open(path, signers=keys.signers)


@pytest.mark.parametrize("lines", ["no key at all\n", "--help ssh-ed25519\n", "\0\n"])
def test_odd_signers_trust_nobody(path: Path, keys: Keys, lines: str) -> None:
    keys.trust(lines)
    with pytest.raises(UsageError):
        Registry.open(path, signers=keys.signers)


def test_a_principal_is_never_an_option(path: Path, keys: Keys, tmp_path: Path) -> None:
    keys.trust(f"-fother {keys.public('ada')}")
    assert signatures.signer(path.read_bytes(), beside(path).read_bytes(), keys.signers.read_bytes(), "x") == "-fother"


def test_without_ssh_keygen_nothing_is_believed(path: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BundleUntrusted, match="no ssh-keygen here") as caught:
        Registry.open(path, signers=keys.signers)
    assert "OpenSSH" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="no ssh-keygen here"):
        keys.sign(b"x")


def test_an_agents_key_signs_by_its_public_half(keys: Keys) -> None:
    if shutil.which("ssh-agent") is None:
        pytest.skip("ssh-agent is not installed")
    said = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    found = dict(part.split("=", 1) for part in said.replace("\n", ";").split(";") if "=" in part)
    before = dict(os.environ)
    os.environ.update(found)
    try:
        subprocess.run(["ssh-add", "-q", str(keys.folder / "ada")], check=True)
        for key in (keys.public("ada").strip(), f"key::{keys.public('ada').strip()}"):
            assert signatures.signer(b"x", signatures.sign(b"x", key), keys.signers.read_bytes(), "x") == ADA
        with pytest.raises(UsageError, match="cannot sign the bundle"):
            signatures.sign(b"x", keys.public("eve").strip())
    finally:
        subprocess.run(["ssh-agent", "-k"], check=True, capture_output=True)
        os.environ.pop("SSH_AUTH_SOCK")
        os.environ.pop("SSH_AGENT_PID")
        os.environ.update(before)


# --- a server -----------------------------------------------------------------------------------------------------------------


class Signing(Server):
    """Serves `content`, and below URL.sig what `signature` is."""

    def __init__(self, keys: Keys) -> None:
        super().__init__(bundle("1.0.0"))
        self.keys = keys
        self.publish("1.0.0")
        self.asked_for: list[str] = []
        self.plan = self.signed

    def publish(self, number: str, by: str = "ada") -> None:
        content = bundle(number)
        self.signature: bytes | None = self.keys.sign(content, by)
        self.content = content

    def signed(self, request: object) -> bool:
        path = request.path  # type: ignore[attr-defined]
        self.asked_for.append(path)
        if ".sig" not in path:
            return False
        return send(request, 404, b"") if self.signature is None else send(request, 200, self.signature)  # type: ignore[arg-type]


@pytest.fixture
def server(keys: Keys) -> Iterator[Signing]:
    running = Signing(keys)
    yield running
    running.close()


def test_a_url_has_its_signature_beside_it(server: Signing, keys: Keys) -> None:
    registry = Registry.open(f"{server.url}?a=1", signers=keys.signers, max_age_s=0)
    assert version(registry) == "1.0.0"
    assert server.asked_for[:2] == ["/prompts.json?a=1", "/prompts.json.sig?a=1"]
    server.publish("2.0.0")
    eventually(registry, "2.0.0")
    assert signature_url("https://example.com/a.json?key=1#f") == "https://example.com/a.json.sig?key=1"


def test_without_signers_no_signature_is_fetched(server: Signing) -> None:
    Registry.open(server.url)
    assert server.asked_for == ["/prompts.json"]


def test_the_signature_gets_the_headers_of_the_bundle(server: Signing, keys: Keys) -> None:
    Registry.open(server.url, signers=keys.signers, headers={"Authorization": "Bearer key"})
    assert [asked["authorization"] for asked in server.asked] == ["Bearer key", "Bearer key"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_badly_signed_bundle_never_replaces_a_good_one(server: Signing, keys: Keys, attack: str, tmp_path: Path) -> None:
    make, words = ATTACKS[attack]
    words += "|server says 404"
    told: list[PromptregError] = []
    registry = Registry.open(server.url, signers=keys.signers, max_age_s=0, on_error=told.append, cache=tmp_path / "cache")
    server.signature, server.content = make(keys, bundle("9.0.0")), bundle("9.0.0")
    if attack == "of another bundle":
        server.signature = keys.sign(bundle("1.0.0"))
    until(lambda: (version(registry), told)[1])
    assert isinstance(told[0], BundleError)
    assert version(registry) == "1.0.0"
    with pytest.raises(BundleError, match=words):
        registry.refresh()
    with pytest.raises(BundleError, match=words):
        Registry.open(server.url, signers=keys.signers)
    kept = Registry.open(server.url, signers=keys.signers, cache=tmp_path / "cache", max_age_s=None, on_error=told.append)
    assert version(kept) == "1.0.0"
    server.publish("2.0.0")
    registry.refresh()
    assert version(registry) == "2.0.0"


def test_a_signer_who_is_taken_out_signs_nothing_new(server: Signing, keys: Keys) -> None:
    registry = Registry.open(server.url, signers=keys.signers, max_age_s=None)
    keys.trust(f"eve@example.org {keys.public('eve')}")
    server.publish("2.0.0")
    with pytest.raises(BundleUntrusted, match="by nobody among the signers"):
        registry.refresh()
    assert version(registry) == "1.0.0"
    server.publish("3.0.0", by="eve")
    assert registry.refresh()
    assert version(registry) == "3.0.0"


def test_a_cache_is_believed_no_more_than_a_server(server: Signing, keys: Keys, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    Registry.open(server.url, signers=keys.signers, cache=cache)
    content, signature = parted(cache.read_bytes())
    assert content == server.content
    assert signature == server.signature
    server.plan = lambda request: send(request, 500, b"")
    assert version(Registry.open(server.url, cache=cache, on_error=lambda _: None)) == "1.0.0"
    told: list[PromptregError] = []
    for planted in (
        bundle("9.0.0"),
        joined(bundle("9.0.0"), signature),
        joined(bundle("9.0.0"), keys.sign(bundle("9.0.0"), "eve")),
    ):
        cache.write_bytes(planted)
        with pytest.raises(BundleError, match="the server says 500"):
            Registry.open(server.url, signers=keys.signers, cache=cache, on_error=told.append)
    assert len(told) == 3
    assert all(isinstance(each, BundleUntrusted) for each in told)


def test_a_pinned_bundle_in_the_cache_needs_its_signature_too(server: Signing, keys: Keys, tmp_path: Path) -> None:
    digest, cache = Registry.open(server.url).digest, tmp_path / "cache"
    Registry.open(server.url, digest=digest, cache=cache)  # nobody asked for signatures: none is kept
    server.signature = None
    with pytest.raises(BundleUntrusted, match="server says 404"):
        Registry.open(server.url, digest=digest, signers=keys.signers, cache=cache, on_error=lambda _: None)
