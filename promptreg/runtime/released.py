"""A prompt out of a bundle, and what it renders to: messages, and keyword arguments for the clients of two chat APIs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptreg.core.canonical import Digest, Json
from promptreg.core.prompt import Message, Parameters
from promptreg.errors import UsageError

if TYPE_CHECKING:
    from promptreg.core.bundle import Bundled, Shelf
    from promptreg.core.render import Renderer

_OURS = frozenset(("model", "messages", "system", "stream"))  # what the prompt's `params.extra` may not set
# Arguments that every version of a client takes. The rest goes into `extra_body`, which each client merges into the request:
# Anthropic's lost temperature, top_p and top_k in 1.0, and older ones have no output_config; OpenAI's has no top_k.
_OPENAI_BODY = frozenset(("top_k",))
_ANTHROPIC_BODY = frozenset(("temperature", "top_p", "top_k", "output_config"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """The messages of one rendering, with all that a call needs but the model. `attributes` are for the span of a trace."""

    messages: tuple[Message, ...]
    params: Parameters
    tools: tuple[Mapping[str, Json], ...]
    output_schema: Mapping[str, Json] | None
    attributes: Mapping[str, str]

    def openai(self, *, max_tokens_key: str = "max_completion_tokens", strict: bool = True) -> dict[str, Any]:
        """Keyword arguments of `client.chat.completions.create(model=…, **…)`. UsageError for what this API cannot say.

        Servers that only speak its dialect may want `max_tokens_key="max_tokens"`. *strict* closes the output schema.
        """
        from promptreg.core.dialects import openai_body

        return self._arguments(
            lambda: openai_body(
                self.messages, self.params, self.tools, self.output_schema, max_tokens_key=max_tokens_key, strict=strict
            ),
            _OPENAI_BODY,
        )

    def anthropic(self) -> dict[str, Any]:
        """Keyword arguments of `client.messages.create(model=…, **…)`. UsageError for what this API cannot say."""
        from promptreg.core.dialects import anthropic_body

        return self._arguments(lambda: anthropic_body(self.messages, self.params, self.tools, self.output_schema), _ANTHROPIC_BODY)

    def _arguments(self, make: Callable[[], dict[str, Json]], elsewhere: frozenset[str]) -> dict[str, Any]:
        extra = self.params.extra
        if taken := sorted(_OURS & extra.keys()):
            raise UsageError(f"params may not set '{taken[0]}'", hint="remove it from params.extra in the prompt")
        try:
            body = make()
        except ValueError as fault:
            raise UsageError(str(fault)) from fault
        rest = {**{key: body.pop(key) for key in sorted(elsewhere & body.keys())}, **extra}
        return {**body, "extra_body": rest} if rest else dict(body)


class ReleasedPrompt:
    """A prompt at one version; `version` is None for a working copy. Safe in several threads."""

    __slots__ = ("_bundled", "_renderer", "attributes", "deprecated", "labels", "name", "version")

    def __init__(self, name: str, bundled: Bundled, shelf: Shelf) -> None:
        self.name = name
        self.version = None if bundled.version is None else str(bundled.version)
        self.labels = tuple(label for label, version in shelf.labels.items() if version == bundled.version)
        self.deprecated = shelf.deprecated
        self.attributes = attributes(name, self.version, bundled.behaviour)
        self._bundled = bundled
        self._renderer: Renderer | None = None

    def __repr__(self) -> str:
        return f"<{self.name}@{self.version or 'working'}>"

    @property
    def behaviour_digest(self) -> Digest:
        """The same for two versions that no model can tell apart."""
        return self._bundled.behaviour

    @property
    def source_digest(self) -> Digest:
        """That of the prompt's file and its partials, byte for byte."""
        return self._bundled.source

    @property
    def commit(self) -> str:
        """The released commit; empty for a working copy."""
        return self._bundled.commit

    @property
    def inputs(self) -> Mapping[str, Mapping[str, Json]]:
        """The JSON Schema of each input; one with a default may be left out."""
        return self._bundled.prompt.inputs

    def render(self, inputs: Mapping[str, Json] | None = None, /, **more: Json) -> Rendered:
        """The messages for these inputs. DataError for unknown, missing or wrong ones, TemplateError for the prompt's faults."""
        renderer = self._renderer
        if renderer is None:
            from promptreg.core.render import Renderer

            renderer = self._renderer = Renderer(self._bundled.prompt)  # made twice if two threads meet here, which does no harm
        prompt = self._bundled.prompt
        return Rendered(
            messages=renderer.messages({**(inputs or {}), **more}),
            params=prompt.params,
            tools=prompt.tools,
            output_schema=prompt.output_schema,
            attributes=self.attributes,
        )


def attributes(name: str, version: str | None, behaviour: Digest) -> Mapping[str, str]:
    """Name and version as OpenTelemetry's conventions for generative AI call them; for a digest they have no name."""
    known = {} if version is None else {"gen_ai.prompt.version": version}
    return {"gen_ai.prompt.name": name, **known, "promptreg.prompt.digest": behaviour}
