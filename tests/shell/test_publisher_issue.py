"""The issue at GitHub, over the wire: one, kept up to date, closed when nothing is rotten, nobody else's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from promptreg.core.comment import ISSUE_MARKER, ISSUE_TITLE, Published, Target
from promptreg.core.protocols import PublisherContext
from promptreg.errors import UsageError
from promptreg.publishers.github import LIMIT
from promptreg.publishers.github_issue import GithubIssue
from promptreg.reporters.rot.markdown import MARKER as WRITTEN
from promptreg.testing import Fault, LoopbackServer, Request

KEY = "ghs_16C7e42F292c6912E7710c838347Ae178B4a"  # the form of one, not one
TEXT = f"{ISSUE_MARKER}\n## ❌ 1 needs work\n"
TARGET = Target(repository="acme/prompts")
RESOLVED = Target(repository="acme/prompts", resolved=True)


class IssuesApi:
    """GitHub's GraphQL as far as issues go. Issues are (author, body); the token is the bot's."""

    def __init__(self, *issues: tuple[str, str], page: int = 100) -> None:
        self.page = page
        self.issues: list[dict[str, Any]] = []
        for author, body in issues:
            self.open(author, body)

    def open(self, author: str, body: str, title: str = "") -> dict[str, Any]:
        number = len(self.issues) + 1
        self.issues.append({"id": f"I_{number}", "number": number, "author": author, "body": body, "state": "OPEN", "title": title})
        return self.issues[-1]

    def __call__(self, request: Request) -> tuple[int, Mapping[str, str], Any]:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        query, values = request.body["query"], request.body["variables"]
        if "createIssue" in query:
            assert values["repository"] == "R_1"
            made = self.open("bot", values["body"], values["title"])
            return 200, {}, {"data": {"createIssue": {"issue": {"number": made["number"], "url": self.url(made)}}}}
        if "updateIssue" in query:
            (issue,) = (each for each in self.issues if each["id"] == values["id"])
            assert issue["author"] == "bot"
            issue.update(body=values["body"], state=values["state"])
            return 200, {}, {"data": {"updateIssue": {"issue": {"url": self.url(issue)}}}}
        return 200, {}, self.listed(values)

    def listed(self, values: Any) -> Any:
        assert (values["owner"], values["name"]) == ("acme", "prompts")
        found = [each for each in reversed(self.issues) if each["state"] == "OPEN"]
        start = int(values["after"] or 0)
        nodes = [
            {
                **{key: each[key] for key in ("id", "number", "body")},
                "url": self.url(each),
                "viewerDidAuthor": each["author"] == "bot",
            }
            for each in found[start : start + self.page]
        ]
        more = {"hasNextPage": start + self.page < len(found), "endCursor": str(start + self.page)}
        return {"data": {"repository": {"id": "R_1", "issues": {"pageInfo": more, "nodes": nodes}}}}

    @staticmethod
    def url(issue: Mapping[str, Any]) -> str:
        return f"https://github.com/acme/prompts/issues/{issue['number']}"


def tell(api: Any, target: Target = TARGET, *, text: str = TEXT, faults: Any = None) -> Published:
    with LoopbackServer(api=api, faults=faults) as server:
        env = {"GITHUB_API_URL": server.url.removesuffix("/v1"), "GITHUB_TOKEN": KEY}
        return GithubIssue(PublisherContext(env=env, sleep=lambda _: None)).publish(text, target)


def test_the_marker_is_the_one_that_rot_writes() -> None:
    assert ISSUE_MARKER == WRITTEN


def test_an_issue_is_opened_updated_and_closed_once() -> None:
    api = IssuesApi(("ada", "a bug"))
    assert tell(api) == Published(deed="posted", url=api.url(api.issues[1]), number=2)
    assert api.issues[1]["title"] == ISSUE_TITLE
    assert tell(api).deed == "unchanged"
    assert tell(api, text=TEXT + "more\n") == Published(deed="updated", url=api.url(api.issues[1]), number=2)
    assert tell(api, RESOLVED, text=TEXT + "fine\n") == Published(deed="closed", url=api.url(api.issues[1]), number=2)
    assert [each["state"] for each in api.issues] == ["OPEN", "CLOSED"]
    assert tell(api, RESOLVED) == Published(deed="needless")
    assert tell(api).number == 3, "what rots later is a new issue"


def test_ours_is_found_on_whichever_page_it_is() -> None:
    api = IssuesApi(("bot", f"{ISSUE_MARKER}\nold"), *[("ada", f"{n}") for n in range(7)], page=3)
    assert tell(api) == Published(deed="updated", url=api.url(api.issues[0]), number=1)
    assert len(api.issues) == 8


def test_a_strangers_issue_with_the_marker_is_neither_believed_nor_touched() -> None:
    api = IssuesApi(("mallory", TEXT), ("bot", f"quoting {ISSUE_MARKER}"))
    assert tell(api, RESOLVED).deed == "needless"
    assert tell(api).deed == "posted"
    assert (api.issues[0]["body"], api.issues[0]["state"]) == (TEXT, "OPEN")


def test_an_issue_that_was_opened_but_not_confirmed_is_not_opened_twice() -> None:
    class Forgetful(IssuesApi):
        def open(self, author: str, body: str, title: str = "") -> dict[str, Any]:
            super().open(author, body, title)
            raise ConnectionResetError  # the server's thread closes the connection without a word

    api = Forgetful()
    assert tell(api).deed == "unchanged"
    assert len(api.issues) == 1


def test_a_long_report_is_cut_and_bad_moments_pass() -> None:
    api = IssuesApi()
    bad = [Fault(kind="status", status=502), Fault(kind="drop")]
    text = ISSUE_MARKER + "\n" + "a line of a long report\n" * 9_000
    assert tell(api, text=text, faults=lambda number: bad[number] if number < len(bad) else None).deed == "posted"
    assert len(api.issues[0]["body"]) <= LIMIT


@pytest.mark.parametrize(
    ("status", "body", "said", "remedy"),
    [
        (403, {"message": f"Resource not accessible by integration {KEY}"}, "not let this token write issues", "issues: write"),
        (401, {"message": "Bad credentials"}, "does not accept the token", "new one"),
        (404, {"message": "Not Found"}, "no repository acme/prompts", "--repository"),
        (200, {"errors": [{"message": "Issues are disabled"}]}, "refused the issue: Issues are disabled", "log"),
    ],
)
def test_what_github_refuses_is_told_with_its_remedy(status: int, body: Any, said: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=said) as refused:
        tell(lambda _request: (status, {}, body))
    assert remedy in (refused.value.hint or "")
    assert KEY not in f"{refused.value} {refused.value.hint}"
