"""In what state Git and a repository are, as far as it matters to a registry, and what to type to mend it. Changes nothing."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from promptreg.core.diagnosis import Diagnosis, Level
from promptreg.core.releases import State, fold
from promptreg.errors import UsageError
from promptreg.registry.objects import SUBMODULE
from promptreg.registry.plumbing import OLDEST, Git, is_bare, toplevel
from promptreg.registry.tags import read_tags

ODD_TAGS = 20  # shown; more of them have one cause
INSTALL = "install git {} or newer: apt install git, brew install git, or git-scm.com/downloads"
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")


def examine(start: Path, env: Mapping[str, str], own: Sequence[str], signed: Sequence[str] = ()) -> Iterator[Diagnosis]:
    """What there is to say of git itself and of the repository that holds *start*.

    *own* are the registry's paths in it, *signed* the labels whose moves must be signed.
    """
    start = start.resolve()
    top = toplevel(start)
    bare = top is None and is_bare(start)
    git = Git(start, env, bare=bare)
    yield (found := _program(git))
    if named := [name for name in _ELSEWHERE if name in env]:
        what = f"{' and '.join(named)} {'is' if len(named) == 1 else 'are'} set, as in a hook of Git"
        yield _say("note", "git-environment", f"{what}; promptreg goes by the folder instead", f"unset {' '.join(named)}")
    if found.level == "error":
        return
    if top is None and not bare:
        hint = "git init && git add -A && git commit -m 'First prompts'"
        yield _say("warning", "no-repository", f"{start} is not in a Git repository: prompts have no versions here", hint)
        return
    try:
        reachable = git.run("rev-parse", "--git-dir")
    except UsageError as fault:
        yield _refused(fault, start if top is None else top)
        return
    if reachable.code != 0:
        hint = (
            "if the main working tree was moved: run git worktree repair there; if this is a submodule: git submodule update --init"
        )
        yield _say("error", "broken-repository", f"the .git of {top} leads nowhere: {reachable.complaint[:200]}", hint)
        return
    yield _say("ok", "repository", f"a {'bare ' if bare else ''}{git.object_format} repository: {top or start}")
    for check in (_shape, _completeness, _tags):
        yield from check(git)
    yield from _signing(git, signed)
    yield from _submodules(git, own)


def _program(git: Git) -> Diagnosis:
    oldest = ".".join(map(str, OLDEST))
    version = ".".join(map(str, git.version))
    if not version:
        return _say("error", "git-missing", "there is no git on the PATH", INSTALL.format(oldest))
    if git.version < OLDEST:
        return _say("error", "git-version", f"git {version} is too old: promptreg needs {oldest}", INSTALL.format(oldest))
    return _say("ok", "git-version", f"git {version}")


def _refused(fault: UsageError, top: Path) -> Diagnosis:
    if "dubious ownership" in fault.message:
        remedy = f"git config --global --add safe.directory {shlex.quote(os.fspath(top))}"
        return _say("error", "safe-directory", f"{top} belongs to another user, so git refuses to read it", remedy)
    return _say("error", "repository", fault.message, fault.hint or "git status says more")


def _shape(git: Git) -> Iterator[Diagnosis]:
    """Where HEAD is, and where the working tree."""
    if git.folder != toplevel(git.folder) and is_bare(git.folder):
        message = "a bare repository: commands that read show its HEAD, others need a working tree"
        yield _say("note", "bare", message, "git worktree add ../work, then promptreg -C ../work")
    elif _path(git, "--git-dir") != _path(git, "--git-common-dir"):
        main = os.path.dirname(_path(git, "--git-common-dir"))
        yield _say("note", "linked-worktree", f"a linked working tree: its history and tags are those of {main}", "nothing to mend")
    outer = git.run("rev-parse", "--show-superproject-working-tree").text
    if outer:
        message = f"a submodule of {outer}: its tags are its own, the outer repository only names a commit"
        yield _say("note", "submodule-of", message, f"after a release: git -C {shlex.quote(outer)} commit -m 'New prompts' -- PATH")
    head = git.head()
    if head is None:
        yield _say("warning", "no-commit", "nothing is committed yet", "git add -A && git commit -m 'First prompts'")
    elif git.run("symbolic-ref", "--quiet", "HEAD").code != 0:
        message = f"HEAD is detached at {head[:10]}: commits made here belong to no branch"
        yield _say("note", "detached-head", message, "git switch -c NAME before you commit; in CI there is nothing to mend")


def _completeness(git: Git) -> Iterator[Diagnosis]:
    """Whether all objects and tags are here."""
    if git.is_shallow:
        message = "a shallow clone: labels, latest and ranges cannot be resolved, and history ends early"
        remedy = "git fetch --unshallow --tags (actions/checkout: fetch-depth: 0, fetch-tags: true; GitLab: GIT_DEPTH: 0)"
        yield _say("warning", "shallow", message, remedy)
    for remote in git.run("remote").text.split():
        if git.run("config", "--get", f"remote.{remote}.promisor").text == "true":
            name = shlex.quote(remote)
            message = f"a partial clone: what is missing is fetched from {remote} one by one when it is read, which is slow"
            remedy = f"git config --unset remote.{name}.partialclonefilter; git fetch --refetch {name}"
            yield _say("note", "partial-clone", message, remedy)
        if git.run("config", "--get", f"remote.{remote}.tagOpt").text == "--no-tags":
            remedy = f"git config --unset remote.{shlex.quote(remote)}.tagOpt; git fetch --tags {shlex.quote(remote)}"
            yield _say("warning", "no-tags-fetched", f"tags of {remote} are not fetched: releases are missing here", remedy)
    if git.run("for-each-ref", "--count=1", "refs/replace").output:
        message = "refs/replace make git show other objects than were committed; promptreg reads the originals"
        yield _say("warning", "replace-refs", message, "git replace -d $(git replace -l)")


def _tags(git: Git) -> Iterator[Diagnosis]:
    state = fold(read_tags(git))
    if not state.names:
        fetch = "git fetch --tags" if git.run("remote").text else "promptreg release NAME makes the first one"
        yield _say("note", "no-releases", "no tag here releases a prompt", fetch)
    else:
        releases = sum(len(state.artefact(name).releases) for name in state.names)
        yield _say("ok", "tags", f"tags: {len(state.tags):,}; releases: {releases:,}; prompts: {len(state.names):,}")
    yield from _odd(state)


def _odd(state: State) -> Iterator[Diagnosis]:
    odd = state.warnings
    for each in odd[:ODD_TAGS]:
        yield _say("warning", "odd-tag", each.message, each.hint or f"git show {shlex.quote('refs/tags/' + each.ref)} says more")
    if len(odd) > ODD_TAGS:
        yield _say("warning", "odd-tag", f"and {len(odd) - ODD_TAGS:,} more odd tags", "promptreg doctor, when these are mended")


def _signing(git: Git, signed: Sequence[str]) -> Iterator[Diagnosis]:
    """Whether tags can be signed here, and whether signatures can be verified."""
    config = _configured(git)
    key, form = config("user.signingKey"), config("gpg.format") or "openpgp"
    told = f" (promptreg.yaml asks for a signer of {', '.join(signed)})" if signed else ""
    if not key:
        remedy = "git config --global gpg.format ssh; git config --global user.signingKey ~/.ssh/id_ed25519.pub"
        yield _say("note", "signing-key", f"no signing key is configured: releases made here are not signed{told}", remedy)
    elif form == "ssh" and not key.startswith(("key::", "ssh-")) and not (git.folder / Path(key).expanduser()).is_file():
        remedy = f"ssh-keygen -t ed25519 -f {shlex.quote(key.removesuffix('.pub'))}, or git config user.signingKey ANOTHER"
        yield _say("warning", "signing-key", f"the signing key is not there: {key}", remedy)
    else:
        yield _say("ok", "signing-key", f"releases can be signed: {form} key configured")
    signers = config("gpg.ssh.allowedSignersFile")
    path = Path(signers).expanduser() if signers else None
    if path is not None and not (git.folder / path).is_file():
        remedy = f"put lines like 'ada@example.org ssh-ed25519 AAAA…' into {shlex.quote(str(path))}"
        yield _say("warning", "allowed-signers", f"the file of allowed signers is missing: {path}", remedy)
    elif path is not None:
        yield _say("ok", "allowed-signers", f"allowed signers: {path}")
    else:
        remedy = "git config gpg.ssh.allowedSignersFile PATH, with lines like 'ada@example.org ssh-ed25519 AAAA…'"
        message = f"no file of allowed signers is configured: SSH signatures cannot be verified{told}"
        yield _say("warning" if signed else "note", "allowed-signers", message, remedy)


def _submodules(git: Git, own: Sequence[str]) -> Iterator[Diagnosis]:
    if not own:
        return
    listing = ("ls-files", "--stage", "-z") if toplevel(git.folder) else ("ls-tree", "-r", "-z", "HEAD")
    for line in git.run(*listing, "--", *own).output.split(b"\0"):
        if line.startswith(SUBMODULE.encode()):
            path = os.fsdecode(line.partition(b"\t")[2])
            quoted = shlex.quote(path)
            remedy = f"git rm --cached {quoted}, then add the files themselves; or pull the prompts: promptreg pull URL NAME"
            yield _say("error", "submodule", f"{path} is a submodule: promptreg does not read it at any version", remedy)


def _configured(git: Git) -> Callable[[str], str]:
    return lambda name: git.run("config", "--get", name).text


def _path(git: Git, what: str) -> str:
    return git.run("rev-parse", "--path-format=absolute", what).text


def _say(level: Level, rule: str, message: str, remedy: str = "") -> Diagnosis:
    return Diagnosis(level=level, rule=rule, message=message, remedy=remedy)
