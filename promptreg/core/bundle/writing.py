"""A bundle, and a prompt, as JSON; `reading` is the inverse. What is empty is left out.

Canonical JSON sorts keys and writes 1.0 as 1. A model answers in the order of an output schema, and a template shows a default's
order and fractions; so where that would be lost, these members are held as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from promptreg.core.bundle.values import SCHEMA, Bundle, Bundled, Shelf
from promptreg.core.canonical import Digest, Json, canonical, digest_bytes
from promptreg.core.prompt import Prompt
from promptreg.core.prompt import content_json as message_content


def content_json(bundle: Bundle) -> dict[str, Json]:
    """Everything but the digest."""
    texts: dict[str, Json] = {}
    prompts: dict[str, Json] = {name: _shelf(shelf, texts) for name, shelf in bundle.shelves.items()}
    return {"schema": SCHEMA, "registry": bundle.registry, "partials": texts, "prompts": prompts}


def prompt_json(prompt: Prompt, partials: Mapping[str, str]) -> dict[str, Json]:
    """All of *prompt* but its name and its places; *partials* (include path to digest) stand for its own."""
    written: dict[str, Json] = {
        "description": prompt.description,
        "owners": list(prompt.owners),
        "inputs": _exact(dict(prompt.inputs), [schema.get("default") for schema in prompt.inputs.values()]),
        "params": _exact(prompt.params.as_json(), dict(prompt.params.extra)),
        "output": _exact(prompt.output_schema, prompt.output_schema),
        "tools": _exact(list(prompt.tools), list(prompt.tools)),
        "trust": dict(prompt.trust),
        "partials": dict(partials),
    }
    messages: list[Json] = [{"role": each.role, "content": message_content(each.content)} for each in prompt.messages]
    kept = {key: value for key, value in written.items() if value or (key == "output" and value is not None)}
    return {"messages": messages, **kept}


def _exact(value: Json, telling: Json) -> Json:
    """*value*; or its JSON text, if canonical JSON would change the order or the numbers of *telling*, a part of it."""
    kept = json.dumps(telling, ensure_ascii=False) == json.dumps(json.loads(canonical(telling)), ensure_ascii=False)
    return value if kept else json.dumps(value, ensure_ascii=False)


def text_digest(text: str) -> Digest:
    """The key of a partial's text. Half a surrogate pair is refused when the whole is written, not here."""
    return digest_bytes(text.encode("utf-8", "surrogatepass"))


def _shelf(shelf: Shelf, texts: dict[str, Json]) -> Json:
    out: dict[str, Json] = {"versions": [_bundled(each, texts) for each in shelf.versions]}
    if shelf.labels:
        out["labels"] = {label: str(version) for label, version in shelf.labels.items()}
    if shelf.deprecated is not None:
        out["deprecated"] = dict(zip(("reason", "replacement"), shelf.deprecated, strict=True))
    return out


def _bundled(bundled: Bundled, texts: dict[str, Json]) -> Json:
    partials = {path: text_digest(text) for path, text in bundled.prompt.partials.items()}
    texts.update((partials[path], text) for path, text in bundled.prompt.partials.items())
    out: dict[str, Json] = {
        "prompt": prompt_json(bundled.prompt, partials),
        "source": bundled.source,
        "behaviour": bundled.behaviour,
    }
    if bundled.version is not None:
        out["version"] = str(bundled.version)
    if bundled.time is not None:
        out["time"] = bundled.time
    if bundled.commit:
        out["commit"] = bundled.commit
    return out
