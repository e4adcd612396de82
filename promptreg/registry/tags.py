"""All tags of a repository, with one git process. Reads them as objects; what they mean, `core.releases` says.

Fields end with NUL, which no tag can hold, so that bodies may hold anything else; object and type come from the tag's own header,
so that a tag of a tag is seen as one by every git.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from promptreg.core.releases import TagObject
from promptreg.registry.plumbing import Git

_PREFIX = "refs/tags/"
_FIELDS = (
    "%(refname)",
    "%(objecttype)",
    "%(objectname)",
    "%(type)",
    "%(object)",
    "%(taggername)",
    "%(taggeremail)",
    "%(taggerdate:raw)",
    "%(contents)",
    "%(contents:signature)",
)
_AT_ONCE = 1000  # refs of one command line
FORMAT = "%00".join(_FIELDS) + "%00"


def read_tags(git: Git, names: Sequence[str] = ()) -> list[TagObject]:
    """Every tag, or those of the artefacts *names* (which have no wildcards) only. UsageError without git."""
    patterns = [f"{_PREFIX}{name}{rest}" for name in names for rest in ("@*", "#*", "#*/**")] or [_PREFIX]
    answer = git.run("for-each-ref", f"--format={FORMAT}", *patterns, refuse=False)
    if answer.code == 0:
        return list(_tags(answer.output))
    git.require()
    refs = git.ask("for-each-ref", "--format=%(refname)", *patterns).text.splitlines()
    return list(_salvaged(git, refs, answer.complaint))


def _salvaged(git: Git, refs: Sequence[str], complaint: str) -> Iterator[TagObject]:
    """What can be read of *refs*, one of which stopped git; that one says so. Halves until it stands alone."""
    if len(refs) == 1:
        yield TagObject(refs[0].removeprefix(_PREFIX), "", "", fault=complaint.splitlines()[-1].removeprefix("fatal: "))
        return
    for part in (refs[: len(refs) // 2], refs[len(refs) // 2 :]):
        answer = git.run("for-each-ref", f"--format={FORMAT}", *part, refuse=False) if len(part) <= _AT_ONCE else None
        if answer is not None and answer.code == 0:
            yield from _tags(answer.output)
        elif part:
            yield from _salvaged(git, part, answer.complaint if answer else complaint)


def _tags(output: bytes) -> Iterator[TagObject]:
    fields = output.decode("utf-8", "backslashreplace").split("\0")
    size = len(_FIELDS)
    for start in range(0, len(fields) - size, size):
        ref, kind, oid, type_, target, tagger, email, date, text, signature = fields[start : start + size]
        annotated = kind == "tag"
        yield TagObject(
            ref.lstrip("\n").removeprefix(_PREFIX),
            oid,
            target if type_ == "commit" else "" if annotated or kind != "commit" else oid,
            annotated,
            tagger,
            email.strip("<>"),
            _seconds(date),
            text.removesuffix(signature) if signature else text,
            bool(signature),
        )


def _seconds(date: str) -> int | None:
    seconds, _, _ = date.partition(" ")
    return int(seconds) if seconds.isascii() and seconds.removeprefix("-").isdigit() else None
