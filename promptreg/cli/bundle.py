"""`promptreg bundle`: one file of resolved prompts for production."""

from __future__ import annotations

from pathlib import Path

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, columns, count, output_options
from promptreg.errors import UsageError


@click.command("bundle", short_help="Write released prompts into one file for production.")
@click.argument("references", nargs=-1, metavar="[NAME[@SELECTOR]]...", shell_complete=complete_prompts)
@click.option("-o", "--output", "path", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--all-versions", "every", is_flag=True, help="Every release that stands, not only those that something points at.")
@click.option("--working", is_flag=True, help="The working copies of all prompts instead of their releases.")
@output_options
def command(console: Console, references: tuple[str, ...], path: Path, every: bool, working: bool) -> None:
    """Write prompts, resolved and digested, into one file that `promptreg.runtime` reads without Git.

    NAME@SELECTOR is a release, NAME alone the working copy. Without any: of each released prompt, the versions that its labels,
    `latest` and `greatest` mean.
    """
    from promptreg.cli.world import open_readable
    from promptreg.core.bundle import packed
    from promptreg.workflow.bundle import BundleRequest, bundle

    if references and (every or working):
        raise UsageError("--all-versions and --working are for all prompts", hint="leave out the references, or the option")
    if every and working:
        raise UsageError("working copies have no versions", hint="choose --all-versions or --working")
    with open_readable() as opened:
        bound = bundle(opened, BundleRequest(references=references, every=every, working=working))
    content, digest = packed(bound)
    write_whole(path, content)
    rows = [
        (name, str(each.version or "working copy"), ", ".join(key for key, at in shelf.labels.items() if at == each.version))
        for name, shelf in bound.shelves.items()
        for each in shelf.versions
    ]
    console.data(
        {
            "schema": "promptreg/bundled/1",
            "path": str(path),
            "digest": digest,
            "bytes": len(content),
            "prompts": [
                {"name": name, "version": str(each.version) if each.version else None, "behaviour": each.behaviour}
                for name, shelf in bound.shelves.items()
                for each in shelf.versions
            ],
        }
    )
    console.say(columns(("prompt", "version", "labels"), rows))
    console.say(f"\n{digest}")
    console.note(f"wrote {path}: {count(len(rows), 'prompt')}, {len(content):,} bytes")


def write_whole(path: Path, content: bytes) -> None:
    """A reader of *path* sees the old file or the new one, whole."""
    import os
    import tempfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(part, 0o644)  # mkstemp's are for the owner alone, and servers run as somebody else
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
