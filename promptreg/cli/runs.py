"""`promptreg runs`: what was measured, as the runs branch holds it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models, complete_prompts, complete_suites
from promptreg.cli.console import Console, columns, count, json_text, output_options

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.records import Acceptance, Kept, Record, VerdictRecord
    from promptreg.workflow.records import Archive, Desk
    from promptreg.workflow.runs import Recording

SHOWN = 20
DEFAULT = "="  # no remote can be called so: --push was given without one


@click.group("runs", short_help="Recorded measurements: the runs branch.")
def command() -> None:
    """Measurements that are recorded in Git, on a branch of their own: baseline, shared answers, history."""


@command.command("list", short_help="List what is recorded, newest first.")
@click.argument("prompt", required=False, default="", shell_complete=complete_prompts)
@click.option("--suite", default="", shell_complete=complete_suites, help="Only of this suite.")
@click.option("-m", "--model", default="", shell_complete=complete_models, help="Only of this model.")
@click.option("-n", "--number", "limit", default=SHOWN, show_default=True, type=click.IntRange(0), help="How many; 0: all.")
@click.option("--verdicts", is_flag=True, help="List verdicts and accepted drops instead.")
@output_options
def listing(console: Console, prompt: str, suite: str, model: str, limit: int, *, verdicts: bool) -> None:
    """List what is recorded, newest first; only of PROMPT, if one is named."""
    from promptreg.workflow.runs import Wanted, judgements, recordings

    wanted = Wanted(suite=suite, prompt=prompt, model=model, limit=limit)
    with _opened(console) as (_, archive):
        if verdicts:
            _list_verdicts(console, judgements(archive, wanted))
            return
        found, total = recordings(archive, wanted)
    console.data({"schema": "promptreg/runs/1", "total": total, "runs": [_as_json(each) for each in found]})
    if not found:
        console.note(f"nothing is recorded on {archive.branch.name}: promptreg run --runs write, or promptreg runs fetch")
        return
    console.say(columns(("id", "suite", "prompt", "model", "purpose", "n", "passed", "when", "by"), map(_row, found)))
    if total > len(found):
        console.note(f"there are {total - len(found):,} more: -n 0 shows all")


@command.command("show", short_help="Show one record, or one verdict.")
@click.argument("record", metavar="ID")
@output_options
def show(console: Console, record: str) -> None:
    """Show the record, verdict or acceptance ID: an id of `runs list`, the beginning of one, or a path on the branch."""
    import json

    from promptreg.core.records import Record, encode
    from promptreg.workflow.runs import one

    with _opened(console) as (_, archive):
        path, value = one(archive, record)
    head, *rest = encode(value)[1].splitlines()
    header: dict[str, Json] = json.loads(head)
    schema = header.pop("schema")
    told = {"schema": schema, "path": path, **header}
    if isinstance(value, Record):
        console.data({**told, "answers": [json.loads(line) for line in rest]})
    else:
        console.data(told)
    console.say(_told(path, header, value))


@command.command("prune", short_help="Drop old records.")
@click.option("--keep-days", "days", type=click.FloatRange(min=0), help="Keep what is younger than so many days.")
@click.option("--keep-per-cell", "per_cell", type=click.IntRange(min=0), help="Keep the newest N of each suite, prompt and model.")
@click.option("--reason", default="", help="Why, for the manifest.")
@click.option("--dry-run", is_flag=True, help="Say what would be dropped, and stop.")
@click.option(
    "--push",
    is_flag=False,
    flag_value=DEFAULT,
    default=None,
    metavar="[REMOTE]",
    help="Push the pruned branch. Without REMOTE: to origin.",
)
@output_options
def prune(console: Console, days: float | None, per_cell: int | None, reason: str, push: str | None, *, dry_run: bool) -> None:
    """Begin the branch anew without old records: those that neither --keep-days nor --keep-per-cell keeps.

    Verdicts, accepted drops and what a release cites always stay. A manifest on the branch says what was dropped, so that clones
    that still have it do not bring it back.
    """
    from promptreg.workflow.runs import Keeping
    from promptreg.workflow.runs import prune as prune_runs

    with _opened(console) as (desk, archive):
        done = prune_runs(desk, archive, Keeping(days=days, per_cell=per_cell, reason=reason), dry_run=dry_run)
        if push is not None and not dry_run:
            archive.branch.push("" if push == DEFAULT else push)
    console.data(
        {
            "schema": "promptreg/pruning/1",
            "dry_run": dry_run,
            "dropped": list(done.dropped),
            "kept": done.kept,
            "cited": done.cited,
        }
    )
    if not console.quiet:
        for path in done.dropped:
            console.say(path)
    cited = f" ({done.cited:,} because a release cites {'it' if done.cited == 1 else 'them'})" if done.cited else ""
    drop, keep = ("would drop", "keep") if dry_run else ("dropped", "kept")
    console.say(f"{drop} {count(len(done.dropped), 'record')}, {keep} {done.kept:,}{cited}")
    if done.dropped and not dry_run and push is None:
        console.note("publish with: promptreg runs push")


@command.command("fetch", short_help="Bring the records of others.")
@click.argument("remote", required=False, default="")
@output_options
def fetch(console: Console, remote: str) -> None:
    """Bring what REMOTE (origin by default) has recorded."""
    with _opened(console) as (_, archive):
        new = archive.branch.fetch(remote)
    console.data({"schema": "promptreg/runs-fetched/1", "branch": archive.branch.name, "new": new})
    console.say(f"{count(new, 'new record')} from {remote or 'origin'}")


@command.command("push", short_help="Give others your records.")
@click.argument("remote", required=False, default="")
@output_options
def push(console: Console, remote: str) -> None:
    """Send what is recorded here to REMOTE (origin by default), joined with what is there. Others may push at the same time."""
    with _opened(console) as (_, archive):
        new = archive.branch.push(remote)
    console.data({"schema": "promptreg/runs-pushed/1", "branch": archive.branch.name, "new": new})
    console.say(f"{count(new, 'new record')} to {remote or 'origin'}")


@contextmanager
def _opened(console: Console) -> Iterator[tuple[Desk, Archive]]:
    import time

    from promptreg.cli.world import open_readable
    from promptreg.workflow.records import Desk
    from promptreg.workflow.runs import archive_of

    with open_readable() as opened:
        desk = Desk(registry=opened, now=time.time)
        yield desk, archive_of(desk, console.warn)


# how it is shown -------------------------------------------------------------------------------------------------------------


def _row(each: Recording) -> tuple[object, ...]:
    cell = each.header.cell
    rate = f"{each.passed / each.measured:.1%}" if each.measured else "–"
    when = each.header.created.replace("T", " ")[:16]
    return each.id[:8], cell.suite, cell.prompt, cell.alias, each.header.purpose, each.n, rate, when, each.header.author


def _as_json(each: Recording) -> dict[str, Json]:
    header, cell = each.header, each.header.cell
    return {
        "id": each.id,
        "path": each.path,
        "suite": cell.suite,
        "prompt": cell.prompt,
        "model": cell.alias,
        "behaviour": cell.behaviour,
        "identity": cell.identity,
        "purpose": header.purpose,
        "retention": header.retention,
        "n": each.n,
        "measured": each.measured,
        "pass_rate": each.passed / each.measured if each.measured else None,
        "created": header.created,
        "author": header.author,
    }


def _list_verdicts(console: Console, found: list[tuple[str, VerdictRecord | Acceptance]]) -> None:
    from promptreg.workflow.runs import identifier

    rows = []
    told: list[Json] = []
    for path, value in found:
        verdict = getattr(value, "verdict", None) if hasattr(value, "gate") else "accepted"
        row = (identifier(path), str(verdict), value.suite, value.prompt, value.model, value.created, value.author)
        told.append(
            {**dict(zip(("id", "verdict", "suite", "prompt", "model", "created", "author"), row, strict=True)), "path": path}
        )
        rows.append((row[0][:8], *row[1:5], value.created.replace("T", " ")[:16], value.author))
    console.data({"schema": "promptreg/runs/1", "verdicts": told})
    if rows:
        console.say(columns(("id", "verdict", "suite", "prompt", "model", "when", "by"), rows))
    else:
        console.note("no verdict is recorded")


def _told(path: str, header: dict[str, Json], value: Kept) -> str:
    from promptreg.core.records import Record

    facts = [("path", path), *((key, _plain(item)) for key, item in header.items() if item not in ("", [], {}, None))]
    text = columns(("", ""), facts)
    return f"{text}\n\n{_cases(value)}" if isinstance(value, Record) and value.answers else text


def _cases(record: Record) -> str:
    from promptreg.core.excerpt import one_line

    rows = []
    for answer in record.answers:
        said = answer.completion.text if answer.completion and answer.completion.text else answer.content or ""
        held = answer.failure or {True: "passed", False: "failed", None: "–"}[answer.passed]
        score = "–" if answer.score is None else f"{answer.score:.3g}"
        rows.append((answer.case, answer.slot, held, score, one_line(said, 60)))
    return columns(("case", "slot", "", "score", "answer"), rows)


def _plain(item: Json) -> str:
    return item if isinstance(item, str) else json_text(item).replace("\n", " ")
