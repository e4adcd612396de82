"""`promptreg verify`: are pulled prompts what was released, is a bundle whole, does a release stand on what its tag says?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, columns, count, output_options, printable, show_error
from promptreg.cli.sources import described, offline_option, open_yard, signers_option
from promptreg.errors import ExitCode, PromptregError, TrustError, Unmeasured, UsageError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.workflow.reproof import Reproof


@click.command("verify", short_help="Check pulled prompts, a bundle, or what a release stands on.")
@click.argument("what", required=False, metavar="[BUNDLE | NAME@SELECTOR]", shell_complete=complete_prompts)
@signers_option
@click.option(
    "--trusted", metavar="REVISION", help="Take sources and signers from this commit; in CI, the base of the pull request."
)
@offline_option
@output_options
def command(console: Console, what: str | None, signers: tuple[Path, ...], trusted: str | None, offline: bool) -> int:
    """Check everything that was pulled: every byte against promptreg.lock, the lock against the tags, the tags' signatures.

    Exit code 2 when a file was changed, the lock was tampered with, a tag was moved or forged, or its signer is unknown; --json
    says which. Nothing is written.

    With BUNDLE, a file that `promptreg bundle` wrote: its digest, those of its prompts, and with --signers whether one of them
    signed it. That needs no registry.

    With NAME@SELECTOR, a release of this registry: what its tag says was measured is counted again, from the commit and from the
    answers on the runs branch. Exit code 2 when it differs, 4 when records are missing. No model is asked.
    """
    if what is not None and (trusted or offline):
        raise UsageError("--trusted and --offline are for pulled prompts", hint=f"leave out {what}, or the option")
    if what is None:
        _verify_pulled(console, signers, trusted, offline=offline)
    elif Path(what).is_file():
        _verify_bundle(console, Path(what), signers)
    elif "@" in what:
        if signers:
            raise UsageError(
                "--signers is for pulled prompts and bundles", hint="git verify-tag says who signed a tag of this clone"
            )
        return _verify_release(console, what)
    else:
        raise UsageError(f"'{what}' is no file, and names no release", hint=f"promptreg verify {what}@latest, if it is a prompt")
    return 0


def _verify_pulled(console: Console, signers: tuple[Path, ...], trusted: str | None, *, offline: bool) -> None:
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


def _verify_release(console: Console, reference: str) -> int:
    import time

    from promptreg.cli.world import open_readable
    from promptreg.workflow.records import Desk
    from promptreg.workflow.reproof import reprove
    from promptreg.workflow.runs import archive_of

    with open_readable() as opened:
        release = opened.release(reference)
        found = reprove(opened, archive_of(Desk(registry=opened, now=time.time), console.warn), release)
    console.data(_object(found))
    for line in found.agreed:
        console.say(f"{printable(found.name)}: {printable(line)}")
    faults: list[PromptregError] = [
        TrustError(f"{found.name}: {each}", hint="whoever made the tag, or the record, wrote something else")
        for each in found.differs
    ]
    hint = "promptreg runs fetch brings what others recorded; what was pruned or never pushed is gone"
    faults += [Unmeasured(f"{found.name}: {each}", reason="missing_answers", hint=hint) for each in found.missing]
    for fault in faults:
        show_error(fault, as_json=False)
    return int(faults[0].exit_code if faults else ExitCode.OK)


def _object(found: Reproof) -> dict[str, Json]:
    evidence = found.evidence
    return {
        "schema": "promptreg/verify-release/1",
        "prompt": found.release.name,
        "version": str(found.release.version),
        "commit": found.release.commit,
        "verdict": evidence.verdict if evidence else None,
        "result": found.result,
        "agreed": found.agreed,
        "differs": found.differs,
        "missing": found.missing,
    }
