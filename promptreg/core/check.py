"""Check: what a suite's line of `checks:` becomes, a metric with its options, a pass mark and a weight.

Knows no plugin: the caller brings the metric's class and the function that builds it from options.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, replace
from typing import Any, TypeAlias, cast

from promptreg.core.canonical import Json
from promptreg.core.names import did_you_mean
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
    """One check of a suite, resolved. `spec` is in its long form; `ready` is the metric when no option holds a template."""

    spec: CheckSpec
    metric: type[Metric]
    build: Build
    templates: Templates
    ready: Metric | None = None

    @property
    def label(self) -> str:
        return self.spec.label

    @property
    def threshold(self) -> float:
        return self.metric.threshold if self.spec.threshold is None else self.spec.threshold

    def for_case(self, case: Case) -> Metric:
        """The metric with every template of its options rendered. Raises UsageError that names the case."""
        if self.ready is not None:
            return self.ready
        context = case.context()

        def rendered(value: Json, key: str) -> Json:
            if not _is_template(value):
                return value
            return self.templates.evaluate(cast(str, value), context, self.spec.place(key))

        try:
            options = {name: _mapped(value, name, rendered) for name, value in self.spec.options.items()}
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
            read=found.read,
        )

    def _reason(self, raw: float) -> str:
        if self.spec.negate:
            return f"`{self.spec.metric}` holds, and must not"
        return f"{raw:.3g} is below {self.threshold:g}"


def resolve(spec: CheckSpec, metric: type[Metric], build: Build) -> Check:
    """A check ready for cases. What needs no case is built and complained about now. Raises UsageError at its place."""
    _refuse_senseless(spec)
    spec = _long_form(spec, metric)
    check = Check(spec=spec, metric=metric, build=build, templates=Templates({}))
    if not _refuse_unknown_variables(check):
        return replace(check, ready=build(spec, metric, spec.options))
    _refuse_unknown_options(spec, metric)
    return check


def together(checks: Sequence[Check]) -> tuple[Check, ...]:
    """The checks of one suite. Raises UsageError when no answer could fail, or none could have a score."""
    if not checks:
        raise DocumentError("a suite needs at least one check")
    where = checks[0].spec.where
    if not any(check.spec.required for check in checks):
        raise DocumentError(
            "no check is required, so every answer would pass", where=where, hint="leave out `required: false` once"
        )
    if sum(check.spec.weight for check in checks) == 0:
        raise DocumentError("the weights of the checks add up to 0", where=where, hint="give at least one check a weight above 0")
    return tuple(checks)


def _refuse_senseless(spec: CheckSpec) -> None:
    if spec.threshold is not None and not 0 < spec.threshold <= 1:
        message = f"the threshold {spec.threshold:g} is not above 0 and at most 1"
        raise DocumentError(message, where=spec.place("threshold"), hint="at 0 every answer passes")
    if not (math.isfinite(spec.weight) and spec.weight >= 0):
        raise DocumentError(f"the weight {spec.weight:g} is not a number from 0", where=spec.place("weight"))


def _long_form(spec: CheckSpec, metric: type[Metric]) -> CheckSpec:
    """*spec* with every option under its name: the short form's value, and defaults that are templates (`{{ expected }}`).

    Options that are texts by nature (field metadata AS_WRITTEN) get a number as the user spelt it: `1.10` is not 1.1.
    """
    options, marks, written = dict(spec.options), spec.marks, spec.written
    if spec.short:
        value = options.pop("", None)
        if metric.short and value is not None:
            options[metric.short] = value
            marks = {metric.short + key: place for key, place in marks.items()}
            written = {metric.short + key: text for key, text in written.items()}
        elif value not in (None, True):
            hint = f"write its options: {', '.join(_options(metric))}"
            raise DocumentError(f"`{spec.metric}` takes no bare value", where=spec.where, hint=hint)

    def spelt(value: Json, key: str) -> Json:
        return written.get(key, value)

    for name, item in _options(metric).items():
        if name not in options and _is_template(item.default):
            options[name] = cast(Json, item.default)
        elif name in options and item.metadata.get("as_written"):
            options[name] = _mapped(options[name], name, spelt)
    return replace(spec, options=options, marks=marks, written=written, short=False)


def _refuse_unknown_variables(check: Check) -> bool:
    """Whether any option is a template. Raises DocumentError for one that uses what no case has."""
    found: list[tuple[str, str]] = []

    def collect(value: Json, key: str) -> Json:
        if _is_template(value):
            found.append((cast(str, value), key))
        return value

    for name, value in check.spec.options.items():
        _mapped(value, name, collect)
    for text, key in found:
        place = check.spec.place(key)
        unknown = check.templates.variables(text, place).difference(CASE_NAMES)
        if unknown:
            message = f"check '{check.label}' uses '{min(unknown)}', which no case has"
            raise DocumentError(message, where=place, hint=f"a check's options see {', '.join(CASE_NAMES)}")
    return bool(found)


def _refuse_unknown_options(spec: CheckSpec, metric: type[Metric]) -> None:
    """What `build` says of the names of options, for checks that it cannot build before a case is there."""
    known = _options(metric)
    for name in spec.options:
        if name not in known:
            message = f"unknown key '{name}'{did_you_mean(name, known)}"
            raise DocumentError(message, where=spec.place(name), hint=f"known keys: {', '.join(known)}")
    missing = [name for name, item in known.items() if name not in spec.options and _is_needed(item)]
    if missing:
        raise DocumentError(f"missing key '{missing[0]}'", where=spec.where, hint=f"add '{missing[0]}:'")


def _options(metric: type[Metric]) -> dict[str, Field[Any]]:
    return {item.name: item for item in fields(cast(Any, metric)) if item.init}


def _is_needed(item: Field[Any]) -> bool:
    return item.default is MISSING and item.default_factory is MISSING


def _is_template(value: object) -> bool:
    return isinstance(value, str) and any(mark in value for mark in ("{{", "{%", "{#"))


def _mapped(value: Json, key: str, change: Callable[[Json, str], Json]) -> Json:
    """*value* with every text, number, truth value and null changed; *key* is its dotted key."""
    if isinstance(value, Mapping):
        return {name: _mapped(item, f"{key}.{name}", change) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_mapped(item, f"{key}[{position}]", change) for position, item in enumerate(value)]
    return change(value, key)
