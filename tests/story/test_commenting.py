"""`promptreg comment`: from a job of the repository, from a job that follows a fork's, and by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import User

from promptreg.core.comment import ISSUE_MARKER, LONGEST_FILE, MARKER
from promptreg.testing import LoopbackServer, Request

KEY = "ghs_not-a-real-token-0123456789"
HEAD = "b" * 40
REPORT = f"{MARKER}\n## ✅ PASS\n\n@octocat see `triage`\n"


class Forge:
    """A GitHub with one pull request, 12, from mallory's `better`; keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.asked: list[str] = []

    def __call__(self, request: Request) -> tuple[int, Mapping[str, str], Any]:
        query, values = request.body["query"], request.body["variables"]
        self.asked.append(query.split("(")[0])
        source = {"headRefOid": HEAD, "headRepository": {"nameWithOwner": "mallory/prompts"}}
        if "addComment" in query:
            self.written.append(values["body"])
            return 200, {}, {"data": {"addComment": {"commentEdge": {"node": {"url": "https://example.org/12#1"}}}}}
        if "pullRequests(" in query:
            found = [{"number": 12, **source}] if values["branch"] == "better" else []
            return 200, {}, {"data": {"repository": {"pullRequests": {"pageInfo": {}, "nodes": found}}}}
        pull = {"id": "PR", "number": 12, **source, "comments": {"pageInfo": {}, "nodes": []}}
        return 200, {}, {"data": {"repository": {"pullRequest": pull if values["number"] == 12 else None}}}


@pytest.fixture
def forge() -> Forge:
    return Forge()


@pytest.fixture
def job(user: User, forge: Forge, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Job]:
    """A job at GitHub that holds a report and a token."""
    user.write("comment.md", REPORT)
    with LoopbackServer(api=forge) as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url.removesuffix("/v1"))
        monkeypatch.setenv("GITHUB_TOKEN", KEY)
        monkeypatch.setenv("GITHUB_REPOSITORY", "acme/prompts")
        yield Job(monkeypatch, tmp_path / "event.json")


class Job:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, event: Path) -> None:
        self._monkeypatch, self._event = monkeypatch, event

    def started_by(self, name: str, payload: Any) -> None:
        self._event.write_text(json.dumps(payload))
        for key, value in (("ACTIONS", "true"), ("EVENT_NAME", name), ("EVENT_PATH", str(self._event))):
            self._monkeypatch.setenv(f"GITHUB_{key}", value)

    def pull(self, *, source: str = "acme/prompts", sha: str = HEAD, event: str = "pull_request") -> None:
        head = {"sha": sha, "ref": "better", "repo": {"full_name": source}}
        self.started_by(event, {"pull_request": {"number": 12, "head": head, "base": {"sha": "a" * 40, "ref": "main"}}})

    def follows(self, *, event: str = "pull_request", branch: str = "better", sha: str = HEAD) -> None:
        run = {"event": event, "head_sha": sha, "head_branch": branch, "head_repository": {"full_name": "mallory/prompts"}}
        self.started_by("workflow_run", {"workflow_run": run})


def test_a_job_of_a_pull_request_comments_on_it(user: User, job: Job, forge: Forge) -> None:
    job.pull()
    said = user("comment", "comment.md")
    assert (said.code, said.out) == (0, "posted https://example.org/12#1\n")
    assert forge.written == [f"{MARKER}\n## ✅ PASS\n\n<code>@</code>octocat see `triage`\n"]
    assert KEY not in said.out + said.err
    assert user("comment", "comment.md", "--json").json == {
        "schema": "promptreg/comment/1",
        "deed": "posted",
        "to": "github",
        "repository": "acme/prompts",
        "pull": 12,
        "url": "https://example.org/12#1",
    }


def test_a_forks_own_job_leaves_it_to_another(user: User, job: Job, forge: Forge) -> None:
    job.pull(source="mallory/prompts")
    said = user("comment", "comment.md")
    assert said.code == 0
    assert "second workflow" in said.out
    assert not forge.asked
    job.pull(source="mallory/prompts", event="pull_request_target")
    assert user("comment", "comment.md").code == 0
    assert len(forge.written) == 1


def test_a_job_that_follows_a_forks_finds_the_pull_request_itself_and_says_who_wrote(user: User, job: Job, forge: Forge) -> None:
    job.follows()
    assert user("comment", "comment.md").out == "posted https://example.org/12#1\n"
    (text,) = forge.written
    assert text.startswith(f"{MARKER}\n\n> This report was written by the pull request's own job")
    assert "<code>@</code>octocat" in text


def test_a_report_of_a_branch_that_moved_on_is_no_error(user: User, job: Job, forge: Forge) -> None:
    for moved in ({"sha": "c" * 40}, {"branch": "gone"}):
        job.follows(**moved)
        said = user("comment", "comment.md")
        assert said.code == 0
        assert "moved on" in said.out
    job.pull(sha="c" * 40)
    assert user("comment", "comment.md", "--json").json["deed"] == "outdated"
    assert not forge.written


def test_a_followed_run_must_be_of_a_pull_request(user: User, job: Job, forge: Forge) -> None:
    job.follows(event="push")
    said = user("comment", "comment.md", "--pull", "12")
    assert said.code == 2
    assert "of no pull request but of 'push'" in said.err
    job.started_by("workflow_run", {})
    assert user("comment", "comment.md", "--pull", "12").code == 2
    assert not forge.asked


def test_by_hand_everything_is_named(user: User, job: Job, forge: Forge) -> None:
    nowhere = user("comment", "comment.md")
    assert (nowhere.code, "--repository" in nowhere.err) == (2, True)
    where = ("comment", "comment.md", "--repository", "acme/prompts")
    assert "--pull N" in user(*where).err
    assert "--to github" in user(*where, "--pull", "12").err
    assert "unknown publisher 'githup'; did you mean" in user(*where, "--pull", "12", "--to", "githup").err.replace(
        "\n  hint: ", "; "
    )
    assert user(*where, "--pull", "12", "--to", "github").code == 0
    assert user(*where, "--pull", "12", "--to", "github", "--head", "c" * 40).out.startswith("not posted")
    assert len(forge.written) == 1


def test_a_dry_run_asks_nobody(user: User, job: Job, forge: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_TOKEN")
    job.pull()
    said = user("comment", "comment.md", "--dry-run")
    assert (said.code, said.out) == (0, f"{MARKER}\n## ✅ PASS\n\n<code>@</code>octocat see `triage`\n")
    assert user("comment", "comment.md", "--dry-run", "--json").json["text"] == said.out
    assert not forge.asked


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no marker\n", "no report for a comment"),
        (b"", "no report for a comment"),
        (MARKER.encode() + b"\n\xff\xfe", "not UTF-8"),
        (MARKER.encode() + b"\n" + b"x" * LONGEST_FILE, "larger than 1 MiB"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_is_no_report_is_refused(user: User, job: Job, forge: Forge, content: bytes | None, said: str) -> None:
    job.pull()
    (user.root / "comment.md").unlink()
    if content is not None:
        user.write("comment.md", content)
    told = user("comment", "comment.md")
    assert (told.code, said in told.err) == (2, True), told.err
    assert not forge.asked


@pytest.mark.skipif(os.name != "posix", reason="links and pipes as POSIX has them")
@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_no_link_leads_to_this_jobs_secrets(user: User, job: Job, forge: Forge, kind: str) -> None:
    """An artefact may hold a link to /proc/self/environ."""
    job.follows()
    report = user.root / "comment.md"
    report.rename(user.root / "secret.md")
    if kind == "link":
        report.symlink_to(user.root / "secret.md")
    elif kind == "pipe":
        os.mkfifo(report)
    else:
        report.mkdir()
    told = user("comment", "comment.md")
    assert (told.code, "not a plain file" in told.err) == (2, True)
    assert not forge.asked


def test_an_event_that_cannot_be_read_is_told(user: User, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    job.pull()
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(user.write("event.json", "{")))
    told = user("comment", "comment.md")
    assert (told.code, "event of this job cannot be read" in told.err) == (2, True)


# issues ----------------------------------------------------------------------------------------------------------------------

ROTTEN = f"{ISSUE_MARKER}\n## ❌ 1 needs work\n\n@octocat `triage`\n"


class Issues:
    """A GitHub without issues; keeps what is written to it."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def __call__(self, request: Request) -> tuple[int, Mapping[str, str], Any]:
        query, values = request.body["query"], request.body["variables"]
        if "createIssue" in query:
            self.written.append(values["body"])
            return 200, {}, {"data": {"createIssue": {"issue": {"number": 7, "url": "https://example.org/7"}}}}
        return 200, {}, {"data": {"repository": {"id": "R", "issues": {"pageInfo": {}, "nodes": []}}}}


@pytest.fixture
def issues(user: User, job: Job, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issues]:
    """A nightly job at GitHub, after `rot`."""
    found = Issues()
    user.write("rot.md", ROTTEN)
    job.started_by("schedule", {})
    with LoopbackServer(api=found) as server:
        monkeypatch.setenv("GITHUB_API_URL", server.url.removesuffix("/v1"))
        yield found


def test_a_nightly_job_opens_an_issue(user: User, issues: Issues) -> None:
    said = user("comment", "rot.md", "--issue")
    assert (said.code, said.out) == (0, "posted https://example.org/7\n"), said.err
    assert issues.written == [f"{ISSUE_MARKER}\n## ❌ 1 needs work\n\n<code>@</code>octocat `triage`\n"]
    told = user("comment", "rot.md", "--issue", "--json").json
    assert (told["deed"], told["issue"], told["to"]) == ("posted", 7, "github-issue")
    assert "pull" not in told


def test_nothing_rotten_opens_none(user: User, issues: Issues) -> None:
    said = user("comment", "rot.md", "--issue", "--resolved")
    assert (said.code, said.out) == (0, "nothing is rotten, and no issue is open\n")
    assert not issues.written


def test_an_issue_is_refused_where_a_change_could_write_it(user: User, issues: Issues, job: Job) -> None:
    for start in (job.pull, job.follows):
        start()
        said = user("comment", "rot.md", "--issue")
        assert (said.code, "opens no issue" in said.err) == (2, True)
    assert not issues.written


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("comment.md", "--issue"), "no report for an issue"),
        (("rot.md",), "no report for a comment"),
        (("rot.md", "--issue", "--pull", "3"), "of no pull request"),
        (("rot.md", "--issue", "--to", "gitlab"), "opens no issues at gitlab"),
        (("rot.md", "--resolved"), "--resolved is about an issue"),
    ],
)
def test_what_is_no_issue_is_told(user: User, issues: Issues, words: tuple[str, ...], told: str) -> None:
    said = user("comment", *words)
    assert (said.code, told in said.err) == (2, True), said.err
    assert not issues.written
