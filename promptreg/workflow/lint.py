"""All that can be known without a model: prompts, suites, and every row of their data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import islice

from promptreg.core.catalogue import ModelSpec
from promptreg.core.lint import Finding, dead_partials
from promptreg.core.lint import lint as lint_prompt
from promptreg.core.names import did_you_mean, unversioned
from promptreg.core.select import matching
from promptreg.core.suite import Suite
from promptreg.errors import DataError, DocumentError, PromptregError, TemplateError, UsageError, Where
from promptreg.workflow.catalogue import retiring
from promptreg.workflow.preparation import Choice, PreparedSuite, prepare
from promptreg.workflow.world import World

GUESSED_FROM = 10_000  # ids that a misspelt one is compared with
ROWS_SHOWN = 20  # faulty rows of one suite: the first few show what is wrong with the rest
RULES: tuple[tuple[type[PromptregError], str], ...] = (
    (DataError, "data"),
    (TemplateError, "template"),
    (DocumentError, "document"),
)


def lint(world: World, patterns: Sequence[str] = ()) -> list[Finding]:
    """Findings for the prompts that match *patterns* (all when empty) and for every suite that tests one of them."""
    names = matching(patterns, world.registry.prompt_names(), "prompt")
    findings: list[Finding] = []
    prompts = []
    for name in names:
        try:
            prompts.append(world.registry.prompt(name))
        except UsageError as error:
            findings.extend(as_findings(error))
    models = list(world.registry.settings.models.values())
    asked: dict[str, ModelSpec] = {} if patterns else {spec.alias: spec for spec in models}
    for prompt in prompts:
        runs_on = _models_of(world, prompt.name, models)
        asked |= {spec.alias: spec for spec in runs_on}
        findings.extend(lint_prompt(prompt, runs_on))
    if not patterns:
        everything = [world.registry.prompt(name) for name in names] if len(prompts) == len(names) else prompts
        findings.extend(dead_partials(everything, world.registry.partial_paths()))
    if not findings_stop(findings) and world.registry.suite_names():
        findings.extend(_lint_suites(world, tuple(names) if patterns else ()))
    findings.extend(_lint_models(world, asked.values()))
    return _once(findings)


def _lint_models(world: World, models: Iterable[ModelSpec]) -> Iterator[Finding]:
    try:
        yield from retiring(world.registry, models, world.now())
    except UsageError as error:  # of models.lock.json
        yield from as_findings(error)


def findings_stop(findings: Iterable[Finding]) -> bool:
    """Whether a prompt is too broken for its suites to be worth rendering."""
    return any(finding.level == "error" and finding.rule in {"document", "template"} for finding in findings)


def as_findings(error: PromptregError) -> Iterator[Finding]:
    """An error, and all that came with it, as findings."""
    for one in (error, *error.more):
        rule = next((name for kind, name in RULES if isinstance(one, kind)), "usage")
        yield Finding(
            level="error", rule=rule, message=one.message, where=one.where or Where("promptreg.yaml"), hint=one.hint or ""
        )


def _lint_suites(world: World, prompts: tuple[str, ...]) -> Iterator[Finding]:
    try:
        bench = prepare(world, Choice(prompts=prompts))
    except UsageError as error:
        yield from as_findings(error)
        return
    for suite in bench.suites:
        yield from islice(_lint_rows(world, suite), ROWS_SHOWN)
        yield from _lint_quarantine(world, suite.suite)
    bench.close()


def _lint_rows(world: World, suite: PreparedSuite) -> Iterator[Finding]:
    """A reader that stops at its first faulty row ends the suite; a row that does not render does not."""
    try:
        for case in world.registry.cases(suite.suite):
            for prepared in suite.prompts:
                yield from _complaints(partial(prepared.renderer.messages, case.inputs, case.where))
            for check in suite.checks:
                yield from _complaints(partial(check.for_case, case))
    except UsageError as error:
        yield from as_findings(error)


def _lint_quarantine(world: World, suite: Suite) -> Iterator[Finding]:
    """Entries whose day is over, and those of cases that nobody has; a suite whose rows cannot be read has its finding already."""
    if not suite.quarantine:
        return
    today = datetime.fromtimestamp(world.now(), UTC).date().isoformat()
    try:
        ids = dict.fromkeys(case.id for case in world.registry.cases(replace(suite, sample=None)))
    except UsageError:
        return
    for entry in suite.quarantine:
        if entry.case not in ids:
            message = f"the suite has no case '{entry.case}'{did_you_mean(entry.case, islice(ids, GUESSED_FROM))}"
            yield Finding(
                level="warning",
                rule="quarantine-unknown",
                message=message,
                where=entry.where,
                hint="correct the id, or drop the entry",
            )
        elif not entry.holds(today):
            message = f"the quarantine of '{entry.case}' ended on {entry.until}: the gate counts it again"
            hint = f"{entry.owner} mends the case and drops the entry, or gives it a later day"
            yield Finding(level="warning", rule="quarantine-expired", message=message, where=entry.where, hint=hint)


def _complaints(attempt: Callable[[], object]) -> Iterator[Finding]:
    try:
        attempt()
    except UsageError as error:
        yield from as_findings(error)


def _models_of(world: World, prompt: str, models: list[ModelSpec]) -> list[ModelSpec]:
    """The models on which suites run this prompt; all of them when none does."""
    wanted: set[str] = set()
    for name in world.registry.suite_names():
        try:
            suite = world.registry.suite(name)
        except UsageError:
            continue  # reported when the suites are prepared
        if prompt in map(unversioned, world.registry.prompts_matching(suite.prompts, suite.place("prompts"))):
            wanted.update(suite.models)
    return [spec for spec in models if not wanted or spec.alias in wanted]


def _once(findings: Iterable[Finding]) -> list[Finding]:
    seen: dict[tuple[str, str, str], Finding] = {}
    for finding in findings:
        seen.setdefault((finding.rule, finding.message, str(finding.where)), finding)
    return list(seen.values())
