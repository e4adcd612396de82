"""A suite's `checks:` as users write them, through the loader and the real metrics to results."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

import pytest

from promptreg import documents
from promptreg.core.canonical import Json
from promptreg.core.check import Check, resolve, together
from promptreg.core.grade import Job, grade
from promptreg.core.prompt import Message
from promptreg.core.protocols import Metric
from promptreg.core.run import Call, Completion, ModelIdentity, Outcome, Received, Usage
from promptreg.core.suite import CheckSpec
from promptreg.errors import DocumentError, UsageError

MODULES = {"squad_em": "squad", "token_f1": "squad"}
CASE = '{id: c1, inputs: {q: "?", queues: [billing, bug]}, expected: {text: "Yes.", queue: bug, n: 1200, words: [Yes, no]}}'


def metric_class(name: str) -> type[Metric]:
    module = importlib.import_module(f"promptreg.metrics.{MODULES.get(name, name)}")
    return next(item for item in vars(module).values() if isinstance(item, type) and getattr(item, "name", "") == name)


def build(spec: CheckSpec, metric: type[Metric], options: Mapping[str, Json]) -> Metric:
    return documents.convert(dict(options), metric, lambda key: spec.marks.get(key, spec.where), written=spec.written)


def checks(yaml: str) -> tuple[Check, ...]:
    lines = "\n".join(f"  - {line}" for line in yaml.strip().split("\n"))
    source = f"prompts: p\ncases:\n  - {CASE}\nchecks:\n{lines}\n"
    suite = documents.suite(source.encode(), "suites/s.yaml", "s")
    return together([resolve(spec, metric_class(spec.metric), build) for spec in suite.checks])


def outcome(yaml: str, text: str, case: str = CASE, **completion: Any) -> Outcome:
    source = f"prompts: p\ncases:\n  - {case}\nchecks: [refusal]\n"
    (found,) = documents.suite(source.encode(), "suites/s.yaml", "s").cases
    call = Call(model=ModelIdentity(facts={}), messages=(Message(role="user", content="?"),))
    task = grade(Job(prompt="p", model="m", case=found, call=call, checks=checks(yaml)))
    next(task)
    with pytest.raises(StopIteration) as end:
        task.send(Received(result=Completion(text=text, **completion)))
    result = end.value.value
    assert isinstance(result, Outcome)
    return result


@pytest.mark.parametrize(
    ("yaml", "text", "passed"),
    [
        ('exact: "{{ expected.text }}"', "Yes.", True),
        ('exact: "{{ expected.n }}"', "1200", True),
        ("exact: 1.10", "1.10", True),
        ("exact: 1.10", "1.1", False),
        ("exact: yes", "yes", True),
        ("not_exact: yes", "yes", False),
        ("exact: {expected: 007, ignore_case: true}", "007", True),
        ("{metric: exact, expected: 2024-05-17}", "2024-05-17", True),
        ('contains: "{{ expected.queue }}"', "the bug queue", True),
        ("contains_all: [1.10, x]", "x 1.10", True),
        ('contains_all: "{{ expected.words }}"', "Yes and no", True),
        ('contains_any: "{{ expected.words }}"', "no", True),
        ("starts_with: {expected: dear, ignore_case: true}", "Dear", True),
        (r"regex: '^\d+$'", "12", True),
        ("regex: 404", "error 404", True),
        ('one_of: {labels: "{{ inputs.queues }}", expected: "{{ expected.queue }}"}', "It is a bug", True),
        ("one_of: {labels: [1, 2.0], expected: 2.0}", "2.0", True),
        (r"""one_of: {labels: ["yes", "no"], pattern: '\[(yes|no)\]', expected: "yes"}""", "no: [yes]", True),
        ('number: "{{ expected.n }}"', "It is 1,200.", True),
        ("number: {expected: 5, tolerance: 1, relative: 0.5}", "7", True),
        ("json", '{"a": 1}', True),
        ("not_json", '{"a": 1}', False),
        ("json: {schema: {type: object, required: [queue]}}", "{}", False),
        ('json: {path: queue, equals: "{{ expected.queue }}", fenced: true}', '```\n{"queue": "bug"}\n```', True),
        ("json: {path: a, equals: 1.10}", '{"a": 1.1}', True),
        ("json: {path: a, equals: null}", '{"a": null}', True),
        ("{metric: levenshtein, expected: kitten, threshold: 0.5}", "sitting", True),
        ('squad_em: "{{ expected.words }}"', "The yes", True),
        ("token_f1: {expected: [a cat, the dog], threshold: 0.6}", "big dog", True),
        ("bleu: {expected: The cat sat on the mat., threshold: 0.4}", "The cat sat on a mat.", True),
        ("chrf: {expected: Haus, threshold: 0.3}", "Hauses", True),
        ("rouge: {expected: one two three, kind: rouge-1, threshold: 0.5}", "two three four", True),
        ("word_count: 3", "one two three four", False),
        ("refusal", "I'm sorry, but I can't help with that.", True),
        ("not_refusal", "I'm sorry, but I can't help with that.", False),
        ("latency: 2", "", True),
        ("cost: 0.5", "", True),
        ("tokens: {max_output: 4}", "", False),
        ("recorded: mark", "", True),
        ("expr: output == expected.text and 'bug' in inputs.queues", "Yes.", True),
    ],
)
def test_checks_as_users_write_them(yaml: str, text: str, passed: bool) -> None:
    usage = Usage(input_tokens=3, output_tokens=5)
    found = outcome(yaml, text, latency_s=1.0, cost_usd=0.25, usage=usage, scores={"mark": 1.0})
    assert found.passed is passed, found


@pytest.mark.parametrize(
    ("yaml", "place", "said"),
    [
        ("exact: {expected: x, ignorecase: true}", "suites/s.yaml:5", "did you mean 'ignore_case'"),
        ("exact: {ignorecase: true}", "suites/s.yaml:5", "did you mean 'ignore_case'"),
        ('exact: "{{ expcted }}"', "suites/s.yaml:5", "expcted"),
        ('exact: "{{ expected"', "suites/s.yaml:5", "end of print statement"),
        ("exact: []", "suites/s.yaml:5", "is a list"),
        ("regex: '('", "suites/s.yaml:5", "not a regular expression"),
        ("one_of: {labels: [a, b], expected: c}", "suites/s.yaml:5", "none of the labels"),
        ("number: {expected: 1, tolerance: -1}", "suites/s.yaml:5", "'tolerance'"),
        ("json: {path: 'a[*]'}", "suites/s.yaml:5", "not understood"),
        ("json: {schema: {type: nonsense}}", "suites/s.yaml:5", "not a JSON Schema"),
        ("json: 5", "suites/s.yaml:5", "no bare value"),
        ("tokens", "suites/s.yaml:5", "is needed"),
        ("latency", "suites/s.yaml:5", "missing key 'max_s'"),
        ("expr: outptu == 'x'", "suites/s.yaml:5", "did you mean 'output'"),
        ("expr: output ==", "suites/s.yaml:5", "unexpected"),
        ("{metric: exact, expected: x, threshold: 0}", "suites/s.yaml:5", "threshold"),
        ("{metric: exact, expected: x, required: false}", "suites/s.yaml:5", "no check is required"),
    ],
)
def test_mistakes_are_shown_where_they_stand(yaml: str, place: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        checks(yaml)
    told = " ".join([caught.value.message, caught.value.hint or ""])
    assert said.lower() in told.lower()
    assert str(caught.value.where).startswith(place)


@pytest.mark.parametrize(
    ("yaml", "expected"),
    [
        ("exact", "{a: 1}"),
        ("exact", "null"),
        ('exact: "{{ expected.queue }}"', "{}"),
        ("one_of: [a, b]", "c"),
        ("one_of: []", "c"),
        ("one_of: {labels: [a, c], pattern: '('}", "c"),
        ("json: {path: 'a[*]', equals: '{{ expected }}'}", "c"),
        ("number", "many"),
        ("contains_all", "[]"),
    ],
)
def test_a_case_that_cannot_be_judged_is_named_before_it_is_paid_for(yaml: str, expected: str) -> None:
    case = f"{{id: odd, inputs: {{q: x}}, expected: {expected}}}"
    with pytest.raises(UsageError, match=r"case 'odd', suites/s\.yaml:3"):
        outcome(yaml, "never asked", case=case)


def test_all_metrics_can_be_built_from_their_json_schema() -> None:
    """What the loader accepts and what the editors' schema says are one walk; it must know every option's type."""
    for name in ("exact", "one_of", "number", "json", "rouge", "tokens", "refusal", "expr"):
        schema = documents.json_schema(metric_class(name))
        assert json.dumps(schema)
        assert not [key for key in schema["properties"] if key.startswith("_")]


def test_documents_complain_in_their_own_class() -> None:
    with pytest.raises(DocumentError):
        checks("exact: {expected: x, nonsense: 1}")
