"""Who last changed each line of a prompt and of its partials, up to the working copy. Runs no filter: Git sees commits only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from promptreg.core.identity import included
from promptreg.core.refs import Working, parse_reference
from promptreg.errors import UsageError, Where
from promptreg.registry import Registry
from promptreg.registry.blame import Line, Origin
from promptreg.registry.snapshot import Snapshot
from promptreg.workflow.log import own

UNCOMMITTED = Origin(commit="", author="", email="", time=0, subject="not committed yet")
PROMPTS = "prompts/"


@dataclass(frozen=True, slots=True)
class BlamedFile:
    """A file and its lines; those not committed have UNCOMMITTED as their origin."""

    path: str
    lines: Sequence[Line]


def blame(registry: Registry, reference: str) -> list[BlamedFile]:
    """The file of the prompt that *reference* means, then each partial that it includes. UsageError outside of Git."""
    asked = parse_reference(reference)
    own(asked)
    history = registry.history
    prompt = registry.prompt(reference)
    paths = [f"{PROMPTS}{asked.name}.yaml", *(PROMPTS + path for path in included(prompt))]
    if asked.selector is None or isinstance(asked.selector, Working):
        head = registry.snapshot.commit or history.git.head()
        return [BlamedFile(path, _working(registry, head, path)) for path in paths]
    commit = registry.resolve(reference).commit
    assert commit is not None
    return [BlamedFile(path, _committed(registry, history.revision(commit), commit, path)) for path in paths]


def _working(registry: Registry, head: str | None, path: str) -> Sequence[Line]:
    """The committed lines, with what the working copy changed put over them."""
    now = _split(registry.snapshot.read(path))
    then: Sequence[Line] = ()
    if head is not None and registry.history.find(head, [path]) != [None]:
        then = _committed(registry, registry.history.revision(head), head, path)
    lines = [Line(number, text, UNCOMMITTED) for number, text in enumerate(now, 1)]
    matcher = SequenceMatcher(None, [line.text for line in then], now, autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            number = block.b + offset
            lines[number] = Line(number + 1, now[number], then[block.a + offset].origin)
    return lines


def _committed(registry: Registry, revision: Snapshot, commit: str, path: str) -> Sequence[Line]:
    lines = registry.history.blame(commit, path)
    if [line.text for line in lines] != _split(revision.read(path)):
        hint = "blame the file that it leads to"
        raise UsageError("Git blames other lines than the file has: is it a symbolic link?", where=Where(path), hint=hint)
    return lines


def _split(content: bytes) -> list[str]:
    """Lines as Git counts them: a newline ends one, nothing else does."""
    lines = content.decode("utf-8", "replace").split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]
