"""What can be known of a prompt without a model: its findings, each with a rule's name, a place and a remedy.

Knows no suites and no files: the registry hands it prompts, the catalogue its models.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec, estimate_tokens
from promptreg.core.lifecycle import Fact, Life, in_words
from promptreg.core.lifecycle import Level as Nearness
from promptreg.core.prompt import Prompt
from promptreg.core.render import declaration_faults, sources, texts
from promptreg.core.schema import Schema
from promptreg.core.template import Templates
from promptreg.errors import PromptregError, TemplateError, UsageError, Where

Level: TypeAlias = Literal["error", "warning", "note"]

NEARLY_FULL = 0.8  # of a model's context, by static text and max_tokens alone: inputs come on top

# Shapes that only keys have; no entropy guesses, which flag half of all prompts. Every repetition before the last is bounded,
# so that hostile text is read in linear time.
SECRETS: Mapping[str, re.Pattern[str]] = {
    "an OpenAI or Anthropic key": re.compile(r"\bsk-(?=[A-Za-z_-]{0,200}[0-9])[A-Za-z0-9_-]{20,}"),
    "a GitHub token": re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{50,})"),
    "a GitLab token": re.compile(r"\bglpat-[A-Za-z0-9_-]{20,}"),
    "an AWS access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "a Google API key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}"),
    "a Slack token": re.compile(r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    "a Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}"),
    "a private key": re.compile(r"-----BEGIN (?:[A-Z]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    "a bearer token": re.compile(r"\bBearer\s{1,4}(?=[A-Za-z._~+/-]{0,200}[0-9])[A-Za-z0-9._~+/-]{20,}"),
    "a JSON web token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,500}\.eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,}"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing to mend; `rule` is its stable name."""

    level: Level
    rule: str
    message: str
    where: Where
    hint: str


def lint(prompt: Prompt, models: Sequence[ModelSpec] = ()) -> list[Finding]:
    """All findings about *prompt*, errors first, then in the order of the file. *models* are those it may be sent to."""
    templates = Templates(prompt.partials)
    found = [*_messages(prompt), *_schemas(prompt), *_declarations(prompt), *_secrets(prompt)]
    if not any(finding.rule == "template" for finding in found):  # what cannot be parsed cannot be read further
        found += [*_trust(prompt, templates), *_branches(prompt, templates), *_context(prompt, templates, models)]
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda finding: (_ORDER[finding.level], finding.where.path, finding.where.line))


def dead_partials(prompts: Iterable[Prompt], paths: Iterable[str]) -> list[Finding]:
    """Partials (include paths) that none of *prompts* uses, directly or through others."""
    used: set[str] = set()
    for prompt in prompts:
        templates = Templates(prompt.partials)
        for source, place in sources(prompt):
            try:
                used |= templates.includes(source, place)
            except TemplateError:  # reported by lint(); until it is mended, any partial may be used by it
                return []
    return [
        Finding(
            level="warning",
            rule="dead-partial",
            message=f"no prompt includes {path!r}",
            where=Where(f"prompts/{path}"),
            hint="include it, or delete the file",
        )
        for path in sorted(set(paths) - used)
    ]


RETIRING: Mapping[Nearness, Level] = {"plan": "note", "warning": "warning", "error": "error", "past": "error"}


def retirement(model: ModelSpec, known: Life, now: float) -> Iterator[Finding]:
    """That *model* ends soon, or has ended (METHODS E2), with what its provider names instead. *now* in seconds since the epoch."""
    found = RETIRING.get(known.level(now))
    if found is None or known.date is None:
        return
    said = f", {'says' if len(known.sources) == 1 else 'say'} {' and '.join(known.sources)}"
    others = [f"{fact.name} says {fact.date or 'none is scheduled'}" for fact in known.facts if _says_other(fact, known.date)]
    heir = f"its provider names {known.replacement!r} instead" if known.replacement else "its provider names no replacement"
    yield Finding(
        level=found,
        rule="model-retires",
        message=f"{model.alias!r} ({model.model or model.provider}) ends {in_words(known, now)}{said}"
        + (f"; {'; '.join(others)}" if others and known.disagree else ""),
        where=model.place("retires") if model.retires == known.date else model.place("model"),
        hint=f"{heir}; `promptreg upgrade OLD NEW` measures the move, and `promptreg models refresh` asks for newer dates",
    )


def _says_other(fact: Fact, date: str) -> bool:
    return fact.date != date and (fact.date is not None or fact.precision == "none")


_ORDER: Mapping[Level, int] = {"error": 0, "warning": 1, "note": 2}


def _messages(prompt: Prompt) -> Iterator[Finding]:
    if not prompt.messages:
        yield _error("no-messages", "the prompt has no messages", prompt.place("messages"), "add at least one under `messages:`")
        return
    for message in prompt.messages:
        if not any(text.strip() for text in texts(message)):
            place = message.where or prompt.where
            yield _error("empty-message", f"a {message.role} message is empty", place, "write it, or remove it")
    if not any(message.role == "user" for message in prompt.messages):
        yield Finding(
            level="note",
            rule="no-user-message",
            message="no message has the role user",
            where=prompt.place("messages"),
            hint="many models expect one",
        )


def _schemas(prompt: Prompt) -> Iterator[Finding]:
    for name, schema in prompt.inputs.items():
        place = prompt.place(f"inputs.{name}")
        compiled, fault = _compiled(schema)
        if fault is not None:
            yield _from(fault, "input-schema", f"input {name!r}: ", place)
        elif compiled is not None and "default" in schema:
            for complaint in compiled.complaints(schema["default"]):
                yield _error(
                    "input-default", f"the default of {name!r} breaks its schema: {complaint}", place, "correct the default"
                )
    if prompt.output_schema is not None:
        _, fault = _compiled(prompt.output_schema)
        if fault is not None:
            yield _from(fault, "output-schema", "output: ", prompt.place("output"))
    for position, tool in enumerate(prompt.tools):
        function = tool.get("function")
        parameters = function.get("parameters") if isinstance(function, Mapping) else None
        if isinstance(parameters, Mapping):
            _, fault = _compiled(parameters)
            if fault is not None:
                yield _from(fault, "tool-schema", f"tool {position + 1}: ", prompt.place("tools"))


def _declarations(prompt: Prompt) -> Iterator[Finding]:
    for rule, fault in declaration_faults(prompt):
        yield _from(fault, rule, "", prompt.where)


def _trust(prompt: Prompt, templates: Templates) -> Iterator[Finding]:
    """An untrusted input must not be read by a system message: not in a condition either, which could switch instructions."""
    untrusted = {name for name, trust in prompt.trust.items() if trust == "untrusted"}
    for message in prompt.messages:
        if message.role != "system":
            continue
        place = message.where or prompt.where
        for text in texts(message):
            for name in sorted(templates.variables(text, place) & untrusted):
                yield _error(
                    "untrusted-in-system",
                    f"the untrusted input {name!r} reaches a system message",
                    templates.mention(text, name, place),
                    "move it to a user message: whoever writes it could give instructions",
                )


def _branches(prompt: Prompt, templates: Templates) -> Iterator[Finding]:
    enums = {name: values for name, schema in prompt.inputs.items() if (values := _all_values(schema)) is not None}
    for source, place in sources(prompt):
        for where, reason in templates.dead_branches(source, enums, place):
            yield Finding(
                level="warning",
                rule="unreachable-branch",
                message=reason,
                where=where,
                hint="remove the branch, or mend the condition",
            )


def _all_values(schema: Mapping[str, Json]) -> Sequence[Json] | None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if schema.get("type") == "boolean":
        values = [True, False]
    return values if isinstance(values, Sequence) and not isinstance(values, str) and values else None


def _context(prompt: Prompt, templates: Templates, models: Sequence[ModelSpec]) -> Iterator[Finding]:
    """Compares a lower bound of the rendered prompt with each context, so that an error is certain."""
    static = sum(estimate_tokens(text) for source, place in sources(prompt) if (text := templates.least_text(source, place)))
    needed = static + (prompt.params.max_tokens or 0)
    for model in models:
        if model.context is None or needed <= NEARLY_FULL * model.context:
            continue
        over = needed > model.context
        yield Finding(
            level="error" if over else "warning",
            rule="context-overflow" if over else "context-nearly-full",
            message=f"about {static:,} tokens of fixed text and {prompt.params.max_tokens or 0:,} of answer "
            f"{'exceed' if over else 'nearly fill'} the {model.context:,} of {model.alias!r}, before any input",
            where=prompt.where,
            hint="shorten the text, lower max_tokens, or use a model with a longer context",
        )


def _secrets(prompt: Prompt) -> Iterator[Finding]:
    for text, place, whole_file in _written(prompt):
        for kind, shape in SECRETS.items():
            for found in shape.finditer(text):
                yield _error(
                    "secret",
                    f"the text holds what looks like {kind}: {found[0][:4]}…",
                    _line(place, text.count("\n", 0, found.start()), whole_file),
                    "remove it and revoke it: Git keeps it for ever; pass secrets outside the prompt",
                )


def _written(prompt: Prompt) -> Iterator[tuple[str, Where, bool]]:
    """Every text a prompt carries, its place, and whether the text is a file of its own."""
    for source, place in sources(prompt):
        yield source, place, False
    for path, text in prompt.partials.items():
        yield text, Where(f"prompts/{path}"), True
    yield prompt.description, prompt.place("description"), False
    values: dict[str, Any] = {
        "inputs": prompt.inputs,
        "output": prompt.output_schema,
        "tools": prompt.tools,
        "params": prompt.params.extra,
    }
    for key, value in values.items():
        for text in _strings(value):
            yield text, prompt.place(key), False


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name
            yield from _strings(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _strings(item)


def _line(place: Where, lines: int, whole_file: bool) -> Where:
    if whole_file:
        return Where(place.path, lines + 1)
    return Where(place.path, place.line + lines, 0 if lines else place.column, place.key) if place.line else place


def _compiled(schema: Mapping[str, Json]) -> tuple[Schema | None, UsageError | None]:
    try:
        return Schema(schema), None
    except UsageError as fault:
        return None, fault


def _error(rule: str, message: str, where: Where, hint: str) -> Finding:
    return Finding(level="error", rule=rule, message=message, where=where, hint=hint)


def _from(fault: PromptregError, rule: str, prefix: str, where: Where) -> Finding:
    return _error(rule, prefix + fault.message, fault.where or where, fault.hint or "correct the template")


RULES: Mapping[str, str] = {
    "no-messages": "the prompt has no messages",
    "empty-message": "a message has no text",
    "no-user-message": "no message has the role user",
    "input-schema": "an input's schema is not a JSON Schema",
    "input-default": "a default breaks its own schema",
    "output-schema": "the output schema is not a JSON Schema",
    "tool-schema": "a tool's parameters are not a JSON Schema",
    "template": "a template cannot be parsed or names an unknown partial",
    "undeclared-variable": "a template reads a variable that is no input",
    "unused-input": "an input is never read",
    "input-name": "an input has a name that Jinja reserves",
    "unknown-trust": "`trust` names what is no input",
    "untrusted-in-system": "an untrusted input reaches a system message",
    "secret": "a text holds what looks like a key, token or private key",
    "unreachable-branch": "a condition never changes, or a branch is never taken",
    "context-overflow": "fixed text and max_tokens exceed a model's context",
    "context-nearly-full": "fixed text and max_tokens fill most of a model's context",
    "dead-partial": "no prompt includes a partial",
    "model-retires": "a model has ended or will within 180 days: a note, from 90 days a warning, below 30 an error",
}
