"""Canary: has the model behind a name changed? Told from new answers to old questions, without knowing which answers are right.

For each case there are the stored repeats and tonight's answer. If nothing changed, all of them are exchangeable: tonight's is the
odd one out no more often than any other. A score says how odd each is among them. Tonight's score over the mean score of all is an
e-value (A. Ramdas and R. Wang, Hypothesis testing with e-values, arXiv 2410.23614): its expectation is 1, whatever the noise of the
model, since given the answers without their order each is tonight's with the same chance. Cases are independent, so their product
is one, too. A night alarms where that reaches NIGHTS x kinds / alpha: by Markov's inequality and a union bound, a cell that did not
change gives any false alarm in a quarter with a chance of alpha at most. The nights share the repeats, so that they depend on each
other; a union bound does not mind, a product over nights would.

Without repeats nobody can say what is usual: then drift is reported, and nothing alarms. Knows no model, no store and no clock.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from promptreg.core.drift import normal

Kind: TypeAlias = Literal["mismatch", "length", "format", "refusal"]
KINDS: tuple[Kind, ...] = ("mismatch", "length", "format", "refusal")
NIGHTS = 92  # of a quarter, among which alpha is shared
ALPHA = 0.05  # for one cell and one quarter
LEAST = 0.05  # the score of an answer that is like all others: what a bet can lose is bounded by it
REPEATS = 2  # below, nothing is exchangeable with tonight's answer but one


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One answer, in what a canary looks at. `well_formed` is None where no form is demanded."""

    text: str
    refused: bool = False
    well_formed: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One kind of drift tonight: the product of the cases' e-values and what it has to reach, as logarithms."""

    kind: Kind
    log_e: float
    threshold: float
    n: int
    changed: int  # cases whose answer differs from every stored one (length: by half or more)

    @property
    def alarm(self) -> bool:
        return self.log_e >= self.threshold


def threshold(alpha: float = ALPHA, nights: int = NIGHTS) -> float:
    """The logarithm that a night's product has to reach."""
    return math.log(nights * len(KINDS) / alpha)


@dataclass(slots=True)
class Night:
    """One cell's cases of one night: `add` each, then ask for the `signs`."""

    alpha: float = ALPHA
    nights: int = NIGHTS
    _logs: dict[Kind, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    _changed: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    differing: int = 0
    cases: int = 0
    unjudged: int = 0  # cases with too few repeats

    def add(self, repeats: Sequence[Heard], tonight: Heard) -> None:
        """One case. With fewer than REPEATS stored answers it is only counted."""
        self.cases += 1
        self.differing += bool(repeats) and normal(tonight.text) not in {normal(each.text) for each in repeats}
        if len(repeats) < REPEATS:
            self.unjudged += 1
            return
        for kind in KINDS:
            scores = _scores(kind, [*repeats, tonight])
            if scores is not None:
                self._logs[kind].append(math.log(scores[-1] * len(scores) / math.fsum(scores)))
                self._changed[kind] += scores[-1] >= 0.5 + LEAST and all(each < scores[-1] for each in scores[:-1])

    def signs(self) -> tuple[Sign, ...]:
        """Every kind that could be judged."""
        limit = threshold(self.alpha, self.nights)
        return tuple(
            Sign(kind=kind, log_e=math.fsum(logs), threshold=limit, n=len(logs), changed=self._changed[kind])
            for kind, logs in self._logs.items()
            if logs
        )


def _scores(kind: Kind, answers: Sequence[Heard]) -> list[float] | None:
    """How odd each of *answers* is among all of them: between LEAST and 1 + LEAST. Symmetric: no place in the list matters."""
    match kind:
        case "mismatch":
            return _unlike([normal(each.text) for each in answers])
        case "refusal":
            return _unlike([each.refused for each in answers])
        case "format":
            forms = [each.well_formed for each in answers]
            return None if None in forms else _unlike(forms)
        case "length":
            return _far([math.log(len(each.text) + 1) for each in answers])


def _unlike(values: Sequence[object]) -> list[float]:
    """For each the share of the others that it differs from."""
    others = len(values) - 1
    return [LEAST + sum(value != other for other in values) / others for value in values]


def _far(logs: Sequence[float]) -> list[float]:
    """For each how far, in logarithms, the others are from it in the mean; a factor of e counts 1, more no more."""
    others = len(logs) - 1
    return [LEAST + min(1.0, math.fsum(abs(one - other) for other in logs) / others) for one in logs]
