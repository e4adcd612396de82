"""Tags that say what happened: made whole, then published, then known here; nothing is ever moved or deleted.

    forge    the tag objects are written (signed by git itself, as the user's configuration says), but no ref names them yet
    push     they go to the remote by their object ids, all or none; a remote that has one of the names refuses
    create   one transaction gives all of them their names; a name that exists refuses

So whoever loses a race has nothing to undo. Knows commits and names of tags, no prompts.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from promptreg.core.releases import TagObject
from promptreg.core.signers import Rule, refuse_unsigned
from promptreg.errors import ConflictError, UsageError
from promptreg.registry.plumbing import Git, is_oid
from promptreg.registry.tags import read_tags

_TAGS = "refs/tags/"
_IDENTITY = r"^(user|gpg|tag|committer|author)\."  # what of the configuration decides who signs, and how
_PLAIN = ("--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance", "--no-tags")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A tag to be made: its name below refs/tags/, the commit it points at, its message, and who must have signed it."""

    ref: str
    commit: str
    message: str
    rule: Rule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """How drafts become tags. *remote* is where they are pushed, empty for nowhere; *along* are tags that must be there too."""

    sign: bool = False
    remote: str = ""
    along: tuple[str, ...] = ()


def record(git: Git, drafts: Sequence[Draft], sending: Sending) -> dict[str, str]:
    """Makes all of *drafts*, or none; name to object id. ConflictError when a name is taken, here or at the remote."""
    _refuse_taken(git, drafts)
    writer = git.writer()
    with _forge(git) as forge:
        always = sending.sign or forge.run("config", "--type=bool", "--get", "tag.gpgSign").text == "true"
        made = {draft.ref: _make(forge, draft, sign=always or bool(draft.rule and draft.rule.signers)) for draft in drafts}
        for draft in drafts:
            if draft.rule is not None:
                refuse_unsigned(draft.rule, draft.ref, *_signature(writer, made[draft.ref]))
    if sending.remote:
        known = {ref: writer.ask("rev-parse", "--verify", "--end-of-options", _TAGS + ref).text for ref in sending.along}
        _push(writer, sending.remote, {**known, **made})
    _create(writer, made)
    return made


def push_line(refs: Sequence[str], remote: str = "origin") -> str:
    """The command that pushes exactly *refs*, quoted for a shell."""
    return shlex.join(["git", "push", "--atomic", remote, *(_TAGS + ref for ref in refs)])


# remotes ---------------------------------------------------------------------------------------------------------------------


def default_remote(git: Git) -> str:
    """Where this branch is pushed. UsageError when nobody can say."""
    branch = git.run("symbolic-ref", "--quiet", "--short", "HEAD").text
    for key in (f"branch.{branch}.pushRemote", "remote.pushDefault", f"branch.{branch}.remote"):
        found = git.run("config", "--get", key).text
        if found and found != ".":  # a branch that follows another branch of this very repository
            return check_remote(found)
    known = git.run("remote").text.splitlines()
    if "origin" in known or len(known) == 1:
        return "origin" if "origin" in known else known[0]
    hint = f"--push={known[0]}" if known else "git remote add origin URL"
    raise UsageError("there are several remotes" if known else "there is no remote to push to", hint=hint)


def check_remote(remote: str) -> str:
    """*remote*, if git can be told it. UsageError for what git would read as an option or as a command."""
    if not remote or remote.startswith("-") or not remote.isprintable() or "::" in remote:
        raise UsageError(f"{remote!a} cannot be a remote", hint="name one of `git remote`, or a URL")
    return remote


def fetch_tags(git: Git, remote: str) -> tuple[str, ...]:
    """Brings the tags of *remote* that are not known here. Those that differ here and there are left as they are, and returned."""
    answer = git.writer().run("fetch", *_PLAIN, "--", remote, f"{_TAGS}*:{_TAGS}*", refuse=False)
    differing = re.findall(r"^ ! \[rejected\] +(\S+) +-> .*\(would clobber existing tag\)$", answer.complaint, re.MULTILINE)
    if answer.code and not differing:
        raise UsageError(f"the tags of {remote} cannot be fetched: {_reason(answer.complaint)}", hint="git fetch says more")
    return tuple(differing)


def _push(git: Git, remote: str, oids: Mapping[str, str]) -> None:
    specs = [f"{oid}:{_TAGS}{ref}" for ref, oid in oids.items()]
    atomic = ("--atomic",) if len(specs) > 1 else ()
    options = ("--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", *atomic)
    answer = git.run("push", *options, "--", remote, *specs, refuse=False)
    if answer.code == 0:
        return
    there = _remote_tags(git, remote, list(oids))
    for ref, oid in oids.items():
        if there.get(ref, oid) != oid:
            fetch_tags(git, remote)
            raise ConflictError(
                f"{remote} has another tag '{ref}': {_by(_tag(git, ref, there[ref]))}",
                hint=_again(git, ref, there[ref], remote),
            )
    refused = re.findall(r"^!\t\S+\t(?!.*atomic)(.*)$", answer.text, re.MULTILINE)
    raise UsageError(
        f"{remote} did not take the tags: {refused[0] if refused else _reason(answer.complaint)}",
        hint="nothing was made, here or there; `git push` says more",
    )


def _again(git: Git, ref: str, there: str, remote: str) -> str:
    here = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", _TAGS + ref).text
    if here == there:
        return "nothing was made; its tags were fetched, so doing the same again now works on what they say"
    name = shlex.quote(ref)
    return f"the tag here was never pushed; if theirs shall stand: git tag -d {name} && git fetch {shlex.quote(remote)} tag {name}"


def _remote_tags(git: Git, remote: str, refs: Sequence[str]) -> dict[str, str]:
    answer = git.run("ls-remote", "--tags", "--", remote, *(_TAGS + ref for ref in refs), refuse=False)
    lines = (line.split("\t") for line in answer.text.splitlines())
    return {line[1].removeprefix(_TAGS): line[0] for line in lines if len(line) == 2 and is_oid(line[0])}


# objects and names -----------------------------------------------------------------------------------------------------------


@contextmanager
def _forge(git: Git) -> Iterator[Git]:
    """A scratch repository that writes into the real one's objects: `git tag` signs there, and no ref is made here."""
    objects = git.folder / git.ask("rev-parse", "--git-path", "objects").text
    settings = git.run("config", "--null", "--get-regexp", _IDENTITY).output.decode("utf-8", "surrogateescape")
    pairs = [entry.partition("\n") for entry in settings.split("\0") if entry]
    with tempfile.TemporaryDirectory(prefix="promptreg-") as scratch:
        where = {"GIT_DIR": scratch, "GIT_OBJECT_DIRECTORY": str(objects.resolve()), "GIT_CONFIG_COUNT": str(len(pairs))}
        for place, (key, sign, value) in enumerate(pairs):
            where |= {f"GIT_CONFIG_KEY_{place}": key, f"GIT_CONFIG_VALUE_{place}": value if sign else "true"}
        forge = git.writer(where)
        forge.ask("init", "--quiet", "--bare", "--template=", f"--object-format={git.object_format}", "--", scratch)
        yield forge


def _make(forge: Git, draft: Draft, *, sign: bool) -> str:
    options = ("--sign" if sign else "--annotate", "--cleanup=verbatim", "--file=-")
    answer = forge.run("tag", *options, "--", draft.ref, draft.commit, refuse=False, stdin=draft.message.encode())
    if answer.code:
        raise UsageError(
            f"the tag '{draft.ref}' was not made: {_reason(answer.complaint)}", hint=_remedy(answer.complaint, sign=sign)
        )
    made = forge.ask("for-each-ref", "--format=%(objectname) %(contents:signature)", _TAGS + draft.ref).text
    oid, _, signature = made.partition(" ")
    if sign and not signature.strip():  # git before 2.41 goes on without a word when ssh-keygen fails
        raise UsageError(f"the tag '{draft.ref}' was not signed: {_reason(answer.complaint)}", hint=_remedy("", sign=True))
    return oid


def _remedy(complaint: str, *, sign: bool) -> str:
    if "tell me who you are" in complaint or "empty ident" in complaint or "no email" in complaint:
        return 'say who you are: git config user.name "…" and git config user.email "…"'
    if sign:
        return "git signs with gpg.format (openpgp or ssh) and user.signingKey: see git help config"
    return "git tag says more"


def _signature(git: Git, oid: str) -> tuple[bool, str]:
    """Whether git trusts the signature of the tag object *oid*, and all it says of it."""
    answer = git.run("verify-tag", "--raw", oid, refuse=False)
    return answer.code == 0, answer.complaint + "\n" + answer.text


def _create(git: Git, made: Mapping[str, str]) -> None:
    lines = ["start", *(f"create {_TAGS}{ref} {oid}" for ref, oid in made.items()), "commit"]
    answer = git.run("update-ref", "--stdin", refuse=False, stdin="".join(f"{line}\n" for line in lines).encode())
    if answer.code == 0:
        return
    there = {tag.ref: tag for tag in _existing(git, list(made))}
    missing = [ref for ref in made if ref not in there]
    taken = [tag for ref, tag in there.items() if tag.oid != made[ref]]
    if taken:
        raise _taken(taken[0])
    if missing:
        kind = ConflictError if "File exists" in answer.complaint else UsageError  # a lock that somebody else holds right now
        raise kind(f"the tags were not made: {_reason(answer.complaint)}", hint="doing the same again may work; git fsck says more")


def _refuse_taken(git: Git, drafts: Sequence[Draft]) -> None:
    taken = _existing(git, [draft.ref for draft in drafts])
    if taken:
        raise _taken(taken[0])


def _taken(tag: TagObject) -> ConflictError:
    return ConflictError(
        f"the tag '{tag.ref}' exists: {_by(tag)}", hint="nothing was made; doing the same again works on what is known now"
    )


def _existing(git: Git, refs: Sequence[str]) -> list[TagObject]:
    wanted = set(refs)
    names = sorted({re.split("[@#]", ref)[0] for ref in refs})
    return [tag for tag in read_tags(git, names) if tag.ref in wanted]


def _tag(git: Git, ref: str, oid: str) -> TagObject:
    """The tag object *oid*, which was fetched, or an empty one."""
    text = git.run("cat-file", "tag", oid, refuse=False).output.decode("utf-8", "replace")
    found = re.search(r"^tagger (.*?) <(.*?)> (\d+) ", text, re.MULTILINE)
    if found is None:
        return TagObject(ref, oid, "")
    return TagObject(ref, oid, "", tagger=found[1], email=found[2], time=int(found[3]))


def _by(tag: TagObject) -> str:
    from datetime import UTC, datetime

    who = f"{tag.tagger or 'somebody'} <{tag.email}>" if tag.email else tag.tagger or "somebody"
    when = "" if tag.time is None else f" at {datetime.fromtimestamp(tag.time, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"{who} made it{when}"


def _reason(complaint: str) -> str:
    """The line of *complaint* that says why."""
    lines = [line.strip() for line in complaint.splitlines() if line.strip()]
    telling = [line for line in lines if re.match(r"(fatal|error|gpg|remote): .", line)]
    return (telling or lines or ["git did not say why"])[0].partition(": ")[2] or (telling or lines or ["git did not say why"])[0]
