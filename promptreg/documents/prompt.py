"""A prompt file → Prompt. Reads shape and names only; what needs the templates themselves is `core.render`'s and `core.lint`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from promptreg.core.canonical import Json
from promptreg.core.names import did_you_mean
from promptreg.core.prompt import Content, MessageTemplate, Parameters, Part, Prompt
from promptreg.documents.shapes import Rule, Shaper
from promptreg.documents.yaml import Document, dotted, read_yaml
from promptreg.errors import Where

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartShape:
    """One part of a multimodal message: {type: text, text: …} or {type: image, source: …}."""

    type: Annotated[Literal["text", "image"], Rule(doc="what this part is")]
    text: Annotated[str | None, Rule(doc="template of a text part")] = None
    source: Annotated[str | None, Rule(doc="template of an image's https or data URL", filled=True)] = None

    def __post_init__(self) -> None:
        wanted, other = ("text", "source") if self.type == "text" else ("source", "text")
        if getattr(self, wanted) is None or getattr(self, other) is not None:
            raise ValueError(f"a part of type {self.type} has exactly one other key, '{wanted}'")

    def part(self) -> Part:
        return Part(type=self.type, value=(self.text if self.type == "text" else self.source) or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageShape:
    """One message of the conversation."""

    role: Annotated[Literal["system", "user", "assistant"], Rule(doc="who speaks")]
    content: Annotated[
        str | Annotated[tuple[PartShape, ...], Rule(filled=True)],
        Rule(doc="a Jinja template over the declared inputs, or a list of parts"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterShape:
    """What a call asks of the sampler; what is left out is the provider's default."""

    temperature: Annotated[float | None, Rule(doc="0 is greedy", ge=0)] = None
    top_p: Annotated[float | None, Rule(doc="nucleus sampling", gt=0, le=1)] = None
    top_k: Annotated[int | None, Rule(doc="sample from the k likeliest tokens", ge=0)] = None
    max_tokens: Annotated[int | None, Rule(doc="longest answer, in tokens", ge=1)] = None
    seed: Annotated[int | None, Rule(doc="for providers that can repeat a sample")] = None
    stop: Annotated[str | tuple[str, ...], Rule(doc="text that ends the answer", filled=True)] = field(default_factory=tuple)
    presence_penalty: Annotated[float | None, Rule(doc="as the provider defines it")] = None
    frequency_penalty: Annotated[float | None, Rule(doc="as the provider defines it")] = None
    extra: Annotated[Mapping[str, Any], Rule(doc="keys of one provider, passed as written")] = field(default_factory=dict)

    def parameters(self) -> Parameters:
        values = {name: getattr(self, name) for name in ParameterShape.__dataclass_fields__}
        return Parameters(**{**values, "stop": (self.stop,) if isinstance(self.stop, str) else self.stop})


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputShape:
    """What the answer must look like."""

    schema: Annotated[Mapping[str, Any], Rule(doc="JSON Schema that constrains the answer", filled=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptShape:
    """A prompt: message templates with declared inputs. Its name is its path; its version is a Git tag, never a key."""

    messages: Annotated[tuple[MessageShape, ...], Rule(doc="the conversation to send", filled=True)]
    description: Annotated[str, Rule(doc="what the prompt is for")] = ""
    owners: Annotated[tuple[str, ...], Rule(doc="who answers for it")] = ()
    inputs: Annotated[
        Mapping[str, Mapping[str, Any]],
        Rule(doc="JSON Schema of each template variable; one with a default is optional; {} accepts anything"),
    ] = field(default_factory=dict)
    params: Annotated[ParameterShape, Rule(doc="sampling parameters")] = field(default_factory=ParameterShape)
    output: Annotated[OutputShape | None, Rule(doc="structured output")] = None
    tools: Annotated[tuple[Mapping[str, Any], ...], Rule(doc="tools in OpenAI's schema")] = ()
    trust: Annotated[
        Mapping[str, Literal["trusted", "untrusted"]],
        Rule(doc="inputs that strangers write: they must not stand in a system message"),
    ] = field(default_factory=dict)


def prompt(source: bytes, path: str, name: str, partials: Mapping[str, str]) -> Prompt:
    """The prompt that *source* describes. DocumentError, with every complaint at its place."""
    document = read_yaml(source, path)
    shaper = Shaper(document.place, document.written, nulls=False)
    shape = shaper.build(document.value, PromptShape)
    _complain_of_names(document.value, shaper)
    shaper.finish()
    assert shape is not None
    return Prompt(
        name=name,
        messages=tuple(_message(item, dotted("messages", index), document) for index, item in enumerate(shape.messages)),
        inputs=shape.inputs,
        params=shape.params.parameters(),
        output_schema=shape.output.schema if shape.output else None,
        tools=shape.tools,
        trust=shape.trust,
        description=shape.description,
        owners=shape.owners,
        partials=partials,
        where=Where(path),
        marks={key: document.place(key) for key in document.marks},
    )


def _message(shape: MessageShape, key: str, document: Document) -> MessageTemplate:
    content: Content
    if isinstance(shape.content, str):
        content, place = shape.content, f"{key}.content"
    else:
        content, place = tuple(item.part() for item in shape.content), f"{key}.content[0]"
    return MessageTemplate(role=shape.role, content=content, where=document.text_place(place))


def _complain_of_names(raw: Json, shaper: Shaper) -> None:
    """Inputs that no template can name, and trust in inputs that nobody declared."""
    import re

    if not isinstance(raw, Mapping):
        return
    inputs, trust = raw.get("inputs", {}), raw.get("trust", {})
    if not isinstance(inputs, Mapping) or not isinstance(trust, Mapping):
        return
    for name in inputs:
        if not re.fullmatch(_NAME, name):
            shaper.complain(f"'{name}' cannot be a template variable", dotted("inputs", name), "use letters, digits and _")
    for name in trust:
        if name not in inputs:
            shaper.complain(f"'{name}' is not a declared input{did_you_mean(name, inputs)}", dotted("trust", name))
