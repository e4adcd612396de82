"""How the two chat APIs want to be told the same thing: messages, parameters, tools and output schema → a request's JSON body.

Providers send these bodies; production code gets them as arguments for its own client. Knows no model, no key and no HTTP.
Raises ValueError for what an API cannot say.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from promptreg.core.canonical import Json
from promptreg.core.prompt import Message, Parameters, Part

ANTHROPIC_MAX_TOKENS = 1024  # the Messages API demands a limit
_IMAGE = re.compile(r"https://|data:image/[\w.+-]+;base64,")


def openai_body(
    messages: Sequence[Message],
    params: Parameters,
    tools: Sequence[Mapping[str, Json]] = (),
    output_schema: Mapping[str, Json] | None = None,
    *,
    max_tokens_key: str = "max_completion_tokens",
    strict: bool = True,
) -> dict[str, Json]:
    """A chat completion's body without its model and without `params.extra`."""
    said = params.as_json()
    said.pop("extra", None)
    if "max_tokens" in said:
        said[max_tokens_key] = said.pop("max_tokens")
    body: dict[str, Json] = {"messages": [_openai_message(message) for message in messages], **said}
    if tools:
        body["tools"] = list(tools)
    if output_schema is not None:
        body["response_format"] = _response_format(output_schema, strict)
    return body


def anthropic_body(
    messages: Sequence[Message],
    params: Parameters,
    tools: Sequence[Mapping[str, Json]] = (),
    output_schema: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    """A message's body without its model and without `params.extra`. System messages become `system`; a seed is left out."""
    body: dict[str, Json] = {
        "max_tokens": ANTHROPIC_MAX_TOKENS,
        "messages": [_anthropic_message(message) for message in messages if message.role != "system"],
        **_anthropic_params(params),
    }
    system = [_system(message) for message in messages if message.role == "system"]
    if system:
        body["system"] = system[0] if len(system) == 1 else [_text(text) for text in system]
    if tools:
        body["tools"] = [_anthropic_tool(tool) for tool in tools]
    if output_schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": closed(output_schema)}}
    return body


# messages --------------------------------------------------------------------------------------------------------------------


def _contents(message: Message, image: Callable[[str], Json]) -> Json:
    """A message's content as the APIs take it: text, or a list of parts."""
    if isinstance(message.content, str):
        return message.content
    return [_part(part, image) for part in message.content]


def _part(part: Part, image: Callable[[str], Json]) -> Json:
    if part.type == "text":
        return _text(part.value)
    if not _IMAGE.match(part.value):
        raise ValueError("an image source must be an https: or a base64 data: URL")
    return image(part.value)


def _text(text: str) -> Json:
    return {"type": "text", "text": text}


def _openai_message(message: Message) -> Json:
    return {"role": message.role, "content": _contents(message, _openai_image)}


def _openai_image(source: str) -> Json:
    return {"type": "image_url", "image_url": {"url": source}}


def _anthropic_message(message: Message) -> Json:
    return {"role": message.role, "content": _contents(message, _anthropic_image)}


def _anthropic_image(source: str) -> Json:
    if source.startswith("https://"):
        return {"type": "image", "source": {"type": "url", "url": source}}
    kind, _, data = source.removeprefix("data:").partition(";base64,")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _system(message: Message) -> str:
    if not isinstance(message.content, str) and any(part.type == "image" for part in message.content):
        raise ValueError("the Messages API takes no image in a system message")
    return message.text


# parameters, tools, output ---------------------------------------------------------------------------------------------------


def _anthropic_params(params: Parameters) -> dict[str, Json]:
    said = params.as_json()
    for name in ("extra", "seed"):
        said.pop(name, None)
    for name in ("presence_penalty", "frequency_penalty"):
        if name in said:
            raise ValueError(f"the Messages API has no {name}: remove it from params")
    if "stop" in said:
        said["stop_sequences"] = said.pop("stop")
    return said


def _anthropic_tool(tool: Mapping[str, Json]) -> Mapping[str, Json]:
    """A tool in OpenAI's schema, as prompts hold it, in Anthropic's; one that is written in Anthropic's own goes through."""
    function = tool.get("function")
    if not isinstance(function, Mapping):
        return tool
    out: dict[str, Json] = {"name": function.get("name"), "input_schema": function.get("parameters") or {"type": "object"}}
    out.update((key, function[key]) for key in ("description", "strict") if key in function)
    return out


def _response_format(schema: Mapping[str, Json], strict: bool) -> dict[str, Json]:
    shut = closed(schema) if strict else dict(schema)
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": shut, "strict": strict and all_required(shut)}}


_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains")
_MANY = ("anyOf", "allOf", "oneOf", "prefixItems")
_NAMED = ("properties", "$defs", "definitions", "patternProperties")


def closed(schema: Mapping[str, Json]) -> dict[str, Json]:
    """*schema* with every object closed to unnamed properties, as the constrained decoders of both APIs demand.

    Whatever satisfies the closed schema satisfies the open one.
    """
    out: dict[str, Json] = dict(schema)
    for key in _ONE:
        if isinstance(inner := out.get(key), Mapping):
            out[key] = closed(inner)
    for key in _MANY:
        if isinstance(several := out.get(key), list | tuple):
            out[key] = [closed(item) if isinstance(item, Mapping) else item for item in several]
    for key in _NAMED:
        if isinstance(table := out.get(key), Mapping):
            out[key] = {name: closed(item) if isinstance(item, Mapping) else item for name, item in table.items()}
    if "properties" in out and "additionalProperties" not in out:
        out["additionalProperties"] = False
    return out


def all_required(schema: Json) -> bool:
    """Whether every object of a closed schema requires all it names and nothing else, which OpenAI's strict mode demands."""
    if isinstance(schema, Mapping):
        named = schema.get("properties")
        if isinstance(named, Mapping):
            required = schema.get("required")
            wanted = set(required) if isinstance(required, list | tuple) else set()
            if set(named) != wanted or schema.get("additionalProperties") is not False:
                return False
        elif schema.get("type") == "object":
            return False
        return all(all_required(value) for value in schema.values())
    if isinstance(schema, list | tuple):
        return all(all_required(item) for item in schema)
    return True
