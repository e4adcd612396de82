"""Flaky: which cases of a baseline pass only sometimes, who should look after them, and whether it is the answers or their judge.

The repeats are a baseline's (`baseline`): known ones, and with `repeats` those that it lacks. With `rejudge` nobody is asked for
another answer: the known ones are judged several times, in slots of the judges' own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from promptreg.core.canonical import Digest
from promptreg.core.flaky import (
    ENOUGH,
    HELD_DAYS,
    Baseline,
    Components,
    Watched,
    components,
    content_of,
    flaky_anywhere,
    watched,
)
from promptreg.core.grade import Job, grade
from promptreg.core.run import Fingerprint, Outcome, Task
from promptreg.core.suite import Quarantine
from promptreg.errors import ExitCode, UsageError
from promptreg.execute import Spent
from promptreg.workflow.baseline import (
    Baselines,
    RefreshRequest,
    Table,
    baselines,
    executor_of,
    open_table,
    refresh,
    refuse_unfit,
    since,
)
from promptreg.workflow.preparation import Choice, Model
from promptreg.workflow.run import WINDOW_PER_CALL, CellName
from promptreg.workflow.world import World

# Between two judgements of one answer: a metric that asks its judge several times uses the slots in between.
TURN = 1_000
UNSTEADY = 0.2  # a larger share of flaky cases is no affair of single cases: setting them aside would leave the gate little to see
FEW = 20  # cases below which a share says nothing (a gate's default `min_cases`)
NOBODY = "?"  # the owner of a suggested entry whose prompt names none


@dataclass(frozen=True, slots=True, kw_only=True)
class FlakyRequest:
    """*repeats*: so many answers every case is to have, asked for where they lack; 0: nobody is asked; None: at least ENOUGH,
    where asking is allowed. *rejudge*: how often every known answer is judged; then nobody is asked for an answer."""

    choice: Choice = field(default_factory=Choice)
    repeats: int | None = None
    rejudge: int | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteNews:
    """What a suite's `quarantine:` could be told: entries for its flaky cases that are not set aside, and how those in it do."""

    suite: str
    path: str
    suggested: tuple[Quarantine, ...]
    watched: tuple[Watched, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flakiness:
    """`components` are by cell, and by what was judged: `passed`, `score`, or a check's label."""

    known: Baselines
    suites: tuple[SuiteNews, ...]
    components: Mapping[CellName, Mapping[str, Components]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    spent: Spent = field(default_factory=Spent)
    unjudged: int = 0

    @property
    def exit_code(self) -> ExitCode:
        return ExitCode.UNMEASURED if self.known.missing or self.unjudged else ExitCode.OK


def flaky(world: World, request: FlakyRequest) -> Flakiness:
    """Which cases pass only sometimes. UsageError, BudgetExceeded and Interrupted as `refresh`."""
    if request.rejudge:
        return _rejudged(world, request, request.rejudge)
    known = _known(world, request)
    notes = (*known.notes, *_unsteady(known.baselines))
    return Flakiness(known=known, suites=_news(world, known), notes=notes, spent=known.spent)


def _unsteady(found: Iterable[Baseline]) -> Iterator[str]:
    for each in found:
        share = len(each.flaky) / max(1, len(each.cases))
        if share > UNSTEADY and len(each.cases) >= FEW:
            place = f"{each.suite} · {each.prompt} · {each.model}"
            yield f"{place}: {share:.0%} of the cases are flaky; mend the prompt, or its temperature, rather than set cases aside"


def _known(world: World, request: FlakyRequest) -> Baselines:
    if request.repeats == 0:
        return baselines(world, request.choice)
    try:
        refuse_unfit(world, "flaky --repeats")
    except UsageError as fault:
        if request.repeats is not None:
            raise
        known = baselines(world, request.choice)
        return replace(known, notes=(*known.notes, f"nobody is asked: {fault.message}"))
    asked = RefreshRequest(choice=request.choice, repeats=request.repeats or ENOUGH, concurrency=request.concurrency)
    return refresh(world, asked, "flaky --repeats")


# the suites' quarantine -------------------------------------------------------------------------------------------------------


def _news(world: World, known: Baselines) -> tuple[SuiteNews, ...]:
    by_suite: dict[str, list[Baseline]] = {}
    for each in known.baselines:
        by_suite.setdefault(each.suite, []).append(each)
    today = datetime.fromtimestamp(world.now(), UTC).date()
    return tuple(_suite_news(world, name, found, today) for name, found in by_suite.items())


def _suite_news(world: World, name: str, found: list[Baseline], today: date) -> SuiteNews:
    suite = world.registry.suite(name)
    aside = suite.quarantined(today.isoformat())
    until = (today + timedelta(days=HELD_DAYS)).isoformat()
    owners = _owners(world, found)
    suggested = tuple(
        Quarantine(case=case, owner=owners[case], until=until, reason=reason)
        for case, reason in flaky_anywhere(found).items()
        if case not in aside
    )
    entries = tuple(watched(name, entry, _days_left(entry, today), found) for entry in suite.quarantine)
    return SuiteNews(suite=name, path=suite.where.path, suggested=suggested, watched=entries)


def _owners(world: World, found: Iterable[Baseline]) -> dict[str, str]:
    """Who answers for the prompts that each flaky case is flaky with."""
    told: dict[str, dict[str, None]] = {}
    for baseline in found:
        owners = world.registry.prompt(baseline.prompt).owners
        for each in baseline.flaky:
            told.setdefault(each.case, {}).update(dict.fromkeys(owners))
    return {case: ", ".join(owners) or NOBODY for case, owners in told.items()}


def _days_left(entry: Quarantine, today: date) -> int:
    """Days until the entry's last one; 0 on it, below 0 after it."""
    return (date.fromisoformat(entry.until) - today).days


# judges apart from answers ----------------------------------------------------------------------------------------------------


def _rejudged(world: World, request: FlakyRequest, times: int) -> Flakiness:
    """The known answers, each judged so many *times*."""
    known = baselines(world, request.choice)
    with open_table(world, request.choice) as table, executor_of(table, request.concurrency) as executor:
        judgements = Judgements()
        window = WINDOW_PER_CALL * max(1, sum(lane.concurrency for lane in executor.lanes.values()))
        total = times * sum(each.answers for each in known.baselines)
        owners: deque[tuple[CellName, int]] = deque()

        def tasks() -> Iterator[Task]:
            for cell, job in _turns(table, times):
                owners.append((cell, job.call.slot))
                yield grade(job)

        with closing(executor.run(tasks(), window, total=total)) as outcomes:
            for outcome in outcomes:
                judgements.add(*owners.popleft(), outcome)
        spent = executor.spent
    if known.missing:  # of answers that no judge had seen before
        known = baselines(world, request.choice)
    notes = known.notes
    if not judgements.asked:
        notes = (*notes, "no check asks a model: the answers alone differ")
    return Flakiness(
        known=known,
        suites=_news(world, known),
        components=judgements.components(),
        notes=notes,
        spent=spent,
        unjudged=judgements.missing,
    )


def _turns(table: Table, times: int) -> Iterator[tuple[CellName, Job]]:
    """Every known answer, *times* over. The first judgement of an answer is the ordinary one; all others have slots of their own.

    Repeats that say the same have different slots, too: else one judgement would count for both, and the answers would seem to
    differ less than they do.
    """
    asked, said = "", dict[Digest | int, int]()
    for suite, model, job in table.jobs(table.known):
        if job.call.key != asked:
            asked, said = job.call.key, {}
        content = _content(table, model, job)
        if content is None:
            continue
        before = said.get(content, 0)
        said[content] = before + 1
        for turn in range(before * times, (before + 1) * times):
            yield (suite, job.prompt, job.model), replace(job, judge_slot=TURN * turn)


def _content(table: Table, model: Model, job: Job) -> Digest | int | None:
    name = Fingerprint(job.call.key, job.call.slot)
    answer = table.store.known([name], since=since(model, table.world.now())).get(name)
    return None if answer is None else content_of(answer)


class Judgements:
    """The fold of judged answers: numbers by cell, what was judged, case and answer."""

    def __init__(self) -> None:
        self._values: dict[CellName, dict[str, dict[str, dict[int, list[float]]]]] = {}
        self.asked = 0  # calls that metrics made, or whose answers they knew
        self.missing = 0

    def add(self, cell: CellName, slot: int, outcome: Outcome) -> None:
        """One judgement of the answer in *slot*."""
        self.asked += outcome.calls_made + outcome.calls_known - 1  # its own answer is known
        if outcome.passed is None or outcome.score is None:
            self.missing += 1
            return
        found = {"passed": float(outcome.passed), "score": outcome.score}
        if len(outcome.checks) > 1:
            found.update((check.label, check.value) for check in outcome.checks)
        of = self._values.setdefault(cell, {})
        for name, value in found.items():
            of.setdefault(name, {}).setdefault(outcome.case.id, {}).setdefault(slot, []).append(value)

    def components(self) -> dict[CellName, dict[str, Components]]:
        return {
            cell: {name: components([list(answers.values()) for answers in cases.values()]) for name, cases in of.items()}
            for cell, of in self._values.items()
        }
