"""A prompt and a case's inputs become messages: defaults applied, inputs checked, templates rendered, roles fixed by the prompt.

Each message is rendered on its own, so no variable can make, close or reorder one. Knows no models and no suites.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from promptreg.core.canonical import Json
from promptreg.core.names import did_you_mean
from promptreg.core.prompt import Content, Message, MessageTemplate, Part, Prompt
from promptreg.core.schema import Schema
from promptreg.core.template import Templates
from promptreg.errors import DataError, PromptregError, TemplateError, UsageError, Where

_IMAGE = re.compile(r"https://[^\s/?#]+[^\s]*|data:image/[a-z0-9.+-]+;base64,[A-Za-z0-9+/]+={0,2}", re.IGNORECASE)
CSV_HINT = "cells of a CSV file are text: declare the input a string, or keep the cases in a .jsonl file"
SHOWN = 60  # characters of a refused image source that an error quotes


class Renderer:
    """Renders one prompt over many cases; safe in several threads at once.

    Text is the template's text less its one final newline: `content: |` in YAML ends with a newline that nobody means.
    An image's source must come out as an https:// URL or a base64 data:image/ URL.
    """

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self._templates = Templates(prompt.partials)
        self._defaults = {name: schema["default"] for name, schema in prompt.inputs.items() if "default" in schema}
        self._compiled: dict[str, Schema] | None = None

    @property
    def _schemas(self) -> dict[str, Schema]:
        """Compiled on first use; an input that allows anything has none. Without a lock, which a fork could leave closed."""
        made = self._compiled
        if made is None:
            given = self.prompt.inputs.items()
            made = self._compiled = {name: _schema(self.prompt, name) for name, schema in given if schema.keys() - {"default"}}
        return made

    def messages(self, inputs: Mapping[str, Json], where: Where | None = None) -> tuple[Message, ...]:
        """The messages of a case that stands at *where*. Raises DataError for its inputs, TemplateError for the prompt."""
        values = {**self._defaults, **inputs}
        self._check(values, where)
        try:
            return tuple(Message(role=message.role, content=self._content(message, values)) for message in self.prompt.messages)
        except TemplateError as fault:
            if where is None:
                raise
            raise TemplateError(f"{fault.message} (with the inputs at {where})", where=fault.where, hint=fault.hint) from fault

    def _content(self, message: MessageTemplate, values: Mapping[str, Json]) -> Content:
        place = message.where or self.prompt.where
        if isinstance(message.content, str):
            return self._templates.render(message.content, values, place)
        return tuple(self._part(part, values, place) for part in message.content)

    def _part(self, part: Part, values: Mapping[str, Json], place: Where) -> Part:
        if part.type == "text":
            return Part(type="text", value=self._templates.render(part.value, values, place))
        source = self._templates.evaluate(part.value, values, place)  # a whole variable passes uncounted: images are long
        if not isinstance(source, str) or not _IMAGE.fullmatch(source.strip()):
            raise TemplateError(
                f"an image's source is neither an https:// nor a data:image/ URL but {_quoted(source)}",
                where=place,
                hint="give an https:// URL or data:image/png;base64,…",
            )
        return Part(type="image", value=source.strip())

    def _check(self, values: Mapping[str, Json], where: Where | None) -> None:
        declared = self.prompt.inputs
        at = where or self.prompt.where
        faults: list[DataError] = []
        if values.keys() != declared.keys():
            faults += [_unknown(name, declared, at) for name in values if name not in declared]
            faults += [_missing(name, at) for name in declared if name not in values]
        for name, schema in self._schemas.items():
            if name in values:
                faults += [
                    DataError(
                        f"input {name!r} breaks its schema: {complaint}",
                        where=at,
                        hint=CSV_HINT if at.path.endswith(".csv") else "correct the case, or inputs in the prompt",
                    )
                    for complaint in schema.complaints(values[name])
                ]
        if faults:
            first = faults[0]
            raise DataError(first.message, where=first.where, hint=first.hint, more=tuple(faults[1:]))


def check_declarations(prompt: Prompt) -> list[PromptregError]:
    """Variables that no input declares, inputs that no message reads, names that cannot be used; faulty templates too."""
    return [fault for _, fault in declaration_faults(prompt)]


def declaration_faults(prompt: Prompt) -> list[tuple[str, PromptregError]]:
    """What `check_declarations` finds, each with the name of its lint rule."""
    templates = Templates(prompt.partials)
    reserved = {name for name in prompt.inputs if _is_reserved(name, templates)}
    faults: list[tuple[str, PromptregError]] = [
        ("input-name", _reserved(prompt, name)) for name in prompt.inputs if name in reserved
    ]
    used: set[str] = set()
    readable = True
    for source, place in sources(prompt):
        try:
            names = templates.variables(source, place)
        except TemplateError as fault:
            faults.append(("template", fault))
            readable = False
            continue
        for name in sorted(names - prompt.inputs.keys()):
            faults.append(("undeclared-variable", _undeclared(prompt, name, templates.mention(source, name, place))))
        used |= names
    if readable:  # a template that cannot be read may use any input
        faults += [("unused-input", _unused(prompt, name)) for name in prompt.inputs if name not in used | reserved]
    faults += [("unknown-trust", _untrustable(prompt, name)) for name in prompt.trust if name not in prompt.inputs]
    return faults


def sources(prompt: Prompt) -> list[tuple[str, Where]]:
    """Every template of a prompt's messages, with its place."""
    out: list[tuple[str, Where]] = []
    for message in prompt.messages:
        place = message.where or prompt.where
        out.extend((text, place) for text in texts(message))
    return out


def texts(message: MessageTemplate) -> tuple[str, ...]:
    """The templates of one message: one, or one for each content part."""
    return (message.content,) if isinstance(message.content, str) else tuple(part.value for part in message.content)


def _schema(prompt: Prompt, name: str) -> Schema:
    place = prompt.place(f"inputs.{name}")
    try:
        return Schema(prompt.inputs[name])
    except UsageError as fault:
        raise UsageError(f"input {name!r}: {fault.message}", where=place, hint=fault.hint) from fault


def _is_reserved(name: str, templates: Templates) -> bool:
    return not name.isidentifier() or name.startswith("_") or name in templates.reserved


def _reserved(prompt: Prompt, name: str) -> PromptregError:
    return UsageError(
        f"an input cannot be named {name!r}",
        where=prompt.place(f"inputs.{name}"),
        hint="use a plain word that Jinja does not use itself",
    )


def _undeclared(prompt: Prompt, name: str, place: Where) -> PromptregError:
    return TemplateError(
        f"{name!r} is not a declared input{did_you_mean(name, prompt.inputs)}", where=place, hint="declare it under `inputs:`"
    )


def _untrustable(prompt: Prompt, name: str) -> PromptregError:
    return UsageError(
        f"trust names {name!r}, which is no input{did_you_mean(name, prompt.inputs)}",
        where=prompt.place(f"trust.{name}"),
        hint="declare it under `inputs:`",
    )


def _unused(prompt: Prompt, name: str) -> PromptregError:
    return TemplateError(
        f"input {name!r} is declared but no message uses it",
        where=prompt.place(f"inputs.{name}"),
        hint="use it, or remove it from `inputs:`",
    )


def _unknown(name: str, declared: Mapping[str, object], where: Where) -> DataError:
    return DataError(
        f"unknown input {name!r}{did_you_mean(name, declared)}",
        where=where,
        hint="inputs are declared in the prompt, under `inputs:`",
    )


def _missing(name: str, where: Where) -> DataError:
    return DataError(f"input {name!r} is missing", where=where, hint="give it in the case, or a `default` in the prompt")


def _quoted(value: object) -> str:
    text = repr(value) if isinstance(value, str) else type(value).__name__
    return text if len(text) <= SHOWN else text[:SHOWN] + "…"
