"""Builds the plugin manager: built-ins, then strangers, through the same hooks.

Strangers come from the entry point group `promptreg` and from the files that promptreg.yaml names. A name may be given
only once: nobody replaces a built-in in silence.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias

import pluggy

from promptreg import hookspecs
from promptreg.core.canonical import digest_bytes
from promptreg.errors import UsageError, Where

Kind: TypeAlias = Literal["provider", "metric", "reporter", "publisher"]


class BuiltIns:
    """What promptreg ships, registered like anybody's plugin; each class is imported on first use."""

    @hookspecs.hookimpl
    def promptreg_providers(self) -> hookspecs.Providers:
        return {
            "local": "promptreg.providers.local:Local",
            "openai": "promptreg.providers.openai:OpenAI",
            "anthropic": "promptreg.providers.anthropic:Anthropic",
            "recorded": "promptreg.providers.recorded:Recorded",
            "echo": "promptreg.providers.echo:Echo",
            "llm": "promptreg.providers.llm_models:LlmModels",
        }

    @hookspecs.hookimpl
    def promptreg_metrics(self) -> hookspecs.Metrics:
        return {
            "bleu": "promptreg.metrics.bleu:Bleu",
            "chrf": "promptreg.metrics.chrf:Chrf",
            "contains": "promptreg.metrics.contains:Contains",
            "contains_all": "promptreg.metrics.contains_all:ContainsAll",
            "contains_any": "promptreg.metrics.contains_any:ContainsAny",
            "cost": "promptreg.metrics.cost:Cost",
            "exact": "promptreg.metrics.exact:Exact",
            "expr": "promptreg.metrics.expr:Expr",
            "json": "promptreg.metrics.json:JsonAnswer",
            "latency": "promptreg.metrics.latency:Latency",
            "levenshtein": "promptreg.metrics.levenshtein:Levenshtein",
            "number": "promptreg.metrics.number:Number",
            "one_of": "promptreg.metrics.one_of:OneOf",
            "recorded": "promptreg.metrics.recorded:Recorded",
            "refusal": "promptreg.metrics.refusal:Refusal",
            "regex": "promptreg.metrics.regex:Regex",
            "rouge": "promptreg.metrics.rouge:Rouge",
            "squad_em": "promptreg.metrics.squad:SquadEm",
            "starts_with": "promptreg.metrics.starts_with:StartsWith",
            "token_f1": "promptreg.metrics.squad:TokenF1",
            "tokens": "promptreg.metrics.tokens:Tokens",
            "word_count": "promptreg.metrics.word_count:WordCount",
        }

    @hookspecs.hookimpl
    def promptreg_reporters(self) -> hookspecs.Reporters:
        return {
            ".md": "promptreg.reporters.markdown:Markdown",
            ".html": "promptreg.reporters.html:Html",
            ".json": "promptreg.reporters.json:Json",
            ".xml": "promptreg.reporters.junit:JUnit",
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """One offered class: its kind, the name users write, where it came from, and how to get it."""

    kind: Kind
    name: str
    origin: str
    load: Callable[[], type]


class Plugins:
    """Every class on offer, by kind and name."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[tuple[Kind, str], Entry] = {}
        for entry in entries:
            other = self._entries.setdefault((entry.kind, entry.name), entry)
            if other is not entry:
                raise UsageError(
                    f"two plugins offer the {entry.kind} '{entry.name}': {other.origin} and {entry.origin}",
                    hint="uninstall one, or rename the one that is yours",
                )

    def entries(self) -> list[Entry]:
        return sorted(self._entries.values(), key=lambda entry: (entry.kind, entry.name))

    def names(self, kind: Kind) -> list[str]:
        return sorted(name for entry_kind, name in self._entries if entry_kind == kind)

    def get(self, kind: Kind, name: str, where: Where | None = None) -> type[Any]:
        """The class users call *name*. Raises UsageError with a did-you-mean."""
        entry = self._entries.get((kind, name))
        if entry is None:
            near = get_close_matches(name, self.names(kind), 1)
            known = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(self.names(kind))}"
            raise UsageError(f"unknown {kind} '{name}'", where=where, hint=known)
        return entry.load()


def load(local: Sequence[Path] = (), *, strangers: bool = True) -> Plugins:
    """Built-ins, installed plugins (unless *strangers* is false) and the *local* files or packages that the registry names."""
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(BuiltIns(), name="promptreg")
    if strangers:
        manager.load_setuptools_entrypoints(hookspecs.PROJECT)
    versions = {f"{path.stem} ({path})": _register(manager, path) for path in local}
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as fault:
        raise UsageError(f"a plugin has a hook that promptreg does not know: {fault}", hint="see promptreg/hookspecs.py") from fault
    return Plugins(_entries(manager, versions))


def _register(manager: pluggy.PluginManager, path: Path) -> str:
    """Loads one local plugin; returns its version: the digest of its code (SEMANTICS 1)."""
    module = _import_file(path)
    if not any(name.startswith("promptreg_") and callable(value) for name, value in vars(module).items()):
        raise UsageError(f"{path} is no plugin: it has no promptreg_… hook", hint="see promptreg/hookspecs.py")
    manager.register(module, name=f"{path.stem} ({path})")
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return digest_bytes(b"\0".join(file.read_bytes() for file in files))


def _import_file(path: Path) -> ModuleType:
    source = path / "__init__.py" if path.is_dir() else path
    if not source.is_file():
        raise UsageError(f"the plugin {path} does not exist", hint="mend `plugins:` in promptreg.yaml")
    name = f"promptreg_local_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, source, submodule_search_locations=[str(path)] if path.is_dir() else None)
    if spec is None or spec.loader is None:
        raise UsageError(f"the plugin {path} is not a Python file or package")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _entries(manager: pluggy.PluginManager, versions: Mapping[str, str]) -> Iterable[Entry]:
    kinds: tuple[Kind, ...] = ("provider", "metric", "reporter", "publisher")
    for kind in kinds:
        caller = getattr(manager.hook, f"promptreg_{kind}s")
        for implementation in caller.get_hookimpls():
            offered: Mapping[str, type | str] = implementation.function()
            for name, target in offered.items():
                yield Entry(kind, name, implementation.plugin_name, _loader(target, versions.get(implementation.plugin_name)))


def _loader(target: type | str, version: str | None) -> Callable[[], type]:
    def load_class() -> type:
        if isinstance(target, str):
            module, _, name = target.partition(":")
            found: type = getattr(importlib.import_module(module), name)
        else:
            found = target
        if version is not None:
            found.version = version  # type: ignore[attr-defined]
        return found

    return load_class
