"""`promptreg release`: a version of a prompt, as a tag that keeps what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from promptreg.cli.acting import act, act_options, told
from promptreg.cli.complete import complete_prompts
from promptreg.cli.console import Console, columns, count, printable, show_error
from promptreg.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from promptreg.core.canonical import Json
    from promptreg.workflow.check.request import Ground
    from promptreg.workflow.events import Act
    from promptreg.workflow.gated import Proof
    from promptreg.workflow.release import Planned, ReleaseRequest
    from promptreg.workflow.world import World

SCHEMA = "promptreg/release/1"


@click.command("release", short_help="Release a prompt, or all that changed.")
@click.argument("name", required=False, shell_complete=complete_prompts)
@click.option("--affected", is_flag=True, help="Release every prompt that changed since its last release, or has none.")
@click.option("--bump", type=click.Choice(["major", "minor", "patch"]), help="The step to take; too small a one is refused.")
@click.option("--version", "version_text", metavar="X.Y.Z", help="The version to release; too low a one is refused.")
@click.option("-m", "--message", help="What the tag says to people.")
@click.option("--no-gate", metavar="REASON", help="Ask no gate, for this reason; the tag says it.")
@click.option("--dry-run", is_flag=True, help="Say what would be released and what its gate would call; ask and make nothing.")
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
) -> int:
    """Release the prompt NAME as HEAD holds it: an annotated tag NAME@vX.Y.Z with the evidence.

    What changed since the last release decides the smallest step: major when callers must change (an input removed, required
    or retyped, a field of the answer lost), minor for new optional inputs and new fields of the answer, patch for texts.
    Uncommitted changes and findings of lint are refused.

    It must be shown to be no worse than the last release, by every suite that tests it; a first release must hold the floors of
    its suites. Exit code 1: it is worse; 4: there is too little evidence, or none.
    """
    from promptreg.cli.world import open_ground
    from promptreg.core.change import BUMPS
    from promptreg.core.semver import parse_version
    from promptreg.workflow.release import ReleaseRequest, plan_release

    _refuse_odd_options(name, affected, bump, version_text, push)
    request = ReleaseRequest(
        name=name or "",
        bump=BUMPS[bump] if bump else None,
        version=parse_version(version_text.removeprefix("v")) if version_text else None,
        text=_given(message, "--message"),
        no_gate=_given(no_gate, "--no-gate"),
    )
    with open_ground(console, stored=not request.no_gate) as ground:
        doing = act(ground.registry, push, sign=sign)
        planned = plan_release(_world(ground), request, doing)
        if dry_run:
            return _tell_plan(console, ground, planned, request)
        return _make(console, ground, planned, request, doing)


def _world(ground: Ground) -> World:
    """The world of lint: the working tree, which is HEAD's."""
    from promptreg.workflow.world import World

    root = ground.registry.root
    return World(
        registry=ground.registry,
        plugins=ground.open_plugins(ground.registry, root),
        store=None,
        env=ground.env,
        now=ground.now,
        weights=lambda name: ground.weights(name, root),
        progress=ground.progress,
    )


def _tell_plan(console: Console, ground: Ground, planned: tuple[Planned, ...], request: ReleaseRequest) -> int:
    from promptreg.workflow.gated import plan_gate
    from promptreg.workflow.release import candidate

    plans = {} if request.no_gate else {each.tag: plan_gate(ground, candidate(each)) for each in planned}
    rows: list[Json] = [
        {**_object(each, {}, None), "plan": plans[each.tag].as_json() if each.tag in plans else None} for each in planned
    ]
    console.data({"schema": SCHEMA, "dry_run": True, "pushed": None, "refused": [], "releases": rows})
    _say(console, planned, changes=bool(request.name))
    for tag, plan in plans.items():
        asks = f"make {count(plan.to_make, 'call')} at most" if plan.to_make else "ask nobody"
        console.note(f"{tag}: its gate would {asks}")
    console.note(f"{count(len(planned), 'release')} would be made; nothing was")
    return 0


def _make(console: Console, ground: Ground, planned: tuple[Planned, ...], request: ReleaseRequest, doing: Act) -> int:
    from promptreg.core.verdict import Verdict
    from promptreg.workflow.records import open_archive
    from promptreg.workflow.release import prove, release

    proofs = {} if request.no_gate else prove(ground, planned)
    refused = [refusal for proof in proofs.values() for refusal in proof.refusals]
    made: Mapping[str, str] = {}
    if not refused:
        archive = open_archive(ground, note=console.warn)
        if doing.remote and archive is not None and any(proof.measured for proof in proofs.values()):
            archive.branch.push(doing.remote)  # before the tags: they cite what it holds
        made = release(ground.registry, planned, request, doing, proofs)
    console.data(
        {
            "schema": SCHEMA,
            "dry_run": False,
            "pushed": (doing.remote or None) if made else None,
            "refused": [each.as_json() for each in refused],
            "releases": [_object(each, made, proofs.get(each.tag)) for each in planned],
        }
    )
    _say(console, planned, changes=bool(request.name), proofs=proofs)
    if refused:
        for each in refused:
            show_error(UsageError(each.message, hint=each.hint), as_json=False)
        console.note("no release was made")
        return int(ExitCode.REGRESSION if any(each.verdict is Verdict.FAIL for each in refused) else ExitCode.UNMEASURED)
    console.note(f"{count(len(planned), 'release')} made")
    told(console, made, doing)
    return 0


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


def _say(console: Console, planned: tuple[Planned, ...], *, changes: bool, proofs: Mapping[str, Proof] | None = None) -> None:
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
    for tag, proof in (proofs or {}).items():
        if not proof.refusals:
            console.say(f"  {printable(tag)}: {proof.verdict}{_measured(proof)}")


def _measured(proof: Proof) -> str:
    """`; triage on big: 0.95 of 80, drop 0.0 points`, for each gate."""
    parts = []
    for each in proof.measured:
        score = "" if each.score is None else f" {each.score:.4g} of {each.n:,}"
        drop = "" if each.drop is None else f", drop {100 * each.drop:.1f} points"
        parts.append(f"; {printable(each.suite)} on {printable(each.model)}:{score}{drop}")
    return "".join(parts)


def _why(planned: Planned) -> str:
    if planned.change is None:
        return "it has no release yet"
    if not planned.change.reasons:
        return "nothing that a model or a caller sees changed"
    more = len(planned.change.reasons) - 1
    return planned.change.reasons[0].message + (f" (and {more} more)" if more else "")


def _object(planned: Planned, made: Mapping[str, str], proof: Proof | None) -> dict[str, Json]:
    from promptreg.documents.evidence import measurement_as_json

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
        "verdict": proof.verdict if proof else "none",
        "accepted": (proof.accepted or None) if proof else None,
        "measured": [measurement_as_json(each) for each in proof.measured] if proof else [],
        "gates": list(proof.gates) if proof else [],
    }
