"""`promptreg verify`: whether pulled prompts are what was released, and by whom; and whether a bundle is whole."""

from __future__ import annotations

from pathlib import Path

import click

from promptreg.cli.console import Console, columns, count, output_options
from promptreg.cli.sources import described, offline_option, open_yard, signers_option
from promptreg.errors import UsageError


@click.command("verify", short_help="Check pulled prompts, or a bundle: every byte, tags, signatures.")
@click.argument("bundle", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@signers_option
@click.option(
    "--trusted", metavar="REVISION", help="Take sources and signers from this commit; in CI, the base of the pull request."
)
@offline_option
@output_options
def command(console: Console, bundle: Path | None, signers: tuple[Path, ...], trusted: str | None, offline: bool) -> None:
    """Check everything that was pulled: every byte against promptreg.lock, the lock against the tags, the tags' signatures.

    Exit code 2 when a file was changed, the lock was tampered with, a tag was moved or forged, or its signer is unknown; --json
    says which. Nothing is written.

    With BUNDLE, a file that `promptreg bundle` wrote: its digest, those of its prompts, and with --signers whether one of them
    signed it. That needs no registry.
    """
    from promptreg.workflow.pull import verify

    if bundle is not None:
        if trusted or offline:
            raise UsageError("--trusted and --offline are for pulled prompts", hint="leave out the bundle, or the option")
        _verify_bundle(console, bundle, signers)
        return

    found = verify(open_yard(console, offline=offline, signers=signers, trusted=trusted))
    console.data(
        {
            "schema": "promptreg/verify/1",
            "prompts": [
                {**described(each.source, each.locked), "tag_checked": each.tag, "signed_by": each.signer} for each in found
            ],
        }
    )
    rows = [
        (
            f"{each.source}:{each.locked.name}",
            each.locked.version,
            count(len(each.locked.files), "file"),
            "as locked" if each.tag else "not seen",
            each.signer or "not asked",
        )
        for each in found
    ]
    console.say(columns(("prompt", "version", "files", "tag", "signed by"), rows) if rows else "nothing was pulled yet")


def _verify_bundle(console: Console, path: Path, signers: tuple[Path, ...]) -> None:
    from promptreg.core.bundle import MAX_BYTES, check_behaviour, unpacked
    from promptreg.errors import Where
    from promptreg.runtime.signed import check, signature_beside
    from promptreg.signatures import read_signers

    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    trusted = b"".join(read_signers(each).rstrip(b"\n") + b"\n" for each in signers)
    signer = check(content, signature_beside(path), trusted, str(path)) if signers else None
    found = unpacked(content, str(path))
    if faults := check_behaviour(found, str(path)):
        first = faults[0]
        raise type(first)(first.message, where=first.where or Where(str(path)), hint=first.hint, more=tuple(faults[1:]))
    versions = sum(len(shelf.versions) for shelf in found.shelves.values())
    console.data(
        {
            "schema": "promptreg/verified-bundle/1",
            "path": str(path),
            "digest": found.digest,
            "prompts": len(found.shelves),
            "versions": versions,
            "signed_by": signer,
        }
    )
    console.say(columns(("prompts", "versions", "signed by"), [(str(len(found.shelves)), str(versions), signer or "not asked")]))
    console.say(f"\n{found.digest}")
