"""What an environment says of a job, and what a job of a stranger's change may not do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.ci import Surroundings, refuse_untrusted, surroundings
from promptreg.errors import UsageError

BASE, HEAD = "a" * 40, "b" * 40
GITHUB = {"GITHUB_ACTIONS": "true", "CI": "true", "GITHUB_REPOSITORY": "acme/prompts", "GITHUB_SHA": "c" * 40}
GITLAB = {"GITLAB_CI": "true", "CI": "true", "CI_PROJECT_PATH": "acme/prompts", "CI_DEFAULT_BRANCH": "trunk"}


def pull(source: str = "acme/prompts", **more: Any) -> dict[str, Any]:
    head = {"sha": HEAD, "ref": "better", "repo": {"full_name": source}}
    request = {"number": 12, "head": head, "base": {"sha": BASE, "ref": "main"}} | more
    return {"pull_request": request, "repository": {"default_branch": "trunk"}}


def test_at_home_everything_is_trusted() -> None:
    found = surroundings({"HOME": "/home/ada", "CI": "false"})
    assert (found.kind, found.trusted, found.in_ci, found.is_pull) == ("local", True, False, False)


def test_a_pull_request_on_github() -> None:
    env = GITHUB | {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_BASE_REF": "main", "GITHUB_REF": "refs/pull/12/merge"}
    assert surroundings(env, pull()) == Surroundings(
        kind="github",
        event="pull_request",
        target_branch="main",
        default_branch="trunk",
        base_sha=BASE,
        head_sha=HEAD,
        pull_number=12,
        repository="acme/prompts",
        head_repository="acme/prompts",
        head_branch="better",
    )
    assert not surroundings(env, pull()).trusted


@pytest.mark.parametrize(
    "payload", [pull("mallory/prompts"), pull(head={"sha": HEAD, "ref": "x", "repo": None}), {}, None, [1], "x"]
)
def test_who_cannot_be_told_to_be_ours_is_a_fork(payload: Any) -> None:
    found = surroundings(GITHUB | {"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge"}, payload)
    assert found.fork
    assert not found.trusted
    assert found.pull_number in (7, 12)


def test_a_run_that_follows_another_is_told_by_githubs_own_event() -> None:
    run = {"event": "pull_request", "head_sha": HEAD, "head_branch": "better", "head_repository": {"full_name": "mallory/prompts"}}
    found = surroundings(GITHUB | {"GITHUB_EVENT_NAME": "workflow_run"}, {"workflow_run": run})
    assert (found.run_event, found.head_sha, found.head_repository, found.head_branch) == (
        "pull_request",
        HEAD,
        "mallory/prompts",
        "better",
    )
    assert (found.fork, found.trusted, found.pull_number) == (True, False, None)


def test_a_merge_queue_names_the_branch_that_it_merges_into() -> None:
    queued = {"merge_group": {"base_ref": "refs/heads/release", "base_sha": BASE, "head_sha": HEAD}}
    found = surroundings(GITHUB | {"GITHUB_EVENT_NAME": "merge_group"}, queued)
    assert (found.target_branch, found.base_sha, found.trusted) == ("release", BASE, False)


@pytest.mark.parametrize(
    ("event", "trusted"),
    [("push", True), ("schedule", True), ("workflow_dispatch", True)]
    + [
        (event, False)
        for event in ("pull_request", "pull_request_target", "workflow_run", "issue_comment", "merge_group", "", "web")
    ],
)
def test_which_events_of_github_are_trusted(event: str, trusted: bool) -> None:
    assert surroundings(GITHUB | {"GITHUB_EVENT_NAME": event}).trusted is trusted


def test_a_merge_request_on_gitlab() -> None:
    env = GITLAB | {
        "CI_PIPELINE_SOURCE": "merge_request_event",
        "CI_MERGE_REQUEST_IID": "3",
        "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main",
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": BASE,
        "CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "mallory/prompts",
        "CI_COMMIT_SHA": HEAD,
    }
    found = surroundings(env)
    assert (found.kind, found.is_pull, found.trusted, found.fork) == ("gitlab", True, False, True)
    assert (found.target_branch, found.base_sha, found.head_sha, found.pull_number) == ("main", BASE, HEAD, 3)
    assert not surroundings(env | {"CI_PIPELINE_SOURCE": "web"}).trusted  # by hand, but a merge request's all the same
    assert not surroundings(env | {"CI_MERGE_REQUEST_SOURCE_PROJECT_PATH": "ACME/prompts"}).fork


@pytest.mark.parametrize(
    ("source", "trusted"), [("push", True), ("schedule", True), ("web", True), ("pipeline", False), ("trigger", False), ("", False)]
)
def test_which_pipelines_of_gitlab_are_trusted(source: str, trusted: bool) -> None:
    assert surroundings(GITLAB | {"CI_PIPELINE_SOURCE": source}).trusted is trusted


@pytest.mark.parametrize("sign", [{"CI": "true"}, {"CI": "1"}, {"JENKINS_URL": "https://ci.example/"}, {"TF_BUILD": "True"}])
def test_another_ci_is_trusted_only_when_it_says_what_started_it(sign: dict[str, str]) -> None:
    assert not surroundings(sign).trusted
    assert surroundings(sign | {"PROMPTREG_EVENT": "push"}).trusted
    asked = surroundings(sign | {"PROMPTREG_EVENT": "pull_request", "PROMPTREG_TARGET_BRANCH": "refs/heads/main"})
    assert (asked.kind, asked.is_pull, asked.trusted, asked.target_branch) == ("other CI", True, False, "main")


def test_a_variable_of_ours_lifts_nothing_where_the_ci_is_known() -> None:
    assert not surroundings(GITHUB | {"GITHUB_EVENT_NAME": "pull_request", "PROMPTREG_EVENT": "push"}, pull()).trusted


@pytest.mark.parametrize("branch", ["-f", "a b", "a..b", "x@{1}", "a\nb", "a:b", "/a", "a.lock", "*", "a//b"])
def test_what_git_would_not_take_for_a_branch_is_none(branch: str) -> None:
    assert surroundings({"CI": "1", "PROMPTREG_TARGET_BRANCH": branch}).target_branch == ""


@pytest.mark.parametrize(
    ("found", "said", "remedy"),
    [
        (Surroundings(kind="github", event="pull_request"), "a pull request", "workflow_dispatch"),
        (Surroundings(kind="github", event="workflow_run", run_event="pull_request"), "a pull request", "workflow_dispatch"),
        (Surroundings(kind="github", event="issue_comment"), "'issue_comment'", "workflow_dispatch"),
        (Surroundings(kind="gitlab", event="merge_request_event"), "a pull request", "pipeline by hand"),
        (Surroundings(kind="other CI"), "nobody says", "PROMPTREG_EVENT"),
    ],
)
def test_a_change_must_not_judge_itself(found: Surroundings, said: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        refuse_untrusted(found, "--accept")
    assert "--accept" in refused.value.message
    assert remedy in (refused.value.hint or "")


@pytest.mark.parametrize(
    "found", [Surroundings(), Surroundings(kind="github", event="push"), Surroundings(kind="gitlab", event="web")]
)
def test_whoever_may_push_may_ask(found: Surroundings) -> None:
    refuse_untrusted(found, "--trust-head")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["pull_request", "head", "base", "repo", "workflow_run", "number", "sha", "ref"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(JSON, st.sampled_from(["pull_request", "workflow_run", "push", "odd"]))
def test_no_event_file_makes_a_pull_request_trusted_or_raises(payload: Any, event: str) -> None:
    found = surroundings(GITHUB | {"GITHUB_EVENT_NAME": event}, payload)
    assert found.trusted is (event == "push")
    assert found.pull_number is None or found.pull_number > 0
    assert all(sha is None or len(sha) in (40, 64) for sha in (found.base_sha, found.head_sha))
