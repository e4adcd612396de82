"""When two prompts are the same: byte for byte (source digest), or in all that a model can notice (behaviour digest).

The source digest is for locks, bundles and verifying; the behaviour digest for evidence, releases and records. A prompt's name
is in neither: a copy behaves as its original does.
"""

from __future__ import annotations

from collections.abc import Mapping

from promptreg.core.canonical import Digest, Json, digest, digest_bytes
from promptreg.core.prompt import Content, Prompt
from promptreg.core.render import sources
from promptreg.core.template import Templates
from promptreg.core.template.normal import normal


def included(prompt: Prompt) -> tuple[str, ...]:
    """The include paths of all partials that *prompt* uses, directly or through others, sorted. Raises TemplateError."""
    templates = Templates(prompt.partials)
    return tuple(sorted({path for source, place in sources(prompt) for path in templates.includes(source, place)}))


def source_digest(source: bytes, partials: Mapping[str, bytes]) -> Digest:
    """Over the bytes of a prompt's file and of every partial it includes (include path to bytes)."""
    return source_of_digests(digest_bytes(source), {path: digest_bytes(content) for path, content in partials.items()})


def source_of_digests(prompt: Digest, partials: Mapping[str, Digest]) -> Digest:
    """The source digest, where those of the files are known."""
    return digest("promptreg/source/1", {"prompt": prompt, "partials": partials})


def behaviour(prompt: Prompt) -> dict[str, Json]:
    """All of *prompt* that a model or a caller could notice, without comments, formatting, description, owners and trust.

    A comment counts as far as it changes the text: one on a line of its own leaves an empty line, unless written `{#- … -#}`.
    Raises TemplateError.
    """
    partials: dict[str, Json] = {path: normal(prompt.partials[path]) for path in included(prompt)}
    return {
        "messages": [{"role": message.role, "content": _content(message.content)} for message in prompt.messages],
        "partials": partials,
        "inputs": dict(prompt.inputs),
        "params": prompt.params.as_json(),
        "output": prompt.output_schema,
        "tools": list(prompt.tools),
    }


def behaviour_digest(prompt: Prompt) -> Digest:
    """Over `behaviour`. Raises TemplateError."""
    return digest("promptreg/behaviour/1", behaviour(prompt))


def _content(content: Content) -> Json:
    if isinstance(content, str):
        return normal(content)
    return [{"type": part.type, "value": normal(part.value)} for part in content]
