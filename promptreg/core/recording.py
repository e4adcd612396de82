"""Recordings as values: which call a row answers, the completion it holds, and the row that a completion makes.

A row is `{"model", "messages" | "prompt" | "case", "output", …}` (KNOWN has every key). Columns that promptreg does not know are
ignored: published runs carry many of their own, and a record is not configuration. One that is nearly a known name while that name
is absent is refused, since ignoring a misspelt `repeat` or `scores` would change results in silence; `ignore` lets it pass.

`recorded(recording_row(call, completion, model)) == completion`, and that row's `row_key` is the call's `call_key`. Errors are
DataError without a place: the reader, which knows file and line, adds it. Knows no file.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, TypeAlias

from promptreg.core.canonical import Json, canonical
from promptreg.core.prompt import ROLES
from promptreg.core.run import Call, Completion, Stop, ToolCall, Usage
from promptreg.errors import DataError

Matched: TypeAlias = Literal["params", "tools", "output_schema"]
KeyedBy: TypeAlias = Literal["messages", "case"]
RowKey: TypeAlias = bytes  # 16 bytes: enough for any file, and small a hundred thousand times over

ASKED = ("model", "messages", "prompt", "case", "params", "tools", "output_schema", "repeat")
ANSWERED = (
    *("output", "stop", "latency_s", "cost_usd", "input_tokens", "output_tokens", "reported_model"),
    *("system_fingerprint", "tool_calls", "logprobs", "scores", "observed_at"),
)
KNOWN = ASKED + ANSWERED
_TEXTS = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
_NEAR = 0.84  # difflib ratio: `outputs`, `latency`, `latancy_s` are near; `recorded_at`, `model_family`, `prompt_sha256` are not


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """How one recording is read: what besides the messages must match, the column of the case id, columns to overlook.

    With `case` unset, rows are keyed by messages (or prompt), or by a column named `case`; with it set, by that column alone.
    """

    match: tuple[Matched, ...] = ()
    case: str | None = None
    ignore: tuple[str, ...] = ()

    def keyed_by(self, row: Mapping[str, Json]) -> KeyedBy:
        """What names the call that *row* answers. Raises DataError if nothing does, or two things do."""
        if self.case is not None:
            return "case"
        given = [name for name in ("messages", "prompt", "case") if row.get(name) is not None]
        if len(given) != 1:
            said = f"has {' and '.join(given)}" if given else "has none of them"
            raise DataError(f"a row needs exactly one of 'messages', 'prompt' and 'case'; this one {said}")
        return "case" if given[0] == "case" else "messages"

    def row_key(self, row: Mapping[str, Json]) -> RowKey:
        """The key of the call that *row* answers. Raises DataError."""
        if self.keyed_by(row) == "case":
            return _key(_case(row, self.case or "case"), self._matched(row), _slot(row))
        messages = row.get("messages")
        asked = _messages(messages) if messages is not None else _messages([{"role": "user", "content": row["prompt"]}])
        return _key(asked, self._matched(row), _slot(row))

    def call_key(self, call: Call, keyed_by: KeyedBy, slot: int | None = None) -> RowKey:
        """The key of the row that would answer *call* (or its sample *slot*)."""
        row: dict[str, Json] = {"params": call.params.as_json(), "tools": list(call.tools), "output_schema": call.output_schema}
        asked: Json = call.case if keyed_by == "case" else [message.as_json() for message in call.messages]
        return _key(asked, self._matched(row), call.slot if slot is None else slot)

    def _matched(self, row: Mapping[str, Json]) -> Json:
        return [_said(row.get(name)) for name in self.match]

    def check_columns(self, row: Mapping[str, Json]) -> None:
        """Raises DataError for a column that is nearly one promptreg knows."""
        absent = [name for name in KNOWN if name not in row]
        for name in row:
            if name in KNOWN or name in self.ignore or name == self.case:
                continue
            if near := get_close_matches(name, absent, 1, _NEAR):
                raise DataError(
                    f"unknown column '{name}': did you mean '{near[0]}'?",
                    hint=f"rename it, or let it pass with `ignore: [{name}]` beside `recording:`",
                )


def _key(asked: Json, matched: Json, slot: int) -> RowKey:
    # Messages hold text only, for which the C encoder is as canonical as our own and five times faster; params hold numbers.
    text = _TEXTS.encode([asked, slot])
    return hashlib.sha256(text.encode() + b"\n" + canonical(matched)).digest()[:16]


def _said(value: Json) -> Json:
    """*value* with null, empty and absent made one."""
    if isinstance(value, Mapping):
        value = {name: each for name, each in value.items() if each is not None}
    return value or None


def _case(row: Mapping[str, Json], column: str) -> Json:
    case = row.get(column)
    if isinstance(case, int) and not isinstance(case, bool):
        return str(case)
    if not isinstance(case, str) or not case:
        raise DataError(f"'{column}' must be the id of a case")
    return case


def _slot(row: Mapping[str, Json]) -> int:
    repeat = row.get("repeat")
    if repeat is None:
        return 0
    if not isinstance(repeat, int) or isinstance(repeat, bool) or repeat < 0:
        raise DataError("'repeat' must be 0, 1, 2 …")
    return repeat


def _messages(raw: Json) -> Json:
    if not isinstance(raw, list) or not raw:
        raise DataError("'messages' must be a list of {role, content}")
    for message in raw:
        if not isinstance(message, dict) or set(message) != {"role", "content"} or message["role"] not in ROLES:
            raise DataError("every message must be {role, content} with role system, user or assistant")
        content = message["content"]
        if not isinstance(content, str) and not (isinstance(content, list) and content and all(_is_part(part) for part in content)):
            raise DataError("a message's content must be text or a list of {type: text, text} and {type: image, source}")
    return raw


def _is_part(part: Json) -> bool:
    if not isinstance(part, dict) or not all(isinstance(value, str) for value in part.values()):
        return False
    return set(part) == {"type", "text" if part.get("type") == "text" else "source"} and part["type"] in ("text", "image")


# --- the answer ---------------------------------------------------------------------------------------------------------------


def recorded(row: Mapping[str, Json]) -> Completion | None:
    """The completion that *row* holds; None where its output is null: a call that nobody answered. Raises DataError."""
    if "output" not in row:
        raise DataError("the row has no 'output'")
    if row["output"] is None:
        return None
    return Completion(
        text=_text(row, "output") or "",
        stop=_stop(row.get("stop")),
        usage=Usage(input_tokens=_count(row, "input_tokens"), output_tokens=_count(row, "output_tokens")),
        latency_s=_amount(row, "latency_s"),
        cost_usd=_amount(row, "cost_usd"),
        reported_model=_text(row, "reported_model"),
        system_fingerprint=_text(row, "system_fingerprint"),
        tool_calls=_tool_calls(row.get("tool_calls")),
        logprobs=row.get("logprobs"),
        scores=_scores(row.get("scores")),
        observed_at=_amount(row, "observed_at"),
    )


def recording_row(call: Call, completion: Completion, model: str) -> dict[str, Json]:
    """The row by which `--record` keeps *completion* as *model*'s answer to *call*; keys that say nothing are left out."""
    asked: dict[str, Json] = {"model": model}
    if call.case is not None:
        asked["case"] = call.case
    else:
        asked["messages"] = [message.as_json() for message in call.messages]
    asked |= {"params": call.params.as_json(), "tools": list(call.tools), "output_schema": call.output_schema, "repeat": call.slot}
    answer = completion.as_json()
    usage = answer.pop("usage", None)
    text, stop = answer.pop("text"), answer.pop("stop")
    answer = {"output": text, "stop": stop, **(usage if isinstance(usage, Mapping) else {}), **answer}
    return {name: value for name, value in asked.items() if value not in (None, {}, [])} | answer


def same_answer(one: Mapping[str, Json], other: Mapping[str, Json]) -> bool:
    """Whether two rows for one call say the same in everything that an answer is."""
    return all(one.get(name) == other.get(name) for name in ANSWERED)


def _text(row: Mapping[str, Json], name: str) -> str | None:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise DataError(f"'{name}' must be text")
    return value


def _amount(row: Mapping[str, Json], name: str) -> float | None:
    value = row.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise DataError(f"'{name}' must be a number, 0 or more")
    return value


def _count(row: Mapping[str, Json], name: str) -> int | None:
    value = _amount(row, name)
    if value is not None and value != int(value):
        raise DataError(f"'{name}' must be a whole number")
    return None if value is None else int(value)


def _stop(value: Any) -> Stop:
    if value is None:
        return Stop.END
    try:
        return Stop(value)
    except ValueError:
        raise DataError(f"'stop' must be one of {', '.join(Stop)}") from None


def _scores(value: Json) -> dict[str, float]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(score, int | float | None) for score in value.values()):
        raise DataError("'scores' must map names to numbers")
    return {name: float(score) for name, score in value.items() if score is not None}


def _tool_calls(value: Any) -> tuple[ToolCall, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(_is_tool_call(call) for call in value):
        raise DataError("'tool_calls' must be a list of {name, arguments}")
    return tuple(ToolCall(name=call["name"], arguments=call["arguments"]) for call in value)


def _is_tool_call(call: Any) -> bool:
    return isinstance(call, dict) and set(call) == {"name", "arguments"} and isinstance(call["name"], str)
