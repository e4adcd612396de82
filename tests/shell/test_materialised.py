"""Code and recordings of a commit on disk: base has the say whatever the working tree holds, and no tree writes elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repositories import PROMPT, SETTINGS, blob, commit, commit_tree, git, mktree, opened, write

from promptreg.errors import UsageError
from promptreg.registry import Registry, materialised
from promptreg.registry.materialised import materialise

FILES = {
    "promptreg.yaml": SETTINGS,
    "prompts/a.yaml": PROMPT,
    "plugins/house.py": "RULE = 'base'\n",
    "plugins/pack/__init__.py": "from . import deep\n",
    "plugins/pack/deep/__init__.py": "RULE = 'base'\n",
    "plugins/pack/.hidden.py": "x\n",
    "recordings/march é.jsonl": "{}\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = write(tmp_path / "repo", FILES)
    (root / "plugins/linked.py").symlink_to("../recordings/march é.jsonl")
    (root / "plugins/out.py").symlink_to("/etc/passwd")
    (root / "plugins/folder").symlink_to("pack")
    commit(root)
    return root


def base(root: Path) -> Registry:
    return opened(root).at(git(root, "rev-parse", "HEAD"))


def there(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_and_folders_come_from_the_commit_and_not_from_the_working_tree(root: Path, tmp_path: Path) -> None:
    write(root, {"plugins/house.py": "RULE = 'head'\n", "plugins/pack/evil.py": "x", "recordings/march é.jsonl": "[]"})
    target = tmp_path / "scratch"
    with base(root) as registry:
        materialise(registry, ["plugins/house.py", "plugins/pack/", "recordings/march é.jsonl", "plugins/pack"], target)
    assert there(target) == {
        path: FILES[path] for path in sorted(FILES) if path.startswith(("plugins/", "rec")) and "/." not in path
    }


def test_a_link_becomes_the_file_that_it_leads_to(root: Path, tmp_path: Path) -> None:
    with base(root) as registry:
        materialise(registry, ["plugins/linked.py"], tmp_path / "scratch")
    written = tmp_path / "scratch/plugins/linked.py"
    assert not written.is_symlink()
    assert written.read_text() == "{}\n"
    assert written.stat().st_mode & 0o777 == 0o600


def test_a_registry_in_a_subfolder(tmp_path: Path) -> None:
    root = write(tmp_path / "repo/deep/registry", FILES)
    commit(tmp_path / "repo")
    with base(root) as registry:
        materialise(registry, ["plugins/house.py"], tmp_path / "scratch")
    assert there(tmp_path / "scratch") == {"plugins/house.py": FILES["plugins/house.py"]}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("plugins/out.py", "a symbolic link that leads out of the repository"),
        ("plugins/folder", "plugins/folder is a symbolic link to a folder"),
        ("plugins/hose.py", "there is no file 'plugins/hose.py'"),
        ("../repo/plugins/house.py", "leads out of the registry"),
        ("/etc/passwd", "leads out of the registry"),
        ("plugins/\0", "leads out of the registry"),
    ],
)
def test_what_is_refused(root: Path, tmp_path: Path, path: str, message: str) -> None:
    with base(root) as registry, pytest.raises(UsageError, match=message):
        materialise(registry, [path], tmp_path / "scratch")
    assert not (tmp_path / "scratch").exists() or there(tmp_path / "scratch") == {}


def test_a_pointer_of_git_lfs_is_not_the_recording(root: Path, tmp_path: Path) -> None:
    commit(root, {"recordings/large.jsonl": "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"})
    with base(root) as registry, pytest.raises(UsageError, match="Git LFS pointer"):
        materialise(registry, ["recordings"], tmp_path / "scratch")


def test_a_tree_that_a_stranger_forged_writes_nothing_outside(root: Path, tmp_path: Path) -> None:
    content = blob(root, b"evil")
    inner = mktree(root, [("100644", content, "../../evil.py")])
    settings = blob(root, SETTINGS.encode())
    head = commit_tree(root, mktree(root, [("40000", inner, "plugins"), ("100644", settings, "promptreg.yaml")]))
    with opened(root).at(head) as registry, pytest.raises(UsageError):
        materialise(registry, ["plugins"], tmp_path / "one/scratch")
    assert not [path for path in tmp_path.rglob("evil.py") if "repo" not in path.parts]


def test_what_is_there_already_is_not_written_over_nor_followed(root: Path, tmp_path: Path) -> None:
    target = tmp_path / "scratch/plugins/house.py"
    target.parent.mkdir(parents=True)
    target.symlink_to(tmp_path / "victim")
    with base(root) as registry, pytest.raises(UsageError, match=r"plugins/house\.py cannot be written"):
        materialise(registry, ["plugins/house.py"], tmp_path / "scratch")
    assert not (tmp_path / "victim").exists()


def test_too_many_files_and_too_many_bytes(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with base(root) as registry:
        monkeypatch.setattr(materialised, "MOST_FILES", 2)
        with pytest.raises(UsageError, match="more than 2 files"):
            materialise(registry, ["prompts/a.yaml", "plugins/pack", "plugins/house.py"], tmp_path / "many")
        monkeypatch.setattr(materialised, "MOST_BYTES", 10)
        with pytest.raises(UsageError, match="larger than 10 bytes together"):
            materialise(registry, ["plugins/house.py"], tmp_path / "much")


SCRIPT = """
import os, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from repositories import opened, git
from promptreg.registry.materialised import materialise
registry = opened(Path(sys.argv[1])).at(git(Path(sys.argv[1]), "rev-parse", "HEAD"))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with registry:
    materialise(registry, ["recordings/large.jsonl"], Path(sys.argv[3]))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="kilobytes only there")
def test_a_large_recording_is_streamed(root: Path, tmp_path: Path) -> None:
    large = os.urandom(1 << 20) * 64
    (root / "recordings/large.jsonl").write_bytes(large)
    commit(root)
    arguments = [sys.executable, "-c", SCRIPT, str(root), str(Path(__file__).parent.parent), str(tmp_path / "scratch")]
    done = subprocess.run(arguments, check=True, capture_output=True, text=True)
    assert (tmp_path / "scratch/recordings/large.jsonl").read_bytes() == large
    assert int(done.stdout) < 24 * 1024  # kilobytes, of 64 MiB
