"""Where promptreg runs: on whose machine, for which event, and what that may be trusted with. The environment is handed in.

    kind        told by                  a pull request is             trusted events
    github      GITHUB_ACTIONS           pull_request and relatives    push, schedule, workflow_dispatch
    gitlab      GITLAB_CI                merge_request_event           push, schedule, web
    other CI    CI, JENKINS_URL, …       PROMPTREG_EVENT=pull_request  push, schedule, manual, as PROMPTREG_EVENT says
    local       nothing of these         –                             always

Every event that is not known to be trusted is not: a pull request must neither loosen its own gate nor accept its own drop.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from promptreg.core.canonical import Json
from promptreg.errors import UsageError

Kind: TypeAlias = Literal["github", "gitlab", "other CI", "local"]

EVENT = "PROMPTREG_EVENT"  # push, schedule, manual or pull_request: for CI systems that promptreg does not know
TARGET = "PROMPTREG_TARGET_BRANCH"
_TRUSTED: Mapping[Kind, frozenset[str]] = {
    "github": frozenset(("push", "schedule", "workflow_dispatch")),
    "gitlab": frozenset(("push", "schedule", "web")),
    "other CI": frozenset(("push", "schedule", "manual")),
}
_PULLS = frozenset(("pull_request", "pull_request_target", "merge_request_event", "external_pull_request_event"))
_OTHERS = ("CI", EVENT, "JENKINS_URL", "TF_BUILD", "TEAMCITY_VERSION", "CODEBUILD_BUILD_ID")  # some systems do not set CI
_NO = frozenset(("", "0", "false", "no", "off"))  # `CI=false` means none
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PULL_REF = re.compile(r"refs/pull/([0-9]{1,10})/(?:merge|head)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """One job's surroundings. Texts are empty and ids None where nobody said; shas are whole object ids.

    `head_repository` and `head_branch` say where a pull request comes from; `fork` that this is another repository than
    `repository`. For `workflow_run` all of them are those of the run that it follows, and `run_event` is that run's event.
    """

    kind: Kind = "local"
    event: str = ""
    target_branch: str = ""
    default_branch: str = ""
    base_sha: str | None = None
    head_sha: str | None = None
    pull_number: int | None = None
    repository: str = ""
    head_repository: str = ""
    head_branch: str = ""
    run_event: str = ""
    fork: bool = False

    @property
    def in_ci(self) -> bool:
        return self.kind != "local"

    @property
    def is_pull(self) -> bool:
        """Whether this job judges a pull request (or merge request)."""
        return self.event in _PULLS

    @property
    def trusted(self) -> bool:
        """Whether whoever started this may push anyway: then the change may be trusted with the gate, the keys and the plugins."""
        return self.kind == "local" or self.event in _TRUSTED[self.kind]


def surroundings(env: Mapping[str, str], payload: Json = None) -> Surroundings:
    """What *env* says of this job. *payload* is the JSON in the file that GITHUB_EVENT_PATH names, None without one.

    Never raises for what a payload lacks: a pull request that cannot be told is no trusted one.
    """
    if _set(env, "GITHUB_ACTIONS"):
        return _github(env, payload)
    if _set(env, "GITLAB_CI"):
        return _gitlab(env)
    if any(_set(env, name) for name in _OTHERS):
        return Surroundings(kind="other CI", event=env.get(EVENT, "").strip(), target_branch=_branch(env.get(TARGET, "")))
    return Surroundings()


def refuse_untrusted(found: Surroundings, option: str) -> None:
    """UsageError when *option* (`--trust-head`, `--accept`) is asked for where the change itself could have asked for it."""
    if found.trusted:
        return
    if found.kind == "other CI" and not found.event:
        remedy = f"set {EVENT} to push, schedule or manual in the job's own settings, if that is what started it"
        raise UsageError(f"{option} is refused: nobody says what started this job", hint=remedy)
    what = "a pull request" if found.is_pull or found.run_event in _PULLS else f"the event '{found.event or 'unknown'}'"
    where = {"github": "start a workflow by hand (workflow_dispatch)", "gitlab": "run a pipeline by hand"}.get(
        found.kind, "start a job by hand"
    )
    raise UsageError(
        f"{option} is refused in a job of {what}: a change must not judge itself",
        hint=f"{where} on a branch of this repository, or use {option} on your own machine",
    )


# GitHub ----------------------------------------------------------------------------------------------------------------------


def _github(env: Mapping[str, str], payload: Json) -> Surroundings:
    event = env.get("GITHUB_EVENT_NAME", "").strip()
    repository = env.get("GITHUB_REPOSITORY", "").strip()
    if event == "workflow_run":
        return _followed(repository, _map(payload, "workflow_run"))
    pull, queued = _map(payload, "pull_request"), _map(payload, "merge_group")
    head, base = _map(pull, "head"), _map(pull, "base")
    ref = _PULL_REF.fullmatch(env.get("GITHUB_REF", ""))
    head_repository = _text(_map(head, "repo"), "full_name")
    return Surroundings(
        kind="github",
        event=event,
        target_branch=_branch(env.get("GITHUB_BASE_REF", "") or _text(base, "ref") or _text(queued, "base_ref")),
        base_sha=_oid(_text(base, "sha") or _text(queued, "base_sha")),
        head_sha=_oid(_text(head, "sha")) or _oid(env.get("GITHUB_SHA", "")),
        default_branch=_branch(_text(_map(payload, "repository"), "default_branch")),
        pull_number=_number(pull.get("number")) or (int(ref[1]) if ref else None),
        repository=repository,
        head_repository=head_repository,
        head_branch=_text(head, "ref"),
        fork=event in _PULLS and head_repository.casefold() != repository.casefold(),
    )


def _followed(repository: str, run: Mapping[str, Json]) -> Surroundings:
    """A `workflow_run`: who it follows is in the event that GitHub itself wrote, not in what that run left behind."""
    head_repository = _text(_map(run, "head_repository"), "full_name")
    return Surroundings(
        kind="github",
        event="workflow_run",
        run_event=_text(run, "event"),
        repository=repository,
        head_sha=_oid(_text(run, "head_sha")),
        head_repository=head_repository,
        head_branch=_text(run, "head_branch"),
        fork=head_repository.casefold() != repository.casefold(),
    )


# GitLab ----------------------------------------------------------------------------------------------------------------------


def _gitlab(env: Mapping[str, str]) -> Surroundings:
    event = env.get("CI_PIPELINE_SOURCE", "").strip()
    if env.get("CI_MERGE_REQUEST_IID") and event in _TRUSTED["gitlab"]:
        event = "merge_request_event"  # a pipeline of a merge request, whoever started it
    repository = (env.get("CI_MERGE_REQUEST_PROJECT_PATH") or env.get("CI_PROJECT_PATH", "")).strip()
    source = env.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", "").strip()
    return Surroundings(
        kind="gitlab",
        event=event,
        target_branch=_branch(env.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "")),
        default_branch=_branch(env.get("CI_DEFAULT_BRANCH", "")),
        base_sha=_oid(env.get("CI_MERGE_REQUEST_DIFF_BASE_SHA", "")),
        head_sha=_oid(env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "")) or _oid(env.get("CI_COMMIT_SHA", "")),
        pull_number=_number(env.get("CI_MERGE_REQUEST_IID")),
        repository=repository,
        head_repository=source,
        head_branch=env.get("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", ""),
        fork=event in _PULLS and source.casefold() != repository.casefold(),
    )


# values that others wrote ----------------------------------------------------------------------------------------------------


def _set(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").strip().lower() not in _NO


def _map(value: Json, key: str) -> Mapping[str, Json]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(value: Mapping[str, Json], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""


def _oid(text: str) -> str | None:
    return text if _OID.fullmatch(text) and set(text) != {"0"} else None


def _number(value: Json) -> int | None:
    """A pull request's number, from JSON or from a variable."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if re.fullmatch(r"[1-9][0-9]{0,9}", text) else None


def _branch(name: str) -> str:
    """A branch's short name, empty for what Git would not take for one."""
    name = name.strip().removeprefix("refs/heads/")
    odd = name.startswith(("-", "/", ".")) or name.endswith(("/", ".", ".lock")) or ".." in name or "@{" in name or "//" in name
    return "" if odd or not name.isprintable() or re.search(r"[ ~^:?*\[\\]", name) else name
