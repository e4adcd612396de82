"""From names to things that can run: suites, prompts, models and checks, resolved and checked before the first call.

All complaints of all suites are raised at once; nothing here talks to a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, TypeVar, cast

from promptreg import documents
from promptreg.core.canonical import Digest, Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.check import Check, resolve, together
from promptreg.core.grade import Job
from promptreg.core.names import did_you_mean, unversioned
from promptreg.core.prompt import Message, Prompt
from promptreg.core.protocols import Metric, Provider, ProviderContext
from promptreg.core.render import Renderer, check_declarations
from promptreg.core.run import Call, ModelIdentity
from promptreg.core.select import matching
from promptreg.core.suite import Case, CheckSpec, Suite
from promptreg.errors import PromptregError, UsageError, Where
from promptreg.workflow.world import World

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What of the registry to work on; empty means all that the suites name."""

    suites: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    repeats: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A catalogue entry with its provider, ready to be asked."""

    spec: ModelSpec
    provider: Provider
    identity: ModelIdentity


Slots: TypeAlias = Callable[[Model, Call], Iterable[int]]  # which sample slots of a call are wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPrompt:
    """A prompt under the name it was asked for by: two versions of one prompt are two rows of a report."""

    name: str
    prompt: Prompt
    renderer: Renderer


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedSuite:
    """One suite with everything it names resolved."""

    suite: Suite
    prompts: tuple[PreparedPrompt, ...]
    models: tuple[Model, ...]
    checks: tuple[Check, ...]
    repeats: int

    def cells(self) -> Iterator[tuple[str, str]]:
        """(prompt, model) in the order of the report."""
        return ((prepared.name, model.spec.alias) for prepared in self.prompts for model in self.models)

    def jobs(self, cases: Iterable[Case], slots: Slots | None = None) -> Iterator[Job]:
        """Every sample of every case, case by case, so that all models work at once and the dataset is read once.

        *slots* says which samples of a call are wanted, where they are not the first so many.
        """
        for case in cases:
            repeats = max(self.repeats, case.require.of if case.require else 1)
            metrics = tuple(check.for_case(case) for check in self.checks)
            for prepared in self.prompts:
                messages = prepared.renderer.messages(case.inputs, case.where)
                for model in self.models:
                    call = asking(prepared.prompt, model, messages, case.id)
                    for slot in range(repeats) if slots is None else slots(model, call):
                        yield Job(
                            prompt=prepared.name,
                            model=model.spec.alias,
                            case=case,
                            call=replace(call, slot=slot) if slot else call,
                            checks=self.checks,
                            price=model.spec.price,
                            metrics=metrics,
                        )


def asking(prompt: Prompt, model: Model, messages: tuple[Message, ...], case: str | None, slot: int = 0) -> Call:
    """The call that asks *model* for its answer to *messages* of *prompt*. *case* counts only where answers are kept by case."""
    return Call(
        model=model.identity,
        messages=messages,
        params=prompt.params,
        tools=prompt.tools,
        output_schema=prompt.output_schema,
        case=case if model.provider.keyed_by == "case" else None,
        slot=slot,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """All that a run needs, resolved."""

    suites: tuple[PreparedSuite, ...]
    models: Mapping[str, Model]

    def aliases(self) -> dict[Digest, list[str]]:
        """The aliases of each model, by its identity's digest."""
        found: dict[Digest, list[str]] = {}
        for alias, model in self.models.items():
            found.setdefault(model.identity.digest, []).append(alias)
        return found

    def close(self) -> None:
        for model in self.models.values():
            model.provider.close()


def prepare(world: World, choice: Choice, adapt: Callable[[ModelSpec], ModelSpec] = lambda spec: spec) -> Bench:
    """Resolves *choice*. *adapt* may replace a catalogue entry (a replay does). Raises UsageError with all complaints."""
    names = matching(choice.suites, world.registry.suite_names(), "suite")
    if not names:
        raise UsageError("the registry has no suites", hint="promptreg new suite NAME makes one")
    complaints = Complaints()
    models: dict[str, Model] = {}
    suites = []
    for name in names:
        with complaints:
            prepared = prepare_suite(world, name, choice, models, adapt)
            if prepared.prompts:
                suites.append(prepared)
    complaints.raise_all()
    if not suites:
        raise UsageError("no suite covers the chosen prompts", hint="promptreg list shows prompts and their suites")
    return Bench(suites=tuple(suites), models=models)


def prepare_suite(
    world: World, name: str, choice: Choice, models: dict[str, Model], adapt: Callable[[ModelSpec], ModelSpec] = lambda spec: spec
) -> PreparedSuite:
    """The suite *name* as far as *choice* wants it, without prompts if it wants none. Models that are new go into *models*."""
    suite = world.registry.suite(name)
    kept = _chosen(world, suite, choice.prompts)
    if not kept:
        return PreparedSuite(suite=suite, prompts=(), models=(), checks=(), repeats=1)
    return _prepare_suite(world, replace(suite, prompts=kept), choice, models, adapt)


def build_model(world: World, alias: str, where: Where | None, adapt: Callable[[ModelSpec], ModelSpec]) -> Model:
    """The provider behind a catalogue alias, built from validated options."""
    catalogue = world.registry.settings.models
    if alias not in catalogue:
        hint = f"add it under `models:` in promptreg.yaml; known: {', '.join(sorted(catalogue)) or 'none'}"
        raise UsageError(f"unknown model '{alias}'{did_you_mean(alias, catalogue)}", where=where, hint=hint)
    spec = adapt(catalogue[alias])
    found: type[Provider] = world.plugins.get("provider", spec.provider, spec.place("provider"))
    options: object = documents.convert(spec.options, found.Options, spec.place, written=spec.written)
    context = ProviderContext(env=world.env, root=world.root, weights=world.weights)
    provider = found(spec, options, context)
    facts: dict[str, Json] = {"provider": spec.provider, "model": spec.model, **provider.identity}
    return Model(spec=spec, provider=provider, identity=ModelIdentity(facts=facts))


def build_metric(spec: CheckSpec, metric: type[Metric], options: Mapping[str, Json]) -> Metric:
    """A metric with its options validated; a bad option is shown at its own line."""
    try:
        built: Metric = documents.convert(options, metric, spec.place, written=spec.written)
    except UsageError as fault:
        hint = f"the options of `{spec.metric}`: {', '.join(item.name for item in fields(cast(Any, metric)) if item.init)}"
        raise type(fault)(fault.message, where=fault.where, hint=fault.hint or hint, more=fault.more) from fault
    return built


def _prepare_suite(
    world: World, suite: Suite, choice: Choice, models: dict[str, Model], adapt: Callable[[ModelSpec], ModelSpec]
) -> PreparedSuite:
    complaints = Complaints()
    prompts: list[PreparedPrompt] = []
    checks: tuple[Check, ...] = ()
    for name in suite.prompts:
        with complaints:
            prompt = world.registry.prompt(name)
            complaints.extend(check_declarations(prompt))
            prompts.append(PreparedPrompt(name=name, prompt=prompt, renderer=Renderer(prompt)))
    for alias in choice.models or suite.models:
        with complaints:
            if alias not in models:
                models[alias] = build_model(world, alias, None if choice.models else suite.place("models"), adapt)
    with complaints:
        checks = prepare_checks(world, suite)
    complaints.raise_all()
    return PreparedSuite(
        suite=suite,
        prompts=tuple(prompts),
        models=tuple(models[alias] for alias in choice.models or suite.models),
        checks=checks,
        repeats=choice.repeats or suite.repeats,
    )


def prepare_checks(world: World, suite: Suite) -> tuple[Check, ...]:
    """The suite's checks with their metrics. Raises UsageError with all complaints."""
    complaints = Complaints()
    checks = []
    for spec in suite.checks:
        with complaints:
            metric = world.plugins.get("metric", spec.metric, spec.where)
            checks.append(resolve(spec, metric, build_metric))
    complaints.raise_all()
    return together(checks)


def _chosen(world: World, suite: Suite, patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The prompts of *suite* that *patterns* name (all of them when there are none), globs resolved.

    A reference among the patterns (`triage@1.4.0`) means that version of a prompt that the suite names, in whatever version.
    """
    named = world.registry.prompts_matching(suite.prompts, suite.place("prompts"))
    if not patterns:
        return named
    wanted = world.registry.prompts_matching(patterns)
    tested = {unversioned(name) for name in named}
    references = (name for name in wanted if "@" in name and name not in named and unversioned(name) in tested)
    return (*(name for name in named if name in wanted or unversioned(name) in wanted), *references)


class Complaints:
    """Collects the user's mistakes so that one reading shows them all."""

    def __init__(self) -> None:
        self._found: list[UsageError] = []

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        if not isinstance(error, UsageError):
            return False
        self.extend([error])
        return True

    def extend(self, errors: Iterable[PromptregError]) -> None:
        for error in errors:
            for one in (error, *error.more):
                if isinstance(one, UsageError) and str(one) not in {str(known) for known in self._found}:
                    self._found.append(one)

    def raise_all(self) -> None:
        if self._found:
            first, *rest = self._found
            raise type(first)(first.message, where=first.where, hint=first.hint, more=tuple(rest))
