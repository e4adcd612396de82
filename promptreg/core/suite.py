"""What a suite is: golden cases, the checks an answer must pass, and the policy a gate judges by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from promptreg.core.canonical import Digest, Json, digest
from promptreg.errors import Where


@dataclass(frozen=True, slots=True, kw_only=True)
class Require:
    """`run` only: a case passes when k of its `of` repeats pass. Never enters a gate (a majority vote hides real drops)."""

    k: int
    of: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One golden case. Its identity across revisions is its inputs (pair_key), never its id or expected answer."""

    id: str
    inputs: Mapping[str, Json]
    expected: Json = None
    tags: Mapping[str, str] = field(default_factory=dict)
    cluster: str | None = None
    require: Require | None = None
    where: Where | None = field(default=None, compare=False)

    def context(self) -> dict[str, Json]:
        """What the templates of check options see."""
        return {"inputs": self.inputs, "expected": self.expected, "tags": self.tags, "id": self.id}


def pair_key(inputs: Mapping[str, Json]) -> Digest:
    """The identity of a case: its inputs, and nothing else."""
    return digest("promptreg/case/1", inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSpec:
    """One check as the suite writes it: option templates unrendered. None means "the metric's own default"."""

    metric: str
    options: Mapping[str, Json] = field(default_factory=dict)
    short: bool = False  # options came as one bare value, held under the key ""
    threshold: float | None = None
    weight: float = 1.0
    required: bool = True
    negate: bool = False
    name: str = ""
    where: Where = field(default=Where("<suite>"), compare=False)
    marks: Mapping[str, Where] = field(default_factory=dict, compare=False)
    written: Mapping[str, str] = field(default_factory=dict, compare=False)  # `1.10` where YAML reads 1.1, for options of type text

    @property
    def label(self) -> str:
        return self.name or (f"not_{self.metric}" if self.negate else self.metric)

    def place(self, key: str) -> Where:
        """Where an option (dotted) or one of the check's own keys stands, or the check itself."""
        return self.marks.get(key, self.where)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The n lowest cases by SHA-256(seed ‖ pair key), of each stratum of `by` in proportion to its size."""

    n: int
    seed: int = 0
    by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    by: tuple[str, ...]
    correction: Literal["holm", "bh"] = "holm"
    mode: Literal["inform", "block"] = "inform"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """A guard's limit: an absolute change in points (`+2pt`, held as 0.02) or a relative one (`+10%`, held as 0.10)."""

    amount: float
    relative: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How a gate judges. `run` uses `floor`, `on` and `slices`; the other keys are for comparing two revisions."""

    on: Literal["passed", "score"] = "passed"
    margin: float = 0.05
    alpha: float = 0.05
    mode: Literal["fixed", "sequential", "hybrid"] = "hybrid"
    target: Literal["population", "golden"] = "population"
    anchor: str = "last-release"
    undecided: Literal["warn", "block"] = "warn"
    floor: float | None = None
    guard: Mapping[str, Limit] = field(default_factory=dict)
    slices: Slices | None = None
    batch: int = 8
    min_cases: int = 20
    max_missing: float = 0.02
    power: float = 0.90


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """A flaky case that no gate counts through the day *until* (ISO date, UTC), and who sees to it. `run` counts it as ever."""

    case: str  # its id
    owner: str
    until: str
    reason: str = ""
    where: Where = field(default=Where("<suite>"), compare=False)

    def holds(self, today: str) -> bool:
        """Whether the case is still out on the ISO date *today*: on its last day it is."""
        return today <= self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """A suite file, parsed. Exactly one of `dataset` (a path from the registry's root) and `cases` is set."""

    name: str
    prompts: tuple[str, ...]
    models: tuple[str, ...]
    checks: tuple[CheckSpec, ...]
    dataset: str | None = None
    cases: tuple[Case, ...] = ()
    sample: Sample | None = None
    repeats: int = 1
    policy: Policy | None = None
    quarantine: tuple[Quarantine, ...] = ()
    description: str = ""
    where: Where = field(default=Where("<suite>"), compare=False)
    marks: Mapping[str, Where] = field(default_factory=dict, compare=False)

    def place(self, key: str) -> Where:
        """Where *key* (dotted) stands in the file, or the file itself."""
        return self.marks.get(key, self.where)

    def quarantined(self, today: str) -> frozenset[str]:
        """The ids of the cases that no gate counts on the ISO date *today*."""
        return frozenset(entry.case for entry in self.quarantine if entry.holds(today))
