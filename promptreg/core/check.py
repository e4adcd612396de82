"""Check: what a suite's line of `checks:` becomes, a metric with its options, a pass mark and a weight.

Knows no plugin: the caller brings the metric's class and the function that builds it from options.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeAlias, cast

from promptreg.core.canonical import Json
from promptreg.core.protocols import Metric
from promptreg.core.run import CheckResult, Score
from promptreg.core.suite import Case, CheckSpec
from promptreg.core.template import Templates
from promptreg.errors import DocumentError, UsageError

Build: TypeAlias = Callable[[CheckSpec, type[Metric], Mapping[str, Json]], Metric]

CASE_NAMES = ("inputs", "expected", "tags", "id")  # what option templates see: Case.context
ROUNDING = 1e-9  # 2·0.8·0.8/(0.8+0.8) is a hair below 0.8, and passes a threshold of 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check of a suite, resolved. `options` are named and may hold templates; `ready` is the metric when none does."""

    spec: CheckSpec
    metric: type[Metric]
    label: str
    options: Mapping[str, Json]
    build: Build
    templates: Templates
    ready: Metric | None = None

    @property
    def threshold(self) -> float:
        return self.metric.threshold if self.spec.threshold is None else self.spec.threshold

    def for_case(self, case: Case) -> Metric:
        """The metric with every template of its options rendered. Raises UsageError that names the case."""
        if self.ready is not None:
            return self.ready
        try:
            context = case.context()
            options = {name: self._rendered(value, name, context) for name, value in self.options.items()}
            return self.build(self.spec, self.metric, options)
        except UsageError as fault:
            at = f", {case.where}" if case.where else ""
            message = f"{fault.message} (check '{self.label}', case '{case.id}'{at})"
            raise type(fault)(message, where=fault.where, hint=fault.hint, more=fault.more) from fault

    def result(self, found: Score) -> CheckResult:
        """The score after threshold and negation: `not_x` passes exactly where `x` does not.

        A threshold that the suite writes makes the value 0 or 1; without one it stays graded, and the metric's own mark decides.
        """
        passed = (found.value >= self.threshold - ROUNDING) is not self.spec.negate
        graded = 1 - found.value if self.spec.negate else found.value
        return CheckResult(
            label=self.label,
            metric=self.spec.metric,
            value=graded if self.spec.threshold is None else float(passed),
            raw=found.value,
            passed=passed,
            required=self.spec.required,
            weight=self.spec.weight,
            reason=found.reason or ("" if passed else self._reason(found.value)),
        )

    def _reason(self, raw: float) -> str:
        if self.spec.negate:
            return f"`{self.spec.metric}` holds, and must not"
        return f"{raw:.3g} is below {self.threshold:g}"

    def _rendered(self, value: Json, key: str, context: Mapping[str, Json]) -> Json:
        if isinstance(value, str):
            place = self.spec.marks.get(key, self.spec.where)
            return self.templates.evaluate(value, context, place) if _is_template(value) else value
        if isinstance(value, Mapping):
            return {name: self._rendered(item, f"{key}.{name}", context) for name, item in value.items()}
        if isinstance(value, Sequence):
            return [self._rendered(item, f"{key}.{position}", context) for position, item in enumerate(value)]
        return value


def resolve(spec: CheckSpec, metric: type[Metric], build: Build) -> Check:
    """A check ready for cases. What needs no case is built and complained about now. Raises UsageError at its place."""
    _refuse_senseless(spec)
    options = _named(spec, metric)
    templates = Templates({})
    check = Check(spec=spec, metric=metric, label=spec.label, options=options, build=build, templates=templates)
    sources = [(key, text) for key, text in _texts(options, "") if _is_template(text)]
    if not sources:
        return replace(check, ready=build(spec, metric, options))
    for key, text in sources:
        place = spec.marks.get(key, spec.where)
        unknown = templates.variables(text, place).difference(CASE_NAMES)
        if unknown:
            message = f"check '{spec.label}' uses '{min(unknown)}', which no case has"
            raise DocumentError(message, where=place, hint=f"a check's options see {', '.join(CASE_NAMES)}")
    return check


def together(checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks of one suite, with labels that tell them apart.

    Raises UsageError when no answer could fail, or none could score.
    """
    if not checks:
        raise DocumentError("a suite needs at least one check")
    where = checks[0].spec.where
    if not any(check.spec.required for check in checks):
        raise DocumentError(
            "no check is required, so every answer would pass", where=where, hint="leave out `required: false` once"
        )
    if sum(check.spec.weight for check in checks) == 0:
        raise DocumentError("the weights of the checks add up to 0", where=where, hint="give at least one check a weight above 0")
    seen: dict[str, int] = {}
    named = []
    for check in checks:
        seen[check.label] = count = seen.get(check.label, 0) + 1
        named.append(check if count == 1 else replace(check, label=f"{check.label} {count}"))
    return tuple(named)


def _refuse_senseless(spec: CheckSpec) -> None:
    if spec.threshold is not None and not 0 < spec.threshold <= 1:
        place = spec.marks.get("threshold", spec.where)
        raise DocumentError(
            f"the threshold {spec.threshold:g} is not above 0 and at most 1", where=place, hint="at 0 every answer passes"
        )
    if not (math.isfinite(spec.weight) and spec.weight >= 0):
        raise DocumentError(f"the weight {spec.weight:g} is not a number from 0", where=spec.marks.get("weight", spec.where))


def _named(spec: CheckSpec, metric: type[Metric]) -> dict[str, Json]:
    """Options by name: the short form's value under the option it fills, and defaults that are templates (`{{ expected }}`)."""
    options = dict(spec.options)
    if spec.short:
        value = options.pop("", None)
        if metric.short and value is not None:
            options[metric.short] = value
        elif value not in (None, True):
            raise DocumentError(
                f"`{spec.metric}` takes no bare value", where=spec.where, hint=f"write its options: {', '.join(_options(metric))}"
            )
    return {name: default for name, default in _options(metric).items() if _is_template(default)} | options


def _options(metric: type[Metric]) -> dict[str, Any]:
    return {item.name: item.default for item in fields(cast(Any, metric)) if item.init}


def _is_template(value: object) -> bool:
    return isinstance(value, str) and any(mark in value for mark in ("{{", "{%", "{#"))


def _texts(value: Json, key: str) -> list[tuple[str, str]]:
    """Every text in *value* with its dotted key."""
    if isinstance(value, str):
        return [(key, value)]
    if isinstance(value, Mapping):
        children = list(value.items())
    elif isinstance(value, Sequence):
        children = [(str(position), item) for position, item in enumerate(value)]
    else:
        return []
    return [found for name, item in children for found in _texts(item, f"{key}.{name}" if key else name)]
