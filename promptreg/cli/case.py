"""`promptreg case`: grow golden data, by hand, from a log, or from what a run answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from promptreg.cli.complete import complete_models, complete_suites
from promptreg.cli.console import Console, count, output_options, pairs, printable
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from promptreg.core.canonical import Json
    from promptreg.core.suite import Case


@click.group("case")
def command() -> None:
    """Grow a suite's golden data."""


@command.command("add")
@click.argument("suite", shell_complete=complete_suites)
@click.option("-i", "--input", "inputs", multiple=True, metavar="KEY=VALUE", help="An input; JSON unless declared a string.")
@click.option("--expected", help="The right answer: JSON where it parses as an object, list or number, else text.")
@click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag, for slices.")
@click.option("--id", "case_id", help="The case's id; by default the digest of its inputs.")
@click.option("--from", "log", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Add all rows of a JSONL file.")
@output_options
def add(console: Console, suite: str, log: Path | None, **options: object) -> None:
    """Add a case to SUITE's dataset, or with --from every row of a log.

    A log row is a case row: {"inputs": {…}, "expected": …, "id"?, "tags"?}. Cases that the suite has already, by their
    inputs, are left out.
    """
    from promptreg.cli.world import open_world
    from promptreg.workflow.cases import add_cases, case_by_hand, cases_of_log

    with open_world(console, stored=False) as world:
        if log is not None:
            if any(options.values()):
                raise UsageError("--from takes its cases from the file alone", hint="leave --input, --expected, --tag and --id out")
            cases: Iterable[Case] = cases_of_log(log)
        else:
            given, tags = pairs(_many(options["inputs"]), "--input"), pairs(_many(options["tags"]), "--tag")
            expected = read_expected(options["expected"]) if isinstance(options["expected"], str) else None
            cases = [case_by_hand(world.registry, suite, given, expected, tags, options["case_id"])]  # type: ignore[arg-type]
        added, known = add_cases(world, suite, cases)
    console.data({"schema": "promptreg/case/1", "added": [case.id for case in added], "known": [case.id for case in known]})
    for case in added:
        console.say(f"added {printable(case.id)}")
    if known:
        console.note(f"{count(len(known), 'case')} there already")


@command.command("accept", short_help="Make a model's answer the expected one.")
@click.argument("suite", shell_complete=complete_suites)
@click.argument("case_id")
@click.option("-m", "--model", required=True, shell_complete=complete_models, help="Whose answer becomes the expected one.")
@click.option("-p", "--prompt", help="The prompt that was answered, when the suite has several.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@output_options
def accept(console: Console, suite: str, case_id: str, model: str, prompt: str | None, yes: bool) -> None:
    """Make the answer that MODEL gave in the last run the expected answer of CASE_ID in SUITE."""
    from promptreg.cli.world import open_world
    from promptreg.workflow.cases import accept_answer, known_answer

    with open_world(console) as world:
        case, text = known_answer(world, suite, case_id, model, prompt)
        console.note(f"expected until now: {printable(json.dumps(case.expected, ensure_ascii=False))}")
        console.note(f"answer of {model}: {printable(text)}")
        if not yes:
            click.confirm("Make this the expected answer?", abort=True, err=True)
        accept_answer(world.registry, suite, case, text)
    console.data({"schema": "promptreg/case/1", "accepted": case_id})
    console.say(f"accepted {printable(case_id)}")


def read_expected(text: str) -> Json:
    """JSON objects, lists and numbers as such; anything else is the text itself, also NaN and Infinity, which are no JSON."""
    from promptreg.documents import decode_json

    try:
        value: Json = decode_json(text)
    except ValueError:
        return text
    return text if isinstance(value, str | bool) or value is None else value


def _many(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()
