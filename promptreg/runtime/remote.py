"""A bundle behind a URL: fetched once in the foreground, then asked for again in threads that nobody waits for.

Only a bundle that is whole, the pinned one if one is pinned, and signed if signers are named, ever replaces another. https, or
http to this machine; no redirect leaves that. Nothing here needs cleaning up after a fork: a child that finds another process's
thread starts its own.
"""

from __future__ import annotations

import ipaddress
import itertools
import logging
import os
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from promptreg import __version__
from promptreg.core.bundle import MAX_BYTES, Bundle, unpacked
from promptreg.errors import BundleError, BundleUntrusted, PromptregError, UsageError, Where
from promptreg.runtime.signed import UNSIGNED_HINT, check, joined, parted
from promptreg.signatures import MAX_BYTES as SIGNATURE_BYTES
from promptreg.signatures import SUFFIX, read_signers

RETRY_S = 5.0  # after a first failure; doubled with each further one, up to the age at which a bundle is asked for anyway
_CHUNK = 1 << 16
_LOG = logging.getLogger("promptreg.runtime")


class Remote:
    """Where bundles come from. `adopt` is told of every good one after the first."""

    def __init__(
        self,
        url: str,
        *,
        expected: str | None,
        signers: Path | None = None,
        max_age_s: float | None,
        timeout_s: float,
        cache: Path | None,
        headers: Mapping[str, str],
        on_error: Callable[[PromptregError], object] | None,
    ) -> None:
        self.adopt: Callable[[Bundle], object] = lambda _bundle: None
        self.newest: Bundle | None = None
        self._shown = shown_url(url)
        self._url = checked_url(url, self._shown)
        self._expected, self._signers = expected, signers
        self._max_age_s, self._timeout_s, self._cache = max_age_s, timeout_s, cache
        self._headers, self._on_error = dict(headers), on_error
        self._opener = urllib.request.build_opener(_proxies(url), _Redirects(self._shown))
        self._etag = ""
        self._due = float("inf")
        self._failures = 0
        self._tickets = itertools.count(1)
        self._adopted = 0  # the ticket of the bundle that answers: a slow older answer never replaces a newer one
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()  # held for a moment only, never while the network is asked
        self._flight: threading.Thread | None = None
        self._deadline = 0.0
        self._late = False

    # the three ways to a bundle

    def first(self) -> Bundle:
        """Waits for a bundle; if there is none in time, the cached one. A pinned one that is cached is not asked for."""
        if self._expected and (kept := self._kept()):
            return kept
        found: list[Bundle | PromptregError | None] = []
        flight = threading.Thread(target=lambda: found.append(self._attempt()), daemon=True, name="promptreg-bundle")
        flight.start()
        flight.join(self._timeout_s)
        outcome = found[0] if found else self._silent()
        if isinstance(outcome, Bundle):
            self._wait(0)
            return outcome
        assert outcome is not None, "only an ETag is answered by nothing new, and there was none"
        kept = self._kept()
        if kept is None:
            raise outcome
        self._wait(1)
        self._report(outcome)
        return kept

    def nudge(self) -> None:
        """Asks in the background if the bundle is old and nobody asks already. Returns at once, and raises nothing."""
        if time.monotonic() < self._due:
            return
        if self._pid != os.getpid():  # a fork copies neither threads nor who would release a lock
            self._forget()
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._flight is None or not self._flight.is_alive():
                self._take_off()
            elif time.monotonic() > self._deadline:  # its server trickles; an answer that still comes is taken
                self._flight, self._late = None, True
                self._wait(self._failures + 1)
        finally:
            self._lock.release()

    def refresh(self) -> None:
        """Asks now. Raises BundleError."""
        outcome = self._attempt()
        if isinstance(outcome, PromptregError):
            raise outcome
        self._wait(0)

    def _take_off(self) -> None:
        self._deadline = time.monotonic() + 2 * self._timeout_s
        self._flight = threading.Thread(target=self._fly, daemon=True, name="promptreg-bundle")
        try:
            self._flight.start()
        except RuntimeError:  # no more threads, or the interpreter is shutting down
            self._flight = None
            self._wait(self._failures + 1)

    def _fly(self) -> None:
        if self._late:
            self._late = False
            self._report(self._silent())
        outcome = self._attempt()
        failed = isinstance(outcome, PromptregError)
        self._wait(self._failures + 1 if failed else 0)
        if isinstance(outcome, PromptregError):
            self._report(outcome)

    def _attempt(self) -> Bundle | PromptregError | None:
        """A new bundle, adopted and cached; None if the old one is still the newest; or what went wrong."""
        ticket = next(self._tickets)
        try:
            answer = self._fetch()
            if answer is None:
                return None
            content, signature, etag = answer
            bundle = self._opened(content, signature, self._shown)
        except PromptregError as fault:
            return fault
        except urllib.error.HTTPError as fault:
            with fault:
                return self._fault(f"cannot be fetched: the server says {fault.code} {fault.reason}")
        except (OSError, HTTPException, ValueError) as fault:
            reason = getattr(fault, "reason", None) or fault
            return self._fault(f"cannot be fetched: {str(reason) or type(reason).__name__}")
        if ticket > self._adopted:
            self._adopted, self._etag, self.newest = ticket, etag, bundle
            self.adopt(bundle)
            self._keep(content, signature)
        return bundle

    def _opened(self, content: bytes, signature: bytes, place: str) -> Bundle:
        """The bundle; its signature is checked before anybody looks into it, against what the file of signers says now."""
        if self._signers is not None:
            check(content, signature, read_signers(self._signers), place)
        return unpacked(content, place, self._expected)

    # time and tidings

    def _wait(self, failures: int) -> None:
        """Says when the bundle is to be asked for next."""
        self._failures = failures
        if self._max_age_s is None:
            return
        pause = min(self._max_age_s, RETRY_S * 2 ** min(failures - 1, 20)) if failures else self._max_age_s
        self._due = time.monotonic() + pause

    def _report(self, fault: PromptregError) -> None:
        if self._on_error is not None:
            self._on_error(fault)
        else:
            _LOG.warning("%s; the last good bundle stays", fault)

    def _silent(self) -> BundleError:
        return self._fault(f"cannot be fetched: no whole answer within {self._timeout_s:g} s")

    def _fault(self, message: str) -> BundleError:
        return BundleError(
            message, where=Where(self._shown), hint="the server, the network, or the proxy; a `cache` helps at starts"
        )

    # network and disk

    def _fetch(self) -> tuple[bytes, bytes, str] | None:
        """The bytes, their signature (empty where nobody asks for one) and their ETag; None if they are those we have."""
        deadline = time.monotonic() + self._timeout_s
        etag = self._etag
        try:
            with self._ask(self._url, {"If-None-Match": etag} if etag else {}) as reply:
                content, found = self._body(reply, deadline), reply.headers.get("ETag") or ""
        except urllib.error.HTTPError as fault:
            if fault.code == 304 and etag:
                fault.close()
                return None
            raise
        return content, self._signature(deadline) if self._signers is not None else b"", found

    def _signature(self, deadline: float) -> bytes:
        try:
            with self._ask(signature_url(self._url), {}) as reply:
                return self._body(reply, deadline, SIGNATURE_BYTES)
        except urllib.error.HTTPError as fault:
            with fault:
                message = f"the bundle's signature cannot be fetched: the server says {fault.code} {fault.reason}"
            raise BundleUntrusted(message, where=Where(signature_url(self._shown)), hint=UNSIGNED_HINT) from fault

    def _ask(self, url: str, headers: Mapping[str, str]) -> Any:
        said = {"User-Agent": f"promptreg/{__version__}", "Accept": "application/json, */*;q=0.1"}
        request = urllib.request.Request(url, headers=said)  # noqa: S310  checked_url looked at the scheme
        for name, value in {**self._headers, **headers}.items():
            request.add_unredirected_header(name, value)
        return self._opener.open(request, timeout=self._timeout_s)

    def _body(self, reply: Any, deadline: float, most: int = MAX_BYTES) -> bytes:
        said = reply.headers.get("Content-Length") or ""
        expected = int(said) if said.isascii() and said.isdigit() else None
        pieces: list[bytes] = []
        size = 0
        while piece := reply.read1(_CHUNK):
            pieces.append(piece)
            size += len(piece)
            if max(size, expected or 0) > most:
                raise self._fault(f"cannot be fetched: it is larger than {most:,} bytes")
            if time.monotonic() > deadline:
                raise self._silent()
        if expected is not None and size != expected:
            raise self._fault(f"cannot be fetched: the answer was cut after {size:,} of {expected:,} bytes")
        return b"".join(pieces)

    def _kept(self) -> Bundle | None:
        """The good bundle that the cache holds, if any."""
        if self._cache is None:
            return None
        try:
            with self._cache.open("rb") as file:
                content, signature = parted(file.read(MAX_BYTES + SIGNATURE_BYTES + 2))
            return self._opened(content, signature, str(self._cache))
        except FileNotFoundError:
            return None
        except OSError as fault:
            self._report(BundleError(f"cannot be read: {fault.strerror}", where=Where(str(self._cache))))
        except UsageError as fault:  # a bad bundle, a bad signature, or no file of signers
            self._report(fault)
        return None

    def _keep(self, content: bytes, signature: bytes) -> None:
        """One file, so that it has a signature that fits. A process that is killed while it writes leaves the old cache."""
        if self._cache is None:
            return
        try:
            handle, part = tempfile.mkstemp(dir=self._cache.parent, prefix=f".{self._cache.name}.")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(joined(content, signature))
                os.replace(part, self._cache)
            except OSError:
                with suppress(OSError):
                    os.unlink(part)
                raise
        except OSError as fault:
            self._report(BundleError(f"cannot be kept: {fault.strerror}", where=Where(str(self._cache))))


def shown_url(url: str) -> str:
    """*url* as messages may name it: without a login, and without a query, which may hold a signature."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def signature_url(url: str) -> str:
    """Where the signature of the bundle at *url* is: the same path with `.sig` after it; a query stays as it is."""
    parts = urlsplit(url)
    return parts._replace(path=parts.path + SUFFIX, fragment="").geturl()


def checked_url(url: str, shown: str) -> str:
    """*url*, if it is https, or http to this machine, and holds no login. UsageError."""
    parts = urlsplit(url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        hint = "use https://, or http:// to this machine"
        raise UsageError("a bundle is not fetched from here", where=Where(shown), hint=hint)
    if not parts.hostname or "@" in parts.netloc or not url.isprintable():
        raise UsageError("the URL names no host, or holds a login", where=Where(shown), hint="give a login in `headers`")
    return url


def is_loopback(host: str | None) -> bool:
    """Whether *host* is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def _proxies(url: str) -> urllib.request.ProxyHandler:
    return urllib.request.ProxyHandler({} if is_loopback(urlsplit(url).hostname) else None)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows to https only; from http on this machine also to the same."""

    def __init__(self, shown: str) -> None:
        self._from_here = shown.startswith("http:")
        self._shown = shown

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        parts = urlsplit(newurl)
        if parts.scheme != "https" and not (self._from_here and parts.scheme == "http" and is_loopback(parts.hostname)):
            fp.close()
            raise BundleError(f"leads to {shown_url(newurl)[:200]!r}, which is not https", where=Where(self._shown))
        return super().redirect_request(req, fp, code, msg, headers, newurl)
