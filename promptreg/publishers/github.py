"""The comment on a pull request at GitHub: posted once, then kept up to date.

The comment of ours is the one that begins with the marker and that GitHub says this very token wrote (`viewerDidAuthor`): somebody
else's comment with the marker is neither believed nor touched. GraphQL, because ids of comments have outgrown its numbers and a
workflow's token may ask it who wrote what, which it may not ask the REST API.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NoReturn

from promptreg.core.comment import MARKER, Published, Target, fitted
from promptreg.core.protocols import PublisherContext
from promptreg.errors import UsageError, Where
from promptreg.http import Address
from promptreg.publishers.forge import Answer, Forge

LIMIT = 65_536  # characters of a comment
TOKEN = "GITHUB_TOKEN"  # noqa: S105 - the variable's name
API = "https://api.github.com"
_PAGES = 50  # more comments than GitHub lets one pull request have
_NAME = re.compile(r"[A-Za-z0-9-]+/[A-Za-z0-9._-]+")
_RIGHTS = "give the job `permissions: {pull-requests: write}`; jobs of forks never get it: docs/ci.md shows the second workflow"

_COMMENTS = """query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) {
    id number headRefOid headRefName headRepository { nameWithOwner }
    comments(first: 100, after: $after) {
      pageInfo { hasNextPage endCursor } nodes { id url body viewerDidAuthor } } } } }"""
_PULLS = """query($owner: String!, $name: String!, $branch: String!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequests(headRefName: $branch, states: OPEN, first: 100, after: $after) {
      pageInfo { hasNextPage endCursor } nodes { number headRefOid headRepository { nameWithOwner } } } } }"""
_ADD = """mutation($subject: ID!, $body: String!) {
  addComment(input: {subjectId: $subject, body: $body}) { commentEdge { node { url } } } }"""
_UPDATE = """mutation($id: ID!, $body: String!) {
  updateIssueComment(input: {id: $id, body: $body}) { issueComment { url } } }"""


class Github:
    """Posts to github.com, or to the GitHub that GITHUB_API_URL or GITHUB_GRAPHQL_URL names, with the token in GITHUB_TOKEN."""

    name: ClassVar[str] = "github"
    deed: ClassVar[str] = "comment"
    noun: ClassVar[str] = "comment"
    rights: ClassVar[str] = _RIGHTS

    def __init__(self, context: PublisherContext) -> None:
        url = _graphql(context.env)
        address = Address(base_url=url, path="", key_env=TOKEN, headers={}, where=Where("the environment"))
        self._forge = Forge(context, address, ("Authorization", "Bearer "), {})

    def publish(self, text: str, target: Target) -> Published:
        """*text* as the pull request's comment; an older one is updated. UsageError for what the user can mend."""
        try:
            return self._forge.surely(lambda: self._publish(fitted(text, LIMIT), target))
        finally:
            self._forge.close()

    def _publish(self, text: str, target: Target) -> Published:
        number = self._number(target) if target.number is None else target.number
        if number is None:
            return Published(deed="outdated")
        pull, own = self._pull(target, number)
        if target.head_sha is not None and pull.get("headRefOid") != target.head_sha:
            return Published(deed="outdated", number=number)
        if own is None:
            made = self._ask(_ADD, {"subject": pull["id"], "body": text}, target, writes=True)
            return Published(deed="posted", url=url_at(made, "addComment", "commentEdge", "node"), number=number)
        if own["body"].replace("\r\n", "\n").rstrip() == text.rstrip():
            return Published(deed="unchanged", url=str(own.get("url", "")), number=number)
        made = self._ask(_UPDATE, {"id": own["id"], "body": text}, target, writes=True)
        return Published(deed="updated", url=url_at(made, "updateIssueComment", "issueComment"), number=number)

    def _number(self, target: Target) -> int | None:
        """The one open pull request from the branch and commit of *target*; None when the branch moved on or it was closed."""
        found = []
        for _, pulls in self._pages(_PULLS, {"branch": target.head_branch}, target, "pullRequests"):
            found += [each for each in pulls if _full_name(each) == target.head_repository.casefold()]
        current = [int(each["number"]) for each in found if each.get("headRefOid") == target.head_sha]
        if len(current) > 1:
            listed = ", ".join(map(str, sorted(current)))
            raise UsageError(f"several pull requests are from this branch: {listed}", hint="name one: --pull N")
        return current[0] if current else None

    def _pull(self, target: Target, number: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """The pull request, and the comment of ours on it."""
        pull: dict[str, Any] = {}
        own: dict[str, Any] | None = None
        for holder, comments in self._pages(_COMMENTS, {"number": number}, target, "pullRequest", "comments"):
            pull = pull or holder
            own = next((each for each in comments if each.get("viewerDidAuthor") is True and _ours(each.get("body"))), None)
            if own is not None:
                break
        if target.head_repository and _full_name(pull) != target.head_repository.casefold():
            raise UsageError(
                f"pull request {number} is not from {target.head_repository}, whose run this follows",
                hint="leave out --pull: the event says which one it is",
            )
        return pull, own

    def _pages(
        self, query: str, values: dict[str, Any], target: Target, *path: str
    ) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
        """Each page of the list at *path* below the repository: what holds the list, and the page's entries."""
        after = None
        for _ in range(_PAGES):
            holder: Any = self._ask(query, {**values, "after": after}, target).get("repository")
            for name in path[:-1]:
                holder = (holder or {}).get(name)
            page = (holder or {}).get(path[-1])
            if not isinstance(page, dict):
                raise self._missing(target, values.get("number"))
            yield holder, [each for each in page.get("nodes") or () if isinstance(each, dict)]
            more = page.get("pageInfo") or {}
            if not more.get("hasNextPage"):
                return
            after = more.get("endCursor")

    def _ask(self, query: str, values: dict[str, Any], target: Target, *, writes: bool = False) -> dict[str, Any]:
        if not writes:
            owner, _, name = _checked(target.repository).partition("/")
            values = {"owner": owner, "name": name, **values}
        answer = self._forge.ask("POST", "", {"query": query, "variables": values}, writes=writes)
        value = answer.value if isinstance(answer.value, dict) else {}
        errors = value.get("errors")
        if answer.status != 200 or errors or not isinstance(value.get("data"), dict):
            self._refuse(answer, errors, target, values.get("number"))
        return dict(value["data"])

    def _refuse(self, answer: Answer, errors: Any, target: Target, number: Any) -> NoReturn:
        first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
        said = self._forge.masked(str(first.get("message") or answer.said or f"status {answer.status}"))
        if answer.status == 401:
            raise UsageError(
                f"GitHub does not accept the token in {TOKEN}: {said}", hint="tokens end with their job; make a new one"
            )
        if answer.status == 403 or first.get("type") == "FORBIDDEN" or "not accessible" in said:
            raise UsageError(f"GitHub does not let this token {self.deed} in {target.repository}: {said}", hint=self.rights)
        if answer.status == 404 or first.get("type") == "NOT_FOUND":
            raise self._missing(target, number)
        raise UsageError(
            f"GitHub refused the {self.noun}: {said}", hint="a locked conversation takes none; the job's log has the report"
        )

    def _missing(self, target: Target, number: Any) -> UsageError:
        what = f"pull request {number} in {target.repository}" if number else f"repository {target.repository}"
        return UsageError(f"GitHub shows this token no {what}", hint=f"check --pull, --repository and the rights of {TOKEN}")


def _graphql(env: Mapping[str, str]) -> str:
    """The GraphQL address: as named, or beside the REST API (`…/api/v3` at GitHub Enterprise)."""
    named = env.get("GITHUB_GRAPHQL_URL", "").strip()
    return named or (env.get("GITHUB_API_URL", "").strip() or API).rstrip("/").removesuffix("/v3") + "/graphql"


def _checked(repository: str) -> str:
    if not _NAME.fullmatch(repository):
        raise UsageError(f"{repository!a} is no repository at GitHub", hint="write OWNER/NAME: --repository acme/prompts")
    return repository


def _ours(body: object) -> bool:
    return isinstance(body, str) and body.partition("\n")[0].rstrip() == MARKER


def _full_name(pull: Mapping[str, Any]) -> str:
    return str((pull.get("headRepository") or {}).get("nameWithOwner", "")).casefold()


def url_at(data: Any, *path: str) -> str:
    """The url of what lies at *path* in GitHub's answer; empty if nothing does."""
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return str(data.get("url", "")) if isinstance(data, dict) else ""
