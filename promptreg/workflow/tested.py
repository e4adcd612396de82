"""When prompts were last tested, read cheaply from the runs branch: paths first, then the newest record of each cell, and verdicts.

Where there is no runs branch, or nothing on it is of a prompt, nothing is read and nothing rendered. Of a record's answers only the
times are looked at.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from promptreg.core.canonical import Digest
from promptreg.core.identity import behaviour_digest, checks_digest
from promptreg.core.names import unversioned
from promptreg.core.prompt import Prompt
from promptreg.core.records import Place, VerdictRecord, decode, decode_header, place, unquoted, verdict_folder
from promptreg.core.records.places import RUNS, VERDICTS, short
from promptreg.core.suite import Suite
from promptreg.core.tested import CellTest, Covered, Judged, Seen, Tested, tested
from promptreg.core.verdict import Verdict
from promptreg.errors import DataError, UsageError
from promptreg.registry import Registry
from promptreg.workflow.records import Archive, Desk, open_archive, seconds

Covering: TypeAlias = Callable[[], Mapping[str, Sequence[Suite]]]  # prompt to the suites that test it; asked only where needed
_Cell: TypeAlias = tuple[str, str, Digest, str]  # suite, prompt, behaviour, alias

# In canonical JSON a quote within a text has a backslash before it, so that this is a key and no part of an answer's text.
_OBSERVED = re.compile(rb'"observed_at":([0-9]{1,12}(?:\.[0-9]{1,20})?)(?=[,}])')


def last_tests(registry: Registry, now: float, prompts: Iterable[Prompt], covering: Covering) -> dict[str, Tested]:
    """For each of *prompts* whose present behaviour has records, how fresh they are at *now* (seconds since the epoch).

    What is damaged on the branch counts for nothing.
    """
    archive = open_archive(Desk(registry=registry, now=lambda: now))
    try:
        paths = archive.branch.paths(RUNS, VERDICTS) if archive is not None else []
    except UsageError:
        return {}  # a repository that git refuses: its files are read all the same, and nobody asked for its history
    if archive is None or not paths:
        return {}
    known = _recorded(paths)
    current = dict(_current(prompts, known))
    if not current:
        return {}
    covered = covering()
    cells = [
        ((suite.name, name, behaviour, alias), suite)
        for name, behaviour in current.items()
        for suite in covered.get(name, ())
        for alias in suite.models
    ]
    seen = _seen(archive, paths, current, {cell for cell, _ in cells})
    verdicts = _verdicts(archive, current)
    found: dict[str, list[CellTest]] = defaultdict(list)
    checks = {suite.name: checks_digest(suite.checks) for _, suite in cells}
    for cell, suite in cells:
        alias = cell[3]
        of = Covered(suite=suite.name, checks=checks[suite.name], alias=alias, spec=registry.settings.models.get(alias))
        found[cell[1]].append(tested(of, seen.get(cell), verdicts.get(cell, ()), now))
    return {name: Tested(cells=tuple(members)) for name, members in found.items()}


def covering(registry: Registry, name: str) -> dict[str, list[Suite]]:
    """The suites that test the prompt *name*. Suites that cannot be read are passed over: `lint` tells of them."""
    found: list[Suite] = []
    for each in registry.suite_names():
        try:
            suite = registry.suite(each)
            names = registry.prompts_matching(suite.prompts, suite.place("prompts"))
        except UsageError:
            continue
        if name in map(unversioned, names):
            found.append(suite)
    return {name: found}


def _recorded(paths: Iterable[str]) -> dict[str, set[str]]:
    """Prompt to the behaviours (twelve digits) that something is recorded of."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in paths:
        root, *parts = path.split("/")
        if root == RUNS and len(parts) == 5:
            found[unquoted(parts[1])].add(parts[2])
        elif root == VERDICTS and len(parts) == 3:
            found[unquoted(parts[0])].add(parts[1])
    return found


def _current(prompts: Iterable[Prompt], known: Mapping[str, set[str]]) -> Iterator[tuple[str, Digest]]:
    """The prompts of whose present behaviour something is recorded."""
    for prompt in prompts:
        name = unversioned(prompt.name)
        if name not in known:
            continue
        try:
            behaviour = behaviour_digest(prompt)
        except UsageError:
            continue
        if short(behaviour, 12) in known[name]:
            yield name, behaviour


def _seen(archive: Archive, paths: Iterable[str], current: Mapping[str, Digest], cells: set[_Cell]) -> dict[_Cell, Seen]:
    """For each of *cells* its newest record, whatever its model is; one that cannot be believed leaves the cell without."""
    places: dict[_Cell, list[Place]] = defaultdict(list)
    for path in paths:
        found = place(path) if path.startswith(f"{RUNS}/") else None
        behaviour = current.get(found.prompt) if found else None
        if found is None or behaviour is None or short(behaviour, 12) != found.behaviour12:
            continue
        cell = found.suite, found.prompt, behaviour, found.model.rpartition("-")[0]
        if cell in cells and math.isfinite(_at(found)):
            places[cell].append(found)
    newest = {max(members, key=lambda each: (each.moment, each.path)).path: cell for cell, members in places.items()}
    out: dict[_Cell, Seen] = {}
    for path, content in archive.branch.read(newest):
        cell = newest[path]
        times = [_at(each) for each in places[cell]]
        try:
            header = decode_header(path, content)
        except DataError:
            continue
        if header.cell.behaviour == cell[2]:
            observed = map(float, _OBSERVED.findall(content))
            oldest = min([seconds(header.created), *observed])
            out[cell] = Seen(header=header, oldest=oldest, first=min(times), last=max(times))
    return out


def _verdicts(archive: Archive, current: Mapping[str, Digest]) -> dict[_Cell, list[Judged]]:
    """The verdicts on the present behaviours."""
    found: dict[_Cell, list[Judged]] = defaultdict(list)
    folders = [verdict_folder(name, behaviour) for name, behaviour in current.items()]
    for path, content in archive.branch.read(archive.branch.paths(*folders)):
        try:
            value = decode(path, content)
        except DataError:
            continue
        if isinstance(value, VerdictRecord) and _is_of(value, current):
            cell = value.suite, value.prompt, value.behaviour, value.model
            accepted = value.verdict is Verdict.FAIL and bool(value.gate.get("accepted"))
            found[cell].append(Judged(Verdict.PASS if accepted else value.verdict, seconds(value.created)))
    return found


def _is_of(value: VerdictRecord, current: Mapping[str, Digest]) -> bool:
    return current.get(value.prompt) == value.behaviour and math.isfinite(seconds(value.created))


def _at(found: Place) -> float:
    at = found.moment
    return seconds(f"{at[:4]}-{at[4:6]}-{at[6:8]}T{at[9:11]}:{at[11:13]}:{at[13:15]}Z")
