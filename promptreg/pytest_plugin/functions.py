"""Plain test functions over a dataset: `@pytest.mark.promptreg(prompt="triage", dataset="suites/triage.jsonl", models=["small"])`.

Each case × model is one test that takes `case`, `answer` and `score`; all their calls are part of the session's one batch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from promptreg import datasets
from promptreg.core.check import Check
from promptreg.core.grade import Job
from promptreg.core.prompt import Prompt
from promptreg.core.render import Renderer
from promptreg.core.run import Call, Outcome
from promptreg.core.suite import Case
from promptreg.errors import PromptregError, Unmeasured, UsageError
from promptreg.pytest_plugin.house import House, answered

if TYPE_CHECKING:
    from promptreg.pytest_plugin.session import Session

KEYWORDS = ("prompt", "dataset", "models", "checks")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One case on one model, as a parameter of a test function."""

    house: House
    key: tuple[str, str, str, str]
    job: Job

    @property
    def case(self) -> Case:
        return self.job.case

    def want(self) -> None:
        self.house.want(self.key, [self.job])

    def answer(self) -> str:
        return answered(self._outcome()).text

    def score(self) -> float:
        outcome = self._outcome()
        answered(outcome)
        if not self.job.checks:
            raise UsageError("the marker names no checks, so there is no score", hint='give checks=[{"exact": "{{ expected }}"}]')
        if outcome.score is None:
            said = outcome.failure.message if outcome.failure else "a check could not be measured"
            raise Unmeasured(f"no score: {said}", reason="missing_answers")
        return outcome.score

    def _outcome(self) -> Outcome:
        self.want()
        return self.house.result(self.key)[0]


def parametrize(metafunc: pytest.Metafunc, marker: pytest.Mark, part: Session) -> None:
    """One test for each case × model that *marker* names."""
    from promptreg.pytest_plugin.session import told

    try:
        samples = _samples(metafunc, marker, part)
    except PromptregError as fault:
        pytest.fail(f"{metafunc.definition.nodeid}\n{told(fault)}", pytrace=False)
    ids = [re.sub(r"[\[\]:\s]+", "_", f"{sample.job.model}-{sample.case.id}") for sample in samples]
    metafunc.parametrize("case", samples, ids=ids, indirect=True)


def _samples(metafunc: pytest.Metafunc, marker: pytest.Mark, part: Session) -> list[Sample]:
    given = _keywords(marker)
    if "prompt" not in given or "dataset" not in given:
        raise UsageError("@pytest.mark.promptreg needs prompt= and dataset= for a test that takes a case")
    here = Path(str(metafunc.definition.path)).parent
    house = part.house(here)
    name = str(given["prompt"])
    prompt = house.prompt(name)
    renderer = Renderer(prompt)
    checks = house.checks(given["checks"]) if given.get("checks") else ()
    models = [house.model(alias) for alias in part.options.models or given.get("models") or ("",)]
    found = []
    for case in _cases(house, here, str(given["dataset"])):
        messages = renderer.messages(case.inputs, case.where)
        for model in models:
            call = Call(
                model=model.identity,
                messages=messages,
                params=prompt.params,
                tools=prompt.tools,
                output_schema=prompt.output_schema,
                case=case.id if model.provider.keyed_by == "case" else None,
            )
            found.append(_sample(house, metafunc.definition.nodeid, name, case, (model.spec.alias, call), checks))
    if not found:
        raise UsageError(f"the dataset {given['dataset']} has no cases", hint="an empty dataset tests nothing")
    return found


def _sample(house: House, node: str, prompt: str, case: Case, asked: tuple[str, Call], checks: tuple[Check, ...]) -> Sample:
    alias, call = asked
    price = house.model(alias).spec.price
    job = Job(prompt=prompt, model=alias, case=case, call=call, checks=checks, price=price)
    return Sample(house, (node, prompt, alias, case.id), job)


def _cases(house: House, here: Path, dataset: str) -> list[Case]:
    """The rows of *dataset*: a path from the test file, or from the registry's root."""
    path = next((each for each in (here / dataset, house.root / dataset) if each.is_file()), None)
    if path is None:
        raise UsageError(f"there is no dataset {dataset}", hint="give a path from the test file, or from the registry's root")
    with path.open("rb") as file:
        return list(datasets.read(file, str(path)))


def prompt_of(request: pytest.FixtureRequest, house: House) -> Prompt:
    """The prompt that an indirect parameter or the marker names."""
    name = getattr(request, "param", None)
    if name is None:
        marker = request.node.get_closest_marker("promptreg")
        name = _keywords(marker).get("prompt") if marker is not None else None
    if not isinstance(name, str):
        raise UsageError("which prompt?", hint='@pytest.mark.promptreg(prompt="support/triage"), or an indirect parameter')
    return house.prompt(name)


def sample_of(request: pytest.FixtureRequest) -> Sample:
    """The sample that this test was parametrised with."""
    found = getattr(request, "param", None)
    if not isinstance(found, Sample):
        spec = getattr(request.node, "callspec", None)
        found = spec.params.get("case") if spec is not None else None
    if not isinstance(found, Sample):
        raise UsageError("this test has no case", hint="@pytest.mark.promptreg(prompt=…, dataset=…) runs it over a dataset")
    return found


def want_samples(items: Sequence[pytest.Item]) -> None:
    """What the selected test functions will ask for."""
    for item in items:
        spec: Any = getattr(item, "callspec", None)
        sample = spec.params.get("case") if spec is not None else None
        if isinstance(sample, Sample):
            sample.want()


def _keywords(marker: pytest.Mark) -> dict[str, Any]:
    from promptreg.core.names import did_you_mean

    if marker.args:
        raise UsageError("@pytest.mark.promptreg takes keywords only", hint=f"give {', '.join(KEYWORDS)} by name")
    for name in marker.kwargs:
        if name not in KEYWORDS:
            raise UsageError(
                f"@pytest.mark.promptreg has no '{name}'{did_you_mean(name, KEYWORDS)}", hint=f"it has {', '.join(KEYWORDS)}"
            )
    return dict(marker.kwargs)
