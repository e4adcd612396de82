"""Growing golden data: cases by hand, from a log, or from an answer that a person accepts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from promptreg import datasets, documents
from promptreg.core.canonical import Json
from promptreg.core.names import did_you_mean
from promptreg.core.protocols import Provider
from promptreg.core.render import Renderer
from promptreg.core.run import Call, Completion, Failure
from promptreg.core.suite import Case, Suite, pair_key
from promptreg.datasets.writing import append, expect
from promptreg.errors import UsageError
from promptreg.execute import TIMEOUT_S
from promptreg.registry import Registry
from promptreg.workflow.preparation import Choice, prepare, prepare_checks
from promptreg.workflow.world import World

EXAMPLES = {"integer": "3", "number": "0.5", "boolean": "true", "object": """'{"a": 1}'"""}


def case_by_hand(
    registry: Registry, suite: str, given: Mapping[str, str], expected: Json, tags: Mapping[str, str], case_id: str | None
) -> Case:
    """A case from texts: inputs that the suite's prompts declare as strings stay text, all others are JSON."""
    declared: dict[str, Mapping[str, Json]] = {}
    for name in registry.prompts_matching(registry.suite(suite).prompts):
        declared.update(registry.prompt(name).inputs)
    if unknown := sorted(set(given) - set(declared)):
        guess = did_you_mean(unknown[0], declared)
        hint = f"inputs: {', '.join(sorted(declared))}"
        raise UsageError(f"no prompt of suite '{suite}' has an input '{unknown[0]}'{guess}", hint=hint)
    inputs = read_inputs(declared, given)
    if not inputs:
        raise UsageError("a case needs inputs", hint="--input KEY=VALUE")
    return Case(id=case_id or documents.case_id(inputs), inputs=inputs, expected=expected, tags=tags)


def cases_of_log(log: Path) -> Iterator[Case]:
    """The rows of a JSONL log as cases. Raises DataError with file and row."""
    with log.open("rb") as file:
        yield from datasets.read(file, str(log), distinct=False)


def add_cases(world: World, suite_name: str, cases: Iterable[Case]) -> tuple[list[Case], list[Case]]:
    """Appends what the dataset does not have yet, by inputs; returns (added, known). All or none: UsageError for a case that
    a prompt of the suite cannot render, or a check cannot judge."""
    registry = world.registry
    suite = registry.suite(suite_name)
    shown, path = _dataset(registry, suite)
    have = {pair_key(case.inputs) for case in registry.cases(suite)} if path.exists() else set()
    added: list[Case] = []
    known: list[Case] = []
    for case in cases:
        key = pair_key(case.inputs)
        (known if key in have else added).append(case)
        have.add(key)
    if added:
        append(path, shown, added, _fits(world, suite))
    return added, known


def _fits(world: World, suite: Suite) -> Callable[[Case], None]:
    """Raises for a case that one of the suite's prompts cannot render, or that one of its checks cannot judge."""
    names = world.registry.prompts_matching(suite.prompts, suite.place("prompts"))
    renderers = [Renderer(world.registry.prompt(name)) for name in names]
    checks = prepare_checks(world, suite)

    def check(case: Case) -> None:
        try:
            for renderer in renderers:
                renderer.messages(case.inputs, case.where)
            for each in checks:
                each.for_case(case)
        except UsageError as fault:
            message = f"case '{case.id}' is not added: {fault.message}"
            raise type(fault)(message, where=fault.where, hint=fault.hint, more=fault.more) from fault

    return check


def case_of(registry: Registry, suite: str, case_id: str | None) -> Case:
    """The case with that id; without one the first. Raises UsageError."""
    for case in registry.cases(registry.suite(suite)):
        if case_id is None or case.id == case_id:
            return case
    raise UsageError(f"suite '{suite}' has no case '{case_id}'", hint="ids stand in the dataset, or in a report")


def known_answer(world: World, suite: str, case_id: str, model: str, prompt: str | None) -> tuple[Case, str]:
    """The case, and the stored answer of *model* to it. Raises UsageError if there is none."""
    bench = prepare(world, Choice(suites=(suite,), prompts=(prompt,) if prompt else (), models=(model,)))
    try:
        prepared = bench.suites[0]
        if len(prepared.prompts) > 1:
            names = ", ".join(each.name for each in prepared.prompts)
            raise UsageError(f"suite '{suite}' has several prompts", hint=f"choose one with --prompt: {names}")
        case = case_of(world.registry, suite, case_id)
        answer = _known(world, prepared.models[0].provider, next(prepared.jobs([case])).call)
        if not isinstance(answer, Completion):
            raise UsageError(f"no answer of '{model}' to case '{case_id}' is known", hint=f"promptreg run {suite} --model {model}")
        return case, answer.text
    finally:
        bench.close()


def _known(world: World, provider: Provider, call: Call) -> Completion | Failure | None:
    """The stored answer; a provider whose answers are not worth storing has them at hand."""
    if not provider.stored:
        return provider.complete(call, TIMEOUT_S)
    return None if world.store is None else world.store.known([call.fingerprint]).get(call.fingerprint)


def accept_answer(registry: Registry, suite_name: str, case: Case, text: str) -> None:
    """Writes *text* as what *case* expects."""
    shown, path = _dataset(registry, registry.suite(suite_name))
    expect(path, shown, case, text.strip())


def _dataset(registry: Registry, suite: Suite) -> tuple[str, Path]:
    if suite.dataset is None:
        raise UsageError(
            f"suite '{suite.name}' has its cases inline", hint=f"edit {suite.where.path}, or move them to a dataset file"
        )
    return suite.dataset, registry.root / suite.dataset


def read_inputs(declared: Mapping[str, Mapping[str, Json]], given: Mapping[str, str]) -> dict[str, Json]:
    """Inputs as a command line gives them: text for those declared as strings, JSON for all others."""
    values: dict[str, Json] = {}
    for key, text in given.items():
        if declared.get(key, {}).get("type", "string") == "string":
            values[key] = text
            continue
        try:
            values[key] = documents.decode_json(text)
        except ValueError as fault:
            example = EXAMPLES.get(str(declared.get(key, {}).get("type")), """'["a", "b"]'""")
            raise UsageError(f"input '{key}' is not JSON: {fault}", hint=f"for example --input {key}={example}") from fault
    return values
