"""The house: one registry as a pytest session sees it. The other composition root beside the command line.

Opened once for a session; what needs a model goes through one store, one budget and the same rate limits as everywhere.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
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
from promptreg.errors import Unmeasured, UsageError
from promptreg.execute import Executor, Lane, Silent
from promptreg.execute.clock import Clock
from promptreg.execute.ledger import Ledger, May
from promptreg.pytest_plugin.options import Options
from promptreg.workflow import opening
from promptreg.workflow.preparation import Choice, Model, PreparedSuite, build_model, prepare_checks, prepare_suite
from promptreg.workflow.recording import offline
from promptreg.workflow.run import RunRequest, run
from promptreg.workflow.world import World


class House:
    """`.prompt`, `.render`, `.complete`, `.judge` and `.run` are for tests; the rest is for collecting suites."""

    def __init__(self, start: Path, options: Options, env: Mapping[str, str]) -> None:
        self.options = options
        self._open = ExitStack()
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
        self.request = RunRequest(replay=options.replay, recording=options.recording, concurrency=options.concurrency)
        self.ledger = SharedLedger(registry.settings.budget)
        self.models: dict[str, Model] = {}
        self._suites: dict[str, PreparedSuite] = {}
        self._single: Executor | None = None

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
        found, asked = self.prompt(prompt), self.model(model)
        call = replace(call_of(found, asked, Renderer(found).messages(inputs), Case(id="", inputs=inputs)), slot=slot)
        job = Job(prompt=prompt, model=asked.spec.alias, case=Case(id="", inputs=inputs), call=call, checks=())
        return answered(self.ask(job))

    def judge(
        self, answer: str | Completion, check: Mapping[str, Any] | str, *, expected: Any = None, **inputs: Any
    ) -> CheckResult:
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
        choice = Choice(suites=suites, models=self.options.models, repeats=self.options.repeats)
        return run(self.world, replace(self.request, choice=choice))

    # building

    def model(self, alias: str = "") -> Model:
        """The model called *alias*, by default the registry's."""
        name = alias or self.registry.settings.defaults.model or ""
        if not name:
            raise UsageError("no model is named, and the registry has no default", hint="give model=, or `defaults: {model: …}`")
        if name not in self.models:
            self.models[name] = build_model(self.world, name, None, self.request.adapt)
        return self.models[name]

    def checks(self, written: Sequence[Any]) -> tuple[Check, ...]:
        """Checks as a suite writes them: names, short forms, long forms. UsageError with all complaints."""
        raw = {"prompts": ["any"], "cases": [{"id": "any", "inputs": {}}], "checks": list(written)}
        return prepare_checks(self.world, documents.suite(documents.encode_json(raw), "<checks>", "checks"))

    def suite(self, name: str) -> PreparedSuite:
        """The suite *name* with everything it names, checked. UsageError with all complaints."""
        if name not in self._suites:
            choice = Choice(models=self.options.models, repeats=self.options.repeats)
            self._suites[name] = prepare_suite(self.world, name, choice, self.models, self.request.adapt)
        return self._suites[name]

    # asking

    def ask(self, job: Job) -> Outcome:
        """What becomes of *job*, now, on this thread."""
        if self._single is None or job.call.model.digest not in self._single.lanes:
            self._single = self._open.enter_context(self.executor())
        with closing(self._single.run([grade(job)], 1)) as outcomes:
            return next(outcomes)

    def executor(
        self, *, asks: bool = True, clock: Clock | None = None, on_answer: Callable[[Call, Completion], None] | None = None
    ) -> Executor:
        """One for all models that are known so far; with *asks* false, only what is known answers. They share one account."""

        def lane(model: Model) -> Lane:
            silent = self.options.replay or not asks
            return Lane.of(model.spec, offline(model.provider) if silent else model.provider, concurrency=self.options.concurrency)

        lanes = {model.identity.digest: lane(model) for model in self.models.values()}
        made = Executor(lanes, self.world.store, None, self.world.progress, on_answer, clock=clock or Clock())
        made.ledger = self.ledger
        return made

    def aliases(self) -> dict[Any, list[str]]:
        """The aliases of each model, by its identity's digest."""
        found: dict[Any, list[str]] = {}
        for alias, model in self.models.items():
            found.setdefault(model.identity.digest, []).append(alias)
        return found

    def close(self) -> None:
        for model in self.models.values():
            model.provider.close()
        self._open.close()


class SharedLedger(Ledger):
    """One account for executors on several threads."""

    def __init__(self, budget: Budget) -> None:
        super().__init__(budget)
        self._lock = threading.Lock()

    def may(self, estimate_usd: float) -> May:
        with self._lock:
            return super().may(estimate_usd)

    def sent(self, estimate_usd: float) -> None:
        with self._lock:
            super().sent(estimate_usd)

    def settled(self, estimate_usd: float) -> None:
        with self._lock:
            super().settled(estimate_usd)

    def received(self, completion: Completion, price: Any) -> float | None:
        with self._lock:
            return super().received(completion, price)


def call_of(prompt: Prompt, model: Model, messages: tuple[Message, ...], case: Case) -> Call:
    """What *model* is asked, rendered from *prompt* for *case*."""
    return Call(
        model=model.identity,
        messages=messages,
        params=prompt.params,
        tools=prompt.tools,
        output_schema=prompt.output_schema,
        case=case.id if model.provider.keyed_by == "case" else None,
    )


def answered(outcome: Outcome) -> Completion:
    """The completion of *outcome*. Raises Unmeasured when there is none."""
    if outcome.completion is None:
        failure = outcome.failure
        said = f"{failure.kind}: {failure.message}" if failure else "no answer"
        raise Unmeasured(f"no answer of {outcome.model or 'the model'}: {said}", reason="missing_answers")
    return outcome.completion
