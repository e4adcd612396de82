"""The registry on real folders and real Git repositories."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from promptreg import datasets
from promptreg.core.suite import Case, pair_key
from promptreg.errors import DataError, DocumentError, UsageError
from promptreg.registry import Registry, WorkingTree, check_name, open_registry

SETTINGS = "models: {small: {provider: echo}}\ndefaults: {model: small}\n"
PROMPT = "messages: [{role: user, content: '{{ x }}'}]\ninputs: {x: {}}\n"
SUITE = "prompts: ['**']\nchecks: [exact]\ndataset: rows.jsonl\n"
ROWS = "".join(f'{{"inputs": {{"x": {number}}}, "tags": {{"q": "{"ab"[number % 4 == 0]}"}}}}\n' for number in range(40))
FILES = {
    "promptreg.yaml": SETTINGS,
    "prompts/dates.yaml": PROMPT,
    "prompts/support/triage.yaml": PROMPT,
    "prompts/support/_tone.jinja": "Be kind.",
    "prompts/_shared.jinja": "\ufeffShared é",
    "prompts/README.md": "not a prompt",
    "prompts/.hidden.yaml": "not a prompt either",
    "suites/all.yaml": SUITE,
    "suites/rows.jsonl": ROWS,
    "suites/rows.yaml": "# a dataset beside its suite\n- inputs: {x: 1}\n",
    "suites/inline.yaml": "prompts: dates\nmodels: [small]\nchecks: [exact]\ncases: [{inputs: {x: 1}}, {inputs: {x: 2}}]\n",
}


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
    return root


def opened(start: Path) -> Registry:
    return open_registry(start, read_cases=datasets.read, env=os.environ)


def git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "registry", FILES)


def test_names_are_paths(root: Path) -> None:
    registry = opened(root)
    assert registry.prompt_names() == ("dates", "support/triage")
    assert registry.suite_names() == ("all", "inline")
    assert registry.partial_paths() == ("_shared.jinja", "support/_tone.jinja")
    prompt = registry.prompt("support/triage")
    assert (prompt.name, prompt.where.path) == ("support/triage", "prompts/support/triage.yaml")
    assert prompt.partials == {"_shared.jinja": "Shared é", "support/_tone.jinja": "Be kind."}


def test_a_registry_is_found_from_below(root: Path) -> None:
    assert opened(root / "prompts" / "support").root == root.resolve()
    assert opened(root).settings.models["small"].provider == "echo"


def test_no_registry_is_found_above_the_repository(root: Path) -> None:
    inner = root / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    with pytest.raises(UsageError, match=r"no promptreg\.yaml here or above") as caught:
        opened(inner)
    assert caught.value.hint == "promptreg init makes a registry"


def test_unknown_names_get_a_guess(root: Path) -> None:
    registry = opened(root)
    with pytest.raises(UsageError, match=r"unknown prompt 'support/triag'; did you mean 'support/triage'\?"):
        registry.prompt("support/triag")
    with pytest.raises(UsageError, match="unknown suite 'al'"):
        registry.suite("al")
    with pytest.raises(UsageError, match="cannot be a name"):
        registry.prompt("../secret")
    with pytest.raises(UsageError, match=r"no prompt matches '\*\*'|cannot be a name"):
        registry.prompt("**")


@pytest.mark.parametrize("name", ["", "-a", "a-", "a b", "a.b", "a//b", "é", "a\n", "_a", "a@b"])
def test_bad_names(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a name"):
        check_name(name)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("prompts/my prompt.yaml", "'my prompt' cannot be a name"),
        ("prompts/_x.yaml", "'_x' cannot be a name"),
        ("prompts/x.yml", r"files here end in \.yaml"),
    ],
)
def test_files_whose_names_say_nothing_are_errors(root: Path, path: str, message: str) -> None:
    write(root, {path: PROMPT})
    with pytest.raises(UsageError, match=message) as caught:
        opened(root).prompt_names()
    assert caught.value.where is not None
    assert caught.value.where.path == path


def test_a_suite_without_models_gets_the_default(root: Path) -> None:
    assert opened(root).suite("all").models == ("small",)
    write(root, {"promptreg.yaml": "models: {small: {provider: echo}}"})
    with pytest.raises(DocumentError, match="the suite names no models, and there is no default"):
        opened(root).suite("all")


def test_cases_come_from_the_dataset_or_the_suite(root: Path) -> None:
    registry = opened(root)
    assert [case.inputs["x"] for case in registry.cases(registry.suite("all"))] == list(range(40))
    assert [case.inputs["x"] for case in registry.cases(registry.suite("inline"))] == [1, 2]


def sampled(root: Path, sample: str, rows: str = ROWS) -> list[Case]:
    write(root, {"suites/all.yaml": SUITE + f"sample: {sample}\n", "suites/rows.jsonl": rows})
    registry = opened(root)
    return list(registry.cases(registry.suite("all")))


def test_a_sample_is_stratified_seeded_and_in_the_order_of_the_data(root: Path) -> None:
    chosen = sampled(root, "{n: 8, seed: 7, by: tags.q}")
    assert [case.tags["q"] for case in chosen].count("b") == 2
    numbers = [case.inputs["x"] for case in chosen]
    assert numbers == sorted(numbers, key=int)
    assert [case.inputs for case in sampled(root, "{n: 8, seed: 8, by: tags.q}")] != [case.inputs for case in chosen]
    reversed_rows = "".join(f"{line}\n" for line in reversed(ROWS.splitlines()))
    again = sampled(root, "{n: 8, seed: 7, by: tags.q}", reversed_rows)
    assert {pair_key(case.inputs) for case in again} == {pair_key(case.inputs) for case in chosen}
    assert len(sampled(root, "{n: 1000}")) == 40


def test_strata_that_no_case_has_are_an_error(root: Path) -> None:
    with pytest.raises(UsageError, match=r"no case has 'tags\.queue'") as caught:
        sampled(root, "{n: 8, by: tags.queue}")
    assert str(caught.value.where) == "suites/all.yaml:4:16, key 'sample.by'"


def test_a_missing_dataset_is_told_at_the_suites_line(root: Path) -> None:
    write(root, {"suites/all.yaml": SUITE.replace("rows.jsonl", "row.jsonl")})
    registry = opened(root)
    with pytest.raises(UsageError, match=r"there is no file 'suites/row\.jsonl'; did you mean 'suites/rows\.jsonl'\?") as caught:
        list(registry.cases(registry.suite("all")))
    assert str(caught.value.where) == "suites/all.yaml:3:1, key 'dataset'"


def test_a_faulty_row_is_told_when_it_is_reached(root: Path) -> None:
    write(root, {"suites/rows.jsonl": ROWS + "{\n"})
    registry = opened(root)
    cases = registry.cases(registry.suite("all"))
    assert next(cases).inputs == {"x": 0}
    with pytest.raises(DataError, match="not JSON") as caught:
        list(cases)
    assert caught.value.where is not None
    assert (caught.value.where.path, caught.value.where.line) == ("suites/rows.jsonl", 41)


def test_partials_are_utf8(root: Path) -> None:
    (root / "prompts/_bad.jinja").write_bytes(b"ok\ncaf\xe9")
    with pytest.raises(DocumentError, match="byte 0xe9 is not UTF-8") as caught:
        opened(root).prompt("dates")
    assert str(caught.value.where) == "prompts/_bad.jinja:2:4"


# What a pull request may hold ------------------------------------------------------------------------------------------------


def read_everything(root: Path) -> None:
    registry = opened(root)
    for name in registry.prompt_names():
        registry.prompt(name)
    for name in registry.suite_names():
        list(registry.cases(registry.suite(name)))


@pytest.mark.parametrize("path", ["prompts/dates.yaml", "suites/rows.jsonl", "promptreg.yaml", "prompts/_shared.jinja"])
def test_a_link_out_of_the_repository_is_refused(root: Path, tmp_path: Path, path: str) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: hunter2\n")
    (root / path).unlink()
    (root / path).symlink_to(secret)
    with pytest.raises(UsageError, match="symbolic link that leads out of the repository") as caught:
        read_everything(root)
    fault = caught.value
    assert "hunter2" not in f"{fault} {fault.more}"
    assert fault.where is not None
    assert fault.where.path in (path, "suites/all.yaml")


def test_a_link_within_the_repository_is_followed_but_never_into_git(root: Path) -> None:
    git(root.parent, "init", "-q")
    (root.parent / "elsewhere.yaml").write_text(PROMPT)
    (root / "prompts/linked.yaml").symlink_to("../../elsewhere.yaml")
    assert opened(root).prompt("linked").inputs == {"x": {}}
    (root / "prompts/stolen.yaml").symlink_to("../../.git/config")
    with pytest.raises(UsageError, match="leads out of the repository"):
        opened(root).prompt("stolen")


def test_a_linked_folder_is_refused_rather_than_passed_over(root: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (root / "prompts/more").symlink_to(tmp_path / "more")
    with pytest.raises(UsageError, match="prompts/more is a symbolic link to a folder"):
        opened(root).prompt_names()


def test_a_loop_of_links_a_pipe_and_a_folder_are_refused(root: Path) -> None:
    (root / "prompts/a.yaml").symlink_to("b.yaml")
    (root / "prompts/b.yaml").symlink_to("a.yaml")
    os.mkfifo(root / "prompts/pipe.yaml")
    (root / "suites/rows.jsonl").unlink()
    (root / "suites/rows.jsonl").mkdir()
    registry = opened(root)
    with pytest.raises(UsageError, match="cannot be read"):
        registry.prompt("a")
    with pytest.raises(UsageError, match="not a plain file"):
        registry.prompt("pipe")
    with pytest.raises(UsageError, match="not a plain file"):
        list(registry.cases(registry.suite("all")))


@pytest.mark.parametrize("path", ["promptreg.yaml", "prompts/dates.yaml", "prompts/_shared.jinja", "suites/all.yaml"])
def test_a_huge_file_is_refused(root: Path, path: str) -> None:
    with (root / path).open("a") as file:
        file.write("#" * (1 << 20))
    with pytest.raises(UsageError, match="larger than 1,048,576 bytes") as caught:
        read_everything(root)
    assert caught.value.where is not None
    assert caught.value.where.path == path


def test_a_sparse_terabyte_is_not_read(root: Path) -> None:
    with (root / "prompts/dates.yaml").open("ab") as file:
        file.truncate(1 << 40)
    with pytest.raises(UsageError, match="larger than"):
        opened(root).prompt("dates")


@pytest.mark.parametrize("path", ["/etc/passwd", "../registry/promptreg.yaml", "prompts/../../x", "a\0b"])
def test_a_snapshot_reads_below_its_root_only(root: Path, path: str) -> None:
    with pytest.raises(UsageError, match="leads out of the registry"):
        WorkingTree(root).read(path)


# Git -------------------------------------------------------------------------------------------------------------------------


def committed(root: Path) -> str:
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return git(root, "rev-parse", "HEAD")


def test_outside_of_git_there_is_no_commit(root: Path) -> None:
    assert opened(root).head() == (None, False)


def test_head_and_dirty_under_the_registrys_own_files(root: Path) -> None:
    commit = committed(root)
    assert opened(root).head() == (commit, False)
    write(root, {"notes.txt": "not the registry's"})
    assert opened(root).head() == (commit, False)
    os.utime(root / "prompts/dates.yaml", (1, 1))
    assert opened(root).head() == (commit, False)
    write(root, {"prompts/new.yaml": PROMPT})
    assert opened(root).head() == (commit, True)
    (root / "prompts/new.yaml").unlink()
    write(root, {"prompts/dates.yaml": PROMPT + "# changed\n"})
    assert opened(root).head() == (commit, True)
    git(root, "add", "-A")
    assert opened(root).head() == (commit, True)


def test_before_the_first_commit(root: Path) -> None:
    git(root, "init", "-q")
    assert opened(root).head() == (None, True)


def test_a_registry_in_a_folder_of_a_repository(root: Path) -> None:
    commit = committed(root.parent)
    write(root.parent, {"prompts/other.yaml": "not below the registry"})
    assert opened(root / "suites").head() == (commit, False)


def test_inside_a_hook_git_dir_does_not_count(root: Path, tmp_path: Path) -> None:
    commit = committed(root)
    other = write(tmp_path / "other", {"a": "b"})
    committed(other)
    env = {**os.environ, "GIT_DIR": str(other / ".git"), "GIT_WORK_TREE": str(other), "GIT_INDEX_FILE": "/nonexistent"}
    assert open_registry(root, read_cases=datasets.read, env=env).head() == (commit, False)


def test_a_planted_file_system_monitor_does_not_run(root: Path, tmp_path: Path) -> None:
    committed(root)
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(root, "config", "core.fsmonitor", str(trap))
    opened(root).head()
    assert not (tmp_path / "sprung").exists()


def test_without_git_reading_works(root: Path) -> None:
    committed(root)
    registry = open_registry(root, read_cases=datasets.read, env={"PATH": "/nonexistent"})
    assert registry.prompt("dates").name == "dates"
    assert registry.head() == (None, False)


def test_a_linked_worktree_has_its_own_head(root: Path, tmp_path: Path) -> None:
    committed(root)
    git(root, "worktree", "add", "-q", "-b", "side", str(tmp_path / "side"))
    write(tmp_path / "side", {"prompts/dates.yaml": PROMPT + "# side\n"})
    git(tmp_path / "side", "commit", "-qam", "second")
    assert opened(tmp_path / "side").head() == (git(tmp_path / "side", "rev-parse", "HEAD"), False)
