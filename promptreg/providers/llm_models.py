"""Any model of Simon Willison's `llm` package and its plugins (the extra `[llm]`): `{provider: llm, model: NAME_IN_LLM}`.

`llm` keeps its own keys (`llm keys set`) and knows no timeout, so a hung plugin hangs its thread. What a plugin raises beside
`llm`'s own errors is caught where every plugin call is, in `execute`.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.prompt import Message
from promptreg.core.protocols import ProviderContext
from promptreg.core.run import Call, Completion, Failure, Stop, Usage
from promptreg.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmOptions:
    """The keys of a catalogue entry with `provider: llm`."""

    api_key_env: str | None = None  # a variable that holds the key, instead of llm's own key store
    options: Mapping[str, Json] = field(default_factory=dict)  # the model's own options, as `llm -o name value` takes them


class LlmModels:
    """One model that `llm models` lists."""

    name: ClassVar[str] = "llm"
    Options: ClassVar[type] = LlmOptions

    stored = True
    keyed_by: Literal["messages", "case"] = "messages"
    concurrency = 4

    def __init__(self, spec: ModelSpec, options: LlmOptions, context: ProviderContext) -> None:
        try:
            import llm
        except ImportError as fault:
            raise UsageError(
                "the provider 'llm' needs the package llm", where=spec.where, hint="pip install 'git-promptreg[llm]'"
            ) from fault
        self._llm: Any = llm
        try:
            self._model: Any = llm.get_model(spec.model)
        except llm.UnknownModelError as fault:
            raise UsageError(
                f"llm knows no model '{spec.model}'", where=spec.where, hint="`llm models` lists them; `llm install` adds plugins"
            ) from fault
        self._options = dict(options.options)
        self._key = self._named_key(options, spec, context)
        self.identity: dict[str, Json] = {"options": self._options} if self._options else {}

    @staticmethod
    def _named_key(options: LlmOptions, spec: ModelSpec, context: ProviderContext) -> str | None:
        if options.api_key_env is None:
            return None
        key = context.env.get(options.api_key_env, "").strip()
        if not key:
            raise UsageError(f"the environment variable {options.api_key_env} is not set", where=spec.where, hint="set it")
        return key

    def complete(self, call: Call, timeout_s: float) -> Completion | Failure:  # noqa: ARG002 - llm knows no timeout
        """One prompt through llm, not streamed and not logged."""
        started = time.perf_counter()
        try:
            response = self._model.prompt(**self._asked(call), **({"key": self._key} if self._key else {}))
            text = response.text()
            used = response.usage()
        except self._llm.NeedsKeyException as fault:
            return Failure(kind="auth", message=self._masked(fault))
        except self._llm.ModelError as fault:
            return Failure(kind="server", message=self._masked(fault), retryable=True)
        except ValueError as fault:  # an option the model does not have, or a conversation it cannot hold
            return Failure(kind="request", message=self._masked(fault))
        return Completion(
            text=text,
            stop=Stop.END,
            usage=Usage(input_tokens=used.input, output_tokens=used.output),
            latency_s=time.perf_counter() - started,
            reported_model=getattr(response, "resolved_model", None) or self._model.model_id,
        )

    def close(self) -> None:
        """llm closes its own connections."""

    def _asked(self, call: Call) -> dict[str, Any]:
        params = call.params.as_json()
        extra = params.pop("extra", None)
        options = {**self._options, **params, **(extra if isinstance(extra, Mapping) else {})}
        asked: dict[str, Any] = {"stream": False, "options": options}
        if call.tools:
            raise ValueError("the provider 'llm' takes no tools: llm would run them")
        if call.output_schema is not None:
            asked["schema"] = dict(call.output_schema)
        *system, last = call.messages
        if last.role == "user" and [message.role for message in system] in ([], ["system"]):
            # Plugins older than llm's `messages` read these two.
            asked |= {"prompt": last.text, "system": system[0].text if system else None, "attachments": self._attachments(last)}
        else:
            asked["messages"] = [self._turn(message) for message in call.messages]
        return asked

    def _turn(self, message: Message) -> Any:
        if message.role == "user":
            return self._llm.user(message.text, *self._attachments(message))
        return (self._llm.system if message.role == "system" else self._llm.assistant)(message.text)

    def _attachments(self, message: Message) -> list[Any]:
        parts = () if isinstance(message.content, str) else message.content
        return [self._attachment(part.value) for part in parts if part.type == "image"]

    def _attachment(self, source: str) -> Any:
        if source.startswith("https://"):
            return self._llm.Attachment(url=source)
        kind, marker, data = source.removeprefix("data:").partition(";base64,")
        if not marker:
            raise ValueError("an image source must be an https: or a base64 data: URL")
        return self._llm.Attachment(type=kind, content=base64.b64decode(data, validate=True))

    def _masked(self, fault: Exception) -> str:
        text = " ".join(str(fault).split())[:300]
        return text.replace(self._key, "***") if self._key else text
