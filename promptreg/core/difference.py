"""How two states of a prompt differ, in the words of its format: what it says of itself apart from what a model could notice.

Messages are compared as they read with their partials in place, word by word. Knows neither versions nor files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal, TypeAlias

from promptreg.core.canonical import Json
from promptreg.core.diff import Piece, text_diff
from promptreg.core.identity import behaviour_digest, included
from promptreg.core.prompt import Message, MessageTemplate, Part, Prompt
from promptreg.core.template.folding import folded
from promptreg.core.template.normal import normal
from promptreg.core.widening import same

Kind: TypeAlias = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A value at a dotted *key*; `before` of what was added and `after` of what was removed are None."""

    kind: Kind
    key: str
    before: Json = None
    after: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChange:
    """A message or a partial. `name` is its role or path; numbers count messages from 1, 0 where there is none."""

    kind: Kind
    name: str
    pieces: tuple[Piece, ...]
    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Empty parts are the same on both sides. `behaviour`: whether the digests of what a model could notice differ.

    When they do and no part shows it, text has only moved between the prompt and its partials.
    """

    behaviour: bool
    about: tuple[Change, ...] = ()
    inputs: tuple[Change, ...] = ()
    params: tuple[Change, ...] = ()
    output: tuple[Change, ...] = ()
    tools: tuple[Change, ...] = ()
    messages: tuple[TextChange, ...] = ()
    partials: tuple[TextChange, ...] = ()

    @property
    def any(self) -> bool:
        return self.behaviour or bool(self.about)

    @property
    def moved(self) -> bool:
        """Whether behaviour differs in nothing that can be shown."""
        shown = (self.inputs, self.params, self.output, self.tools, self.messages, self.partials)
        return self.behaviour and not any(shown)


def difference(before: Prompt, after: Prompt) -> Difference:
    """How *after* differs from *before*. TemplateError when one of them is no template."""
    return Difference(
        behaviour=behaviour_digest(before) != behaviour_digest(after),
        about=tuple(changes(_about(before), _about(after))),
        inputs=tuple(changes(before.inputs, after.inputs)),
        params=tuple(changes(before.params.as_json(), after.params.as_json())),
        output=tuple(changes({"schema": before.output_schema or {}}, {"schema": after.output_schema or {}})),
        tools=tuple(changes(_tools(before), _tools(after))),
        messages=tuple(_messages(before, after)),
        partials=tuple(_partials(before, after)),
    )


def changes(before: Mapping[str, Json], after: Mapping[str, Json], prefix: str = "") -> Iterator[Change]:
    """Keys that differ, in *before*'s order, then *after*'s new ones; mappings are looked into, lists are compared whole."""
    for key in (*before, *(key for key in after if key not in before)):
        one, other = before.get(key), after.get(key)
        if key not in after:
            yield Change(kind="removed", key=prefix + key, before=one)
        elif key not in before:
            yield Change(kind="added", key=prefix + key, after=other)
        elif isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from changes(one, other, f"{prefix}{key}.")
        elif not same(one, other):
            yield Change(kind="changed", key=prefix + key, before=one, after=other)


def rendered_changes(before: Sequence[Message], after: Sequence[Message]) -> tuple[TextChange, ...]:
    """How two renderings differ, message by message."""
    old = [(message.role, _shown(message.content)) for message in before]
    new = [(message.role, _shown(message.content)) for message in after]
    return tuple(_aligned(old, new, old, new))


def _about(prompt: Prompt) -> dict[str, Json]:
    told: dict[str, Json] = {
        "description": prompt.description,
        "owners": list(prompt.owners),
        "trust": dict(prompt.trust),
    }
    return {key: value for key, value in told.items() if value}


def _tools(prompt: Prompt) -> dict[str, Json]:
    """Tools by their name, or by their place where they have none."""
    return {str(_name(tool) or index): dict(tool) for index, tool in enumerate(prompt.tools, 1)}


def _name(tool: Mapping[str, Json]) -> Json:
    function = tool.get("function")
    return function.get("name") if isinstance(function, Mapping) else tool.get("name")


def _messages(before: Prompt, after: Prompt) -> Iterator[TextChange]:
    old, new = _texts(before), _texts(after)
    old_keys = [(role, normal(text)) for role, text in old]
    new_keys = [(role, normal(text)) for role, text in new]
    return _aligned(old, new, old_keys, new_keys)


def _texts(prompt: Prompt) -> list[tuple[str, str]]:
    return [(message.role, _folded(message, prompt.partials)) for message in prompt.messages]


def _folded(message: MessageTemplate, partials: Mapping[str, str]) -> str:
    if isinstance(message.content, str):
        return folded(message.content, partials)
    return _shown(tuple(Part(type=part.type, value=folded(part.value, partials)) for part in message.content))


def _shown(content: str | tuple[Part, ...]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.value if part.type == "text" else f"[image: {part.value}]" for part in content)


def _aligned(
    old: Sequence[tuple[str, str]], new: Sequence[tuple[str, str]], old_keys: Sequence[object], new_keys: Sequence[object]
) -> Iterator[TextChange]:
    """Messages that are the same stay out; of those between them, the first is held beside the first if their roles agree."""
    matcher = SequenceMatcher(None, [repr(key) for key in old_keys], [repr(key) for key in new_keys], autojunk=False)
    for step, i, j, k, m in matcher.get_opcodes():
        if step == "equal":
            continue
        for offset in range(max(j - i, m - k)):
            one, other = i + offset, k + offset
            if one < j and other < m and old[one][0] == new[other][0]:
                pieces = text_diff(old[one][1], new[other][1])
                yield TextChange(kind="changed", name=old[one][0], pieces=pieces, before=one + 1, after=other + 1)
                continue
            if one < j:
                yield TextChange(kind="removed", name=old[one][0], pieces=(Piece("gone", old[one][1]),), before=one + 1)
            if other < m:
                yield TextChange(kind="added", name=new[other][0], pieces=(Piece("new", new[other][1]),), after=other + 1)


def _partials(before: Prompt, after: Prompt) -> Iterator[TextChange]:
    """Partials that do not stand within messages: those that are imported."""
    old, new = _imported(before), _imported(after)
    for path in sorted({*old, *new}):
        one, other = old.get(path), new.get(path)
        if one is None:
            yield TextChange(kind="added", name=path, pieces=(Piece("new", other or ""),))
        elif other is None:
            yield TextChange(kind="removed", name=path, pieces=(Piece("gone", one),))
        elif normal(one) != normal(other):
            yield TextChange(kind="changed", name=path, pieces=text_diff(one, other))


def _imported(prompt: Prompt) -> dict[str, str]:
    """Path to text of the partials that are still named when all includes are folded in."""
    texts = " ".join(text for _, text in _texts(prompt))
    return {
        path: folded(prompt.partials[path], prompt.partials)
        for path in included(prompt)
        if f'"{path}"' in texts or f"'{path}'" in texts
    }
