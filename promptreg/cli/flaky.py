"""`promptreg flaky`: which cases pass only sometimes, and whether it is the answers or their judge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import click

from promptreg.cli.baseline import MODELS, MOST, PROMPTS, as_json, percent
from promptreg.cli.complete import complete_suites
from promptreg.cli.console import Console, columns, count, output_options, printable
from promptreg.cli.run import money

if TYPE_CHECKING:
    from promptreg.core.canonical import Json
    from promptreg.core.flaky import Baseline, Components, Repeats, Watched
    from promptreg.core.suite import Quarantine
    from promptreg.workflow.flaky import Flakiness, SuiteNews
    from promptreg.workflow.run import CellName

SHOWN = 50  # flaky cases and suggested lines of each kind: more than a person reads; --json has all of them


@click.command("flaky", short_help="Which cases pass only sometimes.")
@click.argument("suites", nargs=-1, shell_complete=complete_suites)
@PROMPTS
@MODELS
@click.option(
    "--repeats",
    type=click.IntRange(0, MOST),
    help="Ask for the repeats that are lacking, as `baseline refresh` does; 0: ask nobody. [default: what is known, at least 5]",
)
@click.option("--rejudge", metavar="TIMES", type=click.IntRange(2, 100), help="Judge every known answer so often; ask for none.")
@click.option("-j", "--concurrency", type=click.IntRange(min=1), help="Calls at once to each model.")
@output_options
def command(console: Console, **options: object) -> int:
    """Show which cases of SUITES (all by default) pass only sometimes, by the baseline's repeats, the most undecided first.

    Prints lines for `quarantine:` and says how the cases in it do. With --rejudge the variance of the judges is told apart from
    that of the answers. Exit code 4: answers are missing.
    """
    from promptreg.cli.world import open_world
    from promptreg.workflow.flaky import FlakyRequest, flaky
    from promptreg.workflow.preparation import Choice

    choice = Choice(**{name: options.pop(name) for name in ("suites", "prompts", "models")})  # type: ignore[arg-type]
    request = FlakyRequest(choice=choice, **options)  # type: ignore[arg-type]
    with open_world(console) as world:
        found = flaky(world, request)
    if console.json:
        console.data(_object(found))
    else:
        for part in _parts(found):
            console.say(part)
    for note in found.notes:
        console.note(printable(note))
    if not found.known.baselines or not any(each.most > 1 for each in found.known.baselines):
        console.note("no case has two answers: promptreg baseline refresh asks for five")
    return int(found.exit_code)


# for people ------------------------------------------------------------------------------------------------------------------


def _parts(found: Flakiness) -> Iterator[str]:
    """Tables and lines, each with an empty line before it but for the first."""
    cells = found.known.baselines
    if cells:
        yield columns(("suite", "prompt", "model", "cases", "repeats", "flaky", "disagree", "score variance"), map(_cell, cells))
    rows = [(each, case) for each in cells for case in each.flaky]
    if rows:
        shown = (_case(each, case) for each, case in rows[:SHOWN])
        yield "\n" + columns(("case", "passed", "suite", "prompt", "model", "at"), shown)
    if len(rows) > SHOWN:
        yield f"and {len(rows) - SHOWN:,} more: --json has them all"
    for news in found.suites:
        if news.suggested:
            yield _suggestion(news)
    entries = [each for news in found.suites for each in news.watched]
    if entries:
        yield "\n" + columns(("set aside", "suite", "owner", "until", "", "passed"), map(_entry, entries))
    if found.components:
        head = ("suite", "prompt", "model", "of", "judge variance", "answer variance", "judge's share")
        yield "\n" + columns(head, _variances(found))
    if found.spent.calls_made:
        cost = f", {money(found.spent.usd)}" if found.spent.usd else ""
        yield f"\n{count(found.spent.calls_made, 'call')} made{cost}"


def _cell(each: Baseline) -> tuple[object, ...]:
    repeats = f"{each.least}" if each.least == each.most else f"{each.least}–{each.most}"
    variance = _number(each.score_variance)
    names = each.suite, each.prompt, each.model
    return *names, f"{len(each.cases):,}", repeats, len(each.flaky), percent(each.discordance), variance


def _case(each: Baseline, case: Repeats) -> tuple[object, ...]:
    return case.case, f"{case.passed} of {len(case.passes)}", each.suite, each.prompt, each.model, case.where or "–"


def _suggestion(news: SuiteNews) -> str:
    from promptreg.core.flaky import quarantine_line

    lines = [quarantine_line(each) for each in news.suggested[:SHOWN]]
    if len(news.suggested) > SHOWN:
        lines.append(f"# and {len(news.suggested) - SHOWN:,} more: --json has them all")
    return "\n".join((f"\n# {printable(news.path)}: while somebody mends them, a gate can do without", "quarantine:", *lines))


def _entry(each: Watched) -> tuple[object, ...]:
    entry = each.entry
    left = "over" if each.days_left < 0 else "last day" if not each.days_left else f"{count(each.days_left, 'day')} left"
    state = f"{left}, healed: take it out" if each.healed else left
    return entry.case, each.suite, entry.owner, entry.until, state, f"{each.passed} of {each.of}" if each.of else "–"


def _variances(found: Flakiness) -> Iterator[tuple[object, ...]]:
    for cell, parts in found.components.items():
        for name, each in parts.items():
            yield *cell, name, _number(each.judge), _number(each.answer), percent(each.judge_share)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


# for programs ----------------------------------------------------------------------------------------------------------------


def _object(found: Flakiness) -> dict[str, Json]:
    return {
        "schema": "promptreg/flaky/1",
        "exit_code": int(found.exit_code),
        "commit": found.known.commit,
        "cells": [_cell_object(each, found.components) for each in found.known.baselines],
        "suites": [_suite_object(each) for each in found.suites],
        "calls_made": found.spent.calls_made,
        "cost_usd": found.spent.usd or None,
        "missing": found.known.missing,
        "unjudged": found.unjudged,
        "notes": list(found.notes),
    }


def _cell_object(each: Baseline, components: Mapping[CellName, Mapping[str, Components]]) -> dict[str, Json]:
    parts = components.get((each.suite, each.prompt, each.model), {})
    return {
        **as_json(each),
        "cases_flaky": [
            {
                "case": case.case,
                "passed": case.passed,
                "of": len(case.passes),
                "path": case.where.path if case.where else None,
                "line": case.where.line if case.where else None,
            }
            for case in each.flaky
        ],
        "components": {
            name: {
                "judge": part.judge,
                "answer": part.answer,
                "judge_share": part.judge_share,
                "cases": part.cases,
                "answers": part.answers,
                "judgements": part.judgements,
            }
            for name, part in parts.items()
        },
    }


def _suite_object(news: SuiteNews) -> dict[str, Json]:
    return {
        "suite": news.suite,
        "path": news.path,
        "suggested": [_quarantine(each) for each in news.suggested],
        "quarantine": [
            {
                **_quarantine(each.entry),
                "state": each.state,
                "days_left": each.days_left,
                "passed": each.passed,
                "of": each.of,
                "healed": each.healed,
            }
            for each in news.watched
        ],
    }


def _quarantine(entry: Quarantine) -> dict[str, Json]:
    return {"case": entry.case, "owner": entry.owner, "until": entry.until, "reason": entry.reason}
