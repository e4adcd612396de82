"""Metric `json`: the answer is JSON, of a shape, with a value at a place."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Final

from promptreg.core.canonical import Json
from promptreg.core.protocols import Answer
from promptreg.core.run import Score, Stop
from promptreg.core.schema import Schema
from promptreg.errors import UsageError
from promptreg.metrics import json_path, strict_json
from promptreg.metrics.wording import binary, quoted


class _Unset(Enum):
    """Not null: null is a value that an answer can rightly hold."""

    UNSET = "anything"


UNSET: Final[Any] = _Unset.UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonAnswer:
    """Is the whole answer JSON, and does it keep to the schema, and hold the right value at a path?

    Strictly: text around it, NaN, a key given twice are wrong.
    schema: a JSON Schema; or the word `output` for the prompt's own output schema.
    path: where to look, like `items[0].price`; without `equals` it must be there.
    equals: the value at `path`, or of the whole answer; 1 and 1.0 are equal, the order of keys does not count.
    fenced: accept one Markdown code fence around the answer.
    Reference: RFC 8259; JSON Schema 2020-12.
    """

    name: ClassVar[str] = "json"
    version: ClassVar[str] = "1"
    threshold: ClassVar[float] = 1.0
    short: ClassVar[str] = ""
    cached: ClassVar[bool] = False

    schema: Mapping[str, Json] | str | None = None
    path: str = ""
    equals: Json = UNSET
    fenced: bool = False

    def __post_init__(self) -> None:
        json_path.steps(self.path)
        if isinstance(self.schema, str) and self.schema != "output":
            raise ValueError("'schema' is a JSON Schema or the word 'output'")
        if isinstance(self.schema, Mapping):
            Schema(self.schema)

    def score(self, answer: Answer) -> Score:
        try:
            value = strict_json.parse(answer.text, fenced=self.fenced)
        except ValueError as fault:
            cut = ", cut off at max_tokens" if answer.completion.stop is Stop.LENGTH else ""
            return Score(value=0.0, reason=f"not JSON{cut}: {fault}: {quoted(answer.text)}")
        schema = self._schema(answer)
        complaints = [] if schema is None else Schema(schema).complaints(value)
        if complaints:
            return Score(value=0.0, reason="; ".join(complaints[:3]))
        return self._compare(value)

    def _schema(self, answer: Answer) -> Mapping[str, Json] | None:
        if not isinstance(self.schema, str):
            return self.schema
        if answer.output_schema is None:
            raise UsageError(
                "the check `json` asks for the prompt's output schema, but the prompt has none",
                hint="give the prompt `output: {schema: …}`, or write the schema into the check",
            )
        return answer.output_schema

    def _compare(self, value: Json) -> Score:
        try:
            found = json_path.follow(value, json_path.steps(self.path))
        except LookupError as fault:
            return Score(value=0.0, reason=str(fault.args[0]))
        if self.equals is UNSET:
            return Score(value=1.0)
        where = json_path.written(json_path.steps(self.path))
        read = json.dumps(found, sort_keys=True)
        return binary(
            strict_json.same(found, self.equals), lambda: f"{where} is {_shown(found)}, expected {_shown(self.equals)}", read
        )


def _shown(value: Json) -> str:
    return quoted(value) if isinstance(value, str) else strict_json.written(value)
