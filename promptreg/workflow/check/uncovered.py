"""What no gate can see of a change: prompts that nothing measures, and what only a trusted context may judge."""

from __future__ import annotations

import contextlib

from promptreg.core.canonical import Json, digest
from promptreg.core.identity import behaviour_digest
from promptreg.core.verdict import Finding, Verdict
from promptreg.errors import UsageError
from promptreg.registry import Registry
from promptreg.workflow.check.affected import Reach
from promptreg.workflow.check.gates import ACCEPT, Concern
from promptreg.workflow.check.sides import Sides


def distrusted(sides: Sides) -> list[Finding]:
    """What head would have otherwise, and base's was taken of."""
    if not sides.distrusted:
        return []
    content: list[Json] = [sides.named_files(sides.base), sides.named_files(sides.head)]
    return [
        Finding(
            verdict=Verdict.UNMEASURED,
            reason="untrusted_change",
            message=each.message,
            where=each.where,
            hint=each.hint or "a trusted context judges it: promptreg check --trust-head on a maintainer's machine",
            subject=digest("promptreg/untrusted/1", {"key": each.key, "alias": each.alias, "files": content}),
        )
        for each in sides.distrusted
    ]


def uncovered(sides: Sides, reached: Reach, concern: Concern, notes: list[str]) -> list[Finding]:
    """Changed prompts that no case measures. Base says whether they block; else they go to *notes*."""
    found: list[Finding] = []
    for name in sorted(reached.prompts):
        finding = _of(sides, reached, concern, name)
        if finding is None:
            continue
        if sides.base.settings.uncovered == "warn":
            notes.append(f"{finding.message} (uncovered: warn)")
        else:
            found.append(finding)
    return found


def _of(sides: Sides, reached: Reach, concern: Concern, name: str) -> Finding | None:
    base, head = sides.base.registry, sides.head.registry
    if not _holds(head, name):
        return _deleted(sides, reached, concern, name)
    before = reached.renamed.get(name, name)
    after = head.prompt(name)
    if concern.tested.get(name):
        return None
    behaviour, hint = None, f"add a case that reaches it (promptreg case add), or a suite (promptreg new suite {name})"
    if _holds(base, before):
        with contextlib.suppress(UsageError):  # what base held cannot be read: then nobody can say that nothing changed
            behaviour = behaviour_digest(base.prompt(before))
        if behaviour == behaviour_digest(after):
            return None
        what = "changed, and no case sees the change" if name in concern.tested else "changed, and no suite tests it"
    elif name in concern.tested:
        what, hint = "is new, and no suite that tests it has a floor", "say how good it must be: `gate: {floor: 0.8}` in its suite"
    else:
        what = "is new, and no suite tests it"
    return Finding(
        verdict=Verdict.UNMEASURED,
        reason="no_suite",
        message=f"the prompt '{name}' {what}",
        where=after.where,
        hint=hint,
        prompt=name,
        subject=digest("promptreg/uncovered/1", {"base": behaviour, "head": behaviour_digest(after)}),
    )


def _holds(registry: Registry, name: str) -> bool:
    return name in (registry.pulled.names if ":" in name else registry.prompt_names())


def _deleted(sides: Sides, reached: Reach, concern: Concern, name: str) -> Finding | None:
    """A prompt that is gone and was released; what suites of base name is said by their gates."""
    if name in reached.renamed.values() or any(f"'{name}' is gone" in finding.message for finding in concern.findings):
        return None
    if ":" in name:
        return None  # its releases are its source's; a suite that names it says more
    release = sides.base.registry.state.artefact(name).latest
    if release is None:
        return None
    return Finding(
        verdict=Verdict.UNMEASURED,
        reason="no_suite",
        message=f"the prompt '{name}' is gone, and it was released ({release.version})",
        hint=f"promptreg deprecate {name} tells its users; {ACCEPT}",
        prompt=name,
        subject=digest("promptreg/gone/1", {"prompt": name}),
    )
