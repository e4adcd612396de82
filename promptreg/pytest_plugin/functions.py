"""Plain test functions over a dataset: `@pytest.mark.promptreg(prompt="triage", dataset="suites/triage.jsonl", models=["small"])`.

Each case × model is one test that takes `case`, `answer` and `score`; all their calls are part of the session's one batch.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from promptreg import datasets
from promptreg.core.grade import Job
from promptreg.core.prompt import Prompt
from promptreg.core.render import Renderer
from promptreg.core.run import Outcome
from promptreg.core.suite import Case
from promptreg.errors import PromptregError, Unmeasured, UsageError
from promptreg.pytest_plugin.house import House, answered, call_of
from promptreg.pytest_plugin.measuring import Measuring
from promptreg.pytest_plugin.names import node_part
from promptreg.pytest_plugin.showing import told

if TYPE_CHECKING:
    from promptreg.pytest_plugin.session import Session

KEYWORDS = ("prompt", "dataset", "models", "checks")


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One case on one model, as a parameter of a test function."""

    measuring: Measuring
    key: tuple[str, str, str, int]
    job: Job

    @property
    def case(self) -> Case:
        return self.job.case

    def want(self) -> None:
        self.measuring.want(self.key, [self.job])

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
        return self.measuring.result(self.key)[0]


def parametrize(metafunc: pytest.Metafunc, marker: pytest.Mark, part: Session) -> None:
    """One test for each case × model that *marker* names; nothing where it names no dataset."""
    with plainly(f"{metafunc.definition.nodeid}\n"):
        samples = _samples(metafunc, marker, part)
    if samples:
        ids = [node_part(f"{sample.job.model}-{sample.case.id}") for sample in samples]
        metafunc.parametrize("promptreg_sample", samples, ids=ids, indirect=True)


def _samples(metafunc: pytest.Metafunc, marker: pytest.Mark, part: Session) -> list[Sample]:
    given = _keywords(marker)
    if "dataset" not in given:
        return []
    if "prompt" not in given:
        raise UsageError("@pytest.mark.promptreg needs prompt= for a test that takes a case")
    here = Path(str(metafunc.definition.path)).parent
    measuring = part.measuring(here)
    house, name = measuring.house, str(given["prompt"])
    prompt = house.prompt(name)
    renderer = Renderer(prompt)
    checks = house.checks(given["checks"]) if given.get("checks") else ()
    models = [house.model(alias) for alias in part.options.models or given.get("models") or ("",)]
    found = []
    for number, case in enumerate(_cases(house, here, str(given["dataset"]))):
        messages = renderer.messages(case.inputs, case.where)
        metrics = tuple(check.for_case(case) for check in checks)
        for model in models:
            alias, call = model.spec.alias, call_of(prompt, model, messages, case)
            job = Job(prompt=name, model=alias, case=case, call=call, checks=checks, price=model.spec.price, metrics=metrics)
            found.append(Sample(measuring, (metafunc.definition.nodeid, name, alias, number), job))
    if not found:
        raise UsageError(f"the dataset {given['dataset']} has no cases", hint="an empty dataset tests nothing")
    return found


def _cases(house: House, here: Path, dataset: str) -> list[Case]:
    """The rows of *dataset*: a path from the test file, or from the registry's root."""
    path = next((each for each in (here / dataset, house.root / dataset) if each.is_file()), None)
    if path is None:
        raise UsageError(f"there is no dataset {dataset}", hint="give a path from the test file, or from the registry's root")
    with path.open("rb") as file:
        shown = path.resolve()
        return list(datasets.read(file, str(shown.relative_to(house.root) if shown.is_relative_to(house.root) else path)))


def prompt_of(request: pytest.FixtureRequest, part: Session) -> Prompt:
    """The prompt that an indirect parameter or the marker names."""
    with plainly():
        name = getattr(request, "param", None)
        if name is None:
            marker = request.node.get_closest_marker("promptreg")
            name = _keywords(marker).get("prompt") if marker is not None else None
        if not isinstance(name, str):
            raise UsageError("which prompt?", hint='@pytest.mark.promptreg(prompt="support/triage"), or an indirect parameter')
        return part.house_of(request.path).prompt(name)


def sampled(request: pytest.FixtureRequest, sample: Sample | None, what: Literal["case", "answer", "score"]) -> Any:
    """The case, answer or score of the sample that this test was parametrised with."""
    with plainly():
        if sample is None:
            raise UsageError(f"this test has no {what}", hint="@pytest.mark.promptreg(prompt=…, dataset=…) runs it over a dataset")
        if what == "case":
            return sample.case
        if what == "answer":
            return sample.answer()
        score = sample.score()
        request.node.user_properties.append(("promptreg.score", round(score, 6)))
        return score


@contextmanager
def plainly(about: str = "") -> Iterator[None]:
    """promptreg's errors as the command line shows them, after *about*, without a traceback through its code."""
    try:
        yield
    except PromptregError as fault:
        if type(fault) is PromptregError:
            raise  # our bug
        raise pytest.fail.Exception(about + told(fault), pytrace=False) from None


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
