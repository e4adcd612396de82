"""Which commits a check compares, in real repositories: at home, in clones as CI systems make them, whole and shallow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from promptreg import datasets, registry
from promptreg.core.ci import Surroundings
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.testing import RepositoryBuilder, small_registry
from promptreg.workflow.check.revisions import Revisions, resolve_revisions

HOME = Surroundings()
PULL = Surroundings(kind="github", event="pull_request", target_branch="main")
PUSH = Surroundings(kind="github", event="push")


def opened(root: Path) -> Registry:
    return registry.open_registry(root, read_cases=datasets.read, env=os.environ)


def find(
    root: Path, found: Surroundings = HOME, *, base: str | None = None, head: str | None = None, fetch: bool = False
) -> Revisions:
    with opened(root) as here:
        return resolve_revisions(here, base=base, head=head, surroundings=found, fetch=fetch)


class Shared:
    """A repository that others clone: `fork` is where the branch `better` left main, which went on since."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = small_registry(folder / "origin")
        for name in ("one", "two", "three"):
            self.fork = self.origin.write("notes.txt", name).commit(name)
        self.origin.tag("triage@v1.0.0")
        self.origin.git("checkout", "-q", "-b", "better")
        for name in ("four", "five"):
            self.better = self.origin.write("prompts/notes.txt", name).commit(name)
        self.origin.git("checkout", "-q", "main")
        for name in ("six", "seven"):
            self.main = self.origin.write("notes.txt", name).commit(name)
        self.origin.git("checkout", "-q", "--detach")
        self.origin.git("merge", "-q", "--no-ff", "-m", "merge", "better")
        self.merged = self.origin.git("rev-parse", "HEAD")
        self.origin.git("update-ref", "refs/pull/1/merge", self.merged)
        self.origin.git("update-ref", "refs/pull/1/head", self.better)
        self.origin.git("checkout", "-q", "main")

    def clone(self, *options: str, branch: str = "better") -> RepositoryBuilder:
        url = f"file://{self.folder / 'origin'}"
        self.origin.git("clone", "-q", *options, "--branch", branch, url, str(self.folder / "clone"))
        return RepositoryBuilder(self.folder / "clone")

    def checkout(self, *options: str, ref: str = "refs/pull/1/merge") -> RepositoryBuilder:
        """As actions/checkout does it: an empty repository, one fetch of one ref, HEAD detached."""
        built = RepositoryBuilder(self.folder / "clone")
        built.git("remote", "add", "origin", f"file://{self.folder / 'origin'}")
        built.git("fetch", "-q", "--no-tags", *options, "origin", f"+{ref}:refs/remotes/{ref.removeprefix('refs/')}")
        built.git("checkout", "-q", "--detach", f"refs/remotes/{ref.removeprefix('refs/')}")
        return built


@pytest.fixture
def shared(tmp_path: Path) -> Shared:
    return Shared(tmp_path)


# at home ---------------------------------------------------------------------------------------------------------------------


def test_a_branch_is_compared_with_where_it_left_the_remotes_own_branch(shared: Shared) -> None:
    built = shared.clone()
    found = find(built.root)
    assert (found.base_commit, found.base_as_written) == (shared.fork, "origin/main")
    assert (found.head_commit, found.head_as_written, found.head_parent) == (None, "working tree", shared.better)
    assert (found.tags_read, found.notes) == (True, ())


def test_never_with_the_branchs_own_upstream(shared: Shared) -> None:
    built = shared.clone()
    assert built.git("rev-parse", "@{upstream}") == shared.better
    assert find(built.root).base_commit == shared.fork


def test_a_named_base_means_its_merge_base_and_a_named_head_a_commit(shared: Shared) -> None:
    built = shared.clone()
    found = find(built.root, base="origin/main", head="better~1")
    assert (found.base_commit, found.base_as_written, found.head_as_written) == (shared.fork, "origin/main", "better~1")
    assert found.head_commit == built.git("rev-parse", "better~1")


@pytest.mark.parametrize("trunk", ["main", "master"])
def test_without_a_remote_a_local_trunk_counts(tmp_path: Path, trunk: str) -> None:
    built = small_registry(tmp_path / "r")
    built.git("branch", "-m", trunk)
    start = built.git("rev-parse", "HEAD")
    built.git("checkout", "-q", "-b", "better")
    built.write("x", "1").commit()
    found = find(built.root)
    assert (found.base_commit, found.base_as_written) == (start, trunk)


def test_on_the_trunk_itself_the_last_commit_or_the_one_before(tmp_path: Path) -> None:
    built = small_registry(tmp_path / "r")
    first = built.git("rev-parse", "HEAD")
    second = built.write("x", "1").commit()
    found = find(built.root)
    assert (found.base_commit, found.base_as_written) == (first, "HEAD^")
    assert "the commit before" in found.notes[0]
    built.write("prompts/fresh.yaml", "messages: [{role: user, content: Hello.}]\n")
    found = find(built.root)
    assert (found.base_commit, found.base_as_written) == (second, "HEAD")
    assert "compared with HEAD" in found.notes[0]


def test_a_remote_that_nothing_was_fetched_from_counts_as_none(tmp_path: Path) -> None:
    built = small_registry(tmp_path / "r")
    first = built.git("rev-parse", "HEAD")
    built.git("remote", "add", "origin", "file:///nowhere")
    built.write("x", "1").commit()
    assert find(built.root).base_commit == first


def test_a_single_remote_of_another_name_counts_as_origin(shared: Shared) -> None:
    built = shared.clone("--origin", "acme")
    assert find(built.root).base_as_written == "acme/main"


def test_a_remote_whose_own_branch_nobody_knows_is_asked_about(shared: Shared) -> None:
    shared.origin.git("branch", "-m", "main", "trunk")
    built = shared.clone()
    built.git("symbolic-ref", "--delete", "refs/remotes/origin/HEAD")
    with pytest.raises(UsageError, match="nobody says which branch of origin") as refused:
        find(built.root)
    assert "git remote set-head origin --auto" in (refused.value.hint or "")
    told = Surroundings(kind="github", event="push", default_branch="trunk")
    assert find(built.root, told).base_as_written == "origin/trunk"
    assert find(built.root, fetch=True).base_as_written == "origin/trunk"  # the remote itself knows


def test_nothing_before_the_first_commit(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no commit before this one"):
        find(small_registry(tmp_path / "r").root)
    bare = RepositoryBuilder(tmp_path / "unborn").write("promptreg.yaml", "registry: x\n")
    with pytest.raises(UsageError, match="no commit yet"):
        find(bare.root)


def test_strangers_histories_have_no_base(shared: Shared) -> None:
    built = shared.clone()
    built.git("checkout", "-q", "--orphan", "alone")
    built.commit()
    with pytest.raises(UsageError, match="no commit in common"):
        find(built.root)


@pytest.mark.parametrize("revision", ["nowhere", "--help", "", "HEAD:promptreg.yaml"])
def test_a_revision_that_is_none_is_refused(tmp_path: Path, revision: str) -> None:
    built = small_registry(tmp_path / "r")
    for given in ({"base": revision}, {"head": revision}):
        with pytest.raises(UsageError):
            find(built.root, **given)


# in CI -----------------------------------------------------------------------------------------------------------------------


def test_a_pull_request_is_compared_with_the_branch_it_targets(shared: Shared) -> None:
    shared.origin.git("branch", "release", shared.fork + "~1")
    built = shared.clone()
    found = find(built.root, Surroundings(kind="github", event="pull_request", target_branch="release"))
    assert found.base_commit == built.git("rev-parse", "origin/release")
    assert (found.head_commit, found.head_as_written) == (shared.better, "HEAD")


def test_the_merge_commit_of_a_forge_is_compared_with_the_targets_tip(shared: Shared) -> None:
    built = shared.checkout()
    built.git("fetch", "-q", "origin", "+refs/heads/*:refs/remotes/origin/*")
    found = find(built.root, PULL)
    assert (found.base_commit, found.head_commit) == (shared.main, shared.merged)


def test_a_local_branch_never_stands_for_the_remotes(shared: Shared) -> None:
    """A checkout that holds a branch `main` of its own must not choose what it is judged against."""
    built = shared.checkout()
    built.git("branch", "main", shared.merged)
    with pytest.raises(UsageError, match="'main' is not in this clone") as refused:
        find(built.root, PULL)
    assert "--fetch" in (refused.value.hint or "")
    assert find(built.root, PULL, fetch=True).base_commit == shared.main


def test_where_no_branch_was_fetched_the_commit_in_the_variables_counts(shared: Shared) -> None:
    built = shared.checkout()
    told = Surroundings(kind="gitlab", event="merge_request_event", target_branch="main", base_sha=shared.fork)
    found = find(built.root, told)
    assert (found.base_commit, found.base_as_written) == (shared.fork, f"main at {shared.fork[:10]}")


def test_a_push_to_the_trunk_leaves_nothing_to_compare_and_says_so(shared: Shared) -> None:
    built = shared.clone(branch="main")
    found = find(built.root, PUSH)
    assert found.base_commit == found.head_commit == shared.main
    assert "nothing is left to compare" in found.notes[0]


# shallow ---------------------------------------------------------------------------------------------------------------------


def test_a_shallow_clone_says_what_to_fetch(shared: Shared) -> None:
    built = shared.checkout("--depth=1")
    for found in (PULL, Surroundings(kind="github", event="pull_request", target_branch="main", base_sha=shared.main)):
        with pytest.raises(UsageError) as refused:
            find(built.root, found)
        assert "promptreg check --fetch" in (refused.value.hint or "")
        assert "git fetch --unshallow --tags" in (refused.value.hint or "")
        assert "fetch-depth: 0" in (refused.value.hint or "")


@pytest.mark.parametrize("ref", ["refs/pull/1/merge", "refs/heads/better"])
def test_a_shallow_clone_is_made_whole_when_asked_to(shared: Shared, ref: str) -> None:
    built = shared.checkout("--depth=1", ref=ref)
    found = find(built.root, PULL, fetch=True)
    assert found.base_commit == (shared.main if "merge" in ref else shared.fork)
    assert found.tags_read
    assert built.git("tag") == "triage@v1.0.0"
    assert built.git("rev-parse", "--is-shallow-repository") == "false"
    assert built.git("rev-parse", "HEAD") == found.head_commit


def test_a_merge_base_that_a_cut_may_hide_is_not_believed(shared: Shared) -> None:
    """The tips are there and have a common ancestor, but a better one could lie behind the cut."""
    built = shared.checkout("--depth=3", ref="refs/heads/better")
    built.git("fetch", "-q", "--no-tags", "--depth=3", "origin", "+refs/heads/main:refs/remotes/origin/main")
    with pytest.raises(UsageError, match="shallow clone may hide"):
        find(built.root, PULL)


def test_in_a_shallow_clone_a_base_that_is_an_ancestor_is_certain_but_tags_are_not(shared: Shared) -> None:
    built = shared.checkout("--depth=2")
    found = find(built.root, Surroundings(kind="github", event="pull_request", target_branch="main", base_sha=shared.main))
    assert (found.base_commit, found.tags_read) == (shared.main, False)


def test_a_clone_without_tags_knows_that_it_has_none(shared: Shared) -> None:
    built = shared.clone("--no-tags")
    assert not find(built.root).tags_read
    assert find(built.root, fetch=True).tags_read
    assert "triage@v1.0.0" in built.git("tag")


def test_tags_that_were_read_before_a_fetch_are_read_anew(shared: Shared) -> None:
    built = shared.clone("--no-tags")
    with opened(built.root) as here:
        assert not here.state.names
        resolve_revisions(here, base=None, head=None, surroundings=HOME, fetch=True)
        assert here.state.names == ("triage",)


def test_the_runs_branch_comes_with_a_fetch_where_there_is_one(shared: Shared) -> None:
    built = shared.checkout("--depth=1")
    find(built.root, PULL, fetch=True)
    assert "promptreg/runs" not in built.git("branch", "--all")
    shared.origin.git("branch", "promptreg/runs", shared.main)
    find(built.root, PULL, fetch=True)
    assert "remotes/origin/promptreg/runs" in built.git("branch", "--all")


def test_a_tag_that_differs_is_told_and_left_as_it_is(shared: Shared) -> None:
    built = shared.clone()
    shared.origin.git("tag", "--force", "--annotate", "--message", "moved", "triage@v1.0.0", shared.main)
    before = built.git("rev-parse", "refs/tags/triage@v1.0.0")
    assert "triage@v1.0.0 differs" in find(built.root, fetch=True).notes[0]
    assert built.git("rev-parse", "refs/tags/triage@v1.0.0") == before


@pytest.mark.parametrize(("url", "said"), [("", "no remote to fetch from"), ("file:///nowhere/at/all", "does not answer")])
def test_a_fetch_that_cannot_be_is_refused(tmp_path: Path, url: str, said: str) -> None:
    built = small_registry(tmp_path / "r")
    if url:
        built.git("remote", "add", "origin", url)
    with pytest.raises(UsageError, match=said):
        find(built.root, fetch=True)
