"""A commit as a snapshot: it shows what the working tree showed, and refuses what a stranger's tree may hold."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from repositories import PROMPT, SETTINGS, at_revision, blob, commit, commit_tree, git, mktree, opened, write

from promptreg.errors import UsageError
from promptreg.registry import WorkingTree
from promptreg.registry.objects import Objects
from promptreg.registry.plumbing import Git
from promptreg.registry.revision import Revision

FILES = {
    "promptreg.yaml": SETTINGS,
    "prompts/a.yaml": PROMPT,
    "prompts/deep/er/b.yaml": PROMPT + "# b\n",
    "prompts/with space.md": "x",
    "prompts/é.md": "x",
    "prompts/.hidden/c.yaml": PROMPT,
    "prompts/.d.yaml": PROMPT,
    "suites/rows.jsonl": "{}\n",
    "shared/tone.jinja": "Be kind.",
    "empty": "",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = write(tmp_path / "repo", FILES)
    (root / "prompts/_tone.jinja").symlink_to("../shared/tone.jinja")
    (root / "prompts/deep/_again.jinja").symlink_to("../_tone.jinja")
    (root / "shared/loop").symlink_to("loop")
    commit(root)
    return root


def revision(root: Path, commit: str = "", folder: str = "") -> Revision:
    known = Git(root, os.environ)
    return Revision(Objects(known), commit or known.rev_parse("HEAD"), folder)


@pytest.mark.parametrize("folder", ["", "prompts", "prompts/deep", "suites", "shared", "missing", "promptreg.yaml", "empty"])
def test_it_lists_what_the_working_tree_lists(root: Path, folder: str) -> None:
    there, here = revision(root), WorkingTree(root)
    assert there.paths(folder) == here.paths(folder)


def test_it_reads_what_the_working_tree_reads(root: Path) -> None:
    there, here = revision(root), WorkingTree(root)
    paths = [path for path in here.paths() if path != "shared/loop"]
    assert len(paths) == 11 - 1
    for path in paths:
        assert there.read(path) == here.read(path)
        with there.open(path) as one, here.open(path) as other:
            assert one.read() == other.read()


def test_blob_ids_tell_what_is_untouched(root: Path) -> None:
    before = revision(root)
    commit(root, {"prompts/a.yaml": PROMPT + "# changed\n", "shared/tone.jinja": "Be brief."})
    after = revision(root)
    one, other = before.blobs("prompts"), after.blobs("prompts")
    assert one.keys() == other.keys() == set(before.paths("prompts"))
    assert {path for path in one if one[path] != other[path]} == {
        "prompts/a.yaml",
        "prompts/_tone.jinja",
        "prompts/deep/_again.jinja",
    }
    assert one["prompts/a.yaml"] == git(root, "rev-parse", "HEAD~1:prompts/a.yaml")


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "prompts/../../x", "a\0b"])
def test_paths_stay_below_the_root(root: Path, path: str) -> None:
    with pytest.raises(UsageError, match="leads out of the registry"):
        revision(root).read(path)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("prompts/b.yaml", r"there is no file 'prompts/b\.yaml' at .*; did you mean 'prompts/a\.yaml'\?"),
        ("prompts", "not a plain file"),
        ("", "there is no file"),
        (".", "there is no file"),
        ("prompts/a.yaml/b", "there is no file"),
        ("nothing", "there is no file 'nothing'"),
        ("shared/loop", "a loop of symbolic links"),
        ("-rf", "there is no file '-rf'"),
    ],
)
def test_what_is_no_file(root: Path, path: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        revision(root).read(path)


@pytest.mark.parametrize(
    "target",
    ["/etc/passwd", "../../outside", "../../../etc/passwd", "..", "../..", "../.git/config", "a\nb", "\x1b[31m", "../deep/../../x"],
)
def test_links_that_lead_out_are_refused(root: Path, target: str) -> None:
    (root / "prompts/_evil.jinja").symlink_to(target)
    found = revision(root, commit(root))
    with pytest.raises(UsageError) as caught:
        found.read("prompts/_evil.jinja")
    assert "leads out of the repository" in caught.value.message or "not a plain file" in caught.value.message
    assert str(caught.value).isprintable()


def test_links_to_folders_are_refused_where_they_are_listed(root: Path) -> None:
    (root / "prompts/linked").symlink_to("../shared")
    found = revision(root, commit(root))
    assert found.read("prompts/linked/tone.jinja") == b"Be kind."  # as in a working tree
    for snapshot in (found, WorkingTree(root)):
        with pytest.raises(UsageError, match="prompts/linked is a symbolic link to a folder"):
            snapshot.paths("prompts")
    (root / "suites/rows.jsonl").unlink()
    (root / "suites").rmdir()
    (root / "suites").symlink_to("shared")
    with pytest.raises(UsageError, match="suites is a symbolic link to a folder"):
        revision(root, commit(root)).paths("suites")


def test_links_stay_within_the_repository_and_may_leave_the_registry(root: Path) -> None:
    inner = write(root / "ai", {"promptreg.yaml": SETTINGS, "prompts/x.yaml": PROMPT})
    (inner / "prompts/_tone.jinja").symlink_to("../../shared/tone.jinja")
    (inner / "prompts/_own.jinja").symlink_to("../../ai/prompts/x.yaml")
    (inner / "prompts/_up.jinja").symlink_to("../../../ai/prompts/x.yaml")
    found = revision(root, commit(root), "ai/")
    assert found.paths("prompts") == ["prompts/_own.jinja", "prompts/_tone.jinja", "prompts/_up.jinja", "prompts/x.yaml"]
    assert found.read("prompts/_tone.jinja") == b"Be kind."
    assert found.read("prompts/_own.jinja") == PROMPT.encode()
    with pytest.raises(UsageError, match="leads out of the repository"):
        found.read("prompts/_up.jinja")


def test_submodules_are_refused(root: Path) -> None:
    git(root, "update-index", "--add", "--cacheinfo", f"160000,{git(root, 'rev-parse', 'HEAD')},prompts/sub")
    git(root, "commit", "-qm", "a submodule")
    found = revision(root)
    with pytest.raises(UsageError, match="prompts/sub is a submodule"):
        found.paths("prompts")
    with pytest.raises(UsageError, match="not a plain file"):
        found.read("prompts/sub")
    assert found.read("prompts/a.yaml") == PROMPT.encode()


def test_pointers_of_git_lfs_are_named(root: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n"
    found = revision(root, commit(root, {"suites/rows.jsonl": pointer}))
    for snapshot in (found, WorkingTree(root)):
        with pytest.raises(UsageError, match="a Git LFS pointer") as caught:
            snapshot.open("suites/rows.jsonl")
        assert "git lfs pull" in (caught.value.hint or "")
        with pytest.raises(UsageError, match="a Git LFS pointer"):
            snapshot.read("suites/rows.jsonl")


def test_large_files_are_refused_or_streamed(root: Path) -> None:
    found = revision(root, commit(root, {"big.jsonl": "0123456789abcde\n" * (1 << 20)}))
    with pytest.raises(UsageError, match="larger than 1,048,576 bytes"):
        found.read("big.jsonl")
    with found.open("big.jsonl") as file:
        assert file.readline() == b"0123456789abcde\n"
        assert found.read("prompts/a.yaml") == PROMPT.encode()  # while the stream is open
        assert sum(1 for _ in file) == (1 << 20) - 1
    with found.open("big.jsonl") as file:
        assert file.read(3) == b"012"  # left in the middle


def hostile(root: Path, names: list[str]) -> Revision:
    content = blob(root, PROMPT.encode())
    prompts = mktree(root, [("100644", content, name) for name in names])
    tree = mktree(root, [("100644", blob(root, SETTINGS.encode()), "promptreg.yaml"), ("40000", prompts, "prompts")])
    return revision(root, commit_tree(root, tree))


def test_names_that_lead_elsewhere_are_passed_over(root: Path) -> None:
    assert hostile(root, ["..", ".git", "a.yaml"]).paths("prompts") == ["prompts/a.yaml"]


@pytest.mark.parametrize("name", ["a\nb.yaml", "\x1b[31m.yaml", "\udcff.yaml", "a\tb.yaml"])
def test_names_that_cannot_be_shown_are_refused(root: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not printable text") as caught:
        hostile(root, [name]).paths("prompts")
    assert str(caught.value).isprintable()


def test_a_tree_with_one_name_twice_is_refused(root: Path) -> None:
    with pytest.raises(UsageError, match=r"holds 'prompts/a\.yaml' twice"):
        hostile(root, ["a.yaml", "a.yaml"]).paths("prompts")


def test_hostile_prompt_names_are_errors(root: Path) -> None:
    for name in ("-rf.yaml", "a b.yaml", "a@v1.yaml", "..a.yaml"):
        tree = hostile(root, [name])
        if name.startswith("."):
            assert at_revision(root, tree.commit).prompt_names() == ()
            continue
        with pytest.raises(UsageError, match="cannot be a name"):
            at_revision(root, tree.commit).prompt_names()


def test_a_missing_object_is_an_error_and_the_next_question_is_answered(root: Path) -> None:
    oid = git(root, "rev-parse", "HEAD:prompts/a.yaml")
    (root / ".git/objects" / oid[:2] / oid[2:]).unlink()
    found = revision(root)
    with pytest.raises(UsageError, match="is missing") as caught:
        found.read("prompts/a.yaml")
    assert "git fsck" in (caught.value.hint or "")
    assert found.read("prompts/_tone.jinja") == b"Be kind."


def test_a_corrupt_object_is_an_error_and_the_next_question_is_answered(root: Path) -> None:
    oid = git(root, "rev-parse", "HEAD:prompts/a.yaml")
    path = root / ".git/objects" / oid[:2] / oid[2:]
    path.chmod(0o644)
    path.write_bytes(b"garbage" * 9)
    found = revision(root)
    with pytest.raises(UsageError):
        found.read("prompts/a.yaml")
    assert found.read("prompts/_tone.jinja") == b"Be kind."


class Counted:
    """A git that writes down the processes it starts for reading objects."""

    def __init__(self, folder: Path, root: Path) -> None:
        self._list = folder / "started"
        program = folder / "bin" / "git"
        program.parent.mkdir()
        noting = f'case "$*" in *cat-file*) echo $$ >> {self._list};; esac'
        program.write_text(f'#!/bin/sh\n{noting}\nPATH={os.environ["PATH"]} exec git "$@"\n')
        program.chmod(0o755)
        self.git = Git(root, {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"})

    def states(self) -> list[bool]:
        """Of each process in turn, whether it lives."""
        return [_lives(int(line)) for line in self._list.read_text().split()]


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_process_serves_many_threads_and_ends(root: Path, tmp_path: Path) -> None:
    counted = Counted(tmp_path, root)
    objects = Objects(counted.git)
    oids = {path: git(root, "rev-parse", f"HEAD:{path}") for path in ("prompts/a.yaml", "prompts/deep/er/b.yaml", "empty")}
    wrong: list[str] = []

    def work() -> None:
        for _ in range(50):
            wrong.extend(path for path, oid in oids.items() if objects.read(oid, 9999) != FILES[path].encode())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert list(objects.read_all(list(oids.values()) * 100)) == [FILES[path].encode() for path in oids] * 100
    assert counted.states() == [True]
    objects.close()
    assert counted.states() == [False]
    with objects:
        assert objects.read(oids["empty"], 0) == b""
        assert objects.read(oids["prompts/a.yaml"], 3) is None
    assert counted.states() == [False, False]


def test_a_forgotten_process_ends_with_its_owner(root: Path, tmp_path: Path) -> None:
    counted = Counted(tmp_path, root)
    objects = Objects(counted.git)
    objects.read(git(root, "rev-parse", "HEAD:empty"), 1)
    assert counted.states() == [True]
    del objects
    assert counted.states() == [False]


def test_a_fork_asks_a_process_of_its_own(root: Path) -> None:
    objects = Objects(Git(root, os.environ))
    oid = git(root, "rev-parse", "HEAD:prompts/a.yaml")
    assert objects.read(oid, 9999)
    child = os.fork()
    if child == 0:
        os._exit(0 if objects.read(oid, 9999) == PROMPT.encode() else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert objects.read(oid, 9999) == PROMPT.encode()
    objects.close()


@pytest.mark.parametrize("bad", ["--batch", "HEAD", "abc\ndef", "0" * 39, "0" * 41, "A" * 40, ""])
def test_only_object_ids_are_asked_for(root: Path, bad: str) -> None:
    objects = Objects(Git(root, os.environ))
    for ask in (
        lambda: objects.read(bad, 9),
        lambda: objects.open(bad),
        lambda: objects.tree(bad),
        lambda: next(objects.read_all([bad])),
    ):
        with pytest.raises(UsageError, match="is not an object id"):
            ask()


def test_prompts_of_a_revision_are_those_of_the_tree(root: Path) -> None:
    (root / "prompts/with space.md").unlink()
    commit(root)
    with opened(root) as here, at_revision(root) as there:
        assert there.prompt_names() == here.prompt_names() == ("a", "deep/er/b")
        assert there.partial_paths() == here.partial_paths()
        assert there.prompt("deep/er/b") == here.prompt("deep/er/b")
        assert there.resolve("a").source == here.resolve("a").source
