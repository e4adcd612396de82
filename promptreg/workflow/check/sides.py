"""The two sides of a check and its anchors: registries at their revisions, under settings that can be trusted, with their models.

From the pull request come data; code, keys and endpoints come from base (`core.trust`). A model that both sides have is built once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from promptreg.core.canonical import Digest, Json, canonical
from promptreg.core.catalogue import ModelSpec
from promptreg.core.check import Check
from promptreg.core.render import Renderer
from promptreg.core.settings import Settings
from promptreg.core.suite import Suite
from promptreg.core.trust import Distrust, executable_files, trusted_settings
from promptreg.core.verdict import Origin
from promptreg.errors import UsageError
from promptreg.plugins import Plugins
from promptreg.registry import Registry
from promptreg.registry.materialised import materialise
from promptreg.registry.registry import SETTINGS
from promptreg.workflow.check.request import Ground
from promptreg.workflow.preparation import Model, build_model, prepare_checks
from promptreg.workflow.world import World

KEY_NAMES = "PROMPTREG_KEY_NAMES"  # an allow-list of key variables that no pull request can change


class Party:
    """One revision under trusted settings. Suites and prompts are read when they are asked for."""

    def __init__(self, origin: Origin, world: World) -> None:
        self.origin = origin
        self.world = world
        self._renderers: dict[str, Renderer] = {}
        self._suites: dict[str, Suite] = {}
        self._checks: dict[str, tuple[Check, ...]] = {}

    @property
    def registry(self) -> Registry:
        return self.world.registry

    @property
    def settings(self) -> Settings:
        return self.world.registry.settings

    def suite(self, name: str) -> Suite:
        """The suite *name* with its globs of prompts resolved."""
        if name not in self._suites:
            suite = self.registry.suite(name)
            self._suites[name] = replace(suite, prompts=self.registry.prompts_matching(suite.prompts, suite.place("prompts")))
        return self._suites[name]

    def checks(self, suite: Suite) -> tuple[Check, ...]:
        if suite.name not in self._checks:
            self._checks[suite.name] = prepare_checks(self.world, suite)
        return self._checks[suite.name]

    def renderer(self, prompt: str) -> Renderer:
        if prompt not in self._renderers:
            self._renderers[prompt] = Renderer(self.registry.prompt(prompt))
        return self._renderers[prompt]


@dataclass(slots=True, eq=False)
class Sides:
    """Base and head, ready to be asked. `distrusted` is what head would have otherwise."""

    base: Party
    head: Party
    plugins: Plugins
    distrusted: tuple[Distrust, ...]
    named: tuple[str, ...] = ()  # the paths that head's own settings name
    _models: dict[bytes, Model] = field(default_factory=dict)

    def party(self, origin: Origin) -> Party:
        return self.base if origin == "base" else self.head

    def model(self, party: Party, alias: str) -> Model | None:
        """The model that *party* calls *alias*; None if it knows none."""
        spec = party.settings.models.get(alias)
        if spec is None:
            return None
        key = _same_model(spec)
        if key not in self._models:
            self._models[key] = build_model(party.world, alias, None, lambda found: found)
        return replace(self._models[key], spec=self._priced(spec))

    def _priced(self, spec: ModelSpec) -> ModelSpec:
        """The same model costs the same on both sides: a pull request that writes another price moves no guard and no budget."""
        base = self.base.settings.models.get(spec.alias)
        return replace(spec, price=base.price) if base is not None and _same_model(base) == _same_model(spec) else spec

    def named_files(self, party: Party) -> dict[str, Json]:
        """The digest of *party*'s promptreg.yaml, and of every file that head's names as code or for a provider."""
        registry = party.registry
        names = [name for name in (SETTINGS, *_there(registry, self.named)) if registry.snapshot.has(name)]
        return {path: _digest(registry, path) for name in names for path in (registry.snapshot.paths(name) or [name])}

    def at(self, commit: str) -> Party:
        """Another commit of the base's repository, an anchor's, under base's code and keys."""
        registry = self.base.registry.at(commit)
        settings, _ = trusted_settings(self.base.settings, registry.settings)
        return Party("base", replace(self.base.world, registry=registry.under(settings)))

    @property
    def models(self) -> Sequence[Model]:
        return tuple(self._models.values())

    def close(self) -> None:
        for model in self._models.values():
            model.provider.close()


@contextmanager
def open_sides(ground: Ground, base: Registry, head: Registry, paths: frozenset[str], *, trust_head: bool) -> Iterator[Sides]:
    """Both sides of a check, between which *paths* changed. Code and providers' files are base's, or with *trust_head* head's."""
    allowed = tuple(name.strip() for name in ground.env.get(KEY_NAMES, "").split(",") if name.strip())
    if trust_head:
        settings, source = head.settings, head
        distrusted: tuple[Distrust, ...] = ()
    else:
        settings, distrusted = trusted_settings(base.settings, head.settings, allowed=allowed)
        distrusted = (*distrusted, *executable_files(base.settings, head.settings, paths))
        source = base
    files = _files(ground, source, base)
    plugins = ground.open_plugins(source, files)
    common = World(
        registry=base,
        plugins=plugins,
        store=ground.store,
        env=ground.env,
        now=ground.now,
        weights=lambda name: ground.weights(name, files),
        progress=ground.progress,
        files=files,
    )
    sides = Sides(
        base=Party("base", common),
        head=Party("head", replace(common, registry=head.under(settings))),
        plugins=plugins,
        distrusted=distrusted,
        named=files_of(head.settings),
    )
    try:
        yield sides
    finally:
        sides.close()


def _files(ground: Ground, source: Registry, base: Registry) -> Path:
    """The folder that providers' files and plugins are read from: *source*'s, with those that only *base* still has beside them."""
    own = _there(source, files_of(source.settings))
    gone = [path for path in _there(base, files_of(base.settings)) if not source.snapshot.has(path.rstrip("/"))]
    if source.snapshot.commit is None and not gone:
        return source.root
    materialise(source, own, ground.scratch)
    materialise(base, gone, ground.scratch)
    return ground.scratch


def files_of(settings: Settings) -> tuple[str, ...]:
    """The files that code and providers of *settings* may read: plugins, and every option that could be a path."""
    paths = [*settings.plugins]
    for spec in settings.models.values():
        paths.extend(_texts({"model": spec.model, **spec.options}))
    return tuple(dict.fromkeys(paths))


def _digest(registry: Registry, path: str) -> Digest:
    state = hashlib.sha256()
    with registry.snapshot.open(path) as file:
        while chunk := file.read(1 << 20):
            state.update(chunk)
    return Digest(f"sha256:{state.hexdigest()}")


def _there(registry: Registry, paths: Sequence[str]) -> list[str]:
    """Those of *paths* that the registry's commit holds; what is no path (a model's id, an address) is none of them."""
    inside = [path for path in paths if path.isprintable() and not path.startswith(("/", "-")) and ".." not in path.split("/")]
    return [path for path in inside if path.strip("/") and registry.snapshot.has(path.rstrip("/"))]


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)


def _same_model(spec: ModelSpec) -> bytes:
    return canonical({"provider": spec.provider, "model": spec.model, "options": dict(spec.options)})


def absent(error: UsageError) -> UsageError:
    """*error* for a base that holds no registry at all."""
    return UsageError(
        f"base holds no registry, so there is nothing to compare with: {error.message}",
        where=error.where,
        hint="promptreg run judges a first version by its floors; --base REV names another base",
    )
