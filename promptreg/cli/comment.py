"""`promptreg comment`: a report as the one comment of a pull request, or as the one issue of a repository."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.console import Console, output_options
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.comment import Published
    from promptreg.workflow.comment import Letter


@click.command("comment", short_help="Post a report of check on its pull request.")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--pull", type=click.IntRange(1), metavar="N", help="The pull request; by default the one of the CI's event.")
@click.option("--repository", metavar="OWNER/NAME", default="", help="Where it is; by default the CI's own repository.")
@click.option("--to", "forge", metavar="NAME", default="", help="github, gitlab or a plugin's publisher; by default the CI's own.")
@click.option("--head", "head_sha", metavar="SHA", help="Only while the pull request is at this commit.")
@click.option("--issue", is_flag=True, help="FILE is of rot: open or update the one issue that tells what rotted.")
@click.option("--resolved", is_flag=True, help="With --issue: nothing is rotten; close the issue if one is open, and open none.")
@click.option("--dry-run", is_flag=True, help="Print the comment, post nothing.")
@output_options
def command(
    console: Console,
    file: Path,
    pull: int | None,
    repository: str,
    forge: str,
    head_sha: str | None,
    issue: bool,
    resolved: bool,
    dry_run: bool,
) -> None:
    """Post FILE, which `check --report comment.md` wrote, as the one comment of a pull request, or bring that comment up to date.

    FILE may come from a stranger: it is made harmless first, and in a workflow that follows another (workflow_run) the pull request
    is the one that GitHub's event and its API name, never one that the file does. The token is in GITHUB_TOKEN or GITLAB_TOKEN.
    A report of a commit that the pull request has left behind is not posted; that is no error.

    With --issue FILE is what `rot --report rot.md` wrote, and becomes the repository's one open issue of that kind.
    """
    from promptreg import plugins
    from promptreg.core.comment import Published
    from promptreg.core.protocols import PublisherContext
    from promptreg.workflow.comment import CommentRequest, compose, post
    from promptreg.workflow.surroundings import read_surroundings

    found = read_surroundings(os.environ)
    if resolved and not issue:
        raise UsageError("--resolved is about an issue", hint="promptreg comment rot.md --issue --resolved")
    request = CommentRequest(
        path=file, forge=forge, repository=repository, number=pull, head_sha=head_sha, issue=issue, resolved=resolved
    )
    letter = compose(request, found)
    if dry_run:
        console.data(_as_json(letter, Published(deed="withheld", number=letter.target.number or 0)) | {"text": letter.text})
        console.say(letter.text.rstrip("\n"))
        return
    done = post(letter, plugins.load(), PublisherContext(env=os.environ, sleep=time.sleep))
    console.data(_as_json(letter, done))
    console.say(_told(letter, done))


def _told(letter: Letter, done: Published) -> str:
    match done.deed:
        case "posted" | "updated" | "unchanged" | "closed":
            return f"{done.deed} {done.url}"
        case "needless":
            return "nothing is rotten, and no issue is open"
        case "outdated":
            return "not posted: the pull request has moved on, or is closed; its newer report counts"
        case "withheld":
            return f"not posted: {letter.withheld}"


def _as_json(letter: Letter, done: Published) -> dict[str, Json]:
    return {
        "schema": "promptreg/comment/1",
        "deed": done.deed,
        "to": letter.forge,
        "repository": letter.target.repository,
        "issue" if letter.issue else "pull": done.number or None,
        "url": done.url or None,
    }
