"""The note on a merge request at GitLab: posted once, then kept up to date.

Ours is the note that begins with the marker and whose author is the token's own user: a stranger's note with the marker is neither
believed nor touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, NoReturn
from urllib.parse import quote

from promptreg.core.comment import MARKER, Published, Target, fitted
from promptreg.core.protocols import PublisherContext
from promptreg.errors import UsageError, Where
from promptreg.http import Address
from promptreg.publishers.forge import Answer, Forge

LIMIT = 1_000_000  # characters of a note
TOKEN = "GITLAB_TOKEN"  # noqa: S105 - the variable's name
API = "https://gitlab.com/api/v4"
_PAGE = 100
_PAGES = 200
_RIGHTS = f"{TOKEN} needs the scope `api` and at least the role Reporter: a project access token; CI_JOB_TOKEN cannot comment"


class Gitlab:
    """Posts to the GitLab at CI_API_V4_URL, with the token in GITLAB_TOKEN."""

    name: ClassVar[str] = "gitlab"

    def __init__(self, context: PublisherContext) -> None:
        url = context.env.get("CI_API_V4_URL", "").strip() or API
        address = Address(base_url=url, path="", key_env=TOKEN, headers={}, where=Where("the environment"))
        self._forge = Forge(context, address, ("PRIVATE-TOKEN", ""), {})

    def publish(self, text: str, target: Target) -> Published:
        """*text* as the merge request's note; an older one is updated. UsageError for what the user can mend."""
        try:
            return self._forge.surely(lambda: self._publish(fitted(text, LIMIT), target))
        finally:
            self._forge.close()

    def _publish(self, text: str, target: Target) -> Published:
        if target.number is None:
            raise UsageError("nobody says which merge request", hint="run it in a merge request's pipeline, or name one: --pull N")
        place = f"/projects/{quote(target.repository, safe='')}/merge_requests/{target.number}"
        request = self._ask("GET", place)
        if target.head_sha is not None and request.get("sha") != target.head_sha:
            return Published(deed="outdated", number=target.number)
        own = self._own(place)
        page = str(request.get("web_url", ""))
        if own is None:
            made = self._ask("POST", f"{place}/notes", {"body": text}, writes=True)
            return Published(deed="posted", url=_anchor(page, made), number=target.number)
        if str(own["body"]).replace("\r\n", "\n").rstrip() == text.rstrip():
            return Published(deed="unchanged", url=_anchor(page, own), number=target.number)
        made = self._ask("PUT", f"{place}/notes/{int(own['id'])}", {"body": text}, writes=True)
        return Published(deed="updated", url=_anchor(page, made), number=target.number)

    def _own(self, place: str) -> Mapping[str, Any] | None:
        me = self._ask("GET", "/user").get("id")
        for page in range(1, _PAGES + 1):
            answer = self._forge.ask("GET", f"{place}/notes?per_page={_PAGE}&page={page}&sort=asc&order_by=created_at")
            if answer.status != 200 or not isinstance(answer.value, list):
                self._refuse(answer)
            for note in answer.value:
                if isinstance(note, Mapping) and _ours(note, me):
                    return note
            if not answer.headers.get("x-next-page", "").strip():
                return None
        return None

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None, *, writes: bool = False) -> Mapping[str, Any]:
        answer = self._forge.ask(method, path, body, writes=writes)
        if answer.status not in (200, 201) or not isinstance(answer.value, Mapping):
            self._refuse(answer)
        return answer.value

    def _refuse(self, answer: Answer) -> NoReturn:
        said = answer.said or f"status {answer.status}"
        if answer.status in (401, 403):
            raise UsageError(f"GitLab does not let the token in {TOKEN} comment: {said}", hint=_RIGHTS)
        if answer.status == 404:
            raise UsageError("GitLab shows this token no such merge request", hint=f"check --pull and --repository. {_RIGHTS}")
        raise UsageError(f"GitLab refused the note: {said}", hint="the job's log has the report")


def _ours(note: Mapping[str, Any], me: object) -> bool:
    author = note.get("author")
    by_me = isinstance(author, Mapping) and isinstance(me, int) and author.get("id") == me
    return by_me and not note.get("system") and str(note.get("body", "")).partition("\n")[0].rstrip() == MARKER


def _anchor(page: str, note: Mapping[str, Any]) -> str:
    return f"{page}#note_{note.get('id')}" if page else ""
