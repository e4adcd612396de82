"""What is wrong here, or may become so: the machine, Git, the registry's files, its models and its store. Changes nothing.

Keys of providers are told of by the names of their variables, never by a value.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from promptreg.core.canonical import Json
from promptreg.core.catalogue import ModelSpec
from promptreg.core.diagnosis import Diagnosis, Level
from promptreg.core.names import is_name, plain
from promptreg.errors import PromptregError, StoreError, UsageError, WeightsError
from promptreg.registry import Registry

PYTHON = (3, 11)
EXTRAS: Mapping[str, tuple[str, ...]] = {"local": ("xllamacpp",), "text": ("rapidfuzz", "sacrebleu")}
LACKS = {"local": "no model can run in this process", "text": "the metrics levenshtein, bleu and chrf are missing"}
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}  # where a provider looks when base_url is not given
FOLDERS = ("prompts", "suites")
FAULTS = 20  # shown of one kind; more of them have one cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What is asked of the machine: `python` as (3, 11, 4), `clashes` are folders with the unrelated distribution."""

    python: tuple[int, ...]
    clashes: Sequence[str]
    env: Mapping[str, str]


def examine_machine(machine: Machine) -> Iterator[Diagnosis]:
    """Python, distributions, extras."""
    version = ".".join(map(str, machine.python))
    if machine.python[:2] < PYTHON:
        yield _say("error", "python", f"Python {version} is too old", "install Python 3.11 or newer")
    else:
        yield _say("ok", "python", f"Python {version}")
    for folder in machine.clashes:
        message = f"the unrelated distribution 'promptreg' is installed beside git-promptreg ({folder})"
        remedy = "pip uninstall promptreg && pip install --force-reinstall git-promptreg"
        yield _say("error", "clashing-distribution", message, remedy)
    for extra, modules in EXTRAS.items():
        if missing := [name for name in modules if find_spec(name) is None]:
            message = f"the extra '{extra}' is not installed ({', '.join(missing)}): {LACKS[extra]}"
            yield _say("note", "extra", message, f"pip install 'git-promptreg[{extra}]'")
        else:
            yield _say("ok", "extra", f"the extra '{extra}' is installed")


def examine_registry(registry: Registry, env: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Files below promptreg.yaml, and what its models need."""
    settings = registry.settings
    yield _say("ok", "registry", f"{settings.registry or 'a registry'} in {registry.root}")
    yield from _files(registry)
    for spec in settings.models.values():
        yield from _keys(spec, env)
        yield from _weights(spec, registry.root, env)


def examine_store(path: Path, tracked: Sequence[str], remedy: str) -> Iterator[Diagnosis]:
    """The store at *path*; *tracked* are those of its files that Git has, and *remedy* takes them out."""
    import time

    from promptreg.store import Store

    if tracked:
        message = f"Git tracks the store ({tracked[0]}): a commit could bring answers that no model gave"
        yield _say("error", "store-tracked", message, remedy)
    elif not path.exists():
        yield _say("ok", "store", f"no answers are kept yet ({path})")
    else:
        try:
            store = Store.open(path, time.time)
            try:
                figures = store.stats()
            finally:
                store.close()
        except StoreError as fault:
            yield _fault("store", fault, f"mv {shlex.quote(str(path))} {shlex.quote(str(path) + '.old')}")
            return
        size, answers = figures.get("bytes"), figures.get("answers")
        told = ", ".join(f"{value:,} {noun}" for noun, value in (("answers", answers), ("bytes", size)) if isinstance(value, int))
        yield _say("ok", "store", f"the store is sound: {told or path}")


def as_diagnosis(rule: str, fault: PromptregError) -> Iterator[Diagnosis]:
    """An error that kept something from being examined, and all that came with it."""
    for one in (fault, *fault.more):
        yield _fault(rule, one, "promptreg lint says more")


# files -----------------------------------------------------------------------------------------------------------------------


def _files(registry: Registry) -> Iterator[Diagnosis]:
    """Names that cannot be, and files that are not what they seem."""
    found: list[str] = []
    odd: list[Diagnosis] = []
    for folder in FOLDERS:
        try:
            found += registry.snapshot.paths(folder)
        except UsageError as fault:
            odd += as_diagnosis("file", fault)
    for path in found:
        odd += _named(path)
        try:
            registry.snapshot.open(path).close()
        except UsageError as fault:
            lfs = "LFS" in fault.message
            odd.append(
                _fault("lfs-pointer" if lfs else "file", fault, f"git lfs pull --include {shlex.quote(path)}" if lfs else "")
            )
    yield from odd[:FAULTS]
    if len(odd) > FAULTS:
        yield _say("error", "file", f"and {len(odd) - FAULTS:,} more files", "promptreg doctor, when these are mended")
    if not odd:
        yield _say("ok", "files", f"{len(found):,} files can be read, their names can be used")


def _named(path: str) -> Iterator[Diagnosis]:
    """A prompt's or suite's file whose name no reference could say."""
    folder, _, rest = path.partition("/")
    name, _, ending = rest.rpartition(".")
    if ending not in ("yaml", "yml") or (is_name(name) and ending == "yaml"):
        return
    better = name if is_name(name) else plain(name)
    target = f"{folder}/{better}.yaml" if is_name(better) else f"{folder}/NAME.yaml"
    message = (
        f"{path} cannot be named: names have letters (a to z), digits, - _ and /" if not is_name(name) else f"{path} ends in .yml"
    )
    yield _say("error", "name", message, f"mv -- {shlex.quote(path)} {target}")


# models ----------------------------------------------------------------------------------------------------------------------


def _keys(spec: ModelSpec, env: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Whether the variables that hold a model's keys are set: by name."""
    names = set(_variables(spec.options))
    if spec.provider in KEYS and not names and "base_url" not in spec.options:
        names.add(KEYS[spec.provider])
    for name in sorted(names):
        if env.get(name, "").strip():
            yield _say("ok", "key", f"{name} is set (model {spec.alias})")
        else:
            message = f"{name} is {'empty' if name in env else 'not set'}: the model {spec.alias} cannot be called"
            yield _say("warning", "key", message, f"export {name}=…, or promptreg run --replay")


def _variables(options: Json) -> Iterator[str]:
    """Environment variables that *options* name: `api_key_env: NAME`, and `{env: NAME}` anywhere in them."""
    if isinstance(options, Mapping):
        for key, value in options.items():
            if key == "api_key_env" or (key == "env" and len(options) == 1):
                yield from [value] if isinstance(value, str) else []
            else:
                yield from _variables(value)


def _weights(spec: ModelSpec, root: Path, env: Mapping[str, str]) -> Iterator[Diagnosis]:
    from promptreg import weights

    if spec.provider != "local":
        return
    serve: Any = spec.options.get("serve")
    adapters = serve.get("adapters", ()) if isinstance(serve, Mapping) else ()
    for name in (spec.model, *(each for each in adapters if isinstance(each, str))):
        try:
            found = weights.resolve(name, root=root, env=env)
        except WeightsError as fault:
            yield _fault("weights", fault, f"promptreg models pull {shlex.quote(name)}", level="warning")
        else:
            yield _say("ok", "weights", f"the weights of {spec.alias} are here: {found.path}")


def _fault(rule: str, fault: PromptregError, remedy: str, *, level: Level = "error") -> Diagnosis:
    message = str(fault)
    return _say(level, rule, message, (fault.hint or "").removeprefix("run: ") or remedy)


def _say(level: Level, rule: str, message: str, remedy: str = "") -> Diagnosis:
    return Diagnosis(level=level, rule=rule, message=message, remedy=remedy)
