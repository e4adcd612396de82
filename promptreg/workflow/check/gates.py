"""Which gates a change concerns, and who stands against whom in each: the table of what a change affects (design/semantics.md).

    Gate ── Stream, one for each suite that judges (base's, head's) ── Reference: base, anchor

A gate is one suite × prompt × model. What no gate can measure becomes a Finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from promptreg.core.canonical import digest
from promptreg.core.check import Check
from promptreg.core.identity import behaviour_digest
from promptreg.core.names import unversioned
from promptreg.core.prompt import Prompt
from promptreg.core.releases import Release
from promptreg.core.render import Renderer
from promptreg.core.suite import Policy, Suite
from promptreg.core.verdict import Changed, Finding, Origin, ReferenceKind, Verdict
from promptreg.errors import Unmeasured, UsageError, WeightsError, Where
from promptreg.registry.registry import SUITES
from promptreg.workflow.check.affected import Reach
from promptreg.workflow.check.places import changed_place
from promptreg.workflow.check.request import CheckRequest
from promptreg.workflow.check.sides import Party, Sides
from promptreg.workflow.preparation import Model

ACCEPT = "if that is meant, a maintainer accepts it: promptreg check --accept REASON"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """Who answers on one side: a prompt at a revision, on a model."""

    renderer: Renderer
    model: Model

    @property
    def prompt(self) -> Prompt:
        return self.renderer.prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """What the candidate is held against. `problem` says why it cannot be measured; then there is no contender."""

    kind: ReferenceKind
    revision: str
    contender: Contender | None
    problem: str = ""


@dataclass(slots=True, kw_only=True, eq=False)
class Stream:
    """One suite's cases for one gate: `judge` says whose suite it is, `policies` who judges by it."""

    judge: Party
    suite: Suite
    checks: tuple[Check, ...]
    policies: tuple[tuple[Origin, Policy], ...]
    head: Contender
    references: tuple[Reference, ...]
    seed: str
    whole: bool = False  # the candidate is asked every case, also where nothing differs: a floor that nobody ever measured


@dataclass(slots=True, kw_only=True, eq=False)
class Gate:
    """One suite × prompt × model that the change concerns."""

    suite: str
    prompt: str
    model: str
    new: bool
    changed: list[Changed] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=list)
    anchored: str = ""  # what is said of the anchor where none is compared with
    candidate: Prompt | None = None
    where: Where | None = None  # where a reader should look


@dataclass(slots=True, kw_only=True)
class Concern:
    """All that a check has to look at."""

    gates: list[Gate] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    untouched: dict[str, int] = field(default_factory=dict)  # suite → gates that nothing concerns, of suites that were looked at
    tested: dict[str, bool] = field(default_factory=dict)  # prompt → whether any gate could see its change


class Gates:
    """Makes the gates of the suites that could be concerned."""

    def __init__(self, sides: Sides, reached: Reach, merge_base: str, request: CheckRequest) -> None:
        self._sides = sides
        self._reach = reached
        self._merge_base = merge_base
        self._request = request
        self._anchors: dict[str, Party] = {}
        self._broken: dict[str, Finding] = {}  # base's prompts that cannot be read
        self._old = reached.renamed
        self._new = {old: new for new, old in reached.renamed.items()}

    def of(self, suites: Sequence[str]) -> Concern:
        """The gates of *suites*, only those of the prompts that were asked for, if any were."""
        concern, prompts = Concern(), self._request.prompts
        for name in suites:
            base, head = self._base_suite(name, concern), self._suite(self._sides.head, name)
            found = self._gates(name, base, head, concern)
            wanted = [gate for gate in found if not prompts or gate.prompt in prompts]
            for gate in wanted:
                if gate.changed:
                    concern.gates.append(gate)
                else:
                    concern.untouched[name] = concern.untouched.get(name, 0) + 1
        concern.findings += self._broken.values()
        return concern

    def _suite(self, party: Party, name: str) -> Suite | None:
        return party.suite(name) if name in party.registry.suite_names() else None

    def _base_suite(self, name: str, concern: Concern) -> Suite | None:
        """Base's suite; none where it is broken, which its repair must not be held up by for ever."""
        try:
            suite = self._suite(self._sides.base, name)
            if suite is not None:
                self._sides.base.checks(suite)
        except UsageError as fault:
            concern.findings.append(unreadable(f"the suite '{name}'", fault))
            return None
        return suite

    def _gates(self, name: str, base: Suite | None, head: Suite | None, concern: Concern) -> list[Gate]:
        gates: dict[tuple[str, str], Gate] = {}
        same = base is not None and head is not None and self._same_suite(base, head)
        reasons = self._suite_reasons(base, head)
        if base is not None:
            policies = self._policies(base, head if same else None)
            for gate, stream in self._of_base(name, base, head, policies, concern):
                gate.streams.append(stream)
                gates[gate.prompt, gate.model] = gate
        if head is not None:
            for prompt, alias in _cells(head):
                new = self._is_new(base, prompt, alias)
                if new or not same:
                    gate = gates.setdefault((prompt, alias), Gate(suite=name, prompt=prompt, model=alias, new=new))
                    gate.streams.extend(self._of_head(gate, head))
        for gate in gates.values():
            gate.changed = self._changed(gate, reasons or (["suite"] if gate.new else []))
            if gate.changed and gate.candidate is not None:
                was = self._old.get(gate.prompt, gate.prompt)
                gate.where = changed_place(self._sides.base.registry, self._sides.head.registry, was, gate.candidate)
        return [gate for gate in gates.values() if gate.streams]

    # whose suite judges ----------------------------------------------------------------------------------------------------

    def _of_base(
        self, name: str, base: Suite, head: Suite | None, policies: tuple[tuple[Origin, Policy], ...], concern: Concern
    ) -> Iterator[tuple[Gate, Stream]]:
        """Base's gates: base's suite judges them, whatever became of it in head, while their prompt and model live."""
        for prompt, alias in _cells(base):
            now = self._new.get(prompt, prompt)
            if len(policies) == 1 and head is not None and self._still(base, head, prompt, alias):
                concern.untouched[name] = concern.untouched.get(name, 0) + 1
                continue
            model = self._sides.model(self._sides.head, alias)
            candidate = self._prompt(self._sides.head, now)
            if candidate is None:
                concern.findings.append(
                    _gone(f"the prompt '{prompt}' is gone, and the suite '{name}' of base names it", base, prompt)
                )
            elif model is None:
                concern.findings.append(
                    _gone(f"the model '{alias}' is gone from promptreg.yaml, and the suite '{name}' of base names it", base, now)
                )
            elif head is not None and alias not in head.models:
                concern.findings.append(_gone(f"the suite '{name}' no longer measures on '{alias}'", head, now))
            else:
                gate = Gate(suite=name, prompt=now, model=alias, new=False, candidate=candidate.prompt)
                contender = Contender(renderer=candidate, model=model)
                yield gate, self._stream(gate, self._sides.base, base, policies, contender, was=prompt)

    def _of_head(self, gate: Gate, head: Suite) -> Iterator[Stream]:
        model = self._sides.model(self._sides.head, gate.model)
        candidate = self._prompt(self._sides.head, gate.prompt)
        if candidate is None:
            raise UsageError(
                f"unknown prompt '{gate.prompt}'", where=head.place("prompts"), hint="promptreg list shows what there is"
            )
        if model is None:
            distrusted = any(each.alias == gate.model for each in self._sides.distrusted)
            if not distrusted:
                hint = "add it under `models:` in promptreg.yaml"
                raise UsageError(f"unknown model '{gate.model}'", where=head.place("models"), hint=hint)
            return  # the finding about the untrusted change says it
        gate.candidate = candidate.prompt
        policies: tuple[tuple[Origin, Policy], ...] = (("head", self._request.adapt(head.policy)),)
        contender = Contender(renderer=candidate, model=model)
        yield self._stream(gate, self._sides.head, head, policies, contender, was=self._old.get(gate.prompt, gate.prompt))

    def _stream(
        self, gate: Gate, judge: Party, suite: Suite, policies: tuple[tuple[Origin, Policy], ...], head: Contender, *, was: str
    ) -> Stream:
        references = []
        base = self._base_prompt(was)
        if base is not None:
            model = self._sides.model(self._sides.base, gate.model) or head.model
            references.append(Reference(kind="base", revision=self._merge_base, contender=Contender(renderer=base, model=model)))
        anchors = {policy.anchor for _, policy in policies}
        for wanted in sorted(anchors) if self._request.anchor else ():
            anchor = self._anchor_of(gate, was, wanted, references, head.model)
            if anchor is not None:
                references.append(anchor)
        return Stream(
            judge=judge,
            suite=suite,
            checks=judge.checks(suite),
            policies=policies,
            head=head,
            references=tuple(references),
            seed=self._seed(gate, judge),
            whole=gate.new and any(policy.floor is not None for _, policy in policies),
        )

    def _base_prompt(self, name: str) -> Renderer | None:
        """Base's prompt; none where it is broken."""
        try:
            found = self._prompt(self._sides.base, name)
            if found is not None:
                behaviour_digest(found.prompt)
            return found
        except UsageError as fault:
            self._broken.setdefault(name, unreadable(f"the prompt '{name}'", fault, name))
            return None

    def _still(self, base: Suite, head: Suite, prompt: str, alias: str) -> bool:
        """Whether paths alone tell that the gate is as it was: the suite, the prompt with its partials, and the model."""
        changed = unversioned(prompt) in self._reach.prompts or prompt in self._new
        if changed or alias not in head.models or prompt not in head.prompts:
            return False
        return self._same_suite(base, head) and (not self._reach.settings or self._same_model(alias))

    def _same_model(self, alias: str) -> bool:
        one, other = self._sides.model(self._sides.base, alias), self._sides.model(self._sides.head, alias)
        return one is not None and other is not None and one.identity.digest == other.identity.digest

    # who stands against the candidate ----------------------------------------------------------------------------------------

    def _prompt(self, party: Party, name: str) -> Renderer | None:
        """The prompt *name* (or a reference to one) as *party* has it; None for one that it never had."""
        plain, registry = unversioned(name), party.registry
        own = ":" not in plain
        known = plain in (registry.prompt_names() if own else registry.pulled.names)
        return None if not known and not (own and "@" in name) else party.renderer(name)

    def _anchor_of(self, gate: Gate, was: str, wanted: str, references: Sequence[Reference], model: Model) -> Reference | None:
        """The release that the policy wants as an anchor; None where it wants none, where there is none, or where base is it."""
        if wanted == "none" or "@" in was or ":" in was:
            return None
        release = self._release(was, wanted)
        if release is None:
            gate.anchored = "no release yet: nothing to anchor to"
            return None
        revision = str(release.version)
        try:
            party = self._party(release.commit)
            prompt = self._prompt(party, was)
            if prompt is None:
                return Reference(kind="anchor", revision=revision, contender=None, problem="its prompt is not in its commit")
            asked = self._sides.model(party, gate.model) or self._sides.model(self._sides.base, gate.model) or model
        except (UsageError, WeightsError) as fault:
            return Reference(kind="anchor", revision=revision, contender=None, problem=fault.message)
        for reference in references:
            other = reference.contender
            same_model = other is not None and other.model.identity.digest == asked.identity.digest
            if other is not None and same_model and behaviour_digest(other.prompt) == behaviour_digest(prompt.prompt):
                gate.anchored = f"base behaves as the last release, {revision}"
                return None
        return Reference(kind="anchor", revision=revision, contender=Contender(renderer=prompt, model=asked))

    def _release(self, name: str, wanted: str) -> Release | None:
        registry = self._sides.base.registry
        if wanted != "last-release":
            return registry.release(wanted if "@" in wanted else f"{name}@{wanted}")
        found = registry.state.artefact(name)
        if found.latest is None or found.latest.commit not in self._unmerged:
            return found.latest
        merged = {version: each for version, each in found.releases.items() if each.commit not in self._unmerged}
        return replace(found, releases=merged).latest

    @cached_property
    def _unmerged(self) -> frozenset[str]:
        """The commits that only head has: what the change itself tagged is nothing to hold it against."""
        tip, _ = self._sides.head.registry.head()
        answer = self._sides.base.registry.history.git.ask("rev-list", tip, f"^{self._merge_base}") if tip else None
        return frozenset(answer.text.split()) if answer else frozenset()

    def _party(self, commit: str) -> Party:
        if commit not in self._anchors:
            self._anchors[commit] = self._sides.at(commit)
        return self._anchors[commit]

    # what changed --------------------------------------------------------------------------------------------------------------

    def _same_suite(self, base: Suite, head: Suite) -> bool:
        """Whether both ask the same cases and grade alike. The policy, the description and the models are other questions."""
        return not self._new_data(head) and _asks(base) == _asks(head)

    def _new_data(self, suite: Suite) -> bool:
        return suite.dataset is not None and self._reach.changes.touches(suite.dataset)

    def _suite_reasons(self, base: Suite | None, head: Suite | None) -> list[Changed]:
        if base is None or head is None:
            return ["suite"]
        found: list[Changed] = []
        if base.checks != head.checks:
            found.append("metric")
        if self._new_data(head) or (base.dataset, base.cases, base.sample) != (head.dataset, head.cases, head.sample):
            found.append("data")
        if (base.policy or Policy()) != (head.policy or Policy()):
            found.append("policy")
        if not found and _asks(base) != _asks(head):
            found.append("suite")
        return found

    def _changed(self, gate: Gate, reasons: Sequence[Changed]) -> list[Changed]:
        found = list(reasons)
        for stream in gate.streams:
            base = next((each.contender for each in stream.references if each.kind == "base"), None)
            if base is None:
                found.append("prompt")
                continue
            if base.model.identity.digest != stream.head.model.identity.digest:
                found.append("model")
            if behaviour_digest(base.prompt) != behaviour_digest(stream.head.prompt):
                found.extend(_prompt_reasons(base.prompt, stream.head.prompt))
        return list(dict.fromkeys(found))

    def _policies(self, base: Suite, head: Suite | None) -> tuple[tuple[Origin, Policy], ...]:
        """Base's policy, and head's where it is another one: both must be content."""
        own = self._request.adapt(base.policy)
        other = own if head is None else self._request.adapt(head.policy)
        return (("base", own),) if own == other else (("base", own), ("head", other))

    def _is_new(self, base: Suite | None, prompt: str, alias: str) -> bool:
        return base is None or (self._old.get(prompt, prompt), alias) not in set(_cells(base))

    def _seed(self, gate: Gate, judge: Party) -> str:
        """What orders the cases: not the author's to choose, and another one for each merge base."""
        party = self._sides.base if gate.suite in self._sides.base.registry.suite_names() else judge
        try:
            path = party.suite(gate.suite).dataset or f"{SUITES}{gate.suite}.yaml"
            blob = getattr(party.registry.snapshot, "blob", None)
            content = blob(path) if blob is not None else ""
        except UsageError:
            content = ""  # base's cannot be read
        was = self._old.get(gate.prompt, gate.prompt)  # a new name would be a new order, and names are the author's to try
        return f"{gate.suite}\n{was}\n{gate.model}\n{content}\n{self._merge_base}"


def _cells(suite: Suite) -> list[tuple[str, str]]:
    return [(prompt, alias) for prompt in suite.prompts for alias in suite.models]


def _asks(suite: Suite) -> Suite:
    return replace(suite, description="", policy=None, prompts=(), models=())


def _prompt_reasons(base: Prompt, head: Prompt) -> list[Changed]:
    found: list[Changed] = []
    if base.params != head.params:
        found.append("params")
    if base.messages != head.messages or base.inputs != head.inputs:
        found.append("template")
    if (base.tools, base.output_schema) != (head.tools, head.output_schema):
        found.append("params")
    if dict(base.partials) != dict(head.partials):
        found.append("partial")
    return list(dict.fromkeys(found)) or ["template"]


def _gone(message: str, suite: Suite, prompt: str) -> Finding:
    return Finding(
        prompt=prompt,
        subject=digest("promptreg/gone/1", {"suite": suite.name, "message": message}),
        verdict=Verdict.UNMEASURED,
        reason="no_suite",
        message=message,
        where=suite.where,
        hint=ACCEPT,
    )


def unreadable(what: str, fault: UsageError, prompt: str = "") -> Finding:
    """That base holds *what* in a state that nothing can be compared with."""
    return Finding(
        prompt=prompt,
        subject=digest("promptreg/unreadable/1", {"what": what, "why": fault.message}),
        verdict=Verdict.UNMEASURED,
        reason="coverage",
        message=f"{what} of base cannot be read: {fault.message}",
        where=fault.where,
        hint=f"nothing can be compared with it; {ACCEPT}",
    )


def unmeasured(fault: Unmeasured) -> Finding:
    """What a fault without a verdict says, as a finding."""
    return Finding(verdict=Verdict.UNMEASURED, reason=fault.reason, message=fault.message, where=fault.where, hint=fault.hint or "")
