"""An API's address with its keys: read from the environment by name, sent in headers, and never shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from promptreg import __version__
from promptreg.core.canonical import Json
from promptreg.core.run import Failure
from promptreg.errors import UsageError, Where
from promptreg.http.replies import Reply, failure, one_line
from promptreg.http.transport import Http

_SHORT_SECRET = 8  # characters; shorter keys are placeholders ("EMPTY"), which answers may contain by chance


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One API address with its keys. Everything that leaves it as text has been through `masked`.

    `origin` is scheme://host[:port]/path, the part of a model's identity; `literal` the headers written out in the registry, which
    can change answers too (beta switches) and hold no key.
    """

    url: str
    origin: str
    literal: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    secrets: tuple[str, ...] = field(repr=False)
    key_env: str | None = None
    unready: UsageError | None = field(default=None, repr=False)  # a key that is missing: nobody needs it until a call is made

    def post(self, http: Http, body: bytes, timeout_s: float) -> Reply | Failure:
        """One call. A key that the far side repeats in its answer is masked before anybody sees it.

        Raises UsageError when a key is missing: a run whose answers are all known, or a replay, needs none.
        """
        return self.request(http, "POST", self.url, body, timeout_s)

    def request(self, http: Http, method: str, url: str, body: bytes | None, timeout_s: float) -> Reply | Failure:
        """The same with any method, at any *url* below this address. Raises ValueError for one that is not: keys stay here."""
        if not (url == self.url or url.startswith(f"{self.origin}/")):
            raise ValueError(f"{url!a} is not below {self.origin}")
        if self.unready is not None:
            raise self.unready
        reply = http.request(method, url, self.headers, body, timeout_s)
        if isinstance(reply, Failure):
            return replace(reply, message=f"{self.origin}: {reply.message}")
        leaked = [secret for secret in self.secrets if len(secret) >= _SHORT_SECRET and secret.encode() in reply.body]
        for secret in leaked:
            reply = replace(reply, body=reply.body.replace(secret.encode(), b"***"))
        return reply

    def masked(self, text: str) -> str:
        """*text* on one bounded line without any key, or the piece of one that servers like to repeat (`sk-ab***yz`)."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
            if len(secret) >= _SHORT_SECRET:
                ends = (secret[:4], secret[-4:])
                text = re.sub(r"[\w*.\-/+=…]{6,}", lambda word, ends=ends: _hide(word, ends), text)  # type: ignore[misc]
        return one_line(text)

    def failure(self, reply: Reply) -> Failure:
        """What a reply other than 200 means, in one line that holds no key."""
        return failure(reply, self.origin, self.key_env, self.masked)


def _hide(word: re.Match[str], ends: tuple[str, str]) -> str:
    return "***" if word[0].startswith(ends[0]) or word[0].rstrip(".").endswith(ends[1]) else word[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """What the registry says of an endpoint: where it is, which variable holds its key, which headers it wants besides."""

    base_url: str
    path: str
    key_env: str | None  # None: nobody is asked for a key
    headers: Mapping[str, Json]
    where: Where
    marks: Mapping[str, Where] = field(default_factory=dict)  # where single keys stand, for error messages

    def place(self, key: str) -> Where:
        return self.marks.get(key, self.where)


def endpoint(address: Address, env: Mapping[str, str], key_header: tuple[str, str], own: Mapping[str, str]) -> Endpoint:
    """The address with its keys read from *env*. *key_header* is (name, prefix), *own* the API's fixed headers.

    Raises UsageError for a key that stands in the registry itself. One that is missing is complained about at the first call,
    naming the variable and never its value.
    """
    origin = _origin(address)
    key, literal, named, unready = None, *_headers(address), None
    try:
        key = _from_env(env, address.key_env, address.place("api_key_env")) if address.key_env is not None else None
        named = {name: _from_env(env, variable, address.place(f"headers.{name}")) for name, variable in named.items()}
    except UsageError as missing:
        unready = missing
    headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": f"promptreg/{__version__}"}
    headers.update(own)
    if key is not None:
        headers[key_header[0]] = key_header[1] + key
    extra = literal | named
    taken = {name.lower() for name in extra}
    headers = {name: value for name, value in headers.items() if name.lower() not in taken} | extra
    return Endpoint(
        url=origin + address.path,
        origin=origin,
        literal=literal,
        headers=headers,
        secrets=tuple(secret for secret in (key, *named.values()) if secret),
        key_env=address.key_env if key is not None else None,
        unready=unready,
    )


def _from_env(env: Mapping[str, str], name: str, where: Where) -> str:
    value = env.get(name, "").strip()  # a key pasted with its line end is still the key
    if not value:
        raise UsageError(
            f"the environment variable {name} is not set", where=where, hint=f"set it: export {name}=…  (keys never stand in files)"
        )
    if not value.isascii() or not value.isprintable():
        raise UsageError(f"the environment variable {name} holds characters no HTTP header can carry", where=where)
    return value


_KEY_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"})


def _headers(address: Address) -> tuple[dict[str, str], dict[str, str]]:
    """Extra headers: those written out, and for those whose value is `{env: NAME}` the variable."""
    literal: dict[str, str] = {}
    named: dict[str, str] = {}
    for name, value in address.headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise UsageError(f"'{name}' is not a header name", where=address.place(f"headers.{name}"))
        if isinstance(value, Mapping) and set(value) == {"env"} and isinstance(value["env"], str):
            named[name] = value["env"]
        elif not isinstance(value, str) or not value.isascii() or not value.isprintable():
            raise UsageError(f"the header '{name}' must be plain text or {{env: NAME}}", where=address.place(f"headers.{name}"))
        elif name.lower() in _KEY_HEADERS:
            raise UsageError(
                f"the header '{name}' carries a key, and keys never stand in files",
                where=address.place(f"headers.{name}"),
                hint=f"write {name}: {{env: NAME_OF_A_VARIABLE}}",
            )
        else:
            literal[name] = value
    return literal, named


def _origin(address: Address) -> str:
    """scheme://host[:port]/path in one spelling. Raises UsageError for what is no plain http(s) address."""
    try:
        parts = urlsplit(address.base_url.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as fault:
        raise UsageError(f"base_url is not a URL: {fault}", where=address.place("base_url")) from fault
    if (
        parts.scheme not in ("http", "https")
        or not host
        or not address.base_url.strip().isprintable()
        or " " in address.base_url.strip()
    ):
        raise UsageError("base_url must be like https://host/v1", where=address.place("base_url"))
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise UsageError(
            "base_url must hold neither a login nor a query",
            where=address.place("base_url"),
            hint="name the key's variable in api_key_env or in headers: {NAME: {env: VARIABLE}}",
        )
    place = f"[{host}]" if ":" in host else host
    if port is not None and port != {"http": 80, "https": 443}[parts.scheme]:
        place += f":{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
