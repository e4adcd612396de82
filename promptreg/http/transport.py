"""Sends one request through a pool of kept-alive connections, and names every way in which that can fail."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from promptreg.core.run import Failure
from promptreg.http.proxies import proxy_for, proxy_login
from promptreg.http.replies import Reply, one_line

if TYPE_CHECKING:
    from urllib3 import HTTPConnectionPool, PoolManager
    from urllib3.response import BaseHTTPResponse

RESPONSE_LIMIT = 32 * 1024 * 1024  # bytes; a chat answer with log-probabilities is some hundred kilobytes
CONNECT_S = 10.0  # seconds; a host that takes longer to shake hands is down
_PIECE = 65536


class Http:
    """A pool of at most *connections* kept-alive connections per host. Proxies come from *env*, never from the process.

    Safe to use from several threads at once.
    """

    def __init__(self, connections: int, env: Mapping[str, str] | None = None) -> None:
        self._connections = connections
        self._env = env or {}
        self._routes: dict[str, _Route] = {}

    def post_json(self, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Reply | Failure:
        """Sends *body* once, reads the answer, all within *timeout_s*. Never raises for what the network or the far side did."""
        return self.request("POST", url, headers, body, timeout_s)

    def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float) -> Reply | Failure:
        """The same with any method."""
        import urllib3

        route = self._routes.get(url) or self._route(url)
        started = time.perf_counter()
        try:
            response = route.send(method, headers, body, timeout_s)
        except urllib3.exceptions.HTTPError as fault:
            return _broken(fault, timeout_s)
        try:
            content = _read(response, started + timeout_s)
        except urllib3.exceptions.HTTPError as fault:
            return _cut_off(fault, timeout_s)
        if isinstance(content, Failure):
            response.close()
            return content
        return Reply(status=response.status, headers=response.headers, body=content, elapsed_s=time.perf_counter() - started)

    def close(self) -> None:
        """Closes every idle connection."""
        for route in list(self._routes.values()):
            route.manager.clear()
        self._routes.clear()

    def _route(self, url: str) -> _Route:
        """The pool for *url*. Two threads may build one at once; the first stays."""
        import urllib3

        parts = urlsplit(url)
        proxy = proxy_for(parts, self._env)
        options: dict[str, Any] = {"num_pools": 2, "maxsize": self._connections, "block": True, "retries": False}
        if proxy is None:
            manager = urllib3.PoolManager(**options)
            return self._routes.setdefault(url, _Route(manager, manager.connection_from_url(url), url))
        bare, login = proxy_login(proxy)
        with_login = urllib3.make_headers(proxy_basic_auth=login) if login else None
        return self._routes.setdefault(url, _Route(urllib3.ProxyManager(bare, proxy_headers=with_login, **options), None, url))


class _Route:
    """How one URL is reached: straight through its host's pool (which spares a look-up per call) or by a proxy."""

    __slots__ = ("_pool", "_target", "manager")

    def __init__(self, manager: PoolManager, pool: HTTPConnectionPool | None, url: str) -> None:
        self.manager = manager
        self._pool = pool
        parts = urlsplit(url)
        self._target = url if pool is None else (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def send(self, method: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float) -> BaseHTTPResponse:
        from urllib3 import Timeout

        door: Any = self._pool or self.manager
        response: BaseHTTPResponse = door.urlopen(
            method,
            self._target,
            body=body,
            headers=headers,
            retries=False,
            redirect=False,
            preload_content=False,
            timeout=Timeout(connect=min(CONNECT_S, timeout_s), total=timeout_s),
            pool_timeout=timeout_s,
        )
        return response


def _read(response: BaseHTTPResponse, deadline: float) -> bytes | Failure:
    """The body, however slowly it trickles in: within the deadline and the size limit. Raises urllib3's HTTPError."""
    pieces: list[bytes] = []
    size = 0
    while piece := response.read1(_PIECE):
        pieces.append(piece)
        size += len(piece)
        if size > RESPONSE_LIMIT:
            return Failure(kind="garbled", message=f"the answer is larger than {RESPONSE_LIMIT // 2**20} MiB")
        if time.perf_counter() > deadline:
            return Failure(kind="timeout", message="the answer was still trickling in when its time was over", retryable=True)
    return b"".join(pieces)


def _broken(fault: Exception, timeout_s: float) -> Failure:
    """A Failure for what happened before an answer began."""
    import http.client

    from urllib3 import exceptions as u

    if isinstance(fault, u.SSLError):
        return Failure(kind="connection", message=f"TLS: {_innermost(fault)}")
    if isinstance(fault, u.NameResolutionError):
        return Failure(kind="connection", message=f"the host name cannot be resolved: {_innermost(fault)}", retryable=True)
    if isinstance(fault, u.ProxyError | u.NewConnectionError):
        return Failure(kind="connection", message=f"cannot connect: {_innermost(fault)}", retryable=True)
    if isinstance(fault, u.EmptyPoolError):
        return Failure(kind="timeout", message=f"no connection became free within {timeout_s:g} s", retryable=True)
    if isinstance(fault, u.TimeoutError):
        return Failure(kind="timeout", message=f"no answer within {timeout_s:g} s", retryable=True)
    if isinstance(fault, u.LocationValueError):
        return Failure(kind="request", message="the URL is not one that can be called")
    cause = fault.args[-1] if fault.args else None
    if isinstance(cause, http.client.HTTPException) and not isinstance(cause, http.client.RemoteDisconnected):
        return Failure(kind="garbled", message=f"what came back is not HTTP ({type(cause).__name__})", retryable=True)
    return Failure(kind="connection", message=f"the connection was dropped ({_innermost(fault)})", retryable=True)


def _cut_off(fault: Exception, timeout_s: float) -> Failure:
    """A Failure for what happened while an answer's body was read."""
    from urllib3 import exceptions as u

    if isinstance(fault, u.TimeoutError):
        return Failure(kind="timeout", message=f"the answer did not end within {timeout_s:g} s", retryable=True)
    return Failure(kind="garbled", message="the answer's body was cut off or is not what its header says", retryable=True)


def _innermost(fault: BaseException) -> str:
    """The operating system's own words, without addresses of Python objects."""
    seen = 0
    while seen < 8:
        inner = next((arg for arg in reversed(fault.args) if isinstance(arg, BaseException)), None) or fault.__cause__
        if inner is None:
            break
        fault, seen = inner, seen + 1
    text = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
    return one_line(re.sub(r"<[^<>]*>:? ?", "", text) or type(fault).__name__)
