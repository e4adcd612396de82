"""What the commands about pulled prompts share: where the cache is, who must have signed, and how changes are shown."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.console import Console, columns
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.lock import Locked
    from promptreg.registry import Registry
    from promptreg.registry.pulling.signatures import Signers
    from promptreg.workflow.pull import Change, Yard

offline_option = click.option("--offline", is_flag=True, help="Ask no source: use what was fetched before.")
signers_option = click.option(
    "--signers",
    "signers",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Who must have signed: SSH allowed signers or armoured GPG keys, instead of those in promptreg.yaml.",
)


def open_yard(console: Console, *, offline: bool = False, signers: Sequence[Path] = (), trusted: str | None = None) -> Yard:
    """The registry here with its cache. Sources and signers are those of the commit *trusted*, or of the working tree."""
    from promptreg import weights
    from promptreg.cli.world import open_registry
    from promptreg.registry import open_revision
    from promptreg.workflow.pull import Yard

    opened = open_registry()
    trust = open_revision(opened, trusted) if trusted else opened
    if trusted:
        opened.settings = trust.settings
    return Yard(
        registry=opened,
        cache=weights.cache_folder(os.environ).parent / "sources",
        env=os.environ,
        signers=_by_files(signers) if signers else _by_settings(trust),
        note=console.note,
        offline=offline,
    )


def _by_files(paths: Sequence[Path]) -> Callable[[str], Signers | None]:
    from promptreg.registry.pulling.signatures import signers_of

    found = signers_of([(str(path), path.read_bytes()) for path in paths])
    return lambda _: found


def _by_settings(trust: Registry) -> Callable[[str], Signers | None]:
    def signers(source: str) -> Signers | None:
        from promptreg.registry.pulling.signatures import signers_of

        named = trust.settings.sources.get(source)
        if named is None or not named.signers:
            return None
        try:
            return signers_of([(trust.snapshot.place(path), trust.snapshot.read(path)) for path in named.signers])
        except UsageError as fault:
            place = trust.settings.place(f"sources.{source}.signers")
            raise UsageError(f"the signers of {source}: {fault.message}", where=place, hint=fault.hint) from fault

    return signers


def described(source: str, each: Locked) -> Mapping[str, Json]:
    """One pulled prompt in JSON."""
    return {
        "source": source,
        "prompt": each.name,
        "selector": each.selector,
        "version": str(each.version),
        "tag": each.tag,
        "tag_object": each.tag_object,
        "commit": each.commit,
        "signer": each.signer,
        "source_digest": each.source_digest,
    }


def show_changes(console: Console, changes: Sequence[Change]) -> None:
    """`promptreg/pull/1`, or a table."""
    console.data(
        {
            "schema": "promptreg/pull/1",
            "prompts": [
                {**described(each.source, each.after), "before": str(each.before.version) if each.before else None}
                for each in changes
            ],
        }
    )
    rows = [
        (f"{each.source}:{each.after.name}", each.after.selector, _step(each), each.after.signer or "not asked") for each in changes
    ]
    console.say(columns(("prompt", "selector", "version", "signed by"), rows) if rows else "nothing was pulled yet")


def _step(change: Change) -> str:
    before, after = change.before, change.after
    return str(after.version) if before is None or before.version == after.version else f"{before.version} -> {after.version}"
