"""Which two states a check compares: the merge base with what the change will be merged into, and the change itself.

    base   --base REV: its merge base with head
           a pull request: the merge base with the branch it targets, as the CI's variables say
           else with the remote's own branch (origin/HEAD, origin/main, origin/master)
           without a remote: with a local main or master; on that branch itself, HEAD for a dirty tree, else the commit before
    head   --head REV; else HEAD in CI; else the working tree

Never the branch's own upstream: a branch that was pushed would be compared with itself. Knows no prompts and no gates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promptreg.core.ci import Surroundings
from promptreg.core.names import shown
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.registry.fetching import clone_remote, fetch_history, tags_left_out
from promptreg.registry.plumbing import SHALLOW_HINT, Git

TRUNKS = ("main", "master")
FETCH_HINT = f"promptreg check --fetch brings it; or {SHALLOW_HINT}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revisions:
    """The two commits of a check. `head_commit` None: the working tree, whose commit is `head_parent`.

    `base_as_written` and `head_as_written` are how people know them. `tags_read` is false where tags may be missing: then nobody
    can say that a prompt was never released.
    """

    base_commit: str
    base_as_written: str
    head_commit: str | None
    head_as_written: str
    head_parent: str
    tags_read: bool
    notes: tuple[str, ...] = ()


def resolve_revisions(
    registry: Registry, *, base: str | None, head: str | None, surroundings: Surroundings, fetch: bool
) -> Revisions:
    """The revisions that *base* and *head* (as the user wrote them; None: not at all) mean here. With *fetch*, what a clone lacks
    is brought first.

    UsageError that says what to fetch where history was cut off, and what to write where nobody can say what to compare with.
    """
    git = registry.history.git
    remote = clone_remote(git)
    notes: list[str] = []
    if fetch:
        notes += _fetched(registry, remote, surroundings)
    here = git.head()
    if here is None:
        raise UsageError("there is no commit yet to compare with", hint="git add, then git commit")
    in_ci = surroundings.in_ci
    tip = here if head is None else _named(git, head)
    target = _Target(git, surroundings, remote).find(base, tip, dirty=head is None and not in_ci and registry.head()[1])
    found = _merge_base(git, target, tip)
    if target.note:
        notes.append(target.note)
    working = head is None and not in_ci
    if found == tip and not working:
        _refuse_other(git, surroundings, tip, head)
        notes.append(f"{target.written} holds everything that {head or 'HEAD'} does: nothing is left to compare")
    return Revisions(
        base_commit=found,
        base_as_written=target.written,
        head_commit=None if working else tip,
        head_as_written="working tree" if working else head or "HEAD",
        head_parent=tip,
        tags_read=not tags_left_out(git, remote) or (fetch and remote is not None),
        notes=tuple(notes),
    )


def _named(git: Git, revision: str) -> str:
    """The commit that *revision* names. UsageError where a tag has the name of a branch: Git would take the tag, which anybody who
    may push one could have put over `main` or `origin/main`."""
    commit = git.rev_parse(revision)
    branches = [f"refs/heads/{revision}", f"refs/remotes/{revision}"]
    listed = git.ask("for-each-ref", "--format=%(refname)", f"refs/tags/{revision}", *branches).text.splitlines()
    meant = [each for each in branches if each in listed]
    if f"refs/tags/{revision}" in listed and meant:
        raise UsageError(f"{shown(revision)} is a tag and a branch", hint=f"write {meant[0]}, or delete the tag")
    return commit


def _refuse_other(git: Git, surroundings: Surroundings, tip: str, head: str | None) -> None:
    """UsageError where a pull request's job checked out something else (`pull_request_target` does): nothing would be judged."""
    wanted = surroundings.head_sha
    if head is None and surroundings.is_pull and wanted and git.run("merge-base", "--is-ancestor", wanted, tip, refuse=False).code:
        hint = "check out the pull request, or judge it as data: promptreg check --head SHA"
        raise UsageError(f"HEAD is not the pull request's: it does not hold {wanted[:10]}", hint=hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What head is compared with: a commit, its name for people, and why, where that is not plain. `exact`: as it is, without
    looking for a merge base."""

    commit: str
    written: str
    note: str = ""
    exact: bool = False


class _Target:
    """Looks for the commit that a change will be merged into."""

    def __init__(self, git: Git, surroundings: Surroundings, remote: str | None) -> None:
        self._git, self._surroundings, self._remote = git, surroundings, remote

    def find(self, base: str | None, tip: str, *, dirty: bool) -> Found:
        if base is not None:
            return Found(commit=_named(self._git, base), written=base)
        if self._surroundings.is_pull or self._surroundings.target_branch:
            return self._of_pull()
        return self._of_remote() or self._of_trunk(tip, dirty=dirty)

    def _of_pull(self) -> Found:
        """The branch a pull request targets; where a CI fetched no branches, the commit that its variables name."""
        branch, sha = self._surroundings.target_branch, self._surroundings.base_sha
        for ref, written in self._names(branch):
            if commit := self._commit(ref):
                return Found(commit=commit, written=written)
        if sha and (commit := self._commit(sha)):
            return Found(commit=commit, written=f"{branch or 'the target'} at {sha[:10]}")
        raise UsageError(f"the pull request's target '{branch or sha or 'unknown'}' is not in this clone", hint=FETCH_HINT)

    def _names(self, branch: str) -> Iterator[tuple[str, str]]:
        """A remote's branch only: a local one of the same name may be anything."""
        if branch and self._remote:
            yield f"refs/remotes/{self._remote}/{branch}", f"{self._remote}/{branch}"
        elif branch:
            yield f"refs/heads/{branch}", branch

    def _of_remote(self) -> Found | None:
        if self._remote is None:
            return None
        usual = self._surroundings.default_branch
        for name in ("HEAD", *((usual,) if usual else ()), *TRUNKS):
            if commit := self._commit(f"refs/remotes/{self._remote}/{name}"):
                return Found(commit=commit, written=self._named(f"{self._remote}/{name}"))
        if not self._git.ask("for-each-ref", "--count=1", "--format=x", f"refs/remotes/{self._remote}/").text:
            return None  # a remote that nothing was ever fetched from, or pushed to
        hint = f"git remote set-head {self._remote} --auto, or name it: promptreg check --base {self._remote}/BRANCH"
        raise UsageError(f"nobody says which branch of {self._remote} a change will be merged into", hint=hint)

    def _named(self, name: str) -> str:
        """`origin/main` for `origin/HEAD`, if that says where it points."""
        aim = self._git.run("symbolic-ref", "--quiet", "--short", f"refs/remotes/{name}").text if name.endswith("/HEAD") else ""
        return aim or name

    def _of_trunk(self, tip: str, *, dirty: bool) -> Found:
        here = self._git.run("symbolic-ref", "--quiet", "HEAD").text
        for trunk in TRUNKS:
            ref = f"refs/heads/{trunk}"
            if here != ref and (commit := self._commit(ref)):
                return Found(commit=commit, written=trunk)
            if here == ref:
                break
        if dirty:
            return Found(commit=tip, written="HEAD", exact=True, note="compared with HEAD: there is no other branch to merge into")
        before = self._commit(f"{tip}^")
        if before is None:
            raise self._alone()
        return Found(
            commit=before,
            written="HEAD^",
            exact=True,
            note="compared with the commit before: there is no other branch to merge into",
        )

    def _alone(self) -> UsageError:
        if self._git.is_shallow:
            return UsageError("this shallow clone does not hold the commit before HEAD", hint=FETCH_HINT)
        return UsageError("there is no commit before this one to compare with", hint="name one: promptreg check --base REV")

    def _commit(self, revision: str) -> str | None:
        answer = self._git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", refuse=False)
        return answer.text if answer.code == 0 else None


def _merge_base(git: Git, target: Found, tip: str) -> str:
    """The merge base of *target* and *tip*. In a shallow clone only one that is certain: a better one may lie behind the cut."""
    if target.exact:
        return target.commit
    try:
        found = git.merge_base(target.commit, tip)
    except UsageError as fault:
        raise UsageError(fault.message, hint=FETCH_HINT) from fault
    if found is None:
        raise UsageError(f"{target.written} and the head have no commit in common", hint="name a base that has: --base REV")
    if git.is_shallow and found not in (target.commit, tip):
        raise UsageError(f"a shallow clone may hide where the head left {target.written}", hint=FETCH_HINT)
    return found


def _fetched(registry: Registry, remote: str | None, surroundings: Surroundings) -> list[str]:
    """Brings history, the target's branch, the runs branch and tags; notes about what is odd."""
    git = registry.history.git
    if remote is None:
        raise UsageError("there is no remote to fetch from", hint="leave out --fetch, or git remote add origin URL")
    wanted = (surroundings.target_branch, registry.settings.runs.branch)
    differing = fetch_history(git, remote, [branch for branch in wanted if branch])
    registry.history.forget()
    return [f"the tag {name} differs here and at {remote}; what is here counts" for name in differing]
