"""Check: what a suite's line becomes; and the laws of thresholds and negation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptreg.core.canonical import Json
from promptreg.core.check import Check, resolve, together
from promptreg.core.protocols import AS_WRITTEN, Answer, Metric
from promptreg.core.run import Score
from promptreg.core.suite import Case, CheckSpec
from promptreg.errors import DocumentError, TemplateError, UsageError, Where

SUITE = Where("suites/s.yaml", 5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """A metric that only shows what it was built from."""

    name: ClassVar[str] = "echo"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = "expected"
    cached: ClassVar[bool] = False

    expected: Json = field(default="{{ expected }}", metadata=AS_WRITTEN)
    labels: Json = None
    strict: bool = False

    def score(self, answer: Answer) -> Score:
        return Score(value=1.0)


def build(spec: CheckSpec, metric: type[Metric], options: Mapping[str, Json]) -> Metric:
    if "bad" in options.values():
        raise DocumentError("'expected' is bad", where=spec.where)
    made: Any = metric
    return made(**options)


def check(**spec: Any) -> Check:
    return resolve(CheckSpec(**{"metric": "echo", "where": SUITE, **spec}), Echo, build)


def case(**more: Any) -> Case:
    return Case(**{"id": "c1", "inputs": {"labels": ["a", "b"]}, "where": Where("data.jsonl", 3), **more})


def test_options_without_templates_are_built_once() -> None:
    found = check(options={"expected": "yes", "labels": ["a"]})
    assert found.ready == Echo(expected="yes", labels=["a"])
    assert found.for_case(case()) is found.for_case(case(id="c2"))


@pytest.mark.parametrize(
    ("options", "built"),
    [
        ({"expected": "{{ expected.n }}"}, Echo(expected=7)),
        ({"expected": "n={{ expected.n }}"}, Echo(expected="n=7")),
        ({"expected": "x", "labels": "{{ inputs.labels }}"}, Echo(expected="x", labels=["a", "b"])),
        (
            {"expected": "x", "labels": ["{{ id }}", {"deep": ["{{ tags.t }}", 1, None]}]},
            Echo(expected="x", labels=["c1", {"deep": ["T", 1, None]}]),
        ),
        ({"strict": True}, Echo(expected={"n": 7}, strict=True)),  # the default, a template too, is rendered
    ],
)
def test_templates_are_rendered_for_each_case_as_native_values(options: dict[str, Json], built: Echo) -> None:
    assert check(options=options).for_case(case(expected={"n": 7}, tags={"t": "T"})) == built


def test_what_a_case_holds_is_never_a_template() -> None:
    assert check().for_case(case(expected="{{ inputs }}")) == Echo(expected="{{ inputs }}")


@pytest.mark.parametrize(("value", "built"), [("yes", Echo(expected="yes")), (["a"], Echo(expected=["a"])), (0, Echo(expected=0))])
def test_the_short_form_fills_the_metrics_short_option(value: Json, built: Echo) -> None:
    assert check(options={"": value}, short=True).ready == built


@pytest.mark.parametrize("value", [None, "{{ expected }}"])
def test_an_empty_short_form_means_the_defaults(value: Json) -> None:
    assert check(options={"": value}, short=True).for_case(case(expected="e")) == Echo(expected="e")


@pytest.mark.parametrize(
    ("spec", "built"),
    [
        ({"options": {"": 1.1}, "short": True, "written": {"": "1.10"}}, Echo(expected="1.10")),
        ({"options": {"": [1.1, "x"]}, "short": True, "written": {"[0]": "1.10"}}, Echo(expected=["1.10", "x"])),
        ({"options": {"expected": 1.1}, "written": {"expected": "1.10"}}, Echo(expected="1.10")),
        ({"options": {"expected": "x", "labels": [7]}, "written": {"labels[0]": "007"}}, Echo(expected="x", labels=[7])),
    ],
)
def test_an_option_that_is_a_text_by_nature_arrives_as_written(spec: dict[str, Any], built: Echo) -> None:
    assert check(**spec).ready == built


def test_places_of_the_short_form_move_with_its_value() -> None:
    place = Where("suites/s.yaml", 6, 9)
    with pytest.raises(DocumentError, match="uses 'x'") as caught:
        check(options={"": ["a", "{{ x }}"]}, short=True, marks={"[1]": place})
    assert caught.value.where == place


@pytest.mark.parametrize(("option", "said"), [("strct", "did you mean 'strict'"), ("zzz", "unknown key 'zzz'")])
def test_a_misspelt_option_is_found_without_a_case(option: str, said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        check(options={option: True})


def test_a_missing_option_is_found_without_a_case() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Needy(Echo):
        labels: Json

    with pytest.raises(DocumentError, match="missing key 'labels'"):
        resolve(CheckSpec(metric="echo", where=SUITE), Needy, build)


def test_a_metric_without_short_form_says_so() -> None:
    class NoShort(Echo):
        short: ClassVar[str] = ""

    spec = CheckSpec(metric="echo", options={"": "x"}, short=True, where=SUITE)
    with pytest.raises(DocumentError, match="takes no bare value") as caught:
        resolve(spec, NoShort, build)
    assert "expected, labels, strict" in (caught.value.hint or "")
    resolve(CheckSpec(metric="echo", options={"": True}, short=True), NoShort, build)


def test_a_misspelt_variable_is_found_without_a_case() -> None:
    place = Where("suites/s.yaml", 6, 17)
    with pytest.raises(DocumentError, match="uses 'expcted'") as caught:
        check(options={"expected": "{{ expcted.queue }}"}, marks={"expected": place})
    assert caught.value.where == place


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"expected": "{{ expected.q }}"}, TemplateError, "q"),
        ({"labels": "{{ inputs.labels }}", "expected": "bad"}, DocumentError, "is bad"),
    ],
)
def test_a_fault_of_one_case_names_it(options: dict[str, Json], error: type[UsageError], said: str) -> None:
    with pytest.raises(error, match=said) as caught:
        check(options=options).for_case(case(expected={}))
    assert "check 'echo', case 'c1', data.jsonl:3" in caught.value.message
    assert caught.value.where is not None
    assert caught.value.where.path == "suites/s.yaml"


@pytest.mark.parametrize(
    "spec", [{"threshold": 0}, {"threshold": -1}, {"threshold": 1.5}, {"weight": -1}, {"weight": float("nan")}]
)
def test_senseless_marks_and_weights_are_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(DocumentError, match=r"threshold|weight"):
        check(options={"expected": "x"}, **spec)


def test_a_suite_in_which_nothing_can_fail_is_refused() -> None:
    with pytest.raises(DocumentError, match="at least one check"):
        together([])
    with pytest.raises(DocumentError, match="no check is required"):
        together([check(required=False), check(required=False)])
    with pytest.raises(DocumentError, match="add up to 0"):
        together([check(weight=0), check(weight=0.0)])


def test_checks_that_can_fail_are_kept_as_they_are() -> None:
    checks = [check(), check(negate=True, required=False), check(name="own", weight=0)]
    assert [one.label for one in together(checks)] == ["echo", "not_echo", "own"]


VALUES = st.floats(0, 1)
MARKS = st.none() | st.floats(0, 1, exclude_min=True)


@given(VALUES, MARKS)
def test_not_x_passes_exactly_where_x_does_not(raw: float, threshold: float | None) -> None:
    plain, negated = (check(threshold=threshold, negate=negate).result(Score(value=raw)) for negate in (False, True))
    assert plain.passed is not negated.passed
    assert plain.value + negated.value == pytest.approx(1)
    assert plain.raw == negated.raw == raw


@given(VALUES, st.floats(0, 1, exclude_min=True), st.booleans())
def test_with_a_threshold_a_check_yields_0_or_1(raw: float, threshold: float, negate: bool) -> None:
    result = check(threshold=threshold, negate=negate).result(Score(value=raw))
    assert result.value == float(result.passed)


@given(VALUES, VALUES, MARKS)
def test_a_better_answer_never_fails_where_a_worse_one_passes(one: float, other: float, threshold: float | None) -> None:
    worse, better = (check(threshold=threshold).result(Score(value=raw)) for raw in sorted((one, other)))
    assert worse.passed <= better.passed
    assert worse.value <= better.value


@pytest.mark.parametrize(
    ("raw", "spec", "passed", "value"),
    [
        (0.5, {}, False, 0.5),
        (0.5, {"threshold": 0.5}, True, 1.0),
        (0.49, {"threshold": 0.5}, False, 0.0),
        (2 * 0.8 * 0.8 / (0.8 + 0.8), {"threshold": 0.8}, True, 1.0),
        (1.0, {"negate": True}, False, 0.0),
        (0.25, {"negate": True}, True, 0.75),
        (0.9, {"negate": True, "threshold": 0.8}, False, 0.0),
    ],
)
def test_results(raw: float, spec: dict[str, Any], passed: bool, value: float) -> None:
    result = check(**spec).result(Score(value=raw))
    assert (result.passed, result.value) == (passed, value)


def test_a_failed_check_always_has_a_reason() -> None:
    assert check().result(Score(value=0.5)).reason == "0.5 is below 1"
    assert check(negate=True).result(Score(value=1)).reason == "`echo` holds, and must not"
    assert check().result(Score(value=0, reason="own words")).reason == "own words"
    assert check().result(Score(value=1)).reason == ""
