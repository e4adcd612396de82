"""The witness: what a check takes from the runs branch and leaves there. Answers, verdicts, and drops that somebody accepted.

Reading is always allowed. Writing is for trusted runs: what a pull request's own job left there could be its next baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from promptreg import __version__
from promptreg.core.canonical import Digest, Json, digest
from promptreg.core.ci import surroundings
from promptreg.core.identity import behaviour_digest, checks_digest, dataset_digest, policy_digest, suite_digest
from promptreg.core.names import unversioned
from promptreg.core.records import Acceptance, Cell, Kept, VerdictRecord
from promptreg.core.run import Outcome
from promptreg.core.verdict import Finding, GateReport, Verdict
from promptreg.errors import UsageError
from promptreg.workflow.check.gates import Contender, Gate, Stream
from promptreg.workflow.check.measure import HEAD, Running
from promptreg.workflow.check.request import CheckRequest, Ground
from promptreg.workflow.check.revisions import Revisions
from promptreg.workflow.check.sides import Sides
from promptreg.workflow.records import Archive, Recorder, Subject, open_archive, subject

REGISTRY = "registry"  # what a finding that concerns no single prompt is kept under


class Witness:
    """One check's dealings with the runs branch, as `--runs` says."""

    def __init__(self, ground: Ground, request: CheckRequest, sides: Sides, revisions: Revisions) -> None:
        self._ground, self._request, self._sides, self._revisions = ground, request, sides, revisions
        own = surroundings(ground.env).trusted  # in a pull request's own job, the branch that is here may be its author's
        runs = sides.base.settings.runs
        self._archive = None if request.runs == "off" else open_archive(ground, runs=runs, note=ground.announce, own=own)
        writes = request.runs in ("write", "push") and self._archive is not None
        self._recorder = Recorder(self._archive, "check") if writes and self._archive is not None else None
        self._subjects: dict[tuple[int, str], Subject] = {}
        self._kept: list[Kept] = []

    # answers

    def recall(self, gates: Sequence[Gate]) -> int:
        """Answers that the runs branch holds become known; how many."""
        if self._archive is None or self._ground.store is None:
            return 0
        cells = {cell: None for gate in gates for stream in gate.streams for cell in _cells(gate, stream)}
        return self._archive.recall(cells)

    def saw(self, running: Running, role: str, outcome: Outcome) -> None:
        """One graded answer."""
        if self._recorder is not None:
            self._recorder.add(self._subject(running, role), outcome)

    def _subject(self, running: Running, role: str) -> Subject:
        key = id(running.course.stream), role
        if key not in self._subjects:
            stream = running.course.stream
            contender = stream.head if role == HEAD else stream.references[int(role)].contender
            assert contender is not None
            found = subject(stream.suite, contender.prompt, contender.prompt.name, running.gate.model, contender.model.identity)
            self._subjects[key] = replace(found, seed=stream.seed)
        return self._subjects[key]

    # what somebody accepted

    def accepted(self, gates: Sequence[Gate], reports: tuple[GateReport, ...]) -> tuple[GateReport, ...]:
        """*reports* with the reasons given by who accepted their FAILs, now or before."""
        by_name = {(gate.suite, gate.prompt, gate.model): gate for gate in gates}
        return tuple(self._accepted(report, by_name[report.suite, report.prompt, report.model]) for report in reports)

    def _accepted(self, report: GateReport, gate: Gate) -> GateReport:
        # Where an input was renamed, base's suite will never be measured: somebody must be able to say so.
        unasked = report.verdict is Verdict.UNMEASURED and report.reason == "coverage"
        if gate.candidate is None or not (report.verdict is Verdict.FAIL or unasked):
            return report
        accepted = _Accepted(report.prompt, behaviour_digest(gate.candidate), report.suite, report.model)
        return replace(report, accepted=self._reason(accepted, lambda: _change(gate)))

    def accepted_findings(self, findings: Sequence[Finding]) -> list[Finding]:
        return [
            each
            if each.subject is None or each.verdict is Verdict.PASS
            else replace(each, accepted=self._reason(_Accepted(each.prompt or REGISTRY, each.subject), lambda: None))
            for each in findings
        ]

    def _reason(self, accepted: _Accepted, change: Callable[[], Digest | None]) -> str:
        if self._request.accept:
            self._kept.append(self._acceptance(accepted, change()))
            return self._request.accept
        if self._archive is None:
            return ""
        known = self._archive.acceptances(unversioned(accepted.prompt), accepted.behaviour)
        same = [each for each in known if (each.suite, each.model) == (accepted.suite, accepted.model)]
        wanted = change() if same else None
        return next((f"{each.reason} ({each.author}, {each.created[:10]})" for each in same if each.change == wanted), "")

    def _acceptance(self, accepted: _Accepted, change: Digest | None) -> Acceptance:
        archive = self._writable("--accept")
        return Acceptance(
            prompt=unversioned(accepted.prompt),
            behaviour=accepted.behaviour,
            suite=accepted.suite,
            model=accepted.model,
            base=self._revisions.base_commit,
            reason=self._request.accept,
            author=archive.branch.who,
            created=archive.moment,
            change=change,
        )

    def _writable(self, option: str) -> Archive:
        if self._archive is None:
            raise UsageError(f"{option} is written to the runs branch, and --runs off does without it", hint="leave out --runs off")
        return self._archive

    # leaving

    def record(self, gates: Sequence[Gate], reports: Sequence[GateReport]) -> None:
        """Leaves the answers on the runs branch, if that is asked for; `leave` then writes the verdicts and what was accepted."""
        if self._recorder is not None:
            self._recorder.write()
            by_name = {(gate.suite, gate.prompt, gate.model): gate for gate in gates}
            self._kept += [self._verdict(by_name[each.suite, each.prompt, each.model], each) for each in reports]

    def leave(self) -> None:
        """Writes what is to be kept, and pushes it if that is asked for."""
        if self._archive is None:
            return
        if self._kept:
            self._archive.keep(self._kept)
            self._kept = []
        if self._request.runs == "push":
            self._archive.branch.push()

    def _verdict(self, gate: Gate, report: GateReport) -> VerdictRecord:
        from promptreg.reporters.check.json import gate_as_json

        assert self._archive is not None
        assert gate.candidate is not None
        stream = gate.streams[-1]
        return VerdictRecord(
            prompt=unversioned(gate.prompt),
            behaviour=behaviour_digest(gate.candidate),
            suite=gate.suite,
            model=gate.model,
            verdict=report.verdict,
            base=self._revisions.base_commit,
            head=self._revisions.head_commit or "",
            digests={
                "suite": suite_digest(stream.suite),
                "checks": checks_digest(stream.suite.checks),
                "policy": policy_digest(stream.suite.policy, stream.suite.quarantine),
                "model": stream.head.model.identity.digest,
            },
            gate=gate_as_json(report),
            version=__version__,
            author=self._archive.branch.who,
            created=self._archive.moment,
        )


def _cells(gate: Gate, stream: Stream) -> Iterator[Cell]:
    contenders: list[Contender] = [stream.head, *(each.contender for each in stream.references if each.contender is not None)]
    for contender in contenders:
        yield Cell(
            suite=gate.suite,
            prompt=unversioned(contender.prompt.name),
            behaviour=behaviour_digest(contender.prompt),
            alias=gate.model,
            identity=contender.model.identity.digest,
        )


@dataclass(frozen=True, slots=True)
class _Accepted:
    """What an acceptance is found by."""

    prompt: str
    behaviour: Digest
    suite: str = ""
    model: str = ""


def _change(gate: Gate) -> Digest:
    """All that a FAIL of *gate* rests on and that base decides; of head, its behaviour is in the acceptance and its model is here.

    Where base has the suite, what head makes of it is left out: it can only add to what fails.
    """
    streams = [stream for stream in gate.streams if stream.judge.origin == "base"] or gate.streams
    return digest("promptreg/accepted/1", [_compared(stream) for stream in streams])


def _compared(stream: Stream) -> dict[str, Json]:
    suite = stream.suite
    held = [each.contender for each in stream.references if each.contender is not None]
    return {
        "suite": suite_digest(replace(suite, prompts=(), models=())),
        "policy": policy_digest(suite.policy, suite.quarantine),
        "data": dataset_digest(stream.judge.registry.cases(suite)),
        "model": stream.head.model.identity.digest,
        "references": [[each.model.identity.digest, behaviour_digest(each.prompt)] for each in held],
    }
