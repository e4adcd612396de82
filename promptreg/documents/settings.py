"""promptreg.yaml → Settings. Options of a model that belong to its provider are kept as written; the provider names their types."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Annotated, Any, Literal

from promptreg.core.canonical import Json
from promptreg.core.catalogue import Limits, ModelSpec, Price
from promptreg.core.names import did_you_mean
from promptreg.core.plan import Budget
from promptreg.core.settings import Defaults, Retention, Runs, Settings, Source
from promptreg.core.sources import check_source_name, check_url
from promptreg.documents.describe import json_schema
from promptreg.documents.shapes import Rule, Shaper
from promptreg.documents.yaml import Document, below_each, dotted, dotted_within, read_yaml
from promptreg.errors import UsageError, Where

_ALIAS = r"[A-Za-z0-9](?:[A-Za-z0-9._:/-]*[A-Za-z0-9])?"
_SECRET_KEY = re.compile(
    r"(?:.*[_-])?(?:api_?key|secret|password|passwd|authorization|bearer|credentials?|private_key|access_key|subscription_key)"
    r"|(?:.*[_-])?(?:auth|access|api|bearer|session|refresh|id)[_-]token|token|x-api-key|cookie",
    re.IGNORECASE,
)
_SECRET_TEXT = re.compile(
    r"\b(?:sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16}|xox[abps]-[A-Za-z0-9-]{10,}|AIza[0-9A-Za-z_-]{30,})"
)
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]*"
_LABEL = Rule(pattern=_ALIAS, looks="letters, digits and -_./")
_AGE = Rule(pattern=r"(?=.*[1-9])[0-9]{1,6}(\.[0-9]{1,6})?[dh]", looks="an age like 30d or 12h")
_AGE_DOC = "how long an answer counts as known, like 30d or 12h: set it for aliases that move; default: for ever"
_HOURS = 24  # of a day
_BY_NAME = "keys only ever by name: put the key into an environment variable and write 'api_key_env: ITS_NAME'"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceShape:
    """US dollars per million tokens."""

    input: Annotated[float, Rule(doc="tokens sent", ge=0)]
    output: Annotated[float, Rule(doc="tokens received", ge=0)]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitsShape:
    """How hard a model may be driven."""

    concurrency: Annotated[int | None, Rule(doc="calls at once", ge=1)] = None
    requests_per_minute: Annotated[float | None, Rule(doc="calls started per minute", gt=0)] = None
    tokens_per_minute: Annotated[float | None, Rule(doc="input and output tokens per minute", gt=0)] = None
    timeout_s: Annotated[float | None, Rule(doc="seconds before a call counts as failed", gt=0)] = None
    retries: Annotated[int | None, Rule(doc="further tries after a failure", ge=0)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShape:
    """A model: who serves it, and under which name. All other keys are the provider's own."""

    provider: Annotated[str, Rule(doc="local, openai, anthropic, recorded, echo, or a plugin's", filled=True)]
    model: Annotated[str, Rule(doc="the provider's name of the model, a dated snapshot where there is one")] = ""
    price: Annotated[PriceShape | None, Rule(doc="for cost estimates")] = None
    context: Annotated[int | None, Rule(doc="context window in tokens", ge=1)] = None
    retires: Annotated[str | None, Rule(doc="end of life", pattern=r"\d{4}-\d{2}-\d{2}", looks="a date like 2027-01-14")] = None
    max_age: Annotated[str | None, _AGE, Rule(doc=_AGE_DOC)] = None
    limits: Annotated[LimitsShape, Rule(doc="how hard the model may be driven")] = field(default_factory=LimitsShape)

    def __post_init__(self) -> None:
        if self.retires is not None:
            date.fromisoformat(self.retires)


_MODEL_KEYS = frozenset(ModelShape.__dataclass_fields__)


def _models_schema() -> dict[str, Json]:
    return {"type": "object", "additionalProperties": {**json_schema(ModelShape), "additionalProperties": True}}


@dataclass(frozen=True, slots=True, kw_only=True)
class DefaultsShape:
    """What a suite gets when it does not say."""

    model: Annotated[str | None, Rule(doc="an alias under models", filled=True)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsShape:
    """Where measurements are recorded in Git."""

    branch: Annotated[str, Rule(doc="an orphan branch", pattern=r"[A-Za-z0-9][A-Za-z0-9._/-]*", looks="a branch name")] = (
        "promptreg/runs"
    )
    retention: Annotated[
        Retention, Rule(doc="how much of an answer is recorded; below full, records are no cache and no replay")
    ] = "full"


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetShape:
    """What one command may spend; a plan above it is refused before the first call."""

    usd: Annotated[float | None, Rule(doc="US dollars", ge=0)] = None
    calls: Annotated[int | None, Rule(doc="model calls", ge=0)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceShape:
    """A foreign registry that prompts are pulled from."""

    url: Annotated[str, Rule(doc="https, ssh or file URL, or the path of a repository", filled=True)]
    signers: Annotated[
        tuple[Annotated[str, Rule(filled=True)], ...],
        Rule(doc="files of SSH allowed signers or GPG public keys: releases must be signed by one of them", unique=True),
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelShape:
    """A label that not everybody may move."""

    name: Annotated[str, _LABEL]
    signers: Annotated[
        tuple[Annotated[str, Rule(filled=True)], ...],
        Rule(doc="e-mail addresses or key fingerprints; one of them must sign each move", filled=True, unique=True),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsShape:
    """A registry's settings and its catalogue of models."""

    registry: Annotated[str, Rule(doc="the registry's name, like acme/prompts")] = ""
    plugins: Annotated[
        tuple[Annotated[str, Rule(filled=True)], ...], Rule(doc="local plugins to load: code, so only if named", unique=True)
    ] = ()
    models: Annotated[
        Mapping[str, Any],
        Rule(doc="the catalogue: alias to model", schema=_models_schema),
    ] = field(default_factory=dict)
    defaults: Annotated[DefaultsShape, Rule(doc="what a suite gets when it does not say")] = field(default_factory=DefaultsShape)
    labels: Annotated[
        tuple[Annotated[str, _LABEL] | LabelShape, ...],
        Rule(doc="allow-list: names, or mappings of a `name` and the `signers` who may move it", unique=True),
    ] = ()
    uncovered: Annotated[Literal["block", "warn"], Rule(doc="a changed prompt that no case measures")] = "block"
    runs: Annotated[RunsShape, Rule(doc="where measurements are recorded")] = field(default_factory=RunsShape)
    budget: Annotated[BudgetShape, Rule(doc="what one command may spend")] = field(default_factory=BudgetShape)
    sources: Annotated[Mapping[str, SourceShape], Rule(doc="where prompts are pulled from: name to source")] = field(
        default_factory=dict
    )


def settings(source: bytes, path: str) -> Settings:
    """The settings that *source* describes; an empty file is all defaults. DocumentError, with every complaint at its place."""
    document = read_yaml(source, path)
    raw = {} if document.value is None else document.value
    shaper = Shaper(document.place, document.written, nulls=False)
    shape = shaper.build(raw, SettingsShape)
    entries = raw.get("models") if isinstance(raw, Mapping) else None
    models = _models(entries, document, shaper) if isinstance(entries, Mapping) else {}
    for key, message in _secrets(raw, ""):
        shaper.complain(message, key, _BY_NAME)
    if isinstance(raw, Mapping):
        _complain_of_names(raw, shaper)
        _complain_of_sources(raw.get("sources"), shaper)
    shaper.finish()
    assert shape is not None
    return Settings(
        registry=shape.registry,
        plugins=tuple(posixpath.normpath(item) for item in shape.plugins),
        models=models,
        defaults=Defaults(model=shape.defaults.model),
        labels=tuple(each if isinstance(each, str) else each.name for each in shape.labels),
        label_signers={each.name: each.signers for each in shape.labels if not isinstance(each, str)},
        uncovered=shape.uncovered,
        runs=Runs(branch=shape.runs.branch, retention=shape.runs.retention),
        budget=Budget(usd=shape.budget.usd, calls=shape.budget.calls),
        sources={name: Source(url=each.url, signers=each.signers) for name, each in shape.sources.items()},
        where=Where(path),
        marks={key: document.place(key) for key in document.marks},
    )


def _complain_of_names(raw: Mapping[str, Json], shaper: Shaper) -> None:
    """A default that is no alias, and plugins outside of the registry; parts of another form have their complaint already."""
    _complain_of_labels(raw.get("labels"), shaper)
    defaults, models, plugins = raw.get("defaults"), raw.get("models", {}), raw.get("plugins")
    wanted = defaults.get("model") if isinstance(defaults, Mapping) else None
    if isinstance(wanted, str) and isinstance(models, Mapping) and wanted not in models:
        hint = f"known models: {', '.join(models) or 'none'}"
        shaper.complain(f"unknown model '{wanted}'{did_you_mean(wanted, models)}", "defaults.model", hint)
    for index, item in enumerate(plugins if isinstance(plugins, list) else ()):
        if isinstance(item, str) and leads_out(item):
            shaper.complain(
                f"the plugin '{item}' leads out of the registry", dotted("plugins", index), "give a path from promptreg.yaml"
            )


def _complain_of_labels(labels: Json, shaper: Shaper) -> None:
    """A label that stands twice, once with signers and once without: nobody could tell which counts."""
    seen: set[Json] = set()
    for index, item in enumerate(labels if isinstance(labels, list) else ()):
        name = item.get("name") if isinstance(item, Mapping) else item
        if isinstance(name, str) and name in seen and any(isinstance(each, Mapping) for each in labels):  # type: ignore[union-attr]
            shaper.complain(f"the label '{name}' stands twice", dotted("labels", index))
        seen.add(name if isinstance(name, str) else None)


def _complain_of_sources(sources: Json, shaper: Shaper) -> None:
    """Names and addresses that no source can have, and signers outside of the registry."""
    for name, source in sources.items() if isinstance(sources, Mapping) else ():
        key = dotted("sources", name)
        url = source.get("url") if isinstance(source, Mapping) else None
        signers = source.get("signers") if isinstance(source, Mapping) else None
        checks = [(check_source_name, name, key), *([(check_url, url, dotted(key, "url"))] if isinstance(url, str) else [])]
        for check, text, place in checks:
            try:
                check(text)
            except UsageError as fault:
                shaper.complain(fault.message, place, fault.hint)
        for index, path in enumerate(signers if isinstance(signers, list) else ()):
            if isinstance(path, str) and leads_out(path):
                message = f"the file '{path}' leads out of the registry"
                shaper.complain(message, dotted(dotted(key, "signers"), index), "give a path from promptreg.yaml")


def leads_out(path: str) -> bool:
    """Whether a relative path could name something outside of the folder it counts from."""
    return path.startswith("/") or "\\" in path or "\0" in path or posixpath.normpath(path).split("/")[0] in ("..", ".git")


def _models(raw: Mapping[str, Json], document: Document, shaper: Shaper) -> dict[str, ModelSpec]:
    models: dict[str, ModelSpec] = {}
    marks, written = below_each(document.marks, "models"), below_each(document.written, "models")
    for alias, entry in raw.items():
        key = dotted("models", alias)
        if not re.fullmatch(_ALIAS, alias):
            shaper.complain(f"'{alias}' cannot be an alias", key, "use letters, digits and -_.:/")
        spec = _model(alias, entry, key, shaper)
        if spec is not None:
            places = {name: document.place(dotted_within(key, name)) for name in marks.get(key, {})}
            models[alias] = replace(spec, where=document.place(key), marks=places, written=written.get(key, {}))
    return models


def _model(alias: str, entry: Json, key: str, shaper: Shaper) -> ModelSpec | None:
    if not isinstance(entry, Mapping):
        shaper.complain("expected a mapping", key, "for example {provider: openai, model: gpt-4o-2024-08-06}")
        return None
    common = {name: value for name, value in entry.items() if name in _MODEL_KEYS}
    options = {name: value for name, value in entry.items() if name not in _MODEL_KEYS}
    if "provider" not in entry:
        shaper.complain(f"missing key 'provider'{_misspelt('provider', options)}", key, "say who serves the model: local, openai …")
        return None
    shape = shaper.build(common, ModelShape, key)
    if shape is None:
        return None
    price, limits = shape.price, shape.limits
    return ModelSpec(
        alias=alias,
        provider=shape.provider,
        model=shape.model,
        options=options,
        price=Price(input=price.input, output=price.output) if price else None,
        context=shape.context,
        retires=shape.retires,
        max_age_days=None if shape.max_age is None else _days(shape.max_age),
        limits=Limits(**{name: getattr(limits, name) for name in LimitsShape.__dataclass_fields__}),
    )


def _days(age: str) -> float:
    return float(age[:-1]) / (_HOURS if age.endswith("h") else 1)


def _misspelt(key: str, options: Mapping[str, Json]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(key, list(options), n=1, cutoff=0.6)
    return f"; is '{close[0]}' meant to be it?" if close else ""


def _secrets(raw: Any, key: str) -> Iterator[tuple[str, str]]:
    """(dotted key, complaint) of everything that looks like a key in clear."""
    if isinstance(raw, Mapping):
        for name, value in raw.items():
            place = dotted(key, name)
            if name.lower().endswith("_env"):
                if isinstance(value, str) and not re.fullmatch(_VARIABLE, value):
                    yield place, f"'{name}' must name an environment variable"
            elif _SECRET_KEY.fullmatch(name) and isinstance(value, (str, int)) and not isinstance(value, bool):
                yield place, f"'{name}' looks like a secret in clear"
            else:
                yield from _secrets(value, place)
    elif isinstance(raw, list):
        for index, value in enumerate(raw):
            yield from _secrets(value, dotted(key, index))
    elif isinstance(raw, str) and _SECRET_TEXT.search(raw):
        yield key, "this value looks like a secret in clear"
