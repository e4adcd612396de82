"""A suite file → Suite. Knows no metric: options of checks are kept as written, with their places, for `core.grade`."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Annotated, Any, Literal

from promptreg.core.canonical import Json
from promptreg.core.suite import Case, CheckSpec, Limit, Policy, Quarantine, Sample, Slices, Suite
from promptreg.documents.describe import json_schema
from promptreg.documents.rows import CaseShape, read_case
from promptreg.documents.shapes import Rule, Shaper
from promptreg.documents.yaml import Document, below, below_each, dotted, dotted_within, read_yaml
from promptreg.errors import DocumentError, Where

NOT = "not_"  # before a metric's name: the check passes when the metric fails
SLICE = r"cluster|expected|(?:tags|inputs|expected)\..+"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonShape:
    """The keys that every check may have, beside its metric's own options."""

    threshold: Annotated[float | None, Rule(doc="the value that passes; default: the metric's own", ge=0, le=1)] = None
    weight: Annotated[float, Rule(doc="share in the case's score", ge=0)] = 1.0
    required: Annotated[bool, Rule(doc="whether the case fails with this check")] = True
    negate: Annotated[bool, Rule(doc="pass when the metric fails")] = False
    name: Annotated[str, Rule(doc="how reports call this check", filled=True)] = ""


_COMMON = frozenset(CommonShape.__dataclass_fields__)


def _checks_schema() -> dict[str, Json]:
    common: Any = json_schema(CommonShape)["properties"]
    name: Json = {"type": "string", "minLength": 1, "description": "which metric judges"}
    forms: list[Json] = [
        {"type": "string", "minLength": 1, "description": "a metric without options, like json or not_refusal"},
        {
            "type": "object",
            "description": "long form: metric, its options beside it",
            "properties": {"metric": name, **common},
            "required": ["metric"],
        },
        {
            "type": "object",
            "description": "short form: one metric with its value or its options",
            "properties": {"metric": False, **common},
            "minProperties": 1,
        },
    ]
    return {"type": "array", "minItems": 1, "items": {"anyOf": forms}}


def _cases_schema() -> dict[str, Json]:
    return {"type": "array", "minItems": 1, "items": json_schema(CaseShape)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleShape:
    """A stratified sample: adding a row to the data moves nothing else."""

    n: Annotated[int, Rule(doc="how many cases", ge=1)]
    seed: Annotated[int, Rule(doc="another seed, another sample")] = 0
    by: Annotated[
        str | None, Rule(doc="strata, like tags.queue", pattern=SLICE, looks="like tags.queue, inputs.x or expected.x")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlicesShape:
    """Parts of the data that are judged by themselves."""

    by: Annotated[
        tuple[Annotated[str, Rule(pattern=SLICE, looks="like tags.queue, inputs.x or expected.x")], ...],
        Rule(doc="what tells slices apart", filled=True, unique=True),
    ]
    correction: Annotated[Literal["holm", "bh"], Rule(doc="for many slices: family-wise or false discovery")] = "holm"
    mode: Annotated[Literal["inform", "block"], Rule(doc="whether a slice can fail the gate")] = "inform"


_RELATIVE = Rule(pattern=r"\+[0-9]+(\.[0-9]+)?%", looks="a relative limit like +10%")
_EITHER = Rule(pattern=r"\+[0-9]+(\.[0-9]+)?(pt|%)", looks="points like +2pt or a relative limit like +10%")


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardShape:
    """How far other qualities may get worse."""

    cost: Annotated[str | None, _RELATIVE, Rule(doc="US dollars per answer")] = None
    tokens: Annotated[str | None, _RELATIVE, Rule(doc="input and output tokens")] = None
    latency_p95: Annotated[str | None, _RELATIVE, Rule(doc="95th percentile of seconds")] = None
    refusal: Annotated[str | None, _EITHER, Rule(doc="share of refusals")] = None
    format: Annotated[str | None, _EITHER, Rule(doc="share of answers that break the output schema")] = None
    length: Annotated[str | None, _RELATIVE, Rule(doc="length of answers")] = None

    def limits(self) -> dict[str, Limit]:
        texts = {name: getattr(self, name) for name in GuardShape.__dataclass_fields__}
        return {name: _limit(text) for name, text in texts.items() if text is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class GateShape:
    """How the gate judges a change."""

    on: Annotated[Literal["passed", "score"], Rule(doc="what is compared")] = "passed"
    margin: Annotated[float, Rule(doc="largest drop that may be merged", ge=0, lt=1)] = 0.05
    alpha: Annotated[float, Rule(doc="chance of a false verdict, each side", ge=1e-6, lt=0.5)] = 0.05
    mode: Annotated[Literal["fixed", "sequential", "hybrid"], Rule(doc="hybrid: half of alpha for each")] = "hybrid"
    target: Annotated[Literal["population", "golden"], Rule(doc="what the cases stand for")] = "population"
    anchor: Annotated[str, Rule(doc="second reference: last-release, none, or a reference", filled=True)] = "last-release"
    undecided: Annotated[Literal["warn", "block"], Rule(doc="what too little evidence does")] = "warn"
    floor: Annotated[float | None, Rule(doc="absolute, on the candidate", ge=0, le=1)] = None
    guard: Annotated[GuardShape, Rule(doc="limits of other qualities")] = field(default_factory=GuardShape)
    slices: Annotated[SlicesShape | None, Rule(doc="parts judged by themselves")] = None
    batch: Annotated[int, Rule(doc="cases between two sequential looks", ge=1)] = 8
    min_cases: Annotated[int, Rule(doc="below: no PASS", ge=1)] = 20
    max_missing: Annotated[float, Rule(doc="above this share of missing answers: UNMEASURED", ge=0, le=1)] = 0.02
    power: Annotated[float, Rule(doc="for planning figures", gt=0, lt=1)] = 0.90

    def policy(self) -> Policy:
        values = {name: getattr(self, name) for name in GateShape.__dataclass_fields__}
        slices = Slices(by=self.slices.by, correction=self.slices.correction, mode=self.slices.mode) if self.slices else None
        return Policy(**{**values, "guard": self.guard.limits(), "slices": slices})


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineShape:
    """A flaky case that the gate does not count for a while."""

    case: Annotated[str | int, Rule(doc="the id of the case", filled=True)]
    owner: Annotated[str, Rule(doc="who sees to it", filled=True)]
    until: Annotated[str, Rule(doc="the last day, in UTC", pattern=r"[0-9]{4}-[0-9]{2}-[0-9]{2}", looks="a date like 2027-01-31")]
    reason: Annotated[str, Rule(doc="why it is unreliable")] = ""

    def __post_init__(self) -> None:
        date.fromisoformat(self.until)


Name = Annotated[str, Rule(filled=True)]
Names = Annotated[tuple[Name, ...], Rule(filled=True, unique=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuiteShape:
    """A suite: golden cases, the checks an answer must pass, and the policy of its gate."""

    prompts: Annotated[Name | Names, Rule(doc="a prompt, a glob, or a list of them")]
    checks: Annotated[
        tuple[Any, ...],
        Rule(doc="what an answer must pass", filled=True, schema=_checks_schema),
    ]
    description: Annotated[str, Rule(doc="what must stay right")] = ""
    models: Annotated[Name | Names | None, Rule(doc="aliases of promptreg.yaml; default: its defaults.model")] = None
    dataset: Annotated[str | None, Rule(doc="a .jsonl, .csv or .yaml file, relative to this one", filled=True)] = None
    cases: Annotated[
        tuple[Any, ...] | None,
        Rule(doc="golden cases, inline", filled=True, schema=_cases_schema),
    ] = None
    sample: Annotated[SampleShape | None, Rule(doc="run only some of the cases")] = None
    repeats: Annotated[int, Rule(doc="answers per case", ge=1)] = 1
    gate: Annotated[GateShape | None, Rule(doc="how a change is judged")] = None
    quarantine: Annotated[
        tuple[QuarantineShape, ...], Rule(doc="flaky cases: measured and shown, not counted by the gate until their day is over")
    ] = ()


def suite(source: bytes, path: str, name: str, place: str = "") -> Suite:
    """The suite that *source* describes; *path* counts from the registry's root. DocumentError, with every complaint.

    *place* is how messages name the file, if not by its path.
    """
    document = read_yaml(source, place or path)
    shaper = Shaper(document.place, document.written, nulls=False)
    shape = shaper.build(document.value, SuiteShape)
    raw = document.value if isinstance(document.value, Mapping) else {}
    checks = _checks(raw.get("checks"), document, shaper)
    cases = _cases(raw.get("cases"), document, shaper)
    dataset = _dataset(raw.get("dataset"), path, shaper)
    if raw and ("dataset" in raw) == ("cases" in raw):
        shaper.complain(
            "a suite has either 'dataset' or 'cases'", "dataset" if "dataset" in raw else "", "keep exactly one of them"
        )
    quarantine = _quarantine(shape.quarantine, document, shaper) if shape is not None else ()
    shaper.finish()
    assert shape is not None
    return Suite(
        name=name,
        prompts=_names(shape.prompts),
        models=_names(shape.models),
        checks=checks,
        dataset=dataset,
        cases=cases,
        sample=Sample(n=shape.sample.n, seed=shape.sample.seed, by=shape.sample.by) if shape.sample else None,
        repeats=shape.repeats,
        policy=shape.gate.policy() if shape.gate else None,
        quarantine=quarantine,
        description=shape.description,
        where=Where(place or path),
        marks={key: document.place(key) for key in document.marks},
    )


def _names(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else value


def _limit(text: str) -> Limit:
    relative = text.endswith("%")
    return Limit(amount=float(text.removesuffix("%").removesuffix("pt")) / 100, relative=relative)


def _dataset(raw: Json, path: str, shaper: Shaper) -> str | None:
    if not isinstance(raw, str) or not raw:
        return None
    found = posixpath.normpath(posixpath.join(posixpath.dirname(path), raw))
    if raw.startswith("/") or "\\" in raw or "\0" in raw or found.split("/")[0] in ("..", ".git"):
        shaper.complain(f"the dataset '{raw}' leads out of the registry", "dataset", "give a path relative to this file, with /")
    return found


def _cases(raw: Json, document: Document, shaper: Shaper) -> tuple[Case, ...]:
    if not isinstance(raw, list):
        return ()
    cases: list[Case] = []
    seen: dict[str, str] = {}
    written = below_each(document.written, "cases")
    for index, row in enumerate(raw):
        key = dotted("cases", index)
        try:
            case = read_case(row, _within(document, key), written=written.get(key), error=DocumentError)
        except DocumentError as fault:
            shaper.complaints += [fault, *fault.more]
            continue
        if case.id in seen:
            shaper.complain(f"the id '{case.id}' stands also at {document.place(seen[case.id])}", key, "give each case its own id")
        seen[case.id] = key
        cases.append(case)
    return tuple(cases)


def _quarantine(shapes: tuple[QuarantineShape, ...], document: Document, shaper: Shaper) -> tuple[Quarantine, ...]:
    entries: dict[str, Quarantine] = {}
    for index, shape in enumerate(shapes):
        key = dotted("quarantine", index)
        case = document.written.get(dotted(key, "case"), str(shape.case))
        entry = Quarantine(case=case, owner=shape.owner, until=shape.until, reason=shape.reason, where=document.place(key))
        first = entries.setdefault(case, entry)
        if first is not entry:
            shaper.complain(f"the case '{case}' stands also at {first.where}", key, "keep one entry for each case")
    return tuple(entries.values())


def _within(document: Document, above: str) -> Any:
    def place(key: str) -> Where:
        return document.place(dotted_within(above, key))

    return place


def _checks(raw: Json, document: Document, shaper: Shaper) -> tuple[CheckSpec, ...]:
    if not isinstance(raw, list):
        return ()
    reader = _CheckReader(document, shaper)
    checks = [spec for index, item in enumerate(raw) if (spec := reader.read(item, dotted("checks", index))) is not None]
    if checks and not any(check.weight for check in checks):
        shaper.complain("every check has weight 0, so that no case has a score", "checks", "give one a weight above 0")
    return _named_apart(checks, shaper)


def _named_apart(checks: list[CheckSpec], shaper: Shaper) -> tuple[CheckSpec, ...]:
    """Checks whose names differ, since reports are keyed by them: an unnamed second `contains` is called contains_2."""
    taken: set[str] = set()
    for check in checks:
        if check.name in taken:
            shaper.complain(f"two checks are named '{check.name}'", check.where.key, "give each its own name")
        taken |= {check.name} if check.name else set()
    counts: dict[str, int] = {}
    out: list[CheckSpec] = []
    for check in checks:
        name = check.name
        while not name:
            count = counts[check.label] = counts.get(check.label, 0) + 1
            free = check.label if count == 1 else f"{check.label}_{count}"
            name = "" if free in taken else free
        taken.add(name)
        out.append(check if name == check.label else replace(check, name=name))
    return tuple(out)


class _CheckReader:
    """Reads one item of `checks:` in any of its three forms: a name, the short form, the long form."""

    def __init__(self, document: Document, shaper: Shaper) -> None:
        self.document = document
        self.shaper = shaper
        self.marks = below_each(document.marks, "checks")
        self.written = below_each(document.written, "checks")

    def read(self, raw: Json, key: str) -> CheckSpec | None:
        """The check at *key*; None after a complaint."""
        if isinstance(raw, str) and raw:
            return self._spec(raw, {}, {}, key, "")
        if not isinstance(raw, Mapping) or not raw:
            self.shaper.complain("expected a check", key, "write '- exact: …', or '- metric: exact' with its options beside it")
            return None
        return self._long(raw, key) if "metric" in raw else self._short(raw, key)

    def _long(self, raw: Mapping[str, Json], key: str) -> CheckSpec | None:
        metric = raw["metric"]
        if not isinstance(metric, str) or not metric:
            self.shaper.complain("expected the name of a metric", dotted(key, "metric"))
            return None
        options = {name: value for name, value in raw.items() if name != "metric" and name not in _COMMON}
        return self._spec(metric, options, _common(raw), key, "")

    def _short(self, raw: Mapping[str, Json], key: str) -> CheckSpec | None:
        metrics = [name for name in raw if name not in _COMMON]
        if len(metrics) != 1:
            said = f"{len(metrics)} metrics in one check: {', '.join(metrics[:5])}" if metrics else "a check without a metric"
            self.shaper.complain(said, key, "begin each check with its own '- '; options stand under the metric")
            return None
        metric = metrics[0]
        value, beside, inner = raw[metric], _common(raw), dotted("", metric)
        if not isinstance(value, Mapping):
            return self._spec(metric, {"": value}, beside, key, inner, short=True)
        for name in sorted(_common(value).keys() & beside.keys()):
            self.shaper.complain(
                f"'{name}' stands twice, beside and under '{metric}'", dotted(dotted(key, metric), name), "keep one of them"
            )
        options = {name: item for name, item in value.items() if name not in _COMMON}
        return self._spec(metric, options, {**beside, **_common(value)}, key, inner)

    def _spec(
        self, metric: str, options: Mapping[str, Json], common: Mapping[str, Json], key: str, inner: str, *, short: bool = False
    ) -> CheckSpec | None:
        """*inner* is the key, relative to the check at *key*, under which the options stand; "" in the long form."""
        marks, written = self.marks.get(key, {}), self.written.get(key, {})
        under = marks if not inner else below(marks, inner)
        places = {name: dotted_within(dotted_within(key, inner if name in under else ""), name) for name in common}
        shape = self._shape(common, places, written, key)
        bare = metric.removeprefix(NOT)
        if metric != bare and "negate" in common:
            self.shaper.complain(f"'{metric}' already says not", places["negate"], "leave 'negate' out")
        if shape is None:
            return None
        option_marks = {name: self.document.place(dotted_within(dotted_within(key, inner), name)) for name in under}
        option_written = written if not inner else below(written, inner)
        if short:
            option_marks[""] = self.document.place(dotted_within(key, inner))
            option_written |= {"": written[inner]} if inner in written else {}
        return CheckSpec(
            metric=bare,
            options=options,
            short=short,
            threshold=shape.threshold,
            weight=shape.weight,
            required=shape.required,
            negate=shape.negate or metric != bare,
            name=shape.name,
            where=self.document.place(key),
            marks=option_marks,
            written=option_written,
        )

    def _shape(
        self, common: Mapping[str, Json], places: Mapping[str, str], written: Mapping[str, str], key: str
    ) -> CommonShape | None:
        reader = Shaper(lambda name: self.document.place(places.get(name, key)), written, nulls=False)
        shape = reader.build(common, CommonShape)
        self.shaper.complaints += reader.complaints
        return shape


def _common(raw: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in raw.items() if name in _COMMON}
