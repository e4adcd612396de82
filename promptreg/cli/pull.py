"""`promptreg pull`: prompts of other registries, at released versions, bound by a lock."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.console import Console, output_options
from promptreg.cli.sources import offline_option, open_yard, show_changes, signers_option
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.workflow.pull import Yard


@click.command("pull", short_help="Pull released prompts from other registries.")
@click.argument("url", required=False, metavar="[URL|SOURCE")
@click.argument("references", nargs=-1, metavar="NAME[@SELECTOR]...]")
@click.option("--as", "source", metavar="SOURCE", help="What to call the source; made of its address unless said.")
@click.option("--locked", is_flag=True, help="Exactly what promptreg.lock says; fail if anything differs.")
@offline_option
@signers_option
@output_options
def command(
    console: Console,
    url: str | None,
    references: tuple[str, ...],
    source: str | None,
    locked: bool,
    offline: bool,
    signers: tuple[Path, ...],
) -> None:
    """Pull prompts from the registry at URL (https, ssh, file, or the path of a repository), or from a known SOURCE.

    They lie below prompts/vendor/ with the partials they include, are named SOURCE:NAME, and promptreg.lock binds every byte of
    them to the tag. Without a selector the latest release comes. Without URL all that the lock names comes again, as it names it.
    """
    from promptreg.workflow.pull import pull, pull_again

    if url is None:
        if source is not None:
            raise UsageError("--as names a new source", hint="promptreg pull URL NAME --as SOURCE")
        show_changes(console, pull_again(open_yard(console, offline=offline, signers=signers), locked=locked))
        return
    if locked:
        raise UsageError("--locked is for everything in the lock", hint="promptreg pull --locked")
    wanted = [_wanted(reference) for reference in references]
    if not wanted:
        raise UsageError("which prompt?", hint="promptreg pull URL NAME@1.4.0; git ls-remote --tags URL shows what there is")
    yard = open_yard(console, offline=offline, signers=signers)
    name, address = _source(yard, url, source)
    show_changes(console, pull(yard, name, address, wanted))


def _wanted(reference: str) -> tuple[str, str]:
    from promptreg.core.lock import check_selector
    from promptreg.core.refs import parse_reference

    asked = parse_reference(reference)
    if asked.source:
        raise UsageError(f"'{reference}' names a source twice", hint="promptreg pull SOURCE NAME@SELECTOR")
    selector = "latest" if asked.selector is None else str(asked.selector)
    check_selector(selector)
    return asked.name, selector


def _source(yard: Yard, given: str, name: str | None) -> tuple[str, str]:
    """The source's name and address: one that is known by either, or a new one."""
    from promptreg.core.sources import check_source_name, check_url, name_for

    lock = yard.vendored().lock
    known = {each: yard.url(each, lock) for each in (*lock.sources, *yard.registry.settings.sources)}
    if given in known:
        if name not in (None, given):
            raise UsageError(f"'{given}' has a name", hint="--as names a new source")
        return given, known[given]
    address = _from_root(check_url(given), yard.registry.root)
    name = name or next((each for each, url in known.items() if url == address), None) or name_for(address)
    check_source_name(name)
    if known.get(name, address) != address:
        raise UsageError(f"'{name}' is the source at {known[name]}", hint="name the new one: --as NAME")
    return name, address


def _from_root(url: str, root: Path) -> str:
    """A relative path is typed from here, and kept as seen from promptreg.yaml."""
    from promptreg.core.sources import is_local

    if not is_local(url) or url.startswith("file://") or os.path.isabs(url):
        return url
    return os.path.relpath(Path.cwd() / url, root)
