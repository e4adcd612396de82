"""`promptreg diff`: how two states of a prompt differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_prompts, complete_suites
from promptreg.cli.console import Console, count, output_options, printable
from promptreg.errors import ExitCode

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.diff import Piece
    from promptreg.core.difference import Change, TextChange
    from promptreg.workflow.diff import Compared, Rendered

MARKS = {"same": ("", ""), "gone": ("[-", "-]"), "new": ("{+", "+}")}  # as `git diff --word-diff` and the reports write them
COLOURS = {"gone": "red", "new": "green"}
SIGNS = {"added": "+", "removed": "-", "changed": "~"}
SHOWN = 3
PARTS = ("about", "inputs", "params", "output", "tools")


@click.command("diff", short_help="Show how two versions of a prompt differ.")
@click.argument("one", metavar="A", shell_complete=complete_prompts)
@click.argument("other", metavar="[B]", required=False, shell_complete=complete_prompts)
@click.option("--rendered", "suite", metavar="SUITE", shell_complete=complete_suites, help="Render this suite's cases, too.")
@click.option("-n", "--number", "show", default=SHOWN, show_default=True, type=click.IntRange(0), help="Cases shown of --rendered.")
@output_options
def command(console: Console, one: str, other: str | None, suite: str | None, show: int) -> int:
    """Show how the prompts A and B (NAME[@SELECTOR], or @SELECTOR for the same name) differ. Without B: the working copy.

    What a prompt says of itself is told apart from what a model could notice, with the version step (major, minor, patch) that this
    asks for. Messages are compared word by word, as they read with their partials in place. NAME alone compares the last commit
    with the working copy. With --rendered, also the messages that a model would get for each case.

    Exit code 0 when they are the same but for comments and layout, 1 when they differ, 2 for an error.
    """
    from promptreg.cli.world import open_readable
    from promptreg.workflow.diff import diff

    with open_readable() as opened:
        found = diff(opened, one, other, suite=suite, show=show)
    console.data(_as_json(found))
    for line in _lines(found):
        console.say(line)
    if not found.any:
        console.note(f"{found.before} and {found.after} are the same")
    return ExitCode.REGRESSION if found.any else ExitCode.OK


def _lines(found: Compared) -> Iterator[str]:
    """The whole answer, as lines; none when nothing differs."""
    difference = found.difference
    if found.any:
        yield click.style(f"{printable(str(found.before))} → {printable(str(found.after))}", bold=True)
        yield f"behaviour: different ({found.step})" if difference.behaviour else "behaviour: the same"
    for part in PARTS:
        changes: Sequence[Change] = getattr(difference, part)
        if changes:
            yield f"\n{click.style(part, bold=True)}"
            yield from map(_change, changes)
    for text in difference.messages:
        yield from _text(f"{_number(text)} {text.name}", text)
    for text in difference.partials:
        yield from _text(f"partial {text.name}", text)
    if difference.moved:
        yield "\nthe texts are the same with their partials in place: text moved between files"
    if found.rendered is not None:
        yield from _rendered(found.rendered)


def _change(change: Change) -> str:
    values = [_value(value) for kind, value in (("added", change.before), ("removed", change.after)) if kind != change.kind]
    return f"  {SIGNS[change.kind]} {printable(change.key)}: {' → '.join(values)}"


def _value(value: Json) -> str:
    import json

    return printable(json.dumps(value, ensure_ascii=False))


def _number(text: TextChange) -> str:
    if text.before and text.after and text.before != text.after:
        return f"message {text.before} → {text.after}"
    return f"message {text.before or text.after}"


def _text(title: str, text: TextChange) -> Iterator[str]:
    from promptreg.core.diff import focused

    word = "" if text.kind == "changed" else f" ({text.kind})"
    yield f"\n{click.style(printable(title) + word, bold=True)}"
    for line in _drawn(focused(text.pieces)).split("\n"):
        yield f"  {line}"


def _drawn(pieces: Sequence[Piece]) -> str:
    """Pieces with their marks; a colour never runs over the end of a line."""
    from promptreg.core.excerpt import visible

    out = ""
    for piece in pieces:
        before, after = MARKS[piece.kind]
        marked = before + visible(piece.text) + after
        out += "\n".join(click.style(line, fg=COLOURS.get(piece.kind)) if line else "" for line in marked.split("\n"))
    return out


def _rendered(rendered: Rendered) -> Iterator[str]:
    yield f"\n{click.style(f'rendered over {printable(rendered.suite)}', bold=True)}"
    yield f"  {count(rendered.cases, 'case')}: {rendered.different:,} differ, {rendered.same:,} are the same"
    if rendered.one_side:
        yield f"  {count(rendered.one_side, 'case')} only one of the two can render"
    if rendered.neither:
        yield f"  {count(rendered.neither, 'case')} neither can render"
    for case in rendered.shown:
        yield f"\n{click.style(printable(case.case), bold=True)}  {printable(case.where)}"
        if case.problem:
            yield f"  {printable(case.problem)}"
        for text in case.changes:
            yield from _text(f"{_number(text)} {text.name}", text)
    if more := rendered.different + rendered.one_side - len(rendered.shown):
        yield f"\n{count(more, 'more case')}: -n {len(rendered.shown) + more} shows all"


def _as_json(found: Compared) -> dict[str, Json]:
    difference = found.difference
    parts: dict[str, Json] = {part: [_change_json(change) for change in getattr(difference, part)] for part in PARTS}
    return {
        "schema": "promptreg/diff/1",
        "before": str(found.before),
        "after": str(found.after),
        "different": found.any,
        "behaviour": "different" if difference.behaviour else "same",
        "step": str(found.step),
        **parts,
        "messages": [_text_json(text) for text in difference.messages],
        "partials": [_text_json(text) for text in difference.partials],
        "rendered": None if found.rendered is None else _rendered_json(found.rendered),
    }


def _change_json(change: Change) -> Json:
    return {"kind": change.kind, "key": change.key, "before": change.before, "after": change.after}


def _text_json(text: TextChange) -> Json:
    pieces: list[Json] = [{"kind": piece.kind, "text": piece.text} for piece in text.pieces]
    return {"kind": text.kind, "name": text.name, "before": text.before or None, "after": text.after or None, "pieces": pieces}


def _rendered_json(rendered: Rendered) -> Json:
    return {
        "suite": rendered.suite,
        "cases": rendered.cases,
        "same": rendered.same,
        "different": rendered.different,
        "one_side": rendered.one_side,
        "neither": rendered.neither,
        "shown": [
            {
                "case": case.case,
                "where": case.where,
                "problem": case.problem or None,
                "changes": [_text_json(text) for text in case.changes],
            }
            for case in rendered.shown
        ],
    }
