"""Comments at GitHub and notes at GitLab, over the wire: one, kept up to date, nobody else's, patient, and silent of keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from promptreg import plugins
from promptreg.core.comment import MARKER, Published, Target
from promptreg.core.protocols import PublisherContext
from promptreg.errors import UsageError
from promptreg.publishers.github import LIMIT, Github
from promptreg.publishers.gitlab import Gitlab
from promptreg.testing import Fault, LoopbackServer, Request

KEY = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"  # the form of one, not one
HEAD = "b" * 40
TEXT = f"{MARKER}\n## ✅ PASS\n"
TARGET = Target(repository="acme/prompts", number=12)


class Waiting:
    """Waits no time, and remembers how long it would have."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


class GithubApi:
    """GitHub's GraphQL as far as comments go. Comments are (author, body); the token is the bot's."""

    def __init__(self, *comments: tuple[str, str], page: int = 100, head: str = HEAD, source: str = "acme/prompts") -> None:
        self.comments = [{"id": f"IC_{number}", "author": who, "body": body} for number, (who, body) in enumerate(comments)]
        self.page, self.head, self.source = page, head, source
        self.pulls = [(12, head, source)]

    def __call__(self, request: Request) -> tuple[int, Mapping[str, str], Any]:
        assert (request.method, request.path) == ("POST", "/api/graphql")
        assert request.headers["authorization"] == f"Bearer {KEY}"
        query, values = request.body["query"], request.body["variables"]
        answer: Callable[[Any], Any] = next(
            action
            for word, action in (
                ("addComment", self.add),
                ("updateIssueComment", self.update),
                ("pullRequests(", self.list_pulls),
                ("comments(", self.list_comments),
            )
            if word in query
        )
        return 200, {}, answer(values)

    def add(self, values: Any) -> Any:
        assert values["subject"] == "PR_12"
        self.comments.append({"id": f"IC_{len(self.comments)}", "author": "bot", "body": values["body"]})
        return {"data": {"addComment": {"commentEdge": {"node": {"url": self.url(self.comments[-1])}}}}}

    def update(self, values: Any) -> Any:
        (comment,) = (each for each in self.comments if each["id"] == values["id"])
        assert comment["author"] == "bot"
        comment["body"] = values["body"]
        return {"data": {"updateIssueComment": {"issueComment": {"url": self.url(comment)}}}}

    def list_comments(self, values: Any) -> Any:
        if (values["owner"], values["name"], values["number"]) != ("acme", "prompts", 12):
            return {
                "data": {"repository": {"pullRequest": None}},
                "errors": [{"type": "NOT_FOUND", "message": "Could not resolve"}],
            }
        start = int(values["after"] or 0)
        shown = self.comments[start : start + self.page]
        nodes = [{"id": c["id"], "url": self.url(c), "body": c["body"], "viewerDidAuthor": c["author"] == "bot"} for c in shown]
        more = {"hasNextPage": start + self.page < len(self.comments), "endCursor": str(start + self.page)}
        pull = {"id": "PR_12", "number": 12, "headRefOid": self.head, "headRepository": {"nameWithOwner": self.source}}
        return {"data": {"repository": {"pullRequest": {**pull, "comments": {"pageInfo": more, "nodes": nodes}}}}}

    def list_pulls(self, values: Any) -> Any:
        assert values["branch"] == "better"
        nodes = [{"number": n, "headRefOid": sha, "headRepository": {"nameWithOwner": name}} for n, sha, name in self.pulls]
        return {"data": {"repository": {"pullRequests": {"pageInfo": {"hasNextPage": False}, "nodes": nodes}}}}

    @staticmethod
    def url(comment: Mapping[str, str]) -> str:
        return f"https://github.com/acme/prompts/pull/12#{comment['id']}"


def github(
    api: Callable[[Request], Any], target: Target = TARGET, *, text: str = TEXT, faults: Any = None, waited: Waiting | None = None
) -> Published:
    with LoopbackServer(api=api, faults=faults) as server:
        root = server.url.removesuffix("/v1")
        env = {"GITHUB_API_URL": f"{root}/api/v3", "GITHUB_TOKEN": KEY}
        return Github(PublisherContext(env=env, sleep=waited or Waiting())).publish(text, target)


# GitHub ----------------------------------------------------------------------------------------------------------------------


def test_the_first_comment_is_posted_and_the_next_one_updates_it() -> None:
    api = GithubApi(("ada", "nice"))
    assert github(api) == Published(deed="posted", url=api.url(api.comments[1]), number=12)
    assert github(api).deed == "unchanged"
    assert github(api, text=TEXT + "more\n").deed == "updated"
    assert [comment["body"] for comment in api.comments] == ["nice", TEXT + "more\n"]


def test_ours_is_found_on_whichever_page_it_is() -> None:
    api = GithubApi(*[("ada", f"{n}") for n in range(7)], ("bot", f"{MARKER}\nold"), page=3)
    assert github(api).deed == "updated"
    assert (len(api.comments), api.comments[7]["body"]) == (8, TEXT)


def test_a_strangers_comment_with_the_marker_is_neither_believed_nor_touched() -> None:
    api = GithubApi(("mallory", TEXT), ("bot", "said by the bot for another job"), ("bot", f"quoting {MARKER}"))
    assert github(api).deed == "posted"
    assert [comment["author"] for comment in api.comments] == ["mallory", "bot", "bot", "bot"]
    assert api.comments[0]["body"] == TEXT


def test_a_comment_is_cut_to_what_github_takes() -> None:
    api = GithubApi()
    github(api, text=MARKER + "\n" + "a line of a long report\n" * 9_000)
    assert len(api.comments[0]["body"]) <= LIMIT
    assert "the job's artefacts" in api.comments[0]["body"]


def test_the_pull_request_of_a_run_is_the_one_from_its_branch_and_commit() -> None:
    followed = Target(repository="acme/prompts", head_repository="mallory/prompts", head_branch="better", head_sha=HEAD)
    api = GithubApi(source="mallory/prompts")
    api.pulls = [(7, HEAD, "eve/prompts"), (12, HEAD, "Mallory/prompts"), (13, "c" * 40, "mallory/prompts")]
    assert github(api, followed) == Published(deed="posted", url=api.url(api.comments[0]), number=12)
    api.pulls = [(12, "c" * 40, "mallory/prompts")]
    assert github(api, followed).deed == "outdated"
    api.pulls = [(12, HEAD, "mallory/prompts"), (13, HEAD, "mallory/prompts")]
    with pytest.raises(UsageError, match="several pull requests are from this branch: 12, 13"):
        github(api, followed)


def test_a_number_that_is_not_of_the_followed_run_is_refused() -> None:
    named = Target(repository="acme/prompts", number=12, head_repository="mallory/prompts", head_branch="better", head_sha=HEAD)
    api = GithubApi(source="ada/prompts")
    with pytest.raises(UsageError, match="not from mallory/prompts"):
        github(api, named)
    assert not api.comments


def test_a_report_of_a_commit_that_was_left_behind_is_not_shown() -> None:
    api = GithubApi(("bot", TEXT), head="c" * 40)
    assert github(api, replace(TARGET, head_sha=HEAD), text=TEXT + "old") == Published(deed="outdated", number=12)
    assert api.comments[0]["body"] == TEXT


@pytest.mark.parametrize(
    ("target", "said"),
    [
        (replace(TARGET, number=99), "no pull request 99 in acme/prompts"),
        (replace(TARGET, repository="acme"), "no repository at GitHub"),
        (replace(TARGET, repository="acme/../x"), "no repository at GitHub"),
        (replace(TARGET, repository="-/x\n"), "no repository at GitHub"),
    ],
)
def test_an_address_that_is_none_is_told(target: Target, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        github(GithubApi(), target)


@pytest.mark.parametrize(
    ("status", "body", "said", "remedy"),
    [
        (
            200,
            {"data": None, "errors": [{"type": "FORBIDDEN", "message": "Resource not accessible by integration"}]},
            "not let",
            "write",
        ),
        (
            403,
            {"message": f"Resource not accessible by integration {KEY}"},
            "does not let this token comment",
            "pull-requests: write",
        ),
        (401, {"message": "Bad credentials"}, "does not accept the token in GITHUB_TOKEN", "new one"),
        (404, {"message": "Not Found"}, "no pull request 12", "--pull"),
        (422, {"message": "locked"}, "refused the comment: locked", "locked"),
        (200, ["odd"], "refused the comment", "log"),
        (200, {"data": {"repository": None}}, "no pull request 12", "rights"),
    ],
)
def test_what_github_refuses_is_told_with_its_remedy(status: int, body: Any, said: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        github(lambda _request: (status, {}, body))
    assert remedy in (refused.value.hint or "")
    assert KEY not in f"{refused.value} {refused.value.hint}"


def test_without_a_token_nothing_is_asked() -> None:
    with pytest.raises(UsageError, match="GITHUB_TOKEN is not set"):
        Github(PublisherContext(env={}, sleep=Waiting()))


def first(*faults: Fault) -> Callable[[int], Fault | None]:
    return lambda number: faults[number] if number < len(faults) else None


LIMITED = {
    "asked to wait": Fault(kind="status", status=403, headers={"Retry-After": "7"}, body='{"message": "secondary"}'),
    "too many": Fault(kind="status", status=429, headers={"Retry-After": "7"}),
    "spent": Fault(
        kind="status",
        status=403,
        headers={"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767225607", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"},
    ),
}


@pytest.mark.parametrize("name", LIMITED)
def test_rate_limits_are_waited_for(name: str) -> None:
    api, waited = GithubApi(), Waiting()
    assert github(api, faults=first(LIMITED[name]), waited=waited).deed == "posted"
    assert waited.seconds == [7.0]


def test_a_wait_that_is_too_long_is_told_instead() -> None:
    waited = Waiting()
    with pytest.raises(UsageError, match="asks to wait 60 minutes"):
        github(GithubApi(), faults=first(Fault(kind="status", status=429, headers={"Retry-After": "3600"})), waited=waited)
    assert not waited.seconds


def test_bad_moments_pass() -> None:
    api, waited = GithubApi(), Waiting()
    assert github(api, faults=first(Fault(kind="status", status=502), Fault(kind="drop")), waited=waited).deed == "posted"
    assert waited.seconds == [1.0, 2.0]


def test_a_bad_day_is_told_without_the_key() -> None:
    waited = Waiting()
    broken = Fault(kind="status", status=500, body=f'{{"message": "we saw {KEY}"}}')
    with pytest.raises(UsageError, match="did not answer: status 500: we saw") as refused:
        github(GithubApi(), faults=lambda _number: broken, waited=waited)
    assert KEY not in f"{refused.value} {refused.value.hint}"
    assert waited.seconds == [1.0, 2.0, 4.0, 8.0]


def test_a_post_that_was_taken_but_not_confirmed_is_not_posted_twice() -> None:
    class Forgetful(GithubApi):
        def add(self, values: Any) -> Any:
            super().add(values)
            raise ConnectionResetError  # the server's thread closes the connection without a word

    api, waited = Forgetful(), Waiting()
    assert github(api, waited=waited) == Published(deed="unchanged", url=api.url(api.comments[0]), number=12)
    assert (len(api.comments), waited.seconds) == (1, [1.0])


@pytest.mark.parametrize(
    ("env", "path"),
    [
        ({"GITHUB_API_URL": "{}/api/v3"}, "/api/graphql"),
        ({"GITHUB_API_URL": "{}"}, "/graphql"),
        ({"GITHUB_API_URL": "https://nowhere.invalid", "GITHUB_GRAPHQL_URL": "{}/api/graphql"}, "/api/graphql"),
    ],
)
def test_where_github_is(env: dict[str, str], path: str) -> None:
    with LoopbackServer(api=lambda _request: (404, {}, {"message": "no"})) as server:
        given = {name: value.format(server.url.removesuffix("/v1")) for name, value in env.items()} | {"GITHUB_TOKEN": KEY}
        with pytest.raises(UsageError):
            Github(PublisherContext(env=given, sleep=Waiting())).publish(TEXT, TARGET)
        assert [request.path for request in server.received] == [path]


# GitLab ----------------------------------------------------------------------------------------------------------------------


class GitlabApi:
    """GitLab's REST API as far as notes go. Notes are (author's id, body); the token is user 1."""

    def __init__(self, *notes: tuple[int, str], page: int = 100, sha: str = HEAD) -> None:
        self.notes: list[dict[str, Any]] = [
            {"id": 100 + n, "author": {"id": who}, "body": body, "system": False} for n, (who, body) in enumerate(notes)
        ]
        self.page, self.sha = page, sha

    def __call__(self, request: Request) -> tuple[int, Mapping[str, str], Any]:
        assert request.headers["private-token"] == KEY
        parts = urlsplit(request.path)
        path = unquote(parts.path.removeprefix("/v1"))
        place = "/projects/acme/group/prompts/merge_requests/3"
        if path == "/user":
            return 200, {}, {"id": 1}
        if path == place:
            return 200, {}, {"sha": self.sha, "web_url": "https://gitlab.example/acme/-/merge_requests/3"}
        if path == f"{place}/notes" and request.method == "GET":
            assert "%2F" in parts.path
            number = int(parse_qs(parts.query)["page"][0])
            more = str(number + 1) if number * self.page < len(self.notes) else ""
            return 200, {"x-next-page": more}, self.notes[(number - 1) * self.page : number * self.page]
        if path == f"{place}/notes" and request.method == "POST":
            self.notes.append({"id": 100 + len(self.notes), "author": {"id": 1}, "body": request.body["body"], "system": False})
            return 201, {}, self.notes[-1]
        found = re.fullmatch(rf"{place}/notes/(\d+)", path)
        if found and request.method == "PUT":
            (note,) = (each for each in self.notes if each["id"] == int(found[1]))
            note["body"] = request.body["body"]
            return 200, {}, note
        return 404, {}, {"message": "404 Not found"}


REQUEST = Target(repository="acme/group/prompts", number=3)


def gitlab(api: Callable[[Request], Any], target: Target = REQUEST, *, text: str = TEXT, faults: Any = None) -> Published:
    with LoopbackServer(api=api, faults=faults) as server:
        env = {"CI_API_V4_URL": server.url, "GITLAB_TOKEN": KEY}
        return Gitlab(PublisherContext(env=env, sleep=Waiting())).publish(text, target)


def test_a_note_is_posted_found_again_and_updated() -> None:
    api = GitlabApi(*[(5, f"{n}") for n in range(4)], page=2)
    posted = gitlab(api)
    assert posted == Published(deed="posted", url="https://gitlab.example/acme/-/merge_requests/3#note_104", number=3)
    assert gitlab(api).deed == "unchanged"
    assert gitlab(api, text=TEXT + "more", faults=first(Fault(kind="status", status=502))).deed == "updated"
    assert [note["body"] for note in api.notes][4:] == [TEXT + "more"]


def test_a_strangers_note_and_the_systems_are_not_ours() -> None:
    api = GitlabApi((5, TEXT), (1, f"quoting {MARKER}"), (1, TEXT))
    api.notes[2]["system"] = True
    assert gitlab(api).deed == "posted"
    assert len(api.notes) == 4


def test_an_outdated_note_is_not_shown() -> None:
    assert gitlab(GitlabApi(sha="c" * 40), replace(REQUEST, head_sha=HEAD)).deed == "outdated"


@pytest.mark.parametrize(
    ("status", "said", "remedy"),
    [
        (401, "does not let", "scope `api`"),
        (403, "does not let", "role"),
        (404, "no such merge request", "--pull"),
        (400, "refused", "log"),
    ],
)
def test_what_gitlab_refuses_is_told_with_its_remedy(status: int, said: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        gitlab(lambda _request: (status, {}, {"message": f"insufficient_scope {KEY}"}))
    assert remedy in (refused.value.hint or "")
    assert KEY not in f"{refused.value} {refused.value.hint}"


def test_a_merge_request_must_be_named() -> None:
    with pytest.raises(UsageError, match="which merge request"):
        gitlab(GitlabApi(), replace(REQUEST, number=None))


# both ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["github", "gitlab"])
def test_publishers_come_through_the_same_hook_as_anybodys(name: str) -> None:
    found = plugins.load(strangers=False).get("publisher", name)
    assert found.name == name
