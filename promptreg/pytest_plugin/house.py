"""The house: one registry as a pytest session sees it. The other composition root beside the command line.

Opened once for a session; what needs a model goes through one store, one budget and one set of rate limits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from promptreg import documents
from promptreg.core.check import Check
from promptreg.core.grade import Job, grade
from promptreg.core.plan import Budget
from promptreg.core.prompt import Message, Prompt
from promptreg.core.protocols import Answer
from promptreg.core.render import Renderer
from promptreg.core.report import Report
from promptreg.core.run import Call, CheckResult, Completion, Outcome, Score
from promptreg.core.suite import Case
from promptreg.core.tally import CellTally
from promptreg.core.verdict import CheckReport
from promptreg.errors import Unmeasured, UsageError
from promptreg.execute import Executor, Lane, Silent
from promptreg.pytest_plugin.batch import Batch
from promptreg.pytest_plugin.options import Options
from promptreg.workflow import opening
from promptreg.workflow.preparation import Choice, Model, PreparedSuite, build_model, prepare_checks, prepare_suite
from promptreg.workflow.recording import Recorder, offline
from promptreg.workflow.run import RunRequest, reported
from promptreg.workflow.world import World


class House:
    """`.prompt`, `.complete`, `.judge` and `.run` are for tests; the rest is for collecting suites."""

    def __init__(self, start: Path, options: Options, env: Mapping[str, str]) -> None:
        self.options = options
        self._open = ExitStack()
        self._began = time.monotonic()
        registry = self._open.enter_context(closing(opening.open_registry(start, env)))
        if options.budget is not None:
            settings = registry.settings
            registry = registry.under(replace(settings, budget=Budget(usd=options.budget, calls=settings.budget.calls)))
        store = self._open.enter_context(closing(opening.open_store(registry, env)))
        self.world = World(
            registry=registry,
            plugins=opening.open_plugins(registry),
            store=store,
            env=env,
            now=time.time,
            weights=partial(opening.find_weights, folder=registry.root, env=env),
            progress=Silent(),
        )
        self.registry = registry
        self.root = registry.root
        self._request = RunRequest(replay=options.replay, recording=options.recording)
        self._models: dict[str, Model] = {}
        self._suites: dict[str, PreparedSuite] = {}
        self._jobs: dict[Hashable, list[Job]] = {}
        self._batch: Batch | None = None
        self._executor: Executor | None = None
        self._tallies: dict[tuple[str, str, str], CellTally] = {}
        self._cells: dict[Hashable, tuple[str, str, str]] = {}
        self.compared: CheckReport | None = None

    # for tests

    def prompt(self, name: str) -> Prompt:
        """The prompt that *name* (or NAME@SELECTOR) means. UsageError with a did-you-mean."""
        return self.registry.prompt(name)

    def render(self, name: str, **inputs: Any) -> tuple[Message, ...]:
        """The messages of the prompt *name* for *inputs*."""
        return Renderer(self.prompt(name)).messages(inputs)

    def complete(self, prompt: str, *, model: str = "", slot: int = 0, **inputs: Any) -> Completion:
        """One answer of *model* (by default the registry's) to the prompt *prompt*; a known one costs nothing.

        Raises Unmeasured when there is none: a missing answer is no empty text.
        """
        found = self.prompt(prompt)
        asked = self._call(found, self.model(model), Renderer(found).messages(inputs), slot)
        outcome = self._ask(Job(prompt=prompt, model=model, case=Case(id="", inputs=inputs), call=asked, checks=()))
        return answered(outcome)

    def judge(self, answer: str | Completion, check: Mapping[str, Any], *, expected: Any = None, **inputs: Any) -> CheckResult:
        """What one check (as a suite writes it: `{"contains": "refund"}`) says of *answer*."""
        completion = answer if isinstance(answer, Completion) else Completion(text=answer)
        case = Case(id="", inputs=inputs, expected=expected)
        (built,) = self.checks([check])
        found = built.for_case(case).score(Answer(completion=completion, case=case))
        if not isinstance(found, Score):
            raise UsageError("this check asks a model: put it into a suite", hint="or into the marker's checks")
        return built.result(found)

    def run(self, *suites: str) -> Report:
        """The suites (all by default), run as `promptreg run` does."""
        from promptreg.workflow.run import run

        choice = Choice(suites=suites, models=self.options.models, repeats=self.options.repeats)
        return run(self.world, replace(self._request, choice=choice, concurrency=self.options.concurrency))

    # building

    def model(self, alias: str = "") -> Model:
        """The model called *alias*, by default the registry's."""
        name = alias or self.registry.settings.defaults.model or ""
        if not name:
            raise UsageError("no model is named, and the registry has no default", hint="give model=, or `defaults: {model: …}`")
        if name not in self._models:
            self._models[name] = build_model(self.world, name, None, self._request.adapt)
        return self._models[name]

    def checks(self, written: Sequence[Any]) -> tuple[Check, ...]:
        """Checks as a suite writes them: names, short forms, long forms. UsageError with all complaints."""
        raw = {"prompts": ["any"], "cases": [{"id": "any", "inputs": {}}], "checks": list(written)}
        return prepare_checks(self.world, documents.suite(documents.encode_json(raw), "<checks>", "checks"))

    def suite(self, name: str) -> PreparedSuite:
        """The suite *name* with everything it names, checked. UsageError with all complaints."""
        if name not in self._suites:
            choice = Choice(models=self.options.models, repeats=self.options.repeats)
            self._suites[name] = prepare_suite(self.world, name, choice, self._models, self._request.adapt)
        return self._suites[name]

    def _call(self, prompt: Prompt, model: Model, messages: tuple[Message, ...], slot: int) -> Call:
        return Call(
            model=model.identity,
            messages=messages,
            params=prompt.params,
            tools=prompt.tools,
            output_schema=prompt.output_schema,
            slot=slot,
        )

    # the batch

    def want(self, key: Hashable, jobs: Sequence[Job], cell: tuple[str, str, str] | None = None) -> None:
        """*key* will ask for what becomes of *jobs*; *cell* (suite, prompt, model) is whose report they belong to."""
        if key not in self._jobs:
            self._jobs[key] = list(jobs)
            if cell is not None:
                self._cells[key] = cell
                self._tallies.setdefault(cell, CellTally(self.suite(cell[0]).suite, cell[1], cell[2]))

    def start(self) -> None:
        """All that was wanted goes out, together."""
        if self._batch is None and self._jobs:
            recorder = None
            if self.options.record is not None:
                recorder = self._open.enter_context(Recorder(self.options.record, self._aliases()))
            self._executor = self._open.enter_context(self._made(recorder))
            self._batch = Batch(self._executor, self._jobs, self._saw)
            self._batch.start()

    def result(self, key: Hashable) -> Sequence[Outcome]:
        """What became of *key*'s jobs; waits for them alone."""
        if self._batch is None or key not in self._jobs:
            return [self._ask(job) for job in self._jobs[key]]
        return self._batch.result(key)

    def tally(self, suite: str) -> list[CellTally]:
        """The folded outcomes of *suite*'s cells, once the whole batch is there."""
        if self._batch is not None:
            self._batch.wait()
        return [tally for (name, _, _), tally in self._tallies.items() if name == suite]

    def report(self) -> Report | None:
        """What was measured so far, as `run` reports it; None if nothing was."""
        if not self._tallies or self._executor is None:
            return None
        cells = tuple(cell for tally in self._tallies.values() if (cell := tally.cell()).n or cell.errors)
        return reported(self.world, cells, self._executor.spent, time.monotonic() - self._began)

    def close(self) -> None:
        if self._batch is not None:
            self._batch.stop()
        for model in self._models.values():
            model.provider.close()
        self._open.close()

    def _saw(self, key: Hashable, outcome: Outcome) -> None:
        cell = self._cells.get(key)
        if cell is not None:
            self._tallies[cell].add(outcome)

    def _ask(self, job: Job) -> Outcome:
        """One answer, now, on this thread."""
        with self._made(None) as executor, closing(executor.run([grade(job)], 1)) as outcomes:
            return next(outcomes)

    def _made(self, recorder: Recorder | None) -> Executor:
        def lane(model: Model) -> Lane:
            provider = offline(model.provider) if self.options.replay else model.provider
            return Lane.of(model.spec, provider, concurrency=self.options.concurrency)

        lanes = {model.identity.digest: lane(model) for model in self._models.values()}
        on_answer: Callable[[Call, Completion], None] | None = recorder.add if recorder else None
        return Executor(lanes, self.world.store, self.registry.settings.budget, self.world.progress, on_answer)

    def _aliases(self) -> dict[Any, list[str]]:
        found: dict[Any, list[str]] = {}
        for alias, model in self._models.items():
            found.setdefault(model.identity.digest, []).append(alias)
        return found


def answered(outcome: Outcome) -> Completion:
    """The completion of *outcome*. Raises Unmeasured when there is none."""
    if outcome.completion is None:
        failure = outcome.failure
        said = f"{failure.kind}: {failure.message}" if failure else "no answer"
        raise Unmeasured(f"no answer of {outcome.model or 'the model'}: {said}", reason="missing_answers")
    return outcome.completion
