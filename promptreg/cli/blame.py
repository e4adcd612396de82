"""`promptreg blame`: who last changed each line of a prompt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, output_options, printable
from promptreg.cli.dates import date, iso

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.registry.blame import Line

AUTHOR = 16  # columns


@click.command("blame", short_help="Show who last changed each line of a prompt.")
@click.argument("name", metavar="NAME[@SELECTOR]", shell_complete=complete_prompts)
@output_options
def command(console: Console, name: str) -> None:
    """Show who last changed each line of the prompt NAME and of the partials it includes, in its working copy or at a version.

    A commit that begins with ^ is where history ends.
    """
    from promptreg.cli.world import open_readable
    from promptreg.workflow.blame import blame

    with open_readable() as opened:
        files = blame(opened, name)
        shallow = opened.history.git.is_shallow
    console.data(
        {
            "schema": "promptreg/blame/1",
            "prompt": name,
            "files": [{"path": file.path, "lines": [_as_json(line) for line in file.lines]} for file in files],
            "shallow": shallow,
        }
    )
    for file in files:
        console.say(click.style(printable(file.path), bold=True))
        width = len(str(len(file.lines)))
        for line in file.lines:
            console.say(_line(line, width))
    if shallow:
        from promptreg.registry.plumbing import SHALLOW_HINT

        console.note(f"this clone is shallow: lines may be older than shown; {SHALLOW_HINT}")


def _line(line: Line, width: int) -> str:
    origin = line.origin
    if not origin.commit:
        head = click.style(f"{'not committed':<{11 + AUTHOR + 18}}", fg="yellow")
    else:
        mark = "^" if origin.boundary else " "
        author = printable(origin.author)[:AUTHOR]
        head = click.style(f"{mark}{origin.commit[:8]}  {author:<{AUTHOR}}  {date(origin.time)}", dim=True)
    return f"{head}  {line.number:>{width}}  {printable(line.text)}".rstrip()


def _as_json(line: Line) -> dict[str, Json]:
    origin = line.origin
    return {
        "line": line.number,
        "text": line.text,
        "commit": origin.commit or None,
        "author": origin.author,
        "email": origin.email,
        "time": iso(origin.time) if origin.commit else None,
        "subject": origin.subject,
        "boundary": origin.boundary,
    }
