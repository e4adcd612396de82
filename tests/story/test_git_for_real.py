"""The reading commands in every kind of repository that users have: they say the same as in a plain one, or say what to type.

What is meaningful where: a bare repository has no working copies, so NAME alone is HEAD's, and commands that write or run refuse; a
partial clone fetches what it lacks; a shallow clone shows its files, believes exact versions, and refuses what tags decide.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Said, User

from promptreg.testing import RepositoryBuilder
from promptreg.testing.repository import small_registry

READING = (
    "list",
    "show triage",
    "show triage@production",
    "show triage@git:HEAD~1",
    "render triage@^1 -i ticket=hi",
    "render triage@1.0.0 --suite triage",
    "diff triage@1.0.0 @production",
    "diff triage@1.0.0 --rendered triage",
    "log triage",
    "log triage@1.0.0",
    "blame triage",
    "blame triage@1.0.0",
    "at 2030-01-01",
)


def fill(made: RepositoryBuilder) -> None:
    made.tag("triage@v1.0.0", "The first one")
    text = (made.root / "prompts/triage.yaml").read_text()
    made.write("prompts/triage.yaml", text.replace("You sort", "You quickly sort")).commit("Quickly")
    made.tag("triage@v1.1.0", "Quick")
    made.tag("triage#production#1", "go")


@pytest.fixture
def plain(tmp_path: Path) -> RepositoryBuilder:
    made = small_registry(tmp_path / "plain")
    fill(made)
    made.git("config", "uploadpack.allowFilter", "true")
    return made


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "protocol.file.allow=always", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def clone(plain: RepositoryBuilder, *options: str) -> Path:
    target = plain.root.parent / "clone"
    git(plain.root.parent, "clone", "--quiet", *options, f"file://{plain.root}", str(target))
    return target


# --- kinds that say the same --------------------------------------------------------------------------------------------------


def linked(plain: RepositoryBuilder) -> Path:
    plain.git("worktree", "add", "--quiet", "../linked", "-b", "side")
    return plain.root.parent / "linked"


def detached(plain: RepositoryBuilder) -> Path:
    plain.git("checkout", "--quiet", "--detach")
    return plain.root


def packed(plain: RepositoryBuilder) -> Path:
    plain.git("gc", "--quiet", "--aggressive", "--prune=now")
    plain.git("pack-refs", "--all")
    return plain.root


def submodule(plain: RepositoryBuilder) -> Path:
    outer = RepositoryBuilder(plain.root.parent / "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(plain.root), "inner")
    return outer.root / "inner"


def other_user_allowed(plain: RepositoryBuilder) -> Path:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        for path in (plain.root, plain.root / ".git"):
            os.chown(path, 12345, 12345)
        config = Path(os.environ["GIT_CONFIG_GLOBAL"])
        config.write_text(config.read_text() + f"[safe]\n\tdirectory = {plain.root}\n")
    return plain.root


KINDS: dict[str, Callable[[RepositoryBuilder], Path]] = {
    "linked worktree": linked,
    "detached HEAD": detached,
    "packed": packed,
    "submodule": submodule,
    "clone": clone,
    "bare": lambda plain: clone(plain, "--bare"),
    "mirror": lambda plain: clone(plain, "--mirror"),
    "partial, no blobs": lambda plain: clone(plain, "--filter=blob:none"),
    "partial, no trees": lambda plain: clone(plain, "--filter=tree:0"),
    "bare and partial": lambda plain: clone(plain, "--bare", "--filter=blob:none"),
    "single branch": lambda plain: clone(plain, "--single-branch"),
    "with submodules": lambda plain: clone(plain, "--recurse-submodules"),
    "depth 99": lambda plain: clone(plain, "--depth=99", "--no-single-branch"),
    "another user's, allowed": other_user_allowed,
}


@pytest.fixture
def asked(user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path, str], Said]:
    own = tmp_path / "gitconfig"
    own.write_text(Path(os.environ["GIT_CONFIG_GLOBAL"]).read_text() + '[protocol "file"]\n\tallow = always\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(own))

    def ask(root: Path, line: str) -> Said:
        user.root = root
        return user(*line.split(), "--json")

    return ask


def facts(said: Said, root: Path) -> Any:
    """What was said, without what differs by nature: where a working copy's file is read, and whether the clone was cut."""

    def bare_of(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: bare_of(each) for key, each in value.items() if key not in ("path", "where", "shallow")}
        return [bare_of(each) for each in value] if isinstance(value, list) else value

    return said.code, bare_of(said.json)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_commands_say_the_same_everywhere(kind: str, plain: RepositoryBuilder, asked: Callable[[Path, str], Said]) -> None:
    expected = {line: facts(asked(plain.root, line), plain.root) for line in READING}
    assert {code for code, _ in expected.values()} == {0, 1}
    root = KINDS[kind](plain)
    for line in READING:
        said = asked(root, line)
        assert facts(said, root) == expected[line], f"{kind}: {line}: {said.err}"


@pytest.mark.parametrize("bare", [False, True], ids=["working tree", "bare"])
def test_sha_256(bare: bool, tmp_path: Path, asked: Callable[[Path, str], Said]) -> None:
    source = small_registry(tmp_path / "sha1")
    root = tmp_path / "sha256"
    root.mkdir()
    git(root, "init", "--quiet", "--object-format=sha256")
    for name in ("promptreg.yaml", "prompts", "suites"):
        target = root / name
        (shutil.copytree if (source.root / name).is_dir() else shutil.copy)(source.root / name, target)
    git(root, "add", "-A")
    git(root, "commit", "--quiet", "-m", "first")
    git(root, "tag", "-a", "-m", "one", "triage@v1.0.0")
    git(root, "tag", "-a", "-m", "go", "triage#production#1")
    text = (root / "prompts/triage.yaml").read_text()
    (root / "prompts/triage.yaml").write_text(text.replace("You sort", "You quickly sort"))
    git(root, "commit", "--quiet", "-am", "second")
    if bare:
        git(tmp_path, "clone", "--quiet", "--bare", "sha256", "bare256")
        root = tmp_path / "bare256"
    for line in READING:
        said = asked(root, line)
        assert said.code in (0, 1), f"{line}: {said.err}"
    assert len(asked(root, "show triage@production").json["commit"]) == 64
    assert len(asked(root, "log triage").json["moments"]) == 4


def test_a_registry_in_a_folder_of_its_repository(plain: RepositoryBuilder, asked: Callable[[Path, str], Said]) -> None:
    plain.git("mv", "-k", "promptreg.yaml", "prompts", "suites", ".")
    (plain.root / "apps" / "a [1]").mkdir(parents=True)
    for name in ("promptreg.yaml", "prompts", "suites"):
        plain.git("mv", name, f"apps/a [1]/{name}")
    plain.commit("Moved")
    plain.tag("triage@v2.0.0", "moved")
    here = plain.root / "apps" / "a [1]" / "prompts"
    assert asked(here, "show triage@2.0.0").code == 0
    moments = asked(here, "log triage").json["moments"]
    assert [(moment["kind"], moment["subject"]) for moment in moments if moment["tag"] is None] == [("added", "Moved")]
    lines = asked(here, "blame triage").json["files"][0]["lines"]
    assert {line["subject"] for line in lines} == {"A small registry", "Quickly"}  # git follows the renamed file
    assert asked(here, "diff triage@2.0.0").code == 0


# --- bare ---------------------------------------------------------------------------------------------------------------------


def test_what_writes_or_runs_refuses_a_bare_repository(plain: RepositoryBuilder, asked: Callable[[Path, str], Said]) -> None:
    root = clone(plain, "--bare")
    before = sorted(path for path in root.rglob("*"))
    for line in ("run", "lint", "new prompt other", "case add triage -i ticket=x", "cache stats"):
        said = asked(root, line)
        assert said.code == 2
        assert "no working tree" in said.json["errors"][0]["hint"]
    assert sorted(path for path in root.rglob("*")) == before


def test_minus_c_names_the_bare_repository(plain: RepositoryBuilder, user: User) -> None:
    root = clone(plain, "--bare")
    said = user("-C", str(root), "show", "triage@production")
    assert (said.code, said.out.splitlines()[0].startswith("triage@1.1.0  ")) == (0, True)


def test_a_bare_repository_that_came_within_a_clone_is_not_read(plain: RepositoryBuilder, user: User, tmp_path: Path) -> None:
    """Its configuration is a stranger's, and would be obeyed."""
    bare = clone(plain, "--bare")
    outer = small_registry(tmp_path / "outer")
    shutil.copytree(bare, outer.root / "docs" / "trap")
    (outer.root / "promptreg.yaml").unlink()
    said = user("-C", str(outer.root / "docs" / "trap"), "show", "triage@production")
    assert (said.code, "no promptreg.yaml" in said.err) == (2, True)


# --- shallow ------------------------------------------------------------------------------------------------------------------


def test_a_shallow_clone_says_what_to_fetch_and_then_all_is_well(
    plain: RepositoryBuilder, asked: Callable[[Path, str], Said]
) -> None:
    expected = {line: facts(asked(plain.root, line), plain.root) for line in READING}
    root = clone(plain, "--depth=1", "--no-tags")  # as CI does by default
    assert facts(asked(root, "show triage"), root) == expected["show triage"]
    for line in READING:
        if "@" in line or line.startswith("at"):
            said = asked(root, line)
            assert said.code == 2, line
            (error,) = said.json["errors"]
            assert "git fetch --unshallow --tags" in error["hint"], line
            assert "fetch-depth: 0" in error["hint"]
    told = asked(root, "log triage")
    assert (told.code, told.json["shallow"], told.json["moments"][-1]["kind"]) == (0, True, "start")
    assert "git fetch --unshallow --tags" in told.err
    assert "git fetch --unshallow --tags" in asked(root, "blame triage").err
    assert all(line["boundary"] for line in asked(root, "blame triage").json["files"][0]["lines"])
    git(root, "fetch", "--quiet", "--unshallow", "--tags")
    for line in READING:
        assert facts(asked(root, line), root) == expected[line], line


def test_an_exact_version_is_believed_in_a_shallow_clone(plain: RepositoryBuilder, asked: Callable[[Path, str], Said]) -> None:
    root = clone(plain, "--depth=1", "--branch=triage@v1.1.0")
    assert asked(root, "show triage@1.1.0").json["version"] == "1.1.0"
    assert asked(root, "show triage@latest").code == 2


def test_a_partial_clone_whose_origin_is_gone(plain: RepositoryBuilder, asked: Callable[[Path, str], Said]) -> None:
    root = clone(plain, "--filter=blob:none")
    plain.root.rename(plain.root.parent / "gone")
    assert asked(root, "show triage").code == 0
    said = asked(root, "show triage@1.0.0")
    assert said.code == 2
    assert said.json["errors"][0]["hint"]


# --- another user's -----------------------------------------------------------------------------------------------------------


def test_a_repository_that_git_distrusts(plain: RepositoryBuilder, user: User, tmp_path: Path) -> None:
    shim = tmp_path / "bin" / "git"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "{shutil.which("git")}" "$@"\n')
    shim.chmod(0o755)
    user.root = plain.root
    env = {"PATH": f"{shim.parent}:{os.environ['PATH']}"}
    assert user.process("show", "triage", env=env).code == 0  # the files can be read without git
    for line in ("show triage@production", "log triage", "blame triage", "at 2030-01-01", "diff triage", "run"):
        said = user.process(*line.split(), env=env)
        assert said.code == 2, line
        assert "dubious ownership" in said.err
        assert f"git config --global --add safe.directory {plain.root}" in said.err, line


# --- hooks --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE"])
def test_variables_of_another_repository_lead_nobody_astray(
    name: str, plain: RepositoryBuilder, user: User, tmp_path: Path
) -> None:
    other = small_registry(tmp_path / "other")
    other.tag("triage@v9.0.0")
    lead = {"GIT_DIR": ".git", "GIT_WORK_TREE": ".", "GIT_INDEX_FILE": ".git/index", "GIT_OBJECT_DIRECTORY": ".git/objects"}
    user.root = plain.root
    said = user.process("show", "triage@latest", "--json", env={name: str(other.root / lead.get(name, "x"))})
    assert said.json["version"] == "1.1.0"
    told = user.process("log", "triage", "--json", env={name: str(other.root / lead.get(name, "x"))})
    assert len(told.json["moments"]) == 5


@pytest.mark.skipif(os.name != "posix", reason="hooks as POSIX runs them")
def test_promptreg_works_in_a_hook_of_git(plain: RepositoryBuilder, tmp_path: Path) -> None:
    """A commit in a linked worktree: git sets GIT_DIR and GIT_INDEX_FILE, and the registry looked at lies elsewhere."""
    registry = small_registry(tmp_path / "other")
    registry.tag("triage@v7.0.0")
    hook = plain.root / ".git" / "hooks" / "pre-commit"
    hook.parent.mkdir(exist_ok=True)
    ours = f'"{sys.executable}" -m promptreg'
    hook.write_text(
        f'#!/bin/sh\nset -e\n{ours} -C "{registry.root}" show triage@latest --json > "{tmp_path}/elsewhere"\n'
        f'{ours} diff triage --json > "{tmp_path}/here" || test $? = 1\n'
    )
    hook.chmod(0o755)
    plain.git("worktree", "add", "--quiet", "../linked", "-b", "side")
    work = plain.root.parent / "linked"
    (work / "prompts" / "triage.yaml").write_text((work / "prompts" / "triage.yaml").read_text().replace("quickly", "slowly"))
    git(work, "commit", "--quiet", "-am", "from a hook")
    assert json.loads((tmp_path / "elsewhere").read_text())["version"] == "7.0.0"
    assert json.loads((tmp_path / "here").read_text())["different"] is True


# --- names --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["my prompt", "grüße", "--upload-pack=touch x", "-n", "a..b", "a//b", "../x", "a@{u}", "x" * 201])
@pytest.mark.parametrize("command", ["show", "log", "blame", "diff", "render"])
def test_names_that_cannot_be_are_refused_clearly(command: str, name: str, plain: RepositoryBuilder, user: User) -> None:
    user.root = plain.root
    said = user(command, "--", name)
    assert said.code == 2
    assert "hint:" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "revision", ["--all", "-n1", "HEAD\nHEAD", "HEAD:prompts", ":/A small", "HEAD^{/x}", "@{-1}", "$(touch x)"]
)
def test_revisions_cannot_be_options(revision: str, plain: RepositoryBuilder, user: User) -> None:
    user.root = plain.root
    before = sorted(os.listdir(plain.root))
    for command in ("show", "log", "blame", "diff"):
        said = user(command, f"triage@git:{revision}")
        assert said.code in (0, 1, 2)
        assert (said.code == 2) == (revision != ":/A small")
    assert sorted(os.listdir(plain.root)) == before
