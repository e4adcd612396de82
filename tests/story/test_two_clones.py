"""Two people release and promote at the same time and push to one repository: no event is lost, and who loses can go on."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from conftest import User
from repositories import git
from test_releasing import SETTINGS, TRIAGE, commit, ok, refused, reword, standing, tags

from promptreg.registry.history import History
from promptreg.registry.plumbing import Git

UNGATED = ("--no-gate", "a test of tags")

ADA = {"GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org"}
BOB = {"GIT_COMMITTER_NAME": "Bob", "GIT_COMMITTER_EMAIL": "bob@example.org"}


@pytest.fixture
def hub(user: User, tmp_path: Path) -> Path:
    """A bare repository with two prompts, dates released as 1.0.0 to 1.0.3."""
    hub = tmp_path / "hub.git"
    git(tmp_path, "init", "-q", "--bare", str(hub))
    user.write("promptreg.yaml", SETTINGS)
    user.write("prompts/support/triage.yaml", TRIAGE)
    git(user.root, "init", "-q")
    commit(user)
    git(user.root, "remote", "add", "origin", str(hub))
    for word in ("Sort", "Day", "Month", "Year"):
        user.write("prompts/dates.yaml", TRIAGE.replace("Sort", word))
        commit(user)
        ok(user, "release", *UNGATED, "dates", "--push")
    git(user.root, "push", "-q", "origin", "main")
    return hub


def clone(hub: Path, name: str, like: User) -> User:
    git(hub.parent, "clone", "-q", str(hub), name)
    return User(hub.parent / name, like._capsys)


@pytest.fixture
def ada(hub: Path, user: User) -> User:
    return clone(hub, "ada", user)


@pytest.fixture
def bob(hub: Path, user: User) -> User:
    return clone(hub, "bob", user)


def at_hub(hub: Path) -> set[str]:
    return set(git(hub, "for-each-ref", "--format=%(refname:lstrip=2)", "refs/tags").splitlines())


def race(one: list[subprocess.Popen[str]], two: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    return [(said.code, said.err) for said in map(User.end, [*one, *two])]


def test_the_same_release_twice(hub: Path, ada: User, bob: User) -> None:
    for who, word in ((ada, "Please sort"), (bob, "Kindly sort")):
        reword(who, "Sort", word)
    won, lost = sorted(
        race(
            [ada.start("release", *UNGATED, "support/triage", "--push", env=ADA)],
            [bob.start("release", *UNGATED, "support/triage", "--push", env=BOB)],
        )
    )
    assert won[0] == 0, won
    if lost[0]:  # else the second one saw the first one's tag and released the next version
        assert lost[0] == 2
        assert "made it at 2024-05-17 12:00:00 UTC" in lost[1]
    loser = ada if "support/triage@v1.0.0" not in git(ada.root, "tag", "--points-at", "HEAD") else bob
    if lost[0]:
        assert "support/triage@v1.0.0" in git(loser.root, "tag"), "the winner's tag was fetched"
        ok(loser, "release", *UNGATED, "support/triage", "--push")
    assert {"support/triage@v1.0.0", "support/triage@v1.0.1"} <= at_hub(hub)


def test_who_is_late_is_told_who_was_faster_and_does_it_again(hub: Path, ada: User, bob: User) -> None:
    """The race, in slow motion: bob's tag was made before ada pushed hers, and he pushes it by hand."""
    reword(bob, "Sort", "Kindly sort")
    said = bob.process("release", *UNGATED, "support/triage", env=BOB)
    (line,) = [each for each in said.err.splitlines() if each.startswith("publish with: ")]
    assert ada.process("release", *UNGATED, "support/triage", "--push", env=ADA).code == 0
    by_hand = subprocess.run(
        shlex.split(line.removeprefix("publish with: ")), cwd=bob.root, capture_output=True, text=True, check=False
    )
    assert by_hand.returncode != 0
    told = refused(bob, "promote", "support/triage@1.0.0", "production", "--push")
    assert "origin has another tag 'support/triage@v1.0.0': Ada <ada@example.org> made it at 2024-05-17 12:00:00 UTC" in told
    remedy = told.partition("if theirs shall stand: ")[2].partition("\n")[0]
    subprocess.run(remedy, shell=True, cwd=bob.root, check=True, capture_output=True)
    ok(bob, "release", *UNGATED, "support/triage", "--push")
    assert {"support/triage@v1.0.0", "support/triage@v1.0.1"} <= at_hub(hub)


def test_a_label_moved_by_both(hub: Path, ada: User, bob: User) -> None:
    """Bob does not know of ada's move until he pushes; hers stays, his is not made, and again he comes after her."""
    assert ada.process("promote", "dates@1.0.1", "production", "--push", env=ADA).code == 0
    pushed = at_hub(hub)
    slow = bob.process("promote", "dates@1.0.2", "production", env=BOB)  # without --push: his clone knows no better
    assert slow.code == 0
    line = slow.err.partition("publish with: ")[2].strip()
    assert subprocess.run(shlex.split(line), cwd=bob.root, capture_output=True, check=False).returncode != 0
    assert at_hub(hub) == pushed
    git(bob.root, "tag", "-d", "dates#production#1")
    ok(bob, "promote", "dates@1.0.2", "production", "--push")
    assert at_hub(hub) == pushed | {"dates#production#2"}
    git(ada.root, "fetch", "-q", "--tags")
    assert standing(ada) == standing(bob) == {"production": "1.0.2"}


def test_many_moves_at_once_lose_no_event(hub: Path, ada: User, bob: User) -> None:
    """Whoever is refused says it again; in the end every move is at the hub, each under its own counter."""
    wanted = {id(ada): ["1.0.0", "1.0.1"], id(bob): ["1.0.2", "1.0.3"]}
    people, done = {id(ada): (ada, ADA), id(bob): (bob, BOB)}, 0
    for _ in range(12):
        running = {
            key: people[key][0].start("promote", f"dates@{left[0]}", "production", "--push", env=people[key][1])
            for key, left in wanted.items()
            if left
        }
        if not running:
            break
        for key, process in running.items():
            said = User.end(process)
            if said.code == 0:
                done += 1
                wanted[key].pop(0)
            else:
                assert said.code == 2
                assert "doing the same again now works" in said.err
                assert "has another tag 'dates#production#" in said.err
                assert "<bob@example.org> made it at" in said.err or "<ada@example.org> made it at" in said.err
    assert not any(wanted.values())
    events = sorted(tag for tag in at_hub(hub) if "#" in tag)
    assert events == [f"dates#production#{counter}" for counter in range(1, 5)]
    for who in (ada, bob):
        git(who.root, "fetch", "-q", "--tags")
    assert tags(ada) == tags(bob)
    assert standing(ada) == standing(bob)
    assert History(Git(hub, os.environ, bare=True)).state.warnings == ()


def test_two_processes_in_one_clone(ada: User) -> None:
    """Without a remote: all four want counter 1; each refused one made nothing, and says who was there."""
    processes = [ada.start("promote", f"dates@1.0.{place}", "staging") for place in range(4)]
    said = [User.end(process) for process in processes]
    made = [each for each in said if each.code == 0]
    refusals = [each for each in said if each.code]
    assert made
    assert all("doing the same again" in each.err for each in refusals)
    assert sorted(tag.split()[0] for tag in tags(ada) if "#" in tag) == [f"dates#staging#{place + 1}" for place in range(len(made))]
    ok(ada, "promote", "dates@greatest", "staging")


def test_only_these_tags_are_pushed_and_all_or_none(hub: Path, ada: User) -> None:
    git(ada.root, "tag", "-a", "-m", "mine", "private")
    for path in ("prompts/dates.yaml", "prompts/support/triage.yaml"):
        reword(ada, "{{ ticket }}", "{{ ticket }}!", path)
    before = at_hub(hub)
    git(hub, "tag", "-a", "-m", "taken", "support/triage@v1.0.0", "main")
    git(ada.root, "config", "remote.origin.tagOpt", "--no-tags")
    hook = hub / "hooks" / "update"
    hook.write_text('#!/bin/sh\ncase "$1" in *dates*) echo "dates are frozen"; exit 1;; esac\n')
    hook.chmod(0o755)
    told = ada("release", *UNGATED, "--affected", "--push")
    assert told.code == 2
    assert "origin did not take the tags" in told.err
    assert at_hub(hub) == before | {"support/triage@v1.0.0"}
    assert "dates@v1.0.4" not in git(ada.root, "tag")
    hook.unlink()
    ok(ada, "release", *UNGATED, "--affected", "--push")
    assert at_hub(hub) == before | {"support/triage@v1.0.0", "support/triage@v1.0.1", "dates@v1.0.4"}


def test_a_label_takes_its_release_along(hub: Path, ada: User) -> None:
    reword(ada)
    ok(ada, "release", *UNGATED, "support/triage")
    ok(ada, "promote", "support/triage@1.0.0", "staging", "--push", str(hub))
    assert {"support/triage@v1.0.0", "support/triage#staging#1"} <= at_hub(hub)


def test_no_hook_of_the_clone_runs(ada: User, tmp_path: Path) -> None:
    for name in ("pre-push", "reference-transaction", "post-index-change"):
        hook = ada.root / ".git" / "hooks" / name
        hook.write_text(f"#!/bin/sh\ntouch '{tmp_path}/ran'\n")
        hook.chmod(0o755)
    ok(ada, "promote", "dates@1.0.0", "staging", "--push")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("remote", ["nowhere", "/does/not/exist", "http://127.0.0.1:1/x.git"])
def test_a_remote_that_cannot_be_reached_makes_no_tag(ada: User, remote: str) -> None:
    assert f"the tags of {remote} cannot be fetched" in refused(ada, "promote", "dates@1.0.0", "staging", f"--push={remote}")
