"""Which paths differ between two revisions: in real repositories, with all that a tree or a working copy may hold."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from repositories import PROMPT, SETTINGS, at_revision, blob, commit, commit_tree, git, mktree, opened, write

from promptreg.errors import UsageError
from promptreg.registry.changes import Changes, changed_paths, pair_up

LONG = PROMPT + "".join(f"# line {n} of what this prompt is for\n" for n in range(20))
FILES = {
    "promptreg.yaml": SETTINGS,
    "prompts/a.yaml": LONG,
    "prompts/with space.yaml": PROMPT,
    "prompts/é/ü.yaml": PROMPT + "# é\n",
    "prompts/_tone.jinja": "Be kind.\n",
    "suites/s.yaml": "prompts: a\n",
    "suites/rows.jsonl": '{"inputs": {"x": 1}}\n',
    "plugins/house.py": "# house\n",
    "data/extra.jsonl": "{}\n",
    "README.md": "read me\n",
}
LAYOUTS = ["", "deep/registry/"]


class Place:
    """A registry in a repository's *folder*; `commit` and `working` say what changed since *base*."""

    def __init__(self, root: Path, folder: str, *options: str) -> None:
        self.top, self.folder = root, folder
        self.root = write(root / folder, FILES)
        self.base = commit(root, {"outside/shared.txt": "shared\n"}, *options)

    def working(self, *also: str) -> Changes:
        with opened(self.root) as registry:
            return changed_paths(registry, self.base, None, also=also)

    def commit(self) -> Changes:
        head = commit(self.top)
        with opened(self.root) as registry:
            return changed_paths(registry, self.base, head)

    def both(self, *also: str) -> Changes:
        """What changed, by the working tree and by a commit of it, which must agree. New files elsewhere are named in *also*."""
        seen = self.working(*also)
        then = self.commit()
        assert seen == then
        assert self.working() == then
        return then


@pytest.fixture(params=LAYOUTS, ids=["root", "subfolder"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return Place(tmp_path / "repo", request.param)


def test_nothing_changed(place: Place) -> None:
    assert place.both() == Changes()


def test_edited_added_and_deleted_files(place: Place) -> None:
    write(place.root, {"prompts/a.yaml": LONG + "# more\n", "prompts/é/ü.yaml": "x", "prompts/new one.yaml": "brand new\n"})
    write(place.root, {"README.md": "changed", "data/extra.jsonl": '{"x": 1}'})
    (place.root / "suites/rows.jsonl").unlink()
    changes = place.both()
    assert changes.paths == {
        "prompts/a.yaml",
        "prompts/é/ü.yaml",
        "prompts/new one.yaml",
        "README.md",
        "data/extra.jsonl",
        "suites/rows.jsonl",
    }
    assert changes.renamed == {}


def test_what_lies_outside_of_the_registry_is_nobodys_change(place: Place) -> None:
    write(place.top, {"outside/shared.txt": "other\n", "outside/prompts/a.yaml": "x"})
    expected = set() if place.folder else {"outside/shared.txt", "outside/prompts/a.yaml"}
    assert place.both("outside").paths == expected


def test_permissions_are_no_change(place: Place) -> None:
    (place.root / "prompts/a.yaml").chmod(0o755)
    assert place.both() == Changes()


def test_the_same_bytes_as_a_link_are_a_change(place: Place) -> None:
    path = place.root / "prompts/_tone.jinja"
    path.write_text("target")
    place.base = commit(place.top)
    path.unlink()
    path.symlink_to("target")
    assert place.both().paths == {"prompts/_tone.jinja"}


def test_a_file_seen_through_links_changes_with_it(place: Place) -> None:
    (place.root / "prompts/_linked.jinja").symlink_to("../" * (place.folder.count("/") + 1) + "outside/shared.txt")
    (place.root / "prompts/_again.jinja").symlink_to("_linked.jinja")
    (place.root / "suites/there").symlink_to("../data")
    (place.root / "suites/unrelated").symlink_to("../plugins")
    place.base = commit(place.top)
    write(place.top, {"outside/shared.txt": "other\n"})
    write(place.root, {"data/extra.jsonl": '{"x": 2}\n'})
    changes = place.both()
    linked = {"prompts/_linked.jinja", "prompts/_again.jinja", "suites/there", "data/extra.jsonl"}
    assert changes.paths == linked | (set() if place.folder else {"outside/shared.txt"})
    assert changes.touches("suites/there/extra.jsonl")
    assert changes.touches("data")
    assert not changes.touches("suites/unrelated/house.py")
    assert not changes.touches("dat")


def test_a_link_that_leads_elsewhere_or_out_is_changed_itself(place: Place) -> None:
    link = place.root / "prompts/_linked.jinja"
    link.symlink_to("_tone.jinja")
    place.base = commit(place.top)
    link.unlink()
    link.symlink_to("/etc/passwd")
    assert place.both().paths == {"prompts/_linked.jinja"}


def test_links_in_circles_end(place: Place) -> None:
    (place.root / "suites/one").symlink_to("two")
    (place.root / "suites/two").symlink_to("one")
    (place.root / "suites/self").symlink_to(".")
    place.base = commit(place.top)
    write(place.root, {"suites/s.yaml": "prompts: b\n"})
    assert place.both().paths == {"suites/s.yaml", "suites/self"}


def test_a_link_whose_text_has_no_end_leads_nowhere(tmp_path: Path) -> None:
    place = Place(tmp_path / "repo", "")
    endless = blob(place.top, b"../README.md" + b"x" * 100_000)
    git(place.top, "update-index", "--add", "--cacheinfo", f"120000,{endless},prompts/_endless.jinja")
    with_link = git(place.top, "commit-tree", "-m", "link", git(place.top, "write-tree"))
    git(place.top, "update-index", "--add", "--cacheinfo", f"100644,{blob(place.top, b'other')},README.md")
    head = git(place.top, "commit-tree", "-m", "other", git(place.top, "write-tree"))
    with opened(place.root) as registry:
        assert changed_paths(registry, with_link, head).paths == {"README.md"}


def test_a_folder_that_became_a_link_is_not_what_it_was(place: Place) -> None:
    shutil.move(place.root / "plugins", place.root / "elsewhere")
    (place.root / "plugins").symlink_to("elsewhere")
    paths = place.working().paths
    assert {"plugins/house.py", "plugins"} <= paths
    assert place.commit().paths == {"plugins/house.py", "plugins", "elsewhere/house.py"}


def test_untracked_and_ignored_files_count_where_the_registry_reads(place: Place) -> None:
    write(place.root, {".gitignore": "*.yaml\nbuild/\n*.jsonl\n"})
    place.base = commit(place.top)
    write(
        place.root,
        {
            "prompts/ignored.yaml": "x",
            "suites/build/rows.jsonl": "x",
            "build/thing": "x",
            "data/more.jsonl": "x",
            "prompts/.hidden.yaml": "x",
            "plugins/__pycache__/house.pyc": "x",
            "promptreg.lock": "{}",
        },
    )
    assert place.working().paths == {"prompts/ignored.yaml", "suites/build/rows.jsonl", "promptreg.lock"}
    assert place.working("data", "build/thing", "not/there").paths == place.working().paths | {"data/more.jsonl", "build/thing"}
    assert place.working("../outside").paths == place.working().paths


def test_flags_of_the_index_hide_nothing(place: Place) -> None:
    git(place.root, "update-index", "--assume-unchanged", "prompts/a.yaml")
    git(place.root, "update-index", "--skip-worktree", "suites/s.yaml")
    write(place.root, {"prompts/a.yaml": "changed", "suites/s.yaml": "changed"})
    assert place.working().paths == {"prompts/a.yaml", "suites/s.yaml"}


def test_a_file_taken_out_of_the_index_alone_is_as_it_was(place: Place) -> None:
    git(place.root, "rm", "-q", "--cached", "prompts/a.yaml", "README.md")
    assert place.working() == Changes()


def test_touching_a_file_is_no_change(place: Place) -> None:
    for path in ("prompts/a.yaml", "README.md"):
        os.utime(place.root / path, (0, 0))
    assert place.working() == Changes()


def test_line_ends_of_windows_are_no_change_of_the_working_tree(place: Place) -> None:
    content = (place.root / "prompts/a.yaml").read_bytes()
    (place.root / "prompts/a.yaml").write_bytes(content.replace(b"\n", b"\r\n"))
    assert place.working() == Changes()
    (place.root / "prompts/a.yaml").write_bytes(content.replace(b"\n", b"\r\n") + b"# more\r\n")
    assert place.working().paths == {"prompts/a.yaml"}


def test_no_filter_or_driver_of_the_tree_runs(place: Place, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    script = f"sh -c 'echo ran >> {trace}; cat'"
    for key in ("filter.evil.clean", "filter.evil.smudge", "diff.evil.textconv", "diff.evil.command"):
        git(place.top, "config", key, script)
    git(place.top, "config", "diff.external", script)
    write(place.root, {".gitattributes": "* filter=evil diff=evil\n"})
    os.utime(place.root / "README.md", (1, 1))
    write(place.root, {"prompts/a.yaml": LONG + "# more\n"})
    place.working()
    git(place.top, "-c", "filter.evil.clean=cat", "-c", "filter.evil.smudge=cat", "add", "-A")
    git(place.top, "-c", "filter.evil.clean=cat", "commit", "-qm", "hostile")
    (place.root / "prompts/a.yaml").rename(place.root / "prompts/moved.yaml")
    git(place.top, "-c", "filter.evil.clean=cat", "add", "-A")
    git(place.top, "-c", "filter.evil.clean=cat", "commit", "-qm", "moved")
    trace.unlink(missing_ok=True)
    with opened(place.root) as registry:
        changes = changed_paths(registry, place.base, git(place.top, "rev-parse", "HEAD"))
    assert changes.renamed == {"prompts/moved.yaml": "prompts/a.yaml"}
    assert not trace.exists()


def test_a_submodule_is_left_alone(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other", "")
    git(place.top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other.top), "vendored")
    place.base = commit(place.top)
    write(place.top, {"vendored/README.md": "changed"})
    assert place.working() == Changes()


@pytest.mark.parametrize("staged", [False, True])
def test_renamed_prompts(place: Place, staged: bool) -> None:
    (place.root / "prompts/sub").mkdir()
    (place.root / "prompts/a.yaml").rename(place.root / "prompts/sub/b.yaml")
    write(place.root, {"prompts/sub/b.yaml": LONG.replace("line 7", "row 7")})
    (place.root / "suites/rows.jsonl").rename(place.root / "suites/moved.jsonl")
    if staged:
        git(place.top, "add", "-A")
    changes = place.both()
    assert changes.renamed == {"prompts/sub/b.yaml": "prompts/a.yaml"}
    assert changes.paths == {"prompts/a.yaml", "prompts/sub/b.yaml", "suites/rows.jsonl", "suites/moved.jsonl"}


def test_a_prompt_that_only_changes_the_case_of_its_name(place: Place) -> None:
    git(place.root, "mv", "-f", "prompts/a.yaml", "prompts/A.yaml")
    changes = place.both()
    assert changes.paths == {"prompts/a.yaml", "prompts/A.yaml"}
    assert changes.renamed == {"prompts/A.yaml": "prompts/a.yaml"}


def test_a_rewritten_prompt_is_no_rename_and_other_files_are_no_prompts(place: Place) -> None:
    (place.root / "prompts/a.yaml").unlink()
    (place.root / "prompts/_tone.jinja").rename(place.root / "prompts/_mood.jinja")
    write(place.root, {"prompts/b.yaml": "messages: [{role: user, content: something else entirely}]\n", "docs/a.yaml": LONG})
    assert place.both("docs").renamed == {}


def test_renames_are_git_s_whatever_the_user_s_settings(place: Place) -> None:
    git(place.top, "config", "diff.renames", "false")
    git(place.top, "config", "diff.renameLimit", "1")
    for name in ("a", "with space"):
        (place.root / f"prompts/{name}.yaml").rename(place.root / f"prompts/{name}2.yaml")
    write(place.root, {"prompts/a2.yaml": LONG + "# a little more\n"})
    assert place.commit().renamed == {
        "prompts/a2.yaml": "prompts/a.yaml",
        "prompts/with space2.yaml": "prompts/with space.yaml",
    }


def test_sha256(tmp_path: Path) -> None:
    place = Place(tmp_path / "repo", "", "--object-format=sha256")
    assert len(place.base) == 64
    assert place.working() == Changes()
    write(place.root, {"prompts/a.yaml": "changed"})
    assert place.both().paths == {"prompts/a.yaml"}


def test_a_bare_repository(tmp_path: Path) -> None:
    place = Place(tmp_path / "repo", "deep/registry/")
    write(place.root, {"prompts/a.yaml": "changed"})
    head = commit(place.top)
    git(tmp_path, "clone", "-q", "--bare", str(place.top), "bare.git")
    with at_revision(tmp_path / "bare.git", head, "deep/registry") as registry:
        assert changed_paths(registry, place.base, head).paths == {"prompts/a.yaml"}


def test_names_that_are_no_text(tmp_path: Path) -> None:
    place = Place(tmp_path / "repo", "")
    content = blob(place.top, b"x")
    odd = mktree(place.top, [("100644", content, "new\nline\udcff.yaml"), ("100644", content, "..")])
    head = commit_tree(place.top, mktree(place.top, [("40000", odd, "prompts")]))
    with opened(place.root) as registry:
        paths = changed_paths(registry, place.base, head).paths
    assert {"prompts/new\nline\udcff.yaml", "prompts/a.yaml", "promptreg.yaml"} <= paths


@pytest.mark.parametrize("oid", ["HEAD", "--help", "0" * 40])
def test_what_is_no_commit_here(tmp_path: Path, oid: str) -> None:
    place = Place(tmp_path / "repo", "")
    with opened(place.root) as registry:
        for head in (None, place.base):
            with pytest.raises(UsageError):
                changed_paths(registry, oid, head)
        with pytest.raises(UsageError):
            changed_paths(registry, place.base, oid)


def test_pairs_are_the_most_alike_and_each_file_has_one_partner() -> None:
    old = {"prompts/a.yaml": LONG.encode(), "prompts/b.yaml": LONG.encode() + b"# b\n"}
    assert pair_up(old, {"prompts/c.yaml": old["prompts/b.yaml"]}) == {"prompts/c.yaml": "prompts/b.yaml"}
    new = {"prompts/x/a.yaml": LONG.encode(), "prompts/y.yaml": LONG.encode()}
    assert pair_up(old, new) == {"prompts/x/a.yaml": "prompts/a.yaml", "prompts/y.yaml": "prompts/b.yaml"}


def test_among_very_many_files_only_equal_ones_are_pairs() -> None:
    old = {f"prompts/{n}.yaml": f"{LONG}{n}".encode() for n in range(60)}
    new = {f"prompts/new/{n}.yaml": content + (b"#" if n % 2 else b"") for n, content in enumerate(old.values())}
    assert pair_up(old, new) == {f"prompts/new/{n}.yaml": f"prompts/{n}.yaml" for n in range(0, 60, 2)}


LINES = st.lists(st.sampled_from([b"one line\n", b"another line\n", b"x" * 150 + b"\n", b"\n", b"the end"]), min_size=1).map(
    b"".join
)


@given(LINES, LINES)
def test_likeness_is_the_same_both_ways(one: bytes, other: bytes) -> None:
    assert bool(pair_up({"a": one}, {"b": other})) == bool(pair_up({"a": other}, {"b": one}))
    assert pair_up({"a": one}, {"b": one}) == {"b": "a"}
