"""`promptreg verify`: whether pulled prompts are what was released, and by whom."""

from __future__ import annotations

from pathlib import Path

import click

from promptreg.cli.console import Console, columns, count, output_options
from promptreg.cli.sources import described, offline_option, open_yard, signers_option


@click.command("verify", short_help="Check pulled prompts against lock, tags and signatures.")
@signers_option
@click.option(
    "--trusted", metavar="REVISION", help="Take sources and signers from this commit; in CI, the base of the pull request."
)
@offline_option
@output_options
def command(console: Console, signers: tuple[Path, ...], trusted: str | None, offline: bool) -> None:
    """Check everything that was pulled: every byte against promptreg.lock, the lock against the tags, the tags' signatures.

    Exit code 2 when a file was changed, the lock was tampered with, a tag was moved or forged, or its signer is unknown; --json
    says which. Nothing is written.
    """
    from promptreg.workflow.pull import verify

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
