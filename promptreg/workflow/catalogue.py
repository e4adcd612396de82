"""How long this registry's models will be there: what promptreg ships, what was refreshed beside promptreg.yaml, and refreshing it.

Nothing is asked but by `refresh`, and nothing is written but models.lock.json: promptreg.yaml is its author's.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from promptreg import __version__
from promptreg.core.catalogue import ModelSpec
from promptreg.core.lifecycle import Fact, Life, channel, life, newest, plain_name, speaks_of, today
from promptreg.core.lint import Finding, retirement
from promptreg.core.names import shown
from promptreg.core.run import Failure
from promptreg.documents.feeds import MAX_FEED_BYTES, Feed, read_feed
from promptreg.documents.lifecycle import MAX_LOCK_BYTES, MODELS_LOCK, read_models_lock, write_models_lock
from promptreg.errors import UsageError, Where
from promptreg.http import Address, Http, complaint, endpoint
from promptreg.registry import Registry

OPENAI = "https://api.openai.com/v1"
PATIENCE_S = 60.0  # for one feed: litellm's table has 3 MB
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshing:
    """What is asked of `refresh`: `sources` are files or addresses; none means the providers' own APIs. *now* in seconds."""

    sources: Sequence[str]
    env: Mapping[str, str]
    now: float
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """What a refresh came to: how many facts were read, those that were kept, each model's life before and after.

    `faults` tell which of several providers could not be asked.
    """

    read: int
    kept: tuple[Fact, ...]
    before: Mapping[str, Life]
    after: Mapping[str, Life]
    written: bool
    faults: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[str, ...]:
        """The aliases whose end, replacement or price is another now."""
        return tuple(alias for alias in self.after if _told(self.before[alias]) != _told(self.after[alias]))


def _told(found: Life) -> tuple[object, ...]:
    return found.date, found.precision, found.replacement, found.price, found.disagree


# what is known ----------------------------------------------------------------------------------------------------------------


def shipped() -> tuple[Fact, ...]:
    """The snapshot that came with promptreg."""
    content = files("promptreg").joinpath("data", "models.json").read_bytes()
    return tuple(replace(fact, shipped=True) for fact in read_models_lock(content, "promptreg/data/models.json"))


def refreshed(registry: Registry) -> tuple[Fact, ...]:
    """The registry's own models.lock.json; nothing where it has none. DocumentError for one that cannot be trusted."""
    if not registry.snapshot.has(MODELS_LOCK):
        return ()
    return read_models_lock(registry.snapshot.read(MODELS_LOCK, MAX_LOCK_BYTES), registry.snapshot.place(MODELS_LOCK))


def lives(registry: Registry) -> dict[str, Life]:
    """What is known of each model of the catalogue, by alias."""
    return _lives(registry, (*refreshed(registry), *shipped()))


def _lives(registry: Registry, facts: Sequence[Fact]) -> dict[str, Life]:
    return {alias: life(spec, facts) for alias, spec in registry.settings.models.items()}


def retiring(registry: Registry, models: Iterable[ModelSpec], now: float) -> Iterator[Finding]:
    """Lint's findings about the ends of *models*."""
    facts = (*refreshed(registry), *shipped())
    for spec in models:
        yield from retirement(spec, life(spec, facts), now)


# refreshing -------------------------------------------------------------------------------------------------------------------


def refresh(registry: Registry, asked: Refreshing) -> Refreshed:
    """Reads every source, keeps what is of this registry's models and of their replacements, writes models.lock.json.

    UsageError for a source that cannot be had or read: then nothing is written.
    """
    old, day = refreshed(registry), today(asked.now)
    read: list[Fact] = []
    faults: list[UsageError] = []
    for source in asked.sources:
        content = _fetch(source, asked.env) if _URL.match(source) else _open(source)
        read += read_feed(content, Feed(path=source, fetched_at=day))
    if not asked.sources:
        read, faults = _ask_all(registry.settings.models.values(), asked.env, day)
    mine = tuple(replace(fact, fetched_at=min(fact.fetched_at, day)) for fact in read)  # nobody speaks for to-morrow
    ships = shipped()
    kept = tuple(_of_interest(newest((*old, *mine)), ships, registry.settings.models.values()))
    before, after = _lives(registry, (*old, *ships)), _lives(registry, (*kept, *ships))
    content = write_models_lock(kept)
    changes = content != write_models_lock(old) or not registry.snapshot.has(MODELS_LOCK)
    wanted, told = changes and not asked.dry_run, tuple(map(str, faults))
    if wanted:
        _replace(registry.root / MODELS_LOCK, content)
    return Refreshed(read=len(mine), kept=kept, before=before, after=after, written=wanted, faults=told)


def _of_interest(facts: Sequence[Fact], ships: Sequence[Fact], models: Iterable[ModelSpec]) -> Iterator[Fact]:
    """Those of *facts* that are of one of *models*, or of a model that somebody (*ships* too) names as the replacement of one."""
    specs = tuple(models)
    heirs = {
        (fact.channel, plain_name(fact.channel, fact.replacement))
        for fact in (*facts, *ships)
        if fact.replacement is not None and any(speaks_of(fact, spec) for spec in specs)
    }
    for fact in facts:
        if (fact.channel, plain_name(fact.channel, fact.model)) in heirs or any(speaks_of(fact, spec) for spec in specs):
            yield fact


def _open(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FEED_BYTES + 1)
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else str(fault)
        raise UsageError(f"cannot read {shown(path)}: {reason}", hint="give a file, or an https:// address") from fault
    return content


def _fetch(url: str, env: Mapping[str, str]) -> bytes:
    """The bytes at *url*, without any key. https only, or http to this machine; redirects are told, not followed."""
    checked_url(url)
    http = Http(1, env)
    try:
        headers = {"Accept": "application/json, */*;q=0.1", "User-Agent": f"promptreg/{__version__}"}
        reply = http.request("GET", url, headers, None, PATIENCE_S)
    finally:
        http.close()
    if isinstance(reply, Failure):
        raise UsageError(f"{shown(url)} cannot be had: {reply.message}", hint="download it, and give the file: --from FILE")
    if 300 <= reply.status < 400:
        aim = reply.headers.get("location", "nowhere")
        raise UsageError(f"{shown(url)} leads to {shown(aim)}", hint="if you trust that address, give it instead")
    if reply.status != 200:
        said = complaint(reply.body)[0].strip()
        raise UsageError(f"{shown(url)} answered {reply.status}{': ' + shown(said) if said else ''}", hint="is the address right?")
    return reply.body


def checked_url(url: str) -> None:
    """UsageError unless *url* is https, or http to this machine, and holds no login."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError as fault:
        raise UsageError(f"{shown(url)} is not an address: {fault}") from fault
    if not host or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError(f"{shown(url)} is not an address", hint="give one like https://host/feeds/openai.json")
    if "@" in parts.netloc:
        raise UsageError("the address holds a login", hint="download the file, and give it: --from FILE")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(host)):
        hint = "a date that somebody on the way can turn is worth nothing: use https://, or http:// to this machine"
        raise UsageError(f"{shown(url)} is not https", hint=hint)


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ask_all(models: Iterable[ModelSpec], env: Mapping[str, str], day: str) -> tuple[list[Fact], list[UsageError]]:
    """What the hosts of *models* say, and the complaints about those that say nothing. UsageError when none could be asked."""
    endpoints = _endpoints(models)
    if not endpoints:
        hint = "give what others publish: --from FILE or --from https://… (docs/models.md names some)"
        raise UsageError("no model of this registry is served by an API that tells ends of life", hint=hint)
    read: list[Fact] = []
    faults: list[UsageError] = []
    for where, address in endpoints:
        feed = Feed(path=f"{address.base_url}{address.path}", fetched_at=day, channel=where)
        try:
            read += read_feed(_ask(address, env), feed)
        except UsageError as fault:
            faults.append(fault)
    if len(faults) == len(endpoints):
        raise faults[0]
    return read, faults


def _endpoints(models: Iterable[ModelSpec]) -> list[tuple[str, Address]]:
    """(channel, address) of the hosts that speak OpenAI's API, each address and key once."""
    found: dict[tuple[str, str | None], tuple[str, Address]] = {}
    for spec in models:
        where = channel(spec)
        if spec.provider != "openai" or not where:
            continue
        url = str(spec.options.get("base_url") or OPENAI).rstrip("/")
        named = spec.options.get("api_key_env") or ("OPENAI_API_KEY" if url == OPENAI else None)
        headers = spec.options.get("headers")
        address = Address(
            base_url=url,
            path="/models",
            key_env=None if named is None else str(named),
            headers=headers if isinstance(headers, Mapping) else {},
            where=spec.where,
            marks=spec.marks,
        )
        found.setdefault((url, address.key_env), (where, address))
    return list(found.values())


def _ask(address: Address, env: Mapping[str, str]) -> bytes:
    """The host's own list of models. UsageError when it cannot be had."""
    door = endpoint(address, env, ("Authorization", "Bearer "), {})
    http = Http(1, env)
    try:
        reply = door.request(http, "GET", door.url, None, PATIENCE_S)
    finally:
        http.close()
    if isinstance(reply, Failure) or reply.status != 200:
        failure = reply if isinstance(reply, Failure) else door.failure(reply)
        raise UsageError(f"the list of models cannot be had: {failure.message}", where=address.where, hint="or give --from FILE")
    return reply.body


def _replace(path: Path, content: bytes) -> None:
    """A reader of *path* sees the old file or the new one, whole."""
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(part, 0o644)  # mkstemp's are for the owner alone
        os.replace(part, path)
    except OSError as fault:
        os.unlink(part)
        raise UsageError(f"cannot be written: {fault.strerror}", where=Where(path.name)) from fault
    except BaseException:
        os.unlink(part)
        raise
