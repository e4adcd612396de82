"""Posts a report as the one comment of a pull request, or as the one issue of a repository.

Trusts neither the report nor what lies beside it.

Which pull request it is, the CI's own event says: a report that a stranger's job left behind may name any. Its text is made
harmless (`core.comment`), and no link is followed to read it, for the file may be one to this job's secrets.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from pathlib import Path

from promptreg.core.ci import Surroundings
from promptreg.core.comment import LONGEST_FILE, Published, Target, comment, issue
from promptreg.core.protocols import Publisher, PublisherContext
from promptreg.errors import UsageError, Where
from promptreg.plugins import Plugins

FORGES = ("github", "gitlab")


@dataclass(frozen=True, slots=True, kw_only=True)
class CommentRequest:
    """What the user says: empty and None mean what the event says. *head_sha*: only while the pull request is at that commit."""

    path: Path
    forge: str = ""
    repository: str = ""
    number: int | None = None
    head_sha: str | None = None
    issue: bool = False  # an issue instead of a comment
    resolved: bool = False  # the issue is closed: nothing is rotten any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is ready to be posted: by which publisher, to whom, its text. `withheld` says why this job must not post it."""

    forge: str
    target: Target
    text: str
    withheld: str = ""
    issue: bool = False


def compose(request: CommentRequest, found: Surroundings) -> Letter:
    """The comment that *request* asks for in these surroundings. UsageError for a file that is no report, or without an address."""
    if request.issue:
        return _issue(request, found)
    text = comment(_read(request.path), doubtful=_by_a_stranger(found))
    target = _target(request, found)
    if not target.repository:
        raise UsageError("nobody says which repository the pull request is in", hint="name it: --repository OWNER/NAME")
    if target.number is None and not target.head_branch:
        raise UsageError("nobody says which pull request the report is of", hint="name it: --pull N")
    withheld = ""
    if found.fork and found.kind == "github" and found.event == "pull_request":
        withheld = "a fork's own job has no right to comment; a second workflow does it (docs/ci.md)"
    return Letter(forge=_forge(request, found), target=target, text=text, withheld=withheld)


def _issue(request: CommentRequest, found: Surroundings) -> Letter:
    if not found.trusted:
        hint = "open it from a workflow on a schedule, on a push or by hand"
        raise UsageError("a job of a pull request opens no issue: its report is the change's own", hint=hint)
    repository = request.repository or found.repository
    if not repository:
        raise UsageError("nobody says which repository the issue is for", hint="name it: --repository OWNER/NAME")
    if request.number is not None or request.head_sha is not None:
        raise UsageError("an issue is of no pull request", hint="leave out --pull and --head")
    forge = _forge(request, found)
    if forge in FORGES and forge != "github":
        raise UsageError(f"promptreg opens no issues at {forge} yet", hint="a plugin's publisher can: --to NAME")
    forge = "github-issue" if forge == "github" else forge
    target = Target(repository=repository, resolved=request.resolved)
    return Letter(forge=forge, target=target, text=issue(_read(request.path)), issue=True)


def post(letter: Letter, plugins: Plugins, context: PublisherContext) -> Published:
    """Posts *letter*, unless it is withheld. UsageError for what the user can mend."""
    if letter.withheld:
        return Published(deed="withheld", number=letter.target.number or 0)
    publisher: Publisher = plugins.get("publisher", letter.forge)(context)
    return publisher.publish(letter.text, letter.target)


def _by_a_stranger(found: Surroundings) -> bool:
    """Whether the report was left behind by a pull request's own run, whose workflow the pull request may have rewritten."""
    return found.event == "workflow_run" and found.run_event != "workflow_dispatch"


def _target(request: CommentRequest, found: Surroundings) -> Target:
    target = Target(repository=request.repository or found.repository, number=request.number, head_sha=request.head_sha)
    if found.event == "workflow_run":
        if not (found.head_repository and found.head_branch and found.head_sha):
            raise UsageError("the event of this workflow_run says not which run it follows", hint="GITHUB_EVENT_PATH holds it")
        if found.run_event not in ("pull_request", "pull_request_target"):
            raise UsageError(f"the run that this follows is of no pull request but of '{found.run_event}'", hint=_FOLLOWS)
        return replace(target, head_repository=found.head_repository, head_branch=found.head_branch, head_sha=found.head_sha)
    if request.number is None and found.is_pull:
        return replace(target, number=found.pull_number, head_sha=target.head_sha or found.head_sha)
    return target


_FOLLOWS = "post such a report from the same workflow: promptreg comment FILE --pull N"


def _forge(request: CommentRequest, found: Surroundings) -> str:
    if request.forge:
        return request.forge
    if found.kind in FORGES:
        return found.kind
    raise UsageError("nobody says where the pull request is", hint=f"name it: --to {' or --to '.join(FORGES)}")


def _read(path: Path) -> str:
    """The text of a plain file. UsageError for links, devices, and what is too large or no UTF-8."""
    where = Where(os.fspath(path))
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise UsageError("not a plain file", where=where, hint="the report must be a file itself, no link to one")
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as fault:
        hint = "promptreg check --report comment.md writes it"
        raise UsageError(f"the report cannot be read: {fault.strerror}", where=where, hint=hint) from fault
    with open(handle, "rb") as file:
        content = file.read(LONGEST_FILE + 1)
    if len(content) > LONGEST_FILE:
        raise UsageError(f"the report is larger than {LONGEST_FILE // 2**20} MiB", where=where, hint="check writes shorter ones")
    try:
        return content.decode()
    except UnicodeDecodeError as fault:
        raise UsageError("the report is not UTF-8 text", where=where, hint="check writes UTF-8") from fault
