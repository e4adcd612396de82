"""`promptreg release`: a version of a prompt, as a tag that keeps what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.acting import act, act_options, told
from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, columns, count, printable
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptreg.core.canonical import Json
    from promptreg.workflow.release import Planned


@click.command("release", short_help="Release a prompt, or all that changed.")
@click.argument("name", required=False, shell_complete=complete_prompts)
@click.option("--affected", is_flag=True, help="Release every prompt that changed since its last release, or has none.")
@click.option("--bump", type=click.Choice(["major", "minor", "patch"]), help="The step to take; too small a one is refused.")
@click.option("--version", "version_text", metavar="X.Y.Z", help="The version to release; too low a one is refused.")
@click.option("-m", "--message", help="What the tag says to people.")
@click.option("--no-gate", metavar="REASON", help="Why no gate had to judge; recorded in the tag.")
@click.option("--dry-run", is_flag=True, help="Say what would be released, and make nothing.")
@act_options
def command(
    console: Console,
    name: str | None,
    affected: bool,
    bump: str | None,
    version_text: str | None,
    message: str | None,
    no_gate: str | None,
    dry_run: bool,
    sign: bool,
    push: str | None,
) -> None:
    """Release the prompt NAME as HEAD holds it: an annotated tag NAME@vX.Y.Z with the evidence.

    What changed since the last release decides the smallest step: major when callers must change (an input removed, required
    or retyped, a field of the answer lost), minor for new optional inputs and new fields of the answer, patch for texts.
    Uncommitted changes and findings of lint are refused.
    """
    from promptreg.cli.world import open_world
    from promptreg.core.change import BUMPS
    from promptreg.core.semver import parse_version
    from promptreg.workflow.release import ReleaseRequest, plan_release, release

    _refuse_odd_options(name, affected, bump, version_text, push)
    request = ReleaseRequest(
        name=name or "",
        bump=BUMPS[bump] if bump else None,
        version=parse_version(version_text.removeprefix("v")) if version_text else None,
        text=_given(message, "--message"),
        no_gate=_given(no_gate, "--no-gate"),
    )
    with open_world(console, stored=False) as world:
        doing = act(world.registry, push, sign=sign)
        planned = plan_release(world, request, doing)
        made = {} if dry_run else release(world.registry, planned, request, doing)
    console.data(
        {
            "schema": "promptreg/release/1",
            "dry_run": dry_run,
            "pushed": doing.remote or None,
            "releases": [_object(each, made) for each in planned],
        }
    )
    _say(console, planned, changes=bool(name))
    if dry_run:
        console.note(f"{count(len(planned), 'release')} would be made; nothing was")
    else:
        console.note(f"{count(len(planned), 'release')} made")
        told(console, made, doing)


def _refuse_odd_options(name: str | None, affected: bool, bump: str | None, version: str | None, push: str | None) -> None:
    if affected and (name or bump or version):
        raise UsageError("--affected chooses prompts and steps itself", hint="leave out NAME, --bump and --version, or --affected")
    if not affected and not name:
        hint = f"promptreg release NAME --push={push}" if push and push != "=" else "or --affected for all that changed"
        raise UsageError("name a prompt", hint=hint)
    if bump and version:
        raise UsageError("--bump and --version say the same thing twice", hint="choose one")


def _given(text: str | None, option: str) -> str:
    """*text*; an option that was given must say something."""
    if text is not None and not text.strip():
        raise UsageError(f"{option} is empty", hint="say it in a few words")
    return text or ""


def _say(console: Console, planned: tuple[Planned, ...], *, changes: bool) -> None:
    if not planned:
        console.say("Every prompt behaves as its last release does.")
        return
    rows = [
        (each.name, str(each.previous.version) if each.previous else "–", str(each.version), each.floor, _why(each))
        for each in planned
    ]
    console.say(columns(("prompt", "from", "to", "change", "because"), rows))
    if changes:
        for reason in planned[0].change.reasons if planned[0].change else ():
            console.say(f"  {reason.bump}: {printable(reason.message)}")


def _why(planned: Planned) -> str:
    if planned.change is None:
        return "it has no release yet"
    if not planned.change.reasons:
        return "nothing that a model or a caller sees changed"
    more = len(planned.change.reasons) - 1
    return planned.change.reasons[0].message + (f" (and {more} more)" if more else "")


def _object(planned: Planned, made: Mapping[str, str]) -> dict[str, Json]:
    return {
        "prompt": planned.name,
        "version": str(planned.version),
        "previous": str(planned.previous.version) if planned.previous else None,
        "change": planned.floor,
        "reasons": [reason.as_json() for reason in planned.change.reasons] if planned.change else [],
        "tag": planned.tag,
        "object": made.get(planned.tag),
        "commit": planned.resolution.commit,
        "behaviour": planned.resolution.behaviour,
        "source": planned.resolution.source,
    }
