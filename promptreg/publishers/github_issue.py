"""The issue at GitHub that tells what rotted: opened once, kept up to date, closed when nothing is rotten any more.

Ours is the open one that begins with the marker and that GitHub says this very token wrote, as with comments. An issue that
somebody closed stays closed: what rots later is a new one.
"""

from __future__ import annotations

from typing import Any, ClassVar

from promptreg.core.comment import ISSUE_MARKER, ISSUE_TITLE, Published, Target, fitted
from promptreg.publishers.github import LIMIT, Github, url_at

_ISSUES = """query($owner: String!, $name: String!, $after: String) {
  repository(owner: $owner, name: $name) { id
    issues(states: OPEN, first: 100, after: $after, orderBy: {field: CREATED_AT, direction: DESC}) {
      pageInfo { hasNextPage endCursor } nodes { id number url body viewerDidAuthor } } } }"""
_CREATE = """mutation($repository: ID!, $title: String!, $body: String!) {
  createIssue(input: {repositoryId: $repository, title: $title, body: $body}) { issue { number url } } }"""
_UPDATE = """mutation($id: ID!, $body: String!, $state: IssueState!) {
  updateIssue(input: {id: $id, body: $body, state: $state}) { issue { url } } }"""


class GithubIssue(Github):
    """Opens, updates and closes one issue at the GitHub where `Github` comments, with the same token."""

    name: ClassVar[str] = "github-issue"
    deed: ClassVar[str] = "write issues"
    noun: ClassVar[str] = "issue"
    rights: ClassVar[str] = "give the job `permissions: {issues: write}`"

    def publish(self, text: str, target: Target) -> Published:
        """*text* as the repository's issue; an open one is updated. UsageError for what the user can mend."""
        try:
            return self._forge.surely(lambda: self._tell(fitted(text, LIMIT), target))
        finally:
            self._forge.close()

    def _tell(self, text: str, target: Target) -> Published:
        repository, own = self._own(target)
        if own is None:
            if target.resolved:
                return Published(deed="needless")
            made = self._ask(_CREATE, {"repository": repository, "title": ISSUE_TITLE, "body": text}, target, writes=True)
            found = (made.get("createIssue") or {}).get("issue") or {}
            return Published(deed="posted", url=url_at(found), number=int(found.get("number") or 0))
        number = int(own["number"])
        if not target.resolved and own["body"].replace("\r\n", "\n").rstrip() == text.rstrip():
            return Published(deed="unchanged", url=url_at(own), number=number)
        state = "CLOSED" if target.resolved else "OPEN"
        made = self._ask(_UPDATE, {"id": own["id"], "body": text, "state": state}, target, writes=True)
        return Published(deed="closed" if target.resolved else "updated", url=url_at(made, "updateIssue", "issue"), number=number)

    def _own(self, target: Target) -> tuple[str, dict[str, Any] | None]:
        """The repository's id, and our open issue."""
        repository = ""
        for holder, issues in self._pages(_ISSUES, {}, target, "issues"):
            repository = repository or str(holder["id"])
            for each in issues:
                if each.get("viewerDidAuthor") is True and _ours(each.get("body")):
                    return repository, each
        return repository, None


def _ours(body: object) -> bool:
    return isinstance(body, str) and body.partition("\n")[0].rstrip() == ISSUE_MARKER
