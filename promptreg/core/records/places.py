"""Where on the runs branch what lies: paths, made of names and digests, and names read back from paths. Part of `records`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from promptreg.core.canonical import Digest

RUNS, VERDICTS, ACCEPTED, MANIFESTS = "runs", "verdicts", "accepted", "pruned"
ROOTS = (RUNS, VERDICTS, ACCEPTED, MANIFESTS)


def quoted(name: str) -> str:
    """*name* as one part of a path: letters, digits, `_`, `-` and inner dots as they are, all else percent-quoted."""
    bare = quote(name, safe="").replace("~", "%7E")
    return "%2E" + bare[1:] if bare.startswith(".") else bare or "%"


def unquoted(part: str) -> str:
    """The inverse of `quoted`."""
    return "" if part == "%" else unquote(part)


def verdict_folder(prompt: str, behaviour: Digest) -> str:
    """Where the verdicts on a prompt lie."""
    return f"{VERDICTS}/{quoted(prompt)}/{short(behaviour, 12)}"


def accepted_folder(prompt: str, behaviour: Digest) -> str:
    """Where the acceptances of a prompt lie."""
    return f"{ACCEPTED}/{quoted(prompt)}/{short(behaviour, 12)}"


@dataclass(frozen=True, slots=True)
class Place:
    """What the path of a record tells without reading it. `moment` is `created`, without separators."""

    path: str
    suite: str
    prompt: str
    behaviour12: str
    model: str  # `<alias>-<identity8>`, unquoted
    moment: str

    @property
    def folder(self) -> str:
        return self.path.rpartition("/")[0]


_PLACE = re.compile(r"runs/([^/]+)/([^/]+)/([0-9a-f]{12})/([^/]+-[0-9a-f]{8})/(\d{8}T\d{6}Z)-[0-9a-f]{16}\.jsonl")


def place(path: str) -> Place | None:
    """What *path* tells, if it is a record's."""
    found = _PLACE.fullmatch(path)
    if found is None:
        return None
    suite, prompt, behaviour, model, moment = found.groups()
    return Place(path, unquoted(suite), unquoted(prompt), behaviour, unquoted(model), moment)


def short(whole: Digest, digits: int) -> str:
    """The first hex *digits* of a digest."""
    return whole.removeprefix("sha256:")[:digits]
