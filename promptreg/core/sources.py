"""Where prompts may be pulled from: addresses that Git can be given, and the names that users give them.

    address = "https://" HOST PATH | "ssh://" [USER "@"] HOST PATH | [USER "@"] HOST ":" PATH | "file:///" PATH | PATH

Refuses what Git would read as an option or run as a program (`ext::…`), what is not encrypted, and whatever holds a secret: an
address is written to the lock and shown. Knows neither Git nor the network.
"""

from __future__ import annotations

import re

from promptreg.core.names import shown
from promptreg.errors import UsageError

SOURCE = r"[a-zA-Z0-9](?:[a-zA-Z0-9-_]*[a-zA-Z0-9])?"
_LONGEST_NAME = 60
_LONGEST = 2000  # characters of an address
_NAMED = re.compile(SOURCE)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_HTTPS = re.compile(rf"https://{_HOST}/\S+")
_USER = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_SSH = re.compile(rf"ssh://(?:{_USER}@)?{_HOST}/\S+")
_SCP = re.compile(rf"(?:{_USER}@)?[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?:(?!//)[^\s@]+")
_SECRET = re.compile(r"(?<=//).*@")  # also a password that holds an @ or a /
_EXAMPLES = "sources are https://host/path, ssh://git@host/path, git@host:path, file:///path, or the path of a repository"
_BY_HELPER = "let a credential helper (git help credentials) or an SSH key give the secret"


def check_source_name(name: str) -> None:
    """UsageError unless *name* may stand before the colon of a reference, and name a folder."""
    if len(name) > _LONGEST_NAME or not _NAMED.fullmatch(name):
        hint = "a source's name has letters (a to z), digits, - and _, and begins and ends with a letter or digit"
        raise UsageError(f"{shown(name)} cannot be the name of a source", hint=hint)


def check_url(url: str) -> str:
    """*url*, if it is an address that prompts may be pulled from. UsageError, which never shows a secret, for what is none."""
    if not url or len(url) > _LONGEST or not url.isprintable() or url.startswith("-") or url != url.strip():
        raise UsageError(f"{shown(without_secrets(url))} is not the address of a source", hint=_EXAMPLES)
    if _HELPER.match(url):
        helper = url.partition("::")[0]
        raise UsageError(f"{shown(helper + '::…')} would run a program: that is no source", hint=_EXAMPLES)
    scheme = _SCHEME.match(url)
    if scheme is None:
        return _checked_plain(url)
    _refuse_secrets(url, scheme[1].lower())
    if _HTTPS.fullmatch(url) or _SSH.fullmatch(url) or (url.startswith("file:///") and len(url) > len("file:///")):
        return url
    if scheme[1].lower() in ("http", "git"):
        raise UsageError(
            f"{scheme[1]}:// is not encrypted: anybody on the way could change what is pulled", hint="use https:// or ssh://"
        )
    raise UsageError(f"{shown(without_secrets(url))} is not the address of a source", hint=_EXAMPLES)


def without_secrets(text: str) -> str:
    """*text* with what stands before the @ of addresses left out."""
    return _SECRET.sub("", text)


def is_local(url: str) -> bool:
    """Whether *url* is a folder of this machine: a path, or file://."""
    return url.startswith("file://") or (_SCHEME.match(url) is None and _SCP.fullmatch(url) is None)


def name_for(url: str) -> str:
    """A source's name made of the last part of *url*. UsageError when none can be made."""
    last = re.split(r"[/:\\]", url.rstrip("/").removesuffix(".git").rstrip("/"))[-1]
    name = re.sub(r"[^a-zA-Z0-9_-]+", "-", last).strip("-_")[:_LONGEST_NAME].strip("-_")
    if not name:
        raise UsageError(f"no name can be made of {shown(url)}", hint="name the source: --as NAME")
    return name


def _refuse_secrets(url: str, scheme: str) -> None:
    where = re.match(r"[^:]*://([^/]*)", url)
    authority = where[1] if where else ""
    user, at, _ = authority.rpartition("@")
    if at and (scheme != "ssh" or ":" in user):
        raise UsageError(
            f"{shown(without_secrets(url))} was given with a name or a password, which no lock may hold", hint=_BY_HELPER
        )
    if scheme in ("https", "http") and re.search(r"[?#]", url):
        raise UsageError("the address of a source has no ? and no #: they may hold a secret", hint=_BY_HELPER)


def _checked_plain(url: str) -> str:
    """The scp form, or a path."""
    before, colon, _ = url.partition(":")
    if colon and "/" not in before:
        if _SCP.fullmatch(url):
            return url
        if "@" in before and _SCP.fullmatch("x@" + url.rpartition("@")[2]):
            raise UsageError("the address was given with a name or a password that ssh cannot take", hint=_BY_HELPER)
        raise UsageError(f"{shown(before + ':…')} is not the address of a source", hint=_EXAMPLES)
    return url
