"""`promptreg doctor` on real repositories in each state that it knows; where the remedy is a command, it is typed, and it helps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from conftest import User

from promptreg.testing import RepositoryBuilder
from promptreg.testing.repository import small_registry

Finding: TypeAlias = dict[str, Any]
Doctor: TypeAlias = Callable[..., list[Finding]]
REAL_GIT = shutil.which("git")


@pytest.fixture
def built(user: User) -> RepositoryBuilder:
    shutil.rmtree(user.root)
    return small_registry(user.root)


@pytest.fixture
def doctor(user: User) -> Doctor:
    """`doctor("rule")`: the findings of that rule; the exit code is 2 just when one of all findings is an error."""

    def ask(rule: str = "", *, env: dict[str, str] | None = None, root: Path | None = None) -> list[Finding]:
        here, user.root = user.root, root or user.root
        try:
            said = user("doctor", "--json") if env is None else user.process("doctor", "--json", env=env)
        finally:
            user.root = here
        findings: list[Finding] = said.json["findings"]
        assert said.json["schema"] == "promptreg/doctor/1"
        assert said.code == (2 if any(each["level"] == "error" for each in findings) else 0), said.err
        assert all(each["remedy"] or each["level"] == "ok" for each in findings), findings
        return [each for each in findings if not rule or each["rule"] == rule]

    return ask


def level(findings: list[Finding]) -> list[str]:
    return [each["level"] for each in findings]


def type_in(folder: Path, command: str) -> None:
    done = subprocess.run(["bash", "-ec", command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"


def clone(source: Path, target: Path, *options: str) -> Path:
    subprocess.run(["git", "clone", "--quiet", *options, f"file://{source}", str(target)], check=True, capture_output=True)
    return target


def shim(tmp_path: Path, script: str) -> dict[str, str]:
    """An environment in which `git` is *script*, a line of shell in which $REAL is the real one."""
    folder = tmp_path / "shim"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\nREAL="{REAL_GIT}"\n{script}\n')
    (folder / "git").chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}"}


# --- well ---------------------------------------------------------------------------------------------------------------------


def test_a_sound_registry_has_no_error_and_no_warning(built: RepositoryBuilder, user: User, doctor: Doctor) -> None:
    built.tag("triage@v1.0.0")
    found = doctor()
    assert not [each for each in found if each["level"] in ("error", "warning")]
    assert {"python", "extra", "git-version", "repository", "tags", "registry", "files", "store"} <= {
        each["rule"] for each in found
    }
    said = user("doctor")
    assert said.code == 0
    assert "ok: tags: 1; releases: 1; prompts: 1 [tags]" in said.out
    assert "0 errors, 0 warnings" in said.err
    assert "ok:" not in user("doctor", "--quiet").out


def test_findings_come_worst_first_with_their_remedy(built: RepositoryBuilder, user: User) -> None:
    user.write("prompts/été.yaml", "messages: []\n")
    built.git("tag", "triage@v1.0.0")
    said = user("doctor")
    assert said.code == 2
    heads = [line.partition(":")[0] for line in said.out.splitlines() if not line.startswith(" ")]
    assert heads == sorted(heads, key=["error", "warning", "note", "ok"].index)
    assert "\n  remedy: mv -- 'prompts/été.yaml' prompts/ete.yaml\n" in said.out


# --- the machine --------------------------------------------------------------------------------------------------------------


def test_no_git(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (found,) = doctor("git-missing", env={"PATH": str(tmp_path / "empty")})
    assert found["level"] == "error"
    assert "2.36 or newer" in found["remedy"]


def test_an_old_git(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    env = shim(tmp_path, 'case "$*" in *version*) echo "git version 2.17.1";; *) exec "$REAL" "$@";; esac')
    (found,) = doctor("git-version", env=env)
    assert found["level"] == "error"
    assert "2.17.1 is too old" in found["message"]


def test_the_other_distribution(built: RepositoryBuilder, doctor: Doctor, user: User, tmp_path: Path) -> None:
    (tmp_path / "site" / "promptreg-0.1.0.dist-info").mkdir(parents=True)
    env = {"PYTHONPATH": str(tmp_path / "site")}
    (found,) = doctor("clashing-distribution", env=env)
    assert found["level"] == "error"
    assert str(tmp_path / "site") in found["message"]
    assert found["remedy"].startswith("pip uninstall promptreg && ")
    assert user.process("list", env=env).code == 2  # everything else refuses


def test_extras_that_are_not_installed(built: RepositoryBuilder, user: User, tmp_path: Path) -> None:
    script = (
        "import sys; import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if name in ('xllamacpp', 'rapidfuzz') else find(name, *rest);"
        "from promptreg.cli import invoke; sys.exit(invoke(['doctor']))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=user.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "remedy: pip install 'git-promptreg[local]'" in done.stdout
    assert "remedy: pip install 'git-promptreg[text]'" in done.stdout


# --- the repository -----------------------------------------------------------------------------------------------------------


def test_outside_of_git(user: User, doctor: Doctor) -> None:
    user("init", ".")
    (found,) = doctor("no-repository")
    assert found["level"] == "warning"
    type_in(user.root, found["remedy"])
    assert not doctor("no-repository")


def test_no_registry(user: User, doctor: Doctor) -> None:
    (found,) = doctor("registry")
    assert (found["level"], "promptreg init" in found["remedy"]) == ("error", True)


def test_settings_that_cannot_be_read(built: RepositoryBuilder, user: User, doctor: Doctor) -> None:
    user.write("promptreg.yaml", "modles: {}\n")
    found = doctor("registry")
    assert level(found) == ["error"]
    assert "promptreg.yaml:1" in found[0]["message"]
    assert doctor("repository")  # Git is examined all the same


def test_nothing_committed(user: User, doctor: Doctor) -> None:
    user("init", ".")
    type_in(user.root, "git init -q")
    (found,) = doctor("no-commit")
    type_in(user.root, found["remedy"])
    assert not doctor("no-commit")


def test_a_repository_of_another_user(built: RepositoryBuilder, doctor: Doctor, user: User, tmp_path: Path) -> None:
    env = shim(tmp_path, 'GIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec "$REAL" "$@"')
    (found,) = doctor("safe-directory", env=env)
    assert found["level"] == "error"
    assert found["remedy"] == f"git config --global --add safe.directory {user.root}"
    assert not [
        each for each in doctor(env=env) if each["level"] == "error" and each is not found and each["rule"] != "safe-directory"
    ]
    own = {**env, "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig")}
    subprocess.run(["bash", "-ec", found["remedy"]], env={**os.environ, **own}, check=True)
    assert not doctor("safe-directory", env=own)
    assert doctor("repository", env=own)


def test_a_shallow_clone_without_tags(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    built.tag("triage@v1.0.0")
    built.write("x", "x").commit("more")
    here = clone(built.root, tmp_path / "shallow", "--depth=1", "--no-tags")
    assert level(doctor("shallow", root=here)) == ["warning"]
    assert doctor("no-releases", root=here)
    assert level(doctor("no-tags-fetched", root=here)) == ["warning"]
    type_in(here, doctor("shallow", root=here)[0]["remedy"].partition(" (")[0])
    assert not doctor("shallow", root=here)
    assert doctor("tags", root=here)


def test_tags_that_are_not_fetched(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    built.tag("triage@v1.0.0")
    here = clone(built.root, tmp_path / "tagless", "--no-tags")
    (found,) = doctor("no-tags-fetched", root=here)
    type_in(here, found["remedy"])
    assert not doctor("no-tags-fetched", root=here)
    assert doctor("tags", root=here)


def test_a_partial_clone(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    built.git("config", "uploadpack.allowFilter", "true")
    built.write("prompts/triage.yaml", "messages: [{role: user, content: hi}]\n").commit("more")
    here = clone(built.root, tmp_path / "partial", "--filter=blob:none")
    missing = ["git", "-C", str(here), "rev-list", "--objects", "--all", "--missing=print"]
    assert "\n?" in subprocess.run(missing, capture_output=True, text=True, check=True).stdout
    (found,) = doctor("partial-clone", root=here)
    assert found["level"] == "note"
    type_in(here, found["remedy"])
    assert "\n?" not in subprocess.run(missing, capture_output=True, text=True, check=True).stdout


def test_a_detached_head(built: RepositoryBuilder, doctor: Doctor) -> None:
    built.git("checkout", "--quiet", "--detach")
    (found,) = doctor("detached-head")
    assert found["level"] == "note"
    type_in(built.root, found["remedy"].partition(" before")[0].replace("NAME", "work"))
    assert not doctor("detached-head")


def test_a_linked_working_tree(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    built.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "side")
    (found,) = doctor("linked-worktree", root=tmp_path / "linked")
    assert str(built.root) in found["message"]
    assert not doctor("linked-worktree")


def test_a_linked_working_tree_whose_repository_moved(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    built.git("worktree", "add", "--quiet", str(tmp_path / "linked"), "-b", "side")
    built.root.rename(tmp_path / "moved")
    (found,) = doctor("broken-repository", root=tmp_path / "linked")
    assert found["level"] == "error"
    type_in(tmp_path / "moved", "git worktree repair")
    assert not doctor("broken-repository", root=tmp_path / "linked")


def test_a_bare_repository(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    here = clone(built.root, tmp_path / "bare.git", "--bare")
    (found,) = doctor("bare", root=here)
    assert found["level"] == "note"
    type_in(here, found["remedy"].partition(",")[0])
    assert not doctor("bare", root=tmp_path / "work")


def test_a_registry_in_a_submodule(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    outer = RepositoryBuilder(tmp_path / "outer")
    outer.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(built.root), "prompts")
    (found,) = doctor("submodule-of", root=outer.root / "prompts")
    assert str(outer.root) in found["message"]


def test_a_submodule_among_the_prompts(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    inner = RepositoryBuilder(tmp_path / "inner").write("a.yaml", "messages: [{role: user, content: hi}]\n")
    inner.commit()
    built.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner.root), "prompts/inner")
    (found,) = doctor("submodule")
    assert (found["level"], "prompts/inner" in found["message"]) == ("error", True)
    type_in(built.root, found["remedy"].partition(",")[0])
    assert not doctor("submodule")


def test_a_hook_s_environment(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    other = RepositoryBuilder(tmp_path / "other")
    (found,) = doctor("git-environment", env={"GIT_DIR": str(other.root / ".git"), "GIT_INDEX_FILE": "x"})
    assert found["level"] == "note"
    assert found["remedy"] == "unset GIT_DIR GIT_INDEX_FILE"


def test_odd_tags_and_replaced_objects(built: RepositoryBuilder, doctor: Doctor) -> None:
    built.git("tag", "triage@v1.0.0")
    built.tag("triage@1.1.0")
    built.tag("release-7")  # somebody else's: no business of ours
    first = built.git("rev-parse", "HEAD")
    built.git("replace", "-f", first, built.commit("other"))
    found = doctor("odd-tag")
    assert level(found) == ["warning", "warning"]
    assert "lightweight" in found[1]["message"]
    assert found[0]["remedy"] == "a release is tagged triage@v1.1.0"
    (replaced,) = doctor("replace-refs")
    type_in(built.root, replaced["remedy"])
    assert not doctor("replace-refs")


def test_many_odd_tags_are_counted(built: RepositoryBuilder, doctor: Doctor) -> None:
    for number in range(23):
        built.git("tag", f"triage@v1.{number}.0")
    assert doctor("odd-tag")[-1]["message"] == "and 3 more odd tags"


def test_keys_and_signers(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    assert level(doctor("signing-key")) == level(doctor("allowed-signers")) == ["note"]
    built.git("config", "gpg.format", "ssh")
    built.git("config", "user.signingKey", "key.pub")
    assert level(doctor("signing-key")) == ["warning"]
    built.write("key.pub", "ssh-ed25519 AAAA\n")
    built.git("config", "gpg.ssh.allowedSignersFile", str(tmp_path / "signers"))
    assert doctor("signing-key")[0]["message"] == "releases can be signed: ssh key configured"
    assert level(doctor("allowed-signers")) == ["warning"]
    (tmp_path / "signers").write_text("ada@example.org ssh-ed25519 AAAA\n")
    assert level(doctor("allowed-signers")) == ["ok"]


def test_labels_that_ask_for_a_signer_nobody_knows(built: RepositoryBuilder, user: User, doctor: Doctor) -> None:
    user.write("promptreg.yaml", "labels: [staging, {name: production, signers: [ada@example.org]}]\n")
    (found,) = doctor("allowed-signers")
    assert found["level"] == "warning"
    assert "asks for a signer of production" in found["message"]


# --- the registry -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "better"),
    [
        ("prompts/my prompt.yaml", "prompts/my-prompt.yaml"),
        ("prompts/grüße.yaml", "prompts/gru-e.yaml"),
        ("suites/a.yml", "suites/a.yaml"),
    ],
)
def test_names_that_cannot_be(built: RepositoryBuilder, doctor: Doctor, path: str, better: str) -> None:
    text = "messages: [{role: user, content: hi}]\n" if path.startswith("prompts") else "[]\n"
    built.write(path, text).commit()
    (found,) = doctor("name")
    assert found["level"] == "error"
    type_in(built.root, found["remedy"])
    assert (built.root / better).is_file()
    assert not doctor("name")


def test_a_pointer_of_git_lfs(built: RepositoryBuilder, doctor: Doctor) -> None:
    built.write("suites/big.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n").commit()
    (found,) = doctor("lfs-pointer")
    assert (found["level"], "suites/big.jsonl" in found["message"], "git lfs pull" in found["remedy"]) == ("error", True, True)


def test_a_link_that_leads_out(built: RepositoryBuilder, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    (built.root / "prompts" / "leak.yaml").symlink_to(tmp_path / "secret")
    (found,) = doctor("file")
    assert (found["level"], "leads out" in found["message"]) == ("error", True)


def test_api_keys_by_name_and_never_by_value(built: RepositoryBuilder, user: User, doctor: Doctor) -> None:
    user.write(
        "promptreg.yaml",
        "models:\n  a: {provider: openai, model: x}\n  b: {provider: anthropic, model: x, api_key_env: MY_KEY}\n"
        '  c: {provider: openai, model: x, base_url: "http://127.0.0.1:9/v1"}\n'
        '  d: {provider: openai, model: x, base_url: "http://127.0.0.1:9/v1", headers: {x-key: {env: HEADER_KEY}}}\n',
    )
    env = {"MY_KEY": "s3cret-value", "HEADER_KEY": " "}
    found = {each["message"].split()[0]: each for each in doctor("key", env=env)}
    assert {name: each["level"] for name, each in found.items()} == {
        "OPENAI_API_KEY": "warning",
        "MY_KEY": "ok",
        "HEADER_KEY": "warning",
    }
    assert "s3cret" not in user.process("doctor", env=env).out
    assert "is empty" in found["HEADER_KEY"]["message"]


def test_weights_that_are_not_here(built: RepositoryBuilder, user: User, doctor: Doctor) -> None:
    user.write("promptreg.yaml", "models: {tiny: {provider: local, model: smollm2-135m-instruct}}\n")
    (found,) = doctor("weights")
    assert (found["level"], found["remedy"]) == ("warning", "promptreg models pull smollm2-135m-instruct")


# --- the store ----------------------------------------------------------------------------------------------------------------


def test_a_store_with_answers(built: RepositoryBuilder, user: User, doctor: Doctor) -> None:
    user("run")
    (found,) = doctor("store")
    assert found["level"] == "ok"
    assert "sound" in found["message"]


def test_a_broken_store(built: RepositoryBuilder, user: User, doctor: Doctor) -> None:
    user.write(".promptreg/store.sqlite3", "this is no database" * 100)
    assert level(doctor("store")) == ["error"]


@pytest.mark.parametrize("name", ["store.sqlite3", "store.sqlite3-wal"])
def test_a_store_that_git_tracks_is_refused(built: RepositoryBuilder, user: User, doctor: Doctor, name: str) -> None:
    assert user("run").code == 0
    if not (user.root / ".promptreg" / name).exists():
        user.write(f".promptreg/{name}", "")
    built.git("add", "--force", f".promptreg/{name}")
    built.git("commit", "--quiet", "--message", "answers from nowhere")
    said = user("run", "--json")
    assert said.code == 2
    (error,) = said.json["errors"]
    assert f"Git tracks the store of answers (.promptreg/{name})" in error["message"]
    (found,) = doctor("store-tracked")
    assert (found["level"], found["remedy"]) == ("error", error["hint"])
    type_in(user.root, found["remedy"])
    assert not doctor("store-tracked")
    assert user("run").code == 0


def test_a_store_in_a_folder_that_is_a_tracked_link_or_written_otherwise(built: RepositoryBuilder, user: User) -> None:
    user.write("elsewhere/store.sqlite3", "")
    (user.root / ".promptreg").symlink_to("elsewhere")
    built.commit("a link")
    assert "Git tracks the store" in user("run").err
    built.git("rm", "-rfq", "elsewhere", ".promptreg")
    user.write(".Promptreg/store.sqlite3", "")  # the same folder, where the file system does not tell cases apart
    built.commit("another case")
    assert "Git tracks the store" in user("run").err


def test_a_tracked_store_elsewhere_in_the_repository(built: RepositoryBuilder, user: User) -> None:
    user.write("answers/kept.sqlite3", "")
    built.commit("a store")
    said = user.process("run", env={"PROMPTREG_STORE": "answers/kept.sqlite3"})
    assert said.code == 2
    assert "Git tracks the store of answers (answers/kept.sqlite3)" in said.err
    assert user.process("run", env={"PROMPTREG_STORE": "answers/own.sqlite3"}).code == 0
