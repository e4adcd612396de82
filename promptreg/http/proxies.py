"""Which proxy a URL goes through, as the usual environment variables say; the environment is an argument."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from promptreg.errors import UsageError


def proxy_for(url: SplitResult, env: Mapping[str, str]) -> str | None:
    """The proxy that *env* names for *url*, or None. Loopback is never sent to a proxy (as Go's net/http does)."""
    host = (url.hostname or "").lower()
    names = (f"{url.scheme}_proxy", f"{url.scheme}_proxy".upper(), "all_proxy", "ALL_PROXY")
    proxy = next((env[name] for name in names if env.get(name)), None)
    if proxy is None or host == "localhost" or _loopback(host) or _spared(host, url.port, env):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if urlsplit(proxy).scheme not in ("http", "https"):
        raise UsageError(f"the proxy scheme '{urlsplit(proxy).scheme}' is not supported", hint="use an http:// or https:// proxy")
    return proxy


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _spared(host: str, port: int | None, env: Mapping[str, str]) -> bool:
    """Whether NO_PROXY names the host: `*`, a domain with its subdomains, an address, a network, each with or without a port."""
    for entry in (env.get("no_proxy") or env.get("NO_PROXY") or "").lower().split(","):
        name, _, only_port = entry.strip().partition(":") if entry.count(":") == 1 else (entry.strip(), "", "")
        if only_port and only_port != str(port):
            continue
        if name == "*" or (name and (host == name.lstrip("*.") or host.endswith("." + name.lstrip("*.")) or _within(host, name))):
            return True
    return False


def _within(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def proxy_login(proxy: str) -> tuple[str, str]:
    """The proxy without its login, and the login."""
    from urllib.parse import unquote

    parts = urlsplit(proxy)
    login, _, place = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{place}", unquote(login)
