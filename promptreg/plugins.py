"""Builds the plugin manager: built-ins, then strangers, through the same hooks.

Strangers come from the entry point group `promptreg` and from the files that promptreg.yaml names. A name may be given
only once: nobody replaces a built-in in silence.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeAlias, TypeVar

import pluggy

from promptreg import hookspecs
from promptreg.core.canonical import digest_bytes
from promptreg.errors import UsageError, Where

Kind: TypeAlias = Literal["provider", "metric", "reporter", "publisher"]
KINDS: tuple[Kind, ...] = ("provider", "metric", "reporter", "publisher")
HOOKS = tuple(f"promptreg_{kind}s" for kind in KINDS)
OURS = "promptreg"  # the origin of what promptreg ships
MEND = "mend the plugin, or take it out: local ones stand under `plugins:` in promptreg.yaml, installed ones in pip list"
T = TypeVar("T")


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
            ".sarif": "promptreg.reporters.sarif:Sarif",
        }

    @hookspecs.hookimpl
    def promptreg_publishers(self) -> hookspecs.Publishers:
        return {
            "github": "promptreg.publishers.github:Github",
            "github-issue": "promptreg.publishers.github_issue:GithubIssue",
            "gitlab": "promptreg.publishers.gitlab:Gitlab",
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


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalPlugin:
    """A file or package of the registry: *name* as promptreg.yaml writes it at *where*."""

    name: str
    path: Path
    where: Where | None = None


def load(local: Sequence[LocalPlugin] = (), *, strangers: bool = True) -> Plugins:
    """Built-ins, installed plugins (unless *strangers* is false) and the *local* ones that the registry names.

    Raises UsageError for whatever is wrong with a plugin: it is never our bug, and never passed over.
    """
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(BuiltIns(), name=OURS)
    if strangers:
        _running("an installed plugin", lambda: manager.load_setuptools_entrypoints(hookspecs.PROJECT))
    versions = {plugin.name: _register(manager, plugin) for plugin in local}
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as fault:
        raise UsageError(f"a plugin has a hook that promptreg does not know: {fault}", hint=f"hooks: {', '.join(HOOKS)}") from fault
    return Plugins(_entries(manager, versions))


def _register(manager: pluggy.PluginManager, plugin: LocalPlugin) -> str:
    """Loads one local plugin; returns its version: the digest of its code, for the score key."""
    module = _import_file(plugin)
    hooks = [name for name, value in vars(module).items() if name.startswith("promptreg_") and callable(value)]
    if not hooks:
        hint = f"define one of {', '.join(HOOKS)}"
        raise UsageError(f"{plugin.name} is no plugin: it has no promptreg_… hook", where=plugin.where, hint=hint)
    for name in hooks:
        if name not in HOOKS:
            near = get_close_matches(name, HOOKS, 1)
            guess = f"did you mean '{near[0]}'?" if near else f"hooks: {', '.join(HOOKS)}"
            raise UsageError(f"the plugin {plugin.name} has an unknown hook '{name}'", where=plugin.where, hint=guess)
        if not hasattr(vars(module)[name], f"{hookspecs.PROJECT}_impl"):
            message = f"the hook '{name}' of the plugin {plugin.name} is not marked as one"
            raise UsageError(message, where=plugin.where, hint="write @promptreg.hookimpl above it")
    manager.register(module, name=plugin.name)
    files = sorted(plugin.path.rglob("*.py")) if plugin.path.is_dir() else [plugin.path]
    return digest_bytes(b"\0".join(file.read_bytes() for file in files))


def _import_file(plugin: LocalPlugin) -> ModuleType:
    path = plugin.path
    source = path / "__init__.py" if path.is_dir() else path
    name = f"promptreg_local_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, source, submodule_search_locations=[str(path)] if path.is_dir() else None)
    if spec is None or spec.loader is None or not source.is_file():
        raise UsageError(f"the plugin {plugin.name} is neither a Python file nor a package", where=plugin.where, hint=MEND)
    module = importlib.util.module_from_spec(spec)
    for known in [each for each in sys.modules if each == name or each.startswith(f"{name}.")]:
        del sys.modules[known]  # another registry's, or this one's as it was before
    sys.modules[name] = module
    _running(f"the plugin {plugin.name}", partial(spec.loader.exec_module, module), plugin)
    return module


def _running(who: str, action: Callable[[], T], plugin: LocalPlugin | None = None) -> T:
    """What a stranger's code returns; whatever it raises becomes the user's to mend, with the line that raised it."""
    try:
        return action()
    except UsageError:
        raise
    except (Exception, SystemExit) as fault:
        last = traceback.format_exception_only(fault)[-1].strip()
        where = None if plugin is None else _line(fault, plugin) or plugin.where
        raise UsageError(f"{who} cannot be used: {last}", where=where, hint=MEND) from fault


def _line(fault: BaseException, plugin: LocalPlugin) -> Where | None:
    """The last line of the plugin's own code that the fault passed through."""
    if isinstance(fault, SyntaxError) and fault.filename:
        steps = [(fault.filename, fault.lineno)]
    else:
        steps = [(frame.filename, frame.lineno) for frame in reversed(traceback.extract_tb(fault.__traceback__))]
    for file, line in steps:
        if Path(file) == plugin.path:
            return Where(plugin.name, line or 0)
        if plugin.path in Path(file).parents:
            return Where(f"{plugin.name}/{Path(file).relative_to(plugin.path).as_posix()}", line or 0)
    return None


def _entries(manager: pluggy.PluginManager, versions: Mapping[str, str]) -> Iterable[Entry]:
    for kind, hook in zip(KINDS, HOOKS, strict=True):
        for implementation in getattr(manager.hook, hook).get_hookimpls():
            origin = implementation.plugin_name
            offered: object = _running(f"the hook {hook} of {origin}", implementation.function)
            if not isinstance(offered, Mapping):
                given = type(offered).__name__
                raise UsageError(f"the hook {hook} of {origin} returned a {given}", hint="return a mapping from names to classes")
            for name, target in offered.items():
                if not isinstance(target, type | str):
                    raise UsageError(f"{origin} offers {target!r} as the {kind} '{name}'", hint='offer a class, or "module:Class"')
                yield Entry(kind, str(name), origin, _loader(target, f"the {kind} '{name}' of {origin}", versions.get(origin)))


def _loader(target: type | str, who: str, version: str | None) -> Callable[[], type]:
    def load_class() -> type:
        found = _running(who, lambda: _imported(target)) if isinstance(target, str) else target
        if version is not None:
            found.version = version  # type: ignore[attr-defined]
        return found

    return load_class


def _imported(target: str) -> type:
    module, _, name = target.partition(":")
    found: type = getattr(importlib.import_module(module), name)
    return found
