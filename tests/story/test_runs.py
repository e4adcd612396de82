"""The runs branch as a team meets it: what one records, another need not pay for; nothing is lost; what a release cites stays."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import User
from repositories import git
from test_two_clones import clone

from promptreg.core.evidence import Evidence, Measurement, message
from promptreg.core.records import Record, decode, encode
from promptreg.core.semver import parse_version
from promptreg.documents.evidence import evidence_block
from promptreg.registry.branch import Branch
from promptreg.registry.plumbing import Git
from promptreg.testing import LoopbackServer

NAME = "promptreg/runs"


@pytest.fixture
def ada(user: User, server: LoopbackServer, tmp_path: Path) -> User:
    """A registry with a remote: a served model, three cases, all of it pushed."""
    git(tmp_path, "init", "-q", "--bare", "--initial-branch=main", "hub.git")
    user.triage(server.url)
    git(user.root, "init", "-q", "--initial-branch=main")
    git(user.root, "add", "-A")
    git(user.root, "commit", "-qm", "start")
    git(user.root, "remote", "add", "origin", str(tmp_path / "hub.git"))
    git(user.root, "push", "-q", "origin", "main")
    return user


@pytest.fixture
def hub(ada: User) -> Path:
    return ada.root.parent / "hub.git"


def branch(root: Path) -> Branch:
    return Branch(Git(root, {}, bare=not (root / ".git").exists()), NAME)


def runs(who: User) -> list[dict[str, object]]:
    said = who("runs", "list", "--json", "-n", "0")
    assert said.code == 0, said.err
    found: list[dict[str, object]] = said.json["runs"]
    return found


def test_what_one_records_another_need_not_ask_for(ada: User, hub: Path, server: LoopbackServer) -> None:
    assert ada("run", "--runs", "push").code == 0
    assert server.requests == 3
    bob = clone(hub, "bob", ada)
    planned = bob("run", "--dry-run", "--json").json
    said = bob("run", "--json")
    assert (said.code, said.json["suites"][0]["pass_rate"]) == (0, 1.0)
    assert server.requests == 3, "nobody was asked"
    assert json.dumps(planned).count('"missing": 0') >= 1
    fresh = clone(hub, "carol", ada)
    assert fresh("run", "--runs", "off").code == 0
    assert server.requests == 6


def test_a_run_that_learnt_nothing_new_leaves_no_record(ada: User, hub: Path) -> None:
    for _ in range(2):
        assert ada("run", "--runs", "write").code == 0
    (only,) = runs(ada)
    assert (only["n"], only["pass_rate"], only["purpose"], only["prompt"]) == (3, 1.0, "run", "triage")
    ada.edit("suites/triage.yaml", "contains:", "exact:")
    assert ada("run", "--runs", "write").code == 1
    assert [each["pass_rate"] for each in runs(ada)].count(0.0) == 1, "the same answers, judged by another check"


def test_a_plain_run_writes_nothing_to_git(ada: User) -> None:
    before = git(ada.root, "for-each-ref")
    assert ada("run").code == 0
    assert git(ada.root, "for-each-ref") == before
    assert git(ada.root, "status", "--porcelain", "--untracked-files=no") == ""


def test_list_and_show(ada: User) -> None:
    ada("run", "--runs", "write")
    listed = ada("runs", "list")
    head, row = listed.out.splitlines()
    assert head.split() == ["id", "suite", "prompt", "model", "purpose", "n", "passed", "when", "by"]
    assert "100.0%" in row
    assert "Test Author <author@example.com>" in row
    shown = ada("runs", "show", row.split()[0])
    assert shown.code == 0
    assert "ticket 0 for billing" in shown.out
    as_json = ada("runs", "show", str(runs(ada)[0]["id"]), "--json").json
    assert as_json["schema"] == "promptreg/record/1"
    assert [answer["case"] for answer in as_json["answers"]] == ["c0", "c1", "c2"]
    assert as_json["answers"][0]["completion"]["text"]
    by_path = ada("runs", "show", as_json["path"], "--json")
    assert by_path.json == as_json
    for wrong in ("0123456789abcdef", "zz", ""):
        said = ada("runs", "show", wrong)
        assert said.code == 2
        assert "hint:" in said.err
    assert ada("runs", "list", "other").out == ""
    assert len(ada("runs", "list", "triage", "--suite", "triage", "-m", "big").out.splitlines()) == 2


def test_two_clones_record_and_push_at_the_same_time(ada: User, hub: Path) -> None:
    bob = clone(hub, "bob", ada)
    started = [who.start("run", "--runs", "push", "--quiet") for who in (ada, bob, ada, bob)]
    ended = [User.end(each) for each in started]
    assert [each.code for each in ended] == [0] * 4, [each.err for each in ended]
    for who in (ada, bob):
        assert who("runs", "push").code == 0
        assert who("runs", "fetch").code == 0
    assert runs(ada) == runs(bob)
    paths = branch(hub).paths("runs")
    assert {each["path"] for each in runs(ada)} == set(paths)
    assert len(paths) >= 2
    assert all(decode(path, content) for path, content in branch(hub).read(paths))
    git(hub, "fsck", "--strict")


@pytest.mark.parametrize("retention", ["digest", "redacted"])
def test_less_retention_gives_up_the_cache_and_says_so(ada: User, hub: Path, server: LoopbackServer, retention: str) -> None:
    ada.write("promptreg.yaml", ada.read("promptreg.yaml") + f"runs: {{retention: {retention}}}\n")
    git(ada.root, "commit", "-qam", "keep less")
    git(ada.root, "push", "-q", "origin", "main")
    ada("run", "--runs", "push")
    content = b"".join(data for _, data in branch(hub).read(branch(hub).paths()))
    assert (b"ticket 0" in content) is (retention == "redacted")
    bob = clone(hub, "bob", ada)
    said = bob("run")
    assert "some records keep no whole answers" in said.out + said.err
    assert server.requests == 6


def test_damaged_and_forged_records_are_told_of_and_not_believed(ada: User, server: LoopbackServer) -> None:
    ada("run", "--runs", "write")
    one = branch(ada.root)
    (path,) = one.paths("runs")
    ((_, content),) = one.read([path])
    record = decode(path, content)
    assert isinstance(record, Record)
    forged = content.replace(b"ticket 0", b"sabotage")
    folder = path.rpartition("/")[0]
    late = [
        replace(answer, completion=replace(answer.completion, observed_at=4e9)) for answer in record.answers if answer.completion
    ]
    other = encode(replace(record, answers=tuple(late)))
    one.append(
        {f"{folder}/20990101T000000Z-0123456789abcdef.jsonl": forged, f"{folder}/junk": b"\xff", other[0]: other[1]}, "forged"
    )
    (ada.root / ".promptreg/store.sqlite3").unlink()
    said = ada("run", "--json")
    assert (said.code, said.json["suites"][0]["pass_rate"]) == (0, 1.0)
    notes = " ".join(said.json.get("notes", []))
    assert "does not fit its path" in notes
    assert "seen after it was recorded" in notes
    assert server.requests == 3
    listed = ada("runs", "list")
    assert "warning:" in listed.err
    assert len(listed.out.splitlines()) == 3


def test_records_of_another_prompt_with_a_colliding_digest_are_not_believed(ada: User) -> None:
    ada("run", "--runs", "write")
    one = branch(ada.root)
    ((path, content),) = one.read(one.paths("runs"))
    record = decode(path, content)
    assert isinstance(record, Record)
    cell = record.header.cell
    twin = replace(cell, behaviour=cell.behaviour[:-1] + ("0" if cell.behaviour[-1] != "0" else "1"))
    answers = tuple(replace(each, completion=replace(each.completion, text="no")) for each in record.answers if each.completion)
    forged = encode(Record(header=replace(record.header, cell=twin), answers=answers))
    assert forged[0].rpartition("/")[0] == path.rpartition("/")[0], "they share a folder"
    one.append(dict([forged]), "twin")
    (ada.root / ".promptreg/store.sqlite3").unlink()
    said = ada("run", "--json").json
    assert said["suites"][0]["pass_rate"] == 1.0
    assert "another cell" in " ".join(said["notes"])


# pruning ---------------------------------------------------------------------------------------------------------------------


def release(who: User, behaviour: str, version: str = "1.0.0") -> None:
    measured = Measurement(
        suite="triage",
        model="big",
        suite_digest=behaviour,
        dataset_digest=None,
        n=3,
        score=1,
        lower=0.4,
        upper=1,  # type: ignore[arg-type]
    )
    held = Evidence(
        name="triage",
        version=parse_version(version),
        previous=None,
        change="first",
        behaviour=behaviour,  # type: ignore[arg-type]
        source=behaviour,  # type: ignore[arg-type]
        promptreg="0",
        measured=(measured,),
    )
    git(who.root, "tag", "-a", "--cleanup=verbatim", "-m", message("Release", evidence_block(held)), f"triage@v{version}")


def test_prune_keeps_what_a_release_cites_and_all_verdicts(ada: User, hub: Path) -> None:
    ada("run", "--runs", "push")
    release(ada, str(runs(ada)[0]["behaviour"]))
    git(ada.root, "push", "-q", "origin", "triage@v1.0.0")
    git(ada.root, "tag", "-d", "triage@v1.0.0")
    ada.edit("prompts/triage.yaml", "Name the queue.", "Say the queue.")
    ada("run", "--runs", "push")
    cited, other = (str(each["path"]) for each in sorted(runs(ada), key=lambda each: str(each["created"])))
    if str(runs(ada)[0]["behaviour"])[7:19] in cited:
        cited, other = other, cited
    dry = ada("runs", "prune", "--keep-per-cell", "0", "--dry-run", "--json").json
    assert (dry["kept"], dry["cited"], len(dry["dropped"])) == (1, 1, 1), "the release's tag was fetched first"
    assert len(runs(ada)) == 2
    done = ada("runs", "prune", "--keep-days", "0", "--push", "--json").json
    assert done["dropped"] == dry["dropped"]
    assert branch(hub).paths("runs") == [str(each["path"]) for each in runs(ada)]
    assert len(branch(hub).paths("pruned")) == 1
    assert git(hub, "rev-list", "--count", NAME) == "1"
    bob = clone(hub, "bob", ada)
    assert len(runs(bob)) == 1
    again = ada("runs", "prune", "--keep-days", "0")
    assert again.out.strip() == "dropped 0 records, kept 1 (1 because a release cites it)"


def test_prune_by_age_and_by_number(ada: User) -> None:
    ada("run", "--runs", "write")
    one = branch(ada.root)
    ((path, content),) = one.read(one.paths("runs"))
    record = decode(path, content)
    assert isinstance(record, Record)
    for day in ("2001-01-01", "2002-01-01", "2003-02-30"):
        one.append(dict([encode(replace(record, header=replace(record.header, created=f"{day}T00:00:00Z")))]), "old")
    kept = {2: ["2001"], 3: ["2001"]}
    for number in kept:
        dry = ada("runs", "prune", "--keep-per-cell", str(number), "--dry-run", "--json").json
        assert dry["kept"] == number
        assert any("/2001" in each for each in dry["dropped"])
    both = ada("runs", "prune", "--keep-days", "30", "--keep-per-cell", "2", "--json").json
    assert (both["kept"], len(both["dropped"])) == (2, 2)
    assert [str(each["created"])[:4] for each in runs(ada)][1:] == ["2003"]
    said = ada("runs", "prune")
    assert said.code == 2
    assert "--keep-days" in said.err


def test_prune_of_a_release_whose_evidence_cannot_be_read_keeps_all_of_its_prompt(ada: User) -> None:
    ada("run", "--runs", "write")
    git(ada.root, "tag", "-a", "--cleanup=verbatim", "-m", "x\n\n---\nschema: promptreg/evidence/1\nname: [\n", "triage@v1.0.0")
    done = ada("runs", "prune", "--keep-days", "0", "--json").json
    assert (done["dropped"], done["cited"]) == ([], 1)


def test_a_shallow_clone_prunes_nothing(ada: User, hub: Path) -> None:
    ada("run", "--runs", "push")
    git(ada.root, "commit", "-qm", "more", "--allow-empty")
    git(ada.root, "push", "-q", "origin", "main")
    git(hub.parent, "clone", "-q", "--depth=1", f"file://{hub}", "shallow")
    shallow = User(hub.parent / "shallow", ada._capsys)
    assert shallow("runs", "fetch").code == 0
    assert len(runs(shallow)) == 1
    said = shallow("runs", "prune", "--keep-days", "0")
    assert said.code == 2
    assert "shallow" in said.err


# where there is nothing to record on -----------------------------------------------------------------------------------------


def test_outside_of_git_a_run_works_and_recording_is_refused(user: User, server: LoopbackServer) -> None:
    user.triage(server.url)
    assert user("run").code == 0
    for line in ("run --runs write", "runs list", "runs push"):
        said = user(*line.split())
        assert said.code == 2
        assert "git init" in said.err


def test_a_branch_of_work_named_by_mistake_is_left_alone(ada: User) -> None:
    git(ada.root, "branch", "work")
    before = git(ada.root, "rev-parse", "work")
    ada.write("promptreg.yaml", ada.read("promptreg.yaml") + "runs: {branch: work}\n")
    said = ada("run", "--runs", "write")
    assert said.code == 2
    assert "other things than records" in said.err
    assert git(ada.root, "rev-parse", "work") == before


def test_fetch_and_push_say_what_they_did(ada: User, hub: Path) -> None:
    ada("run", "--runs", "write")
    assert ada("runs", "push").out == "1 new record to origin\n"
    assert ada("runs", "push", "--json").json["new"] == 0
    bob = clone(hub, "bob", ada)
    git(bob.root, "update-ref", "-d", f"refs/remotes/origin/{NAME}")
    assert bob("runs", "fetch").out == "1 new record from origin\n"
    said = bob("runs", "fetch", "nowhere")
    assert said.code == 2
    assert "cannot be fetched from nowhere" in said.err


def test_a_bare_repository_can_be_looked_at(ada: User, hub: Path) -> None:
    ada("run", "--runs", "push")
    inside = User(hub, ada._capsys)
    assert len(runs(inside)) == 1


def test_a_worktree_reads_what_the_main_one_recorded(ada: User, server: LoopbackServer) -> None:
    ada("run", "--runs", "write")
    subprocess.run(["git", "worktree", "add", "-q", "-b", "side", "../side"], cwd=ada.root, check=True)
    side = User(ada.root.parent / "side", ada._capsys)
    assert side("run").code == 0
    assert server.requests == 3
