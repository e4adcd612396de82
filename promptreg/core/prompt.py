"""What a prompt is: message templates with declared inputs; and what it renders to: messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, TypeAlias

from promptreg.core.canonical import Digest, Json, digest
from promptreg.errors import Where

Role: TypeAlias = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One content part of a multimodal message: `text`, or an `image` whose source is an https or data URL.

    In a MessageTemplate the value is a template; in a Message it is what the template rendered to.
    """

    type: Literal["text", "image"]
    value: str

    def as_json(self) -> dict[str, Json]:
        return {"type": self.type, "text" if self.type == "text" else "source": self.value}


Content: TypeAlias = str | tuple[Part, ...]


def content_json(content: Content) -> Json:
    """Content as users and recordings write it."""
    return content if isinstance(content, str) else [part.as_json() for part in content]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One rendered message. The role is the prompt author's; no variable can make one."""

    role: Role
    content: Content

    @property
    def text(self) -> str:
        """The text of all text parts, images left out."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.value for part in self.content if part.type == "text")

    def as_json(self) -> dict[str, Json]:
        return {"role": self.role, "content": content_json(self.content)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageTemplate:
    """One message before rendering: content is a template, or one template for each part."""

    role: Role
    content: Content
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What a call may ask of the sampler; None means "the provider's default" and takes no part in the call key."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)  # passed to the provider as written

    def as_json(self) -> dict[str, Json]:
        """Only what is set."""
        pairs = ((item.name, getattr(self, item.name)) for item in fields(self))
        return {name: list(value) if isinstance(value, tuple) else value for name, value in pairs if value not in (None, (), {})}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt file, parsed, with the text of every partial it can include.

    `inputs` maps each declared variable to its JSON Schema; a schema with a `default` makes the input optional.
    `partials` maps include paths to their text. `where` and `marks` (dotted key to place) serve error messages only.
    """

    name: str
    messages: tuple[MessageTemplate, ...]
    inputs: Mapping[str, Mapping[str, Json]] = field(default_factory=dict)
    params: Parameters = field(default_factory=Parameters)
    output_schema: Mapping[str, Json] | None = None
    tools: tuple[Mapping[str, Json], ...] = ()
    trust: Mapping[str, Literal["trusted", "untrusted"]] = field(default_factory=dict)
    description: str = ""
    owners: tuple[str, ...] = ()
    partials: Mapping[str, str] = field(default_factory=dict)
    where: Where = field(default=Where("<prompt>"), compare=False)
    marks: Mapping[str, Where] = field(default_factory=dict, compare=False)

    def place(self, key: str) -> Where:
        """Where *key* (dotted, like `inputs.tone`) stands in the file, or the file itself."""
        return self.marks.get(key, self.where)


def messages_digest(messages: tuple[Message, ...]) -> Digest:
    """The identity of rendered messages."""
    return digest("promptreg/messages/1", [message.as_json() for message in messages])
