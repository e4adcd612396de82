"""`promptreg bundle`: one file of resolved prompts for production."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, columns, count, output_options
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.registry import Registry

CONFIGURED = "="  # --sign was given without a key


@click.command("bundle", short_help="Write released prompts into one file for production.")
@click.argument("references", nargs=-1, metavar="[NAME[@SELECTOR]]...", shell_complete=complete_prompts)
@click.option("-o", "--output", "path", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write.")
@click.option("--all-versions", "every", is_flag=True, help="Every release that stands, not only those that something points at.")
@click.option("--working", is_flag=True, help="The working copies of all prompts instead of their releases.")
@click.option(
    "--sign",
    "key",
    is_flag=False,
    flag_value=CONFIGURED,
    default=None,
    metavar="[KEY]",
    help="Write an SSH signature beside it, as FILE.sig. Without KEY: by the SSH key that git is configured for.",
)
@output_options
def command(console: Console, references: tuple[str, ...], path: Path, every: bool, working: bool, key: str | None) -> None:
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
        signing = _key(opened, key)
        bound = bundle(opened, BundleRequest(references=references, every=every, working=working))
    content, digest = packed(bound)
    signature = write_signed(path, content, signing) if signing else None
    if signature is None:
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
            "signature": None if signature is None else str(signature),
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
    if signature is not None:
        console.note(f"wrote {signature}")
    elif (left := signature_path(path)).exists():
        console.note(f"{left} is from before, and may not fit; --sign writes another")


def signature_path(path: Path) -> Path:
    from promptreg.signatures import SUFFIX

    return path.with_name(path.name + SUFFIX)


def _key(opened: Registry, key: str | None) -> str:
    """The key that --sign means; empty without --sign."""
    import os

    from promptreg.core.refs import parse_reference
    from promptreg.registry.signing import ssh_key
    from promptreg.signatures import is_literal

    if key == CONFIGURED:
        return ssh_key(Path.cwd(), os.environ)
    if key is None or is_literal(key) or Path(key).expanduser().is_file():
        return key or ""
    try:
        taken = parse_reference(key).name in opened.prompt_names()
    except UsageError:
        taken = False
    if taken:
        raise UsageError(f"--sign took the prompt '{key}' for a key", hint=f"write {key} first, or --sign=KEY")
    raise UsageError(f"there is no key '{key}'", hint="ssh-keygen -t ed25519 makes one; --sign alone takes git's")


def write_signed(path: Path, content: bytes, key: str) -> Path:
    """Writes *content*, and beside it its signature, whose path is returned; both, or none."""
    from promptreg.signatures import sign

    beside = signature_path(path)
    signature = sign(content, key)
    before = beside.read_bytes() if beside.exists() else None
    write_whole(beside, signature)
    try:
        write_whole(path, content)
    except BaseException:
        if before is None:
            beside.unlink()
        else:
            write_whole(beside, before)
        raise
    return beside


def write_whole(path: Path, content: bytes) -> None:
    """A reader of *path* sees the old file or the new one, whole."""
    import os
    import tempfile

    if path.exists() and not path.is_file():
        raise UsageError(f"{path} is no regular file", hint="name a file: it is replaced as a whole")
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
