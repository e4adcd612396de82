"""The runs branch on real repositories: nothing recorded is ever lost, whoever writes, and nothing foreign is believed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from repositories import blob, commit, commit_tree, git, mktree

from promptreg.core.records.places import MANIFESTS
from promptreg.errors import ConflictError, UsageError
from promptreg.registry.branch import LARGEST, NOBODY, Branch, is_sound
from promptreg.registry.plumbing import Git

NAME = "promptreg/runs"
NOW = "2026-05-01T12:00:00Z"
WRITER = """\
import os, sys
from pathlib import Path
from promptreg.registry.branch import Branch
from promptreg.registry.plumbing import Git
folder, who = Path(sys.argv[1]), sys.argv[2]
branch = Branch(Git(folder, os.environ), "promptreg/runs")
for number in range(int(sys.argv[3])):
    branch.append({f"runs/s/{who}/{number}.jsonl": f"{who} {number}\\n".encode()}, "record")
    branch.push()
"""


def branch(root: Path, notes: list[str] | None = None, **env: str) -> Branch:
    bare = not (root / ".git").exists()
    return Branch(Git(root, {**os.environ, **env}, bare=bare), NAME, note=(notes if notes is not None else []).append)


def everything(one: Branch) -> dict[str, bytes]:
    return dict(one.read(one.paths()))


@pytest.fixture
def here(tmp_path: Path) -> Path:
    commit(tmp_path / "here", {"promptreg.yaml": "models: {}\n"}, "--initial-branch=main")
    return tmp_path / "here"


@pytest.fixture
def hub(tmp_path: Path, here: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", "hub.git")
    git(here, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(here, "push", "-q", "origin", "main")
    return tmp_path / "hub.git"


def clone(hub: Path, name: str, *options: str) -> Path:
    git(hub.parent, "clone", "-q", *options, f"file://{hub}", name)
    return hub.parent / name


def test_what_was_appended_is_read_and_nothing_else_is_touched(here: Path) -> None:
    (here / "promptreg.yaml").write_text("changed")
    (here / "staged").write_text("staged")
    git(here, "add", "staged")
    before = git(here, "status", "--porcelain"), git(here, "rev-parse", "HEAD")
    one = branch(here)
    assert not one.exists
    first = one.append({"runs/s/a.jsonl": b"\x00\xff\n", "verdicts/p/x.json": b""}, "one")
    second = one.append({"runs/s/b.jsonl": b"b"}, "two")
    assert everything(one) == {"runs/s/a.jsonl": b"\x00\xff\n", "runs/s/b.jsonl": b"b", "verdicts/p/x.json": b""}
    assert one.paths("runs/s") == ["runs/s/a.jsonl", "runs/s/b.jsonl"]
    assert one.paths("runs/s/b.jsonl", "verdicts") == ["runs/s/b.jsonl", "verdicts/p/x.json"]
    assert one.paths("runs/other") == []
    assert git(here, "rev-list", NAME).split() == [second, first]
    assert (git(here, "status", "--porcelain"), git(here, "rev-parse", "HEAD")) == before
    assert git(here, "for-each-ref", "--format=%(refname)", "refs/promptreg") == ""
    assert "fsck" not in git(here, "fsck", "--strict")


def test_a_path_keeps_its_first_content(here: Path) -> None:
    one = branch(here)
    first = one.append({"runs/a/b": b"first"}, "one")
    assert one.append({"runs/a/b": b"second"}, "two") == first
    assert everything(one) == {"runs/a/b": b"first"}


def test_a_registry_in_a_folder_of_its_repository(here: Path) -> None:
    (here / "deep/runs").mkdir(parents=True)
    inside = Branch(Git(here / "deep", os.environ), NAME)
    inside.append({"runs/a/b": b"1"}, "one")
    assert inside.paths("runs/a") == inside.paths() == branch(here).paths("runs/a") == ["runs/a/b"]
    assert dict(inside.read(["runs/a/b"])) == {"runs/a/b": b"1"}


@pytest.mark.parametrize("prefix", ["..", "../runs", "/runs", "runs/../..", "*", ":(glob)**", "-r", ".", "runs//a", "runs/a b"])
def test_odd_prefixes_find_nothing(here: Path, prefix: str) -> None:
    one = branch(here)
    one.append({"runs/a/b": b"1"}, "one")
    assert one.paths(prefix) == []
    assert list(one.read([prefix])) == []


def test_hooks_and_the_users_index_variable_have_no_say(here: Path) -> None:
    hook = here / ".git/hooks/reference-transaction"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    one = branch(here, GIT_INDEX_FILE="/nonexistent/index", GIT_DIR="/nonexistent")
    one.append({"runs/a/b": b"1"}, "one")
    assert one.paths() == ["runs/a/b"]


@pytest.mark.parametrize(
    "path", ["a", "/runs/a", "runs/../a", "runs/.git/a", "runs//a", "runs/a b", 'runs/"a', "runs/a\nb", "runs/ä", "runs/a/"]
)
def test_paths_that_could_mean_something_else_are_refused(here: Path, path: str) -> None:
    with pytest.raises(UsageError):
        branch(here).append({path: b""}, "odd")
    assert not is_sound(path)
    assert not branch(here).exists


@pytest.mark.parametrize(
    "name", ["", "-x", "a..b", "a b", "a.lock", "x.lock/y", "a/", "/a", "a//b", "@{-1}", "a~1", "refs/../x", "a\n"]
)
def test_names_that_no_branch_can_have(here: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a branch"):
        Branch(Git(here, os.environ), name)


def test_a_branch_of_somebodys_work_is_never_written_to(here: Path) -> None:
    git(here, "branch", "work")
    before = git(here, "rev-parse", "work", "main")
    for name in ("work", "main"):
        with pytest.raises(UsageError, match=r"other things than records|checked out"):
            Branch(Git(here, os.environ), name).append({"runs/a/b": b""}, "no")
        with pytest.raises(UsageError):
            Branch(Git(here, os.environ), name).prune(lambda _: False, created=NOW)
    assert git(here, "rev-parse", "work", "main") == before


def test_a_branch_that_is_checked_out_but_unborn_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "--initial-branch", NAME, "fresh")
    with pytest.raises(UsageError, match="checked out"):
        branch(tmp_path / "fresh").append({"runs/a/b": b""}, "no")


def test_who_records_is_who_git_knows_or_nobody(here: Path, tmp_path: Path) -> None:
    one = branch(here)
    one.append({"runs/a/b": b""}, "one")
    assert one.who == "Test Author <author@example.com>" == git(here, "log", "-1", "--format=%cn <%ce>", NAME)
    empty = dict.fromkeys(("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"), "")
    nobody = branch(here, GIT_CONFIG_GLOBAL=os.devnull, EMAIL="", **empty)
    nobody.append({"runs/a/c": b""}, "two")
    assert nobody.who == NOBODY == git(here, "log", "-1", "--format=%an <%ae>", NAME)


@pytest.mark.parametrize("options", [("--object-format=sha256",), ("--bare",), ("--bare", "--object-format=sha256")])
def test_sha256_and_bare_repositories(tmp_path: Path, options: tuple[str, ...]) -> None:
    git(tmp_path, "init", "-q", *options, "odd")
    git(tmp_path, "init", "-q", "--bare", *(each for each in options if each != "--bare"), "hub.git")
    git(tmp_path / "odd", "remote", "add", "origin", str(tmp_path / "hub.git"))
    one = branch(tmp_path / "odd")
    one.append({"runs/a/b": b"1"}, "one")
    assert one.push() == 1
    assert everything(one) == everything(branch(tmp_path / "hub.git")) == {"runs/a/b": b"1"}


def test_a_linked_worktree_writes_to_the_same_branch(here: Path, tmp_path: Path) -> None:
    git(here, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    branch(tmp_path / "side").append({"runs/a/b": b"1"}, "one")
    branch(here).append({"runs/a/c": b"2"}, "two")
    assert branch(tmp_path / "side").paths() == ["runs/a/b", "runs/a/c"]


# what strangers put there ----------------------------------------------------------------------------------------------------


def test_links_submodules_and_odd_names_are_passed_over_and_told_of(here: Path) -> None:
    good = blob(here, b"good")
    inner = mktree(here, [("100644", good, "fine"), ("100644", good, "sp ace"), ("120000", blob(here, b"/etc/passwd"), "link")])
    module = mktree(here, [("160000", git(here, "rev-parse", "HEAD"), "sub"), ("100644", good, ".git")])
    runs = mktree(here, [("40000", module, "evil"), ("40000", inner, "s")])
    git(
        here,
        "update-ref",
        f"refs/heads/{NAME}",
        commit_tree(here, mktree(here, [("100644", good, "README"), ("40000", runs, "runs")])),
    )
    notes: list[str] = []
    one = branch(here, notes)
    assert everything(one) == {"runs/s/fine": b"good"}
    assert {path for path in ("runs/s/link", "runs/evil/sub", "runs/evil/.git", "runs/s/sp ace") if path in "".join(notes)} == {
        "runs/s/link",
        "runs/evil/sub",
        "runs/evil/.git",
        "runs/s/sp ace",
    }
    one.append({"runs/evil/sub/new": b"x", "runs/s/link/new": b"y"}, "on top")
    assert everything(one) == {"runs/s/fine": b"good", "runs/evil/sub/new": b"x", "runs/s/link/new": b"y"}


def test_a_file_that_is_too_large_or_missing_is_passed_over(here: Path) -> None:
    huge = here / "huge"
    with huge.open("wb") as file:
        file.truncate(LARGEST + 1)
    big, gone = git(here, "hash-object", "-w", "huge"), "1" * 40
    runs = mktree(here, [("100644", blob(here, b"1"), "a"), ("100644", big, "big"), ("100644", gone, "gone")])
    git(here, "update-ref", f"refs/heads/{NAME}", commit_tree(here, mktree(here, [("40000", runs, "runs")])))
    notes: list[str] = []
    assert everything(branch(here, notes)) == {"runs/a": b"1"}
    assert len(notes) == 2
    assert "runs/big is larger" in notes[0]
    assert "runs/gone cannot be read" in notes[1]


def test_two_contents_under_one_path_are_told_of(here: Path, hub: Path) -> None:
    other = clone(hub, "other")
    branch(here).append({"runs/a/b": b"ours"}, "one")
    branch(other).append({"runs/a/b": b"theirs", "runs/a/c": b"1"}, "two")
    assert branch(other).push() == 2
    notes: list[str] = []
    one = branch(here, notes)
    assert one.push() == 0
    assert everything(one) == {"runs/a/b": b"theirs", "runs/a/c": b"1"}
    assert any("runs/a/b has two contents" in note for note in notes)


# many writers ----------------------------------------------------------------------------------------------------------------


def test_two_clones_join_what_they_recorded(here: Path, hub: Path) -> None:
    one, two = branch(here), branch(clone(hub, "other"))
    one.append({"runs/a/1": b"1"}, "one")
    two.append({"runs/a/2": b"2"}, "two")
    assert (one.push(), two.push()) == (1, 1)
    assert two.paths() == ["runs/a/1", "runs/a/2"]
    assert one.paths() == ["runs/a/1"]
    assert one.fetch() == 1
    assert one.paths() == ["runs/a/1", "runs/a/2"]
    assert one.push() == 0
    assert git(here, "rev-parse", NAME) == git(hub, "rev-parse", NAME)
    assert len(git(hub, "rev-list", "--parents", "-1", NAME).split()) == 3, "a merge: neither history is lost"


def test_what_was_only_fetched_is_read_and_built_upon(here: Path, hub: Path) -> None:
    branch(here).append({"runs/a/1": b"1"}, "one")
    branch(here).push()
    other = branch(clone(hub, "other"))
    assert other.paths() == ["runs/a/1"], "a clone brings the remote's branch along"
    other.append({"runs/a/2": b"2"}, "two")
    assert other.push() == 1
    assert len(git(hub, "rev-list", "--parents", NAME).splitlines()) == 2, "no merge was needed"


def test_a_remote_may_be_an_address(here: Path, hub: Path) -> None:
    branch(here).append({"runs/a/1": b"1"}, "one")
    assert branch(here).push(str(hub)) == 1
    other = clone(hub, "other", "--single-branch", "--branch", "main")
    assert branch(other).fetch(f"file://{hub}") == 1
    assert everything(branch(other)) == {"runs/a/1": b"1"}


def test_a_shallow_clone_of_one_branch_stays_as_shallow_as_it_was(here: Path, hub: Path) -> None:
    commit(here, {"more": "1"})
    git(here, "push", "-q", "origin", "main")
    one = branch(here)
    one.append({"runs/a/1": b"1"}, "one")
    one.append({"runs/a/2": b"2"}, "two")
    one.push()
    other = clone(hub, "other", "--depth=1")
    two = branch(other)
    assert two.fetch() == 2
    two.append({"runs/a/3": b"3"}, "three")
    assert two.push() == 1
    assert git(other, "rev-list", "--count", "HEAD") == "1"
    assert one.fetch() == 1


def test_a_remote_that_is_not_there_or_has_no_such_branch(here: Path, hub: Path) -> None:
    one = branch(here)
    assert one.fetch() == 0
    assert one.push() == 0
    assert git(hub, "branch", "--list", NAME) == ""
    with pytest.raises(UsageError, match="cannot be fetched from nowhere") as caught:
        one.fetch("nowhere")
    assert caught.value.hint
    for odd in ("--upload-pack=x", "ext::sh -c x", ""):
        with pytest.raises(UsageError):
            Branch(Git(here, os.environ), NAME, remote=odd).fetch(odd)


def test_a_remote_that_refuses_says_why_and_nothing_is_lost(here: Path, hub: Path) -> None:
    hook = hub / "hooks/update"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    one = branch(here)
    one.append({"runs/a/1": b"1"}, "one")
    with pytest.raises(UsageError, match=r"did not take promptreg/runs: .*hook declined"):
        one.push()
    hook.unlink()
    assert one.push() == 1


@pytest.mark.parametrize("clones", [8, 2])
def test_many_processes_push_at_once_and_nothing_is_lost(here: Path, hub: Path, clones: int, tmp_path: Path) -> None:
    """Eight writers; with two clones, four of them share each."""
    folders = [clone(hub, f"clone{number}") for number in range(clones)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(folders[number % clones]), f"w{number}", "3"],
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
        )
        for number in range(8)
    ]
    complaints = [writer.communicate(timeout=240)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 8, complaints
    for folder in folders:
        branch(folder).push()  # what a process of the same clone appended just after another's push
    there = everything(branch(hub))
    assert there == {f"runs/s/w{who}/{number}.jsonl": f"w{who} {number}\n".encode() for who in range(8) for number in range(3)}
    git(hub, "fsck", "--strict")
    assert git(folders[0], "for-each-ref", "refs/promptreg") == ""


# pruning ---------------------------------------------------------------------------------------------------------------------


def test_pruning_begins_a_new_root_and_tells_what_went(here: Path, hub: Path) -> None:
    one = branch(here)
    one.append({"runs/a/1": b"1", "runs/a/2": b"2", "verdicts/p/1": b"v"}, "one")
    one.push()
    assert one.prune(lambda path: path == "runs/a/2", created=NOW, reason="old") == ("runs/a/1",)
    assert [path for path in one.paths() if not path.startswith(MANIFESTS)] == ["runs/a/2", "verdicts/p/1"]
    assert git(here, "rev-list", "--count", NAME) == "1"
    one.push()
    assert git(hub, "rev-list", "--count", NAME) == "1"
    (manifest,) = [content for path, content in everything(one).items() if path.startswith(MANIFESTS)]
    assert b'"dropped":["runs/a/1"]' in manifest
    assert b"Test Author" in manifest
    assert one.prune(lambda _: True, created=NOW) == ()


def test_a_clone_that_still_has_the_pruned_does_not_bring_it_back(here: Path, hub: Path) -> None:
    one = branch(here)
    one.append({"runs/a/1": b"1", "runs/a/2": b"2"}, "one")
    one.push()
    other = branch(clone(hub, "other"))
    other.append({"runs/a/3": b"3"}, "three")
    one.prune(lambda path: path != "runs/a/1", created=NOW)
    one.push()
    assert other.push() == 1
    for each in (other, branch(hub)):
        assert [path for path in each.paths() if not path.startswith(MANIFESTS)] == ["runs/a/2", "runs/a/3"]
    dropped = git(hub, "rev-list", "--objects", NAME)
    assert "runs/a/1" not in dropped, "nor its objects"
    one.fetch()
    assert len(one.paths("runs")) == 2


def test_records_that_come_while_somebody_prunes_are_kept(here: Path, hub: Path) -> None:
    one = branch(here)
    one.append({"runs/a/1": b"1", "runs/a/2": b"2"}, "one")
    one.push()
    other = branch(clone(hub, "other"))
    other.append({"runs/a/3": b"3"}, "three")
    one.prune(lambda path: path != "runs/a/1", created=NOW)
    other.push()
    assert one.push() > 0
    assert one.paths("runs") == ["runs/a/2", "runs/a/3"] == branch(hub).paths("runs")


def test_two_who_prune_at_once_both_get_their_way(here: Path, hub: Path) -> None:
    one = branch(here)
    one.append({f"runs/a/{number}": b"x" for number in range(4)}, "one")
    one.push()
    other = branch(clone(hub, "other"))
    one.prune(lambda path: path != "runs/a/0", created=NOW)
    other.prune(lambda path: path != "runs/a/1", created=NOW)
    one.push()
    other.push()
    one.fetch()
    assert one.paths("runs") == other.paths("runs") == branch(hub).paths("runs") == ["runs/a/2", "runs/a/3"]


def test_a_manifest_can_drop_no_verdict(here: Path, hub: Path) -> None:
    from promptreg.core.records import Manifest, encode

    other = branch(clone(hub, "other"))
    path, content = encode(Manifest(dropped=("verdicts/p/1", "runs/a/1"), author="x", created=NOW))
    other.append({path: content, "runs/a/9": b""}, "forged")
    other.push()
    one = branch(here)
    one.append({"verdicts/p/1": b"v", "runs/a/1": b"1"}, "one")
    one.push()
    assert [each for each in one.paths() if not each.startswith(MANIFESTS)] == ["runs/a/9", "verdicts/p/1"]


def test_conflicts_are_a_kind_of_usage_error() -> None:
    assert issubclass(ConflictError, UsageError)
