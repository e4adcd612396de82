"""What may name a prompt, a suite or an artefact, and what may be given to Git as a revision; near misses get a suggestion."""

from __future__ import annotations

import re
from collections.abc import Iterable

from promptreg.errors import UsageError, Where

NAME = r"[a-zA-Z0-9](?:[a-zA-Z0-9-/_]*[a-zA-Z0-9])?"
LONGEST = 200  # characters of a name: with version and counter it must fit into one file name of a loose ref
_NAMED = re.compile(NAME)


def check_name(name: str, where: Where | None = None) -> None:
    """UsageError unless *name* may name a prompt or suite."""
    if not is_name(name):
        hint = "a name has letters (a to z), digits, - _ and /, and begins and ends with a letter or digit"
        better = plain(name)
        meant = f"; did you mean '{better}'?" if better != name and is_name(better) else ""
        raise UsageError(f"{shown(name)} cannot be a name{meant}", where=where, hint=hint)


def is_name(text: str) -> bool:
    """Whether *text* may name a prompt, a suite, or an artefact in a tag."""
    return len(text) <= LONGEST and "//" not in text and _NAMED.fullmatch(text) is not None


def check_revision(text: str) -> str:
    """*text*, if it can be given to Git as a revision; UsageError for what Git would read as an option, or as two lines."""
    if not text or text.startswith("-") or not text.isprintable() or text != text.strip():
        hint = "a revision is a branch, tag or commit: git:main, git:HEAD~3, git:1a2b3c4"
        raise UsageError(f"{shown(text)} cannot be a Git revision", hint=hint)
    return text


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest of *known*, or the first that *text* begins; or nothing."""
    from difflib import get_close_matches

    among = list(known)
    close = get_close_matches(text, among, n=1) or [one for one in among if text and one.startswith(text)]
    return f"; did you mean '{close[0]}'?" if close else ""


def shown(text: str) -> str:
    """*text* quoted for a message, shortened, without characters that a terminal obeys."""
    return repr(text if len(text) <= 80 else text[:80] + "…")


def plain(text: str) -> str:
    """A name close to *text*, if there is one: without accents, other characters as hyphens."""
    import unicodedata

    bare = unicodedata.normalize("NFKD", text[:LONGEST])
    kept = "".join(character for character in bare if not unicodedata.combining(character))
    return re.sub(r"/{2,}", "/", re.sub(r"[^a-zA-Z0-9/_]+", "-", kept)).strip("-/_")


def unversioned(reference: str) -> str:
    """`support/triage` of `support/triage@1.4.0`."""
    return reference.partition("@")[0]
