"""Releases and labels, from the command line, on real repositories."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import User
from repositories import git

from promptreg.core.releases import block
from promptreg.documents.evidence import evidence
from promptreg.registry.history import History
from promptreg.registry.plumbing import Git

UNGATED = ("--no-gate", "a test of tags")

SETTINGS = """\
registry: acme/prompts
models: {echo: {provider: echo, model: echo}}
defaults: {model: echo}
labels: [staging, production]
"""
TRIAGE = """\
description: About.
inputs:
  ticket: {type: string}
messages:
  - {role: user, content: "Sort {{ ticket }}."}
"""


@pytest.fixture
def registry(user: User) -> User:
    """Two prompts, committed; nothing is released."""
    user.write("promptreg.yaml", SETTINGS)
    user.write("prompts/support/triage.yaml", TRIAGE)
    user.write("prompts/dates.yaml", TRIAGE.replace("Sort", "Date"))
    git(user.root, "init", "-q")
    return commit(user)


def commit(user: User) -> User:
    git(user.root, "add", "-A")
    git(user.root, "commit", "-qm", "work")
    return user


def ok(user: User, *arguments: str) -> str:
    said = user(*arguments)
    assert said.code == 0, said.err
    return said.out


def refused(user: User, *arguments: str) -> str:
    """What is said of a refusal; not a tag more or less is there."""
    before = tags(user)
    said = user(*arguments)
    assert said.code == 2, said.out + said.err
    assert tags(user) == before
    return said.err


def tags(user: User) -> list[str]:
    return git(user.root, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/tags").splitlines()


def body(user: User, tag: str) -> str:
    return git(user.root, "for-each-ref", "--format=%(contents)", f"refs/tags/{tag}")


def reword(user: User, old: str = "Sort", new: str = "Please sort", path: str = "prompts/support/triage.yaml") -> User:
    user.edit(path, old, new)
    return commit(user)


# releases --------------------------------------------------------------------------------------------------------------------


def test_a_release_is_an_annotated_tag_with_its_evidence(registry: User) -> None:
    said = registry("release", "support/triage", "--no-gate", 'first: "one"', "-m", "Hello\n\n# world", "--json").json
    (released,) = said["releases"]
    assert (released["version"], released["change"], released["tag"]) == ("1.0.0", "first", "support/triage@v1.0.0")
    assert git(registry.root, "cat-file", "-t", released["object"]) == "tag"
    assert (
        git(registry.root, "rev-parse", "support/triage@v1.0.0^{}") == released["commit"] == git(registry.root, "rev-parse", "HEAD")
    )
    text = body(registry, "support/triage@v1.0.0")
    assert text.startswith("Hello\n\n# world\n\n---\n")
    read = evidence(block(text), "it")
    assert read is not None
    assert (read.name, str(read.version), read.verdict, read.measured) == ("support/triage", "1.0.0", "none", ())
    assert read.no_gate == 'first: "one"'
    assert (read.behaviour, read.source) == (released["behaviour"], released["source"])


def test_the_change_decides_the_version(registry: User) -> None:
    ok(registry, "release", *UNGATED, "support/triage")
    reword(registry)
    assert "message 1 (user) has another text" in ok(registry, "release", *UNGATED, "support/triage")
    reword(registry, "  ticket: {type: string}", '  ticket: {type: string}\n  tone: {default: "kind"}')
    reword(registry, "Please sort", "{{ tone }}: sort")
    assert registry("release", *UNGATED, "support/triage", "--json").json["releases"][0]["version"] == "1.1.0"
    reword(registry, "type: string", "type: integer")
    for options in (
        ["--bump", "minor"],
        ["--bump", "patch"],
        ["--version", "1.9.0"],
        ["--version", "v2.0.0-rc.1", "--bump", "major"],
    ):
        refused(registry, "release", *UNGATED, "support/triage", *options)
    said = refused(registry, "release", *UNGATED, "support/triage", "--bump", "minor")
    assert "support/triage needs a major step after 1.1.0: the input 'ticket' accepts other values" in said
    assert "2.0.0 is the lowest version" in said
    assert (
        registry("release", *UNGATED, "support/triage", "--version", "v2.0.0-rc.1", "--json").json["releases"][0]["version"]
        == "2.0.0-rc.1"
    )
    assert [tag.split()[0].rpartition("@")[2] for tag in tags(registry)] == ["v1.0.0", "v1.0.1", "v1.1.0", "v2.0.0-rc.1"]


def test_a_dry_run_makes_nothing(registry: User) -> None:
    said = registry("release", *UNGATED, "--affected", "--dry-run", "--json").json
    assert [(each["prompt"], each["version"], each["object"]) for each in said["releases"]] == [
        ("dates", "1.0.0", None),
        ("support/triage", "1.0.0", None),
    ]
    assert tags(registry) == []


def test_affected_releases_what_changed_and_nothing_else(registry: User) -> None:
    ok(registry, "release", *UNGATED, "--affected")
    assert len(tags(registry)) == 2
    assert "Every prompt behaves as its last release does" in ok(registry, "release", *UNGATED, "--affected")
    registry.edit("prompts/dates.yaml", "About.", "Another description.")
    reword(registry)
    said = registry("release", *UNGATED, "--affected", "--json").json
    assert [(each["prompt"], each["version"], each["change"]) for each in said["releases"]] == [
        ("support/triage", "1.0.1", "patch")
    ]
    registry.write("prompts/_tone.jinja", "Kindly.")
    for name in ("prompts/dates.yaml", "prompts/support/triage.yaml"):
        registry.edit(name, 'content: "', """content: "{% include '_tone.jinja' %}""")
    commit(registry)
    ok(registry, "release", *UNGATED, "--affected")
    reword(registry, "Kindly", "Curtly", "prompts/_tone.jinja")
    said = registry("release", *UNGATED, "--affected", "--json").json
    assert [(each["prompt"], each["version"]) for each in said["releases"]] == [("dates", "1.0.2"), ("support/triage", "1.0.3")]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda user: user.edit("prompts/dates.yaml", "Date", "dirty"), "uncommitted changes"),
        (lambda user: user.write("prompts/new.yaml", TRIAGE), "uncommitted changes"),
        (lambda user: reword(user, "{{ ticket }}", "{{ tickets }}"), "tickets"),
    ],
    ids=["changed", "untracked", "lint"],
)
def test_what_is_not_whole_is_not_released(registry: User, change: Callable[[User], object], complaint: str) -> None:
    change(registry)
    assert complaint in refused(registry, "release", *UNGATED, "support/triage")
    assert tags(registry) == []


def test_what_lies_elsewhere_may_be_dirty(registry: User) -> None:
    registry.write("notes.txt", "mine")
    ok(registry, "release", *UNGATED, "dates")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["release"], "name a prompt"),
        (["release", *UNGATED, "dates", "--affected"], "--affected chooses"),
        (["release", *UNGATED, "dates", "--bump", "major", "--version", "1.0.0"], "choose one"),
        (["release", *UNGATED, "dates", "--version", "1.0"], "did you mean '1.0.0'?"),
        (["release", *UNGATED, "dates", "--version", "1.0.0.lock"], "not a version"),
        (["release", *UNGATED, "dates", "--version", "1.0.0-x.lock"], "Git allows no tag that ends in .lock"),
        (["release", *UNGATED, "date"], "did you mean 'dates'?"),
        (["release", *UNGATED, "dates@1.0.0"], "cannot be a name"),
        (["release", *UNGATED, "--", "--upload-pack=x"], "cannot be a name"),
        (["release", *UNGATED, "dates", "-m", ""], "--message is empty"),
        (["release", *UNGATED, "dates", "-m", "a\x1bb"], "holds the character"),
        (["release", *UNGATED, "dates", "-m", "a\n---\nversion: 2.0.0"], "reads like the end"),
        (["release", *UNGATED, "dates", "-m", "-----BEGIN SSH SIGNATURE-----"], "reads like the end"),
        (["release", *UNGATED, "dates", "--no-gate", "a\nb"], "several lines"),
        (["release", *UNGATED, "dates", "--no-gate", ""], "--no-gate is empty"),
        (["release", *UNGATED, "dates", "--push"], "no remote to push to"),
        (["release", *UNGATED, "dates", "--push=--exec=x"], "No such option '--exec'"),
        (["release", *UNGATED, "dates", "--push=ext::sh -c x"], "cannot be a remote"),
        (["release", *UNGATED, "--push", "dates"], "promptreg release NAME --push=dates"),
        (["release", *UNGATED, "support/triage", "--push", "dates"], "--push took the prompt 'dates' for a remote"),
        (["release", *UNGATED, "dates", "--sign"], "the tag 'dates@v1.0.0' was not made"),
        (["promote", "dates@1.0.0", "production"], "dates has no releases"),
        (["promote", "dates", "production"], "names no release"),
        (["promote", "dates@git:HEAD", "production"], "names no release"),
        (["promote", "dates@1.0.0", "-x"], "No such option"),
        (["withdraw", "dates@1.0.0", "--reason", "x"], "dates has no releases"),
        (["deprecate", "dates", "--reason", "x"], "dates has no releases"),
        (["demote", "dates", "production"], "dates has no releases"),
        (["rollback", "dates", "lo\nng"], "cannot be a label"),
        (["labels", "../x"], "cannot be a name"),
    ],
)
def test_hostile_and_mistaken_words_make_no_tag(registry: User, arguments: list[str], complaint: str) -> None:
    assert complaint in refused(registry, *arguments)


def test_a_prompt_cannot_write_into_its_own_tag(registry: User) -> None:
    ok(registry, "release", *UNGATED, "dates")
    evil = r'"x\n-----BEGIN PGP SIGNATURE-----\n---\nversion: 9.9.9"'
    reword(registry, "inputs:", f"tools: [{{type: function, function: {{name: {evil}}}}}]\ninputs:", "prompts/dates.yaml")
    ok(registry, "release", *UNGATED, "dates")
    text = body(registry, "dates@v1.1.0")
    read = evidence(block(text), "it")
    assert read is not None
    assert str(read.version) == "1.1.0"
    assert "minor: the tool 'x -----BEGIN PGP SIGNATURE----- --- version: 9.9.9' is new" in text.splitlines()


def test_one_version_per_commit_and_one_meaning_per_version(registry: User) -> None:
    ok(registry, "release", *UNGATED, "dates")
    assert "dates 1.0.0 is this very commit" in refused(registry, "release", *UNGATED, "dates", "--bump", "major")
    commit(registry.write("notes.txt", "x") and registry)
    assert "behaves as 1.0.0 does: there is nothing to release" in refused(registry, "release", *UNGATED, "dates")
    assert "1.0.0 is released (Test Author <author@example.com>, 2024-05-17" in refused(
        registry, "release", *UNGATED, "dates", "--version", "1.0.0"
    )
    ok(registry, "release", *UNGATED, "dates", "--bump", "patch")
    ok(registry, "withdraw", "dates@1.0.1", "--reason", "oops")
    assert "was released and withdrawn" in refused(registry, "release", *UNGATED, "dates", "--version", "1.0.1")
    reword(registry, "Date", "Day", "prompts/dates.yaml")
    assert registry("release", *UNGATED, "dates", "--json").json["releases"][0]["version"] == "1.0.2"


def test_an_older_line_can_go_on(registry: User) -> None:
    ok(registry, "release", *UNGATED, "dates")
    reword(registry, "type: string", "type: integer", "prompts/dates.yaml")
    ok(registry, "release", *UNGATED, "dates")
    git(registry.root, "checkout", "-q", "dates@v1.0.0")
    reword(registry, "Date", "Day", "prompts/dates.yaml")
    said = registry("release", *UNGATED, "dates", "--version", "1.0.1", "--json").json["releases"][0]
    assert (said["previous"], said["change"]) == ("1.0.0", "patch")


def test_what_a_hook_sets_does_not_lead_astray(registry: User, tmp_path: Path) -> None:
    other = tmp_path / "other"
    git(tmp_path, "init", "-q", str(other))
    said = registry.process(
        "release", *UNGATED, "dates", env={"GIT_DIR": str(other / ".git"), "GIT_OBJECT_DIRECTORY": str(other / "x")}
    )
    assert said.code == 0, said.err
    assert [tag.split()[0] for tag in tags(registry)] == ["dates@v1.0.0"]
    assert git(other, "tag") == ""


def test_nobody_who_says_who_they_are_makes_no_tag(registry: User, tmp_path: Path) -> None:
    config = tmp_path / "empty"
    config.write_text("[user]\n\tuseConfigOnly = true\n")
    nameless = {"GIT_CONFIG_GLOBAL": str(config), "GIT_COMMITTER_NAME": "", "GIT_COMMITTER_EMAIL": ""}
    said = registry.process("release", *UNGATED, "dates", env=nameless)
    assert (said.code, tags(registry)) == (2, [])
    assert "say who you are" in said.err


def test_a_linked_worktree_and_sha256_release_too(user: User, tmp_path: Path) -> None:
    user.write("promptreg.yaml", SETTINGS)
    user.write("prompts/dates.yaml", TRIAGE)
    git(user.root, "init", "-q", "--object-format=sha256")
    commit(user)
    git(user.root, "worktree", "add", "-q", str(tmp_path / "linked"))
    linked = User(tmp_path / "linked", user._capsys)
    ok(linked, "release", *UNGATED, "dates", "--bump", "minor")
    ok(user, "promote", "dates@1.0.0", "production")
    assert len(tags(user)[0].split()[1]) == 64
    assert "same" in ok(user, "list")


def test_a_shallow_clone_decides_nothing(registry: User, tmp_path: Path) -> None:
    ok(registry, "release", *UNGATED, "dates")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{registry.root}", "shallow")
    shallow = User(tmp_path / "shallow", registry._capsys)
    assert "fetch-depth: 0" in refused(shallow, "release", *UNGATED, "support/triage")
    assert "fetch-depth: 0" in refused(shallow, "promote", "dates@1.0.0", "production")
    assert "fetch-depth: 0" in refused(shallow, "labels")


# labels ----------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def released(registry: User) -> User:
    """dates at 1.0.0, 1.0.1 and 1.0.2."""
    ok(registry, "release", *UNGATED, "dates")
    for old, new in (("Date", "Day"), ("Day", "Time")):
        reword(registry, old, new, "prompts/dates.yaml")
        ok(registry, "release", *UNGATED, "dates")
    return registry


def standing(user: User) -> dict[str, str]:
    return {each["label"]: each["version"] for each in user("labels", "dates", "--json").json["labels"]}


def test_labels_move_forth_and_back(released: User) -> None:
    for version in ("1.0.0", "1.0.1", "greatest"):
        assert "→" in ok(released, "promote", f"dates@{version}", "production")
    assert "is 1.0.2 already" in ok(released, "promote", "dates@1.0.2", "production")
    ok(released, "promote", "dates@production", "staging")
    assert standing(released) == {"production": "1.0.2", "staging": "1.0.2"}
    ok(released, "rollback", "dates", "production")
    assert standing(released) == {"production": "1.0.1", "staging": "1.0.2"}
    ok(released, "rollback", "dates", "production")
    assert standing(released)["production"] == "1.0.0"
    assert "stood at no other version" in refused(released, "rollback", "dates", "production")
    ok(released, "demote", "dates", "production")
    assert standing(released) == {"staging": "1.0.2"}
    assert "has no label 'production' any more" in refused(released, "demote", "dates", "production")
    assert "promptreg demote" not in refused(released, "rollback", "dates", "production")
    ok(released, "promote", "dates@1.0.0", "production")
    names = [tag.split()[0] for tag in tags(released)]
    counters = sorted(int(name.rpartition("#")[2]) for name in names if "#" in name)
    assert counters == list(range(1, len(counters) + 1))
    assert History(Git(released.root, os.environ)).state.warnings == ()


def test_labels_say_who_moved_them_and_when(released: User) -> None:
    ok(released, "promote", "dates@1.0.1", "production")
    (row,) = [line.split() for line in ok(released, "labels").splitlines() if "production" in line]
    assert row == ["dates", "production", "1.0.1", "Test", "Author", "2024-05-17", "12:00:00", "UTC", "–"]
    (found,) = released("labels", "--json").json["labels"]
    assert (found["email"], found["signed"], found["tag"]) == ("author@example.com", False, "dates#production#1")


def test_only_listed_labels_are_given_and_any_may_be_taken_away(released: User) -> None:
    assert "the label 'prodution' is not allowed; did you mean 'production'?" in refused(
        released, "promote", "dates@1.0.0", "prodution"
    )
    ok(released, "promote", "dates@1.0.0", "production")
    released.edit("promptreg.yaml", "labels: [staging, production]\n", "")
    assert "add 'labels: [staging]' to promptreg.yaml" in refused(released, "promote", "dates@1.0.0", "staging")
    ok(released, "demote", "dates", "production")


def test_a_release_under_a_label_is_not_withdrawn(released: User) -> None:
    ok(released, "promote", "dates@1.0.1", "production")
    ok(released, "promote", "dates@1.0.2", "production")
    assert "dates 1.0.2 is production" in refused(released, "withdraw", "dates@1.0.2", "--reason", "bad")
    ok(released, "withdraw", "dates@1.0.1", "--reason", "worse")
    assert "1.0.1, which Test Author withdrew: worse" in refused(released, "withdraw", "dates@1.0.1", "--reason", "again")
    assert "stood at no other version" in refused(released, "rollback", "dates", "production")
    ok(released, "promote", "dates@1.0.0", "production")
    ok(released, "withdraw", "dates@1.0.2", "--reason", "bad")
    assert "which Test Author withdrew: bad" in refused(released, "promote", "dates@1.0.2", "staging")


def test_a_name_is_deprecated_once(released: User) -> None:
    assert "did you mean" in refused(released, "deprecate", "dates", "--replacement", "support/triag", "--reason", "old")
    assert "its own replacement" in refused(released, "deprecate", "dates", "--replacement", "dates", "--reason", "old")
    assert "support/triage has no releases" in refused(
        released, "deprecate", "dates", "--replacement", "support/triage@^1", "--reason", "old"
    )
    ok(released, "deprecate", "dates", "--replacement", "support/triage", "--reason", "Nobody asks: any more")
    going = History(Git(released.root, os.environ)).state.artefact("dates").deprecation
    assert going is not None
    assert (going.reason, going.replacement) == ("Nobody asks: any more", "support/triage")
    assert "deprecated already (Test Author" in refused(released, "deprecate", "dates", "--reason", "old")
    assert "is deprecated; use support/triage" in released("promote", "dates@1.0.0", "production").err
    reword(released, "Time", "Hour", "prompts/dates.yaml")
    assert [each["prompt"] for each in released("release", *UNGATED, "--affected", "--json").json["releases"]] == ["support/triage"]


def test_a_partial_that_is_gone_counts_as_a_change(registry: User) -> None:
    registry.write("prompts/_tone.jinja", "Kindly.")
    registry.write("prompts/_other.jinja", "Unused.")
    reword(registry, 'content: "', """content: "{% include '_tone.jinja' %}""", "prompts/dates.yaml")
    ok(registry, "release", *UNGATED, "--affected")
    states = {"dates": "same", "support/triage": "same"}
    registry.write("prompts/_other.jinja", "Changed.")
    assert {each["prompt"]: each["state"] for each in registry("list", "--json").json["prompts"]} == states
    (registry.root / "prompts" / "_tone.jinja").unlink()
    assert {each["prompt"]: each["state"] for each in registry("list", "--json").json["prompts"]} == states | {"dates": "changed"}


def test_a_registry_in_a_folder_releases_what_lies_there(user: User) -> None:
    inner = User(user.root / "team" / "prompts", user._capsys)
    inner.write("promptreg.yaml", SETTINGS)
    inner.write("prompts/dates.yaml", TRIAGE)
    user.write("elsewhere.txt", "x")
    git(user.root, "init", "-q")
    commit(user)
    user.write("elsewhere.txt", "dirty, and none of our business")
    ok(inner, "release", *UNGATED, "dates")
    assert inner("list", "--json").json["prompts"][0]["state"] == "same"
    reword(inner, "Sort", "Day", "prompts/dates.yaml")
    assert inner("release", *UNGATED, "--affected", "--json").json["releases"][0]["version"] == "1.0.1"


def test_list_shows_versions_labels_and_what_changed(released: User) -> None:
    ok(released, "promote", "dates@1.0.1", "production")
    rows = {each["prompt"]: each for each in released("list", "--json").json["prompts"]}
    assert (rows["dates"]["version"], rows["dates"]["labels"], rows["dates"]["state"]) == ("1.0.2", {"production": "1.0.1"}, "same")
    assert (rows["support/triage"]["version"], rows["support/triage"]["state"]) == (None, "unreleased")
    released.edit("prompts/dates.yaml", "About.", "Only about.")
    assert "same" in ok(released, "list", "dates")
    released.edit("prompts/dates.yaml", "Time", "Second")
    assert "dates 1.0.2 production 1.0.1 changed ticket untested" in " ".join(ok(released, "list", "dates").split())
